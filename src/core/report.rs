//! The single final outcome of a user record. All user records of a Kinesis record that were decided together share one
//! [`ReportBatch`]; a [`Report`] is a place in it.

use std::sync::Arc;
use std::time::Duration;

use super::sealed::{History, Members, Sealed, Try};
use crate::error::Failure;
use crate::metrics::{DataSizes, Decided, StreamMetrics};
use crate::record::{HashKey, SequenceNumber, ShardId, Stored};
use crate::time::Time;
use crate::wire::{Payload, UserRecordRef, md5};

/// The user records of a Kinesis record that were decided together.
#[derive(Debug)]
pub struct ReportBatch {
    members: Members,
    user_bytes: usize,
    data: DataSizes,
    predicted: Option<ShardId>,
    stored: Stored,
    failure: Option<Failure>,
    shard_id: Option<ShardId>,
    sequence_number: Option<SequenceNumber>,
    history: History,
    /// Whether they were stored as an aggregate.
    aggregated: bool,
    /// Their places in it; empty if they are all of it, in order.
    positions: Vec<u32>,
    decided: Time,
    partition_key: bytes::Bytes,
    hash_key: Option<HashKey>,
    /// Kept only for failed ones, when asked for.
    payload: Option<Payload>,
}

impl ReportBatch {
    /// All of `sealed` was stored.
    pub(super) fn stored(
        sealed: Sealed,
        aggregated: bool,
        shard_id: ShardId,
        sequence_number: SequenceNumber,
        now: Time,
    ) -> ReportBatch {
        let mut batch = ReportBatch::new(sealed, Stored::Yes, None, now);
        batch.aggregated = aggregated;
        batch.shard_id = Some(shard_id);
        batch.sequence_number = Some(sequence_number);
        batch
    }

    /// They are not all of the aggregate, but stand at these places of it.
    pub(super) fn at(mut self, positions: Vec<u32>) -> ReportBatch {
        self.positions = positions;
        self
    }

    /// All of `sealed` failed.
    pub(super) fn failed(sealed: Sealed, failure: Failure, keep_payload: bool, now: Time) -> ReportBatch {
        let stored = if sealed.possibly_stored { Stored::Possibly } else { Stored::No };
        let payload = keep_payload.then(|| sealed.record.payload.clone());
        let mut batch = ReportBatch::new(sealed, stored, Some(failure), now);
        batch.payload = payload;
        batch
    }

    /// What became of user records is not known any more: the state machine broke down.
    pub(crate) fn broken_down() -> ReportBatch {
        ReportBatch {
            members: Members::default(),
            user_bytes: 0,
            data: DataSizes::default(),
            predicted: None,
            stored: Stored::Possibly,
            failure: Some(Failure::Aborted),
            shard_id: None,
            sequence_number: None,
            history: History::default(),
            aggregated: false,
            positions: Vec::new(),
            decided: Time::ZERO,
            partition_key: bytes::Bytes::new(),
            hash_key: None,
            payload: None,
        }
    }

    fn new(sealed: Sealed, stored: Stored, failure: Option<Failure>, decided: Time) -> ReportBatch {
        ReportBatch {
            aggregated: false,
            positions: Vec::new(),
            partition_key: sealed.record.partition_key,
            hash_key: sealed.record.hash_key,
            members: sealed.members,
            user_bytes: sealed.user_bytes,
            data: sealed.data,
            predicted: sealed.predicted,
            stored,
            failure,
            shard_id: None,
            sequence_number: None,
            history: sealed.history,
            decided,
            payload: None,
        }
    }

    /// The user records, in put order.
    #[must_use]
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Bytes of data and partition keys: what the budget counted for them.
    #[must_use]
    pub fn user_bytes(&self) -> usize {
        self.user_bytes
    }

    /// Whether the service stored them.
    #[must_use]
    pub fn is_stored(&self) -> Stored {
        self.stored
    }

    /// Why they were not stored, or not certainly.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Counts them.
    pub fn measure(&self, metrics: &mut StreamMetrics) {
        let decided = Decided {
            shard: self.shard_id.as_ref().or(self.predicted.as_ref()),
            base: self.members.base(),
            arrivals: self.members.arrivals(),
            data: self.data,
            stored: self.stored == Stored::Yes,
            expired: self.failure == Some(Failure::Expired),
            attempts: self.history.total,
            first_attempt: self.history.tries.first().map(|attempt| attempt.start),
            dropped_waits: self.history.dropped_waits(),
            now: self.decided,
        };
        metrics.decide(&decided, self.history.waits());
    }

