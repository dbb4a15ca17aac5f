//! PutRecords bodies in CBOR (RFC 8949): maps, arrays and strings of known length. Large data is shared with the Kinesis
//! records; the small rest, the _glue_, is one allocation a body.

use std::ops::Range;

use bytes::Bytes;

use super::{Body, Entries, Entry, stream_field};
use crate::wire::Payload;
use crate::wire::aggregate::{DIGEST_BYTES, MAGIC};
use crate::wire::decimal::{Decimal, MAX_DIGITS};

/// Data smaller than this is copied: a segment of its own costs more on its way into TLS than the copy.
const MIN_SHARED_BYTES: usize = 1 << 10;

const BYTE_STRING: u8 = 2 << 5;
const TEXT: u8 = 3 << 5;
const ARRAY: u8 = 4 << 5;
const MAP: u8 = 5 << 5;

const DATA: &str = "Data";
const EXPLICIT_HASH_KEY: &str = "ExplicitHashKey";
const PARTITION_KEY: &str = "PartitionKey";

/// Head of a map, names, heads of data and partition key, hash key.
pub(super) const ENTRY_OVERHEAD_BYTES: usize =
    1 + (1 + DATA.len()) + 5 + (1 + EXPLICIT_HASH_KEY.len()) + (2 + MAX_DIGITS) + (1 + PARTITION_KEY.len()) + 3;
/// The outermost map with the stream's field, without its value: all heads at their longest.
const FRAME_BYTES: usize = 64;

pub(super) fn encode(stream: &str, entries: &Entries<'_>) -> Body {
    let glue_len = entries.iter().map(|entry| entry_glue_len(&entry)).sum::<usize>() + FRAME_BYTES + stream.len();
    let mut writer = Writer { glue: Vec::with_capacity(glue_len), parts: Vec::new(), cut: 0 };
    writer.head(MAP, 2);
    writer.text(b"Records");
    writer.head(ARRAY, entries.records.len());
    for entry in entries.iter() {
        writer.entry(&entry);
    }
    writer.text(stream_field(stream).as_bytes());
    writer.text(stream.as_bytes());
    writer.into_body()
}

/// At most what the entry puts into the glue.
fn entry_glue_len(entry: &Entry<'_>) -> usize {
    let copied = |data: &Bytes| if data.len() < MIN_SHARED_BYTES { data.len() } else { 0 };
    let data = match &entry.record.payload {
        Payload::Plain(data) => copied(data),
        Payload::Aggregate(sealed) => MAGIC.len() + sealed.segments().map(copied).iter().sum::<usize>() + DIGEST_BYTES,
    };
    ENTRY_OVERHEAD_BYTES + data + entry.record.partition_key.len()
}

enum Part {
    Glue(Range<usize>),
    Shared(Bytes),
}

struct Writer {
    glue: Vec<u8>,
    parts: Vec<Part>,
    /// The glue before this is in parts already.
    cut: usize,
}

impl Writer {
    fn entry(&mut self, entry: &Entry<'_>) {
        self.head(MAP, 3);
        self.text(DATA.as_bytes());
        self.head(BYTE_STRING, entry.record.data_len());
        match &entry.record.payload {
            Payload::Plain(data) => self.data(data),
            Payload::Aggregate(sealed) => {
                self.glue.extend_from_slice(&MAGIC);
                sealed.segments().into_iter().for_each(|segment| self.data(segment));
                self.glue.extend_from_slice(entry.digest);
            }
        }
        self.text(EXPLICIT_HASH_KEY.as_bytes());
        self.text(Decimal::new(entry.hash_key).as_bytes());
        self.text(PARTITION_KEY.as_bytes());
        self.text(&entry.record.partition_key);
    }

    fn text(&mut self, text: &[u8]) {
        self.head(TEXT, text.len());
        self.glue.extend_from_slice(text);
    }

    /// The first byte of a value and its length or number of elements, as short as possible (RFC 8949, 3).
    fn head(&mut self, kind: u8, len: usize) {
        let len = u32::try_from(len).expect("requests are smaller than 4 GiB");
        let [_, _, high, low] = len.to_be_bytes();
        match len {
            0..24 => self.glue.push(kind | low),
            24..0x100 => self.glue.extend_from_slice(&[kind | 24, low]),
            0x100..0x1_0000 => self.glue.extend_from_slice(&[kind | 25, high, low]),
            0x1_0000.. => {
                self.glue.push(kind | 26);
                self.glue.extend_from_slice(&len.to_be_bytes());
            }
        }
    }

    fn data(&mut self, data: &Bytes) {
        if data.len() < MIN_SHARED_BYTES {
            self.glue.extend_from_slice(data);
        } else {
            self.cut_glue();
            self.parts.push(Part::Shared(data.clone()));
        }
    }

    fn cut_glue(&mut self) {
        if self.cut < self.glue.len() {
            self.parts.push(Part::Glue(self.cut..self.glue.len()));
            self.cut = self.glue.len();
        }
    }

    fn into_body(mut self) -> Body {
        self.cut_glue();
        let glue = Bytes::from(self.glue);
        let segments: Vec<Bytes> = self
            .parts
            .into_iter()
            .map(|part| match part {
                Part::Glue(range) => glue.slice(range),
                Part::Shared(data) => data,
            })
            .collect();
        let len = segments.iter().map(Bytes::len).sum();
        Body { segments, len }
    }
}
