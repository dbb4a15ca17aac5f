// kinesis-producer: what the Amazon Kinesis Producer Library does, inside this process.
//
// Generated from bindings/c/src by `cargo xtask header`: change it there.
//
//     kp_config_t *config = kp_config_new();
//     kp_error_t *error = kp_config_set(config, "region", "eu-west-1");
//     if (!error) error = kp_producer_new(config, &producer);             // takes config, success or not
//     if (!error) error = kp_producer_stream(producer, "orders", &stream); // once, not for each put
//     int32_t status = kp_stream_put(stream, &record, opaque, 1000);      // KP_OK, KP_ERR_QUEUE_FULL, ...
//     kp_reports_t *reports = kp_producer_poll_reports(producer, 4096, 100);
//
// Setup and control return kp_error_t *, NULL for success; puts return a status, 0 for success and negative for a refusal, after
// which nothing was kept. Every accepted user record gets exactly one report. Outputs are written only on success, but for the
// `accepted` of puts of many. Input is copied before a call returns. Strings are UTF-8. After fork, objects are dead in the child:
// calls return KP_ERR_FORKED, and a child makes a producer of its own.

#ifndef KINESIS_PRODUCER_H
#define KINESIS_PRODUCER_H

#include <stddef.h>
#include <stdint.h>

// Success.
#define KP_OK 0

// No room for another user record, or too much is queued for its shard; nothing was kept.
#define KP_ERR_QUEUE_FULL -1

// The time given for waiting passed. A put that says so kept nothing.
#define KP_ERR_TIMED_OUT -2

// The user record's data, or data and partition key, are too large.
#define KP_ERR_RECORD_TOO_LARGE -3

// The partition key is empty, longer than 256 characters, or not UTF-8.
#define KP_ERR_INVALID_PARTITION_KEY -4

// The explicit hash key is not a decimal number from 0 to 2^128 - 1.
#define KP_ERR_INVALID_HASH_KEY -5

// The producer is closed or closing.
#define KP_ERR_CLOSED -6

// A bug stopped the producer; its outstanding user records were reported as aborted.
#define KP_ERR_POISONED -7

// What was asked for does not fit the producer's way of reporting.
#define KP_ERR_WRONG_REPORT_MODE -8

// Neither an ARN nor a stream name that Kinesis allows.
#define KP_ERR_INVALID_STREAM_NAME -9

// One or more settings are unknown, unreadable or out of range; the message names all of them.
#define KP_ERR_INVALID_CONFIG -20

// No region is configured and none was found in the environment.
#define KP_ERR_NO_REGION -21

// No credentials were found.
#define KP_ERR_NO_CREDENTIALS -22

// A file that the configuration names cannot be read or used.
#define KP_ERR_IO -23

// Threads or sockets could not be had.
#define KP_ERR_RUNTIME -24

// There is no metric of this name.
#define KP_ERR_UNKNOWN_METRIC -30

// Metrics can be asked for the last 1 to 60 seconds, or since the start.
#define KP_ERR_INVALID_WINDOW -31

// The data is not a sound aggregate.
#define KP_ERR_INVALID_AGGREGATE -40

// An argument is NULL, not UTF-8 or out of range.
#define KP_ERR_INVALID_ARGUMENT -60

// It would wait for the callback that it is called from.
#define KP_ERR_WRONG_THREAD -61

// The object belongs to the parent process: after fork, make a new producer.
#define KP_ERR_FORKED -62

// A bug in this library; nothing of what was asked for can be relied on.
#define KP_ERR_PANIC -63

// Something failed for good, or is a bug.
#define KP_LOG_ERROR 1

// Something that a person should know: throttling, a stream backed off, user records refused.
#define KP_LOG_WARN 2

// Something changed: a shard map came into use, calls succeed again.
#define KP_LOG_INFO 3

// What happens in detail.
#define KP_LOG_DEBUG 4

// A time-out that never comes, for every function that takes milliseconds.
#define KP_WAIT_FOREVER UINT64_MAX

// Status of a report: the user record is stored.
#define KP_REPORT_STORED 0

// record_ttl passed first; the attempts tell the last real error.
#define KP_REPORT_EXPIRED 1

// The shard was throttled and fail_if_throttled is set.
#define KP_REPORT_THROTTLED 2

// It was stored with an aggregate in a shard that does not own its hash key, and could not be sent again in time.
#define KP_REPORT_WRONG_SHARD 3

// The service refused it for good: kp_reports_error_code and kp_reports_error_message have its words.
#define KP_REPORT_SERVICE 4

// The answer had another number of entries than the request.
#define KP_REPORT_COUNT_MISMATCH 5

