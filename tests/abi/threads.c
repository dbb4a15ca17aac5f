// Eight threads put at once; each user record gets exactly one report. The argument is the number of puts of a thread.

#include <pthread.h>

#include "abi.h"

enum { THREADS = 8, MANY = 100 };

static size_t per_thread = 100000;
static unsigned char *seen;  // by opaque number; written by the callback's thread alone
static size_t stored;

typedef struct {
  kp_stream_t *stream;
  size_t first;
} share_t;

static void on_reports(void *user_data, const kp_reports_t *reports) {
  (void)user_data;
  for (size_t row = 0; row < kp_reports_len(reports); row++) {
    uint64_t opaque = kp_reports_opaques(reports)[row];
    CHECK(opaque < THREADS * per_thread);
    CHECK(seen[opaque]++ == 0);
    stored += kp_reports_statuses(reports)[row] == KP_REPORT_STORED;
  }
}

// Half one by one, half in puts of many.
static void *put_share(void *argument) {
  const share_t *share = argument;
  char key[32];
  snprintf(key, sizeof key, "key-%zu", share->first);
  kp_user_record_t records[MANY];
  uint64_t opaques[MANY];
  for (size_t i = 0; i < MANY; i++) records[i] = user_record(key, "some data");
  size_t n = 0;
  for (; n < per_thread / 2; n++) IS(kp_stream_put(share->stream, records, share->first + n, KP_WAIT_FOREVER), KP_OK);
  while (n < per_thread) {
    size_t len = per_thread - n < MANY ? per_thread - n : MANY;
    for (size_t i = 0; i < len; i++) opaques[i] = share->first + n + i;
    size_t accepted = 0;
    IS(kp_stream_put_many(share->stream, records, len, opaques, KP_WAIT_FOREVER, &accepted), KP_OK);
    CHECK(accepted == len);
    n += len;
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc > 1) per_thread = strtoul(argv[1], NULL, 10);
  seen = calloc(THREADS, per_thread);
  CHECK(seen != NULL);
  kp_local_t *service = start_service();
  kp_config_t *config = settings(service, "record_ttl = 5 m\nmax_outstanding_records = 50000");
  WORKS(kp_config_set_report_callback(config, on_reports, NULL, NULL));
  kp_producer_t *producer = start_producer(config);
  kp_stream_t *stream = open_stream(producer, "s");
  pthread_t threads[THREADS];
  share_t shares[THREADS];
  for (size_t i = 0; i < THREADS; i++) {
    shares[i].stream = stream;
    shares[i].first = i * per_thread;
    CHECK(pthread_create(&threads[i], NULL, put_share, &shares[i]) == 0);
  }
  for (size_t i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  size_t aborted = 99;
  WORKS(kp_producer_close(producer, 300000, &aborted));
  CHECK(aborted == 0);
  IS(kp_producer_free(producer), KP_OK);
  for (size_t i = 0; i < THREADS * per_thread; i++) CHECK(seen[i] == 1);
  CHECK(stored == THREADS * per_thread);
  free(seen);
  kp_local_free(service);
  return 0;
}
