// Part of kinesis_producer.hpp: how a report finds the future or the function of its put.

#ifndef KINESIS_PRODUCER_COMPLETION_HPP
#define KINESIS_PRODUCER_COMPLETION_HPP

#include "report.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <utility>
#include <vector>

namespace kinesis_producer {

// Called with the report of a user record, on a thread of the library, one call at a time of a producer. It may put, but not
// flush, close or destroy its producer. The view ends with the call; ReportView::report() makes a copy.
using OnReport = std::function<void(const ReportView &)>;

// The same for put_many; `index` is the user record's place in what was put.
using OnReports = std::function<void(std::size_t index, const ReportView &)>;

// How many were accepted, the first ones, and why the next one was not; nothing if all were.
struct PutMany {
  std::size_t accepted = 0;
  std::optional<Error> stopped;
};

// Reports of detached puts, counted. Exceptions are those of the caller's functions.
struct Counts {
  std::uint64_t stored = 0;
  std::uint64_t possibly_stored = 0;
  std::uint64_t not_stored = 0;
  std::uint64_t exceptions = 0;
};

namespace detail {

// What producer, streams and callback share.
struct Shared {
  std::atomic<std::uint64_t> by_stored[3] = {};
  std::atomic<std::uint64_t> exceptions{0};

  // Calls a function of the caller's: nothing that it throws may come into the library.
  template <class Function, class... Arguments>
  void call(const Function &function, const Arguments &...arguments) noexcept {
    try {
      function(arguments...);
    } catch (...) {
      exceptions++;
    }
  }
};

// What waits for a report: the opaque number of a put is its address. Completed once, by the callback.
class Completion {
 public:
  virtual void complete(const ReportView &report, Shared &shared) noexcept = 0;

 protected:
  ~Completion() = default;
};

inline std::uint64_t address(const Completion *completion) noexcept { return reinterpret_cast<std::uintptr_t>(completion); }

class PromiseCompletion final : public Completion {
 public:
  void complete(const ReportView &report, Shared &) noexcept override {
    std::unique_ptr<PromiseCompletion> own(this);
    try {
      promise.set_value(report.report());
    } catch (...) {
      // No memory for the texts: the future says so.
      promise.set_exception(std::current_exception());
    }
  }
  std::promise<Report> promise;
};

class FunctionCompletion final : public Completion {
 public:
  explicit FunctionCompletion(OnReport function) : function_(std::move(function)) {}
  void complete(const ReportView &report, Shared &shared) noexcept override {
    std::unique_ptr<FunctionCompletion> own(this);
    shared.call(function_, report);
  }

 private:
  OnReport function_;
};

// One for all user records of a put_many; the last report, or the put if that is later, deletes it.
class Batch {
 public:
  Batch(OnReports function, std::size_t len) : function_(std::move(function)), open_(len + 1), rows_(len, Row(this)) {}

  std::uint64_t opaque(std::size_t index) noexcept { return address(&rows_[index]); }

  // So many user records are done with, or were never accepted.
  void release(std::size_t count) noexcept {
    if (open_.fetch_sub(count) == count) delete this;
  }

 private:
  class Row final : public Completion {
   public:
    explicit Row(Batch *batch) : batch_(batch) {}
    void complete(const ReportView &report, Shared &shared) noexcept override {
      shared.call(batch_->function_, static_cast<std::size_t>(this - batch_->rows_.data()), report);
      batch_->release(1);
    }

   private:
    Batch *batch_;
  };
  OnReports function_;
  std::atomic<std::size_t> open_;
  std::vector<Row> rows_;
};

inline void on_reports(void *user_data, const kp_reports_t *reports) noexcept {
  Shared &shared = **static_cast<std::shared_ptr<Shared> *>(user_data);
  const std::uint64_t *opaques = kp_reports_opaques(reports);
  const std::int32_t *statuses = kp_reports_statuses(reports);
  std::uint64_t by_stored[3] = {};
  for (std::size_t row = 0, len = kp_reports_len(reports); row < len; row++) {
    if (opaques[row] != 0) {
      reinterpret_cast<Completion *>(static_cast<std::uintptr_t>(opaques[row]))->complete(ReportView(reports, row), shared);
    } else {
      by_stored[statuses[row] == KP_REPORT_STORED ? KP_STORED_YES : kp_reports_stored(reports, row)]++;
    }
  }
  for (std::size_t i = 0; i < 3; i++) shared.by_stored[i] += by_stored[i];
}

inline kp_user_record_t c_record(const UserRecord &record) noexcept {
  kp_user_record_t c{};
  c.struct_size = sizeof c;
  c.partition_key = record.partition_key.data();
  c.partition_key_len = record.partition_key.size();
  c.data = reinterpret_cast<const std::uint8_t *>(record.data.data());
  c.data_len = record.data.size();
  c.explicit_hash_key = record.explicit_hash_key.empty() ? nullptr : record.explicit_hash_key.data();
  c.explicit_hash_key_len = record.explicit_hash_key.size();
  return c;
}

template <class Key, class Data>
kp_user_record_t c_record(const std::pair<Key, Data> &record) noexcept {
  return c_record(UserRecord{record.first, record.second});
}

}  // namespace detail

}  // namespace kinesis_producer

#endif  // KINESIS_PRODUCER_COMPLETION_HPP
