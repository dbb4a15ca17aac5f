//! What goes over the wire: our body, its length, and a signature that covers it.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as SigningKey;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use bytes::Bytes;
use kinesis_producer::Stored;
use kinesis_producer::config::WireFormat;
use kinesis_producer::core::outcome::{EntryOutcome, code};
use kinesis_producer::runtime::aws::{AwsTransport, Credentials, Proxy, TransportSettings};

use super::server::{Answer, Received, Server};
use super::{list, put, record, settings};

/// Signs the request once more, from what arrived, and compares.
fn assert_signature_covers_the_body(request: &Received) {
    let authorization = request.header("authorization");
    let part = |name: &str| {
        let from = authorization.find(name).unwrap() + name.len();
        authorization[from..].split(", ").next().unwrap()
    };
    let signed: Vec<&str> = part("SignedHeaders=").split(';').collect();
    assert!(signed.contains(&"host") && signed.contains(&"content-type"), "{signed:?}");
    let date = request.header("x-amz-date");
    let scope = format!("test-key/{}/eu-west-1/kinesis/aws4_request", &date[..8]);
    assert_eq!(part("Credential="), scope);
    let identity = SigningKey::new("test-key", "test-secret", None, None, "test").into();
    let mut settings = SigningSettings::default();
    settings.excluded_headers = None;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name("kinesis")
        .time(time(date))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| signed.contains(name) && *name != "x-amz-date")
        .collect();
    let uri = format!("http://{}/", request.header("host"));
    let again = SignableRequest::new("POST", uri, headers.into_iter(), SignableBody::Bytes(&request.body)).unwrap();
    assert_eq!(part("Signature="), sign(again, &params).unwrap().signature());
}

fn time(amz_date: &str) -> SystemTime {
    let (day, clock) = (&amz_date[..8], &amz_date[9..15]);
    let text = format!("{}-{}-{}T{}:{}:{}Z", &day[..4], &day[4..6], &day[6..], &clock[..2], &clock[2..4], &clock[4..]);
    SystemTime::try_from(DateTime::from_str(&text, Format::DateTime).unwrap()).unwrap()
}

#[tokio::test]
async fn the_signature_covers_the_body_that_was_sent() {
    let large = Bytes::from(vec![7_u8; 400_000]);
    let formats = [(WireFormat::Cbor, "application/x-amz-cbor-1.1"), (WireFormat::Json, "application/x-amz-json-1.1")];
    for (wire_format, content_type) in formats {
        let server =
            Server::start(
                move |_, _| if wire_format == WireFormat::Cbor { Answer::stored_cbor() } else { Answer::stored_json() },
            )
            .await;
        let transport = AwsTransport::new(TransportSettings { wire_format, ..settings(&server) }).await.unwrap();
        let records = [record("a", 0, "small"), record("b", 1, large.clone()), record("c", 2, large.clone())];

        let outcome = put(&transport, "orders", &records).await.unwrap();

        assert!(matches!(outcome.as_slice(), [EntryOutcome::Stored { .. }]));
        let request = &server.received()[0];
        assert_eq!(request.header("content-type"), content_type);
        assert_eq!(request.header("x-amz-target"), "Kinesis_20131202.PutRecords");
        assert_eq!(request.header("content-length"), request.body.len().to_string());
        assert_eq!(request.header("transfer-encoding"), "");
        assert_signature_covers_the_body(request);
    }
}

