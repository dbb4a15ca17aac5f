//! Round trips through our code and other people's: prost for aggregates, ciborium and serde_json for bodies.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "support/messages.rs"]
mod messages;

use std::hash::BuildHasher;

use base64::Engine;
use bytes::Bytes;
use foldhash::fast::FixedState;
use kinesis_producer::HashKey;
use kinesis_producer::wire::aggregate::{AGGREGATE_PARTITION_KEY, DIGEST_BYTES, MAGIC};
use kinesis_producer::wire::put_records::{ENTRY_OVERHEAD_BYTES, encode};
use kinesis_producer::wire::{
    AggregateWriter, Keyed, KinesisRecord, Payload, SealedAggregate, UserRecordRef, WireFormat, deaggregate, md5,
    try_deaggregate,
};
use proptest::prelude::*;
use prost::Message;

#[derive(Clone, Debug)]
struct UserRecord {
    partition_key: String,
    explicit_hash_key: Option<HashKey>,
    data: Vec<u8>,
}

impl UserRecord {
    fn keyed(&self) -> Keyed<'_> {
        let key_digest = FixedState::default().hash_one(self.partition_key.as_bytes());
        let UserRecord { partition_key, explicit_hash_key, data } = self;
        Keyed { partition_key, key_digest, explicit_hash_key: *explicit_hash_key, data }
    }

    fn as_ref(&self) -> UserRecordRef<'_> {
        let UserRecord { partition_key, explicit_hash_key, data } = self;
        UserRecordRef { partition_key, explicit_hash_key: *explicit_hash_key, data }
    }
}

prop_compose! {
    fn any_hash_key()(number: u128, few in 0..6_u128, pick: bool) -> HashKey {
        HashKey(if pick { few } else { number })
    }
}

prop_compose! {
    fn any_user_record()(
        partition_key in prop_oneof!["[a-h]", ".{1,40}", "[x-z]{120,256}"],
        explicit_hash_key in prop::option::weighted(0.3, any_hash_key()),
        data in prop_oneof![prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 100..400)],
    ) -> UserRecord {
        UserRecord { partition_key, explicit_hash_key, data }
    }
}

fn any_user_records() -> impl Strategy<Value = Vec<UserRecord>> {
    prop_oneof![
        prop::collection::vec(any_user_record(), 1..60),
        // More than 127 keys: their indices take two bytes.
        (any_user_record(), 100..400_usize).prop_map(|(record, count)| {
            let numbered =
                |n| UserRecord { partition_key: format!("{}{}", n % 300, record.partition_key), ..record.clone() };
            (0..count).map(numbered).collect()
        }),
    ]
}

fn seal(records: &[UserRecord]) -> SealedAggregate {
    let mut writer = AggregateWriter::new();
    for record in records {
        assert!(writer.try_append(&record.keyed(), usize::MAX));
        assert_eq!(writer.is_empty(), writer.user_records() == 0);
    }
    writer.seal()
}

fn index_in<T: PartialEq>(table: &mut Vec<T>, entry: T) -> u64 {
    let index = table.iter().position(|old| *old == entry).unwrap_or_else(|| {
        table.push(entry);
        table.len() - 1
    });
    index as u64
}

fn by_prost(records: &[UserRecord]) -> Vec<u8> {
    let mut message = messages::AggregatedRecord::default();
    for record in records {
        let partition_key_index = index_in(&mut message.partition_key_table, record.partition_key.clone());
        let explicit_hash_key_index = record
            .explicit_hash_key
            .map(|hash_key| index_in(&mut message.explicit_hash_key_table, hash_key.to_string()));
        let (data, tags) = (record.data.clone(), Vec::new());
        message.records.push(messages::Record { partition_key_index, explicit_hash_key_index, data, tags });
    }
    let message = message.encode_to_vec();
    [&MAGIC[..], &message, &md5::md5(&message)].concat()
}

/// An aggregate of this message, sound or not.
fn framed(message: &[u8]) -> Vec<u8> {
    [&MAGIC[..], message, &md5::md5(message)].concat()
}

fn any_tags() -> impl Strategy<Value = Vec<messages::Tag>> {
    prop::collection::vec(
        (".{0,5}", prop::option::of(".{0,5}")).prop_map(|(key, value)| messages::Tag { key, value }),
        0..3,
    )
}

prop_compose! {
    fn any_message()(
        partition_key_table in prop::collection::vec(".{0,5}", 0..4),
        explicit_hash_key_table in prop::collection::vec(
            prop_oneof![any_hash_key().prop_map(|key| key.to_string()), ".{0,5}"], 0..4),
        records in prop::collection::vec(
            (0..5_u64, prop::option::of(0..5_u64), prop::collection::vec(any::<u8>(), 0..9), any_tags()), 0..6),
    ) -> messages::AggregatedRecord {
        let records = records.into_iter().map(|(partition_key_index, explicit_hash_key_index, data, tags)| {
            messages::Record { partition_key_index, explicit_hash_key_index, data, tags }
        }).collect();
        messages::AggregatedRecord { partition_key_table, explicit_hash_key_table, records }
    }
}

