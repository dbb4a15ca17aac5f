//! What came of the load: reports counted, latencies, CPU time and memory, and the JSON object that says it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use kinesis_producer::{Counters, Report, Stored};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

/// Latencies are counted in microseconds, up to an hour.
const MAX_MICROSECONDS: u64 = 3_600_000_000;

/// Reports, counted.
pub(crate) struct Tally {
    pub(crate) stored: u64,
    pub(crate) possibly_stored: u64,
    /// Certainly not stored, by code.
    pub(crate) failed: BTreeMap<String, u64>,
    /// What the service said of the first that was not stored.
    pub(crate) first_failure: Option<String>,
    latencies: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        let latencies = Histogram::new_with_bounds(1, MAX_MICROSECONDS, 3).expect("the bounds are sound");
        Tally { stored: 0, possibly_stored: 0, failed: BTreeMap::new(), first_failure: None, latencies }
    }

    /// Counts a report.
    #[inline]
    pub(crate) fn count(&mut self, report: &Report) {
        match report.stored() {
            Stored::Yes => self.stored += 1,
            _ => self.count_failure(report),
        }
    }

    /// Counts `count` user records that were put at one moment and whose reports were seen at another.
    pub(crate) fn time(&mut self, put_at: Instant, seen_at: Instant, count: u64) {
        let latency = seen_at.saturating_duration_since(put_at).as_micros() as u64;
        self.latencies.saturating_record_n(latency, count);
    }

    /// Counts what the counters say where no reports were looked at.
    pub(crate) fn count_counters(&mut self, counters: &Counters) {
        self.stored = counters.user_records_stored;
        if counters.user_records_failed > 0 {
            self.failed.insert("unknown".to_owned(), counters.user_records_failed);
        }
    }

    /// Adds another thread's.
    pub(crate) fn add(&mut self, other: Tally) {
        self.stored += other.stored;
        self.possibly_stored += other.possibly_stored;
        for (code, count) in other.failed {
            *self.failed.entry(code).or_default() += count;
        }
        self.first_failure = self.first_failure.take().or(other.first_failure);
        self.latencies.add(&other.latencies).expect("both have the same bounds");
    }

    /// User records reported.
    pub(crate) fn reported(&self) -> u64 {
        self.stored + self.possibly_stored + self.failed.values().sum::<u64>()
    }

    #[cold]
    fn count_failure(&mut self, report: &Report) {
        let code = report.failure().map(ToString::to_string).unwrap_or_default();
        self.first_failure
            .get_or_insert_with(|| format!("{code}: {}", report.error_message().unwrap_or("the service said nothing")));
        match report.stored() {
            Stored::Possibly => self.possibly_stored += 1,
            _ => *self.failed.entry(code).or_default() += 1,
        }
    }

    /// A percentile in milliseconds; `null` if no report was looked at.
    fn percentile(&self, percent: f64) -> String {
        if self.latencies.is_empty() {
            return "null".to_owned();
        }
        format!("{:.3}", self.latencies.value_at_quantile(percent / 100.0) as f64 / 1e3)
    }

    /// The result as one JSON object.
    pub(crate) fn to_json(&self, records: u64, spent: &Spent, counters: &Counters) -> String {
        let seconds = spent.wall.as_secs_f64();
        let per_second = records as f64 / seconds.max(1e-9);
        let cpu = spent.cpu.as_secs_f64() * 1e6 / records.max(1) as f64;
        let [p50, p90, p99, p999, max] = [50.0, 90.0, 99.0, 99.9, 100.0].map(|percent| self.percentile(percent));
        let failed = serde_json::json!(self.failed);
        let Tally { stored, possibly_stored, .. } = self;
        let Counters { attempts, put_records_calls, .. } = counters;
        format!(
            "{{\"records\":{records},\"seconds\":{seconds:.3},\"records_per_second\":{per_second:.0},\
             \"cpu_us_per_record\":{cpu:.3},\"p50_ms\":{p50},\"p90_ms\":{p90},\"p99_ms\":{p99},\"p999_ms\":{p999},\
             \"max_ms\":{max},\"rss_mb\":{:.1},\"stored\":{stored},\"possibly_stored\":{possibly_stored},\
             \"failed\":{failed},\"attempts\":{attempts},\"put_records_calls\":{put_records_calls}}}",
            spent.rss_mib
        )
    }
}

/// What the process used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    /// Time that passed.
    pub(crate) wall: Duration,
    /// User and system time.
    pub(crate) cpu: Duration,
    /// The high-water mark of the resident memory, in MiB.
    pub(crate) rss_mib: f64,
}

/// What the process used up to now.
///
/// # Errors
/// What the system says.
pub(crate) fn cpu_and_rss() -> Result<(Duration, f64), nix::Error> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let microseconds = |time: TimeVal| Duration::from_micros(time.num_microseconds().unsigned_abs());
    Ok((microseconds(usage.user_time()) + microseconds(usage.system_time()), usage.max_rss() as f64 / 1024.0))
}
