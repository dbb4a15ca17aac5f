//! PutRecords bodies in JSON: one segment, data in base64.

use base64_simd::STANDARD;
use bytes::Bytes;

use super::{Body, Entries, Entry, partition_key, stream_field};
use crate::wire::Payload;
use crate::wire::aggregate::MAGIC;
use crate::wire::decimal::{Decimal, MAX_DIGITS};

const DATA: &[u8] = br#"{"Data":""#;
const EXPLICIT_HASH_KEY: &[u8] = br#"","ExplicitHashKey":""#;
const PARTITION_KEY: &[u8] = br#"","PartitionKey":"#;
/// What an entry takes beyond data and partition key, if nothing in that is escaped.
const ENTRY_BYTES: usize = DATA.len() + EXPLICIT_HASH_KEY.len() + MAX_DIGITS + PARTITION_KEY.len() + 4;
/// The rest of a body without the stream's name.
const FRAME_BYTES: usize = 64;

pub(super) fn encode(stream: &str, entries: &Entries<'_>) -> Body {
    let len = |entry: Entry<'_>| {
        ENTRY_BYTES + entry.record.partition_key.len() + entry.record.data_len().div_ceil(3).saturating_mul(4)
    };
    let mut body = Vec::with_capacity(entries.iter().map(len).sum::<usize>() + FRAME_BYTES + stream.len());
    body.extend_from_slice(br#"{"Records":["#);
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        write_entry(&mut body, &entry);
    }
    body.extend_from_slice(br#"],""#);
    body.extend_from_slice(stream_field(stream).as_bytes());
    body.extend_from_slice(br#"":"#);
    write_string(&mut body, stream);
    body.push(b'}');
    let len = body.len();
    Body { segments: vec![Bytes::from(body)], len }
}

fn write_entry(body: &mut Vec<u8>, entry: &Entry<'_>) {
    body.extend_from_slice(DATA);
    match &entry.record.payload {
        Payload::Plain(data) => STANDARD.encode_append(data, body),
        Payload::Aggregate(sealed) => {
            let mut base64 = Base64 { text: body, carry: [0; 3], carried: 0 };
            base64.write(&MAGIC);
            sealed.segments().into_iter().for_each(|segment| base64.write(segment));
            base64.write(entry.digest);
            base64.finish();
        }
    }
    body.extend_from_slice(EXPLICIT_HASH_KEY);
    body.extend_from_slice(Decimal::new(entry.hash_key).as_bytes());
    body.extend_from_slice(PARTITION_KEY);
    write_string(body, partition_key(entry.record));
    body.push(b'}');
}

fn write_string(body: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(body, text).expect("a vector takes everything");
}

/// Base64 of bytes that come in pieces: three bytes of input are four of text, so up to two wait for the next piece.
struct Base64<'a> {
    text: &'a mut Vec<u8>,
    carry: [u8; 3],
    carried: usize,
}

impl Base64<'_> {
    fn write(&mut self, mut piece: &[u8]) {
        while self.carried > 0 || piece.len() < 3 {
            let Some((&byte, rest)) = piece.split_first() else { return };
            if let Some(free) = self.carry.get_mut(self.carried) {
                *free = byte;
            }
            piece = rest;
            self.carried = (self.carried + 1) % 3;
            if self.carried == 0 {
                STANDARD.encode_append(self.carry, self.text);
            }
        }
        let (whole, rest) = piece.as_chunks::<3>();
        STANDARD.encode_append(whole.as_flattened(), self.text);
        if !rest.is_empty() {
            self.write(rest);
        }
    }

    fn finish(self) {
        STANDARD.encode_append(self.carry.get(..self.carried).unwrap_or_default(), self.text);
    }
}
