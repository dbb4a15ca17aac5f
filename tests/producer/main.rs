//! The producer as its users see it, over a scripted transport: what puts accept and refuse, who waits for room, how reports come,
//! what is measured, and how everything ends.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod ending;
mod faces;
mod load;
mod measuring;
mod reporting;
mod room;
mod transport;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kinesis_producer::config::Config;
use kinesis_producer::{Producer, ReportMode, Stream, UserRecord};
use transport::Scripted;

/// Nothing here takes that long.
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

/// Settings that send at once.
fn config() -> Config {
    Config::new().record_max_buffered_time(Duration::from_millis(1)).max_user_record_size(1000)
}

fn record(data: &[u8]) -> UserRecord<'_> {
    UserRecord::new("key", data)
}

async fn start(config: Config, mode: ReportMode) -> (Producer, Stream, Arc<Scripted>) {
    let transport = Arc::new(Scripted::default());
    let producer = Producer::builder(config).report_mode(mode).transport(transport.clone()).build().await.unwrap();
    let stream = producer.stream("orders").unwrap();
    (producer, stream, transport)
}

/// Fails instead of hanging.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future).await.expect("this takes no time")
}
