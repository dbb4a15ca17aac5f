//! Writes aggregates in the KPL's format (aggregation-format.md of the KPL), user record by user record, in wire form from
//! the start: partition keys, explicit hash keys and user records grow in three buffers that stay separate until the body of
//! a request is written. The bytes are the KPL's own, so that both tables are deduplicated and stand before the records.
//! Sizes are in bytes. How many user records and bytes go into an aggregate is the caller's choice.

mod key_table;
mod sealed;

use bytes::Bytes;

pub use self::sealed::{SealedAggregate, Single, UserRecordRef, UserRecords};

use self::key_table::{KeyTable, Lookup};
use super::decimal::Decimal;
use super::prefetch;
use super::protobuf::{self, put_field, varint_len};
use crate::record::HashKey;

/// The first bytes of every aggregate.
pub const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
/// Bytes of the MD5 at the end of every aggregate.
pub const DIGEST_BYTES: usize = 16;
/// The partition key under which the KPL puts aggregates.
pub const AGGREGATE_PARTITION_KEY: &str = "a";

/// Bytes of an aggregate around its message.
const FRAME_BYTES: usize = MAGIC.len() + DIGEST_BYTES;
/// Buffers begin with this capacity and double, up to what the aggregate may take.
const FIRST_CAPACITY: usize = 4 << 10;
/// Bytes beyond its end that [`put_field`] may write to.
const BEYOND: usize = 2 * size_of::<u64>();
/// Offsets inside the buffers, and lengths in the message, are 32-bit numbers; no Kinesis record comes near.
const MAX_BYTES: usize = i32::MAX as usize;

/// A user record on its way into an aggregate.
#[derive(Clone, Copy, Debug)]
pub struct Keyed<'a> {
    /// The partition key.
    pub partition_key: &'a str,
    /// Any hash of the partition key's bytes; equal keys must have equal digests.
    pub key_digest: u64,
    /// The caller's own hash key, if any; it is written down only then.
    pub explicit_hash_key: Option<HashKey>,
    /// The payload.
    pub data: &'a [u8],
}

/// An open aggregate.
#[derive(Debug, Default)]
pub struct AggregateWriter {
    partition_keys: Vec<u8>,
    explicit_hash_keys: Vec<u8>,
    records: Vec<u8>,
    user_records: usize,
    partition_key_table: KeyTable,
    explicit_hash_key_table: KeyTable,
    /// The explicit hash keys as numbers, in the order of their table.
    hash_keys: Vec<HashKey>,
}

/// How large an aggregate became. One that begins with the shape of another like it need not grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    partition_keys: usize,
    explicit_hash_keys: usize,
    records: usize,
    keys: u32,
}

impl AggregateWriter {
    /// An empty aggregate; it allocates with its first user record.
    #[must_use]
    pub fn new() -> AggregateWriter {
        AggregateWriter::default()
    }

    /// An empty aggregate with room for what another one held, and a little more.
    #[must_use]
    pub fn with_shape(shape: &Shape) -> AggregateWriter {
        let buffer = |len| if len == 0 { Vec::new() } else { Vec::with_capacity(len + len / 32 + BEYOND) };
        let buffers = [shape.partition_keys, shape.explicit_hash_keys, shape.records].map(buffer);
        AggregateWriter::with_buffers(buffers, shape.keys)
    }

