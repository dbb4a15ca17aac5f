//! Reads Kinesis records back into user records, as consumers do (the KCL's `AggregatorUtil`, 3.4.2). Nothing is copied, and
//! data from anywhere may be given. [`deaggregate`] never loses anything: what is not a sound aggregate is one user record, as
//! it is. It agrees with the KCL but for one thing: where a table has no such index, or an explicit hash key is no number below
//! 2^128, the KCL silently drops user records. [`try_deaggregate`] says what is wrong.

use std::borrow::Cow;

use super::aggregate::{DIGEST_BYTES, MAGIC};
use super::protobuf::{self, Malformed, Reader, Value};
use super::{decimal, md5};
use crate::error::{Error, ErrorKind};
use crate::record::HashKey;

/// A user record read from a Kinesis record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeaggregatedRecord<'a> {
    /// The partition key. Bytes that are no UTF-8 became U+FFFD: other writers' partition keys are not always text.
    pub partition_key: Cow<'a, str>,
    /// The writer's own hash key, if it gave one.
    pub explicit_hash_key: Option<HashKey>,
    /// The payload.
    pub data: &'a [u8],
    /// The format knows tags; the KPL writes none, and the KCL ignores them.
    pub tags: Vec<Tag<'a>>,
    /// The position inside the aggregate: with the sequence number of the Kinesis record it names the user record.
    pub sub_sequence_number: u64,
    /// Whether it comes from an aggregate; otherwise the Kinesis record itself is the user record.
    pub aggregated: bool,
}

/// A tag of a user record. Bytes that are no UTF-8 became U+FFFD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag<'a> {
    /// Its name.
    pub key: Cow<'a, str>,
    /// Its value, if it has one.
    pub value: Option<Cow<'a, str>>,
}

/// The user records of a Kinesis record, in order. One that is not a sound aggregate comes back as one user record with the
/// given partition key, explicit hash key and data; so the answer is empty only for a sound aggregate of no user records.
#[must_use]
pub fn deaggregate<'a>(
    partition_key: &'a str,
    explicit_hash_key: Option<HashKey>,
    data: &'a [u8],
) -> Vec<DeaggregatedRecord<'a>> {
    match read_aggregate(data) {
        Ok(records) => records,
        Err(_) => vec![DeaggregatedRecord {
            partition_key: Cow::Borrowed(partition_key),
            explicit_hash_key,
            data,
            tags: Vec::new(),
            sub_sequence_number: 0,
            aggregated: false,
        }],
    }
}

/// The user records of an aggregate, in order.
///
/// # Errors
/// `InvalidAggregate` if `data` is anything but an aggregate from beginning to end.
pub fn try_deaggregate(data: &[u8]) -> Result<Vec<DeaggregatedRecord<'_>>, Error> {
    read_aggregate(data).map_err(|unsound| {
        let message = format!("aggregate of {} bytes: {}", data.len(), unsound.describe());
        Error::new(ErrorKind::InvalidAggregate, message)
    })
}

/// Why it is not a sound aggregate. Small, because plain user records take this way too: words only if somebody asks.
enum Unsound<'a> {
    NoMagic,
    TooShort,
    WrongDigest,
    Message(Place, Malformed),
    Missing(Place, &'static str),
    PartitionKeyIndex { record: usize, index: u64, keys: usize },
    HashKeyIndex { record: usize, index: u64, keys: usize },
    HashKeyText { record: usize, text: &'a [u8] },
}

/// Where in the message.
enum Place {
    Outermost,
    Record(usize),
    TagOf(usize),
}

fn read_aggregate(data: &[u8]) -> Result<Vec<DeaggregatedRecord<'_>>, Unsound<'_>> {
    let rest = data.strip_prefix(&MAGIC).ok_or(Unsound::NoMagic)?;
    let (message, digest) = rest.split_last_chunk::<DIGEST_BYTES>().ok_or(Unsound::TooShort)?;
    if message.is_empty() {
        return Err(Unsound::TooShort);
    }
    if md5::md5(message) != *digest {
        return Err(Unsound::WrongDigest);
    }
    let mut tables = Tables::default();
    let mut records = Vec::new();
    let mut reader = Reader::new(message);
    while let Some((tag, value)) =
        reader.next_field().map_err(|malformed| Unsound::Message(Place::Outermost, malformed))?
    {
        match (narrow(tag), value) {
            (Some(protobuf::PARTITION_KEY_TABLE), Value::Bytes(key)) => tables.partition_keys.push(key),
            (Some(protobuf::EXPLICIT_HASH_KEY_TABLE), Value::Bytes(text)) => tables.hash_keys.push(text),
            (Some(protobuf::RECORDS), Value::Bytes(record)) => {
                records.push(Indexed::read(records.len(), reader.nested(record))?);
            }
            _ => {}
        }
    }
    // Only now: the tables may stand behind the records.
    records.into_iter().enumerate().map(|(record, indexed)| tables.resolve(record, indexed)).collect()
}

#[derive(Default)]
struct Tables<'a> {
    partition_keys: Vec<&'a [u8]>,
    hash_keys: Vec<&'a [u8]>,
}

