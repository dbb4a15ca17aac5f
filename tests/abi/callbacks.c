// Callbacks: what they may call, and their finalizers, each called exactly once.

#include "state.h"

enum { COUNT = 20 };

// Tries what must not be done here, and puts one more for the first report.
static void on_reports(void *user_data, const kp_reports_t *reports) {
  state_t *state = user_data;
  FAILS(kp_producer_flush(state->producer, 1000), KP_ERR_WRONG_THREAD);
  size_t aborted = 7;
  FAILS(kp_producer_close(state->producer, 1000, &aborted), KP_ERR_WRONG_THREAD);
  CHECK(aborted == 7);
  IS(kp_producer_free(state->producer), KP_ERR_WRONG_THREAD);
  size_t records = 0;
  IS(kp_producer_outstanding(state->producer, &records, NULL, NULL), KP_OK);
  CHECK(records >= kp_reports_len(reports));  // they count until this returns
  int stored = 0;
  for (size_t row = 0; row < kp_reports_len(reports); row++) {
    stored += kp_reports_statuses(reports)[row] == KP_REPORT_STORED;
    CHECK(kp_reports_shard_id(reports, row) != NULL);
    if (kp_reports_opaques(reports)[row] == 0) {
      kp_user_record_t record = user_record("k", "from the callback");
      IS(kp_stream_try_put(state->stream, &record, 1000), KP_OK);
    }
  }
  add(state, &state->stored, stored);
  add(state, &state->reports, (int)kp_reports_len(reports));
}

static void reports_by_callback(const kp_local_t *service) {
  state_t state;
  begin(&state);
  kp_config_t *config = settings(service, "record_max_buffered_time = 10 ms");
  WORKS(kp_config_set_report_callback(config, on_reports, &state, finalize));
  CHECK(pthread_mutex_lock(&state.lock) == 0);
  state.producer = start_producer(config);
  state.stream = open_stream(state.producer, "s");
  CHECK(pthread_mutex_unlock(&state.lock) == 0);
  kp_user_record_t record = user_record("k", "v");
  for (uint64_t n = 0; n < COUNT; n++) IS(kp_stream_put(state.stream, &record, n, 1000), KP_OK);
  wait_for(&state, &state.reports, COUNT + 1);
  CHECK(state.finalized == 0);
  WORKS(kp_producer_close(state.producer, 10000, NULL));
  IS(kp_producer_free(state.producer), KP_OK);
  CHECK(state.finalized == 1);
  CHECK(state.stored == COUNT + 1);
}

static void count_reports(void *user_data, const kp_reports_t *reports) {
  state_t *state = user_data;
  add(state, &state->reports, (int)kp_reports_len(reports));
}

// What the callback is to have cannot be taken from it, not even before its thread runs.
static void the_queue_is_the_callbacks(const kp_local_t *service) {
  state_t state;
  begin(&state);
  kp_config_t *config = settings(service, "record_max_buffered_time = 0");
  WORKS(kp_config_set_report_callback(config, count_reports, &state, finalize));
  kp_producer_t *producer = start_producer(config);
  int32_t fd = 7;
  FAILS(kp_producer_reports_fd(producer, &fd), KP_ERR_WRONG_REPORT_MODE);
  CHECK(fd == 7);
  kp_stream_t *stream = open_stream(producer, "s");
  kp_user_record_t record = user_record("k", "v");
  for (uint64_t n = 0; n < COUNT; n++) IS(kp_stream_put(stream, &record, n, 1000), KP_OK);
  CHECK(kp_producer_poll_reports(producer, 10, 1000) == NULL);
  IS(kp_producer_free(producer), KP_OK);
  CHECK(state.reports == COUNT);
}

// Freed without close: everything is reported first.
static void freed_with_user_records(void) {
  state_t state;
  begin(&state);
  kp_config_t *config = settings(NULL, "record_ttl = 1 h");
  WORKS(kp_config_set_report_callback(config, count_reports, &state, finalize));
  kp_producer_t *producer = start_producer(config);
  kp_stream_t *stream = open_stream(producer, "s");
  kp_user_record_t record = user_record("k", "v");
  for (uint64_t n = 0; n < COUNT; n++) IS(kp_stream_put(stream, &record, n, 1000), KP_OK);
  IS(kp_producer_free(producer), KP_OK);
  CHECK(state.reports == COUNT);
  CHECK(state.finalized == 1);
}

// Puts what failed once more, as applications do.
static void put_again(void *user_data, const kp_reports_t *reports) {
  state_t *state = user_data;
  kp_user_record_t record = user_record("k", "again");
  for (size_t row = 0; row < kp_reports_len(reports); row++) {
    IS(kp_reports_statuses(reports)[row], KP_REPORT_ABORTED);
    IS(kp_stream_put(state->stream, &record, 0, 1000), KP_ERR_CLOSED);
  }
  IS(kp_producer_outstanding(state->producer, NULL, NULL, NULL), KP_OK);
  IS(kp_producer_free(state->producer), KP_ERR_WRONG_THREAD);
  add(state, &state->reports, (int)kp_reports_len(reports));
}

static void used_while_it_is_freed(void) {
  state_t state;
  begin(&state);
  kp_config_t *config = settings(NULL, "record_ttl = 1 h");
  WORKS(kp_config_set_report_callback(config, put_again, &state, finalize));
  state.producer = start_producer(config);
  state.stream = open_stream(state.producer, "s");
  kp_user_record_t record = user_record("k", "v");
  for (uint64_t n = 0; n < COUNT; n++) IS(kp_stream_put(state.stream, &record, n, 1000), KP_OK);
  IS(kp_producer_free(state.producer), KP_OK);
  CHECK(state.reports == COUNT);
  CHECK(state.finalized == 1);
}

