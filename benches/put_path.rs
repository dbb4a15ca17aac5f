//! What a put costs the caller: nanoseconds of CPU a user record of 100 B, up to and including aggregation. Rounds fill some of the
//! budget; the transport answers only between them, so that hashing and encoding do not take part in the measurement.
//!
//! `cargo bench --bench put_path -- [PART OF A NAME]`
#![allow(clippy::disallowed_methods, missing_docs)]

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use kinesis_producer::config::Config;
use kinesis_producer::transport::{EntryOutcome, Request, Response, Shard, ShardPage, Transport};
use kinesis_producer::{HashKey, ReportMode, SequenceNumber, ShardId, UserRecord, blocking};
use tokio::sync::Semaphore;

/// Puts a user record for each key.
type Put = fn(&blocking::Stream, &[String], &[u8]);

const SIZE: usize = 100;
const ROUND: usize = 200_000;
const ROUNDS: usize = 15;
const SHARDS: u128 = 4;

/// Stores everything at once, while its gate is open.
struct Null {
    sequence: AtomicU64,
    gate: Arc<Semaphore>,
}

impl Transport for Null {
    fn call(&self, request: Request) -> Pin<Box<dyn Future<Output = Response> + Send + '_>> {
        let response = match &request {
            Request::ListShards { .. } => Response::ListShards(Ok(ShardPage { shards: shards(), next_token: None })),
            Request::PutRecords { records, .. } => {
                let entries = records.iter().map(|record| {
                    let number = self.sequence.fetch_add(1, Ordering::Relaxed).to_string();
                    let hash_key = record.hash_key.map_or(0, |key| key.0);
                    let shard_id = shard_id(hash_key / (u128::MAX / SHARDS + 1));
                    EntryOutcome::Stored { shard_id, sequence_number: SequenceNumber::new(&number) }
                });
                Response::PutRecords(Ok(entries.collect()))
            }
        };
        Box::pin(async move {
            let _open = self.gate.acquire().await.expect("it is never closed");
            response
        })
    }
}

fn shards() -> Vec<Shard> {
    let width = u128::MAX / SHARDS + 1;
    let shard = |n| Shard {
        id: shard_id(n),
        first: HashKey(n * width),
        last: HashKey((n * width).wrapping_add(width - 1)),
        open: true,
    };
    (0..SHARDS).map(shard).collect()
}

fn shard_id(n: u128) -> ShardId {
    ShardId::new(&format!("shardId-{n:012}"))
}

fn producer(gate: &Arc<Semaphore>) -> (blocking::Producer, blocking::Stream) {
    let config = Config::new()
        .rate_limit(1_000_000_000)
        .max_connections(1)
        .max_outstanding_records(10_000_000)
        .max_outstanding_bytes(4 << 30)
        .record_max_buffered_time(Duration::from_secs(10));
    let null = Null { sequence: AtomicU64::new(0), gate: Arc::clone(gate) };
    let builder = kinesis_producer::Producer::builder(config).transport(Arc::new(null));
    let producer = blocking::Producer::build(builder.report_mode(ReportMode::Tickets)).expect("the settings are sound");
    let stream = producer.stream("bench").expect("a sound name");
    // The shard map is there once something was stored.
    drop(stream.put(UserRecord::new("k", b"v"), Duration::from_secs(5)).expect("room"));
    assert!(producer.flush(Duration::from_secs(5)));
    (producer, stream)
}

/// Partition keys of 20 characters.
fn keys(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("partition-key-{n:06}")).collect()
}

/// CPU of the calling thread, in nanoseconds, as the kernel counts it.
fn thread_cpu() -> u64 {
    let time =
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every thread has this clock");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Median nanoseconds of the callers' CPU a user record.
fn measure(name: &str, keys: &[String], callers: usize, put: Put) {
    let gate = Arc::new(Semaphore::new(1));
    let (producer, stream) = producer(&gate);
    let data = vec![7_u8; SIZE];
    let mut cpu = Vec::new();
    let mut rate = Vec::new();
    for round in 0..=ROUNDS {
        let shut = gate.try_acquire().expect("nothing is on the wire between rounds");
        let barrier = Barrier::new(callers + 1);
        let mut spent = 0;
        let mut wall = Duration::ZERO;
        std::thread::scope(|scope| {
            let share = keys.len() / callers;
            let callers: Vec<_> = (0..callers)
                .map(|n| {
                    let (stream, data, put, barrier) = (&stream, &data, &put, &barrier);
                    let keys = &keys[n * share..(n + 1) * share];
                    scope.spawn(move || {
                        put(stream, &keys[..keys.len().min(2000)], data);
                        barrier.wait();
                        let before = thread_cpu();
                        put(stream, keys, data);
                        thread_cpu() - before
                    })
                })
                .collect();
            barrier.wait();
            let start = Instant::now();
            spent = callers.into_iter().map(|caller| caller.join().expect("no caller panics")).sum();
            wall = start.elapsed();
        });
        drop(shut);
        assert!(producer.flush(Duration::from_secs(60)));
        // The first round warms up.
        if round > 0 {
            cpu.push(spent as f64 / keys.len() as f64);
            rate.push(keys.len() as f64 / wall.as_secs_f64() / 1e6);
        }
    }
    println!("{name:44} {:7.1} ns {:7.2} M/s", median(cpu), median(rate));
    assert_eq!(producer.close(Duration::from_secs(60)), 0);
}

fn try_put(stream: &blocking::Stream, keys: &[String], data: &[u8]) {
    for key in keys {
        drop(stream.try_put(UserRecord::new(key, data)).expect("room"));
    }
}

fn put_many(stream: &blocking::Stream, keys: &[String], data: &[u8]) {
    let mut records = Vec::with_capacity(512);
    for chunk in keys.chunks(512) {
        records.clear();
        records.extend(chunk.iter().map(|key| UserRecord::new(key, data)));
        assert_eq!(stream.try_put_many(&records).accepted, chunk.len());
    }
}

fn main() {
    let unique = keys(ROUND);
    let thousand: Vec<String> = keys(1000).into_iter().cycle().take(ROUND).collect();
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with("--")).unwrap_or_default();
    println!("{:44} {:>10} {:>11}", "100 B, keys of 20 B, 4 shards, tickets", "CPU/record", "rate");
    for callers in [1, 2] {
        for (name, put) in [("try_put", try_put as Put), ("put_many", put_many)] {
            for (kind, keys) in [("1,000", &thousand), ("unique", &unique)] {
                let name = format!("{name}, {kind} keys, {callers} caller(s)");
                if name.contains(&wanted) {
                    measure(&name, keys, callers, put);
                }
            }
        }
    }
}
