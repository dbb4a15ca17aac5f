//! The upload of metrics: calls as the AWS SDK makes them, to a server of ours that misbehaves; and to moto's server, which
//! `test_moto.py` starts and reads back from.
#![cfg(feature = "cloudwatch")]
#![allow(clippy::disallowed_methods, clippy::unwrap_used, missing_docs, unreachable_pub, reason = "tests")]

#[path = "../transport/server.rs"]
#[allow(dead_code)]
mod server;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::{Duration, Instant};

use ciborium::Value;
use kinesis_producer::config::Config;
use kinesis_producer::local::LocalService;
use kinesis_producer::metrics::MetricValues;
use kinesis_producer::{Producer, UserRecord};

use server::{Answer, Received, Server};

const LONG: Duration = Duration::from_secs(30);

/// A service with the streams `orders` and `clicks`.
async fn service() -> LocalService {
    let service = LocalService::start().await.unwrap();
    service.create_stream("orders", 4).await.unwrap();
    service.create_stream("clicks", 1).await.unwrap();
    service
}

/// Puts 40 user records that are stored and 10 to a stream that does not exist, closes, and gives what was counted.
async fn put_and_close(config: Config) -> Vec<MetricValues> {
    let producer = Producer::new(config).await.unwrap();
    for (stream, count) in [("orders", 30), ("clicks", 10), ("missing", 10)] {
        let stream = producer.stream(stream).unwrap();
        let mut tickets = Vec::new();
        for n in 0..count {
            let (key, data) = (format!("key-{n}"), vec![0; 10 + n]);
            tickets.push(stream.put(UserRecord::new(&key, &data)).await.unwrap());
        }
        for ticket in tickets {
            assert_eq!(ticket.await.is_stored(), stream.name() != "missing");
        }
    }
    assert_eq!(producer.close(LONG).await, 0);
    producer.metrics(None, None).unwrap()
}

/// Who answers as CloudWatch does.
fn stored() -> Answer {
    Answer::Reply(200, "application/cbor", "smithy-protocol: rpc-v2-cbor\r\n".to_owned(), vec![0xA0])
}

fn uploads_to(server: &Server, service: &LocalService) -> Config {
    let mut config = service.config().cloudwatch_endpoint_url(server.url());
    for (key, value) in [
        ("cloudwatch_region", "eu-west-2"),
        ("cloudwatch_access_key_id", "AKIDCLOUDWATCH"),
        ("cloudwatch_secret_access_key", "secret"),
        ("metrics_namespace", "Shop/Producer"),
    ] {
        config.set(key, value).unwrap();
    }
    config
}

/// The body of a call, decompressed if it is compressed.
fn body(call: &Received) -> Value {
    let mut bytes = Vec::new();
    if call.header("content-encoding") == "gzip" {
        flate2::read::GzDecoder::new(&call.body[..]).read_to_end(&mut bytes).unwrap();
    } else {
        bytes.clone_from(&call.body);
    }
    ciborium::from_reader(&bytes[..]).unwrap()
}

fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let fields = value.as_map().unwrap();
    fields.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_float().unwrap()).collect()
}

/// Count and sum of every metric, by name, unit and dimensions.
fn sums<'a>(calls: impl IntoIterator<Item = &'a Received>) -> BTreeMap<String, (f64, f64)> {
    let mut sums = BTreeMap::new();
    for call in calls {
        let body = body(call);
        assert_eq!(field(&body, "Namespace").unwrap().as_text(), Some("Shop/Producer"));
        for datum in field(&body, "MetricData").unwrap().as_array().unwrap() {
            let text = |value: &Value, name| field(value, name).unwrap().as_text().unwrap().to_owned();
            let dimensions = field(datum, "Dimensions").unwrap().as_array().unwrap();
            let dimensions: Vec<String> =
                dimensions.iter().map(|dimension| format!("/{}", text(dimension, "Value"))).collect();
            let name = format!("{} {}{}", text(datum, "MetricName"), text(datum, "Unit"), dimensions.concat());
            let (count, sum) = match field(datum, "StatisticValues") {
                Some(set) => {
                    let number = |name| field(set, name).unwrap().as_float().unwrap();
                    (number("SampleCount"), number("Sum"))
                }
                None => {
                    let (values, counts) = (field(datum, "Values").unwrap(), field(datum, "Counts").unwrap());
                    let (values, counts) = (numbers(values), numbers(counts));
                    (counts.iter().sum(), values.iter().zip(&counts).map(|(value, count)| value * count).sum())
                }
            };
            let total: &mut (f64, f64) = sums.entry(name).or_default();
            *total = (total.0 + count, total.1 + sum);
        }
    }
    sums
}

