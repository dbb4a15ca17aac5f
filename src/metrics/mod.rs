//! The KPL's metrics, and totals: plain numbers, counted from what the core tells, and read as a whole.
//!
//! [`Producer::metrics`](crate::Producer::metrics) gives each [`Metric`] of the last seconds or since the start, for the producer,
//! every stream and every shard.

mod accumulator;
mod counters;
mod distribution;
mod hot_keys;
mod levels;
mod measured;
mod metric;
mod places;
mod statistic_set;
mod statistics;
mod stream;

pub(crate) use accumulator::WINDOW_SECONDS;
pub use counters::Counters;
pub use levels::MetricValues;
pub(crate) use levels::levels;
#[doc(hidden)]
pub use measured::{DataSizes, Decided, Measurement};
pub use metric::{Metric, Unit};
pub use statistic_set::StatisticSet;
pub use statistics::{
    BackoffStatistics, ConnectionStatistics, Finding, FindingKind, HotKey, OutstandingStatistics, Percentiles,
    QueueStatistics, ShardMapStatistics, ShardStatistics, Statistics, StreamState, StreamStatistics, TimeStatistics,
};
#[cfg(feature = "schema")]
#[doc(hidden)]
pub use statistics::{markdown, schema};
#[doc(hidden)]
pub use stream::{Reading, StreamMetrics, Unsent};
