//! Any bytes as the data of a Kinesis record, as they are and as the message of an aggregate whose magic and digest are right:
//! nothing is lost, nothing panics, both readers agree, and our writer writes what was read so that it reads the same.
#![no_main]

use kinesis_producer::wire::aggregate::MAGIC;
use kinesis_producer::wire::{AggregateWriter, DeaggregatedRecord, Keyed, deaggregate, md5, try_deaggregate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    check(&[&MAGIC, bytes, &md5::md5(bytes)].concat());
});

fn check(data: &[u8]) {
    let lenient = deaggregate("key", None, data);
    match try_deaggregate(data) {
        Ok(strict) => {
            assert_eq!(lenient, strict);
            write_and_read(strict);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let [whole] = lenient.as_slice() else { panic!("{} user records of no aggregate", lenient.len()) };
            assert_eq!((&*whole.partition_key, whole.data, whole.aggregated), ("key", data, false));
        }
    }
}

fn write_and_read(mut records: Vec<DeaggregatedRecord<'_>>) {
    let mut writer = AggregateWriter::new();
    for record in &mut records {
        // We write none.
        record.tags.clear();
        let keyed = Keyed {
            partition_key: &record.partition_key,
            // A poor digest, so that different keys meet.
            key_digest: record.partition_key.len() as u64,
            explicit_hash_key: record.explicit_hash_key,
            data: record.data,
        };
        assert!(writer.try_append(&keyed, usize::MAX), "there is no limit");
    }
    // A message of nothing is no aggregate.
    if !records.is_empty() {
        let written = writer.seal().to_vec();
        assert_eq!(try_deaggregate(&written).expect("we write aggregates"), records);
    }
}
