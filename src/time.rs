//! Time as the core knows it: nanoseconds since the producer started, cheap to copy, printable, and made by hand in tests.
//! Only `runtime/clock.rs` turns a clock into it. Arithmetic saturates: a far deadline is "never", not an overflow.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// A moment, in nanoseconds since the producer started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The moment the producer started.
    pub const ZERO: Time = Time(0);
    /// Later than every real moment (584 years).
    pub const NEVER: Time = Time(u64::MAX);

    /// The moment `nanos` nanoseconds after the producer's start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Time {
        Time(nanos)
    }

    /// The moment `millis` milliseconds after the producer's start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Time {
        Time(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the producer's start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after.
    #[must_use]
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The next multiple of `step` at or after this moment, so that deadlines close to each other become one wake-up.
    #[must_use]
    pub fn round_up(self, step: Duration) -> Time {
        let step = nanos(step).max(1);
        Time(self.0.div_ceil(step).saturating_mul(step))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(nanos(duration)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000_000, self.0 / 1_000 % 1_000_000)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_deadlines_are_never() {
        assert_eq!(Time::from_millis(5) + Duration::MAX, Time::NEVER);
    }

    #[test]
    fn rounding_up_keeps_multiples_and_never_goes_back() {
        let step = Duration::from_millis(10);
        assert_eq!(Time::from_millis(20).round_up(step), Time::from_millis(20));
        assert_eq!(Time::from_nanos(20_000_001).round_up(step), Time::from_millis(30));
        assert_eq!(Time::NEVER.round_up(step), Time::NEVER);
    }

    #[test]
    fn time_before_is_no_time_since() {
        assert_eq!(Time::from_millis(1).since(Time::from_millis(2)), Duration::ZERO);
    }
}
