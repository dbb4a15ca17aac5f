//! What goes wrong on the way, and what is said about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials as SdkCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use bytes::Bytes;
use kinesis_producer::Stored;
use kinesis_producer::config::WireFormat;
use kinesis_producer::core::outcome::{CallFailure, EntryOutcome, code};
use kinesis_producer::error::ErrorKind;
use kinesis_producer::runtime::aws::{AwsTransport, Credentials, TransportSettings};

use super::server::{Answer, Server};
use super::{put, record, settings};

async fn failure_of(settings: TransportSettings) -> CallFailure {
    let transport = AwsTransport::new(settings).await.unwrap();
    put(&transport, "orders", &[record("a", 0, "x")]).await.unwrap_err()
}

#[tokio::test]
async fn a_server_error_may_have_stored_the_records() {
    let answers = [
        (Answer::json(500, r#"{"__type":"InternalFailure","message":"oops"}"#), "InternalFailure", "oops"),
        (Answer::json(503, r#"{"__type":"ServiceUnavailable"}"#), "ServiceUnavailable", ""),
        (Answer::Reply(502, "text/html", String::new(), b"<html>".to_vec()), code::TRANSPORT, "HTTP status 502"),
        (Answer::json(500, ""), code::TRANSPORT, "HTTP status 500"),
    ];
    for wire_format in [WireFormat::Cbor, WireFormat::Json] {
        for (answer, expected, words) in answers.clone() {
            let server = Server::start(move |_, _| answer.clone()).await;
            let failure = failure_of(TransportSettings { wire_format, ..settings(&server) }).await;
            assert_eq!((failure.code.as_str(), failure.stored), (expected, Stored::Possibly), "{failure:?}");
            assert!(failure.message.contains(words), "{failure:?}");
            assert!(failure.status.is_some_and(|status| status >= 500));
            assert_eq!(server.received().len(), 1, "the SDK must not retry");
        }
    }
}

#[tokio::test]
async fn a_request_refused_by_status_has_stored_nothing() {
    let server = Server::start(|_, _| Answer::Reply(413, "text/plain", String::new(), b"too large".to_vec())).await;
    let failure = failure_of(settings(&server)).await;
    assert_eq!((failure.status, failure.stored), (Some(413), Stored::No));
}

#[tokio::test]
async fn entries_that_fail_keep_their_codes() {
    let body = r#"{"FailedRecordCount":1,"Records":[{"ErrorCode":"ProvisionedThroughputExceededException",
        "ErrorMessage":"slow down"},{"ShardId":"shardId-000000000003","SequenceNumber":"7"}]}"#;
    let server = Server::start(move |_, _| Answer::json(200, body)).await;
    let settings = TransportSettings { wire_format: WireFormat::Json, ..settings(&server) };
    let transport = AwsTransport::new(settings).await.unwrap();
    let outcome = put(&transport, "orders", &[record("a", 0, "x"), record("b", 1, "y")]).await.unwrap();
    let [EntryOutcome::Failed { code, message }, EntryOutcome::Stored { shard_id, sequence_number }] = &outcome[..]
    else {
        panic!("{outcome:?}")
    };
    assert_eq!((code.as_str(), &**message), ("ProvisionedThroughputExceededException", "slow down"));
    assert_eq!((shard_id.as_str(), sequence_number.as_str()), ("shardId-000000000003", "7"));
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_may_have_stored_the_records() {
    for body in [r#"{"Records":[{}]}"#, "<html>", "[1,2"] {
        let server = Server::start(move |_, _| Answer::json(200, body)).await;
        let failure = failure_of(TransportSettings { wire_format: WireFormat::Json, ..settings(&server) }).await;
        assert_eq!((failure.code.as_str(), failure.stored), (code::TRANSPORT, Stored::Possibly), "{body}: {failure:?}");
        assert_eq!(failure.status, Some(200));
    }
}

#[tokio::test]
async fn silence_is_a_timeout_that_may_have_stored_the_records() {
    let server = Server::start(|_, _| Answer::Hang).await;
    let request_timeout = Duration::from_millis(200);
    let failure = failure_of(TransportSettings { request_timeout, ..settings(&server) }).await;
    assert_eq!((failure.code.as_str(), failure.stored, failure.status), (code::TIMEOUT, Stored::Possibly, None));
    assert!(failure.message.contains(&server.url()), "{failure:?}");
}

#[tokio::test]
async fn a_handshake_that_hangs_is_a_connect_failure_with_nothing_stored() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::start(|_, _| Answer::Hang).await;
    let failure = failure_of(TransportSettings {
        endpoint_url: Some(format!("https://{}", silent.local_addr().unwrap())),
        connect_timeout: Duration::from_millis(100),
        ..settings(&server)
    })
    .await;
    assert_eq!((failure.code.as_str(), failure.stored), (code::CONNECT, Stored::No), "{failure:?}");
    assert!(failure.message.contains("100ms"), "{failure:?}");
}

#[tokio::test]
async fn a_refused_connection_is_a_connect_failure_with_its_causes() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let server = Server::start(|_, _| Answer::Hang).await;
    let failure =
        failure_of(TransportSettings { endpoint_url: Some(format!("http://{free}")), ..settings(&server) }).await;
    assert_eq!((failure.code.as_str(), failure.stored, failure.status), (code::CONNECT, Stored::No, None));
    assert!(failure.message.starts_with(&format!("http://{free}: ")), "{failure:?}");
    assert!(failure.message.contains("Connection refused"), "{failure:?}");
}

