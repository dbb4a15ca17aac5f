// What works: every accessor of reports, of failed ones too, and the user records as consumers read them.

#include "abi.h"

enum { COUNT = 50 };

static unsigned char seen[COUNT];

static void look_at_stored(const kp_reports_t *reports) {
  for (size_t row = 0; row < kp_reports_len(reports); row++) {
    uint64_t opaque = kp_reports_opaques(reports)[row];
    CHECK(opaque < COUNT);
    CHECK(seen[opaque]++ == 0);
    IS(kp_reports_statuses(reports)[row], KP_REPORT_STORED);
    CHECK(kp_reports_stored(reports, row) == KP_STORED_YES);
    CHECK(kp_reports_error_code(reports, row) == NULL);
    CHECK(kp_reports_error_message(reports, row) == NULL);
    const char *shard_id = kp_reports_shard_id(reports, row);
    CHECK(strncmp(shard_id, "shardId-", 8) == 0);
    CHECK(kp_reports_shard_id(reports, row) == shard_id);  // the same text is kept once
    CHECK(strlen(kp_reports_sequence_number(reports, row)) > 10);
    CHECK(kp_reports_sub_sequence_number(reports, row) >= 0);
    CHECK(kp_reports_latency_us(reports, row) > 0);
    CHECK(kp_reports_attempts_total(reports, row) == 1);
    CHECK(kp_reports_attempts_len(reports, row) == 1);
    kp_attempt_t attempt = {0};
    attempt.struct_size = sizeof attempt;
    IS(kp_reports_attempt(reports, row, 0, &attempt), KP_OK);
    CHECK(attempt.duration_us > 0 && attempt.error_code == NULL && attempt.error_message == NULL);
    CHECK(attempt.delay_us + attempt.duration_us <= kp_reports_latency_us(reports, row) + 2);
    IS(kp_reports_attempt(reports, row, 1, &attempt), KP_ERR_INVALID_ARGUMENT);
    kp_user_record_t record = user_record(NULL, NULL);
    IS(kp_reports_user_record(reports, row, &record), KP_ERR_INVALID_ARGUMENT);
  }
}

// Puts "key-N" "data-N"; every fifth with a hash key of its own.
static void put_all(const kp_stream_t *stream) {
  for (uint64_t n = 0; n < COUNT; n++) {
    char key[16], data[16], hash_key[16];
    snprintf(key, sizeof key, "key-%" PRIu64, n);
    snprintf(data, sizeof data, "data-%" PRIu64, n);
    snprintf(hash_key, sizeof hash_key, "%" PRIu64, n);
    kp_user_record_t record = user_record(key, data);
    if (n % 5 == 0) {
      record.explicit_hash_key = hash_key;
      record.explicit_hash_key_len = strlen(hash_key);
    }
    IS(kp_stream_put(stream, &record, n, 1000), KP_OK);
  }
}

