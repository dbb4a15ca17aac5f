//! The shape of bodies; `tests/properties.rs` reads them back with other people's code.

use super::*;
use crate::wire::{AggregateWriter, Keyed};

fn plain(data: &[u8]) -> KinesisRecord {
    let payload = Payload::Plain(Bytes::copy_from_slice(data));
    KinesisRecord { partition_key: Bytes::from_static(b"k"), hash_key: Some(HashKey(9)), payload }
}

fn aggregate(data_len: usize, explicit_hash_key: Option<HashKey>) -> KinesisRecord {
    let data = vec![b'x'; data_len];
    let mut writer = AggregateWriter::new();
    for partition_key in ["first", "second"] {
        let keyed = Keyed { partition_key, key_digest: 1, explicit_hash_key, data: &data };
        assert!(writer.try_append(&keyed, usize::MAX));
    }
    KinesisRecord::from_aggregate(writer.seal(), None)
}

#[test]
fn a_body_of_cbor_is_this() {
    let body = encode(WireFormat::Cbor, "orders", &[plain(b"\x00\xFF")]);
    let expected = b"\xA2\x67Records\x81\xA3\x64Data\x42\x00\xFF\x6FExplicitHashKey\x619\x6CPartitionKey\x61k\
        \x6AStreamName\x66orders";
    assert_eq!(body.to_vec(), expected);
    assert_eq!(body.len, expected.len());
    assert_eq!(body.segments.len(), 1);
}

#[test]
fn a_body_of_json_is_this() {
    let record = KinesisRecord { partition_key: Bytes::from_static(b"q\"\\\n\xC3\xA9"), ..plain(b"data") };
    let body = encode(WireFormat::Json, "arn:aws:kinesis:eu-west-1:1:stream/orders", &[record, plain(b"")]);
    let expected = concat!(
        r#"{"Records":[{"Data":"ZGF0YQ==","ExplicitHashKey":"9","PartitionKey":"q\"\\\né"},"#,
        r#"{"Data":"","ExplicitHashKey":"9","PartitionKey":"k"}],"#,
        r#""StreamARN":"arn:aws:kinesis:eu-west-1:1:stream/orders"}"#,
    );
    assert_eq!(String::from_utf8(body.to_vec()).unwrap(), expected);
}

#[test]
fn large_data_is_shared_and_small_data_is_not() {
    let large = aggregate(5000, None);
    let Payload::Aggregate(sealed) = &large.payload else { panic!() };
    let shared = sealed.segments()[2].as_ptr();
    let body = encode(WireFormat::Cbor, "s", &[plain(b"small"), large.clone(), plain(&[1; 2000])]);
    let pointers: Vec<*const u8> = body.segments.iter().map(|segment| segment.as_ptr()).collect();
    assert_eq!(body.segments.len(), 5);
    assert_eq!(pointers[1], shared);
    assert_eq!(body.len, body.to_vec().len());
}

#[test]
fn missing_hash_keys_are_those_of_the_first_user_record() {
    for format in [WireFormat::Cbor, WireFormat::Json] {
        let key = md5::hash_key("first").to_string();
        let alone = KinesisRecord { hash_key: None, partition_key: Bytes::from_static(b"first"), ..plain(b"x") };
        for (record, expected) in
            [(aggregate(10, None), &*key), (aggregate(10, Some(HashKey(4711))), "4711"), (alone, &*key)]
        {
            let body = encode(format, "s", &[record]).to_vec();
            assert!(body.windows(expected.len()).any(|window| window == expected.as_bytes()), "{format:?}: {expected}");
        }
    }
}

#[test]
fn entries_take_no_more_than_the_bound() {
    let frame = encode(WireFormat::Cbor, "s", &[]).len;
    for len in [0, 23, 24, 255, 256, 65535, 65536, 1 << 20] {
        let mut record = plain(&vec![0; len]);
        record.hash_key = Some(HashKey(u128::MAX));
        record.partition_key = Bytes::from("é".repeat(256));
        let entry = encode(WireFormat::Cbor, "s", std::slice::from_ref(&record)).len - frame;
        assert!(entry <= len + record.partition_key.len() + ENTRY_OVERHEAD_BYTES, "{len}");
        assert!(entry + 5 >= len + record.partition_key.len() + ENTRY_OVERHEAD_BYTES, "{len}: the bound is near");
    }
}
