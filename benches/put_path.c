// What a put costs the caller in C: nanoseconds of CPU a user record of 100 B, up to and including aggregation, in queue mode.
// The counterpart of benches/put_path.rs, which has no far end at all. Here a socket of this program tells the four shards of
// the stream, and answers no PutRecords call: what is sealed waits, and the other threads do nothing but seal and hash a few
// first requests. Each round has a producer of its own, which is aborted afterwards, so that its memory is touched for the first
// time: that is in the figures. Structs are filled as a program would while it measures; columns are there before.
//
//     cc -O2 -D_POSIX_C_SOURCE=200809L benches/put_path.c $(pkg-config --cflags --libs kinesis-producer) -pthread -o put_path
//     ./put_path [PART OF A NAME]

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "kinesis_producer.h"

enum { SIZE = 100, KEY = 20, ROUND = 200000, ROUNDS = 15, MANY = 512, WARM_UP = 2048, SHARDS = 4 };

static void fail(const char *what, const char *why) {
  fprintf(stderr, "error: %s: %s\n", what, why);
  exit(1);
}

static void check(kp_error_t *error) {
  if (error != NULL) fail(kp_error_name(error), kp_error_message(error));
}

static void check_put(int32_t status) {
  if (status != KP_OK) fail("put", kp_status_description(status));
}

// --- the far end

// A quarter of the hash keys for each shard.
static const char SHARD_LIST[] =
    "{\"Shards\":["
    "{\"ShardId\":\"shardId-000000000000\",\"HashKeyRange\":{\"StartingHashKey\":\"0\","
    "\"EndingHashKey\":\"85070591730234615865843651857942052863\"},\"SequenceNumberRange\":{\"StartingSequenceNumber\":\"1\"}},"
    "{\"ShardId\":\"shardId-000000000001\",\"HashKeyRange\":{\"StartingHashKey\":\"85070591730234615865843651857942052864\","
    "\"EndingHashKey\":\"170141183460469231731687303715884105727\"},\"SequenceNumberRange\":{\"StartingSequenceNumber\":\"1\"}},"
    "{\"ShardId\":\"shardId-000000000002\",\"HashKeyRange\":{\"StartingHashKey\":\"170141183460469231731687303715884105728\","
    "\"EndingHashKey\":\"255211775190703847597530955573826158591\"},\"SequenceNumberRange\":{\"StartingSequenceNumber\":\"1\"}},"
    "{\"ShardId\":\"shardId-000000000003\",\"HashKeyRange\":{\"StartingHashKey\":\"255211775190703847597530955573826158592\","
    "\"EndingHashKey\":\"340282366920938463463374607431768211455\"},\"SequenceNumberRange\":{\"StartingSequenceNumber\":\"1\"}}]}";

static void start_thread(void *(*body)(void *), int descriptor) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, body, (void *)(intptr_t)descriptor) != 0) fail("threads", "they cannot be started");
  pthread_detach(thread);
}

// Reads until the other side ends; answers requests for the list of shards. Its requests are small: one read takes each whole.
static void *serve(void *argument) {
  int connection = (int)(intptr_t)argument;
  static const size_t size = 65536;
  char *request = malloc(size + 1);
  if (request == NULL) fail("memory", "there is not enough");
  for (ssize_t len; (len = read(connection, request, size)) > 0;) {
    request[len] = '\0';
    if (strstr(request, "ListShards") == NULL) {
      // Not read any further: a body that is taken costs time of the threads that are not measured, and caches.
      pause();
    }
    char head[160];
    int head_len = snprintf(head, sizeof head,
                            "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: %zu\r\n\r\n",
                            sizeof SHARD_LIST - 1);
    if (write(connection, head, (size_t)head_len) < 0 || write(connection, SHARD_LIST, sizeof SHARD_LIST - 1) < 0) break;
  }
  free(request);
  close(connection);
  return NULL;
}

static void *listen_for_connections(void *argument) {
  int listener = (int)(intptr_t)argument;
  for (int connection; (connection = accept(listener, NULL, NULL)) >= 0;) {
    start_thread(serve, connection);
  }
  return NULL;
}

// Returns the port.
static unsigned start_far_end(void) {
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {0};
  socklen_t len = sizeof address;
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, (struct sockaddr *)&address, len) != 0 || listen(listener, 16) != 0 ||
      getsockname(listener, (struct sockaddr *)&address, &len) != 0) {
    fail("socket", "there is none");
  }
  start_thread(listen_for_connections, listener);
  return ntohs(address.sin_port);
}

// --- the producer

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int maps;

// The log says when the shards are known: before, puts go another way.
static void on_line(void *user_data, int32_t level, const char *line) {
  (void)user_data;
  (void)level;
  if (strstr(line, "shard map is in use") == NULL) return;
  pthread_mutex_lock(&lock);
  maps++;
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
}

static kp_producer_t *start_producer(unsigned port, kp_stream_t **stream) {
  char endpoint[64], name[32];
  static int round;
  snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", port);
  // A line is logged once in ten seconds for each stream: a new name for each round.
  snprintf(name, sizeof name, "round-%d", ++round);
  kp_config_t *config = kp_config_new();
  check(kp_config_set(config, "endpoint_url", endpoint));
  check(kp_config_load_text(config,
                            "region = us-east-1\naccess_key_id = a\nsecret_access_key = b\nproxy_from_environment = false\n"
                            "wire_format = json\nmax_connections = 1\nmax_outstanding_records = 10000000\n"
                            "max_outstanding_bytes = 4 GiB\nrecord_max_buffered_time = 10 s\nrecord_ttl = 1 h\n"
                            "request_timeout = 10 m\n"));
  kp_producer_t *producer = NULL;
  check(kp_producer_new(config, &producer));
  check(kp_producer_stream(producer, name, stream));
  pthread_mutex_lock(&lock);
  while (maps < round) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
  return producer;
}