proptest! {
    #[test]
    fn aggregates_are_those_that_prost_writes(records in any_user_records()) {
        prop_assert_eq!(seal(&records).to_vec(), by_prost(&records));
    }

    #[test]
    fn encoded_len_is_exact_and_never_above_the_maximum(records in any_user_records(), max_bytes in 64..9000_usize) {
        let mut writer = AggregateWriter::new();
        let mut taken = Vec::new();
        for record in records {
            let before = writer.encoded_len();
            if writer.try_append(&record.keyed(), max_bytes) {
                taken.push(record);
            } else {
                prop_assert_eq!(writer.encoded_len(), before);
                let mut more = taken.clone();
                more.push(record);
                prop_assert!(by_prost(&more).len() > max_bytes, "it would have fitted");
            }
            prop_assert_eq!(writer.user_records(), taken.len());
            prop_assert_eq!(writer.encoded_len(), by_prost(&taken).len());
            prop_assert!(taken.is_empty() || writer.encoded_len() <= max_bytes);
        }
        let sealed = writer.seal();
        prop_assert_eq!(sealed.encoded_len(), sealed.to_vec().len());
        prop_assert_eq!(sealed.segments().iter().map(|segment| segment.len()).sum::<usize>() + 20, sealed.encoded_len());
    }

    #[test]
    fn what_is_left_after_dropping_is_the_tail(records in any_user_records(), share in 0.0..1.1_f64) {
        let whole = seal(&records);
        let count = (records.len() as f64 * share) as usize;
        let mut rest = whole.clone();
        rest.drop_first(count);
        let tail = &records[count.min(records.len())..];
        prop_assert_eq!(rest.user_records(), tail.len());
        prop_assert!(rest.iter().eq(tail.iter().map(UserRecord::as_ref)));
        prop_assert_eq!(rest.iter().len(), tail.len());
        prop_assert_eq!(rest.first(), tail.first().map(UserRecord::as_ref));
        prop_assert_eq!(rest.to_single().is_some(), tail.len() == 1);
        let bytes = rest.to_vec();
        let read = try_deaggregate(&bytes).unwrap();
        prop_assert_eq!(read.len(), tail.len());
        for (read, put) in read.iter().zip(tail) {
            prop_assert_eq!(&*read.partition_key, &*put.partition_key);
            prop_assert_eq!((read.explicit_hash_key, read.data), (put.explicit_hash_key, &*put.data));
        }
        prop_assert!(whole.iter().eq(records.iter().map(UserRecord::as_ref)), "clones keep what they have");
    }

    #[test]
    fn reused_buffers_hold_nothing_of_before(before in any_user_records(), records in any_user_records()) {
        let mut writer = seal(&before).into_writer().unwrap();
        prop_assert!(writer.is_empty());
        for record in &records {
            prop_assert!(writer.try_append(&record.keyed(), usize::MAX));
        }
        prop_assert_eq!(writer.seal().to_vec(), by_prost(&records));
    }

    #[test]
    fn any_bytes_are_read_without_loss(data in prop::collection::vec(any::<u8>(), 0..200), frame in 0..3) {
        let data = match frame {
            0 => data,
            1 => [&MAGIC[..], &data].concat(),
            _ => framed(&data),
        };
        check_reading(&data);
    }

    #[test]
    fn mutated_aggregates_are_read_without_loss(
        message in any_message(),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 0..4),
    ) {
        let mut bytes = message.encode_to_vec();
        for (index, byte, kind) in mutations {
            if bytes.is_empty() {
                break;
            }
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        check_reading(&framed(&bytes));
    }

    #[test]
    fn what_prost_writes_is_read_or_handed_back(message in any_message()) {
        let bytes = framed(&message.encode_to_vec());
        if bytes.len() > MAGIC.len() + DIGEST_BYTES {
            check_against_prost(&message, &bytes);
        }
    }

    #[test]
    fn bodies_are_read_back_by_others(
        records in prop::collection::vec(any_kinesis_record(), 0..8), stream in "(arn:)?[a-z]{1,10}",
    ) {
        let expected: Vec<(Vec<u8>, String, String)> = records.iter().map(expected_entry).collect();
        let cbor = encode(WireFormat::Cbor, &stream, &records);
        prop_assert_eq!(cbor.len, cbor.to_vec().len());
        let bound: usize = expected.iter().map(|(data, _, key)| data.len() + key.len() + ENTRY_OVERHEAD_BYTES).sum();
        prop_assert!(cbor.len <= bound + stream.len() + 64);
        prop_assert!(cbor.segments.iter().all(|segment| !segment.is_empty()));
        prop_assert_eq!(read_cbor(&cbor.to_vec(), &stream), expected.clone());

        let json = encode(WireFormat::Json, &stream, &records);
        prop_assert_eq!(json.len, json.to_vec().len());
        prop_assert_eq!(read_json(&json.to_vec(), &stream), expected);
    }
}

