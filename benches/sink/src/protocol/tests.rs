//! Round trips of requests and answers in both formats.

use super::*;

const JSON: &[u8] = br#"{"Records":[{"Data":"AAEC","PartitionKey":"k\u00e9"},
    {"ExplicitHashKey":"17","PartitionKey":"b","Data":"AA==","Other":[{}]}],"StreamName":"orders"}"#;

/// The same request, definite maps, in another order.
const CBOR: &[u8] = b"\xA2\x6AStreamName\x66orders\x67Records\x82\
    \xA2\x64Data\x43\x00\x01\x02\x6CPartitionKey\x63k\xC3\xA9\
    \xA4\x6FExplicitHashKey\x6217\x6CPartitionKey\x61b\x64Data\x41\x00\x65Other\x81\xA0";

/// As Jackson writes it for the AWS SDKs for Java: maps and arrays without their length.
const CBOR_INDEFINITE: &[u8] = b"\xBF\x6AStreamName\x66orders\x67Records\x9F\
    \xBF\x64Data\x43\x00\x01\x02\x6CPartitionKey\x63k\xC3\xA9\xFF\
    \xBF\x6FExplicitHashKey\x6217\x6CPartitionKey\x61b\x64Data\x41\x00\xFF\xFF\xFF";

fn check_request(format: Format, body: &[u8]) {
    let request: PutRecords<'_> = format.read(body).unwrap();
    assert_eq!(request.stream_name.unwrap().0, "orders");
    assert_eq!(request.records.len(), 2);
    let [first, second] = &request.records[..] else { panic!("two entries") };
    assert_eq!(*first.data.decoded(format).unwrap(), [0, 1, 2]);
    assert_eq!(first.data.decoded_len(format), 3);
    assert_eq!((&*first.partition_key.0, first.explicit_hash_key.is_none()), ("k\u{e9}", true));
    assert_eq!((second.data.decoded_len(format), &*second.explicit_hash_key.as_ref().unwrap().0), (1, "17"));
    assert!(matches!(second.partition_key.0, Cow::Borrowed("b")));
    assert!(matches!(second.data.0, Cow::Borrowed(_)));
}

#[test]
fn a_request_reads_the_same_in_every_format() {
    check_request(Format::Json, JSON);
    check_request(Format::Cbor, CBOR);
    check_request(Format::Cbor, CBOR_INDEFINITE);
}

#[test]
fn an_answer_writes_the_same_in_every_format() {
    let stored = Outcome::Stored { shard: 7, sequence: 12 };
    let records = vec![stored, Outcome::Throttled { shard: 0 }, Outcome::Failed];
    let answer = PutRecordsAnswer { failed_record_count: 2, records };
    let json: serde_json::Value = serde_json::from_slice(&Format::Json.write(&answer)).unwrap();
    let cbor: serde_json::Value = minicbor_serde::from_slice(&Format::Cbor.write(&answer)).unwrap();
    assert_eq!(json, cbor);
    assert_eq!(json["FailedRecordCount"], 2);
    assert_eq!(json["Records"][0]["ShardId"], "shardId-000000000007");
    let sequence = json["Records"][0]["SequenceNumber"].as_str().unwrap();
    assert!(sequence.len() == 56 && sequence.starts_with("4960") && sequence.ends_with("012"), "{sequence}");
    assert_eq!(json["Records"][0].as_object().unwrap().len(), 2);
    assert_eq!(json["Records"][1]["ErrorCode"], "ProvisionedThroughputExceededException");
    assert_eq!(json["Records"][2]["ErrorCode"], "InternalFailure");
}

#[test]
fn refusals_carry_type_and_words() {
    let refusal = Format::Cbor.read::<PutRecords<'_>>(b"\xFF").unwrap_err();
    assert_eq!((refusal.status, refusal.code), (400, "SerializationException"));
    let json: serde_json::Value = serde_json::from_slice(&Format::Json.write(&refusal)).unwrap();
    assert_eq!(json["__type"], "SerializationException");
    assert_eq!(json["message"], refusal.words);
}

#[test]
fn the_format_is_the_content_types() {
    assert_eq!(Format::of(Some(b"application/x-amz-cbor-1.1")), Format::Cbor);
    assert_eq!(Format::of(Some(b"application/x-amz-json-1.1")), Format::Json);
    assert_eq!(Format::of(None), Format::Json);
}

#[test]
fn names_come_from_name_or_arn_and_missing_ones_are_not_found() {
    assert_eq!(stream_name(Some("a"), None), Ok("a"));
    assert_eq!(stream_name(None, Some("arn:aws:kinesis:eu-west-1:1:stream/b")), Ok("b"));
    assert_eq!(stream_name(Some("missing-1"), None).unwrap_err().code, "ResourceNotFoundException");
    assert_eq!(stream_name(None, None).unwrap_err().code, "InvalidArgumentException");
}

#[test]
fn hash_keys_are_decimal_and_of_128_bits() {
    assert_eq!(hash_key("340282366920938463463374607431768211455"), Ok(u128::MAX));
    for text in ["340282366920938463463374607431768211456", "-1", "+1", "0x1", ""] {
        assert_eq!(hash_key(text).unwrap_err().code, "InvalidArgumentException", "{text}");
    }
}
