// After fork, the parent's objects are dead in the child, which makes a producer of its own; the parent goes on.

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi.h"

typedef struct {
  kp_local_t *service;
  kp_producer_t *queue;
  kp_stream_t *stream;
  kp_producer_t *callback;
  kp_reports_t *reports;
  const char *endpoint_url;
} parent_t;

static int finalized;

static void on_reports(void *user_data, const kp_reports_t *reports) {
  (void)user_data;
  (void)reports;
}

static void finalize(void *user_data) {
  (void)user_data;
  finalized++;
}

static void every_call_says_forked(const parent_t *parent) {
  kp_stream_t *stream = NULL;
  int32_t fd = -7;
  size_t number = 7;
  uint64_t oldest = 7;
  const uint32_t one = 1;
  kp_user_record_t record = user_record("k", "v");
  FAILS(kp_producer_stream(parent->queue, "s", &stream), KP_ERR_FORKED);
  FAILS(kp_producer_reports_fd(parent->queue, &fd), KP_ERR_FORKED);
  CHECK(kp_producer_poll_reports(parent->queue, 1, KP_WAIT_FOREVER) == NULL);
  FAILS(kp_producer_flush(parent->queue, KP_WAIT_FOREVER), KP_ERR_FORKED);
  FAILS(kp_producer_close(parent->queue, KP_WAIT_FOREVER, &number), KP_ERR_FORKED);
  FAILS(kp_producer_abort(parent->queue, &number), KP_ERR_FORKED);
  IS(kp_producer_outstanding(parent->queue, &number, &number, &oldest), KP_ERR_FORKED);
  kp_counters_t counters = {0};
  counters.struct_size = sizeof counters;
  IS(kp_producer_counters(parent->queue, &counters), KP_ERR_FORKED);
  kp_metrics_t *metrics = NULL;
  kp_statistics_t *statistics = NULL;
  FAILS(kp_producer_metrics(parent->queue, NULL, 0, &metrics), KP_ERR_FORKED);
  FAILS(kp_producer_statistics(parent->queue, &statistics), KP_ERR_FORKED);
  CHECK(metrics == NULL && statistics == NULL);
  CHECK(stream == NULL && fd == -7 && number == 7 && oldest == 7);
  IS(kp_stream_put(parent->stream, &record, 0, KP_WAIT_FOREVER), KP_ERR_FORKED);
  IS(kp_stream_try_put(parent->stream, &record, 0), KP_ERR_FORKED);
  IS(kp_stream_put_many(parent->stream, &record, 1, NULL, KP_WAIT_FOREVER, &number), KP_ERR_FORKED);
  CHECK(number == 0);
  IS(kp_stream_put_columns(parent->stream, 1, "k", &one, (const uint8_t *)"v", &one, NULL, NULL, NULL, 0, &number), KP_ERR_FORKED);
  FAILS(kp_producer_abort(parent->callback, NULL), KP_ERR_FORKED);

  kp_config_t *config = kp_config_new();
  kp_stored_records_t *stored = NULL;
  CHECK(kp_local_endpoint_url(parent->service) == NULL);
  FAILS(kp_local_configure(parent->service, config), KP_ERR_FORKED);
  FAILS(kp_local_create_stream(parent->service, "t", 1), KP_ERR_FORKED);
  FAILS(kp_local_read_stream(parent->service, "s", &stored), KP_ERR_FORKED);
  kp_config_free(config);
  kp_local_free(parent->service);

  // What has no threads lives on: reports that were taken are memory.
  CHECK(kp_reports_len(parent->reports) == 1 && kp_reports_shard_id(parent->reports, 0) != NULL);

  IS(kp_producer_free(parent->queue), KP_ERR_FORKED);
  IS(kp_producer_free(parent->callback), KP_ERR_FORKED);
  CHECK(finalized == 0);
}

static void child(const parent_t *parent) {
  every_call_says_forked(parent);
  kp_config_t *config = settings(NULL, "");
  WORKS(kp_config_set(config, "endpoint_url", parent->endpoint_url));
  kp_producer_t *own = start_producer(config);
  kp_user_record_t record = user_record("k", "from the child");
  IS(kp_stream_put(open_stream(own, "s"), &record, 5, 1000), KP_OK);
  CHECK(take_reports(own, 1, NULL) == 1);
  WORKS(kp_producer_close(own, 10000, NULL));
  IS(kp_producer_free(own), KP_OK);

  // A service of its own works as well.
  kp_local_t *service = start_service();
  kp_local_free(service);
}

static void put_and_take(const parent_t *parent) {
  kp_user_record_t record = user_record("k", "from the parent");
  IS(kp_stream_put(parent->stream, &record, 0, 1000), KP_OK);
  CHECK(take_reports(parent->queue, 1, NULL) == 1);
}

int main(void) {
  parent_t parent = {0};
  parent.service = start_service();
  parent.endpoint_url = kp_local_endpoint_url(parent.service);
  parent.queue = start_producer(settings(parent.service, ""));
  parent.stream = open_stream(parent.queue, "s");
  kp_config_t *config = settings(parent.service, "");
  WORKS(kp_config_set_report_callback(config, on_reports, NULL, finalize));
  parent.callback = start_producer(config);
  put_and_take(&parent);
  kp_user_record_t record = user_record("k", "before");
  IS(kp_stream_put(parent.stream, &record, 0, 1000), KP_OK);
  parent.reports = kp_producer_poll_reports(parent.queue, 1, 60000);
  CHECK(parent.reports != NULL);

  // One lies in the buffer while the process forks.
  IS(kp_stream_put(parent.stream, &record, 0, 1000), KP_OK);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    child(&parent);
    _exit(0);
  }
  CHECK(take_reports(parent.queue, 1, NULL) == 1);
  put_and_take(&parent);
  int status = -1;
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  put_and_take(&parent);

  kp_reports_free(parent.reports);
  IS(kp_producer_free(parent.callback), KP_OK);
  WORKS(kp_producer_close(parent.queue, 10000, NULL));
  IS(kp_producer_free(parent.queue), KP_OK);
  kp_local_free(parent.service);
  return 0;
}
