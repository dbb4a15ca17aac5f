//! A service that throttles, breaks down, stores, and then throttles for ever.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;

use kinesis_producer::error::ErrorCode;
use kinesis_producer::transport::{CallFailure, EntryOutcome, Request, Response, Shard, ShardPage, Transport};
use kinesis_producer::{HashKey, SequenceNumber, ShardId, Stored};

pub(crate) const THROTTLED: &str = "ProvisionedThroughputExceededException";

#[derive(Clone, Copy)]
pub(crate) enum Answer {
    Stored,
    Throttled,
    Fails,
}

/// Its only shard is `shardId-0`.
pub(crate) struct Scripted(Mutex<VecDeque<Answer>>);

impl Scripted {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Scripted {
        Scripted(Mutex::new(answers.into_iter().collect()))
    }
}

impl Transport for Scripted {
    fn call(&self, request: Request) -> Pin<Box<dyn Future<Output = Response> + Send + '_>> {
        let id = ShardId::new("shardId-0");
        let response = match request {
            Request::ListShards { .. } => {
                let shard = Shard { id, first: HashKey(0), last: HashKey(u128::MAX), open: true };
                Response::ListShards(Ok(ShardPage { shards: vec![shard], next_token: None }))
            }
            Request::PutRecords { records, .. } => {
                let answer = self.0.lock().unwrap().pop_front().unwrap_or(Answer::Throttled);
                let entry = match answer {
                    Answer::Stored => {
                        Ok(EntryOutcome::Stored { shard_id: id, sequence_number: SequenceNumber::new("1") })
                    }
                    Answer::Throttled => {
                        Ok(EntryOutcome::Failed { code: ErrorCode::new(THROTTLED), message: "too much".into() })
                    }
                    Answer::Fails => Err(CallFailure {
                        code: ErrorCode::new("ServiceUnavailable"),
                        message: "not today".into(),
                        status: Some(503),
                        stored: Stored::Possibly,
                    }),
                };
                Response::PutRecords(entry.map(|entry| vec![entry; records.len()]))
            }
        };
        Box::pin(async { response })
    }
}
