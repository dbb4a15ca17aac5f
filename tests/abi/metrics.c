// Metrics and statistics, on demand and by callback.

#include "state.h"

enum { COUNT = 20 };

// The row of a metric with these dimensions, which must be there.
static size_t find(const kp_metrics_t *metrics, const char *name, const char *stream, const char *error_code) {
  for (size_t row = 0; row < kp_metrics_len(metrics); row++) {
    const char *its_stream = kp_metrics_stream(metrics, row), *its_code = kp_metrics_error_code(metrics, row);
    if (strcmp(kp_metrics_name(metrics, row), name) != 0 || kp_metrics_shard(metrics, row) != NULL) continue;
    if ((stream == NULL) != (its_stream == NULL) || (stream != NULL && strcmp(stream, its_stream) != 0)) continue;
    if ((error_code == NULL) != (its_code == NULL) || (error_code != NULL && strcmp(error_code, its_code) != 0)) continue;
    return row;
  }
  fprintf(stderr, "no %s of %s\n", name, stream == NULL ? "all" : stream);
  exit(1);
}

static void all_are_stored(const kp_metrics_t *metrics) {
  const char *streams[] = {NULL, "s"};
  for (int i = 0; i < 2; i++) {
    size_t row = find(metrics, "UserRecordsPut", streams[i], NULL);
    CHECK(strcmp(kp_metrics_unit(metrics, row), "Count") == 0);
    CHECK(kp_metrics_count(metrics, row) == COUNT && kp_metrics_sum(metrics, row) == COUNT);
    CHECK(kp_metrics_mean(metrics, row) == 1 && kp_metrics_min(metrics, row) == 1 && kp_metrics_max(metrics, row) == 1);
  }
}

static void values(const kp_local_t *service) {
  kp_producer_t *producer = start_producer(settings(service, "record_max_buffered_time = 10 ms"));
  kp_metrics_t *metrics = NULL;
  WORKS(kp_producer_metrics(producer, "UserRecordsPut", 0, &metrics));
  CHECK(metrics != NULL && kp_metrics_len(metrics) == 0);  // what never had a value is not there
  kp_metrics_free(metrics);

  kp_stream_t *stream = open_stream(producer, "s");
  kp_user_record_t record = user_record("k", "data");
  for (uint64_t n = 0; n < COUNT; n++) IS(kp_stream_put(stream, &record, n, 1000), KP_OK);
  CHECK(take_reports(producer, COUNT, NULL) == COUNT);
  IS(kp_stream_put(open_stream(producer, "missing"), &record, 0, 1000), KP_OK);
  CHECK(take_reports(producer, 1, NULL) == 0);

  WORKS(kp_producer_metrics(producer, "UserRecordsReceived", 60, &metrics));
  CHECK(kp_metrics_len(metrics) == 3);  // all, and both streams
  CHECK(kp_metrics_sum(metrics, find(metrics, "UserRecordsReceived", NULL, NULL)) == COUNT + 1);
  kp_metrics_free(metrics);

  WORKS(kp_producer_metrics(producer, NULL, 0, &metrics));
  size_t bytes = find(metrics, "UserRecordsDataPut", "s", NULL);
  CHECK(strcmp(kp_metrics_unit(metrics, bytes), "Bytes") == 0);
  CHECK(kp_metrics_sum(metrics, bytes) == COUNT * 4 && kp_metrics_max(metrics, bytes) == 4);
  size_t code = find(metrics, "ErrorsByCode", "missing", "ResourceNotFoundException");
  CHECK(kp_metrics_count(metrics, code) >= 1);
  CHECK(strcmp(kp_metrics_unit(metrics, find(metrics, "RequestTime", "s", NULL)), "Milliseconds") == 0);
  // One key, one shard.
  size_t shards = 0;
  for (size_t row = 0; row < kp_metrics_len(metrics); row++) {
    if (strcmp(kp_metrics_name(metrics, row), "UserRecordsPut") != 0 || kp_metrics_shard(metrics, row) == NULL) continue;
    CHECK(strncmp(kp_metrics_shard(metrics, row), "shardId-", 8) == 0 && kp_metrics_count(metrics, row) == COUNT);
    // The same text again is the same pointer.
    CHECK(kp_metrics_shard(metrics, row) == kp_metrics_shard(metrics, row));
    shards++;
  }
  CHECK(shards == 1);
  IS(kp_producer_free(producer), KP_OK);
  // They do not need their producer.
  CHECK(kp_metrics_count(metrics, find(metrics, "UserRecordsPut", "s", NULL)) == COUNT);
  kp_metrics_free(metrics);
}

