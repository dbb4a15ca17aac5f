//! The AWS transport against real sockets: the embedded service, and servers of our own that misbehave.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, missing_docs, unreachable_pub, reason = "tests")]

mod failures;
mod local;
mod server;
mod setup;
mod wire;

use std::sync::Arc;

use bytes::Bytes;
use kinesis_producer::HashKey;
use kinesis_producer::core::outcome::{ListShardsOutcome, PutRecordsOutcome};
use kinesis_producer::runtime::aws::{AwsTransport, Credentials, TransportSettings};
use kinesis_producer::runtime::transport::{Request, Response, Transport as _};
use kinesis_producer::wire::{KinesisRecord, Payload};

/// Settings for a server of ours.
fn settings(server: &server::Server) -> TransportSettings {
    TransportSettings {
        region: Some("eu-west-1".to_owned()),
        endpoint_url: Some(server.url()),
        credentials: Credentials::Static {
            access_key_id: "test-key".to_owned(),
            secret_access_key: "test-secret".to_owned(),
            session_token: None,
        },
        proxy_from_environment: false,
        ..TransportSettings::default()
    }
}

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
