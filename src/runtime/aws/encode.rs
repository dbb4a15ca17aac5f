//! Stand-in for `wire::put_records` until that is merged: plain payloads only.

use bytes::Bytes;

use super::settings::WireFormat;
use crate::wire::{KinesisRecord, Payload};

pub(super) fn encode(format: WireFormat, stream: &str, records: &[KinesisRecord]) -> Vec<Bytes> {
    match format {
        WireFormat::Cbor => cbor(stream, records),
        WireFormat::Json => vec![json(stream, records)],
    }
}

fn target(stream: &str) -> &'static str {
    if stream.starts_with("arn:") { "StreamARN" } else { "StreamName" }
}

fn head(out: &mut Vec<u8>, major: u8, len: usize) {
    let major = major << 5;
    match len {
        0..=23 => out.push(major | len as u8),
        24..=0xff => out.extend([major | 24, len as u8]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend((len as u16).to_be_bytes());
        }
        _ => {
            out.push(major | 26);
            out.extend((len as u32).to_be_bytes());
        }
    }
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    head(out, 3, text.len());
    out.extend(text);
}

fn cbor(stream: &str, records: &[KinesisRecord]) -> Vec<Bytes> {
    let mut segments = Vec::new();
    let mut out = Vec::new();
    head(&mut out, 5, 2);
    text(&mut out, target(stream).as_bytes());
    text(&mut out, stream.as_bytes());
    text(&mut out, b"Records");
    head(&mut out, 4, records.len());
    for record in records {
        head(&mut out, 5, if record.hash_key.is_some() { 3 } else { 2 });
        text(&mut out, b"PartitionKey");
        text(&mut out, &record.partition_key);
        if let Some(key) = record.hash_key {
            text(&mut out, b"ExplicitHashKey");
            text(&mut out, key.to_string().as_bytes());
        }
        text(&mut out, b"Data");
        let Payload::Plain(data) = &record.payload;
        head(&mut out, 2, data.len());
        segments.push(std::mem::take(&mut out).into());
        segments.push(data.clone());
    }
    segments
}

fn json(stream: &str, records: &[KinesisRecord]) -> Bytes {
    let entries: Vec<String> = records
        .iter()
        .map(|record| {
            let Payload::Plain(data) = &record.payload;
            let key = String::from_utf8_lossy(&record.partition_key);
            let hash_key = record.hash_key.map(|key| format!(",\"ExplicitHashKey\":\"{key}\"")).unwrap_or_default();
            format!("{{\"PartitionKey\":\"{key}\",\"Data\":\"{}\"{hash_key}}}", aws_smithy_types::base64::encode(data))
        })
        .collect();
    format!("{{\"{}\":\"{stream}\",\"Records\":[{}]}}", target(stream), entries.join(",")).into()
}
