//! Bytes in and out: aggregates in the KPL's format, their MD5, and PutRecords bodies.

pub mod aggregate;
pub mod deaggregate;
mod decimal;
mod kinesis_record;
pub mod md5;
mod prefetch;
mod protobuf;
pub mod put_records;

pub use aggregate::{AggregateWriter, Keyed, SealedAggregate, Shape, Single, UserRecordRef};
pub use deaggregate::{DeaggregatedRecord, Tag, deaggregate, try_deaggregate};
pub use kinesis_record::{KinesisRecord, Payload};
pub use put_records::{Body, WireFormat};
