//! A service that does as it is told.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

use kinesis_producer::error::ErrorCode;
use kinesis_producer::transport::{CallFailure, EntryOutcome, Request, Response, Shard, ShardPage, Transport};
use kinesis_producer::wire::{KinesisRecord, Payload};
use kinesis_producer::{HashKey, SequenceNumber, ShardId, Stored};
use tokio::sync::{Semaphore, watch};

/// What the service does with a PutRecords request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Answer {
    #[default]
    Stored,
    Throttled,
    Fails,
    /// Nothing until [`Scripted::release`], then `Stored`.
    Hangs,
    Panics,
}

pub(crate) struct Scripted {
    next: Mutex<VecDeque<Answer>>,
    always: Mutex<Answer>,
    /// How many shards the stream has by now; the numbers of shards go on when it is split.
    shards: Mutex<(u128, u128)>,
    gate: Semaphore,
    shard_gate: Semaphore,
    number: AtomicU64,
    on_wire: AtomicUsize,
    most_on_wire: AtomicUsize,
    requests: watch::Sender<usize>,
}

impl Default for Scripted {
    fn default() -> Scripted {
        Scripted {
            next: Mutex::default(),
            always: Mutex::default(),
            shards: Mutex::new((2, 0)),
            gate: Semaphore::new(0),
            shard_gate: Semaphore::new(Semaphore::MAX_PERMITS),
            number: AtomicU64::new(0),
            on_wire: AtomicUsize::new(0),
            most_on_wire: AtomicUsize::new(0),
            requests: watch::Sender::default(),
        }
    }
}

impl Scripted {
    /// What comes next; later requests are answered as always.
    pub(crate) fn then(&self, answer: Answer) {
        self.next.lock().unwrap().push_back(answer);
    }

    pub(crate) fn always(&self, answer: Answer) {
        *self.always.lock().unwrap() = answer;
    }

    /// Lets everything go on that hangs.
    pub(crate) fn release(&self) {
        self.always(Answer::Stored);
        self.gate.add_permits(1 << 20);
    }

    /// ListShards hangs from now on.
    pub(crate) fn hide_shards(&self) {
        self.shard_gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// The stream has other shards from now on.
    pub(crate) fn split(&self, shards: u128) {
        let mut now = self.shards.lock().unwrap();
        *now = (shards, now.1 + now.0);
    }

    /// Waits until so many PutRecords requests have come.
    pub(crate) async fn requested(&self, requests: usize) {
        let mut so_far = self.requests.subscribe();
        super::soon(so_far.wait_for(|so_far| *so_far >= requests)).await.expect("the sender is here");
    }

    /// Ends when it is dropped.
    pub(crate) fn dropped(&self) -> impl Future<Output = ()> + use<> {
        let mut requests = self.requests.subscribe();
        async move { while requests.changed().await.is_ok() {} }
    }

    pub(crate) fn most_on_wire(&self) -> usize {
        self.most_on_wire.load(SeqCst)
    }

    fn shard(&self, index: u128) -> Shard {
        let (count, offset) = *self.shards.lock().unwrap();
        let width = u128::MAX / count + 1;
        let last = if index + 1 == count { u128::MAX } else { (index + 1) * width - 1 };
        let id = ShardId::new(&format!("shardId-{:012}", offset + index));
        Shard { id, first: HashKey(index * width), last: HashKey(last), open: true }
    }

    fn store(&self, record: &KinesisRecord) -> EntryOutcome {
        let hash_key = record.hash_key.unwrap_or_else(|| match &record.payload {
            Payload::Plain(_) => kinesis_producer::wire::md5::hash_key(
                std::str::from_utf8(&record.partition_key).expect("a partition key is text"),
            ),
            Payload::Aggregate(aggregate) => {
                let first = aggregate.iter().next().expect("an aggregate is not empty");
                first.explicit_hash_key.unwrap_or_else(|| kinesis_producer::wire::md5::hash_key(first.partition_key))
            }
        });
        let count = self.shards.lock().unwrap().0;
        let shard = self.shard(hash_key.0 / (u128::MAX / count + 1));
        let number = self.number.fetch_add(1, SeqCst).to_string();
        EntryOutcome::Stored { shard_id: shard.id, sequence_number: SequenceNumber::new(&number) }
    }

    async fn put_records(&self, records: &[KinesisRecord]) -> Response {
        let next = self.next.lock().unwrap().pop_front();
        let answer = next.unwrap_or_else(|| *self.always.lock().unwrap());
        let stored = || records.iter().map(|record| self.store(record)).collect();
        Response::PutRecords(match answer {
            Answer::Stored => Ok(stored()),
            Answer::Throttled => {
                let code = ErrorCode::new("ProvisionedThroughputExceededException");
                let entry = EntryOutcome::Failed { code, message: "too much".into() };
                Ok(vec![entry; records.len()])
            }
            Answer::Fails => Err(CallFailure {
                code: ErrorCode::new("InternalFailure"),
                message: "not today".into(),
                status: Some(500),
                stored: Stored::Possibly,
            }),
            Answer::Hangs => {
                self.gate.acquire().await.expect("it is never closed").forget();
                Ok(stored())
            }
            Answer::Panics => panic!("the script says so"),
        })
    }
}

impl Transport for Scripted {
    fn call(&self, request: Request) -> Pin<Box<dyn Future<Output = Response> + Send + '_>> {
        Box::pin(async move {
            match request {
                Request::ListShards { .. } => {
                    let _permit = self.shard_gate.acquire().await.expect("it is never closed");
                    let count = self.shards.lock().unwrap().0;
                    let shards = (0..count).map(|index| self.shard(index)).collect();
                    Response::ListShards(Ok(ShardPage { shards, next_token: None }))
                }
                Request::PutRecords { records, .. } => {
                    self.most_on_wire.fetch_max(self.on_wire.fetch_add(1, SeqCst) + 1, SeqCst);
                    self.requests.send_modify(|requests| *requests += 1);
                    let response = self.put_records(&records).await;
                    self.on_wire.fetch_sub(1, SeqCst);
                    response
                }
            }
        })
    }
}