/// The same of what was counted.
fn expected(counted: &[MetricValues]) -> BTreeMap<String, (f64, f64)> {
    let sums = counted.iter().map(|of| {
        let parts = [of.error_code.as_ref().map(ToString::to_string), of.stream.as_deref().map(str::to_owned)];
        let shard = of.shard.as_ref().map(|shard| shard.as_str().to_owned());
        let dimensions: String = parts.into_iter().chain([shard]).flatten().map(|value| format!("/{value}")).collect();
        let name = format!("{} {}{dimensions}", of.metric, of.metric.unit().name());
        (name, (of.values.count as f64, of.values.sum))
    });
    sums.filter(|(_, (count, _))| *count > 0.0).collect()
}

/// All that was counted was told, and nothing twice. Pending user records are looked at all the time.
fn assert_same(mut told: BTreeMap<String, (f64, f64)>, mut counted: BTreeMap<String, (f64, f64)>) {
    told.retain(|name, _| !name.starts_with("UserRecordsPending"));
    counted.retain(|name, _| !name.starts_with("UserRecordsPending"));
    assert_eq!(told.keys().collect::<Vec<_>>(), counted.keys().collect::<Vec<_>>());
    for (name, (count, sum)) in told {
        let (other_count, other_sum) = counted[&name];
        assert_eq!(count, other_count, "{name}");
        assert!((sum - other_sum).abs() <= 1e-9 * other_sum.abs(), "{name}: {sum} is not {other_sum}");
    }
}

#[tokio::test]
async fn everything_is_uploaded_once_compressed_and_with_credentials_of_its_own() {
    let (service, server) = (service().await, Server::start(|_, _| stored()).await);
    let config = uploads_to(&server, &service).metrics_upload_delay(Duration::from_millis(1));
    let counted = put_and_close(config).await;
    let calls = server.received();
    assert!(calls.len() > 1, "there was time for more than one");
    for call in &calls {
        assert_eq!(call.request_line, "POST /service/GraniteServiceVersion20100801/operation/PutMetricData HTTP/1.1");
        assert_eq!(call.header("smithy-protocol"), "rpc-v2-cbor");
        let authorization = call.header("authorization");
        assert!(authorization.contains("Credential=AKIDCLOUDWATCH/"), "{authorization}");
        assert!(authorization.contains("/eu-west-2/monitoring/aws4_request"), "{authorization}");
    }
    assert_same(sums(&calls), expected(&counted));

    let single = Server::start(|_, _| stored()).await;
    let counted = put_and_close(uploads_to(&single, &service)).await;
    let calls = single.received();
    assert_eq!(calls.len(), 1, "one on close");
    assert_eq!(calls[0].header("content-encoding"), "gzip");
    assert_same(sums(&calls), expected(&counted));
}

#[tokio::test]
async fn a_provider_may_have_credentials_for_cloudwatch_alone() {
    let (service, server) = (service().await, Server::start(|_, _| stored()).await);
    let config = service.config().cloudwatch_endpoint_url(server.url());
    let provider = aws_credential_types::Credentials::new("AKIDPROVIDER", "secret", None, None, "test");
    let producer = Producer::builder(config).cloudwatch_credentials_provider(provider).build().await.unwrap();
    let ticket = producer.stream("orders").unwrap().put(UserRecord::new("key", b"data")).await.unwrap();
    assert!(ticket.await.is_stored());
    assert_eq!(producer.close(LONG).await, 0);
    let calls = server.received();
    let authorization = calls[0].header("authorization");
    assert!(
        authorization.contains("Credential=AKIDPROVIDER/") && authorization.contains("/us-east-1/"),
        "{authorization}"
    );
}

