//! The pace of one shard. Two token buckets (bytes and records) follow one factor of the service's limits: it starts at the
//! limit, rises towards the ceiling that `rate_limit` sets while all is well, and falls when the service throttles. A throttled
//! shard also pauses for a moment (exponential backoff with full jitter), so that a refusal is not answered by more of the same.

use std::time::Duration;

use fastrand::Rng;

use super::token_bucket::TokenBucket;
use crate::time::Time;

/// What a shard takes in a second (Kinesis quotas, "Shards in provisioned mode").
const SHARD_BYTES: f64 = 1_048_576.0;
const SHARD_RECORDS: f64 = 1000.0;
/// The factor moves up at most this often.
const STEP: Duration = Duration::from_millis(100);
/// A quarter of a doubling a step, before the first throttling.
const SLOW_START: f64 = 1.32;
/// Of the way back to just below the factor that was throttled, each step.
const RECOVERY: f64 = 0.3;
/// Beyond that, a careful probe: 2 % a second …
const PROBE: f64 = 1.002;
/// … and 20 % a second when nothing was throttled for [`CALM`].
const BOLD_PROBE: f64 = 1.02;
const CALM: Duration = Duration::from_secs(10);
const DECREASE: f64 = 0.9;
const LOWEST: f64 = 0.01;
const BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(1);
/// Wake-ups of limited shards fall on common moments, so that their Kinesis records share requests.
const GRID: Duration = Duration::from_millis(5);

/// The pace of one shard.
#[derive(Debug)]
pub(super) struct Limiter {
    bytes: TokenBucket,
    records: TokenBucket,
    factor: f64,
    ceiling: f64,
    /// The factor at the last throttling, and when that was.
    throttled: Option<(f64, Time)>,
    adjusted: Time,
    /// Something had to wait for tokens since the factor was last moved: only then is there a reason to raise it.
    wanted: bool,
    streak: u32,
    backoff_until: Time,
}

impl Limiter {
    /// A limiter at the service's limit, or at the ceiling (`percent` of that limit times `shards`) where this is lower.
    pub(super) fn new(percent: u64, shards: f64, now: Time) -> Limiter {
        let ceiling = percent as f64 / 100.0 * shards;
        let factor = ceiling.min(1.0);
        Limiter {
            bytes: TokenBucket::new(SHARD_BYTES * factor, now),
            records: TokenBucket::new(SHARD_RECORDS * factor, now),
            factor,
            ceiling,
            throttled: None,
            adjusted: now,
            wanted: false,
            streak: 0,
            backoff_until: Time::ZERO,
        }
    }

    /// Takes the tokens for one Kinesis record, or says when to try again.
    pub(super) fn try_take(&mut self, bytes: usize, now: Time) -> Result<(), Time> {
        if now < self.backoff_until {
            return Err(self.backoff_until);
        }
        let ready = self.bytes.check(bytes as f64, now).and(self.records.check(1.0, now));
        if let Err(when) = ready {
            self.wanted = true;
            return Err(when.round_up(GRID));
        }
        self.bytes.take(bytes as f64);
        self.records.take(1.0);
        Ok(())
    }

    /// Seconds until this much could have been sent at the present pace, what was sent too much before included.
    pub(super) fn seconds_for(&mut self, bytes: usize, records: usize, now: Time) -> f64 {
        let bytes = (bytes as f64 + self.bytes.debt(now)) / (SHARD_BYTES * self.factor);
        let records = (records as f64 + self.records.debt(now)) / (SHARD_RECORDS * self.factor);
        bytes.max(records)
    }

    /// A Kinesis record was stored.
    pub(super) fn handle_stored(&mut self, now: Time) {
        self.streak = 0;
        if !self.wanted || now.since(self.adjusted) < STEP {
            return;
        }
        self.wanted = false;
        let factor = match self.throttled {
            None => self.factor * SLOW_START,
            Some((highest, _)) if self.factor < highest * 0.97 => {
                self.factor + (highest * 0.98 - self.factor) * RECOVERY
            }
            Some((_, when)) if now.since(when) < CALM => self.factor * PROBE,
            Some(_) => self.factor * BOLD_PROBE,
        };
        self.set_factor(factor.min(self.ceiling), now);
    }