static void read_back(const kp_local_t *service) {
  kp_stored_records_t *stored = NULL;
  WORKS(kp_local_read_stream(service, "s", &stored));
  CHECK(kp_stored_records_len(stored) >= 2);
  unsigned char found[COUNT] = {0};
  for (size_t i = 0; i < kp_stored_records_len(stored); i++) {
    kp_stored_record_t record = {0};
    record.struct_size = sizeof record;
    IS(kp_stored_records_get(stored, i, &record), KP_OK);
    CHECK(strncmp(record.shard_id, "shardId-", 8) == 0 && strlen(record.sequence_number) > 10);
    kp_deaggregated_t *strict = NULL, *lenient = NULL;
    WORKS(kp_try_deaggregate(record.data, record.data_len, &strict));
    WORKS(kp_deaggregate(record.partition_key, strlen(record.partition_key), NULL, record.data, record.data_len, &lenient));
    size_t len = kp_deaggregated_len(strict);
    CHECK(len == kp_deaggregated_len(lenient));
    for (size_t row = 0; row < len; row++) {
      kp_deaggregated_record_t one = {0}, other = {0};
      one.struct_size = other.struct_size = sizeof one;
      IS(kp_deaggregated_record(strict, row, &one), KP_OK);
      IS(kp_deaggregated_record(lenient, row, &other), KP_OK);
      CHECK(one.data == other.data && one.data_len == other.data_len);
      CHECK(one.data > record.data && one.data + one.data_len <= record.data + record.data_len);
      CHECK(one.aggregated == 1 && one.sub_sequence_number == row);
      char text[16] = {0};
      CHECK(one.data_len < sizeof text);
      memcpy(text, one.data, one.data_len);
      unsigned n = (unsigned)strtoul(text + 5, NULL, 10);
      CHECK(strncmp(text, "data-", 5) == 0 && n < COUNT);
      CHECK(found[n]++ == 0);
      CHECK(one.partition_key_len == one.data_len - 1 && memcmp(one.partition_key, "key-", 4) == 0);
      CHECK((one.explicit_hash_key != NULL) == (n % 5 == 0));
      if (n % 5 == 0) CHECK(strcmp(one.explicit_hash_key, text + 5) == 0);
    }
    IS(kp_deaggregated_record(strict, len, &(kp_deaggregated_record_t){.struct_size = sizeof(kp_deaggregated_record_t)}),
       KP_ERR_INVALID_ARGUMENT);
    kp_deaggregated_free(strict);
    kp_deaggregated_free(lenient);
  }
  for (size_t n = 0; n < COUNT; n++) CHECK(found[n] == 1);
  kp_stored_records_free(stored);
}

static void plain_data_is_no_aggregate(void) {
  const uint8_t data[] = "plain";
  kp_deaggregated_t *records = NULL;
  FAILS(kp_try_deaggregate(data, 5, &records), KP_ERR_INVALID_AGGREGATE);
  FAILS(kp_try_deaggregate(data, 0, &records), KP_ERR_INVALID_AGGREGATE);
  FAILS(kp_deaggregate("\xff", 1, NULL, data, 5, &records), KP_ERR_INVALID_PARTITION_KEY);
  FAILS(kp_deaggregate("k", 1, "x", data, 5, &records), KP_ERR_INVALID_HASH_KEY);
  CHECK(records == NULL);
  char key[] = "pk";
  WORKS(kp_deaggregate(key, 2, "17", data, 5, &records));
  memset(key, 'x', 2);  // it was copied
  CHECK(kp_deaggregated_len(records) == 1);
  kp_deaggregated_record_t record = {0};
  record.struct_size = sizeof record;
  IS(kp_deaggregated_record(records, 0, &record), KP_OK);
  CHECK(record.aggregated == 0 && record.data == data && record.data_len == 5);
  CHECK(record.partition_key_len == 2 && memcmp(record.partition_key, "pk", 2) == 0);
  CHECK(strcmp(record.explicit_hash_key, "17") == 0);
  kp_deaggregated_free(records);
}

static void look_at_refused(const kp_reports_t *reports) {
  IS(kp_reports_statuses(reports)[0], KP_REPORT_SERVICE);
  CHECK(kp_reports_stored(reports, 0) == KP_STORED_NO);
  CHECK(strstr(kp_reports_error_code(reports, 0), "ResourceNotFound") != NULL);
  CHECK(strlen(kp_reports_error_message(reports, 0)) > 0);
  CHECK(kp_reports_shard_id(reports, 0) == NULL && kp_reports_sequence_number(reports, 0) == NULL);
  CHECK(kp_reports_sub_sequence_number(reports, 0) == -1);
}