#[tokio::test]
async fn an_aborted_producer_uploads_nothing_more() {
    let (service, server) = (service().await, Server::start(|_, _| stored()).await);
    let producer = Producer::new(uploads_to(&server, &service)).await.unwrap();
    let ticket = producer.stream("orders").unwrap().put(UserRecord::new("key", b"data")).await.unwrap();
    assert!(ticket.await.is_stored());
    producer.abort();
    assert_eq!(producer.close(LONG).await, 0, "a close after that waits for nothing");
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn what_was_not_stored_is_sent_again_as_it_was() {
    let service = service().await;
    let failed = || Answer::Reply(503, "application/cbor", "smithy-protocol: rpc-v2-cbor\r\n".to_owned(), vec![0xA0]);
    let server = Server::start(move |number, _| if number == 0 { failed() } else { stored() }).await;
    let counted = put_and_close(uploads_to(&server, &service)).await;
    let calls = server.received();
    assert_eq!(calls.len(), 2);
    assert_eq!(body(&calls[0]), body(&calls[1]), "the same values under the same time");
    assert_same(sums(&calls[1..]), expected(&counted));
}

#[tokio::test]
async fn what_may_be_stored_is_not_sent_again() {
    let service = service().await;
    let server = Server::start(|_, _| Answer::CloseAfterRequest).await;
    put_and_close(uploads_to(&server, &service)).await;
    assert_eq!(server.received().len(), 1);
    let failed = || Answer::Reply(500, "application/cbor", "smithy-protocol: rpc-v2-cbor\r\n".to_owned(), vec![0xA0]);
    let server = Server::start(move |_, _| failed()).await;
    put_and_close(uploads_to(&server, &service)).await;
    assert_eq!(server.received().len(), 1, "nobody knows what a 500 has stored");
}

#[tokio::test]
async fn what_is_refused_or_not_allowed_does_not_hold_up_a_close() {
    let service = service().await;
    for (status, code) in [(400, "InvalidParameterValue"), (403, "AccessDenied")] {
        let words = format!("x-amzn-query-error: {code};Sender\r\nsmithy-protocol: rpc-v2-cbor\r\n");
        let answer = move || Answer::Reply(status, "application/cbor", words.clone(), vec![0xA0]);
        let server = Server::start(move |_, _| answer()).await;
        let start = Instant::now();
        put_and_close(uploads_to(&server, &service)).await;
        assert!(start.elapsed() < LONG / 2, "{code}");
        assert_eq!(server.received().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn a_close_waits_for_a_silent_cloudwatch_no_longer_than_it_may() {
    let (service, server) = (service().await, Server::start(|_, _| Answer::Hang).await);
    let producer = Producer::new(uploads_to(&server, &service).request_timeout(LONG)).await.unwrap();
    let ticket = producer.stream("orders").unwrap().put(UserRecord::new("key", b"data")).await.unwrap();
    assert!(ticket.await.is_stored());
    let start = Instant::now();
    assert_eq!(producer.close(Duration::ZERO).await, 0);
    assert!((Duration::from_secs(2)..LONG / 2).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn nothing_is_uploaded_where_no_cloudwatch_is() {
    let (service, server) = (service().await, Server::start(|_, _| stored()).await);
    put_and_close(service.config()).await;
    let mut config = uploads_to(&server, &service);
    config.set("metrics_level", "none").unwrap();
    put_and_close(config).await;
    assert!(server.received().is_empty());
}

/// Settings come from the environment; what was counted goes to a file, a line each.
#[tokio::test]
#[ignore = "run by test_moto.py, which starts moto's server"]
async fn uploads_to_moto() {
    let service = service().await;
    let mut config = service.config();
    config.load_text(&std::env::var("SETTINGS").unwrap()).unwrap();
    let lines = put_and_close(config).await.into_iter().map(|of| {
        let code = of.error_code.as_ref().map_or("", |code| code.as_str());
        let shard = of.shard.as_ref().map_or("", |shard| shard.as_str());
        let (stream, values) = (of.stream.as_deref().unwrap_or_default(), of.values);
        let unit = of.metric.unit().name();
        let numbers = format!("{}\t{}\t{}\t{}", values.count, values.sum, values.min, values.max);
        format!("{}\t{unit}\t{code}\t{stream}\t{shard}\t{numbers}\n", of.metric)
    });
    std::fs::write(std::env::var("COUNTED").unwrap(), lines.collect::<String>()).unwrap();
}
