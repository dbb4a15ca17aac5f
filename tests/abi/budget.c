// A full budget refuses or waits, a closed or aborted producer refuses, and every accepted user record is reported all the same.

#include <pthread.h>
#include <time.h>

#include "abi.h"

enum { ROOM = 10, WAITERS = 4 };

// Nobody listens and nothing expires: what is put stays.
static const char *const STUCK = "max_outstanding_records = 10\nrecord_max_buffered_time = 1 h\nrecord_ttl = 2 h";

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void all_aborted(const kp_reports_t *reports) {
  for (size_t row = 0; row < kp_reports_len(reports); row++) {
    IS(kp_reports_statuses(reports)[row], KP_REPORT_ABORTED);
    CHECK(strcmp(kp_reports_error_code(reports, row), "Aborted") == 0);
    CHECK(kp_reports_stored(reports, row) != KP_STORED_YES);  // POSSIBLY if a request was under way
  }
}

static void all_aborted_unsent(const kp_reports_t *reports) {
  all_aborted(reports);
  for (size_t row = 0; row < kp_reports_len(reports); row++) CHECK(kp_reports_stored(reports, row) == KP_STORED_NO);
}

static void full(void) {
  kp_producer_t *producer = start_producer(settings(NULL, STUCK));
  kp_stream_t *stream = open_stream(producer, "s");
  kp_user_record_t records[ROOM + 5];
  for (size_t i = 0; i < ROOM + 5; i++) records[i] = user_record("k", "v");
  size_t accepted = 0;
  IS(kp_stream_put_many(stream, records, ROOM + 5, NULL, 0, &accepted), KP_ERR_QUEUE_FULL);
  CHECK(accepted == ROOM);
  IS(kp_stream_try_put(stream, records, 0), KP_ERR_QUEUE_FULL);
  double start = seconds();
  IS(kp_stream_put(stream, records, 0, 50), KP_ERR_TIMED_OUT);
  IS(kp_stream_put_many(stream, records, 2, NULL, 50, &accepted), KP_ERR_TIMED_OUT);
  CHECK(accepted == 0);
  CHECK(seconds() - start >= 0.1);
  FAILS(kp_producer_flush(producer, 20), KP_ERR_TIMED_OUT);
  size_t aborted = 0;
  WORKS(kp_producer_close(producer, 20, &aborted));
  CHECK(aborted == ROOM);
  CHECK(take_reports(producer, ROOM, all_aborted) == 0);
  CHECK(kp_producer_poll_reports(producer, 1, KP_WAIT_FOREVER) == NULL);
  IS(kp_producer_free(producer), KP_OK);
}

// Where only taking reports makes room, a put that would wait is told at once.
static void full_of_reports(const kp_local_t *service) {
  kp_producer_t *producer = start_producer(settings(service, "max_outstanding_records = 10"));
  kp_stream_t *stream = open_stream(producer, "s");
  kp_user_record_t record = user_record("k", "v");
  for (size_t i = 0; i < ROOM; i++) IS(kp_stream_put(stream, &record, i, 1000), KP_OK);
  WORKS(kp_producer_flush(producer, 30000));
  double start = seconds();
  IS(kp_stream_put(stream, &record, 0, 60000), KP_ERR_QUEUE_FULL);
  CHECK(seconds() - start < 30);
  CHECK(take_reports(producer, ROOM, NULL) == ROOM);
  IS(kp_stream_put(stream, &record, 0, 0), KP_OK);
  IS(kp_producer_free(producer), KP_OK);  // what is left is lost with its reports
}

static void after_the_end(const kp_local_t *service, int by_close) {
  // Nothing is sent before the end.
  kp_producer_t *producer = start_producer(settings(service, "record_max_buffered_time = 1 h\nrecord_ttl = 2 h"));
  kp_stream_t *stream = open_stream(producer, "s");
  kp_user_record_t record = user_record("k", "v");
  IS(kp_stream_put(stream, &record, 0, 0), KP_OK);
  size_t aborted = 99;
  WORKS(by_close ? kp_producer_close(producer, 30000, &aborted) : kp_producer_abort(producer, &aborted));
  CHECK(aborted == (by_close ? 0 : 1));
  size_t accepted = 9;
  const uint32_t one = 1;
  IS(kp_stream_put(stream, &record, 0, KP_WAIT_FOREVER), KP_ERR_CLOSED);
  IS(kp_stream_try_put(stream, &record, 0), KP_ERR_CLOSED);
  IS(kp_stream_put_many(stream, &record, 1, NULL, 0, &accepted), KP_ERR_CLOSED);
  CHECK(accepted == 0);
  IS(kp_stream_put_columns(stream, 1, "k", &one, (const uint8_t *)"v", &one, NULL, NULL, NULL, 1000, &accepted), KP_ERR_CLOSED);
  WORKS(kp_producer_flush(producer, 1000));
  int32_t fd = -1;
  WORKS(kp_producer_reports_fd(producer, &fd));
  CHECK(take_reports(producer, 1, by_close ? NULL : all_aborted_unsent) == (by_close ? 1 : 0));
  CHECK(kp_producer_poll_reports(producer, 1, KP_WAIT_FOREVER) == NULL);
  size_t records = 9;
  IS(kp_producer_outstanding(producer, &records, NULL, NULL), KP_OK);
  CHECK(records == 0);
  WORKS(kp_producer_close(producer, 1000, &aborted));
  CHECK(aborted == 0);
  WORKS(kp_producer_abort(producer, &aborted));
  CHECK(aborted == 0);
  IS(kp_producer_free(producer), KP_OK);
}

static void *wait_for_room(void *stream) {
  kp_user_record_t record = user_record("k", "v");
  IS(kp_stream_put(stream, &record, 0, KP_WAIT_FOREVER), KP_ERR_CLOSED);
  return NULL;
}

static void closing_ends_waiting(void) {
  kp_producer_t *producer = start_producer(settings(NULL, STUCK));
  kp_stream_t *stream = open_stream(producer, "s");
  kp_user_record_t record = user_record("k", "v");
  for (size_t i = 0; i < ROOM; i++) IS(kp_stream_put(stream, &record, 0, 0), KP_OK);
  pthread_t waiters[WAITERS];
  for (size_t i = 0; i < WAITERS; i++) CHECK(pthread_create(&waiters[i], NULL, wait_for_room, stream) == 0);
  size_t aborted = 0;
  WORKS(kp_producer_abort(producer, &aborted));
  CHECK(aborted == ROOM);
  for (size_t i = 0; i < WAITERS; i++) CHECK(pthread_join(waiters[i], NULL) == 0);
  CHECK(take_reports(producer, ROOM, all_aborted_unsent) == 0);
  IS(kp_producer_free(producer), KP_OK);
}

int main(void) {
  kp_local_t *service = start_service();
  full();
  full_of_reports(service);
  after_the_end(service, 1);
  after_the_end(service, 0);
  closing_ends_waiting();
  kp_local_free(service);
  return 0;
}
