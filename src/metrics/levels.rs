//! From the places where values were counted to what is shown: each metric for every shard, for every stream and for the whole
//! producer, and errors by code, as the KPL divides them (metrics_index.cc).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::metric::Metric;
use super::statistic_set::StatisticSet;
use super::stream::Reading;
use crate::error::ErrorCode;
use crate::record::ShardId;

/// The values of one metric: of the producer, a stream, or a shard, and perhaps of one error code.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MetricValues {
    /// The metric.
    pub metric: Metric,
    /// The error code, for [`Metric::ErrorsByCode`]; without one, all codes of the producer together (for a stream or a shard see
    /// [`Metric::AllErrors`]).
    pub error_code: Option<ErrorCode>,
    /// The stream's name or ARN; without one, all streams together.
    pub stream: Option<Arc<str>>,
    /// The shard; without one, all shards together.
    pub shard: Option<ShardId>,
    /// Its values.
    pub values: StatisticSet,
}

/// The sums at every level, ordered by metric, error code, stream and shard. Values without shard count for their stream, and all
/// for the producer.
pub(crate) fn levels<'a>(streams: impl IntoIterator<Item = (&'a Arc<str>, Vec<Reading>)>) -> Vec<MetricValues> {
    let mut sums = BTreeMap::new();
    for (stream, readings) in streams {
        for Reading { metric, error_code, shard, values } in readings {
            let mut add = |code: Option<&ErrorCode>, stream: Option<&Arc<str>>, shard: Option<ShardId>| {
                let key = (metric, code.cloned(), stream.cloned(), shard);
                sums.entry(key).or_insert_with(StatisticSet::default).merge(&values);
            };
            let code = error_code.as_ref();
            add(None, None, None);
            if code.is_some() {
                add(code, None, None);
            }
            add(code, Some(stream), None);
            if shard.is_some() {
                add(code, Some(stream), shard);
            }
        }
    }
    let sums = sums.into_iter();
    sums.map(|((metric, error_code, stream, shard), values)| MetricValues { metric, error_code, stream, shard, values })
        .collect()
}
