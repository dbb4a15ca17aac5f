// Part of kinesis_producer.hpp: Error and Result, time-outs, and how objects of the C ABI are owned.

#ifndef KINESIS_PRODUCER_RESULT_HPP
#define KINESIS_PRODUCER_RESULT_HPP

#include "../kinesis_producer.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace kinesis_producer {

using std::chrono::milliseconds;

// A time-out that never comes.
inline constexpr milliseconds forever = milliseconds::max();

// What went wrong: one of KP_ERR_*, its name such as "QueueFull", and words for a person.
struct Error {
  std::int32_t code = KP_OK;
  std::string_view name;  // static
  std::string message;
};

// A value, or why there is none. Asking for what is not there ends the program, as a null pointer would.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : held_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const noexcept { return held_.index() == 0; }
  T &value() & noexcept { return *there(std::get_if<0>(&held_)); }
  const T &value() const & noexcept { return *there(std::get_if<0>(&held_)); }
  T &&value() && noexcept { return std::move(value()); }
  T &operator*() & noexcept { return value(); }
  const T &operator*() const & noexcept { return value(); }
  T &&operator*() && noexcept { return std::move(value()); }
  T *operator->() noexcept { return &value(); }
  const T *operator->() const noexcept { return &value(); }
  const Error &error() const noexcept { return *there(std::get_if<1>(&held_)); }

 private:
  template <class U>
  static U *there(U *held) noexcept {
    if (held == nullptr) std::terminate();
    return held;
  }
  std::variant<T, Error> held_;
};

// Success, or why not.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  explicit operator bool() const noexcept { return !error_.has_value(); }
  const Error &error() const noexcept {
    if (!error_) std::terminate();
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

namespace detail {

struct Free {
  void operator()(kp_config_t *config) const noexcept { kp_config_free(config); }
  void operator()(kp_error_t *error) const noexcept { kp_error_free(error); }
  void operator()(kp_producer_t *producer) const noexcept { kp_producer_free(producer); }
  void operator()(kp_metrics_t *metrics) const noexcept { kp_metrics_free(metrics); }
  void operator()(kp_statistics_t *statistics) const noexcept { kp_statistics_free(statistics); }
  void operator()(kp_reports_t *reports) const noexcept { kp_reports_free(reports); }
  void operator()(kp_deaggregated_t *records) const noexcept { kp_deaggregated_free(records); }
#if defined(KP_LOCAL)
  void operator()(kp_local_t *local) const noexcept { kp_local_free(local); }
  void operator()(kp_stored_records_t *records) const noexcept { kp_stored_records_free(records); }
#endif
};

template <class T>
using Owned = std::unique_ptr<T, Free>;

inline Error status_error(std::int32_t code) { return {code, kp_status_name(code), kp_status_description(code)}; }

// The error of a call of setup or control.
inline Error take_error(kp_error_t *error) {
  Owned<kp_error_t> owned(error);
  return {kp_error_code(error), kp_error_name(error), kp_error_message(error)};
}

inline Result<void> checked(kp_error_t *error) {
  if (error == nullptr) return {};
  return take_error(error);
}

inline std::uint64_t timeout_ms(milliseconds timeout) noexcept {
  if (timeout == forever) return KP_WAIT_FOREVER;
  return timeout.count() < 0 ? 0 : static_cast<std::uint64_t>(timeout.count());
}

inline std::string_view view(const char *text) noexcept { return text == nullptr ? std::string_view() : text; }

inline std::string_view bytes(const std::uint8_t *data, std::size_t len) noexcept {
  return {reinterpret_cast<const char *>(data), len};
}

// A function of the caller's as the C ABI keeps it: behind a pointer, deleted by the finalizer.
template <class F>
void delete_function(void *function) noexcept {
  delete static_cast<F *>(function);
}

}  // namespace detail

}  // namespace kinesis_producer

#endif  // KINESIS_PRODUCER_RESULT_HPP
