//! What the golden files do not show: messages of errors, tags, and the corners of Protocol Buffers.

use super::*;

fn aggregate(message: &[u8]) -> Vec<u8> {
    [&MAGIC, message, &md5::md5(message)].concat()
}

fn error(data: &[u8]) -> String {
    let error = try_deaggregate(data).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidAggregate);
    let lenient = deaggregate("p", Some(HashKey(3)), data);
    let [record] = lenient.as_slice() else { panic!("{lenient:?}") };
    assert_eq!((&*record.partition_key, record.explicit_hash_key, record.data), ("p", Some(HashKey(3)), data));
    assert!(!record.aggregated && record.tags.is_empty() && record.sub_sequence_number == 0);
    error.to_string()
}

#[test]
fn errors_name_what_is_wrong_and_where() {
    assert_eq!(error(b"plain"), "aggregate of 5 bytes: it does not begin with [F3, 89, 9A, C2]");
    assert!(error(&MAGIC).ends_with("at least 21 are expected: magic, a message and its MD5"));
    assert!(error(&aggregate(b"")).ends_with("at least 21 are expected: magic, a message and its MD5"));
    let mut wrong = aggregate(b"\x0A\x01k");
    *wrong.last_mut().unwrap() ^= 1;
    assert!(error(&wrong).ends_with("its last 16 bytes are not the MD5 of its message"));
    for (message, words) in [
        (&b"\x0A\x05k"[..], "its message: a field reaches beyond the end"),
        (b"\x1A\x02\x08\x00", "user record 0: it has no data"),
        (b"\x1A\x04\x08\x00\x1A\x00\x1A\x02\x1A\x00", "user record 1: it has no partition key index"),
        (b"\x1A\x04\x08\x00\x1A\x05", "user record 0: a field reaches beyond the end"),
        (b"\x0A\x01k\x1A\x04\x08\x01\x1A\x00", "user record 0: partition key index 1 in a table of 1"),
        (b"\x0A\x01k\x1A\x06\x08\x00\x10\x02\x1A\x00", "user record 0: explicit hash key index 2 in a table of 0"),
        (b"\x0A\x01k\x1A\x08\x08\x00\x1A\x00\x22\x02\x12\x00", "a tag of user record 0: it has no key"),
        (b"\x0A\x01k\x1A\x07\x08\x00\x1A\x00\x22\x01\x0A", "a tag of user record 0: a field reaches beyond the end"),
        (
            b"\x0A\x01k\x12\x02-1\x1A\x06\x08\x00\x10\x00\x1A\x00",
            "user record 0: explicit hash key \"-1\": a decimal number from 0 to 340282366920938463463374607431768211455 \
             is expected",
        ),
    ] {
        let error = error(&aggregate(message));
        assert!(error.ends_with(words), "{error}");
    }
}

#[test]
fn tags_are_read() {
    let data = aggregate(b"\x0A\x01k\x1A\x14\x08\x00\x1A\x01x\x22\x05\x0A\x03odd\x22\x06\x0A\x01n\x12\x01\xFF");
    let records = try_deaggregate(&data).unwrap();
    let tag = |key: &'static str, value: Option<&'static str>| Tag { key: key.into(), value: value.map(Cow::from) };
    assert_eq!(records[0].tags, [tag("odd", None), tag("n", Some("\u{FFFD}"))]);
}

#[test]
fn a_known_field_of_another_wire_type_is_an_unknown_field() {
    // The key table as a varint, the index as bytes, the data as a varint: each beside the right one.
    let data = aggregate(b"\x08\x05\x0A\x01k\x1A\x0A\x0A\x01\x07\x08\x00\x18\x09\x1A\x01x");
    let records = try_deaggregate(&data).unwrap();
    assert_eq!((&*records[0].partition_key, records[0].data), ("k", &b"x"[..]));
}

#[test]
fn table_entries_that_nobody_uses_may_be_anything() {
    let data = aggregate(b"\x0A\x01k\x0A\x01\xFF\x12\x05zebra\x1A\x05\x08\x00\x1A\x01x");
    assert_eq!(try_deaggregate(&data).unwrap().len(), 1);
}

#[test]
fn hash_keys_are_numbers_however_they_are_spelled() {
    let data = aggregate(b"\x0A\x01k\x12\x04+007\x1A\x06\x08\x00\x10\x00\x1A\x00");
    assert_eq!(try_deaggregate(&data).unwrap()[0].explicit_hash_key, Some(HashKey(7)));
}