static void windows_and_names(const kp_local_t *service) {
  kp_producer_t *producer = start_producer(settings(service, "record_max_buffered_time = 10 ms"));
  kp_stream_t *stream = open_stream(producer, "s");
  kp_user_record_t record = user_record("k", "data");
  for (uint64_t n = 0; n < COUNT; n++) IS(kp_stream_put(stream, &record, n, 1000), KP_OK);
  CHECK(take_reports(producer, COUNT, NULL) == COUNT);
  kp_metrics_t *metrics = NULL;
  kp_metrics_t *untouched = NULL;
  WORKS(kp_producer_metrics(producer, NULL, 60, &metrics));
  all_are_stored(metrics);
  kp_metrics_free(metrics);
  WORKS(kp_producer_metrics(producer, NULL, 1, &metrics));
  kp_metrics_free(metrics);
  const uint32_t wrong[] = {61, UINT32_MAX};
  for (int i = 0; i < 2; i++) FAILS(kp_producer_metrics(producer, NULL, wrong[i], &untouched), KP_ERR_INVALID_WINDOW);
  kp_error_t *error = kp_producer_metrics(producer, "RecordsPut", 0, &untouched);
  IS(kp_error_code(error), KP_ERR_UNKNOWN_METRIC);
  CHECK(strstr(kp_error_message(error), "RecordsPut") != NULL && strstr(kp_error_message(error), "UserRecordsPut") != NULL);
  kp_error_free(error);
  FAILS(kp_producer_metrics(producer, "", 0, &untouched), KP_ERR_UNKNOWN_METRIC);
  FAILS(kp_producer_metrics(producer, "\xff", 0, &untouched), KP_ERR_INVALID_ARGUMENT);
  CHECK(untouched == NULL);
  // Also when it is closed.
  WORKS(kp_producer_close(producer, 10000, NULL));
  WORKS(kp_producer_metrics(producer, "UserRecordsPut", 0, &metrics));
  all_are_stored(metrics);
  kp_metrics_free(metrics);
  IS(kp_producer_free(producer), KP_OK);
}

static void looks_like_statistics(const kp_statistics_t *statistics) {
  const char *json = kp_statistics_json(statistics);
  CHECK(json != NULL && strlen(json) == kp_statistics_len(statistics));
  CHECK(json[0] == '{' && json[kp_statistics_len(statistics) - 1] == '}' && strchr(json, '\n') == NULL);
  CHECK(strstr(json, "\"findings\":[") != NULL && strstr(json, "\"streams\":{") != NULL);
}

static void statistics(const kp_local_t *service) {
  kp_producer_t *producer = start_producer(settings(service, "record_max_buffered_time = 10 ms"));
  kp_stream_t *stream = open_stream(producer, "s");
  kp_user_record_t record = user_record("k", "data");
  for (uint64_t n = 0; n < COUNT; n++) IS(kp_stream_put(stream, &record, n, 1000), KP_OK);
  CHECK(take_reports(producer, COUNT, NULL) == COUNT);
  kp_statistics_t *look = NULL;
  WORKS(kp_producer_statistics(producer, &look));
  IS(kp_producer_free(producer), KP_OK);
  // They do not need their producer.
  looks_like_statistics(look);
  CHECK(strstr(kp_statistics_json(look), "\"s\":{") != NULL);
  CHECK(strstr(kp_statistics_json(look), "\"user_records_stored\":20,") != NULL);
  kp_statistics_free(look);
}

// Whoever starts a producer holds the lock until it has written down what the callback uses.
static void wait_until_ready(state_t *state) {
  CHECK(pthread_mutex_lock(&state->lock) == 0);
  CHECK(pthread_mutex_unlock(&state->lock) == 0);
}

// Tries what may be done here and what may not.
static void on_statistics(void *user_data, const kp_statistics_t *statistics) {
  state_t *state = user_data;
  wait_until_ready(state);
  CHECK(state->finalized == 0);
  looks_like_statistics(statistics);
  FAILS(kp_producer_flush(state->producer, 1000), KP_ERR_WRONG_THREAD);
  size_t aborted = 7;
  FAILS(kp_producer_close(state->producer, 1000, &aborted), KP_ERR_WRONG_THREAD);
  CHECK(aborted == 7);
  IS(kp_producer_free(state->producer), KP_ERR_WRONG_THREAD);
  kp_statistics_t *another = NULL;
  WORKS(kp_producer_statistics(state->producer, &another));
  looks_like_statistics(another);
  kp_statistics_free(another);
  kp_metrics_t *metrics = NULL;
  WORKS(kp_producer_metrics(state->producer, NULL, 10, &metrics));
  kp_metrics_free(metrics);
  if (state->calls == 0) {
    kp_user_record_t record = user_record("k", "from the callback");
    IS(kp_stream_put(state->stream, &record, 0, 1000), KP_OK);
  }
  add(state, &state->calls, 1);
}

