// NULL in every pointer argument of every function: nothing crashes, every function says what its documentation says.

#include "abi.h"

static void on_reports(void *user_data, const kp_reports_t *reports) {
  (void)user_data;
  (void)reports;
}

static void on_statistics(void *user_data, const kp_statistics_t *statistics) {
  (void)user_data;
  (void)statistics;
}

static int32_t find_credentials(void *user_data, kp_credentials_t *credentials) {
  (void)user_data;
  FAILS(kp_credentials_set(NULL, "id", "secret", NULL, 0), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_credentials_set(credentials, NULL, "secret", NULL, 0), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_credentials_set(credentials, "id", NULL, NULL, 0), KP_ERR_INVALID_ARGUMENT);
  WORKS(kp_credentials_set(credentials, "id", "secret", NULL, 0));
  return 0;
}

static int finalized;

static void count_finalizer(void *user_data) {
  CHECK(user_data == NULL || user_data == &finalized);
  finalized++;
}

static void config(const kp_local_t *service) {
  kp_config_t *config = kp_config_new();
  FAILS(kp_config_set(NULL, "region", "r"), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_config_set(config, NULL, "r"), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_config_set(config, "region", NULL), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_config_load_text(NULL, ""), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_config_load_text(config, NULL), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_config_load_properties_file(NULL, "f"), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_config_load_properties_file(config, NULL), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_config_check(NULL), KP_ERR_INVALID_ARGUMENT);

  // A finalizer is called also for what is refused.
  FAILS(kp_config_set_report_callback(NULL, on_reports, &finalized, count_finalizer), KP_ERR_INVALID_ARGUMENT);
  CHECK(finalized == 1);
  FAILS(kp_config_set_report_callback(config, NULL, &finalized, count_finalizer), KP_ERR_INVALID_ARGUMENT);
  CHECK(finalized == 2);
  FAILS(kp_config_set_credentials_callback(NULL, find_credentials, &finalized, count_finalizer), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_config_set_credentials_callback(config, NULL, &finalized, count_finalizer), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_config_set_statistics_callback(NULL, on_statistics, &finalized, count_finalizer), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_config_set_statistics_callback(config, NULL, &finalized, count_finalizer), KP_ERR_INVALID_ARGUMENT);
  CHECK(finalized == 6);
  WORKS(kp_config_set_report_callback(config, on_reports, NULL, NULL));
  WORKS(kp_config_set_credentials_callback(config, find_credentials, NULL, NULL));
  WORKS(kp_config_set_statistics_callback(config, on_statistics, NULL, NULL));
  WORKS(kp_log_set_callback(NULL, KP_LOG_INFO, &finalized, count_finalizer));
  CHECK(finalized == 7);

  FAILS(kp_producer_new(NULL, NULL), KP_ERR_INVALID_ARGUMENT);
  kp_producer_t *untouched = NULL;
  FAILS(kp_producer_new(NULL, &untouched), KP_ERR_INVALID_ARGUMENT);
  CHECK(untouched == NULL);
  // Takes the settings all the same.
  FAILS(kp_producer_new(config, NULL), KP_ERR_INVALID_ARGUMENT);
  kp_config_free(NULL);

  kp_config_t *good = settings(service, "");
  WORKS(kp_config_set_credentials_callback(good, find_credentials, NULL, NULL));
  kp_config_free(good);
}