static void abort_here(void *user_data, const kp_reports_t *reports) {
  state_t *state = user_data;
  size_t aborted = 0;
  WORKS(kp_producer_abort(state->producer, &aborted));
  add(state, &state->reports, (int)kp_reports_len(reports));
}

static void aborted_in_the_callback(const kp_local_t *service) {
  state_t state;
  begin(&state);
  kp_config_t *config = settings(service, "record_max_buffered_time = 0");
  WORKS(kp_config_set_report_callback(config, abort_here, &state, finalize));
  kp_producer_t *producer = start_producer(config);
  state.producer = producer;
  kp_user_record_t record = user_record("k", "v");
  IS(kp_stream_put(open_stream(producer, "s"), &record, 0, 1000), KP_OK);
  wait_for(&state, &state.reports, 1);
  IS(kp_producer_free(producer), KP_OK);
  wait_for(&state, &state.finalized, 1);
}

// A callback that was never used: replaced, freed with its settings, or taken by a producer that does not start.
static void finalizers_of_settings(void) {
  state_t state;
  begin(&state);
  kp_config_t *config = kp_config_new();
  WORKS(kp_config_set_report_callback(config, count_reports, &state, finalize));
  WORKS(kp_config_set_report_callback(config, count_reports, &state, finalize));
  CHECK(state.finalized == 1);
  kp_config_free(config);
  CHECK(state.finalized == 2);
  config = settings(NULL, "");
  WORKS(kp_config_set(config, "max_outstanding_bytes", "1000"));  // less than a user record: no producer starts with it
  WORKS(kp_config_set_report_callback(config, count_reports, &state, finalize));
  kp_producer_t *producer = NULL;
  FAILS(kp_producer_new(config, &producer), KP_ERR_INVALID_CONFIG);
  wait_for(&state, &state.finalized, 3);
}

static int32_t find_credentials(void *user_data, kp_credentials_t *credentials) {
  state_t *state = user_data;
  add(state, &state->calls, 1);
  WORKS(kp_credentials_set(credentials, "id", "secret", "token", 4102444800000));
  return 0;
}

static int32_t find_nothing(void *user_data, kp_credentials_t *credentials) {
  state_t *state = user_data;
  (void)credentials;
  add(state, &state->calls, 1);
  return 17;
}

static void credentials(const kp_local_t *service) {
  state_t state;
  begin(&state);
  kp_config_t *config = settings(service, "");
  WORKS(kp_config_set_credentials_callback(config, find_credentials, &state, finalize));
  kp_producer_t *producer = start_producer(config);
  kp_user_record_t record = user_record("k", "v");
  IS(kp_stream_put(open_stream(producer, "s"), &record, 0, 1000), KP_OK);
  CHECK(take_reports(producer, 1, NULL) == 1);
  IS(kp_producer_free(producer), KP_OK);
  CHECK(state.calls >= 1);
  wait_for(&state, &state.finalized, 1);

  begin(&state);
  config = settings(service, "");
  WORKS(kp_config_set_credentials_callback(config, find_nothing, &state, finalize));
  producer = NULL;
  kp_error_t *error = kp_producer_new(config, &producer);
  IS(kp_error_code(error), KP_ERR_NO_CREDENTIALS);
  CHECK(strstr(kp_error_message(error), "17") != NULL);
  kp_error_free(error);
  CHECK(producer == NULL && state.calls >= 1);
  wait_for(&state, &state.finalized, 1);
}

static void on_line(void *user_data, int32_t level, const char *line) {
  state_t *state = user_data;
  CHECK(level >= KP_LOG_ERROR && level <= KP_LOG_DEBUG);
  CHECK(strlen(line) > 0);
  if (getenv("ABI_VERBOSE") != NULL) printf("%d %s\n", (int)level, line);
  add(state, &state->lines, 1);
}

static void lines(const kp_local_t *service) {
  state_t state;
  begin(&state);
  FAILS(kp_log_set_callback(on_line, 0, &state, finalize), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_log_set_callback(on_line, 5, &state, finalize), KP_ERR_INVALID_ARGUMENT);
  CHECK(state.finalized == 2);
  WORKS(kp_log_set_callback(on_line, KP_LOG_DEBUG, &state, finalize));
  kp_producer_t *producer = start_producer(settings(service, ""));
  kp_user_record_t record = user_record("k", "v");
  IS(kp_stream_put(open_stream(producer, "s"), &record, 0, 1000), KP_OK);
  CHECK(take_reports(producer, 1, NULL) == 1);
  IS(kp_producer_free(producer), KP_OK);
  CHECK(state.lines > 0);
  // Another takes its place.
  WORKS(kp_log_set_callback(on_line, KP_LOG_ERROR, &state, finalize));
  wait_for(&state, &state.finalized, 3);
  WORKS(kp_log_set_callback(NULL, KP_LOG_ERROR, NULL, NULL));
  wait_for(&state, &state.finalized, 4);
}

int main(void) {
  kp_local_t *service = start_service();
  lines(service);
  reports_by_callback(service);
  freed_with_user_records();
  used_while_it_is_freed();
  aborted_in_the_callback(service);
  finalizers_of_settings();
  credentials(service);
  the_queue_is_the_callbacks(service);
  kp_local_free(service);
  return 0;
}
