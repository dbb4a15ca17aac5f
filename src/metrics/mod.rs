//! The KPL's metrics, and totals: plain numbers, counted from what the core tells, and read as a whole.
//!
//! [`Producer::metrics`](crate::Producer::metrics) gives each [`Metric`] of the last seconds or since the start, for the producer,
//! every stream and every shard.
//!
//! With the feature `metrics` all of them also go to the recorder that the application installed for the
//! [`metrics`](https://docs.rs/metrics) facade, under names that `METRICS.md` lists.

mod accumulator;
mod counters;
mod distribution;
mod facade;
#[cfg_attr(not(feature = "metrics"), path = "unforwarded.rs")]
mod forward;
mod hot_keys;
mod levels;
mod markdown;
mod measured;
mod metric;
mod places;
mod statistic_set;
mod statistics;
mod stream;

pub(crate) use accumulator::WINDOW_SECONDS;
pub use counters::Counters;
#[doc(hidden)]
pub use facade::{Kind, Series};
pub use levels::MetricValues;
pub(crate) use levels::levels;
#[doc(hidden)]
pub use markdown::markdown;
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
pub use statistics::{markdown as statistics_markdown, schema as statistics_schema};
#[doc(hidden)]
pub use stream::{Reading, StreamMetrics, Unsent};