static void producer(const kp_producer_t *producer, const kp_stream_t *living) {
  kp_stream_t *stream = NULL;
  FAILS(kp_producer_stream(NULL, "s", &stream), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_producer_stream(producer, NULL, &stream), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_producer_stream(producer, "s", NULL), KP_ERR_INVALID_ARGUMENT);
  CHECK(stream == NULL);
  CHECK(kp_producer_poll_reports(NULL, 1, 0) == NULL);
  int32_t fd = -7;
  FAILS(kp_producer_reports_fd(NULL, &fd), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_producer_reports_fd(producer, NULL), KP_ERR_INVALID_ARGUMENT);
  CHECK(fd == -7);
  FAILS(kp_producer_flush(NULL, 0), KP_ERR_INVALID_ARGUMENT);
  size_t aborted = 7;
  FAILS(kp_producer_close(NULL, 0, &aborted), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_producer_abort(NULL, &aborted), KP_ERR_INVALID_ARGUMENT);
  IS(kp_producer_outstanding(NULL, &aborted, &aborted, NULL), KP_ERR_INVALID_ARGUMENT);
  CHECK(aborted == 7);
  IS(kp_producer_outstanding(producer, NULL, NULL, NULL), KP_OK);
  kp_counters_t counters = {0};
  IS(kp_producer_counters(producer, &counters), KP_ERR_INVALID_ARGUMENT);  // without its size
  counters.struct_size = sizeof counters;
  IS(kp_producer_counters(NULL, &counters), KP_ERR_INVALID_ARGUMENT);
  IS(kp_producer_counters(producer, NULL), KP_ERR_INVALID_ARGUMENT);
  IS(kp_producer_free(NULL), KP_OK);

  kp_user_record_t record = user_record("k", "v");
  IS(kp_stream_put(NULL, &record, 0, 0), KP_ERR_INVALID_ARGUMENT);
  IS(kp_stream_put(living, NULL, 0, 0), KP_ERR_INVALID_ARGUMENT);
  IS(kp_stream_try_put(NULL, &record, 0), KP_ERR_INVALID_ARGUMENT);
  IS(kp_stream_try_put(living, NULL, 0), KP_ERR_INVALID_ARGUMENT);
  kp_user_record_t hollow = record;
  hollow.partition_key = NULL;
  IS(kp_stream_try_put(living, &hollow, 0), KP_ERR_INVALID_ARGUMENT);
  hollow.partition_key_len = 0;
  IS(kp_stream_try_put(living, &hollow, 0), KP_ERR_INVALID_PARTITION_KEY);
  hollow = record;
  hollow.data = NULL;
  IS(kp_stream_try_put(living, &hollow, 0), KP_ERR_INVALID_ARGUMENT);

  size_t accepted = 7;
  IS(kp_stream_put_many(NULL, &record, 1, NULL, 0, &accepted), KP_ERR_INVALID_ARGUMENT);
  CHECK(accepted == 0);
  accepted = 7;
  IS(kp_stream_put_many(living, NULL, 1, NULL, 0, &accepted), KP_ERR_INVALID_ARGUMENT);
  CHECK(accepted == 0);
  IS(kp_stream_put_many(living, &record, 1, NULL, 0, NULL), KP_ERR_INVALID_ARGUMENT);
  IS(kp_stream_put_many(living, NULL, 0, NULL, 0, &accepted), KP_OK);

  const uint32_t one = 1;
  const uint8_t data = 'v';
  accepted = 7;
  IS(kp_stream_put_columns(NULL, 1, "k", &one, &data, &one, NULL, NULL, NULL, 0, &accepted), KP_ERR_INVALID_ARGUMENT);
  CHECK(accepted == 0);
  IS(kp_stream_put_columns(living, 1, NULL, &one, &data, &one, NULL, NULL, NULL, 0, &accepted), KP_ERR_INVALID_ARGUMENT);
  IS(kp_stream_put_columns(living, 1, "k", NULL, &data, &one, NULL, NULL, NULL, 0, &accepted), KP_ERR_INVALID_ARGUMENT);
  IS(kp_stream_put_columns(living, 1, "k", &one, NULL, &one, NULL, NULL, NULL, 0, &accepted), KP_ERR_INVALID_ARGUMENT);
  IS(kp_stream_put_columns(living, 1, "k", &one, &data, NULL, NULL, NULL, NULL, 0, &accepted), KP_ERR_INVALID_ARGUMENT);
  IS(kp_stream_put_columns(living, 1, "k", &one, &data, &one, NULL, &one, NULL, 0, &accepted), KP_ERR_INVALID_ARGUMENT);
  IS(kp_stream_put_columns(living, 1, "k", &one, &data, &one, NULL, NULL, NULL, 0, NULL), KP_ERR_INVALID_ARGUMENT);
  IS(kp_stream_put_columns(living, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, &accepted), KP_OK);
}