#[tokio::test]
async fn pages_of_shards_are_asked_for_by_stream_first_and_then_by_token_alone() {
    let server = Server::start(|_, _| Answer::json(200, r#"{"Shards":[],"NextToken":"more"}"#)).await;
    let transport = AwsTransport::new(settings(&server)).await.unwrap();
    let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";

    assert_eq!(list(&transport, "orders", None).await.unwrap().next_token.as_deref(), Some("more"));
    list(&transport, "orders", Some("more".to_owned())).await.unwrap();
    list(&transport, arn, None).await.unwrap();

    let received = server.received();
    let asked: Vec<serde_json::Value> = received.iter().map(|r| serde_json::from_slice(&r.body).unwrap()).collect();
    let filter = serde_json::json!({ "Type": "AT_LATEST" });
    assert_eq!(asked[0], serde_json::json!({ "StreamName": "orders", "MaxResults": 1000, "ShardFilter": filter }));
    assert_eq!(asked[1], serde_json::json!({ "NextToken": "more", "MaxResults": 1000 }));
    assert_eq!(asked[2], serde_json::json!({ "StreamARN": arn, "MaxResults": 1000, "ShardFilter": filter }));
    received.iter().for_each(assert_signature_covers_the_body);
}

#[tokio::test]
async fn an_endpoint_without_cbor_gets_json_from_then_on() {
    let refusals = [
        Answer::json(415, "{}"),
        Answer::json(400, r#"{"__type":"UnknownOperationException"}"#),
        Answer::json(400, r#"{"__type":"SerializationException","message":"not JSON"}"#),
        Answer::Reply(415, "text/html", String::new(), b"<html>".to_vec()),
    ];
    for refusal in refusals {
        let server = Server::start(move |_, request| match request.header("content-type") {
            "application/x-amz-cbor-1.1" => refusal.clone(),
            _ => Answer::stored_json(),
        })
        .await;
        let transport = AwsTransport::new(settings(&server)).await.unwrap();
        put(&transport, "orders", &[record("a", 0, "x")]).await.unwrap();
        put(&transport, "orders", &[record("a", 0, "x")]).await.unwrap();
        let types: Vec<_> = server.received().iter().map(|r| r.header("content-type").to_owned()).collect();
        assert_eq!(types, ["application/x-amz-cbor-1.1", "application/x-amz-json-1.1", "application/x-amz-json-1.1"]);
    }
}

#[tokio::test]
async fn cbor_that_worked_once_is_not_given_up() {
    let server = Server::start(|number, _| match number {
        0 => Answer::stored_cbor(),
        _ => Answer::json(400, r#"{"__type":"SerializationException","message":"bad entry"}"#),
    })
    .await;
    let transport = AwsTransport::new(settings(&server)).await.unwrap();
    put(&transport, "orders", &[record("a", 0, "x")]).await.unwrap();
    let failure = put(&transport, "orders", &[record("a", 0, "x")]).await.unwrap_err();
    assert_eq!((failure.code.as_str(), &*failure.message), ("SerializationException", "bad entry"));
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn a_proxy_gets_the_whole_address_and_its_password() {
    let server = Server::start(|_, _| Answer::stored_cbor()).await;
    let proxy =
        Proxy { url: server.url(), user: Some("me".to_owned()), password: Some("secret".to_owned()), except: None };
    let transport = AwsTransport::new(TransportSettings {
        endpoint_url: Some("http://kinesis.invalid".to_owned()),
        proxy: Some(proxy),
        ..settings(&server)
    })
    .await
    .unwrap();
    put(&transport, "orders", &[record("a", 0, "x")]).await.unwrap();
    let request = &server.received()[0];
    assert_eq!(request.request_line, "POST http://kinesis.invalid/ HTTP/1.1");
    assert_eq!(request.header("proxy-authorization"), "Basic bWU6c2VjcmV0");
}

#[tokio::test]
async fn hosts_that_are_excepted_are_reached_without_the_proxy() {
    let server = Server::start(|_, _| Answer::stored_cbor()).await;
    let dead = "http://127.0.0.1:1".to_owned();
    let proxy = Proxy { url: dead, except: Some("example.com,127.0.0.1".to_owned()), ..Proxy::default() };
    let settings = TransportSettings { proxy: Some(proxy), ..settings(&server) };
    put(&AwsTransport::new(settings).await.unwrap(), "orders", &[record("a", 0, "x")]).await.unwrap();
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn the_endpoint_follows_region_and_switches() {
    let cases = [
        (false, false, "kinesis.eu-west-1.amazonaws.com"),
        (true, false, "kinesis-fips.eu-west-1.amazonaws.com"),
        (false, true, "kinesis.eu-west-1.api.aws"),
        (true, true, "kinesis-fips.eu-west-1.api.aws"),
    ];
    for (use_fips, use_dual_stack, host) in cases {
        let server = Server::start(|_, _| Answer::json(403, "{}")).await;
        let proxy = Some(Proxy { url: server.url(), ..Proxy::default() });
        let settings = TransportSettings { endpoint_url: None, use_fips, use_dual_stack, proxy, ..settings(&server) };
        let transport = AwsTransport::new(settings).await.unwrap();
        let failure = put(&transport, "orders", &[record("a", 0, "x")]).await.unwrap_err();
        assert_eq!(server.received()[0].request_line, format!("CONNECT {host}:443 HTTP/1.1"));
        assert_eq!((failure.code.as_str(), failure.stored), (code::CONNECT, Stored::No), "{failure:?}");
        assert!(failure.message.contains(host), "{failure:?}");
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_corrected_and_the_request_repeated() {
    let hour = Duration::from_secs(3600);
    let ahead = DateTime::from(SystemTime::UNIX_EPOCH + elapsed() + hour).fmt(Format::HttpDate).unwrap();
    let server = Server::start(move |number, _| match number {
        0 => {
            let body = br#"{"__type":"InvalidSignatureException","message":"Signature expired"}"#;
            Answer::Reply(400, "application/x-amz-json-1.1", format!("date: {ahead}\r\n"), body.to_vec())
        }
        _ => Answer::stored_cbor(),
    })
    .await;
    let transport = AwsTransport::new(settings(&server)).await.unwrap();
    put(&transport, "orders", &[record("a", 0, "x")]).await.unwrap();
    let dates: Vec<SystemTime> = server.received().iter().map(|r| time(r.header("x-amz-date"))).collect();
    assert!(dates[1].duration_since(dates[0]).unwrap() > hour / 2, "{dates:?}");
    assert_eq!(dates.len(), 2);
}

fn elapsed() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

#[test]
fn secrets_are_not_shown() {
    let secret = "do-not-show".to_owned();
    let shown = format!(
        "{:?}",
        TransportSettings {
            credentials: Credentials::Static {
                access_key_id: "id".to_owned(),
                secret_access_key: secret.clone(),
                session_token: Some(secret.clone()),
            },
            proxy: Some(Proxy {
                url: format!("http://me:{secret}@proxy:1"),
                user: None,
                password: Some(secret.clone()),
                except: None
            }),
            ..TransportSettings::default()
        }
    );
    assert!(!shown.contains(&secret), "{shown}");
}
