//! Serves a producer's metrics to Prometheus. Without options it puts into a local service of its own:
//!
//! ```sh
//! cargo run --release --features metrics --example prometheus
//! curl http://127.0.0.1:9000/metrics
//! ```
//!
//! `serve_metrics` is the part to copy. `METRICS.md` lists the metrics, `dashboards/grafana.json` shows them.

mod support;

use std::future::pending;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use clap::Parser;
use kinesis_producer::local::LocalService;
use kinesis_producer::{Producer, Stream, UserRecord};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

type BoxError = Box<dyn std::error::Error>;

/// Upper bounds of what is counted apart, in seconds: a fast call takes some ms, and `record_ttl` is 30 s.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// And in things: retries are few, the Kinesis records of a call at most 500, user records thousands.
const COUNTS: &[f64] = &[0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0];

/// Serves the metrics of this process over HTTP. Called before the producer is created, which keeps what it finds.
fn serve_metrics(address: SocketAddr) -> Result<(), BoxError> {
    PrometheusBuilder::new()
        .with_http_listener(address)
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_record".to_owned()), COUNTS)?
        .set_buckets_for_metric(Matcher::Suffix("_request".to_owned()), COUNTS)?
        .install()?;
    Ok(())
}

/// Puts user records into a stream and serves the producer's metrics to Prometheus.
#[derive(Parser)]
struct Options {
    /// Where /metrics is served; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// User records put in a second.
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// How long [default: until Ctrl-C].
    #[arg(long)]
    seconds: Option<u64>,
    /// A stream that exists, in AWS or behind --endpoint-url, instead of a local service.
    #[arg(long)]
    stream: Option<String>,
    /// The AWS region [default: the environment's].
    #[arg(long)]
    region: Option<String>,
    /// A service's URL instead of AWS.
    #[arg(long)]
    endpoint_url: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let options = Options::parse();
    let address = with_port(options.listen)?;
    serve_metrics(address)?;
    println!("http://{address}/metrics");

    let service; // Kept until the end: dropping it stops it.
    let (config, name) = match &options.stream {
        Some(name) => {
            (support::service_config(options.endpoint_url.as_deref(), options.region.as_deref()), name.as_str())
        }
        None => {
            service = LocalService::start().await?;
            service.create_stream("metrics", 2).await?;
            (service.config(), "metrics")
        }
    };
    let producer = Producer::new(config).await?;
    let stream = producer.stream(name)?;
    let end = async {
        match options.seconds {
            Some(seconds) => drop(tokio::time::timeout(Duration::from_secs(seconds), pending::<()>()).await),
            None => pending().await,
        }
    };
    tokio::select! {
        refused = put(&stream, options.rate) => refused?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        () = end => {}
    }
    producer.close(Duration::from_secs(30)).await;
    Ok(())
}

/// Puts `rate` user records a second, until one is refused. What becomes of them the metrics tell: nobody waits for the reports.
async fn put(stream: &Stream, rate: u64) -> Result<(), BoxError> {
    const TICKS: u64 = 20;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / TICKS as u32);
    let mut number = 0_u64;
    for tick in 1.. {
        ticks.tick().await;
        while number < tick * rate / TICKS {
            number += 1;
            drop(stream.put(UserRecord::new(&format!("key-{}", number % 1000), b"one espresso, no sugar")).await?);
        }
    }
    Ok(())
}

/// The exporter does not tell which port it took.
fn with_port(address: SocketAddr) -> Result<SocketAddr, BoxError> {
    if address.port() == 0 { Ok(TcpListener::bind(address)?.local_addr()?) } else { Ok(address) }
}
