//! The load generator: puts numbered user records as fast as they go, or at a rate, and says what it cost.
//!
//! ```sh
//! cargo run --release --example load -- --endpoint-url https://127.0.0.1:4567 --ca-file ca.pem --keys 1000
//! ```
//!
//! A payload begins with the producer id (u32) and a sequence number (u64 from 0), both big endian, and the partition key is
//! `partition-key-` and the sequence number modulo the number of keys: any far end can check loss, duplicates and order.
//! Latency is from the call of the put, so the wait for room is in it, until the report is seen. `failed` counts what was
//! certainly not stored. Without reports (`--report none`) there are no latencies, and failures have no code.

#[path = "load/options.rs"]
mod options;
#[path = "load/payload.rs"]
mod payload;
#[path = "load/putter.rs"]
mod putter;
mod support;
#[path = "load/tally.rs"]
mod tally;
#[path = "load/tickets.rs"]
mod tickets;
#[path = "load/wait.rs"]
mod wait;

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use clap::Parser;
use kinesis_producer::{Counters, Producer};

use options::{Options, ReportWay};
use putter::Putter;
use support::now;
use tally::{Spent, Tally, cpu_and_rss};
use wait::{thread_waker, wait_for};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Reports taken from the queue at once.
const POLL: usize = 8192;
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(tally) if tally.stored == options.records && tally.reported() == options.records => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<Tally, BoxError> {
    let builder = Producer::builder(options.config()?).report_mode(options.report_mode());
    let producer = wait_for(&thread_waker(), builder.build(), || {})?;
    println!("{}", how(options));
    let (cpu_before, _) = cpu_and_rss()?;
    let start = now();
    let (tally, refused) = put_and_await(&producer, options, start)?;
    let wall = start.elapsed();
    let (cpu_after, rss_mib) = cpu_and_rss()?;
    let counters = producer.counters();
    wait_for(&thread_waker(), producer.close(Duration::ZERO), || {});
    if let Some(failure) = &tally.first_failure {
        eprintln!("error: not stored: {failure}");
    }
    if let Some(refused) = refused {
        eprintln!("error: {refused}");
    }
    println!("{}", on_the_wire(&counters));
    let spent = Spent { wall, cpu: cpu_after.saturating_sub(cpu_before), rss_mib };
    println!("{}", tally.to_json(tally.reported(), &spent, &counters));
    Ok(tally)
}

/// How the user records will be put and awaited, for people.
fn how(options: &Options) -> String {
    let put = match options.rate {
        Some(rate) => format!("paced: one put at a time at its moment, {rate} a second"),
        None => "unpaced: put_many, as fast as there is room".to_owned(),
    };
    let report = match (options.report, options.rate) {
        (ReportWay::Tickets, Some(_)) => "every ticket awaited, its report seen when it comes",
        (ReportWay::Tickets, None) => "every ticket awaited, in put order",
        (ReportWay::Poll, _) => "reports taken from the queue",
        (ReportWay::None, _) => "no reports, only counters",
    };
    let Options { records, size, threads, .. } = options;
    format!("{records} user records of {size} bytes, {threads} thread(s); {put}; {report}")
}

/// What the JSON object does not say of the Kinesis records, for people.
fn on_the_wire(counters: &Counters) -> String {
    let Counters { kinesis_records_stored, kinesis_bytes_stored, bytes_sent, throttled, wrong_shard, .. } = counters;
    let mean = kinesis_bytes_stored / (*kinesis_records_stored).max(1);
    format!(
        "{kinesis_records_stored} Kinesis records stored, {mean} bytes on average; {bytes_sent} bytes sent; \
         {throttled} throttled; {wrong_shard} in another shard than predicted"
    )
}

/// Puts everything and waits for the last report. Also says why a put was refused, if one was.
fn put_and_await(producer: &Producer, options: &Options, start: Instant) -> Result<(Tally, Option<String>), BoxError> {
    let stream = producer.stream(&options.stream)?;
    let putting = AtomicUsize::new(options.threads.into());
    let mut tally = Tally::new();
    let mut refused = None;
    std::thread::scope(|scope| {
        let (stream, putting) = (&stream, &putting);
        let threads: Vec<_> = (0..options.threads)
            .map(|thread| {
                scope.spawn(move || {
                    let mut putter = Putter::new(producer, stream, options, start, thread.into());
                    let put = putter.run(putting);
                    (putter.into_tally(), put)
                })
            })
            .collect();
        if options.report == ReportWay::Poll {
            take_reports(producer, putting, start, &mut tally);
        }
        for thread in threads {
            let (its_tally, put) = thread.join().map_err(|_| "a thread that puts panicked")?;
            tally.add(its_tally);
            refused = refused.take().or(put.err());
        }
        Ok::<(), BoxError>(())
    })?;
    if options.report == ReportWay::None {
        tally.count_counters(&all_decided(producer));
    }
    Ok((tally, refused.map(|error| format!("a put was refused: {error}"))))
}

/// Takes reports until every thread is done and all that was accepted is reported. A put's opaque number is its moment, in
/// nanoseconds since the start, so that nothing has to be looked up.
fn take_reports(producer: &Producer, putting: &AtomicUsize, start: Instant, tally: &mut Tally) {
    let mut reported = 0;
    while putting.load(SeqCst) > 0 || reported < producer.counters().user_records_received {
        let reports = producer.poll_reports(POLL, POLL_TIMEOUT);
        let seen_at = now();
        let mut run = (0, 0);
        for (put_at, report) in reports.iter() {
            tally.count(&report);
            if put_at != run.0 {
                tally.time(start + Duration::from_nanos(run.0), seen_at, run.1);
                run = (put_at, 0);
            }
            run.1 += 1;
        }
        tally.time(start + Duration::from_nanos(run.0), seen_at, run.1);
        reported += reports.len() as u64;
    }
}

/// The totals once everything accepted is decided.
fn all_decided(producer: &Producer) -> Counters {
    let waker = thread_waker();
    while !wait_for(&waker, producer.flush(putter::FLUSH_TIMEOUT), || {}) {}
    producer.counters()
}
