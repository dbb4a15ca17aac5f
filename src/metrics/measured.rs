//! What the core tells the metrics: plain facts, made where they happen and counted elsewhere, so that counting costs no time
//! under a stream's lock.

use std::time::Duration;

use super::statistic_set::StatisticSet;
use crate::error::ErrorCode;
use crate::record::ShardId;
use crate::time::Time;

/// Something that happened on a stream's way to the service.
#[derive(Clone, Debug)]
pub enum Measurement {
    /// A PutRecords call came to its end.
    Called {
        /// How long it took.
        took: Duration,
        /// Kinesis records in it.
        kinesis_records: usize,
        /// User records in it.
        user_records: usize,
        /// Why it failed as a whole.
        error: Option<ErrorCode>,
    },
    /// A Kinesis record of a call, whatever became of the call.
    Attempted {
        /// The predicted shard.
        shard: Option<ShardId>,
        /// User records in it.
        user_records: usize,
        /// Its bytes (without the partition key) if it was stored, or its own error; `None` if it has no answer of its own.
        answer: Option<Result<usize, ErrorCode>>,
    },
    /// One of the user records that were accepted.
    Sampled {
        /// The predicted shard.
        shard: Option<ShardId>,
        /// The key.
        partition_key: Box<str>,
        /// A cheap hash of it.
        key_digest: u64,
        /// Bytes of data and partition key.
        bytes: usize,
    },
    /// A Kinesis record is ready to be sent to its predicted shard.
    Offered {
        /// The shard.
        shard: ShardId,
        /// Bytes of data and partition key.
        bytes: usize,
    },
}

/// User records of one Kinesis record that were decided together.
#[derive(Clone, Copy, Debug)]
pub struct Decided<'a> {
    /// Where they were stored, or the predicted shard.
    pub shard: Option<&'a ShardId>,
    /// When the first one arrived.
    pub base: Time,
    /// Microseconds after that at which each one arrived, in order.
    pub arrivals: &'a [u32],
    /// Sizes of their data.
    pub data: DataSizes,
    /// Whether they were stored.
    pub stored: bool,
    /// Whether they were given up because `record_ttl` passed.
    pub expired: bool,
    /// How often they were tried, expiry included.
    pub attempts: u32,
    /// When the first of them began.
    pub first_attempt: Option<Time>,
    /// The milliseconds waited before attempts that are not remembered one by one.
    pub dropped_waits: StatisticSet,
    /// When they were decided.
    pub now: Time,
}

/// Sizes of the data of user records, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataSizes {
    /// All of them.
    pub sum: usize,
    /// The smallest, of these or of those they were together with.
    pub min: u32,
    /// The largest, likewise.
    pub max: u32,
}

impl Default for DataSizes {
    fn default() -> DataSizes {
        DataSizes { sum: 0, min: u32::MAX, max: 0 }
    }
}

impl DataSizes {
    /// Adds a user record's.
    #[inline]
    pub fn add(&mut self, len: usize) {
        self.sum += len;
        // 10 MiB at most.
        self.min = self.min.min(len as u32);
        self.max = self.max.max(len as u32);
    }
}
