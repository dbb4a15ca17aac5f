//! What the type promises beyond its bytes, which `tests/golden.rs` and `tests/properties.rs` check.

use super::*;
use crate::wire::{KinesisRecord, Payload, deaggregate};

fn keyed<'a>(partition_key: &'a str, data: &'a [u8]) -> Keyed<'a> {
    Keyed { partition_key, key_digest: partition_key.len() as u64, explicit_hash_key: None, data }
}

fn writer_of(count: usize) -> AggregateWriter {
    let mut writer = AggregateWriter::new();
    for number in 0..count {
        assert!(writer.try_append(&keyed(&format!("key {number}"), &[number as u8; 50]), usize::MAX));
    }
    writer
}

#[test]
fn equal_digests_do_not_make_equal_keys() {
    let mut writer = AggregateWriter::new();
    for _ in 0..2 {
        for number in 100..400 {
            let key = format!("key {number}");
            let record = Keyed { key_digest: 5, ..keyed(&key, b"x") };
            assert!(writer.try_append(&record, usize::MAX));
        }
    }
    let sealed = writer.seal();
    assert_eq!(sealed.segments()[0].len(), 300 * 9, "each key once");
    assert!(
        sealed
            .iter()
            .map(|record| record.partition_key.to_owned())
            .eq((100..400).chain(100..400).map(|number| format!("key {number}")))
    );
}

#[test]
fn a_user_record_that_does_not_fit_changes_nothing() {
    let mut writer = writer_of(3);
    let before = writer.encoded_len();
    let record = Keyed { explicit_hash_key: Some(HashKey(u128::MAX)), ..keyed("a new key", b"data") };
    let needed = before + (2 + 9) + (2 + 39) + (2 + 2 + 2 + 2 + 4);
    assert!(!writer.try_append(&record, needed - 1));
    assert_eq!((writer.encoded_len(), writer.user_records()), (before, 3));
    assert!(writer.try_append(&record, needed));
    assert_eq!((writer.encoded_len(), writer.user_records()), (needed, 4));
    assert_eq!(writer.seal().to_vec().len(), needed);
}

#[test]
fn buffers_come_back_unless_they_are_shared() {
    let sealed = writer_of(300).seal();
    let clone = sealed.clone();
    assert!(clone.into_writer().is_none(), "shared with a clone");
    let record = sealed.iter().next().map(|record| record.data.as_ptr());
    let mut dropped = sealed.clone();
    drop(sealed);
    dropped.drop_first(10);
    let mut writer = dropped.into_writer().unwrap();
    assert!(writer.is_empty());
    assert_eq!(writer.encoded_len(), AggregateWriter::new().encoded_len());
    let capacity = writer.capacity();
    assert!(writer.try_append(&keyed("key 0", &[0; 50]), usize::MAX));
    assert!(writer.capacity() <= capacity + 512, "only the key table is new");
    let again = writer.seal();
    assert_eq!(again.first().map(|record| record.data.as_ptr()), record, "the same memory");
}

#[test]
fn buffers_of_an_aggregate_without_user_records_come_back() {
    let sealed = AggregateWriter::new().seal();
    assert_eq!(sealed.encoded_len(), 20);
    assert!(sealed.first().is_none() && sealed.to_single().is_none() && sealed.iter().next().is_none());
    assert!(sealed.into_writer().is_some());
}

#[test]
fn one_user_record_left_goes_alone_under_its_own_key() {
    let mut writer = writer_of(2);
    let last = Keyed { explicit_hash_key: Some(HashKey(77)), ..keyed("last", b"alone") };
    assert!(writer.try_append(&last, usize::MAX));
    let mut sealed = writer.seal();
    assert!(sealed.to_single().is_none());
    sealed.drop_first(2);
    let whole = sealed.to_vec();
    let [read] = &*deaggregate("a", None, &whole) else { panic!() };
    assert_eq!((&*read.partition_key, read.explicit_hash_key, read.data), ("last", Some(HashKey(77)), &b"alone"[..]));

    let buffer = sealed.segments()[2].as_ptr_range();
    let record = KinesisRecord::from_aggregate(sealed, Some(HashKey(1)));
    assert_eq!(record.partition_key, "last");
    assert_eq!(record.hash_key, Some(HashKey(77)));
    assert_eq!((record.data_len(), record.user_records()), (5, 1));
    let Payload::Plain(data) = record.payload else { panic!() };
    assert_eq!(data, "alone");
    assert!(buffer.contains(&data.as_ptr()), "nothing is copied");
}

#[test]
fn dropping_more_than_there_is_leaves_nothing() {
    let mut sealed = writer_of(5).seal();
    sealed.drop_first(9);
    assert_eq!((sealed.user_records(), sealed.iter().count()), (0, 0));
    assert_eq!(try_read(&sealed), 0);
}

fn try_read(sealed: &SealedAggregate) -> usize {
    crate::wire::try_deaggregate(&sealed.to_vec()).unwrap().len()
}
