// C++17 on the C ABI of kinesis_producer.h: objects that free themselves, results instead of status codes, futures and functions
// instead of numbers. Headers only (this one, with the directory beside it); link with the same library.
//
//     using namespace std::chrono_literals;
//     namespace kp = kinesis_producer;
//     kp::Config config;
//     if (auto set = config.set("region", "eu-west-1"); !set) return fail(set.error());
//     kp::Result<kp::Producer> producer = kp::Producer::start(std::move(config));
//     if (!producer) return fail(producer.error());
//     kp::Result<kp::Stream> orders = producer->stream("orders");           // once, not for each put
//     auto put = orders->put("customer-17", "one espresso", 1s);            // Result<std::future<Report>>
//     if (put) std::cout << put->get().sequence_number;
//
// Errors: what can fail returns a Result, and nothing here throws but std::bad_alloc, to its caller. What a function of the
// caller's throws on a thread of the library is caught; of functions for reports it is counted (Producer::counts).
//
// Ownership: what is put is copied before a put returns. Objects own what they are made of, except Stream and what is called a
// view: these must not outlive what they came from. An object that was moved from may only be assigned to or destroyed.
//
// Threads: Producer, Stream and LocalService may be used by any number of threads at once, but be destroyed or moved by one when
// no other uses them. All else is used by one thread at a time.
//
// Time-outs are milliseconds; `forever` is one that never comes, and what is below zero is zero.

#ifndef KINESIS_PRODUCER_HPP
#define KINESIS_PRODUCER_HPP

#include "kinesis_producer/completion.hpp"
#include "kinesis_producer/config.hpp"
#include "kinesis_producer/consumer.hpp"
#include "kinesis_producer/metrics.hpp"
#include "kinesis_producer/report.hpp"
#include "kinesis_producer/result.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kinesis_producer {

// A stream of a producer: a cheap handle that must not outlive it, and may be copied. A user record of put_many is a UserRecord
// or a std::pair of partition key and data; many are given as a container with data() and size(), or as pointer and length.
//
// Every put waits for room up to its time-out, and fails with KP_ERR_TIMED_OUT, KP_ERR_QUEUE_FULL (no time to wait, or in queue
// mode only taking reports could make room), KP_ERR_RECORD_TOO_LARGE, KP_ERR_INVALID_PARTITION_KEY, KP_ERR_INVALID_HASH_KEY,
// KP_ERR_CLOSED, KP_ERR_POISONED, KP_ERR_FORKED, or KP_ERR_WRONG_REPORT_MODE: then nothing was kept and no report comes.
// Do not wait for room inside a callback: room comes when it returns.
class Stream {
 public:
  // The future gets the report; it may outlive the producer. It is never abandoned.
  Result<std::future<Report>> put(const UserRecord &record, milliseconds timeout = forever) const {
    auto completion = std::make_unique<detail::PromiseCompletion>();
    auto future = completion->promise.get_future();
    if (const std::int32_t status = put_completion(record, completion, timeout); status != KP_OK) {
      return detail::status_error(status);
    }
    return future;
  }
  Result<std::future<Report>> put(std::string_view partition_key, std::string_view data, milliseconds timeout = forever) const {
    return put(UserRecord{partition_key, data}, timeout);
  }

  // The function is called once with the report, and deleted; not called if the put fails.
  Result<void> put(const UserRecord &record, OnReport on_report, milliseconds timeout = forever) const {
    auto completion = std::make_unique<detail::FunctionCompletion>(std::move(on_report));
    return outcome(put_completion(record, completion, timeout));
  }
  Result<void> put(std::string_view partition_key, std::string_view data, OnReport on_report,
                   milliseconds timeout = forever) const {
    return put(UserRecord{partition_key, data}, std::move(on_report), timeout);
  }

  // Nobody waits for the report; Producer::counts counts it. In queue mode it comes with the number 0.
  Result<void> put_detached(const UserRecord &record, milliseconds timeout = forever) const {
    return outcome(put_opaque(record, 0, timeout));
  }

  // Queue mode: the report comes with this number.
  Result<void> put_numbered(const UserRecord &record, std::uint64_t opaque, milliseconds timeout = forever) const {
    if (shared_ != nullptr) return detail::status_error(KP_ERR_WRONG_REPORT_MODE);
    return outcome(put_opaque(record, opaque, timeout));
  }

  // One function for the reports of all: called once for each that was accepted, deleted after the last.
  template <class Record>
  PutMany put_many(const Record *records, std::size_t len, OnReports on_report, milliseconds timeout = forever) const {
    if (shared_ == nullptr) return {0, detail::status_error(KP_ERR_WRONG_REPORT_MODE)};
    auto *batch = new detail::Batch(std::move(on_report), len);
    const PutMany put = put_in_pieces(records, len, timeout, [batch](std::size_t index) { return batch->opaque(index); });
    batch->release(1 + len - put.accepted);
    return put;
  }
  template <class Records>
  PutMany put_many(const Records &records, OnReports on_report, milliseconds timeout = forever) const {
    return put_many(records.data(), records.size(), std::move(on_report), timeout);
  }

