//! The values of one metric in one place: since the start, second by second for the last minute, and since the last upload.

use std::collections::VecDeque;

use super::statistic_set::StatisticSet;
use crate::time::Time;

/// Seconds that can be asked for (the KPL's accumulators hold as many, metrics_manager.h).
pub(crate) const WINDOW_SECONDS: u64 = 60;

/// Whether anybody asks for what was not uploaded yet.
pub(super) const UPLOADS: bool = cfg!(any(feature = "cloudwatch", test));

/// Takes 2.5 KB when there are values in each second, and 120 bytes when there are none.
#[derive(Clone, Debug, Default)]
pub(super) struct Accumulator {
    total: StatisticSet,
    unsent: StatisticSet,
    /// Seconds since the producer's start, only those with values, in order.
    seconds: VecDeque<(u64, StatisticSet)>,
}

impl Accumulator {
    pub(super) fn add(&mut self, values: &StatisticSet, second: u64) {
        self.total.merge(values);
        if UPLOADS {
            self.unsent.merge(values);
        }
        match self.seconds.back_mut() {
            // Whoever read the clock earlier may come later.
            Some((last, set)) if *last >= second => set.merge(values),
            Some(_) | None => {
                while self.seconds.front().is_some_and(|(first, _)| first + WINDOW_SECONDS <= second) {
                    self.seconds.pop_front();
                }
                self.seconds.push_back((second, *values));
            }
        }
    }

    /// Since the start, or in the last `window` seconds, the present one included.
    pub(super) fn read(&self, window: Option<u64>, second: u64) -> StatisticSet {
        let Some(window) = window else { return self.total };
        let mut sum = StatisticSet::default();
        for (_, set) in self.seconds.iter().rev().take_while(|(other, _)| other + window > second) {
            sum.merge(set);
        }
        sum
    }

    pub(super) fn take_unsent(&mut self) -> StatisticSet {
        std::mem::take(&mut self.unsent)
    }

    /// Whether it ever had a value.
    pub(super) fn is_used(&self) -> bool {
        self.total.count > 0
    }

    /// Whether it has had no value for so long that no window shows it.
    pub(super) fn is_idle(&self, second: u64) -> bool {
        self.seconds.back().is_none_or(|(last, _)| last + WINDOW_SECONDS <= second)
    }

    /// Takes over the values of one that is given up. Those of its last minute are gone by then.
    pub(super) fn inherit(&mut self, other: &Accumulator) {
        self.total.merge(&other.total);
        self.unsent.merge(&other.unsent);
    }
}

/// The second that a moment lies in.
pub(super) fn second_of(now: Time) -> u64 {
    now.as_nanos() / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_back_from_the_present_second() {
        let mut accumulator = Accumulator::default();
        for second in 0..100 {
            accumulator.add(&StatisticSet::of(second as f64, 2), second);
        }
        let read = |window| accumulator.read(window, 99);
        assert_eq!(read(Some(1)), StatisticSet::of(99.0, 2));
        assert_eq!((read(Some(60)).count, read(Some(60)).min), (120, 40.0));
        assert_eq!((read(None).count, read(None).sum), (200, 9900.0));
        assert_eq!(accumulator.read(Some(10), 105), {
            let mut sum = StatisticSet::of(96.0, 2);
            for n in 97..100 {
                sum.merge(&StatisticSet::of(f64::from(n), 2));
            }
            sum
        });
        assert_eq!(accumulator.read(Some(60), 159).count, 0);
        assert!(accumulator.is_idle(159) && !accumulator.is_idle(158));
    }

    #[test]
    fn what_was_taken_for_an_upload_is_not_taken_again() {
        let mut accumulator = Accumulator::default();
        accumulator.add(&StatisticSet::of(3.0, 1), 0);
        assert_eq!(accumulator.take_unsent(), StatisticSet::of(3.0, 1));
        accumulator.add(&StatisticSet::of(5.0, 1), 0);
        assert_eq!(accumulator.take_unsent(), StatisticSet::of(5.0, 1));
        assert_eq!(accumulator.take_unsent().count, 0);
    }
}