/// The lenient reader loses nothing, and agrees with the strict one; neither panics.
fn check_reading(data: &[u8]) {
    let lenient = deaggregate("p", None, data);
    match try_deaggregate(data) {
        Ok(strict) => {
            assert_eq!(strict, lenient);
            assert!(strict.iter().all(|record| record.aggregated));
            assert!(strict.iter().enumerate().all(|(index, record)| record.sub_sequence_number == index as u64));
        }
        Err(error) => {
            assert_eq!(lenient.len(), 1, "{error}");
            assert_eq!((&*lenient[0].partition_key, lenient[0].data, lenient[0].aggregated), ("p", data, false));
        }
    }
}

fn check_against_prost(message: &messages::AggregatedRecord, bytes: &[u8]) {
    check_reading(bytes);
    let expected: Option<Vec<_>> = message
        .records
        .iter()
        .map(|record| {
            let key = message.partition_key_table.get(record.partition_key_index as usize)?;
            let hash_key = match record.explicit_hash_key_index {
                None => None,
                Some(index) => {
                    let text = message.explicit_hash_key_table.get(index as usize)?;
                    Some(text.strip_prefix('+').unwrap_or(text).parse::<HashKey>().ok()?)
                }
            };
            let tags: Vec<_> = record.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
            Some((key.clone(), hash_key, record.data.clone(), tags))
        })
        .collect();
    let read = try_deaggregate(bytes).ok().map(|read| {
        read.into_iter()
            .map(|record| {
                let tag = |tag: kinesis_producer::wire::Tag<'_>| (tag.key.into(), tag.value.map(Into::into));
                let tags = record.tags.into_iter().map(tag).collect();
                (record.partition_key.into_owned(), record.explicit_hash_key, record.data.to_vec(), tags)
            })
            .collect()
    });
    assert_eq!(read, expected);
}

fn any_kinesis_record() -> impl Strategy<Value = KinesisRecord> {
    let plain = (any_user_record(), prop::option::of(any_hash_key())).prop_map(|(record, hash_key)| KinesisRecord {
        partition_key: Bytes::from(record.partition_key),
        hash_key,
        payload: Payload::Plain(Bytes::from(record.data)),
    });
    let aggregate = (any_user_records(), prop::option::of(any_hash_key()))
        .prop_map(|(records, hash_key)| KinesisRecord::from_aggregate(seal(&records), hash_key));
    prop_oneof![plain, aggregate]
}

/// Data, explicit hash key and partition key.
fn expected_entry(record: &KinesisRecord) -> (Vec<u8>, String, String) {
    let partition_key = String::from_utf8(record.partition_key.to_vec()).unwrap();
    let (data, first_hash_key) = match &record.payload {
        Payload::Plain(data) => (data.to_vec(), md5::hash_key(&partition_key)),
        Payload::Aggregate(sealed) => {
            assert_eq!(partition_key, AGGREGATE_PARTITION_KEY);
            let first = sealed.first().unwrap();
            (sealed.to_vec(), first.explicit_hash_key.unwrap_or_else(|| md5::hash_key(first.partition_key)))
        }
    };
    assert_eq!(data.len(), record.data_len());
    (data, record.hash_key.unwrap_or(first_hash_key).to_string(), partition_key)
}

fn stream_field(stream: &str) -> &'static str {
    if stream.starts_with("arn:") { "StreamARN" } else { "StreamName" }
}

fn read_cbor(body: &[u8], stream: &str) -> Vec<(Vec<u8>, String, String)> {
    use ciborium::Value;
    let field = |map: &Value, name: &str| {
        let fields = map.as_map().unwrap();
        fields.iter().find(|(key, _)| key.as_text() == Some(name)).unwrap().1.clone()
    };
    let body: Value = ciborium::from_reader(body).unwrap();
    assert_eq!(body.as_map().unwrap().len(), 2);
    assert_eq!(field(&body, stream_field(stream)), Value::from(stream));
    let entry = |entry: &Value| {
        assert_eq!(entry.as_map().unwrap().len(), 3);
        let text = |name| field(entry, name).into_text().unwrap();
        (field(entry, "Data").into_bytes().unwrap(), text("ExplicitHashKey"), text("PartitionKey"))
    };
    field(&body, "Records").as_array().unwrap().iter().map(entry).collect()
}

fn read_json(body: &[u8], stream: &str) -> Vec<(Vec<u8>, String, String)> {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 2);
    assert_eq!(body[stream_field(stream)], stream);
    let entry = |entry: &serde_json::Value| {
        assert_eq!(entry.as_object().unwrap().len(), 3);
        let text = |name| entry[name].as_str().unwrap().to_owned();
        let data = base64::engine::general_purpose::STANDARD.decode(text("Data")).unwrap();
        (data, text("ExplicitHashKey"), text("PartitionKey"))
    };
    body["Records"].as_array().unwrap().iter().map(entry).collect()
}
