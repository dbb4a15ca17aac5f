//! Puts every line of a text file into a Kinesis stream, reads the stream back and compares. Without options it starts a local
//! service of its own, so that it needs no AWS account:
//!
//! ```sh
//! cargo run --release --example quickstart -- [FILE]
//! ```
//!
//! `put_lines` is the part to copy. The rest is the program around it: options, reading back, and the table at the end.

mod support;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use kinesis_producer::local::LocalService;
use kinesis_producer::wire::deaggregate;
use kinesis_producer::{Config, Counters, Producer, Report, UserRecord};

type BoxError = Box<dyn std::error::Error>;

/// Puts every line of the file into the stream. A line's partition key is its number, so lines spread over all shards.
async fn put_lines(config: Config, name: &str, lines: &[&[u8]], bar: &ProgressBar) -> Result<Outcome, BoxError> {
    let producer = Producer::new(config).await?;
    let stream = producer.stream(name)?;
    let start = support::now();

    let mut tickets = Vec::with_capacity(lines.len());
    for (number, line) in (1..).zip(lines) {
        let partition_key = format!("line-{number}");
        // Waits only when `max_outstanding_bytes` or `max_outstanding_records` is used up.
        let put = stream.put(UserRecord::new(&partition_key, line)).await;
        tickets.push(put.map_err(|refused| format!("line {number}: {refused}"))?);
        if number % 1000 == 0 {
            bar.set_position(producer.counters().user_records_stored);
        }
    }
    let mut reports = Vec::with_capacity(lines.len());
    for ticket in tickets {
        reports.push(ticket.await);
        bar.set_position(reports.len() as u64);
    }

    let outcome = Outcome { reports, elapsed: start.elapsed(), counters: producer.counters() };
    producer.close(Duration::from_secs(30)).await;
    Ok(outcome)
}

/// One report for each line, in order, and the producer's totals.
struct Outcome {
    reports: Vec<Report>,
    elapsed: Duration,
    counters: Counters,
}

const LOCAL_STREAM: &str = "quickstart";
const LOCAL_SHARDS: u32 = 4;

/// Puts every line of a text file into a Kinesis stream, reads the stream back and compares.
#[derive(Parser)]
struct Options {
    /// The text file [default: this repository's README.md].
    file: Option<PathBuf>,
    /// A stream that exists, in AWS or behind --endpoint-url, instead of a local service.
    #[arg(long)]
    stream: Option<String>,
    /// The AWS region [default: the environment's].
    #[arg(long)]
    region: Option<String>,
    /// A service's URL instead of AWS.
    #[arg(long)]
    endpoint_url: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every line was stored and, if it was read back, is there unchanged.
async fn run(options: &Options) -> Result<bool, BoxError> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let path = options.file.as_ref().unwrap_or(&default);
    let text = std::fs::read(path).map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    // What follows the last newline is a line only if there is something.
    lines.pop_if(|last| last.is_empty());

    let elsewhere = options.stream.is_some() || options.endpoint_url.is_some() || options.region.is_some();
    let name = options.stream.as_deref().unwrap_or(LOCAL_STREAM);
    let (config, local) = if elsewhere {
        (support::service_config(options.endpoint_url.as_deref(), options.region.as_deref()), None)
    } else {
        let service = LocalService::start().await?;
        service.create_stream(name, LOCAL_SHARDS).await?;
        (service.config(), Some(service))
    };
    let place = match &options.endpoint_url {
        _ if local.is_some() => format!("a local service with {LOCAL_SHARDS} shards"),
        Some(url) => url.clone(),
        None => "AWS".to_owned(),
    };
    println!("{} → stream {name} of {place}", path.display());

    let bar = progress_bar(lines.len());
    let outcome = put_lines(config, name, &lines, &bar).await?;
    bar.finish_and_clear();
    print_summary(&outcome);
    let stored = check_reports(&outcome.reports);
    let found = match &local {
        Some(service) => read_back(service, name, &lines).await?,
        None => {
            println!("Not read back: reading a shared stream from its start is a consumer's work.");
            true
        }
    };
    Ok(stored && found)
}

