//! The blocking face, with back-pressure: puts every line of a file, or of standard input, and waits where there is no room.
//!
//! ```sh
//! seq 1000000 | cargo run --release --example blocking
//! ```
//!
//! It talks to a local service of its own; with the arguments `FILE ENDPOINT_URL STREAM`, or `- ENDPOINT_URL STREAM`, to
//! another. It ends with exit code 0 only if every line was stored.

mod support;

use std::collections::VecDeque;
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, stdin};
use std::process::ExitCode;
use std::time::Duration;

use kinesis_producer::blocking::{Producer, Stream};
use kinesis_producer::local::LocalService;
use kinesis_producer::{Config, PutError, Report, Ticket, UserRecord};

/// How long a put waits for room before it says so.
const PATIENCE: Duration = Duration::from_secs(1);
/// More than `record_ttl` and `request_timeout` together: within that every report is there.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);
/// Small, so that reading soon waits for the service: by default it is a million.
const MAX_OUTSTANDING_RECORDS: usize = 10_000;

fn main() -> ExitCode {
    let failed = run().inspect_err(|error| eprintln!("error: {error}"));
    if failed.is_ok_and(|failed| failed == 0) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Puts all lines; gives how many were not stored.
fn run() -> Result<u64, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let service; // Kept until the end: dropping it stops it.
    let (config, name) = match arguments.as_slice() {
        [_, endpoint_url, name] => (support::service_config(Some(endpoint_url), None), name.as_str()),
        [] | [_] => {
            service = LocalService::start_blocking()?;
            service.block_on(service.create_stream("lines", 2))?;
            (service.config(), "lines")
        }
        _ => return Err("usage: blocking [FILE | -] [ENDPOINT_URL STREAM]".into()),
    };
    let lines = open(arguments.first().map_or("-", String::as_str))?;
    put_lines(config.max_outstanding_records(MAX_OUTSTANDING_RECORDS), name, lines)
}

fn put_lines(config: Config, name: &str, lines: Box<dyn BufRead>) -> Result<u64, Box<dyn Error>> {
    let producer = Producer::new(config)?;
    let stream = producer.stream(name)?;
    let (mut put, mut failed) = (0_u64, 0);
    let mut tickets = VecDeque::new();
    for line in lines.split(b'\n') {
        put += 1;
        tickets.push_back(put_patiently(&stream, put, &line?)?);
        // Look at the reports that are there; the rest comes later.
        while let Some(report) = tickets.front().and_then(Ticket::report) {
            failed += count_failure(&report);
            tickets.pop_front();
        }
    }
    // Sends the rest at once; what is undecided after that is reported as failed. Every ticket has its report then.
    producer.close(CLOSE_TIMEOUT);
    failed += tickets.iter().filter_map(Ticket::report).map(|report| count_failure(&report)).sum::<u64>();
    println!("{put} lines put, {} stored, {failed} not", put - failed);
    Ok(failed)
}

/// Puts a line, waiting for room as long as it takes: nothing is lost, and reading goes no faster than the service takes.
fn put_patiently(stream: &Stream, number: u64, line: &[u8]) -> Result<Ticket, String> {
    let partition_key = format!("line-{number}");
    let record = UserRecord::new(&partition_key, line);
    loop {
        // `try_put` would say `QueueFull` at once: for programs that have something else to do meanwhile.
        match stream.try_put(record).or_else(|_| stream.put(record, PATIENCE)) {
            Ok(ticket) => return Ok(ticket),
            Err(PutError::TimedOut) => eprintln!("line {number}: no room for {PATIENCE:?}, still waiting"),
            Err(refused) => return Err(format!("line {number}: {refused}")),
        }
    }
}

/// 1 if the line was not stored, and says why.
fn count_failure(report: &Report) -> u64 {
    let Some(failure) = report.failure() else { return 0 };
    eprintln!("not stored: {failure}: {}", report.error_message().unwrap_or_default());
    1
}

fn open(file: &str) -> Result<Box<dyn BufRead>, String> {
    match File::open(file) {
        _ if file == "-" => Ok(Box::new(stdin().lock())),
        Ok(opened) => Ok(Box::new(BufReader::new(opened))),
        Err(error) => Err(format!("{file}: cannot be read: {error}")),
    }
}
