//! How the values of one metric of a stream are spread: what percentiles are computed from, here for the last minute and, from
//! what was not uploaded yet, in CloudWatch.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::accumulator::UPLOADS;
use crate::time::Time;

/// Values are known to 1 %.
const DIGITS: u8 = 2;
/// The last minute is this long, or up to twice as long.
const RECENT: Duration = Duration::from_secs(30);

/// Values counted by size; fractions of a unit are lost, so times are in microseconds. Takes some 10 KB for each part that has
/// values.
#[derive(Clone, Debug)]
pub(super) struct Distribution {
    unsent: Histogram<u64>,
    /// Of the present half-minute, and of the one before.
    recent: [Histogram<u64>; 2],
    since: Time,
}

impl Distribution {
    pub(super) fn new() -> Distribution {
        Distribution { unsent: empty(), recent: [empty(), empty()], since: Time::ZERO }
    }

    pub(super) fn add(&mut self, value: u64, count: u64, now: Time) {
        self.turn(now);
        // They grow as far as any value wants.
        let [present, _] = &mut self.recent;
        let _ = present.record_n(value, count);
        if UPLOADS {
            let _ = self.unsent.record_n(value, count);
        }
    }

    /// The values since the last half-minute began, and of the one before.
    pub(super) fn recent(&mut self, now: Time) -> Histogram<u64> {
        self.turn(now);
        let [present, before] = &self.recent;
        let mut both = before.clone();
        let _ = both.add(present);
        both
    }

    /// What was not uploaded yet, as values and how often each came.
    pub(super) fn take_unsent(&mut self) -> Vec<(u64, u64)> {
        let values = self.unsent.iter_recorded();
        let values = values.map(|value| (value.value_iterated_to(), value.count_since_last_iteration())).collect();
        self.unsent.reset();
        values
    }

    fn turn(&mut self, now: Time) {
        let passed = now.since(self.since);
        if passed < RECENT {
            return;
        }
        let [present, before] = &mut self.recent;
        std::mem::swap(present, before);
        present.reset();
        if passed >= 2 * RECENT {
            before.reset();
        }
        self.since = now;
    }
}

fn empty() -> Histogram<u64> {
    Histogram::new(DIGITS).expect("two digits are allowed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_last_minute_are_kept_and_older_ones_are_not() {
        let mut distribution = Distribution::new();
        let at = |seconds: u64| Time::from_millis(seconds * 1000);
        distribution.add(10, 1, at(5));
        distribution.add(20, 3, at(35));
        assert_eq!(distribution.recent(at(50)).len(), 4);
        assert_eq!(distribution.recent(at(66)).len(), 3);
        assert_eq!(distribution.recent(at(127)).len(), 0);
    }

    #[test]
    fn values_are_taken_for_an_upload_once() {
        let mut distribution = Distribution::new();
        distribution.add(7, 2, Time::ZERO);
        distribution.add(100, 1, Time::ZERO);
        assert_eq!(distribution.take_unsent(), [(7, 2), (100, 1)]);
        assert!(distribution.take_unsent().is_empty());
    }
}
