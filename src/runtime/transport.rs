//! The seam between the driver and the service: two requests, two answers. The real transport is `aws`; tests and benches
//! bring scripted ones.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::core::outcome::{ListShardsOutcome, PutRecordsOutcome};
use crate::wire::KinesisRecord;

/// One call to the service, made once: whether to repeat it is the core's decision.
pub trait Transport: Send + Sync + 'static {
    /// Sends `request` and waits for its answer.
    fn call(&self, request: Request) -> Pin<Box<dyn Future<Output = Response> + Send + '_>>;
}

/// A call to the service.
#[derive(Clone, Debug)]
pub enum Request {
    /// PutRecords.
    PutRecords {
        /// The stream's name or ARN.
        stream: Arc<str>,
        /// 1 to 500 Kinesis records.
        records: Arc<[KinesisRecord]>,
    },
    /// One page of ListShards (filter AT_LATEST).
    ListShards {
        /// The stream's name or ARN.
        stream: Arc<str>,
        /// From the page before.
        next_token: Option<String>,
    },
}

/// The answer to the [`Request`] of the same name.
#[derive(Clone, Debug)]
pub enum Response {
    /// The answer to PutRecords.
    PutRecords(PutRecordsOutcome),
    /// The answer to ListShards.
    ListShards(ListShardsOutcome),
}
