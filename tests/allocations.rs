//! What user records cost in memory. A program of its own with one test: it counts the allocations of the whole process, so those
//! of the producer's threads count as well.
#![allow(clippy::unwrap_used)]

use std::alloc::System;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use kinesis_producer::config::Config;
use kinesis_producer::transport::{Request, Response, Shard, ShardPage, Transport};
use kinesis_producer::{HashKey, Producer, ReportMode, ShardId, UserRecord, blocking};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SHARDS: u128 = 4;
const OUTSTANDING: usize = 200_000;
const LONG: Duration = Duration::from_secs(20);

/// Says when a PutRecords request comes, and answers none.
struct Silent(mpsc::Sender<()>);

impl Transport for Silent {
    fn call(&self, request: Request) -> Pin<Box<dyn Future<Output = Response> + Send + '_>> {
        Box::pin(async move {
            if let Request::PutRecords { .. } = request {
                let _ = self.0.send(());
                return std::future::pending().await;
            }
            Response::ListShards(Ok(ShardPage { shards: (0..SHARDS).map(shard).collect(), next_token: None }))
        })
    }
}

fn shard(index: u128) -> Shard {
    let width = u128::MAX / SHARDS + 1;
    let last = if index + 1 == SHARDS { u128::MAX } else { (index + 1) * width - 1 };
    Shard {
        id: ShardId::new(&format!("shardId-{index}")),
        first: HashKey(index * width),
        last: HashKey(last),
        open: true,
    }
}

/// Every user record has a key of its own: nothing is shared but the aggregate.
#[test]
fn puts_allocate_for_aggregates_only_and_an_outstanding_user_record_takes_forty_bytes_more_than_it_has() {
    let keys: Vec<String> = (0..OUTSTANDING).map(|n| format!("partition-key-{n:06}")).collect();
    let mut tickets = Vec::with_capacity(OUTSTANDING + 1);
    measure("tickets", ReportMode::Tickets, &keys, |stream, record| tickets.push(stream.try_put(record).unwrap()));
    measure("queue", ReportMode::Queue, &keys, |stream, record| stream.try_put_detached(record, 1).unwrap());
}

fn measure(name: &str, mode: ReportMode, keys: &[String], mut put: impl FnMut(&blocking::Stream, UserRecord<'_>)) {
    let (requested, requests) = mpsc::channel();
    // Nothing is paced, nothing lingers out, nothing expires.
    let minute = Duration::from_secs(60);
    let settings = Config::new().max_connections(1).rate_limit(1_000_000).record_max_buffered_time(minute);
    let settings = settings.record_ttl(10 * minute);
    let builder = Producer::builder(settings).report_mode(mode).transport(Arc::new(Silent(requested)));
    let producer = blocking::Producer::build(builder).unwrap();
    let stream = producer.stream("orders").unwrap();
    // Once the only connection is taken there is a shard map, and nothing else is sent.
    put(&stream, UserRecord::new("first", b""));
    assert!(!producer.flush(Duration::ZERO));
    requests.recv_timeout(LONG).unwrap();

    let mut put_all = |keys: &[String]| keys.iter().for_each(|key| put(&stream, UserRecord::new(key, &[7; 100])));
    let all = Region::new(ALLOCATOR);
    put_all(&keys[..50_000]);
    let steady = Region::new(ALLOCATOR);
    put_all(&keys[50_000..60_000]);
    let steady = steady.change();
    put_all(&keys[60_000..]);
    let all = all.change();

    assert_eq!(producer.outstanding().records, OUTSTANDING + 1);
    let allocations = (steady.allocations + steady.reallocations) as f64 / 10_000.0;
    let held = (all.bytes_allocated - all.bytes_deallocated) as f64 / OUTSTANDING as f64 - 120.0;
    println!("{name}: {allocations:.4} allocations a put, {held:.1} B held beside the user record's own");
    // Some 25 an aggregate of 400: its buffers double. One for each user record would be ten times the limit.
    assert!(allocations < 0.1, "{name}: {allocations} allocations a put");
    assert!(held <= 40.0, "{name}: {held} B are held beside the 120 of a user record");
    assert_eq!(producer.abort(), OUTSTANDING + 1);
}
