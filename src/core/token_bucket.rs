//! One token bucket: tokens flow in at a rate, up to one second's worth, and are taken for what is sent.

use std::time::Duration;

use crate::time::Time;

/// Tokens that flow in at `rate` a second; the bucket holds one second of them.
#[derive(Debug)]
pub(super) struct TokenBucket {
    rate: f64,
    level: f64,
    updated: Time,
}

impl TokenBucket {
    /// A full bucket.
    pub(super) fn new(rate: f64, now: Time) -> TokenBucket {
        TokenBucket { rate, level: rate, updated: now }
    }

    /// Changes the rate from `now` on.
    pub(super) fn set_rate(&mut self, rate: f64, now: Time) {
        self.refill(now);
        self.rate = rate;
        self.level = self.level.min(rate);
    }

    /// Whether `amount` may be taken at `now`; otherwise when it may. What is larger than the bucket may be taken when the
    /// bucket is full, and leaves it in debt.
    pub(super) fn check(&mut self, amount: f64, now: Time) -> Result<(), Time> {
        self.refill(now);
        let missing = amount.min(self.rate) - self.level;
        // Floating point: a bucket refilled exactly until its deadline may lack a hair.
        if missing <= self.rate * 1e-9 {
            return Ok(());
        }
        Err(now + Duration::from_secs_f64((missing / self.rate).min(1e9)).max(Duration::from_nanos(1)))
    }

    /// Takes `amount` after a successful [`check`](TokenBucket::check).
    pub(super) fn take(&mut self, amount: f64) {
        self.level -= amount;
    }

    /// What was taken beyond what there was.
    pub(super) fn debt(&mut self, now: Time) -> f64 {
        self.refill(now);
        (-self.level).max(0.0)
    }

    fn refill(&mut self, now: Time) {
        let passed = now.since(self.updated).as_secs_f64();
        self.level = (self.level + passed * self.rate).min(self.rate);
        self.updated = self.updated.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_rate_and_says_when_there_is_more() {
        let mut bucket = TokenBucket::new(100.0, Time::ZERO);
        bucket.check(100.0, Time::ZERO).unwrap();
        bucket.take(100.0);
        assert_eq!(bucket.check(50.0, Time::ZERO), Err(Time::from_millis(500)));
        assert_eq!(bucket.check(50.0, Time::from_millis(500)), Ok(()));
    }

    #[test]
    fn what_is_larger_than_the_bucket_passes_a_full_one_and_leaves_debt() {
        let mut bucket = TokenBucket::new(100.0, Time::ZERO);
        bucket.check(1000.0, Time::ZERO).unwrap();
        bucket.take(1000.0);
        assert_eq!(bucket.check(1.0, Time::ZERO), Err(Time::from_millis(9010)));
    }

    #[test]
    fn a_bucket_never_holds_more_than_a_second() {
        let mut bucket = TokenBucket::new(100.0, Time::ZERO);
        assert_eq!(bucket.check(100.0, Time::from_millis(60_000)), Ok(()));
        bucket.take(100.0);
        assert!(bucket.check(1.0, Time::from_millis(60_000)).is_err());
    }
}
