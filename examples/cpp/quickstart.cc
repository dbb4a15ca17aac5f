// Puts a hundred user records and waits for their futures, puts a thousand more with one function for all reports, reads the
// stream back and compares. It starts a local service of its own, so that it needs no AWS account.

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kinesis_producer.hpp"

namespace kp = kinesis_producer;
using namespace std::chrono_literals;

// The value, or the end of the program.
template <class T>
T need(kp::Result<T> result) {
  if (!result) {
    std::cerr << "error: " << result.error().name << ": " << result.error().message << '\n';
    std::exit(1);
  }
  return *std::move(result);
}

void need(const kp::Result<void> &result) {
  if (result) return;
  std::cerr << "error: " << result.error().name << ": " << result.error().message << '\n';
  std::exit(1);
}

// Every user record of the stream, by its data.
std::multiset<std::string> read_back(const kp::LocalService &service, const std::string &stream) {
  std::multiset<std::string> found;
  for (const kp::StoredRecord &record : need(service.read_stream(stream))) {
    const kp::Deaggregated user_records = need(kp::deaggregate(record.partition_key, record.data));
    for (std::size_t row = 0; row < user_records.size(); row++) found.emplace(user_records[row].data);
  }
  return found;
}

// Puts orders and waits for the future of each. Returns how many were stored.
std::size_t put_and_wait(const kp::Stream &orders, int count, std::multiset<std::string> &expected) {
  std::vector<std::future<kp::Report>> futures;
  for (int n = 0; n < count; n++) {
    const std::string data = "order " + std::to_string(n);
    futures.push_back(need(orders.put("customer-" + std::to_string(n % 7), data, 1s)));
    expected.insert(data);
  }
  std::size_t stored = 0;
  for (auto &future : futures) {
    const kp::Report report = future.get();
    stored += report.is_stored();
    if (!report.is_stored()) std::cerr << report.error_code << ": " << report.error_message << '\n';
    if (&future == &futures.front()) {
      std::cout << "Order 0 is in " << report.shard_id << ", sequence number " << report.sequence_number << ".\n";
    }
  }
  return stored;
}

// Puts orders with one function for the reports of all, which adds to `stored`.
void put_many(const kp::Stream &orders, int count, std::multiset<std::string> &expected, std::size_t &stored) {
  std::vector<std::pair<std::string, std::string>> many;
  for (int n = 0; n < count; n++) {
    many.emplace_back("customer-" + std::to_string(n), "second order " + std::to_string(n));
    expected.insert(many.back().second);
  }
  const auto on_report = [&stored](std::size_t, const kp::ReportView &report) { stored += report.is_stored(); };
  const kp::PutMany put = orders.put_many(many, on_report, 1s);
  if (put.stopped) std::cerr << "error: " << put.accepted << " were accepted, then " << put.stopped->name << '\n';
}

int main() {
  const kp::LocalService service = need(kp::LocalService::start());
  need(service.create_stream("orders", 2));

  std::multiset<std::string> expected;
  std::size_t first = 0, second = 0;
  {
    const kp::Producer producer = need(kp::Producer::start(need(service.config())));  // or Config().set("region", "eu-west-1")
    const kp::Stream orders = need(producer.stream("orders"));
    first = put_and_wait(orders, 100, expected);
    put_many(orders, 1000, expected, second);
    const std::size_t aborted = need(producer.close(10s));
    if (aborted > 0) std::cerr << "error: " << aborted << " were aborted\n";
  }  // When the producer is destroyed, the last function was called: only now `second` may be read.
  std::cout << first << " and " << second << " orders were stored.\n";

  const bool same = read_back(service, "orders") == expected;
  std::cout << "Read back: " << (same ? "all are there, each once and unchanged.\n" : "something is missing or strange!\n");
  return same && first == 100 && second == 1000 ? 0 : 1;
}
