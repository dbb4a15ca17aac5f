//! The smallest summary that can be added up: how many values, their sum, the smallest and the largest.

/// A summary of values, as CloudWatch's statistic sets are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct StatisticSet {
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The smallest; 0 if there are none.
    pub min: f64,
    /// The largest; 0 if there are none.
    pub max: f64,
}

impl StatisticSet {
    /// A value, `count` times.
    #[must_use]
    pub fn of(value: f64, count: u64) -> StatisticSet {
        if count == 0 {
            return StatisticSet::default();
        }
        StatisticSet { count, sum: value * count as f64, min: value, max: value }
    }

    /// Each value, `count` times.
    #[must_use]
    pub(crate) fn times(&self, count: u64) -> StatisticSet {
        StatisticSet { count: self.count * count, sum: self.sum * count as f64, ..*self }
    }

    /// The average; 0 if there are no values.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }

    /// Adds the values of another summary.
    pub fn merge(&mut self, other: &StatisticSet) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}
