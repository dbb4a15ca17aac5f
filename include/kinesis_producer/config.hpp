// Part of kinesis_producer.hpp: settings, functions for credentials and statistics, and the log.

#ifndef KINESIS_PRODUCER_CONFIG_HPP
#define KINESIS_PRODUCER_CONFIG_HPP

#include "metrics.hpp"
#include "result.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace kinesis_producer {

// What a credentials function finds; without expires_at they do not expire.
struct Credentials {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token = {};
  std::optional<std::chrono::system_clock::time_point> expires_at = std::nullopt;
};

// Takes statistics as JSON; the view ends with the call.
using OnStatistics = std::function<void(std::string_view json)>;

// The settings of a producer, by name, as CONFIGURATION.md lists them.
class Config {
 public:
  Config() noexcept : config_(kp_config_new()) {}

  // Sets one; if it fails, the setting is unchanged.
  Result<void> set(const std::string &key, const std::string &value) {
    return detail::checked(kp_config_set(config_.get(), key.c_str(), value.c_str()));
  }
  // Takes "key = value" lines; if it fails, none of them.
  Result<void> load_text(const std::string &lines) {
    return detail::checked(kp_config_load_text(config_.get(), lines.c_str()));
  }
  // Takes a properties file of the KPL; if it fails, nothing of it.
  Result<void> load_properties_file(const std::string &path) {
    return detail::checked(kp_config_load_properties_file(config_.get(), path.c_str()));
  }
  // Checks what settings demand of each other; Producer::start does it as well.
  Result<void> check() const { return detail::checked(kp_config_check(config_.get())); }

  // Credentials come from this function, when they are needed and again before they expire: on a thread of the library, which
  // waits for it. Nothing, or an exception, means that there are none now.
  Result<void> credentials(std::function<std::optional<Credentials>()> find) {
    using Find = std::function<std::optional<Credentials>()>;
    if (!find) return detail::status_error(KP_ERR_INVALID_ARGUMENT);
    auto callback = [](void *user_data, kp_credentials_t *place) noexcept -> std::int32_t {
      try {
        const std::optional<Credentials> found = (*static_cast<Find *>(user_data))();
        if (!found) return 1;
        milliseconds expires(0);
        if (found->expires_at) {
          // 0 would be never.
          expires = std::chrono::duration_cast<milliseconds>(found->expires_at->time_since_epoch());
          expires = std::max(expires, milliseconds(1));
        }
        const char *token = found->session_token.empty() ? nullptr : found->session_token.c_str();
        detail::Owned<kp_error_t> error(kp_credentials_set(place, found->access_key_id.c_str(), found->secret_access_key.c_str(),
                                                           token, detail::timeout_ms(expires)));
        return error == nullptr ? 0 : 1;
      } catch (...) {
        return 1;
      }
    };
    // The library deletes it, also if it refuses it.
    auto function = std::make_unique<Find>(std::move(find));
    return detail::checked(
        kp_config_set_credentials_callback(config_.get(), callback, function.release(), detail::delete_function<Find>));
  }

  // A look at the whole producer (STATISTICS.md) goes to this function once every statistics_interval, which must be set as well:
  // on a thread of the library, one call at a time of a producer. It may put and ask for metrics and statistics, but not flush,
  // close or destroy its producer, which waits for it when it is destroyed. What it throws is lost.
  Result<void> on_statistics(OnStatistics take) {
    if (!take) return detail::status_error(KP_ERR_INVALID_ARGUMENT);
    auto callback = [](void *user_data, const kp_statistics_t *statistics) noexcept {
      try {
        (*static_cast<OnStatistics *>(user_data))(detail::json(statistics));
      } catch (...) {
      }
    };
    // The library deletes it, also if it refuses it.
    auto function = std::make_unique<OnStatistics>(std::move(take));
    return detail::checked(
        kp_config_set_statistics_callback(config_.get(), callback, function.release(), detail::delete_function<OnStatistics>));
  }

  // For functions of the C ABI; this stays the owner.
  kp_config_t *get() const noexcept { return config_.get(); }

 private:
  friend class Producer;
  detail::Owned<kp_config_t> config_;
};

// Takes a log line; `level` is one of KP_LOG_*.
using OnLog = std::function<void(int level, std::string_view line)>;

// Log lines of all producers of this process go to this function, up to a level; an empty one ends it. It is called on any
// thread, also on several at once, and must not call this library. What it throws is lost.
inline Result<void> set_log(OnLog on_line, int level = KP_LOG_INFO) {
  if (!on_line) return detail::checked(kp_log_set_callback(nullptr, KP_LOG_ERROR, nullptr, nullptr));
  auto callback = [](void *user_data, std::int32_t line_level, const char *line) noexcept {
    try {
      (*static_cast<OnLog *>(user_data))(line_level, line);
    } catch (...) {
    }
  };
  auto function = std::make_unique<OnLog>(std::move(on_line));
  return detail::checked(kp_log_set_callback(callback, level, function.release(), detail::delete_function<OnLog>));
}

}  // namespace kinesis_producer

#endif  // KINESIS_PRODUCER_CONFIG_HPP
