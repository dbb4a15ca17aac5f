// The load generator of examples/load.rs for the C ABI: puts numbered user records as fast as they go, or at a rate, and says
// what it cost. The last line of its output is one JSON object; it exits 0 if every user record was reported and stored.
//
//     cc -O2 -D_POSIX_C_SOURCE=200809L benches/load.c $(pkg-config --cflags --libs kinesis-producer) -pthread -o load
//     ./load --endpoint-url https://127.0.0.1:4567 --ca-file ca.pem --keys 1000 --report callback
//
// Payloads and partition keys are those of examples/load.rs: producer id (u32) and sequence number (u64 from 0), both big
// endian, and `partition-key-` with the sequence number modulo the number of keys. Latency is from the call of the put, so the
// wait for room is in it, until the report is seen. With `--report none` a callback looks at nothing but statuses, and there are
// no latencies.

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "kinesis_producer.h"

// MANY: user records of one put of many. POLL: reports taken at once, for at most POLL_MS.
enum { MANY = 1024, POLL = 8192, POLL_MS = 100, HEADER = 12, KEY = 40, CODES = 16, MAX_THREADS = 256 };

typedef enum { REPORT_POLL, REPORT_CALLBACK, REPORT_NONE } report_way_t;

static struct {
  uint64_t records, keys, rate, threads, producer_id;
  size_t size;
  int single;
  report_way_t report;
  const char *endpoint_url, *stream;
} options = {1000000, 1000, 0, 1, 1, 100, 0, REPORT_POLL, NULL, "load"};

static void fail(const char *what, const char *why) {
  fprintf(stderr, "error: %s: %s\n", what, why);
  exit(1);
}

static void check(kp_error_t *error) {
  if (error != NULL) fail(kp_error_name(error), kp_error_message(error));
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// --- options

static uint64_t number(const char *name, const char *text) {
  char *end = NULL;
  uint64_t value = strtoull(text, &end, 10);
  if (end == text || *end != '\0') fail(name, "a number is expected");
  return value;
}

static int given(const char *variable) {
  const char *value = getenv(variable);
  return value != NULL && *value != '\0';
}

// Region and credentials are made up where there are none: an endpoint of one's own does not look at them, and asking the whole
// chain of AWS takes seconds.
static void make_up(kp_config_t *config) {
  if (options.endpoint_url == NULL) return;
  if (!given("AWS_REGION") && !given("AWS_DEFAULT_REGION")) check(kp_config_set(config, "region", "us-east-1"));
  if (given("AWS_ACCESS_KEY_ID") || given("AWS_PROFILE")) return;
  check(kp_config_set(config, "access_key_id", "none"));
  check(kp_config_set(config, "secret_access_key", "none"));
}

// An option that is a setting of the library by another name.
static const char *setting_of(const char *option) {
  static const char *const names[][2] = {
      {"--endpoint-url", "endpoint_url"}, {"--ca-file", "ca_cert_file"}, {"--outstanding", "max_outstanding_records"},
      {"--buffered-ms", "record_max_buffered_time"}, {"--ttl-ms", "record_ttl"},
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(option, names[i][0]) == 0) return names[i][1];
  }
  return NULL;
}

static void set(kp_config_t *config, char *assignment) {
  char *equals = strchr(assignment, '=');
  if (equals == NULL) fail("--set", "KEY=VALUE is expected");
  *equals = '\0';
  check(kp_config_set(config, assignment, equals + 1));
}

static void parse(int argc, char **argv, kp_config_t *config) {
  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--endpoint-url") == 0) options.endpoint_url = argv[i + 1];
  }
  make_up(config);
  for (int i = 1; i < argc; i += 2) {
    const char *option = argv[i];
    char *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (value == NULL) fail(option, "a value is expected");
    if (setting_of(option) != NULL) {
      check(kp_config_set(config, setting_of(option), value));
    } else if (strcmp(option, "--set") == 0) {
      set(config, value);
    } else if (strcmp(option, "--stream") == 0) {
      options.stream = value;
    } else if (strcmp(option, "--records") == 0) {
      options.records = number(option, value);
    } else if (strcmp(option, "--size") == 0) {
      options.size = number(option, value);
    } else if (strcmp(option, "--keys") == 0) {
      options.keys = strcmp(value, "unique") == 0 ? 0 : number(option, value);
    } else if (strcmp(option, "--rate") == 0) {
      options.rate = number(option, value);
    } else if (strcmp(option, "--threads") == 0) {
      options.threads = number(option, value);
    } else if (strcmp(option, "--producer-id") == 0) {
      options.producer_id = number(option, value);
    } else if (strcmp(option, "--report") == 0 && strcmp(value, "poll") == 0) {
      options.report = REPORT_POLL;
    } else if (strcmp(option, "--report") == 0 && strcmp(value, "callback") == 0) {
      options.report = REPORT_CALLBACK;
    } else if (strcmp(option, "--report") == 0 && strcmp(value, "none") == 0) {
      options.report = REPORT_NONE;
    } else if (strcmp(option, "--put") == 0 && (strcmp(value, "many") == 0 || strcmp(value, "single") == 0)) {
      options.single = value[0] == 's';
    } else {
      fail(option, "there is no such option or value; the options are --endpoint-url --ca-file --stream --records --size "
                   "--keys N|unique --outstanding --rate --buffered-ms --ttl-ms --threads --producer-id "
                   "--report poll|callback|none --put many|single --set KEY=VALUE");
    }
  }
  if (options.size < HEADER) fail("--size", "a payload begins with producer id and sequence number: 12 bytes");
  if (options.threads < 1 || options.threads > MAX_THREADS) fail("--threads", "1 to 256 are possible");
  if (options.keys == 0) options.keys = options.records;
}