static void reports(const kp_reports_t *some) {
  kp_attempt_t attempt = {0};
  attempt.struct_size = sizeof attempt;
  kp_user_record_t record = user_record(NULL, NULL);
  // NULL, and a row behind the end.
  const kp_reports_t *both[] = {NULL, some};
  for (int i = 0; i < 2; i++) {
    size_t row = i == 0 ? 0 : kp_reports_len(some);
    CHECK(kp_reports_stored(both[i], row) == KP_STORED_NO);
    CHECK(kp_reports_error_code(both[i], row) == NULL);
    CHECK(kp_reports_error_message(both[i], row) == NULL);
    CHECK(kp_reports_shard_id(both[i], row) == NULL);
    CHECK(kp_reports_sequence_number(both[i], row) == NULL);
    CHECK(kp_reports_sub_sequence_number(both[i], row) == -1);
    CHECK(kp_reports_latency_us(both[i], row) == 0);
    CHECK(kp_reports_attempts_total(both[i], row) == 0);
    CHECK(kp_reports_attempts_len(both[i], row) == 0);
    IS(kp_reports_attempt(both[i], row, 0, &attempt), KP_ERR_INVALID_ARGUMENT);
    IS(kp_reports_user_record(both[i], row, &record), KP_ERR_INVALID_ARGUMENT);
  }
  CHECK(kp_reports_len(NULL) == 0);
  CHECK(kp_reports_opaques(NULL) == NULL);
  CHECK(kp_reports_statuses(NULL) == NULL);
  IS(kp_reports_attempt(some, 0, 0, NULL), KP_ERR_INVALID_ARGUMENT);
  IS(kp_reports_attempt(some, 0, 1000, &attempt), KP_ERR_INVALID_ARGUMENT);
  IS(kp_reports_user_record(some, 0, NULL), KP_ERR_INVALID_ARGUMENT);
  kp_reports_free(NULL);
}

static void measured(const kp_producer_t *producer) {
  kp_metrics_t *metrics = NULL;
  FAILS(kp_producer_metrics(NULL, NULL, 0, &metrics), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_producer_metrics(producer, NULL, 0, NULL), KP_ERR_INVALID_ARGUMENT);
  CHECK(metrics == NULL);
  WORKS(kp_producer_metrics(producer, NULL, 0, &metrics));
  CHECK(kp_metrics_len(metrics) > 0 && kp_metrics_len(NULL) == 0);
  // NULL, and a row behind the end.
  const kp_metrics_t *both[] = {NULL, metrics};
  for (int i = 0; i < 2; i++) {
    size_t row = i == 0 ? 0 : kp_metrics_len(metrics);
    CHECK(kp_metrics_name(both[i], row) == NULL && kp_metrics_unit(both[i], row) == NULL);
    CHECK(kp_metrics_stream(both[i], row) == NULL && kp_metrics_shard(both[i], row) == NULL);
    CHECK(kp_metrics_error_code(both[i], row) == NULL && kp_metrics_count(both[i], row) == 0);
    CHECK(kp_metrics_sum(both[i], row) == 0 && kp_metrics_mean(both[i], row) == 0);
    CHECK(kp_metrics_min(both[i], row) == 0 && kp_metrics_max(both[i], row) == 0);
  }
  kp_metrics_free(metrics);
  kp_metrics_free(NULL);

  kp_statistics_t *statistics = NULL;
  FAILS(kp_producer_statistics(NULL, &statistics), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_producer_statistics(producer, NULL), KP_ERR_INVALID_ARGUMENT);
  CHECK(statistics == NULL);
  CHECK(kp_statistics_json(NULL) == NULL && kp_statistics_len(NULL) == 0);
  kp_statistics_free(NULL);
}