static void by_callback(const kp_local_t *service) {
  state_t state;
  begin(&state);
  kp_config_t *config = settings(service, "record_max_buffered_time = 10 ms\nstatistics_interval = 5 ms");
  WORKS(kp_config_set_statistics_callback(config, on_statistics, &state, finalize));
  CHECK(pthread_mutex_lock(&state.lock) == 0);
  state.producer = start_producer(config);
  state.stream = open_stream(state.producer, "s");
  CHECK(pthread_mutex_unlock(&state.lock) == 0);
  wait_at_least(&state, &state.calls, 3);
  CHECK(take_reports(state.producer, 1, NULL) == 1);
  IS(kp_producer_free(state.producer), KP_OK);
  CHECK(state.finalized == 1);
}

// Waits for room that never comes.
static void put_for_ever(void *user_data, const kp_statistics_t *statistics) {
  state_t *state = user_data;
  (void)statistics;
  wait_until_ready(state);
  add(state, &state->calls, 1);
  kp_user_record_t record = user_record("k", "v");
  int32_t status = KP_OK;
  while (status == KP_OK || status == KP_ERR_TIMED_OUT || status == KP_ERR_QUEUE_FULL) {
    status = kp_stream_put(state->stream, &record, 0, 10);
  }
  IS(status, KP_ERR_CLOSED);
  IS(kp_producer_outstanding(state->producer, NULL, NULL, NULL), KP_OK);
  add(state, &state->lines, 1);
}

static void freed_during_a_call(void) {
  state_t state;
  begin(&state);
  kp_config_t *config = settings(NULL, "record_ttl = 1 h\nmax_outstanding_records = 4\nstatistics_interval = 5 ms");
  WORKS(kp_config_set_statistics_callback(config, put_for_ever, &state, finalize));
  CHECK(pthread_mutex_lock(&state.lock) == 0);
  state.producer = start_producer(config);
  state.stream = open_stream(state.producer, "s");
  CHECK(pthread_mutex_unlock(&state.lock) == 0);
  wait_at_least(&state, &state.calls, 1);
  IS(kp_producer_free(state.producer), KP_OK);
  CHECK(state.finalized == 1 && state.calls == 1 && state.lines == 1);
}

static void abort_here(void *user_data, const kp_statistics_t *statistics) {
  state_t *state = user_data;
  size_t aborted = 7;
  (void)statistics;
  wait_until_ready(state);
  WORKS(kp_producer_abort(state->producer, &aborted));
  CHECK(aborted == 1);
  add(state, &state->calls, 1);
}

static void aborted_in_the_callback(void) {
  state_t state;
  begin(&state);
  kp_config_t *config = settings(NULL, "record_ttl = 1 h\nstatistics_interval = 5 ms");
  WORKS(kp_config_set_statistics_callback(config, abort_here, &state, finalize));
  CHECK(pthread_mutex_lock(&state.lock) == 0);
  state.producer = start_producer(config);
  kp_user_record_t record = user_record("k", "v");
  IS(kp_stream_put(open_stream(state.producer, "s"), &record, 0, 1000), KP_OK);
  CHECK(pthread_mutex_unlock(&state.lock) == 0);
  wait_for(&state, &state.calls, 1);
  IS(kp_producer_free(state.producer), KP_OK);
  CHECK(state.calls == 1 && state.finalized == 1);
}

static void count_calls(void *user_data, const kp_statistics_t *statistics) {
  state_t *state = user_data;
  (void)statistics;
  add(state, &state->calls, 1);
}

// A callback that was never used: replaced, freed with its settings, or taken by a producer that does not start.
static void finalizers_of_settings(const kp_local_t *service) {
  state_t state;
  begin(&state);
  kp_config_t *config = kp_config_new();
  WORKS(kp_config_set_statistics_callback(config, count_calls, &state, finalize));
  WORKS(kp_config_set_statistics_callback(config, count_calls, &state, finalize));
  CHECK(state.finalized == 1);
  kp_config_free(config);
  CHECK(state.finalized == 2);
  // Nobody said how often.
  config = settings(service, "");
  WORKS(kp_config_set_statistics_callback(config, count_calls, &state, finalize));
  kp_producer_t *producer = NULL;
  kp_error_t *error = kp_producer_new(config, &producer);
  IS(kp_error_code(error), KP_ERR_INVALID_CONFIG);
  CHECK(strstr(kp_error_message(error), "statistics_interval") != NULL);
  kp_error_free(error);
  wait_for(&state, &state.finalized, 3);
  // Freed before its time has come.
  config = settings(service, "statistics_interval = 1 h");
  WORKS(kp_config_set_statistics_callback(config, count_calls, &state, finalize));
  IS(kp_producer_free(start_producer(config)), KP_OK);
  CHECK(state.finalized == 4 && state.calls == 0);
}

int main(void) {
  kp_local_t *service = start_service();
  values(service);
  windows_and_names(service);
  statistics(service);
  by_callback(service);
  freed_during_a_call();
  aborted_in_the_callback();
  finalizers_of_settings(service);
  kp_local_free(service);
  return 0;
}