// The producer was closed, aborted or freed first.
#define KP_REPORT_ABORTED 6

// The user record is certainly not in the stream.
#define KP_STORED_NO 0

// An answer was lost: the user record is perhaps in the stream.
#define KP_STORED_POSSIBLY 1

// The user record is in the stream.
#define KP_STORED_YES 2

// The version of this header.
#define KP_VERSION_MAJOR 0

// The version of this header.
#define KP_VERSION_MINOR 1

// The version of this header.
#define KP_VERSION_PATCH 0

// The settings of a producer. Made by kp_config_new; kp_producer_new takes it.
typedef struct kp_config_t kp_config_t;

// Where a credentials callback puts what it found. See kp_credentials_set.
typedef struct kp_credentials_t kp_credentials_t;

// The user records of a Kinesis record, in rows from 0. They point into the data that they were read from.
typedef struct kp_deaggregated_t kp_deaggregated_t;

// What went wrong in setup or control. See kp_error_free.
typedef struct kp_error_t kp_error_t;

#if defined(KP_LOCAL)
// A Kinesis service inside this process, on a free loopback port. It keeps every record in memory, checks no signatures, and
// takes at most 1 MiB a Kinesis record.
typedef struct kp_local_t kp_local_t;
#endif

// Metrics, in rows from 0. Rows behind the end have neutral values (NULL, 0). Made by kp_producer_metrics, freed by
// kp_metrics_free.
typedef struct kp_metrics_t kp_metrics_t;

// Puts user records into Kinesis streams. Any number of threads may use it at once. Made by kp_producer_new, freed by
// kp_producer_free.
typedef struct kp_producer_t kp_producer_t;

// Reports taken together: one for each of some user records, in rows from 0. Rows behind the end have neutral values (NULL, 0).
// Made by kp_producer_poll_reports, or lent to the report callback.
typedef struct kp_reports_t kp_reports_t;

// What a producer looked like at one moment: see STATISTICS.md and statistics.schema.json. Made by kp_producer_statistics, or
// lent to the statistics callback.
typedef struct kp_statistics_t kp_statistics_t;

#if defined(KP_LOCAL)
// The Kinesis records of a stream, in rows from 0: shard by shard, in order within each.
typedef struct kp_stored_records_t kp_stored_records_t;
#endif

// A stream of a producer: any number of threads may use it at once. Made by kp_producer_stream, freed with its producer.
typedef struct kp_stream_t kp_stream_t;

// Takes reports. They are lent for the time of the call.
typedef void (*kp_reports_fn)(void *user_data, const kp_reports_t *reports);

// Called once with the user_data, when it is not needed any more; NULL if there is nothing to do.
typedef void (*kp_finalizer_fn)(void *user_data);

// Finds credentials: calls kp_credentials_set and returns 0, or returns another number if there are none now.
typedef int32_t (*kp_credentials_fn)(void *user_data, kp_credentials_t *credentials);

// Takes statistics. They are lent for the time of the call.
typedef void (*kp_statistics_fn)(void *user_data, const kp_statistics_t *statistics);

// A user record as a consumer sees it.
typedef struct {
  // sizeof(kp_deaggregated_record_t), set by the caller.
  size_t struct_size;
  // Its partition key, UTF-8, not NUL-terminated.
  const char *partition_key;
  // Bytes of partition_key.
  size_t partition_key_len;
  // Its payload, in the data that was read.
  const uint8_t *data;
  // Bytes of data.
  size_t data_len;
  // The writer's own hash key, a decimal number, NUL-terminated; NULL if it gave none.
  const char *explicit_hash_key;
  // Its place in the aggregate, as the KCL counts.
  uint64_t sub_sequence_number;
  // 1 if it comes from an aggregate, 0 if the Kinesis record itself is the user record.
  int32_t aggregated;
} kp_deaggregated_record_t;

#if defined(KP_LOCAL)
// A Kinesis record as it lies in its stream.
typedef struct {
  // sizeof(kp_stored_record_t), set by the caller.
  size_t struct_size;
  // Its partition key, NUL-terminated.
  const char *partition_key;
  // Its sequence number, NUL-terminated.
  const char *sequence_number;
  // Its shard, NUL-terminated.
  const char *shard_id;
  // Its data: kp_deaggregate reads the user records in it.
  const uint8_t *data;
  // Bytes of data.
  size_t data_len;
} kp_stored_record_t;
#endif

// Takes a log line: one of KP_LOG_*, and the text, which is the library's and lives for the call. It must not call this library.
typedef void (*kp_log_fn)(void *user_data, int32_t level, const char *line);