static void consumer(const kp_local_t *service) {
  const uint8_t data = 'v';
  kp_deaggregated_t *records = NULL;
  FAILS(kp_deaggregate(NULL, 1, NULL, &data, 1, &records), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_deaggregate("k", 1, NULL, NULL, 1, &records), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_deaggregate("k", 1, NULL, &data, 1, NULL), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_try_deaggregate(NULL, 1, &records), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_try_deaggregate(&data, 1, NULL), KP_ERR_INVALID_ARGUMENT);
  CHECK(records == NULL);
  CHECK(kp_deaggregated_len(NULL) == 0);
  kp_deaggregated_record_t record = {0};
  record.struct_size = sizeof record;
  IS(kp_deaggregated_record(NULL, 0, &record), KP_ERR_INVALID_ARGUMENT);
  WORKS(kp_deaggregate("k", 1, NULL, NULL, 0, &records));
  IS(kp_deaggregated_record(records, 0, NULL), KP_ERR_INVALID_ARGUMENT);
  IS(kp_deaggregated_record(records, 1, &record), KP_ERR_INVALID_ARGUMENT);
  kp_deaggregated_free(records);
  kp_deaggregated_free(NULL);

  kp_config_t *config = kp_config_new();
  FAILS(kp_local_start(NULL), KP_ERR_INVALID_ARGUMENT);
  CHECK(kp_local_endpoint_url(NULL) == NULL);
  FAILS(kp_local_configure(NULL, config), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_local_configure(service, NULL), KP_ERR_INVALID_ARGUMENT);
  kp_config_free(config);
  FAILS(kp_local_create_stream(NULL, "n", 1), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_local_create_stream(service, NULL, 1), KP_ERR_INVALID_ARGUMENT);
  kp_stored_records_t *stored = NULL;
  FAILS(kp_local_read_stream(NULL, "s", &stored), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_local_read_stream(service, NULL, &stored), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_local_read_stream(service, "s", NULL), KP_ERR_INVALID_ARGUMENT);
  CHECK(stored == NULL);
  CHECK(kp_stored_records_len(NULL) == 0);
  kp_stored_record_t row = {0};
  row.struct_size = sizeof row;
  IS(kp_stored_records_get(NULL, 0, &row), KP_ERR_INVALID_ARGUMENT);
  WORKS(kp_local_read_stream(service, "s", &stored));
  IS(kp_stored_records_get(stored, 0, NULL), KP_ERR_INVALID_ARGUMENT);
  kp_stored_records_free(stored);
  kp_stored_records_free(NULL);
  kp_local_free(NULL);
}

int main(void) {
  IS(kp_error_code(NULL), KP_OK);
  CHECK(strcmp(kp_error_name(NULL), "Ok") == 0);
  CHECK(strcmp(kp_error_message(NULL), "") == 0);
  kp_error_free(NULL);

  kp_local_t *service = start_service();
  config(service);
  // Its callback tries the arguments of kp_credentials_set.
  kp_config_t *with_callback = settings(service, "");
  WORKS(kp_config_set_credentials_callback(with_callback, find_credentials, NULL, NULL));
  kp_producer_t *living = start_producer(with_callback);
  kp_stream_t *stream = open_stream(living, "s");
  producer(living, stream);
  kp_user_record_t record = user_record("k", "v");
  IS(kp_stream_put(stream, &record, 1, 1000), KP_OK);
  CHECK(take_reports(living, 1, reports) == 1);
  measured(living);
  consumer(service);
  WORKS(kp_producer_close(living, 10000, NULL));
  WORKS(kp_producer_abort(living, NULL));
  IS(kp_producer_free(living), KP_OK);
  kp_local_free(service);
  return 0;
}
