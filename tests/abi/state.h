// What callbacks count, for the threads that wait for it.

#ifndef ABI_STATE_H
#define ABI_STATE_H

#include <pthread.h>

#include "abi.h"

typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  kp_producer_t *producer;
  kp_stream_t *stream;
  int calls;
  int reports;
  int stored;
  int lines;
  int finalized;
} state_t;

static MAYBE_UNUSED void begin(state_t *state) {
  memset(state, 0, sizeof *state);
  CHECK(pthread_mutex_init(&state->lock, NULL) == 0);
  CHECK(pthread_cond_init(&state->changed, NULL) == 0);
}

static MAYBE_UNUSED void add(state_t *state, int *counter, int more) {
  CHECK(pthread_mutex_lock(&state->lock) == 0);
  *counter += more;
  CHECK(pthread_cond_broadcast(&state->changed) == 0);
  CHECK(pthread_mutex_unlock(&state->lock) == 0);
}

static MAYBE_UNUSED void wait_for(state_t *state, const int *counter, int value) {
  CHECK(pthread_mutex_lock(&state->lock) == 0);
  while (*counter < value) CHECK(pthread_cond_wait(&state->changed, &state->lock) == 0);
  CHECK(*counter == value);
  CHECK(pthread_mutex_unlock(&state->lock) == 0);
}

static MAYBE_UNUSED void wait_at_least(state_t *state, const int *counter, int value) {
  CHECK(pthread_mutex_lock(&state->lock) == 0);
  while (*counter < value) CHECK(pthread_cond_wait(&state->changed, &state->lock) == 0);
  CHECK(pthread_mutex_unlock(&state->lock) == 0);
}

static MAYBE_UNUSED void finalize(void *user_data) {
  state_t *state = user_data;
  add(state, &state->finalized, 1);
}

#endif
