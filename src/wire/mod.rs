//! Bytes in and out: aggregates in the KPL's format, their MD5, and PutRecords bodies.

mod kinesis_record;

pub use kinesis_record::{KinesisRecord, Payload};
