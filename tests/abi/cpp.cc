// kinesis_producer.hpp: every report finds its future or function once, nothing throws, objects own what they say.

#include <array>
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "abi.h"
#include "kinesis_producer.hpp"

namespace kp = kinesis_producer;
using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<kp::Config> && std::is_nothrow_move_constructible_v<kp::Config>);
static_assert(!std::is_copy_constructible_v<kp::Producer> && std::is_nothrow_move_constructible_v<kp::Producer>);
static_assert(!std::is_copy_constructible_v<kp::Reports> && std::is_nothrow_move_constructible_v<kp::Reports>);
static_assert(!std::is_copy_constructible_v<kp::Deaggregated> && std::is_nothrow_move_constructible_v<kp::Deaggregated>);
static_assert(!std::is_copy_constructible_v<kp::LocalService>);
static_assert(std::is_trivially_copyable_v<kp::Stream>);

template <class T>
static T need(kp::Result<T> result) {
  if (!result) fprintf(stderr, "%s\n", result.error().message.c_str());
  CHECK(result);
  return *std::move(result);
}

static void need(const kp::Result<void> &result) { need(result ? kp::Result<int>(0) : kp::Result<int>(result.error())); }

template <class T>
static void fails(const kp::Result<T> &result, std::int32_t code) {
  CHECK(!result);
  IS(result.error().code, code);
  CHECK(result.error().name == kp_status_name(code));
  CHECK(!result.error().message.empty());
}

static kp::Config settings_for(const kp::LocalService &service, const std::string &lines) {
  kp::Config config = need(service.config());
  need(config.load_text(lines));
  return config;
}

// Nobody listens: what is put stays.
static kp::Config stuck() {
  kp::Config config;
  need(config.load_text("endpoint_url = http://127.0.0.1:9\nregion = us-east-1\naccess_key_id = a\nsecret_access_key = b\n"
                        "proxy_from_environment = false\nrecord_ttl = 1 h\nmax_outstanding_records = 10"));
  return config;
}

static void settings() {
  kp::Config config;
  fails(config.set("no_such", "1"), KP_ERR_INVALID_CONFIG);
  fails(config.load_properties_file("/no/such/file"), KP_ERR_IO);
  need(config.set("record_ttl", "30 s"));
  need(config.check());
  fails(config.credentials(nullptr), KP_ERR_INVALID_ARGUMENT);
  kp::Config taken = std::move(config);
  fails(config.set("record_ttl", "30 s"), KP_ERR_INVALID_ARGUMENT);  // NOLINT: what was moved from says so
  need(taken.set("max_outstanding_bytes", "1000"));
  fails(kp::Producer::start(std::move(taken)), KP_ERR_INVALID_CONFIG);
}

static void futures(const kp::LocalService &service) {
  kp::Producer first = need(kp::Producer::start(settings_for(service, "record_max_buffered_time = 20 ms")));
  kp::Stream stream = need(first.stream("s"));
  kp::Producer producer = std::move(first);  // streams and futures do not mind
  std::future<kp::Report> future = need(stream.put("key", "data", 1s));
  const kp::Report report = future.get();
  CHECK(report.is_stored() && report.stored == kp::Stored::yes);
  CHECK(report.shard_id.rfind("shardId-", 0) == 0 && report.sequence_number.size() > 10);
  CHECK(report.error_code.empty() && report.error_message.empty());
  CHECK(report.latency.count() > 0 && report.attempts_total == 1 && report.attempts.size() == 1);
  fails(stream.put("", "data"), KP_ERR_INVALID_PARTITION_KEY);
  fails(stream.put(kp::UserRecord{"key", "data", "x"}), KP_ERR_INVALID_HASH_KEY);
  fails(stream.put_numbered({"key", "data"}, 1), KP_ERR_WRONG_REPORT_MODE);
  fails(producer.stream("no good"), KP_ERR_INVALID_STREAM_NAME);
  fails(producer.reports_fd(), KP_ERR_WRONG_REPORT_MODE);
  CHECK(producer.poll_reports(1, 0ms).empty());
  future = need(stream.put(kp::UserRecord{"key", "", "17"}));
  CHECK(need(producer.close(10s)) == 0);
  CHECK(future.get().is_stored());
  fails(stream.put("key", "data"), KP_ERR_CLOSED);
}

