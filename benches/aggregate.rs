//! What appending, hashing and writing bodies costs: medians of alternating runs, ours and prost's or `md-5`'s.
//! `cargo bench --bench aggregate`. Cycles are counted in steps of a chain of dependent operations, one cycle each.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a bench reads the clock, and may panic")]

#[path = "../tests/support/messages.rs"]
mod messages;

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use foldhash::fast::FixedState;
use kinesis_producer::wire::put_records::encode;
use kinesis_producer::wire::{AggregateWriter, Keyed, KinesisRecord, WireFormat, deaggregate, md5};

use prost::Message;
use std::hash::BuildHasher;

const MAX_BYTES: usize = 51_200;
const RUNS: usize = 31;

fn main() {
    println!("cycle: {:.3} ns", nanos_per_cycle());
    let repeated: Vec<String> = keys(1000);
    let unique: Vec<String> = keys(100_000);
    for data_len in [100, 200, 1000] {
        for (name, keys) in [("1000 keys", &repeated), ("unique keys", &unique)] {
            append(&format!("{data_len} B, {name}"), keys, data_len);
        }
    }
    hashes(&unique);
    bodies(&repeated);
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{:020}", number as u64 * 0x9E37_79B9)).collect()
}

/// Whether to run this: all, or what the arguments name.
fn is_wanted(what: &str) -> bool {
    let mut names = std::env::args().skip(1).filter(|name| !name.starts_with('-')).peekable();
    names.peek().is_none() || names.any(|name| what.contains(&name))
}

/// Runs the candidates in turn and prints their medians, divided by `units`.
fn compare(what: &str, units: usize, unit: &str, candidates: &mut [(&str, &mut dyn FnMut())]) {
    if !is_wanted(what) {
        return;
    }
    let mut times = vec![Vec::new(); candidates.len()];
    for _ in 0..RUNS {
        for ((_, run), times) in candidates.iter_mut().zip(&mut times) {
            let start = Instant::now();
            run();
            times.push(start.elapsed().as_nanos() as f64);
        }
    }
    let cycle = nanos_per_cycle();
    for ((name, _), times) in candidates.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let nanos = times[RUNS / 2] / units as f64;
        println!("{what:32} {name:24} {nanos:8.3} ns {:8.2} cycles a {unit}", nanos / cycle);
    }
}

fn append(what: &str, keys: &[String], data_len: usize) {
    let data = vec![b'x'; data_len];
    let count = 100_000;
    let digests: Vec<u64> = keys.iter().map(|key| FixedState::default().hash_one(key)).collect();
    let mut spare: Option<AggregateWriter> = None;
    let mut ours = || {
        let mut writer = AggregateWriter::new();
        for number in 0..count {
            let at = number % keys.len();
            let keyed =
                Keyed { partition_key: &keys[at], key_digest: digests[at], explicit_hash_key: None, data: &data };
            if !writer.try_append(&keyed, MAX_BYTES) {
                let next = spare.take().unwrap_or_default();
                spare = std::mem::replace(&mut writer, next).seal().into_writer();
                assert!(spare.is_some() && writer.try_append(&keyed, MAX_BYTES));
            }
        }
        black_box(writer.seal());
    };
    let mut fresh = || {
        let mut writer = AggregateWriter::new();
        for number in 0..count {
            let at = number % keys.len();
            let keyed =
                Keyed { partition_key: &keys[at], key_digest: digests[at], explicit_hash_key: None, data: &data };
            if !writer.try_append(&keyed, MAX_BYTES) {
                black_box(std::mem::take(&mut writer).seal());
                assert!(writer.try_append(&keyed, MAX_BYTES));
            }
        }
        black_box(writer.seal());
    };
    let mut prost = || {
        let mut left = count;
        while left > 0 {
            let mut message = messages::AggregatedRecord::default();
            let mut table = std::collections::HashMap::with_hasher(FixedState::default());
            let mut size = 0;
            while left > 0 && size < MAX_BYTES {
                let key = &keys[(count - left) % keys.len()];
                let next = table.len() as u64;
                let partition_key_index = *table.entry(key.as_str()).or_insert_with(|| {
                    message.partition_key_table.push(key.clone());
                    size += key.len() + 2;
                    next
                });
                size += data_len + 9;
                message.records.push(messages::Record {
                    partition_key_index,
                    explicit_hash_key_index: None,
                    data: data.clone(),
                    tags: Vec::new(),
                });
                left -= 1;
            }
            black_box(message.encode_to_vec());
        }
    };
    compare(
        &format!("append {what}"),
        count,
        "user record",
        &mut [("ours, reused buffers", &mut ours), ("ours, new buffers", &mut fresh), ("prost", &mut prost)],
    );
}

