//! What a stream did since it was opened.

use serde::Serialize;

/// Totals since the stream was opened, or, added up, since the producer was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Counters {
    /// User records accepted.
    pub user_records_received: u64,
    /// User records reported as stored.
    pub user_records_stored: u64,
    /// User records reported as failed (not stored, or not certainly).
    pub user_records_failed: u64,
    /// Kinesis records reported as stored.
    pub kinesis_records_stored: u64,
    /// Bytes (data and partition key) of the Kinesis records reported as stored.
    pub kinesis_bytes_stored: u64,
    /// PutRecords calls made.
    pub put_records_calls: u64,
    /// Kinesis records sent, each time they were sent.
    pub attempts: u64,
    /// Bytes (data and partition key) of the Kinesis records sent, each time they were sent.
    pub bytes_sent: u64,
    /// Kinesis records that the service throttled.
    pub throttled: u64,
    /// Kinesis records that were stored in another shard than predicted and had to be sent again in part.
    pub wrong_shard: u64,
}

impl Counters {
    /// Adds another stream's totals.
    pub fn add(&mut self, other: &Counters) {
        let Counters {
            user_records_received,
            user_records_stored,
            user_records_failed,
            kinesis_records_stored,
            kinesis_bytes_stored,
            put_records_calls,
            attempts,
            bytes_sent,
            throttled,
            wrong_shard,
        } = other;
        self.user_records_received += user_records_received;
        self.user_records_stored += user_records_stored;
        self.user_records_failed += user_records_failed;
        self.kinesis_records_stored += kinesis_records_stored;
        self.kinesis_bytes_stored += kinesis_bytes_stored;
        self.put_records_calls += put_records_calls;
        self.attempts += attempts;
        self.bytes_sent += bytes_sent;
        self.throttled += throttled;
        self.wrong_shard += wrong_shard;
    }
}