// What a producer did since it was made. See kp_producer_counters.
typedef struct {
  // sizeof(kp_counters_t), set by the caller.
  size_t struct_size;
  // User records accepted.
  uint64_t user_records_received;
  // User records reported as stored.
  uint64_t user_records_stored;
  // User records reported as failed (not stored, or not certainly).
  uint64_t user_records_failed;
  // Kinesis records reported as stored.
  uint64_t kinesis_records_stored;
  // Bytes (data and partition key) of the Kinesis records reported as stored.
  uint64_t kinesis_bytes_stored;
  // PutRecords calls made.
  uint64_t put_records_calls;
  // Kinesis records sent, each time they were sent.
  uint64_t attempts;
  // Bytes (data and partition key) of the Kinesis records sent, each time they were sent.
  uint64_t bytes_sent;
  // Kinesis records that the service throttled.
  uint64_t throttled;
  // Kinesis records that were stored in another shard than predicted and had to be sent again in part.
  uint64_t wrong_shard;
} kp_counters_t;

// One try of a user record.
typedef struct {
  // sizeof(kp_attempt_t), set by the caller.
  size_t struct_size;
  // Microseconds from the put (the first attempt) or the end of the attempt before, to its start.
  uint64_t delay_us;
  // Microseconds from its start to its end.
  uint64_t duration_us;
  // The service's error code, or the KPL's for what it names itself; NULL if it was stored.
  const char *error_code;
  // The service's words; NULL if it was stored.
  const char *error_message;
} kp_attempt_t;

// A user record to put, or one that comes back. Its bytes are copied before a put returns. Set it to zero, then struct_size to
// sizeof(kp_user_record_t): fields of later versions then take their defaults.
typedef struct {
  // sizeof(kp_user_record_t); in an array, also the distance from one to the next.
  size_t struct_size;
  // 1 to 256 characters of UTF-8; it need not end with NUL.
  const char *partition_key;
  // Bytes of partition_key.
  size_t partition_key_len;
  // The payload.
  const uint8_t *data;
  // Bytes of data.
  size_t data_len;
  // A decimal number from 0 to 2^128 - 1 that names the shard instead of the partition key; NULL for none. It need not end
  // with NUL.
  const char *explicit_hash_key;
  // Bytes of explicit_hash_key.
  size_t explicit_hash_key_len;
} kp_user_record_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The defaults.
//
// Ownership: the caller's, until kp_producer_new takes it; otherwise free it by kp_config_free. Threads: any. Since: 0.1
kp_config_t *kp_config_new(void);

// Frees settings that no producer took; NULL is allowed.
//
// Threads: one at a time. Since: 0.1
void kp_config_free(kp_config_t *config);

// Sets one setting by name, as CONFIGURATION.md lists them: "record_ttl" or the KPL's "RecordTtl", "30 s" or a number of
// milliseconds; "stream.orders.ordering" sets it for one stream.
//
// Errors: KP_ERR_INVALID_CONFIG if there is no such setting, or the value is unreadable or out of range; the setting is then
// unchanged. Threads: one at a time. Since: 0.1
kp_error_t *kp_config_set(kp_config_t *config,
                          const char *key,
                          const char *value);

// Takes settings from lines "key = value"; lines that begin with # are skipped.
//
// Errors: KP_ERR_INVALID_CONFIG naming all that is wrong; nothing of the text is then kept. Threads: one at a time. Since: 0.1
kp_error_t *kp_config_load_text(kp_config_t *config,
                                const char *lines);

// Takes settings from a properties file of the KPL (default_config.properties).
//
// Errors: KP_ERR_IO if it cannot be read; KP_ERR_INVALID_CONFIG naming all that is wrong; nothing of the file is then kept.
// Threads: one at a time. Since: 0.1
kp_error_t *kp_config_load_properties_file(kp_config_t *config,
                                           const char *path);

// Checks what settings demand of each other; kp_producer_new does it as well.
//
// Errors: KP_ERR_INVALID_CONFIG naming all that is wrong. Threads: one at a time. Since: 0.1
kp_error_t *kp_config_check(const kp_config_t *config);

// Reports come to this function instead of the queue of kp_producer_poll_reports. One thread of the producer calls it, one call
// at a time, never from inside a put. Its user records count as outstanding until it has returned. It may put; flush, close and
// free of its producer return KP_ERR_WRONG_THREAD. The reports are the library's: do not free them, do not keep them.
//
// Ownership: user_data stays the caller's; finalizer (NULL is allowed) is called once, when no
// call will follow, also if this is refused.
// Threads: callback and finalizer run on a thread of the library. Since: 0.1
kp_error_t *kp_config_set_report_callback(kp_config_t *config,
                                          kp_reports_fn callback,
                                          void *user_data,
                                          kp_finalizer_fn finalizer);

