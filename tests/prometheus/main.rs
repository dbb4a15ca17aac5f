//! Producers that are scraped over HTTP, as Prometheus does it: everything in the table is there, with the values that
//! `Producer::metrics` has. And the dashboard asks for nothing else. `run` beside this file has the same text read by Prometheus's
//! own parser.
#![allow(clippy::unwrap_used)]

mod dashboard;
mod scrape;
mod transport;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use kinesis_producer::error::ErrorCode;
use kinesis_producer::local::LocalService;
use kinesis_producer::metrics::{Kind, Metric, MetricValues, Series, Unit};
use kinesis_producer::{Config, Failure, Producer, ShardId, Stored, UserRecord};
use metrics_exporter_prometheus::PrometheusBuilder;

use scrape::Scrape;
use transport::{Answer, Scripted, THROTTLED};

const LONG: Duration = Duration::from_secs(30);

#[test]
fn what_is_scraped_is_what_the_producer_counted() {
    let address = serve();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut counted = runtime.block_on(put_into_the_local_service());
    counted.extend(runtime.block_on(put_into_a_troubled_service()));

    let text = scrape::get(address);
    if let Some(path) = std::env::var_os("KINESIS_PRODUCER_SCRAPE") {
        std::fs::write(path, &text).unwrap();
    }
    let scrape = Scrape::parse(&text);
    assert_everything_is_there(&scrape);
    for values in &counted {
        assert_equal(values, &scrape);
    }
    // Each metric was looked at in both streams, or could not be: nothing failed in the first.
    let seen: BTreeSet<Metric> = counted.iter().map(|values| values.metric).collect();
    assert_eq!(seen, Metric::ALL.iter().copied().collect());

    for (stream, decided) in [("orders", 300.0), ("troubled", 3.0)] {
        let labels = [("stream", stream)];
        assert_eq!(scrape.sum("kinesis_producer_user_records_pending", &labels), 0.0);
        assert_eq!(scrape.sum("kinesis_producer_total_time_seconds_count", &labels), decided);
    }
    let errors = |code| scrape.sum("kinesis_producer_errors_by_code_total", &[("error_code", code)]);
    assert_eq!(errors("ServiceUnavailable"), 1.0);
    assert!(errors(THROTTLED) >= 2.0);
    assert_eq!(scrape.sum("kinesis_producer_user_record_expired_total", &[("shard", "shardId-0")]), 1.0);
}

/// Before any producer is there. Gives the address.
fn serve() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let buckets = [0.0, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0];
    PrometheusBuilder::new().with_http_listener(free).set_buckets(&buckets).unwrap().install().unwrap();
    free
}

/// All goes well.
async fn put_into_the_local_service() -> Vec<MetricValues> {
    let service = LocalService::start().await.unwrap();
    service.create_stream("orders", 4).await.unwrap();
    let producer = Producer::new(service.config()).await.unwrap();
    let stream = producer.stream("orders").unwrap();
    for n in 0..300 {
        drop(stream.put(UserRecord::new(&format!("key-{n}"), b"one espresso")).await.unwrap());
    }
    assert!(producer.flush(LONG).await);
    producer.metrics(None, None).unwrap()
}

/// Two user records are stored after a throttling and a failed call; one expires.
async fn put_into_a_troubled_service() -> Vec<MetricValues> {
    let config = Config::new().record_max_buffered_time(Duration::from_millis(10)).record_ttl(Duration::from_secs(3));
    let script = Scripted::new([Answer::Throttled, Answer::Fails, Answer::Stored]);
    let producer = Producer::builder(config).transport(Arc::new(script)).build().await.unwrap();
    let stream = producer.stream("troubled").unwrap();
    let first = stream.put(UserRecord::new("key", b"12")).await.unwrap();
    let second = stream.put(UserRecord::new("key", b"1234")).await.unwrap();
    assert_eq!((first.await.stored(), second.await.stored()), (Stored::Yes, Stored::Yes));
    let report = stream.put(UserRecord::new("key", b"123")).await.unwrap().await;
    assert_eq!(report.failure(), Some(&Failure::Expired));
    producer.metrics(None, None).unwrap()
}

fn assert_everything_is_there(scrape: &Scrape) {
    let expected: BTreeMap<String, String> =
        Series::all().map(|series| (series.name, series.kind.name().to_owned())).collect();
    assert_eq!(scrape.types, expected);
    for series in Series::all() {
        assert_eq!(scrape.help.get(&series.name).map(String::as_str), Some(series.description));
        let parts: &[&str] = match series.kind {
            Kind::Counter | Kind::Gauge => &[""],
            Kind::Histogram => &["_bucket", "_sum", "_count"],
        };
        for part in parts {
            let name = format!("{}{part}", series.name);
            let mut labels: BTreeSet<&str> = series.labels.iter().copied().collect();
            labels.extend((*part == "_bucket").then_some("le"));
            let samples: Vec<_> = scrape.samples.iter().filter(|(found, _, _)| *found == name).collect();
            assert!(!samples.is_empty(), "{name} has samples");
            for (_, found, _) in samples {
                assert_eq!(found.keys().map(String::as_str).collect::<BTreeSet<_>>(), labels, "{name}");
            }
        }
    }
}

/// The values of one stream, or one of its shards.
fn assert_equal(counted: &MetricValues, scrape: &Scrape) {
    let MetricValues { metric, error_code, stream: Some(stream), shard, values, .. } = counted else { return };
    let series = Series::of(*metric);
    let mut labels = vec![("stream", &**stream)];
    labels.extend(shard.as_ref().map(|shard| ("shard", ShardId::as_str(shard))));
    labels.extend(error_code.as_ref().map(|code| ("error_code", ErrorCode::as_str(code))));
    let sum = |part: &str, more: Option<(&'static str, &'static str)>| {
        let labels: Vec<_> = labels.iter().copied().chain(more).collect();
        scrape.sum(&format!("{}{part}", series.name), &labels)
    };
    let what = format!("{metric} of {labels:?}");
    match series.kind {
        Kind::Counter if series.labels.contains(&"result") => {
            assert_eq!(sum("", Some(("result", "stored"))), values.sum, "{what}");
            assert_eq!(sum("", Some(("result", "failed"))), values.count as f64 - values.sum, "{what}");
        }
        Kind::Counter => assert_eq!(sum("", None), values.sum, "{what}"),
        // Histograms are of streams only. Of times only samples are told, in another unit.
        Kind::Histogram if shard.is_none() => {
            let scale = if series.unit == Unit::Milliseconds { 1e-3 } else { 1.0 };
            let (told, expected) = (sum("_sum", None), values.sum * scale);
            assert!((told - expected).abs() <= 0.05 * expected + 0.01, "{what}: {told} is not {expected}");
            assert_eq!(sum("_count", None), values.count as f64, "{what}");
        }
        // The KPL's metric sums up looks.
        Kind::Histogram | Kind::Gauge => {}
    }
}
