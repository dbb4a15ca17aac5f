// What is wrong in what is put or set, structs of older and newer headers, puts of many, the table of codes, the version.

#include "abi.h"

static void bad_user_records(const kp_stream_t *stream) {
  static char big[1024 * 1024 + 1];
  char key[258];
  memset(key, 'k', sizeof key);
  kp_user_record_t record = user_record("", "v");
  IS(kp_stream_try_put(stream, &record, 0), KP_ERR_INVALID_PARTITION_KEY);
  record.partition_key = key;
  record.partition_key_len = 257;
  IS(kp_stream_try_put(stream, &record, 0), KP_ERR_INVALID_PARTITION_KEY);
  record = user_record("\xff\xfe", "v");
  IS(kp_stream_try_put(stream, &record, 0), KP_ERR_INVALID_PARTITION_KEY);
  const char *bad_hash_keys[] = {"", "x", "-1", " 1", "340282366920938463463374607431768211456", "\xff"};
  for (size_t i = 0; i < sizeof bad_hash_keys / sizeof *bad_hash_keys; i++) {
    record = user_record("k", "v");
    record.explicit_hash_key = bad_hash_keys[i];
    record.explicit_hash_key_len = strlen(bad_hash_keys[i]);
    IS(kp_stream_try_put(stream, &record, 0), KP_ERR_INVALID_HASH_KEY);
  }
  record = user_record("k", NULL);
  record.data = (const uint8_t *)big;
  record.data_len = sizeof big;
  IS(kp_stream_put(stream, &record, 0, 100), KP_ERR_RECORD_TOO_LARGE);
  record.data_len = SIZE_MAX;
  IS(kp_stream_put(stream, &record, 0, 100), KP_ERR_INVALID_ARGUMENT);
}

// A partition key has up to 256 characters, whatever their bytes; and data may be empty. Nobody is asked to store it: the local
// service counts bytes, and sees the key itself if its user record travels alone.
static void long_key(void) {
  kp_producer_t *producer = start_producer(settings(NULL, ""));
  const kp_stream_t *stream = open_stream(producer, "s");
  char key[512];
  for (size_t i = 0; i < sizeof key; i += 2) memcpy(key + i, "\xc3\xa9", 2);
  kp_user_record_t record = user_record(NULL, NULL);
  record.partition_key = key;
  record.partition_key_len = sizeof key;
  IS(kp_stream_try_put(stream, &record, 0), KP_OK);
  IS(kp_producer_free(producer), KP_OK);
}

// Arrays of structs that are shorter or longer than the library's.
static void structs_of_other_headers(const kp_stream_t *stream) {
  enum { SHORT = offsetof(kp_user_record_t, explicit_hash_key) };
  kp_user_record_t record = user_record("k", "v");
  record.struct_size = SHORT - 1;
  IS(kp_stream_try_put(stream, &record, 0), KP_ERR_INVALID_ARGUMENT);
  record.struct_size = 0;
  IS(kp_stream_try_put(stream, &record, 0), KP_ERR_INVALID_ARGUMENT);
  size_t accepted = 9;
  IS(kp_stream_put_many(stream, &record, 1, NULL, 0, &accepted), KP_ERR_INVALID_ARGUMENT);
  CHECK(accepted == 0);

  // Exactly as much memory as they have: reading more is found by a sanitizer.
  unsigned char *older = malloc(3 * SHORT);
  for (size_t i = 0; i < 3; i++) {
    record = user_record("k", i == 2 ? "three" : "v");
    record.struct_size = SHORT;
    memcpy(older + i * SHORT, &record, SHORT);
  }
  IS(kp_stream_put_many(stream, (const kp_user_record_t *)(const void *)older, 3, NULL, 0, &accepted), KP_OK);
  CHECK(accepted == 3);
  free(older);

  struct {
    kp_user_record_t known;
    uint64_t later[3];
  } newer[3];
  for (size_t i = 0; i < 3; i++) {
    newer[i].known = user_record("k", "v");
    newer[i].known.struct_size = sizeof newer[0];
    memset(newer[i].later, 0xff, sizeof newer[i].later);
  }
  IS(kp_stream_put_many(stream, &newer[0].known, 3, NULL, 0, &accepted), KP_OK);
  CHECK(accepted == 3);
}

