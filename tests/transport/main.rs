//! The AWS transport against real sockets: the embedded service, and servers of our own that misbehave.
#![allow(clippy::disallowed_methods, missing_docs, reason = "tests own their tasks")]

mod local;

use std::sync::Arc;

use bytes::Bytes;
use kinesis_producer::core::outcome::{ListShardsOutcome, PutRecordsOutcome};
use kinesis_producer::record::HashKey;
use kinesis_producer::runtime::aws::AwsTransport;
use kinesis_producer::runtime::transport::{Request, Response, Transport as _};
use kinesis_producer::wire::{KinesisRecord, Payload};

fn record(key: &'static str, hash_key: u128, data: impl Into<Bytes>) -> KinesisRecord {
    KinesisRecord {
        partition_key: Bytes::from_static(key.as_bytes()),
        hash_key: Some(HashKey(hash_key)),
        payload: Payload::Plain(data.into()),
    }
}

async fn put(transport: &AwsTransport, stream: &str, records: &[KinesisRecord]) -> PutRecordsOutcome {
    match transport.call(Request::PutRecords { stream: stream.into(), records: Arc::from(records) }).await {
        Response::PutRecords(outcome) => outcome,
        Response::ListShards(_) => panic!("an answer to another request"),
    }
}

async fn list(transport: &AwsTransport, stream: &str, next_token: Option<String>) -> ListShardsOutcome {
    match transport.call(Request::ListShards { stream: stream.into(), next_token }).await {
        Response::ListShards(outcome) => outcome,
        Response::PutRecords(_) => panic!("an answer to another request"),
    }
}
