// What the examples share: the end of a program that cannot go on, and reading a stream back to see that nothing is missing.
// A program that reads records of Kinesis does what `read_back` does; the rest is for the examples alone.

#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kinesis_producer.h"

// Ends the program if a call of setup or control failed.
static void check(kp_error_t *error) {
  if (error == NULL) return;
  fprintf(stderr, "error: %s: %s\n", kp_error_name(error), kp_error_message(error));
  exit(1);
}

// Ends the program if a put was refused.
static void check_put(int32_t status) {
  if (status == KP_OK) return;
  fprintf(stderr, "error: a put was refused: %s: %s\n", kp_status_name(status), kp_status_description(status));
  exit(1);
}

// Reads the whole stream, takes the aggregates apart, and counts in times_found[n] the user records whose data is "PREFIX n".
// Returns 0 if each of them is there exactly once and nothing else is, and 1 otherwise.
static int read_back(const kp_local_t *service, const char *stream, const char *prefix, size_t count) {
  kp_stored_records_t *stored = NULL;
  check(kp_local_read_stream(service, stream, &stored));
  size_t *times_found = calloc(count, sizeof *times_found);
  if (times_found == NULL) abort();
  size_t strange = 0;
  for (size_t row = 0; row < kp_stored_records_len(stored); row++) {
    kp_stored_record_t record = {0};
    record.struct_size = sizeof record;
    kp_stored_records_get(stored, row, &record);
    kp_deaggregated_t *user_records = NULL;
    check(kp_deaggregate(record.partition_key, strlen(record.partition_key), NULL, record.data, record.data_len, &user_records));
    for (size_t i = 0; i < kp_deaggregated_len(user_records); i++) {
      kp_deaggregated_record_t user_record = {0};
      user_record.struct_size = sizeof user_record;
      kp_deaggregated_record(user_records, i, &user_record);
      char text[64] = {0};
      size_t prefix_len = strlen(prefix);
      if (user_record.data_len < sizeof text) memcpy(text, user_record.data, user_record.data_len);
      char *end = text;
      size_t number = 0;
      if (strncmp(text, prefix, prefix_len) == 0) number = strtoul(text + prefix_len, &end, 10);
      if (end == text || *end != '\0' || number >= count) {
        strange++;
      } else {
        times_found[number]++;
      }
    }
    kp_deaggregated_free(user_records);
  }
  size_t wrong = strange;
  for (size_t i = 0; i < count; i++) wrong += times_found[i] != 1;
  if (wrong == 0) {
    printf("Read back %zu Kinesis records: all %zu user records are there, each once and unchanged.\n",
           kp_stored_records_len(stored), count);
  } else {
    fprintf(stderr, "error: %zu user records are missing, doubled or strange\n", wrong);
  }
  free(times_found);
  kp_stored_records_free(stored);
  return wrong != 0;
}

#endif
