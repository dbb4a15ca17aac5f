// Reports by callback: a thread of the library calls a function of the program, many reports at a time. Here every user record
// brings a pointer to the program's own object as its number, and the callback writes what became of it there.

#include "check.h"

enum { PAYMENTS = 5000 };

typedef struct {
  int stored;
  char shard_id[32];
} payment_t;

// What the callback counts. Nobody else reads it before the producer is freed, so that it needs no lock.
typedef struct {
  size_t calls;
  size_t reports;
} totals_t;

// Runs on a thread of the library, one call at a time. It may put, but not wait: no flush, close or free here.
static void on_reports(void *user_data, const kp_reports_t *reports) {
  totals_t *totals = user_data;
  const uint64_t *numbers = kp_reports_opaques(reports);
  const int32_t *statuses = kp_reports_statuses(reports);
  for (size_t row = 0; row < kp_reports_len(reports); row++) {
    payment_t *payment = (payment_t *)(uintptr_t)numbers[row];
    payment->stored += statuses[row] == KP_REPORT_STORED;
    // The text is the library's and lives until the callback returns: what is to stay is copied.
    const char *shard_id = kp_reports_shard_id(reports, row);
    if (shard_id != NULL) snprintf(payment->shard_id, sizeof payment->shard_id, "%s", shard_id);
  }
  totals->calls++;
  totals->reports += kp_reports_len(reports);
}

int main(void) {
  static payment_t payments[PAYMENTS];
  static totals_t totals;
  kp_local_t *service = NULL;
  check(kp_local_start(&service));
  check(kp_local_create_stream(service, "payments", 2));
  kp_config_t *config = kp_config_new();
  check(kp_local_configure(service, config));
  check(kp_config_set_report_callback(config, on_reports, &totals, NULL));
  kp_producer_t *producer = NULL;
  check(kp_producer_new(config, &producer));
  kp_stream_t *stream = NULL;
  check(kp_producer_stream(producer, "payments", &stream));

  for (size_t n = 0; n < PAYMENTS; n++) {
    char key[32], data[32];
    kp_user_record_t record = {0};
    record.struct_size = sizeof record;
    record.partition_key = key;
    record.partition_key_len = (size_t)snprintf(key, sizeof key, "account-%zu", n % 50);
    record.data = (const uint8_t *)data;
    record.data_len = (size_t)snprintf(data, sizeof data, "payment %zu", n);
    check_put(kp_stream_put(stream, &record, (uint64_t)(uintptr_t)&payments[n], 1000));
  }
  size_t aborted = 0;
  check(kp_producer_close(producer, 10000, &aborted));
  kp_producer_free(producer);  // returns after the last call of the callback

  size_t stored = 0;
  for (size_t n = 0; n < PAYMENTS; n++) stored += payments[n].stored == 1;
  printf("%zu of %d payments were stored, the first in %s; %zu reports came in %zu calls.\n", stored, PAYMENTS,
         payments[0].shard_id, totals.reports, totals.calls);
  int failed = stored != PAYMENTS || totals.reports != PAYMENTS || aborted != 0;
  failed |= read_back(service, "payments", "payment ", PAYMENTS);
  kp_local_free(service);
  return failed;
}
