// What the test programs share. CHECK ends a program with the line that failed; a program that returns 0 has passed.

#ifndef ABI_H
#define ABI_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kinesis_producer.h"

#if defined(__GNUC__)
#define MAYBE_UNUSED __attribute__((unused))
#else
#define MAYBE_UNUSED
#endif

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                 \
    }                                                                          \
  } while (0)

// A status or a code that must be.
#define IS(code, expected) is((code), (expected), #code, __FILE__, __LINE__)

// An error that must have a code and words; KP_OK for none. Frees it.
#define FAILS(call, expected) is(take_code(call), (expected), #call, __FILE__, __LINE__)

// An error that must not be.
#define WORKS(call) FAILS(call, KP_OK)

static MAYBE_UNUSED void is(int32_t code, int32_t expected, const char *call, const char *file, int line) {
  if (code == expected) return;
  fprintf(stderr, "%s:%d: %s is %s, not %s\n", file, line, call, kp_status_name(code), kp_status_name(expected));
  exit(1);
}

static MAYBE_UNUSED int32_t take_code(kp_error_t *error) {
  int32_t code = kp_error_code(error);
  CHECK((code == KP_OK) == (error == NULL));
  CHECK(strcmp(kp_error_name(error), kp_status_name(code)) == 0);
  CHECK((kp_error_message(error)[0] == '\0') == (error == NULL));
  if (getenv("ABI_VERBOSE") != NULL && error != NULL) printf("%s: %s\n", kp_error_name(error), kp_error_message(error));
  kp_error_free(error);
  return code;
}

static MAYBE_UNUSED kp_user_record_t user_record(const char *key, const char *data) {
  kp_user_record_t record;
  memset(&record, 0, sizeof record);
  record.struct_size = sizeof record;
  record.partition_key = key;
  record.partition_key_len = key == NULL ? 0 : strlen(key);
  record.data = (const uint8_t *)data;
  record.data_len = data == NULL ? 0 : strlen(data);
  return record;
}

// A service with the stream "s" of two shards.
static MAYBE_UNUSED kp_local_t *start_service(void) {
  kp_local_t *service = NULL;
  WORKS(kp_local_start(&service));
  WORKS(kp_local_create_stream(service, "s", 2));
  return service;
}

// Settings for the service, and more of them as "key = value" lines. Without a service, for an endpoint where nobody listens.
static MAYBE_UNUSED kp_config_t *settings(const kp_local_t *service, const char *lines) {
  kp_config_t *config = kp_config_new();
  CHECK(config != NULL);
  if (service != NULL) {
    WORKS(kp_local_configure(service, config));
  } else {
    WORKS(kp_config_load_text(config,
                              "endpoint_url = http://127.0.0.1:9\nregion = us-east-1\naccess_key_id = a\n"
                              "secret_access_key = b\nproxy_from_environment = false\n"));
  }
  WORKS(kp_config_load_text(config, lines));
  return config;
}

static MAYBE_UNUSED kp_producer_t *start_producer(kp_config_t *config) {
  kp_producer_t *producer = NULL;
  WORKS(kp_producer_new(config, &producer));
  CHECK(producer != NULL);
  return producer;
}

static MAYBE_UNUSED kp_stream_t *open_stream(const kp_producer_t *producer, const char *name) {
  kp_stream_t *stream = NULL;
  WORKS(kp_producer_stream(producer, name, &stream));
  CHECK(stream != NULL);
  return stream;
}

// Takes reports until there are `count`; calls `look`, if it is not NULL, with each lot. Returns how many are stored.
static MAYBE_UNUSED size_t take_reports(const kp_producer_t *producer, size_t count, void (*look)(const kp_reports_t *)) {
  size_t stored = 0;
  while (count > 0) {
    kp_reports_t *reports = kp_producer_poll_reports(producer, 1000, 60000);
    CHECK(reports != NULL);
    size_t len = kp_reports_len(reports);
    CHECK(len > 0 && len <= count);
    for (size_t row = 0; row < len; row++) stored += kp_reports_statuses(reports)[row] == KP_REPORT_STORED;
    if (look != NULL) look(reports);
    count -= len;
    kp_reports_free(reports);
  }
  return stored;
}

#endif
