//! The hard days, over real sockets: latency at a steady rate, a service that fails for 25 s, a shard at six times its rate, lost
//! answers and resharding, an idle producer. Prints what happened; the far end checks loss, duplicates and order.
//!
//! `cargo bench --bench scenarios [-- FILTER]`
#![allow(clippy::disallowed_methods, missing_docs)]

mod far_end;

use std::process::Stdio;
use std::time::{Duration, Instant};

use far_end::Sink;
use kinesis_producer::{UserRecord, blocking};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use serde_json::Value;

fn main() {
    let filter = std::env::args().skip(1).find(|argument| argument != "--bench").unwrap_or_default();
    far_end::build();
    let scenarios: [(&str, fn()); 6] = [
        ("latency", latency),
        ("fullness", fullness),
        ("outage", outage),
        ("hot-shard", hot_shard),
        ("faults", faults),
        ("idle", idle),
    ];
    for (name, scenario) in scenarios.iter().filter(|(name, _)| name.contains(&filter)) {
        println!("== {name}");
        scenario();
    }
}

/// 10,000 user records a second on 4 shards: what lingering costs.
fn latency() {
    for buffered in ["100", "5"] {
        let sink = Sink::start(&["--tls", "--shards", "4"]);
        let rate =
            ["--records", "150000", "--rate", "10000", "--size", "100", "--keys", "1000", "--buffered-ms", buffered];
        let (result, _) = sink.load(&[&["--stream", "s"], &rate[..]].concat());
        print(
            &format!("buffered {buffered} ms"),
            &result,
            &["p50_ms", "p99_ms", "p999_ms", "max_ms", "cpu_us_per_record", "put_records_calls"],
        );
    }
}

/// How full aggregates are under load, and what a body adds.
fn fullness() {
    let sink = Sink::start(&["--tls", "--shards", "4"]);
    let load = ["--records", "2000000", "--size", "100", "--keys", "1000", "--set", "rate_limit=1000000000"];
    let (result, _) = sink.load(&[&["--stream", "s"], &load[..]].concat());
    let statistics = sink.statistics();
    let mean = statistics["kinesis_record_bytes"]["mean"].as_f64().unwrap_or_default();
    let bytes = |name: &str| statistics[name].as_f64().unwrap_or_default();
    println!(
        "p50 of Kinesis records {} B of 51200, mean {mean:.0} B ({:.2} %)",
        statistics["kinesis_record_bytes"]["p50"],
        mean / 512.0
    );
    println!(
        "received / entry bytes {:.4}; stored {}",
        bytes("bytes_received") / bytes("entry_bytes"),
        result["stored"]
    );
}

/// 200,000 user records wait while every call answers 500 for 25 s.
fn outage() {
    let sink = Sink::start(&["--tls", "--shards", "4", "--check", "--fail-for-ms", "0..25000"]);
    let load =
        ["--records", "200000", "--size", "100", "--keys", "1000", "--outstanding", "1000000", "--ttl-ms", "120000"];
    let (result, stored) = sink.load(&[&["--stream", "s"], &load[..]].concat());
    let cpu = result["cpu_us_per_record"].as_f64().unwrap_or_default() * 0.2;
    println!("all stored: {stored}; CPU {cpu:.2} s in {} s", result["seconds"]);
    print("", &result, &["rss_mb", "put_records_calls", "attempts"]);
    check(&sink, 200_000);
}

/// One shard that takes 1 MiB/s is offered six times as much for a minute; callers wait in put.
fn hot_shard() {
    let sink = Sink::start(&["--tls", "--shards", "1", "--check", "--enforce-limits"]);
    let load = ["--stream", "s", "--records", "3000000", "--rate", "60000", "--size", "100", "--keys", "1000"];
    let mut child = sink.load_command(&load).stdout(Stdio::null()).spawn().expect("the load generator was built");
    std::thread::sleep(Duration::from_secs(10));
    let (before, start) = (sink.statistics(), Instant::now());
    std::thread::sleep(Duration::from_secs(50));
    let (after, seconds) = (sink.statistics(), start.elapsed().as_secs_f64());
    child.kill().expect("it runs");
    let _ = child.wait();
    let delta = |name: &str| after[name].as_f64().unwrap_or_default() - before[name].as_f64().unwrap_or_default();
    let (stored, offered) = (delta("stored_bytes"), delta("entry_bytes"));
    println!(
        "used {:.1} % of 1 MiB/s, {:.2} % of the bytes refused",
        stored / seconds / 10_485.76,
        (1.0 - stored / offered) * 100.0
    );
}