static void futures_come_also_when_the_producer_is_destroyed() {
  std::vector<std::future<kp::Report>> futures;
  {
    const kp::Producer producer = need(kp::Producer::start(stuck()));
    const kp::Stream stream = need(producer.stream("s"));
    for (int i = 0; i < 10; i++) futures.push_back(need(stream.put("key", "data", 0ms)));
    fails(stream.put("key", "data", 0ms), KP_ERR_QUEUE_FULL);
    fails(stream.put("key", "data", -5s), KP_ERR_QUEUE_FULL);
    fails(stream.put("key", "data", [](const kp::ReportView &) { CHECK(false); }, 10ms), KP_ERR_TIMED_OUT);
    CHECK(need(producer.outstanding()).records == 10);
    CHECK(need(producer.counters()).user_records_received == 10);
    fails(producer.flush(10ms), KP_ERR_TIMED_OUT);
  }
  for (auto &future : futures) {
    const kp::Report report = future.get();
    CHECK(report.status == kp::Status::aborted && report.stored != kp::Stored::yes && report.error_code == "Aborted");
  }
}

static void functions(const kp::LocalService &service) {
  const auto alive = std::make_shared<int>(0);  // counts the copies that functions hold
  std::vector<int> seen(1000);
  int single = 0;
  {
    const kp::Producer producer = need(kp::Producer::start(settings_for(service, "record_max_buffered_time = 20 ms")));
    const kp::Stream stream = need(producer.stream("s"));
    std::promise<void> called;
    need(stream.put("key", "data", [&](const kp::ReportView &report) {
      single += report.is_stored();
      CHECK(report.report().sequence_number == report.sequence_number() && !report.user_record());
      fails(producer.flush(1s), KP_ERR_WRONG_THREAD);
      fails(producer.close(1s), KP_ERR_WRONG_THREAD);
      need(stream.put_detached({"key", "from the function"}, 0ms));
      called.set_value();
    }));
    called.get_future().get();
    need(stream.put("key", "data", [alive](const kp::ReportView &) { throw std::runtime_error("mine"); }));
    need(stream.put("key", "data", [](const kp::ReportView &) { throw 7; }));
    need(stream.put("key", "data", kp::OnReport()));  // nothing to call: counted like what it throws

    std::vector<kp::UserRecord> records(1000, {"key", "data"});
    const auto on_report = [&seen, alive](std::size_t index, const kp::ReportView &report) { seen[index] += report.is_stored(); };
    kp::PutMany put = stream.put_many(records, on_report, 10s);
    CHECK(put.accepted == 1000 && !put.stopped);
    records[300].partition_key = "";
    put = stream.put_many(records, [&seen, alive](std::size_t index, const kp::ReportView &) { seen[index] += 10; });
    CHECK(put.accepted == 300 && put.stopped && put.stopped->code == KP_ERR_INVALID_PARTITION_KEY);
    put = stream.put_many(records.data() + 300, 1, [alive](std::size_t, const kp::ReportView &) { CHECK(false); });
    CHECK(put.accepted == 0 && put.stopped);
    put = stream.put_many(std::vector<kp::UserRecord>(), [alive](std::size_t, const kp::ReportView &) { CHECK(false); });
    CHECK(put.accepted == 0 && !put.stopped);

    const std::array<std::pair<std::string_view, std::string_view>, 3> pairs{{{"a", "1"}, {"b", "2"}, {"c", "3"}}};
    put = stream.put_many_detached(pairs);
    CHECK(put.accepted == 3 && !put.stopped);
    std::uint64_t numbers[3] = {};
    CHECK(stream.put_many_numbered(pairs, numbers).stopped->code == KP_ERR_WRONG_REPORT_MODE);
    CHECK(need(producer.close(10s)) == 0);
    while (need(producer.outstanding()).records > 0) std::this_thread::yield();
    const kp::Counts counts = producer.counts();
    CHECK(counts.stored == 4 && counts.possibly_stored == 0 && counts.not_stored == 0 && counts.exceptions == 3);
  }
  CHECK(single == 1);
  for (std::size_t i = 0; i < seen.size(); i++) CHECK(seen[i] == (i < 300 ? 11 : 1));
  CHECK(alive.use_count() == 1);
}

