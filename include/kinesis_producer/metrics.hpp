// Part of kinesis_producer.hpp: the KPL's metrics, and statistics as JSON.

#ifndef KINESIS_PRODUCER_METRICS_HPP
#define KINESIS_PRODUCER_METRICS_HPP

#include "result.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace kinesis_producer {

// The values of one metric: of the producer, a stream or a shard, and perhaps of one error code; what does not apply is empty.
// Without values all numbers are 0.
struct Metric {
  std::string name;  // in CloudWatch
  std::string unit;  // Count, Bytes or Milliseconds
  std::string stream;
  std::string shard;
  std::string error_code;
  std::uint64_t count = 0;
  double sum = 0;
  double mean = 0;
  double min = 0;
  double max = 0;
};

namespace detail {

inline Result<std::vector<Metric>> metrics(const kp_producer_t *producer, const std::string &name, std::chrono::seconds window) {
  if (window.count() < 0 || window.count() > std::numeric_limits<std::uint32_t>::max()) return status_error(KP_ERR_INVALID_WINDOW);
  kp_metrics_t *place = nullptr;
  const char *one_or_all = name.empty() ? nullptr : name.c_str();
  if (kp_error_t *error = kp_producer_metrics(producer, one_or_all, static_cast<std::uint32_t>(window.count()), &place)) {
    return take_error(error);
  }
  const Owned<kp_metrics_t> owned(place);
  const kp_metrics_t *rows = place;
  std::vector<Metric> metrics;
  metrics.reserve(kp_metrics_len(rows));
  for (std::size_t row = 0, len = kp_metrics_len(rows); row < len; row++) {
    metrics.push_back({std::string(view(kp_metrics_name(rows, row))), std::string(view(kp_metrics_unit(rows, row))),
                       std::string(view(kp_metrics_stream(rows, row))), std::string(view(kp_metrics_shard(rows, row))),
                       std::string(view(kp_metrics_error_code(rows, row))), kp_metrics_count(rows, row), kp_metrics_sum(rows, row),
                       kp_metrics_mean(rows, row), kp_metrics_min(rows, row), kp_metrics_max(rows, row)});
  }
  return metrics;
}

inline std::string_view json(const kp_statistics_t *statistics) noexcept {
  return {kp_statistics_json(statistics), kp_statistics_len(statistics)};
}

inline Result<std::string> statistics(const kp_producer_t *producer) {
  kp_statistics_t *place = nullptr;
  if (kp_error_t *error = kp_producer_statistics(producer, &place)) return take_error(error);
  const Owned<kp_statistics_t> owned(place);
  return std::string(json(place));
}

}  // namespace detail

}  // namespace kinesis_producer

#endif  // KINESIS_PRODUCER_METRICS_HPP
