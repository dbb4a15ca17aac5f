//! The one place that reads a clock or waits for time.
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use crate::time::Time;

/// Counts from the moment it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock { origin: Instant::now() }
    }

    /// 45 ns.
    #[inline]
    pub(crate) fn now(&self) -> Time {
        let passed = self.origin.elapsed();
        // Cheaper than `as_nanos`, which counts in 128 bits.
        Time::from_nanos(passed.as_secs() * 1_000_000_000 + u64::from(passed.subsec_nanos()))
    }

    /// Since 1970, by the system's clock: for people and other programs only, it may jump.
    pub(crate) fn unix_time() -> Duration {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
    }

    /// Waits, for ever if `when` is too far away to be a moment of the clock. Runs on: the producer's runtime.
    pub(crate) async fn wait_until(&self, when: Time) {
        match self.origin.checked_add(Duration::from_nanos(when.as_nanos())).filter(|_| when < Time::NEVER) {
            Some(when) => tokio::time::sleep_until(when.into()).await,
            None => std::future::pending().await,
        }
    }

    /// Parks the calling thread until it is unparked or `when` comes.
    pub(crate) fn park_until(&self, when: Time) {
        if when == Time::NEVER {
            std::thread::park();
        } else {
            std::thread::park_timeout(when.since(self.now()));
        }
    }
}