  // Nobody waits for the reports; Producer::counts counts them. In queue mode they come with the number 0.
  template <class Records>
  PutMany put_many_detached(const Records &records, milliseconds timeout = forever) const {
    return put_in_pieces(records.data(), records.size(), timeout, [](std::size_t) { return std::uint64_t{0}; });
  }

  // Queue mode: the reports come with these numbers, one for each user record.
  template <class Records>
  PutMany put_many_numbered(const Records &records, const std::uint64_t *opaques, milliseconds timeout = forever) const {
    if (shared_ != nullptr) return {0, detail::status_error(KP_ERR_WRONG_REPORT_MODE)};
    return put_in_pieces(records.data(), records.size(), timeout, [opaques](std::size_t index) { return opaques[index]; });
  }

 private:
  friend class Producer;
  Stream(kp_stream_t *stream, detail::Shared *shared) noexcept : stream_(stream), shared_(shared) {}

  static Result<void> outcome(std::int32_t status) {
    if (status == KP_OK) return {};
    return detail::status_error(status);
  }

  std::int32_t put_opaque(const UserRecord &record, std::uint64_t opaque, milliseconds timeout) const noexcept {
    const kp_user_record_t c = detail::c_record(record);
    return kp_stream_put(stream_, &c, opaque, detail::timeout_ms(timeout));
  }

  template <class Waiting>
  std::int32_t put_completion(const UserRecord &record, std::unique_ptr<Waiting> &completion, milliseconds timeout) const noexcept {
    if (shared_ == nullptr) return KP_ERR_WRONG_REPORT_MODE;
    const std::int32_t status = put_opaque(record, detail::address(completion.get()), timeout);
    // Accepted: the callback deletes it, and has perhaps done so already.
    if (status == KP_OK) static_cast<void>(completion.release());
    return status;
  }

  // Pieces go through the stack, so that nothing is allocated for user records.
  template <class Record, class Opaque>
  PutMany put_in_pieces(const Record *records, std::size_t len, milliseconds timeout, const Opaque &opaque) const {
    constexpr std::size_t piece = 256;
    std::array<kp_user_record_t, piece> c;
    std::array<std::uint64_t, piece> opaques;
    const auto start = std::chrono::steady_clock::now();
    PutMany put;
    while (put.accepted < len) {
      const std::size_t count = std::min(piece, len - put.accepted);
      for (std::size_t i = 0; i < count; i++) {
        c[i] = detail::c_record(records[put.accepted + i]);
        opaques[i] = opaque(put.accepted + i);
      }
      milliseconds left = timeout;
      if (timeout != forever && timeout.count() > 0 && put.accepted > 0) {
        // Not down to 0, which would be a put that does not wait at all.
        const auto spent = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
        left = std::max(timeout - spent, milliseconds(1));
      }
      std::size_t accepted = 0;
      const std::int32_t status =
          kp_stream_put_many(stream_, c.data(), count, opaques.data(), detail::timeout_ms(left), &accepted);
      put.accepted += accepted;
      if (status != KP_OK) {
        put.stopped = detail::status_error(status);
        break;
      }
    }
    return put;
  }

  kp_stream_t *stream_;
  detail::Shared *shared_;  // none in queue mode
};

// What was accepted and not delivered yet; `oldest` is how long the oldest undecided user record waits.
struct Outstanding {
  std::size_t records = 0;
  std::size_t bytes = 0;
  milliseconds oldest{0};
};

// Puts user records into streams. Destroyed, it stops at once and reports as aborted what is undecided, so that every future and
// every function has its report; to lose nothing, close it first. Do not destroy it in a callback of its own: it would be left
// running for ever. In the child of a fork it is dead, its futures never come, and the child makes a producer of its own.
class Producer {
 public:
  // Reports go to the futures and functions of the puts.
  static Result<Producer> start(Config config) {
    auto shared = std::make_shared<detail::Shared>();
    auto user_data = std::make_unique<std::shared_ptr<detail::Shared>>(shared);
    // The library deletes it, also if it refuses it.
    if (kp_error_t *error = kp_config_set_report_callback(config.get(), detail::on_reports, user_data.release(),
                                                          detail::delete_function<std::shared_ptr<detail::Shared>>)) {
      return detail::take_error(error);
    }
    return start(std::move(config), std::move(shared));
  }
  // Reports go to a queue, from which poll_reports takes them: the cheapest way. Puts give numbers.
  static Result<Producer> start_with_queue(Config config) { return start(std::move(config), nullptr); }

