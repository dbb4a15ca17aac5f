// Part of kinesis_producer.hpp: reading what was put; with KP_LOCAL, from a service inside this process.

#ifndef KINESIS_PRODUCER_CONSUMER_HPP
#define KINESIS_PRODUCER_CONSUMER_HPP

#include "config.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kinesis_producer {

// A user record as a consumer sees it. The data is in what was read, the rest is the Deaggregated's.
struct DeaggregatedRecord {
  std::string_view partition_key;
  std::string_view data;
  std::optional<std::string_view> explicit_hash_key;
  std::uint64_t sub_sequence_number = 0;
  bool aggregated = false;
};

// The user records of a Kinesis record, whose data must outlive this.
class Deaggregated {
 public:
  explicit Deaggregated(kp_deaggregated_t *records) noexcept : records_(records) {}
  std::size_t size() const noexcept { return kp_deaggregated_len(records_.get()); }
  // A row below size().
  DeaggregatedRecord operator[](std::size_t row) const noexcept {
    kp_deaggregated_record_t record{};
    record.struct_size = sizeof record;
    kp_deaggregated_record(records_.get(), row, &record);
    DeaggregatedRecord found{{record.partition_key, record.partition_key_len}, detail::bytes(record.data, record.data_len),
                             std::nullopt, record.sub_sequence_number, record.aggregated != 0};
    if (record.explicit_hash_key != nullptr) found.explicit_hash_key = record.explicit_hash_key;
    return found;
  }

 private:
  detail::Owned<kp_deaggregated_t> records_;
};

// The user records of a Kinesis record; one that is not a sound aggregate gives itself, so that nothing is lost.
inline Result<Deaggregated> deaggregate(std::string_view partition_key, std::string_view data) {
  kp_deaggregated_t *records = nullptr;
  if (kp_error_t *error = kp_deaggregate(partition_key.data(), partition_key.size(), nullptr,
                                         reinterpret_cast<const std::uint8_t *>(data.data()), data.size(), &records)) {
    return detail::take_error(error);
  }
  return Deaggregated(records);
}

// The user records of an aggregate, or what is wrong with it.
inline Result<Deaggregated> try_deaggregate(std::string_view data) {
  kp_deaggregated_t *records = nullptr;
  const auto *bytes = reinterpret_cast<const std::uint8_t *>(data.data());
  if (kp_error_t *error = kp_try_deaggregate(bytes, data.size(), &records)) return detail::take_error(error);
  return Deaggregated(records);
}

#if defined(KP_LOCAL)

// A Kinesis record as it lies in its stream; owns its bytes.
struct StoredRecord {
  std::string partition_key;
  std::string sequence_number;
  std::string shard_id;
  std::string data;
};

// A Kinesis service inside this process, for tests and examples; destroyed, it stops and forgets its streams.
class LocalService {
 public:
  static Result<LocalService> start() {
    kp_local_t *local = nullptr;
    if (kp_error_t *error = kp_local_start(&local)) return detail::take_error(error);
    return LocalService(local);
  }
  std::string endpoint_url() const { return std::string(detail::view(kp_local_endpoint_url(local_.get()))); }
  // Settings with which a producer finds it.
  Result<Config> config() const {
    Config config;
    if (kp_error_t *error = kp_local_configure(local_.get(), config.get())) return detail::take_error(error);
    return config;
  }
  // Creates a stream and waits until it takes records.
  Result<void> create_stream(const std::string &name, std::uint32_t shards) const {
    return detail::checked(kp_local_create_stream(local_.get(), name.c_str(), shards));
  }
  // Every Kinesis record, shard by shard, in order within each.
  Result<std::vector<StoredRecord>> read_stream(const std::string &name) const {
    kp_stored_records_t *stored = nullptr;
    if (kp_error_t *error = kp_local_read_stream(local_.get(), name.c_str(), &stored)) return detail::take_error(error);
    detail::Owned<kp_stored_records_t> owned(stored);
    std::vector<StoredRecord> records(kp_stored_records_len(stored));
    for (std::size_t row = 0; row < records.size(); row++) {
      kp_stored_record_t record{};
      record.struct_size = sizeof record;
      kp_stored_records_get(stored, row, &record);
      records[row] = {record.partition_key, record.sequence_number, record.shard_id,
                      std::string(detail::bytes(record.data, record.data_len))};
    }
    return records;
  }

 private:
  explicit LocalService(kp_local_t *local) noexcept : local_(local) {}
  detail::Owned<kp_local_t> local_;
};

#endif

}  // namespace kinesis_producer

#endif  // KINESIS_PRODUCER_CONSUMER_HPP