    /// A Kinesis record that was sent at `sent` came back throttled (or failed inside the service). Returns whether the shard
    /// was not in backoff before.
    pub(super) fn handle_throttled(&mut self, sent: Time, now: Time, rng: &mut Rng) -> bool {
        let first = self.streak == 0;
        // One decrease for what was on the wire together.
        if self.throttled.is_none_or(|(_, when)| sent >= when) {
            self.throttled = Some((self.factor, now));
            self.set_factor((self.factor * DECREASE).max(LOWEST.min(self.ceiling)), now);
        }
        self.back_off(now, rng);
        first
    }

    /// Pauses the shard without blaming its pace.
    pub(super) fn back_off(&mut self, now: Time, rng: &mut Rng) {
        if now >= self.backoff_until {
            self.backoff_until = now + jittered(BACKOFF, self.streak, MAX_BACKOFF, rng);
            self.streak = self.streak.saturating_add(1);
        }
    }

    /// Bytes and Kinesis records a second at present.
    pub(super) fn rates(&self) -> (f64, f64) {
        (SHARD_BYTES * self.factor, SHARD_RECORDS * self.factor)
    }

    /// Nothing may be sent before this; past if something may.
    pub(super) fn backoff_until(&self) -> Time {
        self.backoff_until
    }

    fn set_factor(&mut self, factor: f64, now: Time) {
        self.factor = factor;
        self.adjusted = now;
        self.bytes.set_rate(SHARD_BYTES * factor, now);
        self.records.set_rate(SHARD_RECORDS * factor, now);
    }
}

/// Full jitter: somewhere between nothing and `base` × 2^`streak`, at most `most`.
pub(super) fn jittered(base: Duration, streak: u32, most: Duration, rng: &mut Rng) -> Duration {
    let longest = base.saturating_mul(1 << streak.min(16)).min(most);
    longest.mul_f64(rng.f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offers aggregates of 50 KB without end to a shard that takes `service` bytes a second (bursts of one second), for
    /// `seconds`; gives the part used after the first ten seconds and the part of the sent bytes that was refused.
    fn drive(service: f64, percent: u64, seconds: u64) -> (f64, f64) {
        let mut rng = Rng::with_seed(7);
        let mut limiter = Limiter::new(percent, 1.0, Time::ZERO);
        let mut shard = TokenBucket::new(service, Time::ZERO);
        let (mut now, size) = (Time::ZERO, 51_000.0);
        let (mut stored_late, mut stored, mut refused) = (0.0, 0.0, 0.0);
        while now < Time::from_millis(seconds * 1000) {
            match limiter.try_take(51_000, now) {
                Err(when) => now = when,
                Ok(()) if shard.check(size, now).is_ok() => {
                    shard.take(size);
                    stored += size;
                    stored_late += if now > Time::from_millis(10_000) { size } else { 0.0 };
                    limiter.handle_stored(now);
                }
                Ok(()) => {
                    refused += size;
                    limiter.handle_throttled(now, now, &mut rng);
                }
            }
        }
        (stored_late / (service * (seconds as f64 - 10.0)), refused / (stored + refused))
    }

    #[test]
    fn a_hot_shard_is_used_and_hardly_ever_throttled() {
        let (used, refused) = drive(SHARD_BYTES, 150, 60);
        assert!(used > 0.95, "used {used}");
        assert!(refused < 0.05, "refused {refused}");
    }

    #[test]
    fn half_a_shard_is_found() {
        let (used, refused) = drive(SHARD_BYTES / 2.0, 150, 60);
        assert!(used > 0.93, "used {used}");
        assert!(refused < 0.08, "refused {refused}");
    }

    #[test]
    fn a_far_ceiling_is_reached_when_nothing_throttles() {
        let (used, refused) = drive(100.0 * SHARD_BYTES, 20_000, 60);
        assert!(used > 0.7, "used {used}");
        assert!(refused < 0.05, "refused {refused}");
    }

    #[test]
    fn pauses_are_spread_between_nothing_and_the_longest() {
        let mut rng = Rng::with_seed(7);
        let longest = BACKOFF * 8;
        let pauses: Vec<Duration> = (0..1000).map(|_| jittered(BACKOFF, 3, MAX_BACKOFF, &mut rng)).collect();
        assert!(pauses.iter().all(|pause| *pause <= longest));
        let short = pauses.iter().filter(|pause| **pause < longest / 2).count();
        assert!((400..600).contains(&short), "{short} of 1000 are short");
    }

    #[test]
    fn the_ceiling_holds() {
        let (used, refused) = drive(10.0 * SHARD_BYTES, 150, 60);
        assert!((0.145..=0.151).contains(&used), "used {used}");
        assert!(refused == 0.0);
    }
}