// --- what came of it

// Latencies in microseconds: 64 steps of equal width for each power of two, so that a percentile is right within 1.6 %.
enum { STEP_BITS = 6, STEPS = 1 << STEP_BITS, BUCKETS = (64 - STEP_BITS) * STEPS };

// Written by the one thread that takes reports.
static struct {
  uint64_t stored, possibly_stored, timed;
  uint64_t max_us;
  uint64_t latencies[BUCKETS];
  struct {
    char code[64];
    uint64_t count;
  } failed[CODES];
  size_t codes;
} tally;

// How many were reported, for the thread that waits for the last one.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint64_t reported;

static size_t bucket(uint64_t us) {
  if (us < STEPS) return (size_t)us;
  unsigned shift = 63 - (unsigned)__builtin_clzll(us) - STEP_BITS;
  return (shift + 1) * STEPS + (size_t)((us >> shift) - STEPS);
}

// The middle of a bucket.
static double middle(size_t bucket) {
  if (bucket < STEPS) return (double)bucket;
  unsigned shift = (unsigned)(bucket / STEPS) - 1;
  return ((double)(bucket % STEPS + STEPS) + 0.5) * (double)(1ULL << shift);
}

// In milliseconds; negative if no report was looked at.
static double percentile(double percent) {
  uint64_t rank = (uint64_t)((double)tally.timed * percent / 100 + 0.5), seen = 0;
  for (size_t i = 0; i < BUCKETS && tally.timed > 0; i++) {
    seen += tally.latencies[i];
    if (seen >= rank && seen > 0) return middle(i) < (double)tally.max_us ? middle(i) / 1e3 : (double)tally.max_us / 1e3;
  }
  return -1;
}

static void count_latency(uint64_t put_at, uint64_t seen_at, uint64_t count) {
  uint64_t us = seen_at > put_at ? (seen_at - put_at) / 1000 : 0;
  tally.latencies[bucket(us)] += count;
  tally.timed += count;
  if (us > tally.max_us) tally.max_us = us;
}

static void count_failure(const kp_reports_t *reports, size_t row) {
  const char *code = kp_reports_error_code(reports, row), *message = kp_reports_error_message(reports, row);
  if (tally.codes == 0 && tally.possibly_stored == 0) {
    fprintf(stderr, "error: not stored: %s: %s\n", code, message == NULL ? "the service said nothing" : message);
  }
  if (kp_reports_stored(reports, row) == KP_STORED_POSSIBLY) {
    tally.possibly_stored++;
    return;
  }
  size_t i = 0;
  while (i < tally.codes && strcmp(tally.failed[i].code, code) != 0) i++;
  if (i == CODES) i--;  // the last stands for all the rest
  if (i == tally.codes) {
    tally.codes++;
    snprintf(tally.failed[i].code, sizeof tally.failed[i].code, "%s", code);
  }
  tally.failed[i].count++;
}

// Runs on the one thread that takes reports: a put's number is its moment, so that nothing has to be looked up.
static void count_reports(const kp_reports_t *reports) {
  size_t len = kp_reports_len(reports);
  const uint64_t *put_at = kp_reports_opaques(reports);
  const int32_t *statuses = kp_reports_statuses(reports);
  uint64_t seen_at = now_ns();
  for (size_t row = 0; row < len; row++) {
    if (statuses[row] == KP_REPORT_STORED) {
      tally.stored++;
    } else {
      count_failure(reports, row);
    }
  }
  if (options.report != REPORT_NONE) {
    for (size_t row = 0, first = 0; row < len; row++) {
      if (row + 1 == len || put_at[row + 1] != put_at[first]) {
        count_latency(put_at[first], seen_at, row + 1 - first);
        first = row + 1;
      }
    }
  }
  pthread_mutex_lock(&lock);
  reported += len;
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
}