static void look_at_expired(const kp_reports_t *reports) {
  IS(kp_reports_statuses(reports)[0], KP_REPORT_EXPIRED);
  CHECK(strcmp(kp_reports_error_code(reports, 0), "Expired") == 0);
  CHECK(kp_reports_opaques(reports)[0] == UINT64_MAX);
  CHECK(kp_reports_attempts_len(reports, 0) <= kp_reports_attempts_total(reports, 0));
  for (size_t i = 0; i < kp_reports_attempts_len(reports, 0); i++) {
    kp_attempt_t attempt = {0};
    attempt.struct_size = sizeof attempt;
    IS(kp_reports_attempt(reports, 0, i, &attempt), KP_OK);
    CHECK(attempt.error_code != NULL && attempt.error_message != NULL);
  }
  kp_user_record_t record = user_record(NULL, NULL);
  IS(kp_reports_user_record(reports, 0, &record), KP_OK);
  CHECK(record.partition_key_len == 1 && record.partition_key[0] == 'k');
  CHECK(record.data_len == 4 && memcmp(record.data, "lost", 4) == 0);
  CHECK(record.explicit_hash_key_len == 2 && memcmp(record.explicit_hash_key, "99", 2) == 0);
  // A shorter struct of an older header gets no more than it knows.
  kp_user_record_t older = user_record(NULL, NULL);
  older.struct_size = offsetof(kp_user_record_t, data);
  older.data_len = 77;
  IS(kp_reports_user_record(reports, 0, &older), KP_OK);
  CHECK(older.struct_size == offsetof(kp_user_record_t, data));
  CHECK(older.partition_key_len == 1 && older.data == NULL && older.data_len == 77);
  older.struct_size = 0;
  IS(kp_reports_user_record(reports, 0, &older), KP_ERR_INVALID_ARGUMENT);
}

static void failures_say_why(const kp_local_t *service) {
  kp_producer_t *producer = start_producer(settings(service, "record_ttl = 2 s\nrecord_max_buffered_time = 0"));
  kp_user_record_t record = user_record("k", "lost");
  IS(kp_stream_put(open_stream(producer, "missing"), &record, 0, 1000), KP_OK);
  CHECK(take_reports(producer, 1, look_at_refused) == 0);
  IS(kp_producer_free(producer), KP_OK);

  producer = start_producer(settings(NULL, "record_ttl = 100 ms\nreturn_user_record_on_failure = true"));
  record.explicit_hash_key = "99";
  record.explicit_hash_key_len = 2;
  IS(kp_stream_put(open_stream(producer, "s"), &record, UINT64_MAX, 1000), KP_OK);
  CHECK(take_reports(producer, 1, look_at_expired) == 0);
  IS(kp_producer_free(producer), KP_OK);
}

int main(void) {
  kp_local_t *service = start_service();
  CHECK(strncmp(kp_local_endpoint_url(service), "http://", 7) == 0);
  kp_producer_t *producer = start_producer(settings(service, "record_max_buffered_time = 20 s"));
  kp_stream_t *stream = open_stream(producer, "s");
  CHECK(open_stream(producer, "s") == stream);
  int32_t fd = -1, again = -1;
  WORKS(kp_producer_reports_fd(producer, &fd));
  WORKS(kp_producer_reports_fd(producer, &again));
  CHECK(fd >= 0 && again == fd);

  put_all(stream);
  size_t records = 0, bytes = 0;
  uint64_t oldest_ms = 99999;
  IS(kp_producer_outstanding(producer, &records, &bytes, &oldest_ms), KP_OK);
  CHECK(records == COUNT && bytes > 10 * COUNT && oldest_ms < 99999);
  WORKS(kp_producer_flush(producer, 10000));
  IS(kp_producer_outstanding(producer, &records, NULL, &oldest_ms), KP_OK);
  CHECK(records == COUNT && oldest_ms == 0);  // decided, but not taken
  CHECK(take_reports(producer, COUNT, look_at_stored) == COUNT);
  IS(kp_producer_outstanding(producer, &records, &bytes, NULL), KP_OK);
  CHECK(records == 0 && bytes == 0);
  CHECK(kp_producer_poll_reports(producer, 10, 0) == NULL);
  read_back(service);
  kp_counters_t counters = {0};
  counters.struct_size = sizeof counters;
  IS(kp_producer_counters(producer, &counters), KP_OK);
  CHECK(counters.user_records_received == COUNT && counters.user_records_stored == COUNT && counters.user_records_failed == 0);
  CHECK(counters.put_records_calls >= 1 && counters.kinesis_records_stored >= 1 && counters.struct_size == sizeof counters);
  size_t aborted = 99;
  WORKS(kp_producer_close(producer, 10000, &aborted));
  CHECK(aborted == 0);
  CHECK(kp_producer_poll_reports(producer, 10, KP_WAIT_FOREVER) == NULL);
  IS(kp_producer_free(producer), KP_OK);

  plain_data_is_no_aggregate();
  failures_say_why(service);
  kp_local_free(service);
  return 0;
}