fn hashes(keys: &[String]) {
    let keys: Vec<&str> = keys.iter().take(16_000).map(String::as_str).collect();
    let mut out = Vec::new();
    let mut lanes = || {
        out.clear();
        md5::hash_keys(&keys, &mut out);
        black_box(&out);
    };
    let mut alone = || {
        for key in &keys {
            black_box(md5::hash_key(key));
        }
    };
    let mut oracle = || {
        for key in &keys {
            black_box(<::md5::Md5 as ::md5::Digest>::digest(key));
        }
    };
    compare(
        "hash key of 20 B",
        keys.len(),
        "key",
        &mut [("ours, in lanes", &mut lanes), ("ours, alone", &mut alone), ("md-5, alone", &mut oracle)],
    );

    for (count, len) in [(100, 51_000), (16, 51_000), (8, 51_000), (4, 51_000), (2, 51_000), (1, 51_000), (500, 1000)] {
        let messages: Vec<Vec<u8>> = (0..count).map(|number| vec![number as u8; len - number % 60]).collect();
        let segments: Vec<[&[u8]; 3]> =
            messages.iter().map(|message| [&message[..len / 5], &[], &message[len / 5..]]).collect();
        let mut out = Vec::new();
        let mut lanes = || {
            out.clear();
            md5::md5_many(&segments, &mut out);
            black_box(&out);
        };
        let mut alone = || {
            for message in &messages {
                black_box(md5::md5(message));
            }
        };
        let mut oracle = || {
            for message in &messages {
                black_box(<::md5::Md5 as ::md5::Digest>::digest(message));
            }
        };
        compare(
            &format!("MD5 of {count} x {len} B"),
            messages.iter().map(Vec::len).sum(),
            "byte",
            &mut [("ours, in lanes", &mut lanes), ("ours, alone", &mut alone), ("md-5, alone", &mut oracle)],
        );
    }
}

fn bodies(keys: &[String]) {
    let data = [b'x'; 100];
    let aggregates: Vec<KinesisRecord> = (0..100)
        .map(|_| {
            let mut writer = AggregateWriter::new();
            for key in keys {
                let key_digest = FixedState::default().hash_one(key);
                if !writer.try_append(
                    &Keyed { partition_key: key, key_digest, explicit_hash_key: None, data: &data },
                    MAX_BYTES,
                ) {
                    break;
                }
            }
            KinesisRecord::from_aggregate(writer.seal(), None)
        })
        .collect();
    let plain: Vec<KinesisRecord> = keys
        .iter()
        .take(500)
        .map(|key| KinesisRecord {
            partition_key: Bytes::from(key.clone()),
            hash_key: None,
            payload: kinesis_producer::wire::Payload::Plain(Bytes::from_static(&[b'x'; 1000])),
        })
        .collect();
    for (what, records) in [("body of 100 aggregates", &aggregates), ("body of 500 x 1000 B", &plain)] {
        let bytes = records.iter().map(KinesisRecord::data_len).sum();
        let mut cbor = || drop(black_box(encode(WireFormat::Cbor, "stream", records)));
        let mut json = || drop(black_box(encode(WireFormat::Json, "stream", records)));
        compare(what, bytes, "byte", &mut [("CBOR, MD5s included", &mut cbor), ("JSON, MD5s included", &mut json)]);
        let len = encode(WireFormat::Cbor, "stream", records).len;
        println!("{what:32} {:.5} bytes of CBOR a byte of data", len as f64 / bytes as f64);
    }
    let whole: Vec<Vec<u8>> = aggregates
        .iter()
        .filter_map(|record| match &record.payload {
            kinesis_producer::wire::Payload::Plain(_) => None,
            kinesis_producer::wire::Payload::Aggregate(sealed) => Some(sealed.to_vec()),
        })
        .collect();
    let user_records = aggregates.iter().map(KinesisRecord::user_records).sum();
    let mut read = || whole.iter().for_each(|data| drop(black_box(deaggregate("a", None, data))));
    compare("deaggregate, MD5 included", user_records, "user record", &mut [("ours", &mut read)]);
}

/// The time of one step of a chain of additions and rotations, each of which waits for the one before.
fn nanos_per_cycle() -> f64 {
    const STEPS: u32 = 1_000_000;
    (0..9)
        .map(|_| {
            let start = Instant::now();
            let mut value = black_box(1_u64);
            for _ in 0..STEPS {
                value = one_step(value);
            }
            black_box(value);
            start.elapsed().as_nanos() as f64 / f64::from(2 * STEPS)
        })
        .fold(f64::INFINITY, f64::min)
}

#[inline(always)]
fn one_step(value: u64) -> u64 {
    value.rotate_left(7).wrapping_add(0x9E37)
}