static void queue(const kp::LocalService &service) {
  const kp::Producer producer = need(kp::Producer::start_with_queue(settings_for(service, "record_max_buffered_time = 20 ms")));
  const kp::Stream stream = need(producer.stream("s"));
  CHECK(need(producer.reports_fd()) >= 0);
  fails(stream.put("key", "data"), KP_ERR_WRONG_REPORT_MODE);
  fails(stream.put("key", "data", [](const kp::ReportView &) {}), KP_ERR_WRONG_REPORT_MODE);
  std::vector<std::pair<std::string, std::string>> records(600, {"key", "data"});
  CHECK(stream.put_many(records, [](std::size_t, const kp::ReportView &) {}).stopped->code == KP_ERR_WRONG_REPORT_MODE);
  std::vector<std::uint64_t> numbers(600);
  for (std::size_t i = 0; i < numbers.size(); i++) numbers[i] = i + 1;
  CHECK(stream.put_many_numbered(records, numbers.data(), 1s).accepted == 600);
  need(stream.put_numbered({"key", "data"}, 601, 1s));
  std::set<std::uint64_t> seen;
  while (seen.size() < 601) {
    const kp::Reports reports = producer.poll_reports(100, 60s);
    CHECK(!reports.empty());
    for (std::size_t row = 0; row < reports.size(); row++) {
      CHECK(reports.statuses()[row] == KP_REPORT_STORED && reports[row].is_stored());
      CHECK(reports[row].opaque() == reports.opaques()[row] && seen.insert(reports.opaques()[row]).second);
    }
  }
  CHECK(need(producer.abort()) == 0);
  CHECK(producer.poll_reports(1, kp::forever).empty() && producer.poll_reports(1, 0ms).size() == 0);
}

static void consumers(const kp::LocalService &service) {
  std::size_t user_records = 0;
  for (const kp::StoredRecord &record : need(service.read_stream("s"))) {
    const kp::Deaggregated lenient = need(kp::deaggregate(record.partition_key, record.data));
    for (std::size_t row = 0; row < lenient.size(); row++) {
      if (lenient[row].aggregated) CHECK(lenient[row].sub_sequence_number == row);
      CHECK(!lenient[row].partition_key.empty());
    }
    user_records += lenient.size();
  }
  CHECK(user_records == 2 + 1308 + 601);  // what the functions above have put
  fails(kp::try_deaggregate("plain"), KP_ERR_INVALID_AGGREGATE);
  fails(service.read_stream("missing"), KP_ERR_RUNTIME);
  const std::string data = "plain";
  const kp::DeaggregatedRecord plain = need(kp::deaggregate("key", data))[0];
  CHECK(plain.data.data() == data.data() && plain.data == data && !plain.aggregated && !plain.explicit_hash_key);
}

static void credentials(const kp::LocalService &service) {
  int asked = 0;
  kp::Config config = need(service.config());
  const auto in_an_hour = std::chrono::system_clock::now() + 1h;
  need(config.credentials([&asked, in_an_hour]() -> std::optional<kp::Credentials> {
    asked++;
    return kp::Credentials{"id", "secret", "token", in_an_hour};
  }));
  {
    const kp::Producer producer = need(kp::Producer::start(std::move(config)));
    CHECK(need(need(producer.stream("s")).put("key", "data")).get().is_stored());
  }
  CHECK(asked >= 1);
  config = need(service.config());
  need(config.credentials([]() -> std::optional<kp::Credentials> { throw std::runtime_error("none today"); }));
  fails(kp::Producer::start(std::move(config)), KP_ERR_NO_CREDENTIALS);
  config = need(service.config());
  need(config.credentials([] { return std::optional<kp::Credentials>(); }));
  fails(kp::Producer::start_with_queue(std::move(config)), KP_ERR_NO_CREDENTIALS);
}

