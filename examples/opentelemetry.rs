//! Feeds a producer's metrics to OpenTelemetry, here with the exporter that prints them:
//!
//! ```sh
//! cargo run --release --features metrics --example opentelemetry
//! ```
//!
//! The producer speaks to the `metrics` facade; `opentelemetry/recorder.rs` passes that on to an OpenTelemetry `Meter`. With
//! another exporter (`opentelemetry-otlp`, say) they go to a collector.

#[path = "opentelemetry/recorder.rs"]
mod recorder;

use std::time::Duration;

use kinesis_producer::local::LocalService;
use kinesis_producer::{Producer, UserRecord};
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;

use recorder::OpenTelemetryRecorder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Exports once a minute, and when it is shut down.
    let exporter = opentelemetry_stdout::MetricExporter::default();
    let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter).build();
    // Before the producer is created, which keeps what it finds.
    metrics::set_global_recorder(OpenTelemetryRecorder::new(provider.meter("kinesis-producer")))?;

    let service = LocalService::start().await?;
    service.create_stream("orders", 2).await?;
    let producer = Producer::new(service.config()).await?;
    let stream = producer.stream("orders")?;
    for number in 0..10_000 {
        drop(stream.put(UserRecord::new(&format!("customer-{number}"), b"one espresso")).await?);
    }
    producer.close(Duration::from_secs(30)).await;
    provider.shutdown()?;
    Ok(())
}