    /// The report at `position`.
    #[must_use]
    pub fn report(self: &Arc<ReportBatch>, position: u32) -> Report {
        Report { batch: Arc::clone(self), position }
    }
}

/// The single final outcome of an accepted user record. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Report {
    batch: Arc<ReportBatch>,
    position: u32,
}

impl Report {
    /// Whether the user record is in the stream: `Yes`, `No`, or `Possibly` when some answer was lost.
    #[must_use]
    pub fn stored(&self) -> Stored {
        self.batch.stored
    }

    /// Whether it was stored.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.batch.stored == Stored::Yes
    }

    /// Why it was not (or not certainly) stored; `None` if it was.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.batch.failure.as_ref()
    }

    /// The shard that stored it.
    #[must_use]
    pub fn shard_id(&self) -> Option<&ShardId> {
        self.batch.shard_id.as_ref()
    }

    /// The sequence number of the Kinesis record that holds it.
    #[must_use]
    pub fn sequence_number(&self) -> Option<&SequenceNumber> {
        self.batch.sequence_number.as_ref()
    }

    /// Its place in the aggregate, from 0, as the KCL counts; `None` if it was not stored, or stored alone.
    #[must_use]
    pub fn sub_sequence_number(&self) -> Option<u64> {
        let place = self.batch.positions.get(self.position as usize).copied().unwrap_or(self.position);
        (self.batch.aggregated && self.is_stored()).then_some(u64::from(place))
    }

    /// From the put's return to the decision.
    #[must_use]
    pub fn latency(&self) -> Duration {
        self.batch.decided.since(self.arrival())
    }

    /// How often it was tried, also beyond the attempts that are kept.
    #[must_use]
    pub fn attempt_count(&self) -> u32 {
        self.batch.history.total
    }

    /// Its attempts in order: all, or the first and the last fifteen.
    pub fn attempts(&self) -> impl ExactSizeIterator<Item = Attempt<'_>> {
        let tries = &self.batch.history.tries;
        let before = std::iter::once(self.arrival()).chain(tries.iter().map(|attempt| attempt.end));
        tries.iter().zip(before).map(|(attempt, before)| Attempt::new(attempt, before)).collect::<Vec<_>>().into_iter()
    }

    /// What failed last, in the service's words: the last attempt's error that is not the expiry itself.
    #[must_use]
    pub fn error_message(&self) -> Option<&str> {
        let history = &self.batch.history;
        let expiry = || history.tries.last().and_then(|attempt| attempt.error.as_ref());
        history.last_error().or_else(expiry).map(|(_, message)| &**message)
    }

    /// The user record itself, if it failed and `return_user_record_on_failure` is set.
    #[must_use]
    pub fn user_record(&self) -> Option<UserRecordRef<'_>> {
        match self.batch.payload.as_ref()? {
            Payload::Aggregate(aggregate) => aggregate.iter().nth(self.position as usize),
            Payload::Plain(data) => {
                let partition_key = std::str::from_utf8(&self.batch.partition_key).ok()?;
                let explicit_hash_key = self.batch.hash_key.filter(|key| *key != md5::hash_key(partition_key));
                Some(UserRecordRef { partition_key, explicit_hash_key, data })
            }
        }
    }

    fn arrival(&self) -> Time {
        self.batch.members.arrival(self.position as usize)
    }
}

/// One try of a user record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// From the put (the first attempt) or the end of the attempt before, to its start.
    pub delay: Duration,
    /// From its start to its end.
    pub duration: Duration,
    /// The service's error code, or the KPL's for what it names itself; `None` if it was stored.
    pub error_code: Option<&'a str>,
    /// The service's words.
    pub error_message: Option<&'a str>,
}

impl<'a> Attempt<'a> {
    fn new(attempt: &'a Try, before: Time) -> Attempt<'a> {
        Attempt {
            delay: attempt.start.since(before),
            duration: attempt.end.since(attempt.start),
            error_code: attempt.error.as_ref().map(|(code, _)| code.as_str()),
            error_message: attempt.error.as_ref().map(|(_, message)| &**message),
        }
    }
}