static void on_reports(void *user_data, const kp_reports_t *reports) {
  (void)user_data;
  count_reports(reports);
}

static void print_json(uint64_t wall_ns, double cpu_us, double rss_mib, const kp_counters_t *counters) {
  static const struct {
    const char *name;
    double percent;
  } percentiles[] = {{"p50_ms", 50}, {"p90_ms", 90}, {"p99_ms", 99}, {"p999_ms", 99.9}, {"max_ms", 100}};
  double seconds = (double)wall_ns / 1e9, records = (double)reported;
  printf("{\"records\":%" PRIu64 ",\"seconds\":%.3f,\"records_per_second\":%.0f,\"cpu_us_per_record\":%.3f", reported, seconds,
         records / (seconds > 0 ? seconds : 1e-9), cpu_us / (records > 0 ? records : 1));
  for (size_t i = 0; i < sizeof percentiles / sizeof *percentiles; i++) {
    double ms = percentiles[i].percent == 100 && tally.timed > 0 ? (double)tally.max_us / 1e3 : percentile(percentiles[i].percent);
    if (ms < 0) {
      printf(",\"%s\":null", percentiles[i].name);
    } else {
      printf(",\"%s\":%.3f", percentiles[i].name, ms);
    }
  }
  printf(",\"rss_mb\":%.1f,\"stored\":%" PRIu64 ",\"possibly_stored\":%" PRIu64 ",\"failed\":{", rss_mib, tally.stored,
         tally.possibly_stored);
  for (size_t i = 0; i < tally.codes; i++) {
    printf("%s\"%s\":%" PRIu64, i == 0 ? "" : ",", tally.failed[i].code, tally.failed[i].count);
  }
  printf("},\"attempts\":%" PRIu64 ",\"put_records_calls\":%" PRIu64 "}\n", counters->attempts, counters->put_records_calls);
}

// --- putting

static kp_producer_t *producer;
static kp_stream_t *stream;
static uint64_t start_ns;
static atomic_uint_fast64_t accepted_in_all;
static atomic_uint_fast64_t putting;
static atomic_int refused;

// The sequence numbers of a thread, in order; a partition key belongs to one thread, so that the order within it is kept.
typedef struct {
  uint64_t thread, round, key;
} numbers_t;

// The next sequence number; 0 if there is none.
static int next(numbers_t *numbers, uint64_t *sequence, uint64_t *key) {
  if (numbers->key >= options.keys) {
    // A thread beyond the number of keys has none.
    numbers->round = numbers->thread < options.keys ? numbers->round + options.keys : options.records;
    numbers->key = numbers->thread;
  }
  *sequence = numbers->round + numbers->key;
  *key = numbers->key;
  if (*sequence >= options.records) return 0;
  numbers->key += options.threads;
  return 1;
}

// The user records of one put, in buffers that are used again.
typedef struct {
  size_t capacity;
  uint8_t *payloads;
  char (*keys)[KEY];
  kp_user_record_t *records;
  uint64_t *opaques;
  uint64_t last_sequence;
} batch_t;

static void big_endian(uint8_t *to, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) to[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

static batch_t new_batch(size_t capacity) {
  batch_t batch = {capacity, malloc(capacity * options.size), calloc(capacity, KEY), calloc(capacity, sizeof(kp_user_record_t)),
                   calloc(capacity, sizeof(uint64_t)), 0};
  if (!batch.payloads || !batch.keys || !batch.records || !batch.opaques) fail("memory", "there is not enough");
  for (size_t i = 0; i < capacity * options.size; i++) batch.payloads[i] = (uint8_t)"0123456789abcdef"[i % 16];
  for (size_t i = 0; i < capacity; i++) {
    uint8_t *payload = batch.payloads + i * options.size;
    big_endian(payload, options.producer_id, 4);
    batch.records[i].struct_size = sizeof(kp_user_record_t);
    batch.records[i].partition_key = batch.keys[i];
    batch.records[i].data = payload;
    batch.records[i].data_len = options.size;
  }
  return batch;
}

static void free_batch(batch_t *batch) {
  free(batch->payloads);
  free(batch->keys);
  free(batch->records);
  free(batch->opaques);
}

// `partition-key-` and six digits or more; by hand, because printf would cost more than the put.
static size_t write_key(char *to, uint64_t key) {
  static const char prefix[] = "partition-key-";
  char digits[20];
  size_t len = 0, at = sizeof prefix - 1;
  for (; key > 0 || len < 6; key /= 10) digits[len++] = (char)('0' + key % 10);
  memcpy(to, prefix, at);
  while (len > 0) to[at++] = digits[--len];
  return at;
}

static size_t fill(batch_t *batch, numbers_t *numbers) {
  size_t len = 0;
  for (uint64_t key; len < batch->capacity && next(numbers, &batch->last_sequence, &key); len++) {
    big_endian(batch->payloads + len * options.size + 4, batch->last_sequence, 8);
    batch->records[len].partition_key_len = write_key(batch->keys[len], key);
  }
  return len;
}

// Puts the first `len` of a batch, waiting for room.
static int32_t put(const batch_t *batch, size_t len) {
  size_t done = 0;
  while (done < len) {
    size_t accepted = 0;
    int32_t status;
    if (options.single) {
      status = kp_stream_put(stream, batch->records + done, batch->opaques[done], KP_WAIT_FOREVER);
      accepted = status == KP_OK;
    } else {
      status = kp_stream_put_many(stream, batch->records + done, len - done, batch->opaques + done, KP_WAIT_FOREVER, &accepted);
    }
    done += accepted;
    atomic_fetch_add(&accepted_in_all, accepted);
    // All is decided and only reports fill the queue: another thread takes them.
    if (status == KP_ERR_QUEUE_FULL) {
      sched_yield();
    } else if (status != KP_OK) {
      return status;
    }
  }
  return KP_OK;
}

static void sleep_until(uint64_t when_ns) {
  struct timespec when = {(time_t)(when_ns / 1000000000), (long)(when_ns % 1000000000)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) != 0) continue;
}