static void many_stop_at_the_first_that_is_wrong(const kp_stream_t *stream) {
  kp_user_record_t records[5];
  uint64_t opaques[5] = {10, 11, 12, 13, 14};
  for (size_t i = 0; i < 5; i++) records[i] = user_record("k", "v");
  size_t accepted = 9;
  records[3].partition_key_len = 0;
  IS(kp_stream_put_many(stream, records, 5, opaques, 0, &accepted), KP_ERR_INVALID_PARTITION_KEY);
  CHECK(accepted == 3);
  IS(kp_stream_put_many(stream, records + 3, 2, opaques, 1000, &accepted), KP_ERR_INVALID_PARTITION_KEY);
  CHECK(accepted == 0);
  records[3] = user_record("k", NULL);
  records[3].data_len = 1;
  IS(kp_stream_put_many(stream, records, 5, NULL, 1000, &accepted), KP_ERR_INVALID_ARGUMENT);
  CHECK(accepted == 3);
}

static void columns(const kp_stream_t *stream) {
  const char *keys = "abbccc";
  const uint32_t key_lens[] = {1, 2, 3};
  const uint8_t data[] = {1, 2, 2};
  const uint32_t data_lens[] = {1, 0, 2};
  const uint64_t opaques[] = {1, 2, 3};
  size_t accepted = 9;
  IS(kp_stream_put_columns(stream, 3, keys, key_lens, data, data_lens, NULL, NULL, opaques, 0, &accepted), KP_OK);
  CHECK(accepted == 3);
  const char *hash_keys = "17340282366920938463463374607431768211455";
  const uint32_t hash_key_lens[] = {2, 0, 39};
  IS(kp_stream_put_columns(stream, 3, keys, key_lens, data, data_lens, hash_keys, hash_key_lens, NULL, 1000, &accepted), KP_OK);
  CHECK(accepted == 3);
  const uint32_t too_long[] = {2, 0, 40};
  IS(kp_stream_put_columns(stream, 3, keys, key_lens, data, data_lens, "17x40282366920938463463374607431768211455x", too_long, NULL,
                           0, &accepted),
     KP_ERR_INVALID_HASH_KEY);
  CHECK(accepted == 2);
  const uint32_t no_key[] = {1, 0, 3};
  IS(kp_stream_put_columns(stream, 3, keys, no_key, data, data_lens, NULL, NULL, NULL, 0, &accepted), KP_ERR_INVALID_PARTITION_KEY);
  CHECK(accepted == 1);
}

static void bad_settings(void) {
  kp_config_t *config = kp_config_new();
  FAILS(kp_config_set(config, "no_such_setting", "1"), KP_ERR_INVALID_CONFIG);
  FAILS(kp_config_set(config, "record_ttl", "1 fortnight"), KP_ERR_INVALID_CONFIG);
  FAILS(kp_config_set(config, "record_ttl", "1 ms"), KP_ERR_INVALID_CONFIG);
  FAILS(kp_config_set(config, "region", "\xff"), KP_ERR_INVALID_ARGUMENT);
  FAILS(kp_config_load_properties_file(config, "/no/such/file"), KP_ERR_IO);
  WORKS(kp_config_set(config, "RecordTtl", "30 s"));
  WORKS(kp_config_set(config, "stream.orders.ordering", "shard"));
  // All that is wrong is named at once.
  kp_error_t *error = kp_config_load_text(config, "# a comment\nno_such = 1\nrecord_ttl = 5\n\ncollection_max_count = 501\n");
  IS(kp_error_code(error), KP_ERR_INVALID_CONFIG);
  CHECK(strstr(kp_error_message(error), "no_such") != NULL);
  CHECK(strstr(kp_error_message(error), "record_ttl") != NULL);
  CHECK(strstr(kp_error_message(error), "collection_max_count") != NULL);
  kp_error_free(error);
  WORKS(kp_config_check(config));
  // The budget must hold the largest user record.
  WORKS(kp_config_set(config, "max_outstanding_bytes", "1000"));
  FAILS(kp_config_check(config), KP_ERR_INVALID_CONFIG);
  kp_producer_t *producer = NULL;
  FAILS(kp_producer_new(config, &producer), KP_ERR_INVALID_CONFIG);
  CHECK(producer == NULL);
}