// Credentials come from this function: it is called when the first are needed, and again before they expire. It calls
// kp_credentials_set and returns 0, or returns another number if it has none now. It should be quick: a thread of the producer
// waits for it.
//
// Ownership: user_data stays the caller's; finalizer (NULL is allowed) is called once, when no
// call will follow, also if this is refused.
// Threads: callback and finalizer run on threads of the library. Since: 0.1
kp_error_t *kp_config_set_credentials_callback(kp_config_t *config,
                                               kp_credentials_fn callback,
                                               void *user_data,
                                               kp_finalizer_fn finalizer);

// A look at the whole producer goes to this function once every statistics_interval, which must be set as well, until the
// producer is closed. A thread of the producer calls it, one call at a time; the next one comes when it has returned. It may
// put, ask for metrics and statistics, and abort; flush, close and free of its producer return KP_ERR_WRONG_THREAD.
// kp_producer_free waits for a call that runs. The statistics are the library's: do not free them, do not keep them.
//
// Ownership: user_data stays the caller's; finalizer (NULL is allowed) is called once, when no
// call will follow, also if this is refused; at the latest before kp_producer_free returns.
// Errors: KP_ERR_INVALID_ARGUMENT. Threads: callback runs on a thread of the library, finalizer on any. Since: 0.1
kp_error_t *kp_config_set_statistics_callback(kp_config_t *config,
                                              kp_statistics_fn callback,
                                              void *user_data,
                                              kp_finalizer_fn finalizer);

// To be called by a credentials callback, with what it was given. session_token may be NULL; expires_at_ms is a time in
// milliseconds since 1970-01-01 00:00 UTC, 0 for credentials that do not expire.
//
// Errors: KP_ERR_INVALID_ARGUMENT. Threads: the callback's. Since: 0.1
kp_error_t *kp_credentials_set(kp_credentials_t *credentials,
                               const char *access_key_id,
                               const char *secret_access_key,
                               const char *session_token,
                               uint64_t expires_at_ms);

// The user records of a Kinesis record. One that is not a sound aggregate gives one user record: itself, with partition_key and
// explicit_hash_key (NULL for none). So nothing is ever lost.
//
// Ownership: the result is the caller's, to be freed by kp_deaggregated_free; data must outlive it. Errors:
// KP_ERR_INVALID_ARGUMENT, KP_ERR_INVALID_PARTITION_KEY (not UTF-8), KP_ERR_INVALID_HASH_KEY. Threads: any. Since: 0.1
kp_error_t *kp_deaggregate(const char *partition_key,
                           size_t partition_key_len,
                           const char *explicit_hash_key,
                           const uint8_t *data,
                           size_t data_len,
                           kp_deaggregated_t **records);

// The user records of an aggregate, or what is wrong with it.
//
// Ownership: the result is the caller's, to be freed by kp_deaggregated_free; data must outlive it. Errors:
// KP_ERR_INVALID_AGGREGATE unless data is an aggregate from beginning to end. Threads: any. Since: 0.1
kp_error_t *kp_try_deaggregate(const uint8_t *data, size_t data_len, kp_deaggregated_t **records);

// How many user records; 0 for NULL.
//
// Threads: any. Since: 0.1
size_t kp_deaggregated_len(const kp_deaggregated_t *records);

// The user record in a row. record->struct_size must be set.
//
// Ownership: what it points to is records' and the data's. Errors: KP_ERR_INVALID_ARGUMENT if there is no such row.
// Threads: any. Since: 0.1
int32_t kp_deaggregated_record(const kp_deaggregated_t *records, size_t row, kp_deaggregated_record_t *record);

// Frees user records; NULL is allowed.
//
// Threads: one at a time. Since: 0.1
void kp_deaggregated_free(kp_deaggregated_t *records);

// The code, one of KP_ERR_*; KP_OK for NULL.
//
// Threads: one at a time. Since: 0.1
int32_t kp_error_code(const kp_error_t *error);

// The name of the code, such as "InvalidConfig"; "Ok" for NULL.
//
// Ownership: static. Threads: one at a time. Since: 0.1
const char *kp_error_name(const kp_error_t *error);

// What was wrong, the value, and what is allowed, in English; "" for NULL.
//
// Ownership: the error's. Threads: one at a time. Since: 0.1
const char *kp_error_message(const kp_error_t *error);

// Frees an error; NULL is allowed.
//
// Threads: one at a time. Since: 0.1
void kp_error_free(kp_error_t *error);

// How many codes there are, KP_OK included: for tables in other languages.
//
// Threads: any. Since: 0.1
size_t kp_status_count(void);

