//! One entry of a PutRecords request, before it is written into a body. Cloning shares the bytes. Sizes are in bytes.

use bytes::Bytes;

use super::aggregate::{AGGREGATE_PARTITION_KEY, SealedAggregate, Single};
use crate::record::{HashKey, UserRecord};

/// One entry of a PutRecords request.
#[derive(Clone, Debug)]
pub struct KinesisRecord {
    /// The partition key: `"a"` for an aggregate, as the KPL does; valid UTF-8.
    pub partition_key: Bytes,
    /// Always sent; `None` means: that of the first user record (its explicit hash key, or the MD5 of its partition key),
    /// which is computed when the body is written.
    pub hash_key: Option<HashKey>,
    /// The data.
    pub payload: Payload,
}

/// The data of a Kinesis record.
#[derive(Clone, Debug)]
pub enum Payload {
    /// One user record's data as it is.
    Plain(Bytes),
    /// User records in the KPL's format.
    Aggregate(SealedAggregate),
}

impl KinesisRecord {
    /// An aggregate under the hash key of its first user record; a user record alone goes as it is, under its own partition
    /// key. `first_hash_key`: if it is known already.
    #[must_use]
    pub fn from_aggregate(sealed: SealedAggregate, first_hash_key: Option<HashKey>) -> KinesisRecord {
        match sealed.to_single() {
            Some(single) => KinesisRecord::from_single(single, first_hash_key),
            None => KinesisRecord {
                partition_key: Bytes::from_static(AGGREGATE_PARTITION_KEY.as_bytes()),
                hash_key: first_hash_key,
                payload: Payload::Aggregate(sealed),
            },
        }
    }

    /// One user record as it is. `hash_key`: that of its partition key, if it is known already; an explicit one goes first.
    #[must_use]
    pub fn from_single(single: Single, hash_key: Option<HashKey>) -> KinesisRecord {
        KinesisRecord {
            partition_key: single.partition_key,
            hash_key: single.explicit_hash_key.or(hash_key),
            payload: Payload::Plain(single.data),
        }
    }

    /// A user record that is sent as it is; its bytes are copied unless they are shared ones. `hash_key` goes with it: an
    /// explicit one, or the MD5 of its partition key if it is known already.
    #[must_use]
    pub fn plain(record: &UserRecord<'_>, hash_key: Option<HashKey>) -> KinesisRecord {
        KinesisRecord {
            partition_key: Bytes::copy_from_slice(record.partition_key.as_bytes()),
            hash_key,
            payload: Payload::Plain(record.shared.cloned().unwrap_or_else(|| Bytes::copy_from_slice(record.data))),
        }
    }

    /// The same under a known hash key.
    #[must_use]
    pub fn with_hash_key(&self, hash_key: HashKey) -> KinesisRecord {
        KinesisRecord { hash_key: Some(hash_key), ..self.clone() }
    }

    /// Bytes of data as the service counts them: an aggregate's magic and MD5 included, the partition key not.
    #[must_use]
    pub fn data_len(&self) -> usize {
        match &self.payload {
            Payload::Plain(data) => data.len(),
            Payload::Aggregate(sealed) => sealed.encoded_len(),
        }
    }

    /// User records in it.
    #[must_use]
    pub fn user_records(&self) -> usize {
        match &self.payload {
            Payload::Plain(_) => 1,
            Payload::Aggregate(sealed) => sealed.user_records(),
        }
    }
}