impl<'a> Tables<'a> {
    fn resolve(&self, record: usize, indexed: Indexed<'a>) -> Result<DeaggregatedRecord<'a>, Unsound<'a>> {
        let index = indexed.partition_key;
        let partition_key = entry(&self.partition_keys, index).ok_or(Unsound::PartitionKeyIndex {
            record,
            index,
            keys: self.partition_keys.len(),
        })?;
        let explicit_hash_key = match indexed.explicit_hash_key {
            None => None,
            Some(index) => {
                let keys = self.hash_keys.len();
                let text = entry(&self.hash_keys, index).ok_or(Unsound::HashKeyIndex { record, index, keys })?;
                Some(decimal::parse(text).ok_or(Unsound::HashKeyText { record, text })?)
            }
        };
        Ok(DeaggregatedRecord {
            partition_key: String::from_utf8_lossy(partition_key),
            explicit_hash_key,
            data: indexed.data,
            tags: indexed.tags,
            sub_sequence_number: record as u64,
            aggregated: true,
        })
    }
}

fn entry<'a>(table: &[&'a [u8]], index: u64) -> Option<&'a [u8]> {
    usize::try_from(index).ok().and_then(|index| table.get(index)).copied()
}

/// A user record as it stands in the message.
struct Indexed<'a> {
    partition_key: u64,
    explicit_hash_key: Option<u64>,
    data: &'a [u8],
    tags: Vec<Tag<'a>>,
}

impl<'a> Indexed<'a> {
    /// Of a field that is given twice, the last counts.
    fn read(record: usize, mut reader: Reader<'a>) -> Result<Indexed<'a>, Unsound<'a>> {
        let mut partition_key = None;
        let mut explicit_hash_key = None;
        let mut data = None;
        let mut tags = Vec::new();
        let malformed = |malformed| Unsound::Message(Place::Record(record), malformed);
        while let Some((tag, value)) = reader.next_field().map_err(malformed)? {
            match (narrow(tag), value) {
                (Some(protobuf::PARTITION_KEY_INDEX), Value::Varint(index)) => partition_key = Some(index),
                (Some(protobuf::EXPLICIT_HASH_KEY_INDEX), Value::Varint(index)) => explicit_hash_key = Some(index),
                (Some(protobuf::DATA), Value::Bytes(bytes)) => data = Some(bytes),
                (Some(protobuf::TAGS), Value::Bytes(tag)) => tags.push(read_tag(record, reader.nested(tag))?),
                _ => {}
            }
        }
        let missing = |field| Unsound::Missing(Place::Record(record), field);
        Ok(Indexed {
            partition_key: partition_key.ok_or_else(|| missing("partition key index"))?,
            explicit_hash_key,
            data: data.ok_or_else(|| missing("data"))?,
            tags,
        })
    }
}

fn read_tag<'a>(record: usize, mut reader: Reader<'a>) -> Result<Tag<'a>, Unsound<'a>> {
    let mut key = None;
    let mut value_of_tag = None;
    let malformed = |malformed| Unsound::Message(Place::TagOf(record), malformed);
    while let Some((tag, value)) = reader.next_field().map_err(malformed)? {
        match (narrow(tag), value) {
            (Some(protobuf::TAG_KEY), Value::Bytes(bytes)) => key = Some(bytes),
            (Some(protobuf::TAG_VALUE), Value::Bytes(bytes)) => value_of_tag = Some(bytes),
            _ => {}
        }
    }
    let key = key.ok_or(Unsound::Missing(Place::TagOf(record), "key"))?;
    Ok(Tag { key: String::from_utf8_lossy(key), value: value_of_tag.map(String::from_utf8_lossy) })
}

/// The tags that we know are one byte; others are of fields that we do not know, which are skipped.
fn narrow(tag: u32) -> Option<u8> {
    u8::try_from(tag).ok()
}

impl Unsound<'_> {
    fn describe(&self) -> String {
        match self {
            Unsound::NoMagic => format!("it does not begin with {MAGIC:02X?}"),
            Unsound::TooShort => {
                format!("at least {} are expected: magic, a message and its MD5", MAGIC.len() + 1 + DIGEST_BYTES)
            }
            Unsound::WrongDigest => "its last 16 bytes are not the MD5 of its message".to_owned(),
            Unsound::Message(place, malformed) => format!("{}: {}", place.describe(), malformed.describe()),
            Unsound::Missing(place, field) => format!("{}: it has no {field}", place.describe()),
            Unsound::PartitionKeyIndex { record, index, keys } => {
                format!("user record {record}: partition key index {index} in a table of {keys}")
            }
            Unsound::HashKeyIndex { record, index, keys } => {
                format!("user record {record}: explicit hash key index {index} in a table of {keys}")
            }
            Unsound::HashKeyText { record, text } => {
                let text = String::from_utf8_lossy(text);
                let max = u128::MAX;
                format!(
                    "user record {record}: explicit hash key {text:?}: a decimal number from 0 to {max} is expected"
                )
            }
        }
    }
}

impl Place {
    fn describe(&self) -> String {
        match self {
            Place::Outermost => "its message".to_owned(),
            Place::Record(record) => format!("user record {record}"),
            Place::TagOf(record) => format!("a tag of user record {record}"),
        }
    }
}

#[cfg(test)]
mod tests;