static void bad_stream_names(const kp_producer_t *producer) {
  const char *bad[] = {"", "with space", "slash/", "arn:aws:s3:::bucket",
                       ("nameof129characters_0123456789012345678901234567890123456789012345678901234567890123456789012345678901234"
                       "56789012345678901234567890123")};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    kp_stream_t *stream = NULL;
    FAILS(kp_producer_stream(producer, bad[i], &stream), KP_ERR_INVALID_STREAM_NAME);
    CHECK(stream == NULL);
  }
  kp_stream_t *stream = NULL;
  FAILS(kp_producer_stream(producer, "\xff", &stream), KP_ERR_INVALID_ARGUMENT);
  open_stream(producer, "arn:aws:kinesis:us-east-1:123456789012:stream/by-arn");
}

static void table_of_codes(void) {
  const int32_t codes[] = {
      KP_OK, KP_ERR_QUEUE_FULL, KP_ERR_TIMED_OUT, KP_ERR_RECORD_TOO_LARGE, KP_ERR_INVALID_PARTITION_KEY, KP_ERR_INVALID_HASH_KEY,
      KP_ERR_CLOSED, KP_ERR_POISONED, KP_ERR_WRONG_REPORT_MODE, KP_ERR_INVALID_STREAM_NAME, KP_ERR_INVALID_CONFIG,
      KP_ERR_NO_REGION, KP_ERR_NO_CREDENTIALS, KP_ERR_IO, KP_ERR_RUNTIME, KP_ERR_UNKNOWN_METRIC, KP_ERR_INVALID_WINDOW,
      KP_ERR_INVALID_AGGREGATE, KP_ERR_INVALID_ARGUMENT, KP_ERR_WRONG_THREAD, KP_ERR_FORKED, KP_ERR_PANIC};
  size_t count = kp_status_count();
  CHECK(count == sizeof codes / sizeof *codes);
  for (size_t i = 0; i < count; i++) {
    size_t found = 0;
    for (size_t j = 0; j < count; j++) {
      found += kp_status_at(j) == codes[i];
      CHECK((i == j) == (strcmp(kp_status_name(codes[i]), kp_status_name(codes[j])) == 0));
    }
    CHECK(found == 1);
    CHECK(strcmp(kp_status_name(codes[i]), "Unknown") != 0);
    size_t len = strlen(kp_status_description(codes[i]));
    CHECK(len > 3 && kp_status_description(codes[i])[len - 1] == '.');
  }
  IS(kp_status_at(count), KP_ERR_INVALID_ARGUMENT);
  CHECK(strcmp(kp_status_name(-9999), "Unknown") == 0);
  CHECK(strlen(kp_status_description(-9999)) > 0);
}

int main(void) {
  char version[32];
  snprintf(version, sizeof version, "%d.%d.%d", KP_VERSION_MAJOR, KP_VERSION_MINOR, KP_VERSION_PATCH);
  CHECK(strcmp(version, kp_version()) == 0);
  table_of_codes();
  bad_settings();
  long_key();

  kp_local_t *service = start_service();
  kp_producer_t *producer = start_producer(settings(service, ""));
  bad_stream_names(producer);
  kp_stream_t *stream = open_stream(producer, "s");
  bad_user_records(stream);
  structs_of_other_headers(stream);
  many_stop_at_the_first_that_is_wrong(stream);
  columns(stream);
  // Only what was accepted has a report, and all of it is stored.
  enum { ACCEPTED = 6 + 6 + 9 };
  CHECK(take_reports(producer, ACCEPTED, NULL) == ACCEPTED);
  WORKS(kp_producer_close(producer, 10000, NULL));
  CHECK(kp_producer_poll_reports(producer, 10, 1000) == NULL);
  IS(kp_producer_free(producer), KP_OK);
  kp_local_free(service);
  return 0;
}