// The code at a place of the table of codes; KP_ERR_INVALID_ARGUMENT behind its end.
//
// Threads: any. Since: 0.1
int32_t kp_status_at(size_t index);

// The name of a code, such as "QueueFull"; "Unknown" if there is no such code.
//
// Ownership: static. Threads: any. Since: 0.1
const char *kp_status_name(int32_t code);

// What a code means, in a sentence.
//
// Ownership: static. Threads: any. Since: 0.1
const char *kp_status_description(int32_t code);

#if defined(KP_LOCAL)
// Starts a service.
//
// Ownership: the caller's, to be freed by kp_local_free. Errors: KP_ERR_RUNTIME if no port or no thread can be had.
// Threads: any. Since: 0.1
kp_error_t *kp_local_start(kp_local_t **local);
#endif

#if defined(KP_LOCAL)
// Where it listens, for endpoint_url; NULL for NULL.
//
// Ownership: the service's. Threads: any. Since: 0.1
const char *kp_local_endpoint_url(const kp_local_t *local);
#endif

#if defined(KP_LOCAL)
// Settings with which a producer finds the service: endpoint, region, any credentials, no proxy.
//
// Errors: KP_ERR_INVALID_ARGUMENT, KP_ERR_FORKED. Threads: one at a time for config. Since: 0.1
kp_error_t *kp_local_configure(const kp_local_t *local, kp_config_t *config);
#endif

#if defined(KP_LOCAL)
// Creates a stream and waits until it takes records.
//
// Errors: KP_ERR_RUNTIME with the service's words. Threads: any. Since: 0.1
kp_error_t *kp_local_create_stream(const kp_local_t *local, const char *name, uint32_t shards);
#endif

#if defined(KP_LOCAL)
// Reads every Kinesis record of a stream.
//
// Ownership: the result is the caller's, to be freed by kp_stored_records_free. Errors: KP_ERR_RUNTIME with the service's words.
// Threads: any. Since: 0.1
kp_error_t *kp_local_read_stream(const kp_local_t *local,
                                 const char *name,
                                 kp_stored_records_t **records);
#endif

#if defined(KP_LOCAL)
// Stops a service and forgets its streams; NULL is allowed. In the child of a fork it does nothing.
//
// Threads: one, when no other uses it any more. Since: 0.1
void kp_local_free(kp_local_t *local);
#endif

#if defined(KP_LOCAL)
// How many Kinesis records; 0 for NULL.
//
// Threads: any. Since: 0.1
size_t kp_stored_records_len(const kp_stored_records_t *records);
#endif

#if defined(KP_LOCAL)
// The Kinesis record in a row. record->struct_size must be set.
//
// Ownership: what it points to is records'. Errors: KP_ERR_INVALID_ARGUMENT if there is no such row. Threads: any. Since: 0.1
int32_t kp_stored_records_get(const kp_stored_records_t *records,
                              size_t row,
                              kp_stored_record_t *record);
#endif

#if defined(KP_LOCAL)
// Frees Kinesis records; NULL is allowed.
//
// Threads: one at a time. Since: 0.1
void kp_stored_records_free(kp_stored_records_t *records);
#endif

// Log lines of all producers of this process go to this function, up to a level (KP_LOG_*); NULL ends it, whatever the level. Repeated lines come at
// most once in ten seconds. The library itself never writes to stdout or stderr.
//
// Ownership: user_data stays the caller's; finalizer (NULL is allowed) is called once, when no
// call will follow, also if this is refused.
// Errors: KP_ERR_INVALID_ARGUMENT, KP_ERR_RUNTIME. Threads: callback and finalizer run on any thread, also several at once.
// Since: 0.1
kp_error_t *kp_log_set_callback(kp_log_fn callback,
                                int32_t level,
                                void *user_data,
                                kp_finalizer_fn finalizer);

// A metric of the KPL's by its name in CloudWatch, such as "UserRecordsPut", or all of them if name is NULL; of the last
// window_seconds (1 to 60, the present one included), or since the start if that is 0. Each is given for the producer, every
// stream and every shard, and errors by code as well; what never had a value is not there.
//
// Ownership: the metrics are the caller's, to be freed by kp_metrics_free.
// Errors: KP_ERR_UNKNOWN_METRIC naming all there are, KP_ERR_INVALID_WINDOW. Threads: any. Since: 0.1
kp_error_t *kp_producer_metrics(const kp_producer_t *producer,
                                const char *name,
                                uint32_t window_seconds,
                                kp_metrics_t **metrics);

// How many rows; 0 for NULL.
//
// Threads: one at a time. Since: 0.1
size_t kp_metrics_len(const kp_metrics_t *metrics);

