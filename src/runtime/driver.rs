//! The task of one stream: it keeps the stream's time, starts its jobs, and sends a request whenever one is due and a connection
//! is free. Calls and jobs are tasks of their own; whatever becomes of them re-enters the stream.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;

use super::stream::StreamShared;
use super::transport::{Request, Response, Transport};
use super::worker::Worker;
use crate::core::outcome::{CallFailure, ListShardsOutcome, PutRecordsOutcome, code};
use crate::core::{Job, RequestId, TakeApart, Transmit};
use crate::error::ErrorCode;
use crate::record::Stored;

/// What a driver works with.
#[derive(Clone)]
pub(crate) struct Driver {
    pub(crate) stream: Arc<StreamShared>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) worker: Arc<Worker>,
    /// One permit a request on the wire, first come first served: streams take turns.
    pub(crate) connections: Arc<Semaphore>,
}

type Acquiring = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

impl Driver {
    /// Runs until the stream breaks down or the producer is dropped. Runs on: driver task.
    pub(crate) async fn run(self) {
        let _abort = AbortOnPanic(Arc::clone(&self.stream));
        // Kept over the rounds, so that the stream keeps its place in line.
        let mut acquiring: Option<Acquiring> = None;
        loop {
            self.stream.disarm();
            let Some(due) = self.stream.enter(|pipeline, now| {
                if pipeline.poll_timeout() <= now {
                    pipeline.handle_timeout(now);
                }
                pipeline.transmit_due() <= now
            }) else {
                self.stream.abort();
                return;
            };
            for job in self.stream.take_jobs() {
                self.start(job);
            }
            if due && acquiring.is_none() {
                acquiring = Some(self.acquire());
            }
            let armed = self.stream.arm(acquiring.is_some());
            let Some(wake_at) = armed else { continue };
            tokio::select! {
                permit = wait_for(&mut acquiring) => {
                    acquiring = None;
                    let Some(permit) = permit else { return };
                    self.transmit(permit);
                }
                () = self.stream.wake_driver.notified() => {}
                () = self.stream.clock.wait_until(wake_at) => {}
            }
        }
    }

    fn acquire(&self) -> Acquiring {
        let connections = Arc::clone(&self.connections);
        Box::pin(async move { connections.acquire_owned().await.ok() })
    }

    /// Forms a request now that it can be sent.
    fn transmit(&self, permit: OwnedSemaphorePermit) {
        let Some(Some(Transmit { id, records })) = self.stream.enter(|pipeline, now| pipeline.poll_transmit(now))
        else {
            return;
        };
        let answer = Answer { stream: Arc::clone(&self.stream), id: Some(id) };
        let span = tracing::debug_span!("put_records", stream = %self.stream.name, kinesis_records = records.len());
        let request = Request::PutRecords { stream: Arc::clone(&self.stream.name), records: records.into() };
        let transport = Arc::clone(&self.transport);
        let call = async move {
            let response = transport.call(request).await;
            let outcome = match response {
                Response::PutRecords(outcome) => outcome,
                Response::ListShards(_) => Err(broken("a ListShards answer came for PutRecords")),
            };
            drop(permit);
            match &outcome {
                Ok(entries) => tracing::debug!(entries = entries.len(), "answered"),
                Err(failure) => tracing::debug!(code = %failure.code, words = %failure.message, "failed"),
            }
            answer.give(outcome);
        };
        self.worker.spawn(call.instrument(span));
    }

    fn start(&self, job: Job) {
        let stream = Arc::clone(&self.stream);
        match job {
            Job::TakeApart(work) => {
                self.worker.spawn(async move { take_apart(&stream, work) });
            }
            Job::ListShards { next_token } => {
                let transport = Arc::clone(&self.transport);
                let request = Request::ListShards { stream: Arc::clone(&stream.name), next_token };
                // A task of its own: the core waits for an answer, also from a transport that panics.
                let span = tracing::debug_span!("list_shards", stream = %stream.name);
                let call = self.worker.spawn(async move { transport.call(request).await }.instrument(span));
                self.worker.spawn(async move {
                    let outcome: ListShardsOutcome = match call.await {
                        Ok(Response::ListShards(outcome)) => outcome,
                        Ok(Response::PutRecords(_)) => Err(broken("a PutRecords answer came for ListShards")),
                        Err(_) => Err(broken("the call broke off")),
                    };
                    stream.enter(|pipeline, now| pipeline.handle_shard_list(outcome, now));
                });
            }
        }
    }
}

/// A driver that panics leaves nothing undecided.
struct AbortOnPanic(Arc<StreamShared>);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.abort();
        }
    }
}

fn take_apart(stream: &StreamShared, work: TakeApart) {
    let result = work.run();
    stream.enter(|pipeline, now| pipeline.handle_taken_apart(result, now));
}

async fn wait_for(acquiring: &mut Option<Acquiring>) -> Option<OwnedSemaphorePermit> {
    match acquiring {
        Some(acquiring) => acquiring.await,
        None => std::future::pending().await,
    }
}

/// Sees to it that a request gets an outcome, even if the transport panics.
struct Answer {
    stream: Arc<StreamShared>,
    id: Option<RequestId>,
}

impl Answer {
    fn give(mut self, outcome: PutRecordsOutcome) {
        self.hand_in(outcome);
    }

    fn hand_in(&mut self, outcome: PutRecordsOutcome) {
        if let Some(id) = self.id.take() {
            self.stream.enter(|pipeline, now| pipeline.handle_put_records(id, outcome, now));
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.hand_in(Err(broken("the call broke off")));
    }
}

fn broken(message: &str) -> CallFailure {
    CallFailure {
        code: ErrorCode::new(code::TRANSPORT),
        message: message.into(),
        status: None,
        stored: Stored::Possibly,
    }
}