/// Says what failed first, if anything did, and where the first line is otherwise.
fn check_reports(reports: &[Report]) -> bool {
    let failed = reports.iter().filter(|report| !report.is_stored()).count();
    let first = (1..).zip(reports).find(|(_, report)| !report.is_stored());
    if let Some((number, report)) = first {
        let failure = report.failure().map(ToString::to_string).unwrap_or_default();
        let words = report.error_message().unwrap_or_default();
        eprintln!("error: {failed} of {} lines were not stored; line {number}: {failure}: {words}", reports.len());
    } else if let Some((shard, number)) =
        reports.first().and_then(|first| first.shard_id().zip(first.sequence_number()))
    {
        println!("Line 1 is in {shard}, sequence number {number}.");
    }
    failed == 0
}

/// Reads the whole stream, takes the aggregates apart and looks for every line.
async fn read_back(service: &LocalService, name: &str, lines: &[&[u8]]) -> Result<bool, BoxError> {
    let records = service.read_stream(name).await?;
    let mut times_found = vec![0_usize; lines.len()];
    let mut strange = 0;
    for record in &records {
        for user_record in deaggregate(&record.partition_key, None, &record.data) {
            let number =
                user_record.partition_key.strip_prefix("line-").and_then(|number| number.parse::<usize>().ok());
            let index =
                number.and_then(|number| number.checked_sub(1)).filter(|at| lines.get(*at) == Some(&user_record.data));
            match index.and_then(|index| times_found.get_mut(index)) {
                Some(times) => *times += 1,
                None => strange += 1,
            }
        }
    }
    let missing = times_found.iter().filter(|times| **times == 0).count();
    let twice = times_found.iter().filter(|times| **times > 1).count();
    println!("Read back {} Kinesis records:", support::thousands(records.len() as u64));
    if (missing, twice, strange) == (0, 0, 0) {
        println!("all {} lines are there, each once and unchanged.", support::thousands(lines.len() as u64));
        return Ok(true);
    }
    eprintln!(
        "error: {missing} lines are missing, {twice} are there more than once, {strange} user records are no line"
    );
    Ok(false)
}

fn print_summary(outcome: &Outcome) {
    let Outcome { reports, elapsed, counters } = outcome;
    let mut latencies: Vec<Duration> = reports.iter().map(Report::latency).collect();
    latencies.sort_unstable();
    let user_records = reports.len() as u64;
    let per_second = user_records as f64 / elapsed.as_secs_f64();
    let per_record = counters.user_records_stored as f64 / counters.kinesis_records_stored.max(1) as f64;
    let rows = [
        ("user records", support::thousands(user_records), ""),
        ("Kinesis records", support::thousands(counters.kinesis_records_stored), ""),
        ("PutRecords calls", support::thousands(counters.put_records_calls), ""),
        ("wire bytes", support::thousands(counters.bytes_sent), ""),
        ("user records per Kinesis record", format!("{per_record:.1}"), ""),
        ("rate", support::thousands(per_second as u64), " user records/s"),
        ("latency p50", milliseconds(&latencies, 50), " ms from put to report"),
        ("latency p99", milliseconds(&latencies, 99), " ms"),
    ];
    println!();
    rows.iter().for_each(|(name, value, unit)| println!("  {name:<32}{value:>12}{unit}"));
    println!();
}

/// A percentile of sorted latencies.
fn milliseconds(sorted: &[Duration], percent: usize) -> String {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).map_or_else(|| "-".to_owned(), |latency| format!("{:.1}", latency.as_secs_f64() * 1e3))
}

fn progress_bar(lines: usize) -> ProgressBar {
    let template = "{bar:40} {human_pos}/{human_len} lines, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("the template is sound");
    ProgressBar::new(lines as u64).with_style(style)
}