// The metric's name in CloudWatch.
//
// Ownership: the metrics'. Threads: one at a time. Since: 0.1
const char *kp_metrics_name(const kp_metrics_t *metrics, size_t row);

// What its values count: "Count", "Bytes" or "Milliseconds".
//
// Ownership: the metrics'. Threads: one at a time. Since: 0.1
const char *kp_metrics_unit(const kp_metrics_t *metrics, size_t row);

// The stream, by the name or ARN it was opened by; NULL for all streams together.
//
// Ownership: the metrics'. Threads: one at a time. Since: 0.1
const char *kp_metrics_stream(const kp_metrics_t *metrics, size_t row);

// The shard; NULL for all shards together.
//
// Ownership: the metrics'. Threads: one at a time. Since: 0.1
const char *kp_metrics_shard(const kp_metrics_t *metrics, size_t row);

// The error code, for ErrorsByCode; NULL for all codes of the producer together (for a stream or a shard see AllErrors), and for
// every other metric.
//
// Ownership: the metrics'. Threads: one at a time. Since: 0.1
const char *kp_metrics_error_code(const kp_metrics_t *metrics,
                                  size_t row);

// How many values.
//
// Threads: one at a time. Since: 0.1
uint64_t kp_metrics_count(const kp_metrics_t *metrics, size_t row);

// Their sum.
//
// Threads: one at a time. Since: 0.1
double kp_metrics_sum(const kp_metrics_t *metrics, size_t row);

// Their average; 0 if there are none.
//
// Threads: one at a time. Since: 0.1
double kp_metrics_mean(const kp_metrics_t *metrics, size_t row);

// The smallest; 0 if there are none.
//
// Threads: one at a time. Since: 0.1
double kp_metrics_min(const kp_metrics_t *metrics, size_t row);

// The largest; 0 if there are none.
//
// Threads: one at a time. Since: 0.1
double kp_metrics_max(const kp_metrics_t *metrics, size_t row);

// Frees metrics; NULL is allowed.
//
// Threads: one at a time. Since: 0.1
void kp_metrics_free(kp_metrics_t *metrics);

// Starts a producer with these settings: finds region and credentials, starts the threads. It connects to nothing but what the
// credentials need. Without a report callback, reports are to be taken by kp_producer_poll_reports.
//
// Ownership: takes config, success or not; the producer is the caller's, to be freed by kp_producer_free.
// Errors: KP_ERR_INVALID_CONFIG naming all that is wrong, KP_ERR_NO_REGION, KP_ERR_NO_CREDENTIALS, KP_ERR_IO (a certificate
// file), KP_ERR_RUNTIME. Threads: any. Since: 0.1
kp_error_t *kp_producer_new(kp_config_t *config,
                            kp_producer_t **producer);

// Looks up a stream by name or ARN, once, not for each put. Its shards are looked up in the background.
//
// Ownership: the stream is the producer's, and dies with it; the same name gives the same stream.
// Errors: KP_ERR_INVALID_STREAM_NAME. Threads: any. Since: 0.1
kp_error_t *kp_producer_stream(const kp_producer_t *producer, const char *name, kp_stream_t **stream);

// Takes reports from the queue: waits up to timeout_ms for the first, then takes at most max (but at least those of one Kinesis
// record). Their user records do not count as outstanding any more. After close or abort it gives what is left, then NULL.
//
// Ownership: the reports are the caller's, to be freed by kp_reports_free. NULL if there are none, or on misuse (no producer, a
// producer with a report callback, a child process). Threads: any. Since: 0.1
kp_reports_t *kp_producer_poll_reports(const kp_producer_t *producer,
                                       size_t max,
                                       uint64_t timeout_ms);

// A file descriptor for poll, select or epoll: readable as long as there are reports to take, and for good once no more will
// come.
//
// Ownership: the producer's; never read from it, never close it. Errors: KP_ERR_WRONG_REPORT_MODE for a producer with a report
// callback, KP_ERR_RUNTIME if there are no more descriptors, or none at all (only Unix has them). Threads: any. Since: 0.1
kp_error_t *kp_producer_reports_fd(const kp_producer_t *producer,
                                   int32_t *fd);

// Sends what was accepted so far without further linger, and waits until it is decided. It does not wait for reports to be
// taken.
//
// Errors: KP_ERR_TIMED_OUT if some of it is not decided after timeout_ms; KP_ERR_WRONG_THREAD in the report or the
// statistics callback. Threads: any. Since: 0.1
kp_error_t *kp_producer_flush(const kp_producer_t *producer,
                              uint64_t timeout_ms);