    /// What it holds by now.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape {
            partition_keys: self.partition_keys.len(),
            explicit_hash_keys: self.explicit_hash_keys.len(),
            records: self.records.len(),
            keys: self.partition_key_table.keys(),
        }
    }

    /// Appends a user record, unless the whole aggregate as it goes into a request would then have more than `max_bytes`:
    /// `false`, and nothing has changed.
    #[inline]
    #[must_use]
    pub fn try_append(&mut self, record: &Keyed<'_>, max_bytes: usize) -> bool {
        let key = record.partition_key.as_bytes();
        let key_lookup =
            self.partition_key_table.find(record.key_digest, |entry| entry.is_key_in(&self.partition_keys, key));
        let key_index = key_lookup.index();
        let hash_key = record.explicit_hash_key.map(|hash_key| self.find_hash_key(hash_key));

        let data_len = record.data.len();
        let hash_index_len = match &hash_key {
            None => 0,
            Some(found) => 1 + varint_len(found.lookup.index().into()),
        };
        let message_len =
            1 + varint_len(key_index.into()) + hash_index_len + 1 + varint_len(data_len as u64) + data_len;
        let record_len = 1 + varint_len(message_len as u64) + message_len;
        let key_len = if key_lookup.is_new() { 1 + varint_len(key.len() as u64) + key.len() } else { 0 };
        let hash_key_len = hash_key.as_ref().map_or(0, HashKeyLookup::table_len);
        // Data, key and what is here already have fewer bytes than the address space each; only the sum could wrap.
        let max_bytes = max_bytes.min(MAX_BYTES);
        let before = self.encoded_len();
        if before.saturating_add(record_len).saturating_add(key_len + hash_key_len) > max_bytes {
            return false;
        }
        let left = max_bytes - before;
        let (Ok(message_len), Ok(data_len)) = (u32::try_from(message_len), u32::try_from(data_len)) else {
            return false;
        };

        if key_lookup.is_new() {
            self.append_key(record, key_lookup, left);
        }
        reserve(&mut self.records, record_len, left);
        put_field(&mut self.records, protobuf::RECORDS, message_len);
        put_field(&mut self.records, protobuf::PARTITION_KEY_INDEX, key_index);
        if let Some(found) = hash_key {
            put_field(&mut self.records, protobuf::EXPLICIT_HASH_KEY_INDEX, found.lookup.index());
            self.append_hash_key(&found, left);
        }
        put_field(&mut self.records, protobuf::DATA, data_len);
        self.records.extend_from_slice(record.data);
        prefetch::behind(&self.records);
        self.user_records += 1;
        true
    }

    /// Fixes the bytes. Runs in constant time.
    #[must_use]
    pub fn seal(self) -> SealedAggregate {
        let [partition_keys, explicit_hash_keys, records] =
            [self.partition_keys, self.explicit_hash_keys, self.records].map(Bytes::from);
        let segments = [partition_keys, explicit_hash_keys, records];
        SealedAggregate::new(segments, self.user_records, self.partition_key_table.keys())
    }

    /// Like [`seal`](AggregateWriter::seal), but where the buffers would be mostly empty the bytes are copied out, and the buffers
    /// come back for another aggregate: what waits to be sent takes about as much memory as it has bytes.
    #[must_use]
    pub fn seal_compact(mut self) -> (SealedAggregate, Option<AggregateWriter>) {
        let buffers = [&mut self.partition_keys, &mut self.explicit_hash_keys, &mut self.records];
        let capacity: usize = buffers.iter().map(|buffer| buffer.capacity()).sum();
        let used: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        if capacity <= 2 * used {
            return (self.seal(), None);
        }
        let keys = self.partition_key_table.keys();
        let segments = buffers.map(|buffer| {
            let copy = Bytes::copy_from_slice(buffer);
            buffer.clear();
            copy
        });
        let sealed = SealedAggregate::new(segments, self.user_records, keys);
        let buffers = [self.partition_keys, self.explicit_hash_keys, self.records];
        (sealed, Some(AggregateWriter::with_buffers(buffers, keys)))
    }

    /// Bytes of the whole aggregate as it would go into a request now, magic and MD5 included.
    #[inline]
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        FRAME_BYTES + self.partition_keys.len() + self.explicit_hash_keys.len() + self.records.len()
    }

    /// User records in it.
    #[inline]
    #[must_use]
    pub fn user_records(&self) -> usize {
        self.user_records
    }

    /// Whether no user record is in it.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.user_records == 0
    }

    /// Bytes that its buffers take in memory, used or not.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.partition_keys.capacity()
            + self.explicit_hash_keys.capacity()
            + self.records.capacity()
            + self.partition_key_table.capacity()
            + self.explicit_hash_key_table.capacity()
            + self.hash_keys.capacity() * size_of::<HashKey>()
    }

    /// An empty aggregate on the buffers of another that had `keys` partition keys; this one will probably have as many.
    fn with_buffers([partition_keys, explicit_hash_keys, records]: [Vec<u8>; 3], keys: u32) -> AggregateWriter {
        let partition_key_table = KeyTable::with_capacity(keys);
        AggregateWriter {
            partition_keys,
            explicit_hash_keys,
            records,
            partition_key_table,
            ..AggregateWriter::default()
        }
    }

    fn append_key(&mut self, record: &Keyed<'_>, lookup: Lookup, left: usize) {
        let key = record.partition_key.as_bytes();
        let len = u32::try_from(key.len()).expect("it was checked against the aggregate's largest size");
        reserve(&mut self.partition_keys, key.len(), left);
        put_field(&mut self.partition_keys, protobuf::PARTITION_KEY_TABLE, len);
        let start = u32::try_from(self.partition_keys.len()).expect("aggregates are smaller than 4 GiB");
        self.partition_keys.extend_from_slice(key);
        prefetch::behind(&self.partition_keys);
        self.partition_key_table.insert(lookup, record.key_digest, start, len);
    }

    fn find_hash_key(&self, hash_key: HashKey) -> HashKeyLookup {
        let HashKey(number) = hash_key;
        let digest = (number >> 64) as u64 ^ number as u64;
        let lookup = self
            .explicit_hash_key_table
            .find(digest, |entry| self.hash_keys.get(entry.index() as usize) == Some(&hash_key));
        let text = lookup.is_new().then(|| Decimal::new(hash_key));
        HashKeyLookup { hash_key, digest, lookup, text }
    }

    fn append_hash_key(&mut self, found: &HashKeyLookup, left: usize) {
        let Some(text) = &found.text else { return };
        let text = text.as_bytes();
        reserve(&mut self.explicit_hash_keys, text.len(), left);
        put_field(&mut self.explicit_hash_keys, protobuf::EXPLICIT_HASH_KEY_TABLE, text.len() as u32);
        self.explicit_hash_keys.extend_from_slice(text);
        self.hash_keys.push(found.hash_key);
        self.explicit_hash_key_table.insert(found.lookup, found.digest, 0, 0);
    }
}

/// An explicit hash key on its way in; with its text if it is new.
struct HashKeyLookup {
    hash_key: HashKey,
    digest: u64,
    lookup: Lookup,
    text: Option<Decimal>,
}

impl HashKeyLookup {
    fn table_len(&self) -> usize {
        // 39 digits at most: the length is one byte.
        self.text.as_ref().map_or(0, |text| 2 + text.as_bytes().len())
    }
}

/// Makes room for `len` bytes and the words that [`put_field`] stores beyond its end: one growth instead of several. The whole
/// aggregate takes `left` more bytes at most.
#[inline]
fn reserve(buffer: &mut Vec<u8>, len: usize, left: usize) {
    if buffer.capacity() - buffer.len() < len + BEYOND {
        grow(buffer, len, left);
    }
}

/// Doubles, but never takes what the aggregate has no use for: full ones wait in great numbers.
#[cold]
fn grow(buffer: &mut Vec<u8>, len: usize, left: usize) {
    let more = buffer.capacity().max(FIRST_CAPACITY).min(left).max(len);
    buffer.reserve_exact(more + BEYOND);
}

#[cfg(test)]
mod tests;