#[tokio::test]
async fn an_unknown_host_is_a_connect_failure() {
    let server = Server::start(|_, _| Answer::Hang).await;
    let failure = failure_of(TransportSettings {
        endpoint_url: Some("http://kinesis.invalid".to_owned()),
        connect_timeout: Duration::from_secs(20),
        request_timeout: Duration::from_secs(20),
        ..settings(&server)
    })
    .await;
    assert_eq!((failure.code.as_str(), failure.stored), (code::CONNECT, Stored::No), "{failure:?}");
    assert!(failure.message.contains("http://kinesis.invalid") && failure.message.contains("dns"), "{failure:?}");
}

#[tokio::test]
async fn an_arn_of_something_else_is_refused_without_being_sent() {
    let server = Server::start(|_, _| Answer::Hang).await;
    let transport = AwsTransport::new(TransportSettings { endpoint_url: None, ..settings(&server) }).await.unwrap();
    let failure = put(&transport, "arn:aws:s3:::orders", &[record("a", 0, "x")]).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.stored), ("ValidationException", Stored::No), "{failure:?}");
    assert!(failure.message.contains("ARN"), "{failure:?}");
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_may_have_stored_the_records() {
    for answer in [Answer::CloseAfterRequest, Answer::BreakOffHalfway] {
        let server = Server::start(move |_, _| answer.clone()).await;
        let failure = failure_of(settings(&server)).await;
        assert_eq!((failure.code.as_str(), failure.stored), (code::TRANSPORT, Stored::Possibly), "{failure:?}");
        assert_eq!(server.received().len(), 1, "it must not be sent twice");
    }
}

#[tokio::test]
async fn a_body_that_was_cut_short_is_sent_again_once() {
    let server = Server::start(|number, _| match number {
        0 => Answer::ResetBeforeBody,
        _ => Answer::stored_cbor(),
    })
    .await;
    let transport = AwsTransport::new(settings(&server)).await.unwrap();
    // More than the sockets of both sides buffer.
    let large: Vec<_> = (0..40).map(|n| record("a", n, Bytes::from(vec![0_u8; 1 << 20]))).collect();
    put(&transport, "orders", &large).await.unwrap();
    assert_eq!(server.received().len(), 2);

    let server = Server::start(|_, _| Answer::ResetBeforeBody).await;
    let transport = AwsTransport::new(settings(&server)).await.unwrap();
    let failure = put(&transport, "orders", &large).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.stored), (code::TRANSPORT, Stored::No), "{failure:?}");
    assert_eq!(server.received().len(), 2);
}

/// Credentials that are new each time they are loaded: `key-1`, `key-2`, … and that can be made to fail.
#[derive(Debug)]
struct Loaded {
    times: AtomicUsize,
    fails_from: usize,
}

impl ProvideCredentials for Loaded {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let time = self.times.fetch_add(1, Ordering::SeqCst) + 1;
        future::ProvideCredentials::ready(if time < self.fails_from {
            Ok(SdkCredentials::new(format!("key-{time}"), "secret", None, None, "test"))
        } else {
            Err(CredentialsError::provider_error("the vault is sealed"))
        })
    }
}

fn loaded(fails_from: usize) -> Credentials {
    Credentials::Provider(SharedCredentialsProvider::new(Loaded { times: AtomicUsize::new(0), fails_from }))
}

fn keys(server: &Server) -> Vec<String> {
    let scope = |text: &str| text.split("Credential=").nth(1).unwrap().split('/').next().unwrap().to_owned();
    server.received().iter().map(|request| scope(request.header("authorization"))).collect()
}

#[tokio::test]
async fn expired_credentials_are_loaded_anew_once_for_all_calls() {
    let server = Server::start(|_, request| {
        if request.header("authorization").contains("key-2/") {
            Answer::json(400, r#"{"__type":"ExpiredTokenException","message":"expired"}"#)
        } else {
            Answer::stored_cbor()
        }
    })
    .await;
    let settings = TransportSettings { credentials: loaded(usize::MAX), ..settings(&server) };
    let transport = Arc::new(AwsTransport::new(settings).await.unwrap());
    let one = [record("a", 0, "x")];
    let (first, second) = tokio::join!(put(&transport, "orders", &one), put(&transport, "orders", &one));
    first.unwrap();
    second.unwrap();
    let mut keys = keys(&server);
    keys.sort();
    assert_eq!(keys, ["key-2", "key-2", "key-3", "key-3"], "key-1 was the check at the start");
}

#[tokio::test]
async fn credentials_refused_twice_in_a_row_are_a_failure() {
    let answer = Answer::json(400, r#"{"__type":"UnrecognizedClientException","message":"who?"}"#);
    let server = Server::start(move |_, _| answer.clone()).await;
    let failure = failure_of(TransportSettings { credentials: loaded(usize::MAX), ..settings(&server) }).await;
    assert_eq!((failure.code.as_str(), &*failure.message), ("UnrecognizedClientException", "who?"));
    assert_eq!((failure.status, failure.stored), (Some(400), Stored::No));
    assert_eq!(keys(&server), ["key-2", "key-3"]);
}

#[tokio::test]
async fn credentials_that_cannot_be_loaded_now_fail_the_call_with_the_cause() {
    let server = Server::start(|_, _| Answer::stored_cbor()).await;
    let failure = failure_of(TransportSettings { credentials: loaded(2), ..settings(&server) }).await;
    assert_eq!((failure.code.as_str(), failure.stored), (code::CREDENTIALS, Stored::No), "{failure:?}");
    assert!(failure.message.contains("the vault is sealed"), "{failure:?}");
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn credentials_that_were_never_there_are_an_error_at_once() {
    let server = Server::start(|_, _| Answer::stored_cbor()).await;
    let settings = TransportSettings { credentials: loaded(0), ..settings(&server) };
    let error = AwsTransport::new(settings).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoCredentials);
    assert!(error.to_string().contains("the vault is sealed"), "{error}");
}