static void *put_share(void *argument) {
  numbers_t numbers = {(uint64_t)(uintptr_t)argument, 0, (uint64_t)(uintptr_t)argument};
  batch_t batch = new_batch(options.rate > 0 ? 1 : MANY);
  int32_t status = KP_OK;
  for (size_t len; status == KP_OK && (len = fill(&batch, &numbers)) > 0;) {
    if (options.rate > 0) sleep_until(start_ns + (uint64_t)((double)batch.last_sequence / (double)options.rate * 1e9));
    uint64_t put_at = now_ns();
    for (size_t i = 0; i < len; i++) batch.opaques[i] = put_at;
    status = put(&batch, len);
  }
  free_batch(&batch);
  if (status != KP_OK) {
    fprintf(stderr, "error: a put was refused: %s\n", kp_status_description(status));
    refused = 1;
  }
  // The last sends what an unpaced load left in open aggregates; a paced one leaves it its time.
  pthread_mutex_lock(&lock);
  int last = atomic_fetch_sub(&putting, 1) == 1;
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
  if (last && options.rate == 0) check(kp_producer_flush(producer, KP_WAIT_FOREVER));
  return NULL;
}

// Returns when every thread is done and all that was accepted is reported.
static void take_reports(void) {
  if (options.report == REPORT_POLL) {
    while (putting > 0 || reported < accepted_in_all) {
      kp_reports_t *reports = kp_producer_poll_reports(producer, POLL, POLL_MS);
      if (reports != NULL) count_reports(reports);
      kp_reports_free(reports);
    }
    return;
  }
  pthread_mutex_lock(&lock);
  while (putting > 0 || reported < accepted_in_all) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
}

static double cpu_us(const struct rusage *usage) {
  return ((double)usage->ru_utime.tv_sec + (double)usage->ru_stime.tv_sec) * 1e6 + (double)usage->ru_utime.tv_usec +
         (double)usage->ru_stime.tv_usec;
}

int main(int argc, char **argv) {
  kp_config_t *config = kp_config_new();
  parse(argc, argv, config);
  if (options.report != REPORT_POLL) check(kp_config_set_report_callback(config, on_reports, NULL, NULL));
  check(kp_producer_new(config, &producer));
  check(kp_producer_stream(producer, options.stream, &stream));
  printf("%" PRIu64 " user records of %zu bytes, %" PRIu64 " thread(s), put %s, reports by %s\n", options.records, options.size,
         options.threads, options.rate > 0 ? "one by one at their moments" : options.single ? "one by one" : "1024 at once",
         options.report == REPORT_POLL ? "queue" : "callback");
  fflush(stdout);

  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  start_ns = now_ns();
  putting = options.threads;
  pthread_t threads[MAX_THREADS];
  for (uint64_t i = 0; i < options.threads; i++) {
    if (pthread_create(&threads[i], NULL, put_share, (void *)(uintptr_t)i) != 0) fail("threads", "they cannot be started");
  }
  take_reports();
  for (uint64_t i = 0; i < options.threads; i++) pthread_join(threads[i], NULL);
  uint64_t wall_ns = now_ns() - start_ns;
  getrusage(RUSAGE_SELF, &after);
  kp_counters_t counters = {0};
  counters.struct_size = sizeof counters;
  kp_producer_counters(producer, &counters);
  check(kp_producer_close(producer, 0, NULL));
  kp_producer_free(producer);
  print_json(wall_ns, cpu_us(&after) - cpu_us(&before), (double)after.ru_maxrss / 1024, &counters);
  return tally.stored == options.records && reported == options.records && !refused ? 0 : 1;
}