static void metrics(const kp::LocalService &service) {
  const kp::Producer producer = need(kp::Producer::start(settings_for(service, "record_max_buffered_time = 20 ms")));
  CHECK(need(producer.metrics("UserRecordsPut")).empty());
  const kp::Stream stream = need(producer.stream("s"));
  for (int i = 0; i < 3; i++) CHECK(need(stream.put("key", "data")).get().is_stored());
  const std::vector<kp::Metric> rows = need(producer.metrics("UserRecordsDataPut", 60s));
  CHECK(rows.size() == 3);  // the producer, its stream, one shard
  for (const kp::Metric &row : rows) {
    CHECK(row.name == "UserRecordsDataPut" && row.unit == "Bytes" && row.error_code.empty());
    CHECK(row.count == 3 && row.sum == 12 && row.mean == 4 && row.min == 4 && row.max == 4);
  }
  CHECK(rows[0].stream.empty() && rows[0].shard.empty());
  CHECK(rows[1].stream == "s" && rows[1].shard.empty());
  CHECK(rows[2].stream == "s" && rows[2].shard.rfind("shardId-", 0) == 0);
  CHECK(need(producer.metrics()).size() > rows.size());
  fails(producer.metrics("RecordsPut"), KP_ERR_UNKNOWN_METRIC);
  for (const std::chrono::seconds window : {-1s, 61s, 4294967297s}) fails(producer.metrics({}, window), KP_ERR_INVALID_WINDOW);
  const std::string look = need(producer.statistics());
  CHECK(look.front() == '{' && look.back() == '}' && look.find("\"s\":{") != std::string::npos);
}

static void statistics_by_function(const kp::LocalService &service) {
  const auto alive = std::make_shared<int>(0);
  std::promise<const kp::Producer *> started;
  std::promise<std::string> second;
  int calls = 0;
  {
    kp::Config config = settings_for(service, "statistics_interval = 5 ms");
    fails(config.on_statistics(nullptr), KP_ERR_INVALID_ARGUMENT);
    need(config.on_statistics([&, alive](std::string_view json) {
      calls++;
      if (calls == 1) {
        const kp::Producer *producer = started.get_future().get();
        fails(producer->flush(1s), KP_ERR_WRONG_THREAD);
        fails(producer->close(1s), KP_ERR_WRONG_THREAD);
        CHECK(need(producer->statistics()).size() > 100);
        need(need(producer->stream("s")).put_detached({"key", "from the function"}));
      }
      if (calls == 2) second.set_value(std::string(json));
      throw std::runtime_error("mine");
    }));
    const kp::Producer producer = need(kp::Producer::start(std::move(config)));
    started.set_value(&producer);
    const std::string json = second.get_future().get();
    CHECK(json.front() == '{' && json.back() == '}');
  }
  CHECK(calls >= 2 && alive.use_count() == 1);
  kp::Config never = need(service.config());
  need(never.on_statistics([alive](std::string_view) {}));
  fails(kp::Producer::start_with_queue(std::move(never)), KP_ERR_INVALID_CONFIG);
}

static void lines(const kp::LocalService &service) {
  std::atomic<int> count{0};
  need(kp::set_log(
      [&count](int level, std::string_view line) {
        CHECK(level >= KP_LOG_ERROR && level <= KP_LOG_DEBUG && !line.empty());
        count++;
        throw std::runtime_error("mine");
      },
      KP_LOG_DEBUG));
  {
    const kp::Producer producer = need(kp::Producer::start(need(service.config())));
    CHECK(need(need(producer.stream("s")).put("key", "data")).get().is_stored());
  }
  CHECK(count > 0);
  need(kp::set_log(nullptr));
}

int main() {
  const kp::LocalService service = need(kp::LocalService::start());
  CHECK(service.endpoint_url().rfind("http://", 0) == 0);
  need(service.create_stream("s", 2));
  settings();
  futures(service);
  futures_come_also_when_the_producer_is_destroyed();
  functions(service);
  queue(service);
  consumers(service);
  credentials(service);
  metrics(service);
  statistics_by_function(service);
  lines(service);
}
