//! How much may be sent, and how long a shard that was sent too much keeps puts waiting: bounds of the limiter, seen from outside.

use std::time::Duration;

use super::ledger::nanos;
use super::scenario::{MS, SECOND};

const SHARD_BYTES: f64 = 1_048_576.0;
const SHARD_RECORDS: f64 = 1000.0;
/// A throttled answer lowers the limiter's factor to this part of it, and never below the lowest.
const DECREASE: f64 = 0.9;
const LOWEST: f64 = 0.01;
/// Refused puts are looked at again on a grid of this width.
const ROOM_GRID: u64 = 5 * MS;

/// Token buckets at the ceiling that `rate_limit` sets, by shard of the service: more must never be sent.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: f64,
    levels: Vec<(f64, f64, u64)>,
    pub(crate) started: Option<u64>,
    pub(crate) possible: bool,
}

impl Pace {
    pub(crate) fn new(rate_limit: u64, possible: bool) -> Pace {
        Pace { rate: rate_limit as f64 / 100.0, levels: Vec::new(), started: None, possible }
    }

    /// `lowest` is a pace that is not above the present one, in bytes a second: what is larger than a full bucket leaves when it is
    /// full, and a throttled shard's bucket is smaller.
    pub(crate) fn sent(&mut self, shard: usize, bytes: usize, lowest: f64, now: u64) {
        let Some(started) = self.started.filter(|_| self.possible) else {
            self.possible = false;
            return;
        };
        let (bytes_rate, records_rate) = (self.rate * SHARD_BYTES, self.rate * SHARD_RECORDS);
        if self.levels.len() <= shard {
            self.levels.resize(shard + 1, (bytes_rate, records_rate, started));
        }
        let (level, records, updated) = &mut self.levels[shard];
        let passed = (now - *updated) as f64 / SECOND as f64;
        *updated = now;
        *level = (*level + passed * bytes_rate).min(bytes_rate);
        *records = (*records + passed * records_rate).min(records_rate);
        let bytes = bytes as f64;
        assert!(*level >= bytes.min(lowest) - bytes_rate * 1e-6, "{bytes} bytes sent over the ceiling: {level} left");
        assert!(*records >= 1_f64.min(records_rate) - 1e-6, "a Kinesis record sent over the ceiling");
        *level -= bytes;
        *records -= 1.0;
    }

    /// Seconds that one shard takes for this much.
    pub(crate) fn seconds_for(&self, records: usize, bytes: usize) -> f64 {
        (bytes as f64 / SHARD_BYTES).max(records as f64 / SHARD_RECORDS) / self.rate
    }

    /// The least that the pipeline owes a shard, in seconds of the ceiling: it may pay more slowly, never faster.
    pub(crate) fn owed(&self, shard: usize, now: u64) -> f64 {
        let Some((level, _, updated)) = self.levels.get(shard).filter(|_| self.possible) else { return 0.0 };
        let passed = (now - *updated) as f64 / SECOND as f64;
        (-level / (self.rate * SHARD_BYTES) - passed).max(0.0)
    }
}

/// The most that the bucket of any lane can be in debt. A Kinesis record leaves when the bucket is full or holds enough for it, so
/// right after it nothing is owed but what it has more than the bucket, whatever was sent before; and the debt is paid off at least
/// at the lowest rate that the throttled answers so far can have led to.
#[derive(Debug)]
pub(crate) struct Debt {
    factor: f64,
    bytes: f64,
    updated: u64,
}

impl Debt {
    pub(crate) fn new(rate_limit: u64) -> Debt {
        Debt { factor: (rate_limit as f64 / 100.0).min(1.0), bytes: 0.0, updated: 0 }
    }

    /// The pace of no lane is below it.
    pub(crate) fn rate(&self) -> f64 {
        self.factor * SHARD_BYTES
    }

    fn pay(&mut self, now: u64) {
        let passed = (now - self.updated) as f64 / SECOND as f64;
        self.bytes = (self.bytes - passed * self.rate()).max(0.0);
        self.updated = now;
    }

    pub(crate) fn sent(&mut self, bytes: usize, now: u64) {
        self.pay(now);
        self.bytes = self.bytes.max(bytes as f64 - self.rate());
    }

    /// An answer throttled something.
    pub(crate) fn throttled(&mut self, now: u64) {
        self.pay(now);
        self.factor = (self.factor * DECREASE).max(LOWEST);
    }

    /// From when on a lane with nothing else in it takes puts: when a third of `ttl` is enough for what it owes.
    pub(crate) fn admits(&self, ttl: Duration) -> u64 {
        let paid = self.updated + (self.bytes / self.rate() * SECOND as f64) as u64;
        paid.saturating_sub(nanos(ttl) / 3) + ROOM_GRID
    }
}
