// One thread that puts and takes reports, as a server with an event loop would: poll(2) says when there are reports to take.
// The queue is kept small, so that puts are refused now and then: back-pressure, to which the program answers by waiting.

#include <poll.h>

#include "check.h"

enum { READINGS = 20000, OUTSTANDING = 2000 };

// Takes what reports there are; returns how many user records they say are stored.
static size_t take_reports(const kp_producer_t *producer, size_t *seen) {
  size_t stored = 0;
  for (kp_reports_t *reports; (reports = kp_producer_poll_reports(producer, 4096, 0)) != NULL; kp_reports_free(reports)) {
    const int32_t *statuses = kp_reports_statuses(reports);
    size_t len = kp_reports_len(reports);
    for (size_t row = 0; row < len; row++) stored += statuses[row] == KP_REPORT_STORED;
    *seen += len;
  }
  return stored;
}

int main(void) {
  kp_local_t *service = NULL;
  check(kp_local_start(&service));
  check(kp_local_create_stream(service, "readings", 4));
  kp_config_t *config = kp_config_new();
  check(kp_local_configure(service, config));
  char limit[32];
  snprintf(limit, sizeof limit, "%d", OUTSTANDING);
  check(kp_config_set(config, "max_outstanding_records", limit));
  check(kp_config_set(config, "record_max_buffered_time", "20 ms"));
  kp_producer_t *producer = NULL;
  check(kp_producer_new(config, &producer));
  kp_stream_t *stream = NULL;
  check(kp_producer_stream(producer, "readings", &stream));

  // Reports make it readable. A real event loop waits for its sockets in the same call.
  struct pollfd ready = {0};
  ready.events = POLLIN;
  check(kp_producer_reports_fd(producer, &ready.fd));

  size_t put = 0, seen = 0, stored = 0, refused = 0;
  while (seen < READINGS) {
    int32_t status = KP_OK;
    while (put < READINGS && status == KP_OK) {
      char key[32], data[32];
      kp_user_record_t record = {0};
      record.struct_size = sizeof record;
      record.partition_key = key;
      record.partition_key_len = (size_t)snprintf(key, sizeof key, "sensor-%zu", put % 100);
      record.data = (const uint8_t *)data;
      record.data_len = (size_t)snprintf(data, sizeof data, "reading %zu", put);
      status = kp_stream_try_put(stream, &record, put);  // never waits
      if (status == KP_OK) {
        put++;
      } else if (status == KP_ERR_QUEUE_FULL) {
        refused++;
      } else {
        check_put(status);
      }
    }
    int found = poll(&ready, 1, 30000);
    if (found <= 0) {
      fprintf(stderr, "error: no report came in 30 seconds\n");
      return 1;
    }
    stored += take_reports(producer, &seen);
  }
  printf("%zu of %d readings were stored; with room for %d, the queue was full %zu times.\n", stored, READINGS, OUTSTANDING,
         refused);

  check(kp_producer_close(producer, 10000, NULL));
  kp_producer_free(producer);
  int failed = stored != READINGS || refused == 0;
  failed |= read_back(service, "readings", "reading ", READINGS);
  kp_local_free(service);
  return failed;
}