// --- the ways to put

// Keys stand one behind the other, and so does data.
typedef struct {
  char *keys;
  uint8_t *data;
  uint32_t *key_lens, *data_lens;
  uint64_t *opaques;
} load_t;

static load_t make_load(size_t keys) {
  load_t load = {malloc(ROUND * KEY + 1), malloc(ROUND * SIZE), malloc(ROUND * sizeof(uint32_t)), malloc(ROUND * sizeof(uint32_t)),
                 malloc(ROUND * sizeof(uint64_t))};
  if (!load.keys || !load.data || !load.key_lens || !load.data_lens || !load.opaques) fail("memory", "there is not enough");
  memset(load.data, 7, ROUND * SIZE);
  for (size_t i = 0; i < ROUND; i++) {
    snprintf(load.keys + i * KEY, KEY + 1, "partition-key-%06zu", i % keys);
    load.key_lens[i] = KEY;
    load.data_lens[i] = SIZE;
    load.opaques[i] = i;
  }
  return load;
}

static void free_load(load_t *load) {
  free(load->keys);
  free(load->data);
  free(load->key_lens);
  free(load->data_lens);
  free(load->opaques);
}

static kp_user_record_t user_record(const load_t *load, size_t index) {
  kp_user_record_t record = {sizeof record, load->keys + index * KEY, KEY, load->data + index * SIZE, SIZE, NULL, 0};
  return record;
}

static void try_put(const kp_stream_t *stream, const load_t *load, size_t from, size_t to) {
  for (size_t i = from; i < to; i++) {
    kp_user_record_t record = user_record(load, i);
    check_put(kp_stream_try_put(stream, &record, i));
  }
}

static void put_many(const kp_stream_t *stream, const load_t *load, size_t from, size_t to) {
  static kp_user_record_t records[MANY];
  for (size_t first = from; first < to; first += MANY) {
    size_t len = to - first < MANY ? to - first : MANY, accepted = 0;
    for (size_t i = 0; i < len; i++) records[i] = user_record(load, first + i);
    check_put(kp_stream_put_many(stream, records, len, load->opaques + first, 0, &accepted));
  }
}

static void put_columns(const kp_stream_t *stream, const load_t *load, size_t from, size_t to) {
  for (size_t first = from; first < to; first += MANY) {
    size_t len = to - first < MANY ? to - first : MANY, accepted = 0;
    check_put(kp_stream_put_columns(stream, len, load->keys + first * KEY, load->key_lens + first, load->data + first * SIZE,
                                    load->data_lens + first, NULL, NULL, load->opaques + first, 0, &accepted));
  }
}

// --- measuring

typedef void (*put_t)(const kp_stream_t *stream, const load_t *load, size_t from, size_t to);

static uint64_t nanoseconds(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static int by_size(const void *a, const void *b) {
  double difference = *(const double *)a - *(const double *)b;
  return (difference > 0) - (difference < 0);
}

static double median(double *values) {
  qsort(values, ROUNDS, sizeof *values, by_size);
  return values[ROUNDS / 2];
}

static void measure(const char *name, unsigned port, const load_t *load, put_t put) {
  double cpu[ROUNDS], rate[ROUNDS];
  // The first round warms up.
  for (int round = -1; round < ROUNDS; round++) {
    kp_stream_t *stream = NULL;
    kp_producer_t *producer = start_producer(port, &stream);
    put(stream, load, 0, WARM_UP);
    uint64_t cpu_before = nanoseconds(CLOCK_THREAD_CPUTIME_ID), before = nanoseconds(CLOCK_MONOTONIC);
    put(stream, load, WARM_UP, ROUND);
    double measured = ROUND - WARM_UP;
    double cpu_ns = (double)(nanoseconds(CLOCK_THREAD_CPUTIME_ID) - cpu_before);
    double wall_ns = (double)(nanoseconds(CLOCK_MONOTONIC) - before);
    size_t aborted = 0;
    check(kp_producer_abort(producer, &aborted));
    if (aborted != ROUND) fail("abort", "not all user records waited: a call was answered");
    kp_producer_free(producer);
    if (round >= 0) {
      cpu[round] = cpu_ns / measured;
      rate[round] = measured / wall_ns * 1e3;
    }
  }
  printf("%-44s %7.1f ns %7.2f M/s\n", name, median(cpu), median(rate));
  fflush(stdout);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    put_t put;
  } ways[] = {{"try_put", try_put}, {"put_many", put_many}, {"put_columns", put_columns}};
  const char *wanted = argc > 1 ? argv[1] : "";
  check(kp_log_set_callback(on_line, KP_LOG_INFO, NULL, NULL));
  unsigned port = start_far_end();
  load_t loads[] = {make_load(1000), make_load(ROUND)};
  static const char *const kinds[] = {"1,000", "unique"};
  printf("%-44s %10s %11s\n", "100 B, keys of 20 B, 4 shards, queue", "CPU/record", "rate");
  for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
    for (size_t kind = 0; kind < 2; kind++) {
      char name[64];
      snprintf(name, sizeof name, "%s, %s keys", ways[way].name, kinds[kind]);
      if (strstr(name, wanted) != NULL) measure(name, port, &loads[kind], ways[way].put);
    }
  }
  for (size_t kind = 0; kind < 2; kind++) free_load(&loads[kind]);
  return 0;
}
