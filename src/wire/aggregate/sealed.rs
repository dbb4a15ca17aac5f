//! A sealed aggregate: bytes fixed, shared by all its clones. What it was made of can be read from it again, because a retry
//! may have to take it apart; and user records can leave at its front without a copy.

use bytes::{Buf, Bytes};

use super::{AggregateWriter, DIGEST_BYTES, FRAME_BYTES, MAGIC};
use crate::record::HashKey;
use crate::wire::protobuf::{self, Reader, Value};
use crate::wire::{decimal, md5};

/// A sealed aggregate. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct SealedAggregate {
    /// Partition key table, explicit hash key table, user records, each in wire form.
    segments: [Bytes; 3],
    user_records: usize,
    /// Entries of the partition key table.
    keys: u32,
}

/// A user record inside an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserRecordRef<'a> {
    /// The partition key.
    pub partition_key: &'a str,
    /// The caller's own hash key, if it gave one.
    pub explicit_hash_key: Option<HashKey>,
    /// The payload.
    pub data: &'a [u8],
}

/// A user record alone. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Single {
    /// The partition key; valid UTF-8.
    pub partition_key: Bytes,
    /// The caller's own hash key, if it gave one.
    pub explicit_hash_key: Option<HashKey>,
    /// The payload.
    pub data: Bytes,
}

impl Single {
    /// The same, borrowed.
    #[must_use]
    pub fn as_user_record(&self) -> UserRecordRef<'_> {
        let partition_key = std::str::from_utf8(&self.partition_key).expect("a partition key is valid UTF-8");
        UserRecordRef { partition_key, explicit_hash_key: self.explicit_hash_key, data: &self.data }
    }
}

impl SealedAggregate {
    pub(super) fn new(segments: [Bytes; 3], user_records: usize, keys: u32) -> SealedAggregate {
        SealedAggregate { segments, user_records, keys }
    }

    /// User records in it.
    #[must_use]
    pub fn user_records(&self) -> usize {
        self.user_records
    }

    /// Bytes of the whole aggregate as it goes into a request, magic and MD5 included.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        FRAME_BYTES + self.segments.iter().map(Bytes::len).sum::<usize>()
    }

    /// The message between magic and MD5: its three parts in order, some of them perhaps empty.
    #[must_use]
    pub fn segments(&self) -> [&Bytes; 3] {
        self.segments.each_ref()
    }

    /// The user records in order. Reads the key tables first: not for the hot path.
    #[must_use]
    pub fn iter(&self) -> UserRecords<'_> {
        let [partition_keys, explicit_hash_keys, records] = &self.segments;
        UserRecords {
            partition_keys: table(partition_keys).collect(),
            explicit_hash_keys: table(explicit_hash_keys).collect(),
            records: Reader::new(records),
            remaining: self.user_records,
        }
    }

    /// The first user record: cheaper than the first of [`iter`](SealedAggregate::iter).
    #[must_use]
    pub fn first(&self) -> Option<UserRecordRef<'_>> {
        let [partition_keys, explicit_hash_keys, records] = &self.segments;
        let indexed = Indexed::read(table(records).next()?);
        Some(indexed.resolve(
            table(partition_keys).nth(indexed.partition_key),
            indexed.explicit_hash_key.map(|index| table(explicit_hash_keys).nth(index)),
        ))
    }

    /// The user record, if it is the only one: the KPL sends it as it is, under its own partition key.
    #[must_use]
    pub fn to_single(&self) -> Option<Single> {
        if self.user_records != 1 {
            return None;
        }
        let [partition_keys, _, records] = &self.segments;
        let record = self.first()?;
        Some(Single {
            partition_key: partition_keys.slice_ref(record.partition_key.as_bytes()),
            explicit_hash_key: record.explicit_hash_key,
            data: records.slice_ref(record.data),
        })
    }

    /// Removes the first `count` user records, or all. Nothing is copied; entries of the tables that nobody needs any more
    /// stay. Other clones keep what they have.
    pub fn drop_first(&mut self, count: usize) {
        let count = count.min(self.user_records);
        let [_, _, records] = &mut self.segments;
        let mut reader = Reader::new(records);
        for _ in 0..count {
            reader.next_field().expect("the writer's own bytes are well formed");
        }
        let dropped = records.len() - reader.remaining();
        records.advance(dropped);
        self.user_records -= count;
    }

    /// The buffers, emptied, for another aggregate; `None` while somebody else shares them. Nothing is copied.
    #[must_use]
    pub fn into_writer(self) -> Option<AggregateWriter> {
        // A buffer without capacity is static, and that is never unique.
        if !self.segments.iter().all(|segment| segment.is_unique() || segment.is_empty()) {
            return None;
        }
        let buffers = self.segments.map(|mut segment| {
            // Emptied first: turned into a vector, what is left would be moved to the front.
            segment.truncate(0);
            Vec::from(segment)
        });
        Some(AggregateWriter::with_buffers(buffers, self.keys))
    }

    /// The whole aggregate, magic and MD5 included, copied into one vector.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_len());
        bytes.extend_from_slice(&MAGIC);
        for segment in &self.segments {
            bytes.extend_from_slice(segment);
        }
        let digest: [u8; DIGEST_BYTES] = md5::md5(bytes.get(MAGIC.len()..).unwrap_or_default());
        bytes.extend_from_slice(&digest);
        bytes
    }
}

