//! One entry of a PutRecords request, before it is written into a body. Cloning shares the bytes.

use bytes::Bytes;

use crate::record::HashKey;

/// One entry of a PutRecords request.
#[derive(Clone, Debug)]
pub struct KinesisRecord {
    /// The partition key: `"a"` for an aggregate, as the KPL does; valid UTF-8.
    pub partition_key: Bytes,
    /// Always sent; `None` means: the MD5 of the first user record's partition key, not yet computed.
    pub hash_key: Option<HashKey>,
    /// The data.
    pub payload: Payload,
}

/// The data of a Kinesis record.
#[derive(Clone, Debug)]
pub enum Payload {
    /// One user record's data as it is.
    Plain(Bytes),
}