// Takes no more user records (waiting puts get KP_ERR_CLOSED), flushes, and after timeout_ms reports the rest as aborted.
// aborted (NULL is allowed) gets their number. The last metrics are uploaded in what is left of the time: two seconds at least,
// five at most. Afterwards take what is left of the reports, then free the producer; a report
// callback may still be at work with the last of them until then.
//
// Errors: KP_ERR_WRONG_THREAD in the report or the statistics callback. Threads: any. Since: 0.1
kp_error_t *kp_producer_close(const kp_producer_t *producer,
                              uint64_t timeout_ms,
                              size_t *aborted);

// Stops at once: what is undecided is reported as aborted before this returns. aborted (NULL is allowed) gets its number.
//
// Threads: any. Since: 0.1
kp_error_t *kp_producer_abort(const kp_producer_t *producer,
                              size_t *aborted);

// What was accepted and not delivered yet: user records, bytes of data and partition keys, and for how many milliseconds the
// oldest undecided one waits (0 if there is none). Each place may be NULL.
//
// Errors: KP_ERR_INVALID_ARGUMENT, KP_ERR_FORKED. Threads: any. Since: 0.1
int32_t kp_producer_outstanding(const kp_producer_t *producer,
                                size_t *records,
                                size_t *bytes,
                                uint64_t *oldest_ms);

// What a producer did since it was made, all streams together. counters->struct_size must be set.
//
// Errors: KP_ERR_INVALID_ARGUMENT, KP_ERR_FORKED. Threads: any. Since: 0.1
int32_t kp_producer_counters(const kp_producer_t *producer, kp_counters_t *counters);

// Stops the producer at once and frees it with its streams; NULL is allowed. What is undecided is aborted, reports in the queue
// are lost: to lose nothing, close it and take the reports first. With a report callback, everything is reported before this
// returns; no call of it or of a statistics callback follows, and their finalizers were called. In the child of a fork it does
// nothing.
//
// Errors: KP_ERR_WRONG_THREAD in the report or the statistics callback: nothing is freed then. Threads: one, when no other uses
// it any more; its callbacks may until this returns. Since: 0.1
int32_t kp_producer_free(kp_producer_t *producer);

// How many reports; 0 for NULL.
//
// Threads: one at a time. Since: 0.1
size_t kp_reports_len(const kp_reports_t *reports);

// The numbers that the puts gave, a column of kp_reports_len; NULL for NULL.
//
// Ownership: the reports'. Threads: one at a time. Since: 0.1
const uint64_t *kp_reports_opaques(const kp_reports_t *reports);

// What became of the user records, a column of kp_reports_len with KP_REPORT_*; NULL for NULL.
//
// Ownership: the reports'. Threads: one at a time. Since: 0.1
const int32_t *kp_reports_statuses(const kp_reports_t *reports);

// Whether the user record is in the stream: KP_STORED_NO, KP_STORED_POSSIBLY (an answer was lost) or KP_STORED_YES.
//
// Threads: one at a time. Since: 0.1
int32_t kp_reports_stored(const kp_reports_t *reports, size_t row);

// The error code, the service's or "Expired", "Aborted" …; NULL if the user record is stored.
//
// Ownership: the reports'. Threads: one at a time. Since: 0.1
const char *kp_reports_error_code(const kp_reports_t *reports, size_t row);

// What failed last, in the service's words, also if a later attempt was stored; NULL if nothing did.
//
// Ownership: the reports'. Threads: one at a time. Since: 0.1
const char *kp_reports_error_message(const kp_reports_t *reports, size_t row);

// The shard that stored the user record; NULL if none did.
//
// Ownership: the reports'. Threads: one at a time. Since: 0.1
const char *kp_reports_shard_id(const kp_reports_t *reports, size_t row);

// The sequence number of the Kinesis record that holds the user record; NULL if it is not stored.
//
// Ownership: the reports'. Threads: one at a time. Since: 0.1
const char *kp_reports_sequence_number(const kp_reports_t *reports, size_t row);

// The user record's place in its aggregate, from 0, as the KCL counts; -1 if it was not stored, or stored alone.
//
// Threads: one at a time. Since: 0.1
int64_t kp_reports_sub_sequence_number(const kp_reports_t *reports, size_t row);

// Microseconds from the put's return to the decision.
//
// Threads: one at a time. Since: 0.1
uint64_t kp_reports_latency_us(const kp_reports_t *reports, size_t row);

// How often the user record was tried, also beyond the attempts that are kept.
//
// Threads: one at a time. Since: 0.1
uint32_t kp_reports_attempts_total(const kp_reports_t *reports, size_t row);

// How many attempts are kept: all, or the first and the last fifteen.
//
// Threads: one at a time. Since: 0.1
size_t kp_reports_attempts_len(const kp_reports_t *reports, size_t row);

