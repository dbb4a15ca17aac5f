// Part of kinesis_producer.hpp: what is put, and what became of it.

#ifndef KINESIS_PRODUCER_REPORT_HPP
#define KINESIS_PRODUCER_REPORT_HPP

#include "result.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kinesis_producer {

// A user record to put; the views need to last only for the call. The hash key, a decimal number below 2^128, names the shard
// instead of the partition key; empty for none.
struct UserRecord {
  std::string_view partition_key;
  std::string_view data;
  std::string_view explicit_hash_key = {};
};

// Whether the user record is in the stream. `possibly`: an answer was lost.
enum class Stored : std::int32_t { no = KP_STORED_NO, possibly = KP_STORED_POSSIBLY, yes = KP_STORED_YES };

// What became of a user record, as KP_REPORT_* tells.
enum class Status : std::int32_t {
  stored = KP_REPORT_STORED,
  expired = KP_REPORT_EXPIRED,
  throttled = KP_REPORT_THROTTLED,
  wrong_shard = KP_REPORT_WRONG_SHARD,
  service = KP_REPORT_SERVICE,
  count_mismatch = KP_REPORT_COUNT_MISMATCH,
  aborted = KP_REPORT_ABORTED,
};

// One try of a user record; error code and message are empty if it was stored.
struct Attempt {
  std::chrono::microseconds delay{0};
  std::chrono::microseconds duration{0};
  std::string error_code;
  std::string error_message;
};

// The final outcome of one user record; owns its texts. Texts that do not apply are empty; sub_sequence_number is -1 if the user
// record was not stored or stored alone; of very many attempts only the first and the last are kept.
struct Report {
  Status status = Status::aborted;
  Stored stored = Stored::no;
  std::string shard_id;
  std::string sequence_number;
  std::int64_t sub_sequence_number = -1;
  std::string error_code;
  std::string error_message;
  std::chrono::microseconds latency{0};
  std::uint32_t attempts_total = 0;
  std::vector<Attempt> attempts;

  bool is_stored() const noexcept { return status == Status::stored; }
};

// A row of reports that others own: for the time of the callback, or as long as the Reports live. Its views are theirs as well.
class ReportView {
 public:
  ReportView(const kp_reports_t *reports, std::size_t row) noexcept : reports_(reports), row_(row) {}

  bool is_stored() const noexcept { return status() == Status::stored; }
  Status status() const noexcept { return static_cast<Status>(kp_reports_statuses(reports_)[row_]); }
  Stored stored() const noexcept { return static_cast<Stored>(kp_reports_stored(reports_, row_)); }
  // The number that the put gave, in queue mode.
  std::uint64_t opaque() const noexcept { return kp_reports_opaques(reports_)[row_]; }
  std::string_view shard_id() const noexcept { return detail::view(kp_reports_shard_id(reports_, row_)); }
  std::string_view sequence_number() const noexcept { return detail::view(kp_reports_sequence_number(reports_, row_)); }
  std::int64_t sub_sequence_number() const noexcept { return kp_reports_sub_sequence_number(reports_, row_); }
  std::string_view error_code() const noexcept { return detail::view(kp_reports_error_code(reports_, row_)); }
  std::string_view error_message() const noexcept { return detail::view(kp_reports_error_message(reports_, row_)); }
  std::chrono::microseconds latency() const noexcept {
    return std::chrono::microseconds(kp_reports_latency_us(reports_, row_));
  }
  std::uint32_t attempts_total() const noexcept { return kp_reports_attempts_total(reports_, row_); }

  // The user record, if it failed and return_user_record_on_failure is set.
  std::optional<UserRecord> user_record() const noexcept {
    kp_user_record_t record{};
    record.struct_size = sizeof record;
    if (kp_reports_user_record(reports_, row_, &record) != KP_OK) return std::nullopt;
    return UserRecord{{record.partition_key, record.partition_key_len},
                      detail::bytes(record.data, record.data_len),
                      {record.explicit_hash_key, record.explicit_hash_key_len}};
  }

  // A copy that may be kept.
  Report report() const {
    Report report{status(), stored(), std::string(shard_id()), std::string(sequence_number()), sub_sequence_number(),
                  std::string(error_code()), std::string(error_message()), latency(), attempts_total(), {}};
    const std::size_t kept = kp_reports_attempts_len(reports_, row_);
    report.attempts.reserve(kept);
    for (std::size_t index = 0; index < kept; index++) {
      kp_attempt_t attempt{};
      attempt.struct_size = sizeof attempt;
      if (kp_reports_attempt(reports_, row_, index, &attempt) != KP_OK) break;
      report.attempts.push_back({std::chrono::microseconds(attempt.delay_us), std::chrono::microseconds(attempt.duration_us),
                                 std::string(detail::view(attempt.error_code)), std::string(detail::view(attempt.error_message))});
    }
    return report;
  }

 private:
  const kp_reports_t *reports_;
  std::size_t row_;
};

// Reports taken from the queue: none if none came in time. Columns and rows are valid as long as this lives.
class Reports {
 public:
  explicit Reports(kp_reports_t *reports) noexcept : reports_(reports) {}

  std::size_t size() const noexcept { return kp_reports_len(reports_.get()); }
  bool empty() const noexcept { return reports_ == nullptr; }
  // Columns of size(): the numbers that the puts gave, and KP_REPORT_*. The cheapest way to look at all.
  const std::uint64_t *opaques() const noexcept { return kp_reports_opaques(reports_.get()); }
  const std::int32_t *statuses() const noexcept { return kp_reports_statuses(reports_.get()); }
  // A row below size().
  ReportView operator[](std::size_t row) const noexcept { return {reports_.get(), row}; }

 private:
  detail::Owned<kp_reports_t> reports_;
};

}  // namespace kinesis_producer

#endif  // KINESIS_PRODUCER_REPORT_HPP