/// The user records of a sealed aggregate, in order.
#[derive(Clone, Debug)]
pub struct UserRecords<'a> {
    partition_keys: Vec<&'a [u8]>,
    explicit_hash_keys: Vec<&'a [u8]>,
    records: Reader<'a>,
    remaining: usize,
}

impl<'a> Iterator for UserRecords<'a> {
    type Item = UserRecordRef<'a>;

    fn next(&mut self) -> Option<UserRecordRef<'a>> {
        let indexed = Indexed::read(next_bytes(&mut self.records)?);
        self.remaining -= 1;
        Some(indexed.resolve(
            self.partition_keys.get(indexed.partition_key).copied(),
            indexed.explicit_hash_key.map(|index| self.explicit_hash_keys.get(index).copied()),
        ))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for UserRecords<'_> {}

impl<'a> IntoIterator for &'a SealedAggregate {
    type Item = UserRecordRef<'a>;
    type IntoIter = UserRecords<'a>;

    fn into_iter(self) -> UserRecords<'a> {
        self.iter()
    }
}

/// A user record as it stands in the message.
#[derive(Clone, Copy, Default)]
struct Indexed<'a> {
    partition_key: usize,
    explicit_hash_key: Option<usize>,
    data: &'a [u8],
}

impl<'a> Indexed<'a> {
    fn read(message: &'a [u8]) -> Indexed<'a> {
        let mut indexed = Indexed::default();
        let mut reader = Reader::new(message);
        while let Some((tag, value)) = reader.next_field().expect("the writer's own bytes are well formed") {
            match value {
                Value::Varint(index) if tag == u32::from(protobuf::PARTITION_KEY_INDEX) => {
                    indexed.partition_key = index as usize;
                }
                Value::Varint(index) => indexed.explicit_hash_key = Some(index as usize),
                Value::Bytes(data) => indexed.data = data,
                Value::Skipped => {}
            }
        }
        indexed
    }

    fn resolve(
        self,
        partition_key: Option<&'a [u8]>,
        explicit_hash_key: Option<Option<&'a [u8]>>,
    ) -> UserRecordRef<'a> {
        let partition_key = partition_key.expect("the writer's indices are inside its tables");
        UserRecordRef {
            partition_key: str::from_utf8(partition_key).expect("the writer took it from a str"),
            explicit_hash_key: explicit_hash_key.map(|text| {
                text.and_then(decimal::parse).expect("the writer's indices are inside its tables, which hold numbers")
            }),
            data: self.data,
        }
    }
}

/// The contents of a segment's fields, one after the other.
fn table(segment: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut reader = Reader::new(segment);
    std::iter::from_fn(move || next_bytes(&mut reader))
}

fn next_bytes<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    match reader.next_field().expect("the writer's own bytes are well formed")? {
        (_, Value::Bytes(bytes)) => Some(bytes),
        (_, Value::Varint(_) | Value::Skipped) => None,
    }
}