// An attempt, by its place among those that are kept. attempt->struct_size must be set.
//
// Ownership: its strings are the reports'. Errors: KP_ERR_INVALID_ARGUMENT if there is no such row or attempt.
// Threads: one at a time. Since: 0.1
int32_t kp_reports_attempt(const kp_reports_t *reports, size_t row, size_t index, kp_attempt_t *attempt);

// The user record itself, if it failed and return_user_record_on_failure is set. record->struct_size must be set.
//
// Ownership: what it points to is the reports'. Errors: KP_ERR_INVALID_ARGUMENT if there is none. Threads: one at a time.
// Since: 0.1
int32_t kp_reports_user_record(const kp_reports_t *reports,
                               size_t row,
                               kp_user_record_t *record);

// Frees reports; NULL is allowed. Not for those lent to the report callback.
//
// Threads: one at a time. Since: 0.1
void kp_reports_free(kp_reports_t *reports);

// A look at everything at this moment: queues, shards, times, hot keys, and what of it stands out. It costs some microseconds
// a shard.
//
// Ownership: the statistics are the caller's, to be freed by kp_statistics_free. Threads: any. Since: 0.1
kp_error_t *kp_producer_statistics(const kp_producer_t *producer,
                                   kp_statistics_t **statistics);

// The statistics as JSON on one line, NUL-terminated; NULL for NULL.
//
// Ownership: the statistics'. Threads: any. Since: 0.1
const char *kp_statistics_json(const kp_statistics_t *statistics);

// How many bytes the JSON has, without the NUL at its end; 0 for NULL.
//
// Threads: any. Since: 0.1
size_t kp_statistics_len(const kp_statistics_t *statistics);

// Frees statistics; NULL is allowed. Not for those lent to the statistics callback.
//
// Threads: one at a time. Since: 0.1
void kp_statistics_free(kp_statistics_t *statistics);

// Puts a user record, waiting up to timeout_ms for room. Its report comes with the number opaque.
//
// Ownership: everything is copied before it returns. Errors: KP_ERR_TIMED_OUT, KP_ERR_QUEUE_FULL (at once, where only taking
// reports could make room), KP_ERR_RECORD_TOO_LARGE, KP_ERR_INVALID_PARTITION_KEY, KP_ERR_INVALID_HASH_KEY, KP_ERR_CLOSED,
// KP_ERR_POISONED, KP_ERR_INVALID_ARGUMENT, KP_ERR_FORKED: nothing was kept, no report comes. Threads: any. Since: 0.1
int32_t kp_stream_put(const kp_stream_t *stream,
                      const kp_user_record_t *record,
                      uint64_t opaque,
                      uint64_t timeout_ms);

// Puts a user record if there is room for it: kp_stream_put with no time to wait, which then says KP_ERR_QUEUE_FULL.
//
// Errors: as kp_stream_put. Threads: any. Since: 0.1
int32_t kp_stream_try_put(const kp_stream_t *stream, const kp_user_record_t *record, uint64_t opaque);

// Puts len user records of an array in order, waiting up to timeout_ms for room (0: not at all); the fastest way, together with
// kp_stream_put_columns. accepted always gets how many were: the first ones. Their reports come with the numbers of opaques,
// which may be NULL (all are 0).
//
// Ownership: everything is copied before it returns. Errors: why the next one was not accepted, as kp_stream_put; KP_OK if all
// were. Threads: any. Since: 0.1
int32_t kp_stream_put_many(const kp_stream_t *stream,
                           const kp_user_record_t *records,
                           size_t len,
                           const uint64_t *opaques,
                           uint64_t timeout_ms,
                           size_t *accepted);

// The same for bindings of other languages: the user records stand in columns. keys holds all partition keys one behind the
// other, key_lens their len lengths in bytes; data and data_lens the payloads. hash_keys and hash_key_lens hold explicit hash
// keys, of length 0 where there is none; both may be NULL.
//
// Ownership: everything is copied before it returns. Errors: as kp_stream_put_many. Threads: any. Since: 0.1
int32_t kp_stream_put_columns(const kp_stream_t *stream,
                              size_t len,
                              const char *keys,
                              const uint32_t *key_lens,
                              const uint8_t *data,
                              const uint32_t *data_lens,
                              const char *hash_keys,
                              const uint32_t *hash_key_lens,
                              const uint64_t *opaques,
                              uint64_t timeout_ms,
                              size_t *accepted);

// The version of the library that runs, such as "1.4.0".
//
// Ownership: static. Threads: any. Since: 0.1
const char *kp_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* KINESIS_PRODUCER_H */
