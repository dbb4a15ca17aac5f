//! What the sink counts, as it is printed, answered at `/control/statistics` and returned by [`crate::Sink::statistics`].

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Everything counted since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Statistics {
    /// Requests that named an operation of the API.
    pub requests: u64,
    /// Of these, PutRecords.
    pub put_records_requests: u64,
    /// Of these, ListShards.
    pub list_shards_requests: u64,
    /// Answered with 4xx or 5xx, by exception.
    pub refused_requests: BTreeMap<String, u64>,
    /// Stored, but the connection was closed instead of an answer.
    pub lost_answers: u64,
    /// Never answered and not stored.
    pub hung_requests: u64,
    /// Never answered and stored later.
    pub late_requests: u64,
    /// Answered with the wrong content type, or one entry short.
    pub spoilt_answers: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Most connections open at once.
    pub connections_high: u64,
    /// Bytes of request bodies.
    pub bytes_received: u64,
    /// Entries of PutRecords requests that were not refused as a whole.
    pub entries: u64,
    /// Their data and partition keys.
    pub entry_bytes: u64,
    /// Entries stored: Kinesis records.
    pub stored: u64,
    /// Their data and partition keys.
    pub stored_bytes: u64,
    /// Entries refused with ProvisionedThroughputExceededException.
    pub throttled: u64,
    /// Entries refused with InternalFailure.
    pub failed: u64,
    /// Sizes of the data of stored Kinesis records.
    pub kinesis_record_bytes: Sizes,
    /// What the checker found in all streams together; none unless asked to check.
    pub check: Option<CheckStatistics>,
    /// Shards by stream.
    pub streams: BTreeMap<String, Vec<ShardStatistics>>,
    /// User and system time of the whole process, since its start.
    pub cpu_ms: f64,
    /// Since the sink started.
    pub uptime_ms: f64,
}

/// Counts of one shard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardStatistics {
    /// `shardId-…`
    pub shard_id: String,
    /// Takes Kinesis records.
    pub open: bool,
    /// Kinesis records stored.
    pub stored: u64,
    /// Their data and partition keys.
    pub stored_bytes: u64,
    /// Entries throttled.
    pub throttled: u64,
}

/// What a KCL consumer would have been given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStatistics {
    /// Producer ids seen.
    pub producers: u64,
    /// User records delivered, copies included.
    pub user_records: u64,
    /// Their data.
    pub user_bytes: u64,
    /// User records delivered, each counted once.
    pub unique: u64,
    /// Sequence numbers below the largest of their producer that were never delivered.
    pub missing: u64,
    /// Second and further copies.
    pub duplicates: u64,
    /// First copies delivered after a later user record of the same producer and partition key.
    pub out_of_order: u64,
    /// User records of aggregates whose hash key lies outside the range of the shard they were stored in.
    pub dropped_by_range: u64,
    /// User records without a payload header.
    pub unreadable: u64,
    /// Aggregates taken apart.
    pub aggregates: u64,
    /// Kinesis records that begin like an aggregate and are not one.
    pub broken_aggregates: u64,
}

impl CheckStatistics {
    pub(crate) fn add(&mut self, other: &Self) {
        self.producers += other.producers;
        self.user_records += other.user_records;
        self.user_bytes += other.user_bytes;
        self.unique += other.unique;
        self.missing += other.missing;
        self.duplicates += other.duplicates;
        self.out_of_order += other.out_of_order;
        self.dropped_by_range += other.dropped_by_range;
        self.unreadable += other.unreadable;
        self.aggregates += other.aggregates;
        self.broken_aggregates += other.broken_aggregates;
    }
}

/// A distribution of sizes in bytes; mean and max are exact, quantiles to one part in a thousand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sizes {
    /// Mean.
    pub mean: f64,
    /// 1st percentile.
    pub p1: u64,
    /// 10th percentile.
    pub p10: u64,
    /// Median.
    pub p50: u64,
    /// Largest.
    pub max: u64,
}

/// Collects [`Sizes`].
#[derive(Debug)]
pub(crate) struct SizeCounts {
    histogram: Histogram<u64>,
    sum: u64,
    max: u64,
}

impl Default for SizeCounts {
    fn default() -> Self {
        let histogram = Histogram::new_with_max(16 << 20, 3).expect("the bounds are in the histogram's range");
        Self { histogram, sum: 0, max: 0 }
    }
}

impl SizeCounts {
    pub(crate) fn add(&mut self, size: usize) {
        let size = size as u64;
        self.histogram.saturating_record(size);
        self.sum += size;
        self.max = self.max.max(size);
    }

    pub(crate) fn sizes(&self) -> Sizes {
        if self.histogram.is_empty() {
            return Sizes::default();
        }
        #[expect(clippy::cast_precision_loss, reason = "a mean needs no more than 52 bits")]
        let mean = self.sum as f64 / self.histogram.len() as f64;
        let quantile = |share| self.histogram.value_at_quantile(share);
        Sizes { mean, p1: quantile(0.01), p10: quantile(0.1), p50: quantile(0.5), max: self.max }
    }
}
