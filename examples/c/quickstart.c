// Puts a hundred user records into a stream, takes their reports, reads the stream back and compares. It starts a local service
// of its own, so that it needs no AWS account.
//
//     cc -DKP_LOCAL quickstart.c $(pkg-config --cflags --libs kinesis-producer) -o quickstart && ./quickstart

#include "check.h"

enum { ORDERS = 100 };

int main(void) {
  kp_local_t *service = NULL;
  check(kp_local_start(&service));
  check(kp_local_create_stream(service, "orders", 2));

  kp_config_t *config = kp_config_new();
  check(kp_local_configure(service, config));  // or AWS: kp_config_set(config, "region", "eu-west-1")
  kp_producer_t *producer = NULL;
  check(kp_producer_new(config, &producer));
  kp_stream_t *stream = NULL;
  check(kp_producer_stream(producer, "orders", &stream));

  for (uint64_t n = 0; n < ORDERS; n++) {
    char key[32], data[32];
    kp_user_record_t record = {0};
    record.struct_size = sizeof record;
    record.partition_key = key;
    record.partition_key_len = (size_t)snprintf(key, sizeof key, "customer-%d", (int)(n % 7));
    record.data = (const uint8_t *)data;
    record.data_len = (size_t)snprintf(data, sizeof data, "order %d", (int)n);
    // Waits up to a second for room when too much is outstanding. n comes back with the report.
    check_put(kp_stream_put(stream, &record, n, 1000));
  }

  size_t seen = 0, stored = 0;
  while (seen < ORDERS) {
    kp_reports_t *reports = kp_producer_poll_reports(producer, 4096, 10000);
    if (reports == NULL) break;  // nothing came in ten seconds
    const uint64_t *numbers = kp_reports_opaques(reports);
    const int32_t *statuses = kp_reports_statuses(reports);
    for (size_t row = 0; row < kp_reports_len(reports); row++, seen++) {
      if (statuses[row] == KP_REPORT_STORED) {
        stored++;
      } else {
        fprintf(stderr, "order %d: %s\n", (int)numbers[row], kp_reports_error_code(reports, row));
      }
      if (numbers[row] == 0 && statuses[row] == KP_REPORT_STORED) {
        printf("Order 0 is in %s, sequence number %s, after %.1f ms.\n", kp_reports_shard_id(reports, row),
               kp_reports_sequence_number(reports, row), (double)kp_reports_latency_us(reports, row) / 1000);
      }
    }
    kp_reports_free(reports);
  }
  printf("%zu of %d orders were stored.\n", stored, ORDERS);

  size_t aborted = 0;
  check(kp_producer_close(producer, 10000, &aborted));
  kp_producer_free(producer);
  int failed = stored != ORDERS || aborted != 0;
  failed |= read_back(service, "orders", "order ", ORDERS);
  kp_local_free(service);
  return failed;
}
