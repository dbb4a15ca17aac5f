//! The whole way over real sockets against a null sink in another process: CPU of the client a confirmed user record, records a
//! second of one core, memory. Each row is the median of alternating runs.
//!
//! `cargo bench --bench end_to_end [-- ROUNDS [FILTER]]`
#![allow(missing_docs)]

mod far_end;

use far_end::Sink;

/// The far end, and what is loaded on it.
struct Row {
    name: &'static str,
    sink: &'static str,
    size: &'static str,
    keys: &'static str,
    more: &'static [&'static str],
}

const fn row(name: &'static str, sink: &'static str, size: &'static str, keys: &'static str) -> Row {
    Row { name, sink, size, keys, more: &[] }
}

const ROWS: &[Row] = &[
    row("TLS h1, CBOR, 100 B, 1,000 keys", "--tls --h1-only", "100", "1000"),
    row("TLS h1, CBOR, 100 B, unique keys", "--tls --h1-only", "100", "unique"),
    row("TLS h1, CBOR, 200 B, 1,000 keys", "--tls --h1-only", "200", "1000"),
    row("TLS h1, CBOR, 1 KB, 1,000 keys", "--tls --h1-only", "1000", "1000"),
    row("TLS h2, CBOR, 100 B, 1,000 keys", "--tls --h2-only", "100", "1000"),
    row("http, CBOR, 100 B, 1,000 keys", "--h1-only", "100", "1000"),
    Row { more: &["--wire", "json"], ..row("TLS h1, JSON, 100 B, 1,000 keys", "--tls --h1-only", "100", "1000") },
    Row { more: &["--wire", "json"], ..row("TLS h1, JSON, 1 KB, 1,000 keys", "--tls --h1-only", "1000", "1000") },
    Row { more: &["--report", "poll"], ..row("TLS h1, CBOR, 100 B, poll queue", "--tls --h1-only", "100", "1000") },
    Row { more: &["--ordering", "shard"], ..row("TLS h1, CBOR, 100 B, ordered", "--tls --h1-only", "100", "1000") },
    Row {
        more: &["--aggregation", "off"],
        ..row("TLS h1, CBOR, 100 B, no aggregates", "--tls --h1-only", "100", "1000")
    },
];

/// User records of a run: enough that the first second, in which shards are sent no more than they would take at AWS, does not
/// count for much.
fn records(row: &Row) -> usize {
    match row.size {
        _ if row.more.contains(&"off") => 100_000,
        "100" => 6_000_000,
        "200" => 4_000_000,
        _ => 1_500_000,
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let rounds: usize = arguments.first().and_then(|text| text.parse().ok()).unwrap_or(5);
    let filter = arguments.get(1).cloned().unwrap_or_default();
    far_end::build();
    let rows: Vec<&Row> = ROWS.iter().filter(|row| row.name.contains(&filter)).collect();
    let mut figures: Vec<[Vec<f64>; 3]> = rows.iter().map(|_| Default::default()).collect();
    for _ in 0..rounds {
        for (row, figures) in rows.iter().zip(&mut figures) {
            let [cpu, rate, memory] = figures;
            let sink: Vec<&str> = row.sink.split(' ').chain(["--shards", "4"]).collect();
            let sink = Sink::start(&sink);
            let records = records(row).to_string();
            let fixed = ["--stream", "bench", "--records", &records, "--size", row.size, "--keys", row.keys];
            // The far end has no limits: ours must not be the measure either.
            let free = ["--set", "rate_limit=1000000000", "--outstanding", "400000"];
            let (result, stored) = sink.load(&[&fixed[..], &free, row.more].concat());
            assert!(stored, "{}: not everything was stored: {result}", row.name);
            cpu.push(result["cpu_us_per_record"].as_f64().expect("a number"));
            rate.push(result["records_per_second"].as_f64().expect("a number"));
            memory.push(result["rss_mb"].as_f64().expect("a number"));
        }
    }
    println!("{:36} {:>14} {:>16} {:>14} {:>8}", "", "CPU µs/record", "records/s/core", "records/s", "RSS MB");
    for (row, [cpu, rate, memory]) in rows.iter().zip(&figures) {
        let cpu = median(cpu);
        let (rate, memory) = (median(rate), median(memory));
        println!("{:36} {cpu:14.3} {:16.0} {rate:14.0} {memory:8.1}", row.name, 1e6 / cpu);
    }
}

/// The middle one.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
