//! The bytes of others: what the KPL 1.0.8 wrote, and what the KCL 3.4.2 makes of what others wrote (`tests/golden/`).
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kinesis_producer::HashKey;
use kinesis_producer::error::ErrorKind;
use kinesis_producer::wire::{
    AggregateWriter, DeaggregatedRecord, Keyed, KinesisRecord, Payload, UserRecordRef, deaggregate, md5,
    try_deaggregate,
};
use serde_json::Value;

/// The KCL drops user records of these without a word; we hand the Kinesis record back.
const KCL_DROPS: [&str; 5] =
    ["key_index_out_of_range", "key_index_huge", "hash_index_out_of_range", "hash_not_a_number", "hash_too_large"];

struct UserRecord {
    partition_key: String,
    explicit_hash_key: Option<HashKey>,
    data: Vec<u8>,
}

fn lines(name: &str) -> Vec<Value> {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

fn hash_key(value: &Value) -> Option<HashKey> {
    value.as_str().map(|text| text.parse().unwrap())
}

fn user_record(value: &Value) -> UserRecord {
    UserRecord {
        partition_key: value["partition_key"].as_str().unwrap().to_owned(),
        explicit_hash_key: hash_key(&value["explicit_hash_key"]),
        data: bytes(&value["data"]),
    }
}

fn digest(key: &str) -> u64 {
    key.bytes().fold(7, |digest: u64, byte| digest.wrapping_mul(31) ^ u64::from(byte))
}

#[test]
fn aggregates_are_the_kpls_byte_for_byte() {
    let lines = lines("kpl.jsonl");
    assert_eq!(lines.len(), 33);
    for (number, line) in lines.iter().enumerate() {
        let expected = user_record(&line["kinesis_record"]);
        let max_bytes = usize::try_from(line["aggregation_max_size"].as_u64().unwrap()).unwrap();
        let user_records: Vec<UserRecord> = line["user_records"].as_array().unwrap().iter().map(user_record).collect();
        let mut writer = AggregateWriter::new();
        for record in &user_records {
            let (partition_key, data) = (record.partition_key.as_str(), record.data.as_slice());
            let key_digest = digest(partition_key);
            let keyed = Keyed { partition_key, key_digest, explicit_hash_key: record.explicit_hash_key, data };
            // The KPL sends a user record alone, whatever its size.
            let max_bytes = if user_records.len() == 1 { usize::MAX } else { max_bytes };
            assert!(writer.try_append(&keyed, max_bytes), "line {number}");
        }
        let encoded_len = writer.encoded_len();
        let sealed = writer.seal();
        assert_eq!(sealed.to_vec().len(), encoded_len);
        let whole = sealed.to_vec();
        let record = KinesisRecord::from_aggregate(sealed, None);
        assert_eq!(record.partition_key, expected.partition_key, "line {number}");
        assert_eq!(record.data_len(), expected.data.len(), "line {number}");
        match &record.payload {
            Payload::Plain(data) => assert_eq!(data, &expected.data, "line {number}"),
            Payload::Aggregate(_) => assert_eq!(whole, expected.data, "line {number}"),
        }
        // The explicit hash key of a user record that went alone is not in the record that arrived.
        let first = &user_records[0];
        let first_hash_key = first.explicit_hash_key.unwrap_or_else(|| md5::hash_key(&first.partition_key));
        if user_records.len() > 1 {
            assert_eq!(Some(first_hash_key), expected.explicit_hash_key, "line {number}");
        }

        let read = deaggregate(&expected.partition_key, expected.explicit_hash_key, &expected.data);
        assert_eq!(read.len(), user_records.len(), "line {number}");
        for (read, put) in read.iter().zip(&user_records) {
            assert_eq!(read.partition_key, put.partition_key);
            assert_eq!(read.data, put.data);
            if read.aggregated {
                assert_eq!(read.explicit_hash_key, put.explicit_hash_key);
            }
        }
    }
}

#[test]
fn sealed_kpl_records_are_read_back_in_order() {
    for line in lines("kpl.jsonl") {
        let user_records: Vec<UserRecord> = line["user_records"].as_array().unwrap().iter().map(user_record).collect();
        let mut writer = AggregateWriter::new();
        let refs: Vec<UserRecordRef<'_>> = user_records
            .iter()
            .map(|record| UserRecordRef {
                partition_key: &record.partition_key,
                explicit_hash_key: record.explicit_hash_key,
                data: &record.data,
            })
            .collect();
        for record in &refs {
            let UserRecordRef { partition_key, explicit_hash_key, data } = *record;
            let keyed = Keyed { partition_key, key_digest: digest(partition_key), explicit_hash_key, data };
            assert!(writer.try_append(&keyed, usize::MAX));
        }
        assert_eq!(writer.seal().iter().collect::<Vec<_>>(), refs);
    }
}

#[test]
fn foreign_aggregates_are_read_as_the_kcl_reads_them() {
    for line in lines("foreign.jsonl") {
        let name = line["name"].as_str().unwrap();
        let kinesis_record = &line["kinesis_record"];
        let partition_key = kinesis_record["partition_key"].as_str().unwrap();
        let data = bytes(&kinesis_record["data"]);
        let kcl = line["kcl"].as_array().unwrap();
        let lenient = deaggregate(partition_key, hash_key(&kinesis_record["explicit_hash_key"]), &data);
        let strict = try_deaggregate(&data);
        if KCL_DROPS.contains(&name) {
            let [record] = lenient.as_slice() else { panic!("{name}: {lenient:?}") };
            assert!(!record.aggregated, "{name}");
            assert_eq!((&*record.partition_key, record.data), (partition_key, data.as_slice()), "{name}");
            assert_eq!(strict.unwrap_err().kind(), ErrorKind::InvalidAggregate, "{name}");
            continue;
        }
        assert_eq!(lenient.len(), kcl.len(), "{name}");
        for (read, expected) in lenient.iter().zip(kcl) {
            assert_matches_kcl(name, read, expected);
        }
        if lenient.iter().all(|record| record.aggregated) {
            assert_eq!(strict.unwrap(), lenient, "{name}");
        } else {
            let error = strict.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidAggregate, "{name}");
        }
    }
}

fn assert_matches_kcl(name: &str, read: &DeaggregatedRecord<'_>, expected: &Value) {
    assert_eq!(read.partition_key, expected["partition_key"].as_str().unwrap(), "{name}");
    assert_eq!(read.explicit_hash_key, hash_key(&expected["explicit_hash_key"]), "{name}");
    assert_eq!(read.data, bytes(&expected["data"]), "{name}");
    assert_eq!(read.aggregated, expected["aggregated"].as_bool().unwrap(), "{name}");
    assert_eq!(read.sub_sequence_number, expected["sub_sequence_number"].as_u64().unwrap(), "{name}");
}
