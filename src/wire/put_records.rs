//! Writes the body of a PutRecords request, in CBOR (`application/x-amz-cbor-1.1`) or JSON (`application/x-amz-json-1.1`).
//! In CBOR the data of Kinesis records is shared, not copied: a body is a list of segments. The MD5s that are still missing
//! (of aggregates, and of partition keys that nobody hashed yet) are computed here, all of a body together. Sizes are in
//! bytes. Runs on: a worker, since a body of 5 MB hashes for milliseconds.

mod cbor;
mod json;

use bytes::Bytes;

use super::aggregate::DIGEST_BYTES;
use super::md5;
use super::{KinesisRecord, Payload};
pub use crate::config::WireFormat;
use crate::record::HashKey;

/// The body of a request.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// The bytes, in pieces that others may share.
    pub segments: Vec<Bytes>,
    /// Bytes in all segments together.
    pub len: usize,
}

impl Body {
    /// All of it copied into one vector.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.segments.concat()
    }
}

/// An upper bound of what a Kinesis record takes in a body beyond its data (in CBOR) and its partition key.
pub const ENTRY_OVERHEAD_BYTES: usize = cbor::ENTRY_OVERHEAD_BYTES;

/// Writes the body of a PutRecords request. `stream` is a name, or an ARN if it begins with `arn:`.
#[must_use]
pub fn encode(format: WireFormat, stream: &str, records: &[KinesisRecord]) -> Body {
    let entries = Entries::new(records);
    match format {
        WireFormat::Cbor => cbor::encode(stream, &entries),
        WireFormat::Json => json::encode(stream, &entries),
    }
}

fn stream_field(stream: &str) -> &'static str {
    if stream.starts_with("arn:") { "StreamARN" } else { "StreamName" }
}

/// Kinesis records with all that is computed for a body.
struct Entries<'a> {
    records: &'a [KinesisRecord],
    hash_keys: Vec<HashKey>,
    /// Of the aggregates only, in order.
    digests: Vec<[u8; DIGEST_BYTES]>,
}

/// One entry of a body.
struct Entry<'a> {
    record: &'a KinesisRecord,
    hash_key: HashKey,
    /// Empty unless it is an aggregate.
    digest: &'a [u8],
}

impl<'a> Entries<'a> {
    fn new(records: &'a [KinesisRecord]) -> Entries<'a> {
        Entries { records, hash_keys: hash_keys(records), digests: digests(records) }
    }

    fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut digests = self.digests.iter();
        self.records.iter().zip(&self.hash_keys).map(move |(record, &hash_key)| {
            let digest = match &record.payload {
                Payload::Plain(_) => &[],
                Payload::Aggregate(_) => digests.next().map(<[u8; 16]>::as_slice).unwrap_or_default(),
            };
            Entry { record, hash_key, digest }
        })
    }
}

fn digests(records: &[KinesisRecord]) -> Vec<[u8; DIGEST_BYTES]> {
    let messages: Vec<[&[u8]; 3]> = records
        .iter()
        .filter_map(|record| match &record.payload {
            Payload::Plain(_) => None,
            Payload::Aggregate(sealed) => Some(sealed.segments().map(|segment| &**segment)),
        })
        .collect();
    let messages: Vec<&[&[u8]]> = messages.iter().map(<[_; 3]>::as_slice).collect();
    let mut digests = Vec::with_capacity(messages.len());
    md5::md5_many(&messages, &mut digests);
    digests
}

fn hash_keys(records: &[KinesisRecord]) -> Vec<HashKey> {
    let unhashed: Vec<&str> = records.iter().filter_map(|record| hash_key(record).err()).collect();
    let mut hashed = Vec::with_capacity(unhashed.len());
    md5::hash_keys(&unhashed, &mut hashed);
    let mut hashed = hashed.into_iter();
    // As many were hashed as are asked for here.
    records.iter().map(|record| hash_key(record).unwrap_or_else(|_| hashed.next().unwrap_or_default())).collect()
}

/// The hash key, or the partition key whose MD5 it is.
fn hash_key(record: &KinesisRecord) -> Result<HashKey, &str> {
    if let Some(hash_key) = record.hash_key {
        return Ok(hash_key);
    }
    match &record.payload {
        Payload::Plain(_) => Err(partition_key(record)),
        Payload::Aggregate(sealed) => match sealed.first() {
            Some(first) => first.explicit_hash_key.ok_or(first.partition_key),
            None => Err(partition_key(record)),
        },
    }
}

fn partition_key(record: &KinesisRecord) -> &str {
    str::from_utf8(&record.partition_key).expect("partition keys come from str")
}

#[cfg(test)]
mod tests;