  // Looks a stream up by name or ARN: once, not for each put.
  Result<Stream> stream(const std::string &name) const {
    kp_stream_t *stream = nullptr;
    if (kp_error_t *error = kp_producer_stream(producer_.get(), name.c_str(), &stream)) return detail::take_error(error);
    return Stream(stream, shared_.get());
  }

  // Queue mode: waits for the first report, then takes at most max (but at least those of one Kinesis record). Empty if none
  // came in time, after close or abort when all are taken, and without a queue.
  Reports poll_reports(std::size_t max, milliseconds timeout) const noexcept {
    if (shared_ != nullptr) return Reports(nullptr);
    return Reports(kp_producer_poll_reports(producer_.get(), max, detail::timeout_ms(timeout)));
  }
  // Queue mode: a descriptor for poll, readable as long as there are reports to take. Never read or close it.
  Result<int> reports_fd() const {
    std::int32_t fd = -1;
    if (kp_error_t *error = kp_producer_reports_fd(producer_.get(), &fd)) return detail::take_error(error);
    return static_cast<int>(fd);
  }

  // Sends what was accepted without further linger, and waits until it is decided. KP_ERR_WRONG_THREAD in a callback.
  Result<void> flush(milliseconds timeout) const {
    return detail::checked(kp_producer_flush(producer_.get(), detail::timeout_ms(timeout)));
  }
  // Takes no more, flushes, and after the time-out reports the rest as aborted; gives the rest's number. It does not wait until
  // functions were called: destroying the producer does. In queue mode take what is left of the reports first.
  // KP_ERR_WRONG_THREAD in a callback.
  Result<std::size_t> close(milliseconds timeout) const {
    std::size_t aborted = 0;
    if (kp_error_t *error = kp_producer_close(producer_.get(), detail::timeout_ms(timeout), &aborted)) {
      return detail::take_error(error);
    }
    return aborted;
  }
  // Stops at once: what is undecided is reported as aborted. Gives its number.
  Result<std::size_t> abort() const {
    std::size_t aborted = 0;
    if (kp_error_t *error = kp_producer_abort(producer_.get(), &aborted)) return detail::take_error(error);
    return aborted;
  }
  // KP_ERR_FORKED in the child of a fork.
  Result<Outstanding> outstanding() const {
    std::size_t records = 0, bytes = 0;
    std::uint64_t oldest_ms = 0;
    const std::int32_t status = kp_producer_outstanding(producer_.get(), &records, &bytes, &oldest_ms);
    if (status != KP_OK) return detail::status_error(status);
    return Outstanding{records, bytes, milliseconds(oldest_ms)};
  }
  // What it did since it was made. KP_ERR_FORKED in the child of a fork.
  Result<kp_counters_t> counters() const {
    kp_counters_t counters{};
    counters.struct_size = sizeof counters;
    const std::int32_t status = kp_producer_counters(producer_.get(), &counters);
    if (status != KP_OK) return detail::status_error(status);
    return counters;
  }
  // A metric of the KPL's by its name in CloudWatch, or all of them if it is empty; of the last 1 to 60 seconds, or since the start
  // if the window is 0. Each is given for the producer, every stream and every shard, and errors by code as well; what never had
  // a value is not there. KP_ERR_UNKNOWN_METRIC, KP_ERR_INVALID_WINDOW, KP_ERR_FORKED in the child of a fork.
  Result<std::vector<Metric>> metrics(const std::string &name = {}, std::chrono::seconds window = std::chrono::seconds(0)) const {
    return detail::metrics(producer_.get(), name, window);
  }
  // A look at everything at this moment, as JSON: see STATISTICS.md. KP_ERR_FORKED in the child of a fork.
  Result<std::string> statistics() const { return detail::statistics(producer_.get()); }
  // Reports of detached puts that came, and exceptions of callbacks; all 0 in queue mode.
  Counts counts() const noexcept {
    if (shared_ == nullptr) return {};
    return {shared_->by_stored[KP_STORED_YES], shared_->by_stored[KP_STORED_POSSIBLY], shared_->by_stored[KP_STORED_NO],
            shared_->exceptions};
  }

 private:
  Producer(kp_producer_t *producer, std::shared_ptr<detail::Shared> shared) noexcept
      : shared_(std::move(shared)), producer_(producer) {}

  static Result<Producer> start(Config config, std::shared_ptr<detail::Shared> shared) {
    kp_producer_t *producer = nullptr;
    if (kp_error_t *error = kp_producer_new(config.config_.release(), &producer)) return detail::take_error(error);
    return Producer(producer, std::move(shared));
  }

  std::shared_ptr<detail::Shared> shared_;
  detail::Owned<kp_producer_t> producer_;
};

}  // namespace kinesis_producer

#endif  // KINESIS_PRODUCER_HPP