/// Lost answers, failed entries and calls, resharding under load: with and without order.
fn faults() {
    for ordering in ["none", "shard"] {
        let faults = [
            "--lose-answer-rate",
            "0.02",
            "--entry-failure-rate",
            "0.02",
            "--error-500-rate",
            "0.02",
            "--latency-ms",
            "5",
        ];
        let sink = Sink::start(&[&["--tls", "--shards", "4", "--check"], &faults[..]].concat());
        let load = ["--stream", "s", "--records", "400000", "--rate", "20000", "--size", "100", "--keys", "200"];
        let more = ["--ordering", ordering, "--ttl-ms", "60000"];
        let command = [&load[..], &more].concat();
        let (result, stored) = std::thread::scope(|scope| {
            let load = scope.spawn(|| sink.load(&command));
            for shards in [8, 2] {
                std::thread::sleep(Duration::from_secs(6));
                sink.control("POST", "reshard", &format!("{{\"shards\":{shards}}}"));
            }
            load.join().expect("the load generator does not panic")
        });
        println!("ordering {ordering}: all stored: {stored}");
        print("", &result, &["stored", "possibly_stored", "failed", "attempts", "p99_ms", "cpu_us_per_record"]);
        check(&sink, 400_000);
    }
}

/// A producer that has nothing to do, in this process: once its connection is open and its shards are known.
fn idle() {
    let sink = Sink::start(&["--tls", "--shards", "4"]);
    let producer = blocking::Producer::new(sink.config()).expect("the settings are sound");
    let stream = producer.stream("s").expect("the name is sound");
    let mut ticket = stream.try_put(UserRecord::new("key", b"data")).expect("there is room");
    let report = stream.report(&mut ticket, Duration::from_secs(10));
    assert!(report.is_some_and(|report| report.is_stored()), "the sink stores");
    std::thread::sleep(Duration::from_secs(5));
    let window = Duration::from_secs(20);
    let (cpu_before, wakes_before) = cpu_and_wakes();
    std::thread::sleep(window);
    let (cpu, wakes) = cpu_and_wakes();
    println!(
        "{} s with nothing outstanding: {:.3} ms of CPU ({:.4} %), {:.2} wake-ups a second",
        window.as_secs(),
        (cpu - cpu_before).as_secs_f64() * 1000.0,
        (cpu - cpu_before).as_secs_f64() / window.as_secs_f64() * 100.0,
        (wakes - wakes_before) as f64 / window.as_secs_f64()
    );
}

/// CPU time of this process and how often its threads went to sleep, apart from the calling one, which only sleeps.
fn cpu_and_wakes() -> (Duration, u64) {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("it can always be asked");
    let time = |time: TimeVal| Duration::from_micros(time.num_microseconds().unsigned_abs());
    let own = getrusage(UsageWho::RUSAGE_THREAD).expect("it can always be asked");
    let wakes = usage.voluntary_context_switches() - own.voluntary_context_switches();
    (time(usage.user_time()) + time(usage.system_time()), wakes.unsigned_abs())
}

/// What the far end says of loss, duplicates and order.
fn check(sink: &Sink, sent: u64) {
    let statistics = sink.statistics();
    let check = &statistics["check"];
    let lost = sent.saturating_sub(check["unique"].as_u64().unwrap_or_default());
    println!(
        "far end: lost {lost}, duplicates {}, out of order {}, wrong shard {}",
        check["duplicates"], check["out_of_order"], check["dropped_by_range"]
    );
}

fn print(name: &str, result: &Value, figures: &[&str]) {
    let figures: Vec<String> = figures.iter().map(|figure| format!("{figure} {}", result[*figure])).collect();
    println!("{name:16} {}", figures.join(", "));
}
