//! What becomes of a Kinesis record after an answer: reported, sent again as it is, or judged by a new shard map. A throttled
//! one slows its shard down, a call that fails as a whole backs the stream off, a refused content is found by halving.

use std::sync::Arc;
use std::time::Duration;

use super::classify::{CallVerdict, EntryVerdict, classify_call, classify_entry};
use super::collector::RequestId;
use super::event::Event;
use super::lane::LaneId;
use super::limiter::jittered;
use super::outcome::{CallFailure, EntryOutcome, PutRecordsOutcome, code};
use super::pipeline::{OnWire, Pipeline, StreamBackoff};
use super::report::ReportBatch;
use super::resharding::{Landing, Misplaced};
use super::sealed::{Sealed, Try};
use crate::error::{ErrorCode, Failure};
use crate::metrics::Measurement;
use crate::record::{SequenceNumber, ShardId, Stored};
use crate::time::Time;
use crate::wire::Payload;

/// A stream whose calls fail pauses 50 ms × 2 up to 5 s, with full jitter.
const STREAM_BACKOFF: Duration = Duration::from_millis(50);
const MAX_STREAM_BACKOFF: Duration = Duration::from_secs(5);

impl Pipeline {
    /// The answer to a request of [`Pipeline::poll_transmit`]. Then drain all outputs.
    pub fn handle_put_records(&mut self, id: RequestId, outcome: PutRecordsOutcome, now: Time) {
        // An answer after an abort finds its user records reported.
        let Some(OnWire { started, entries, .. }) = self.on_wire.remove(&id) else { return };
        self.measure_call(&entries, &outcome, now.since(started));
        match outcome {
            Err(failure) => self.handle_failed_call(entries, &failure, started, now),
            Ok(outcomes) => {
                self.handle_successful_call(now.since(started));
                if outcomes.len() == entries.len() {
                    for ((lane, sealed), outcome) in entries.into_iter().zip(outcomes) {
                        self.handle_entry(lane, sealed, outcome, started, now);
                    }
                } else {
                    self.handle_count_mismatch(entries, outcomes.len(), started, now);
                }
            }
        }
    }

    /// Says what the call came to, for the metrics: as the KPL counts it (retrier.cc).
    fn measure_call(&mut self, entries: &[(LaneId, Sealed)], outcome: &PutRecordsOutcome, took: Duration) {
        self.measured.push_back(Measurement::Called {
            took,
            kinesis_records: entries.len(),
            user_records: entries.iter().map(|(_, sealed)| sealed.members.len()).sum(),
            error: match outcome {
                Err(failure) => Some(failure.code.clone()),
                Ok(outcomes) if outcomes.len() != entries.len() => Some(ErrorCode::new(code::COUNT_MISMATCH)),
                Ok(_) => None,
            },
        });
        let answers = outcome.as_ref().ok().filter(|outcomes| outcomes.len() == entries.len());
        for (index, (_, sealed)) in entries.iter().enumerate() {
            let answer = answers.and_then(|outcomes| outcomes.get(index)).map(|outcome| match outcome {
                EntryOutcome::Stored { .. } => Ok(sealed.record.data_len()),
                EntryOutcome::Failed { code, .. } => Err(code.clone()),
            });
            let (shard, user_records) = (sealed.predicted.clone(), sealed.members.len());
            self.measured.push_back(Measurement::Attempted { shard, user_records, answer });
        }
    }

    fn handle_entry(&mut self, id: LaneId, mut sealed: Sealed, outcome: EntryOutcome, started: Time, now: Time) {
        self.lane_mut(id).unsettled -= 1;
        match outcome {
            EntryOutcome::Stored { shard_id, sequence_number } => {
                self.lane_mut(id).limiter.handle_stored(now);
                let landing = Landing { shard_id, sequence_number, started, ended: now, given_up: 0 };
                self.handle_stored(id, sealed, landing, now);
            }
            EntryOutcome::Failed { code, message } => {
                sealed.history.push(Try { start: started, end: now, error: Some((code.clone(), message)) });
                match classify_entry(code.as_str()) {
                    EntryVerdict::Fail => self.decide_failed(sealed, Failure::Service(code), now),
                    EntryVerdict::Throttled => self.handle_throttled(id, sealed, started, now),
                    EntryVerdict::Retry => {
                        sealed.possibly_stored = true;
                        let Pipeline { lanes, rng, .. } = self;
                        if let Some(lane) = lanes.get_mut(id.0 as usize) {
                            lane.limiter.back_off(now, rng);
                        }
                        self.requeue(id, sealed, now);
                    }
                }
            }
        }
        self.settle(id, now);
    }

    fn handle_stored(&mut self, id: LaneId, mut sealed: Sealed, landing: Landing, now: Time) {
        let predicted = self.lane(id).range.as_ref().is_none_or(|range| range.id == landing.shard_id);
        // One user record is where the service put it: never in the wrong shard.
        if predicted || sealed.members.len() == 1 {
            sealed.history.push(landing.as_success());
            self.decide_stored(sealed, landing.shard_id, landing.sequence_number, now);
            if !predicted {
                self.refresh_after_mismatch(now);
            }
            return;
        }
        self.handle_misplaced(Misplaced { lane: id, sealed, landing }, now);
        if self.lane(id).current {
            self.refresh_after_mismatch(now);
        }
    }

    fn handle_throttled(&mut self, id: LaneId, sealed: Sealed, started: Time, now: Time) {
        self.counters.throttled += 1;
        let Pipeline { lanes, rng, .. } = self;
        let Some(lane) = lanes.get_mut(id.0 as usize) else { return };
        let first = lane.limiter.handle_throttled(started, now, rng);
        let shard = lane.range.as_ref().map(|range| range.id.clone());
        if first {
            self.events.push_back(Event::Throttled(shard));
        }
        if self.config.fail_if_throttled {
            self.decide_failed(sealed, Failure::Throttled, now);
        } else {
            self.requeue(id, sealed, now);
        }
    }

    fn handle_failed_call(&mut self, entries: Vec<(LaneId, Sealed)>, failure: &CallFailure, started: Time, now: Time) {
        let verdict = classify_call(failure, self.succeeded_before);
        let error = Some((failure.code.clone(), Arc::clone(&failure.message)));
        let mut entries = entries;
        for (_, sealed) in &mut entries {
            sealed.history.push(Try { start: started, end: now, error: error.clone() });
            sealed.possibly_stored |= failure.stored != Stored::No;
        }
        match verdict {
            CallVerdict::Retry => {
                self.back_off(failure, now);
                for (id, sealed) in entries {
                    self.lane_mut(id).unsettled -= 1;
                    self.requeue(id, sealed, now);
                    self.settle(id, now);
                }
            }
            CallVerdict::Content if entries.len() > 1 => {
                let half = entries.split_off(entries.len() / 2);
                self.resend.push_back(entries);
                self.resend.push_back(half);
            }
            CallVerdict::Content | CallVerdict::Stream => {
                let reason = Failure::Service(failure.code.clone());
                for (id, sealed) in entries {
                    self.lane_mut(id).unsettled -= 1;
                    self.decide_failed(sealed, reason.clone(), now);
                    self.settle(id, now);
                }
                if verdict == CallVerdict::Stream {
                    self.fail_waiting(&reason, error, now);
                }
            }
        }
    }

    /// Fails the expired user records of what waits to be sent again in halves.
    pub(super) fn expire_resend(&mut self, now: Time) {
        let Some(moment) = self.expired_by(now).filter(|_| self.resend_expiry() <= now) else { return };
        let keep = self.config.return_user_record_on_failure;
        for entries in std::mem::take(&mut self.resend) {
            let mut rest = Vec::with_capacity(entries.len());
            for (id, mut sealed) in entries {
                let count = sealed.members.arrived_by(moment);
                if count == sealed.members.len() {
                    self.lane_mut(id).unsettled -= 1;
                    self.decide_expired(sealed, now);
                    self.settle(id, now);
                    continue;
                }
                if count > 0 {
                    let expired = sealed.split_first(count, keep);
                    self.decide_expired(expired, now);
                }
                rest.push((id, sealed));
            }
            if !rest.is_empty() {
                self.resend.push_back(rest);
            }
        }
    }

    pub(super) fn resend_expiry(&self) -> Time {
        let waiting = self.resend.iter().flatten();
        waiting.map(|(_, sealed)| sealed.expires(self.config.record_ttl)).min().unwrap_or(Time::NEVER)
    }

    fn handle_count_mismatch(&mut self, entries: Vec<(LaneId, Sealed)>, answered: usize, started: Time, now: Time) {
        let words: Arc<str> = format!("{} Kinesis records were sent, the answer has {answered}", entries.len()).into();
        for (id, mut sealed) in entries {
            let error = Some((ErrorCode::new(code::COUNT_MISMATCH), words.clone()));
            sealed.history.push(Try { start: started, end: now, error });
            sealed.possibly_stored = true;
            self.lane_mut(id).unsettled -= 1;
            self.decide_failed(sealed, Failure::CountMismatch, now);
            self.settle(id, now);
        }
    }

    fn handle_successful_call(&mut self, took: Duration) {
        self.succeeded_before = true;
        // The last eight calls or so.
        self.answer_time = self.answer_time.mul_f64(0.875) + took.mul_f64(0.125);
        if self.backoff.take().is_some() {
            self.events.push_back(Event::Recovered);
        }
    }

    fn back_off(&mut self, failure: &CallFailure, now: Time) {
        // Requests that were on the wire together fail together: one step for all of them.
        let streak = match &self.backoff {
            Some(backoff) if backoff.until > now => return,
            Some(backoff) => backoff.streak.saturating_add(1),
            None => 0,
        };
        let pause = jittered(STREAM_BACKOFF, streak, MAX_STREAM_BACKOFF, &mut self.rng);
        if streak == 0 {
            let (code, message) = (failure.code.clone(), Arc::clone(&failure.message));
            self.events.push_back(Event::BackedOff { code, message, pause });
        }
        let error = (failure.code.clone(), Arc::clone(&failure.message));
        self.backoff = Some(StreamBackoff { until: now + pause, streak, error });
    }

    /// Fails everything that is not on the wire; `error` stands as the last attempt.
    pub(super) fn fail_waiting(&mut self, reason: &Failure, error: Option<(ErrorCode, Arc<str>)>, now: Time) {
        self.seal_all(now);
        self.jobs.retain(|job| matches!(job, super::take_apart::Job::ListShards { .. }));
        let mut waiting: Vec<Sealed> = Vec::new();
        for (id, sealed) in std::mem::take(&mut self.resend).into_iter().flatten() {
            self.lane_mut(id).unsettled -= 1;
            waiting.push(sealed);
        }
        for work in std::mem::take(&mut self.at_work).into_values() {
            self.lane_mut(work.lane).unsettled -= work.originals.len() as u32;
            let stored = work.stored.is_some();
            waiting.extend(
                work.originals
                    .into_iter()
                    .map(|sealed| Sealed { possibly_stored: sealed.possibly_stored || stored, ..sealed }),
            );
        }
        for misplaced in std::mem::take(&mut self.misplaced) {
            self.lane_mut(misplaced.lane).unsettled -= 1;
            waiting.push(Sealed { possibly_stored: true, ..misplaced.sealed });
        }
        for index in 0..self.lanes.len() {
            let id = LaneId(index as u32);
            self.unready(id);
            waiting.extend(self.lane_mut(id).drain());
            self.admit_again(id, now);
        }
        for mut sealed in waiting {
            if let Some(error) = &error {
                sealed.history.push(Try { start: now, end: now, error: Some(error.clone()) });
            }
            self.decide_failed(sealed, reason.clone(), now);
        }
        for index in 0..self.lanes.len() {
            self.settle(LaneId(index as u32), now);
        }
    }

    pub(super) fn decide_expired(&mut self, mut sealed: Sealed, now: Time) {
        let words = "record_ttl passed before it was stored".into();
        sealed.history.push(Try { start: now, end: now, error: Some((ErrorCode::new(code::EXPIRED), words)) });
        self.decide_failed(sealed, Failure::Expired, now);
    }

    pub(super) fn decide_failed(&mut self, sealed: Sealed, failure: Failure, now: Time) {
        let user_records = sealed.members.len();
        self.counters.user_records_failed += user_records as u64;
        if failure != Failure::Aborted {
            let error = sealed.history.last_error().map(|(code, words)| (code.clone(), Arc::clone(words)));
            let (shard, failure) = (sealed.predicted.clone(), failure.clone());
            self.events.push_back(Event::Failed { shard, failure, error, user_records });
        }
        let keep = self.config.return_user_record_on_failure;
        self.report(ReportBatch::failed(sealed, failure, keep, now));
    }

    pub(super) fn decide_stored(&mut self, mut sealed: Sealed, shard_id: ShardId, number: SequenceNumber, now: Time) {
        self.count_stored(&sealed);
        let aggregated = matches!(sealed.record.payload, Payload::Aggregate(_));
        let payload = std::mem::replace(&mut sealed.record.payload, Payload::Plain(bytes::Bytes::new()));
        self.aggregator.recycle(payload);
        self.report(ReportBatch::stored(sealed, aggregated, shard_id, number, now));
    }

    /// These are stored, at `positions` of an aggregate that holds others as well.
    pub(super) fn decide_partly_stored(&mut self, sealed: Sealed, positions: Vec<u32>, stored: &Landing, now: Time) {
        self.count_stored(&sealed);
        let (shard_id, number) = (stored.shard_id.clone(), stored.sequence_number.clone());
        self.report(ReportBatch::stored(sealed, true, shard_id, number, now).at(positions));
    }

    fn count_stored(&mut self, sealed: &Sealed) {
        self.counters.user_records_stored += sealed.members.len() as u64;
        self.counters.kinesis_records_stored += 1;
        self.counters.kinesis_bytes_stored += sealed.wire_bytes() as u64;
    }

    fn report(&mut self, batch: ReportBatch) {
        self.blocks.decide(batch.members());
        self.reports.push_back(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::super::digest::key_digest;
    use super::super::outcome::{Shard, ShardPage};
    use super::super::put::Hashed;
    use super::*;
    use crate::config::{Ordering, StreamConfig};
    use crate::record::{HashKey, SequenceNumber, ShardId, UserRecord};

    fn stream(linger: Duration) -> Pipeline {
        let config = StreamConfig::default()
            .ordering(Ordering::None)
            .record_max_buffered_time(linger)
            .record_ttl(Duration::from_secs(600));
        let mut pipeline = Pipeline::new(config, 1, 64 << 20, 7, Time::ZERO);
        pipeline.handle_timeout(Time::ZERO);
        pipeline
    }

    fn put(pipeline: &mut Pipeline, now: Time) {
        let record = UserRecord::new("key", b"data");
        pipeline.put(0, &Hashed { record, key_digest: key_digest("key"), hash_key: None }, now).unwrap();
        pipeline.handle_timeout(now);
    }

    fn failure(code: &str) -> CallFailure {
        CallFailure { code: ErrorCode::new(code), message: "".into(), status: None, stored: Stored::No }
    }

    #[test]
    fn what_failed_does_not_linger_again() {
        let linger = Duration::from_secs(60);
        let mut pipeline = stream(linger);
        put(&mut pipeline, Time::ZERO);
        let now = Time::ZERO + linger;
        pipeline.handle_timeout(now);
        let forbidden = CallFailure { status: Some(400), ..failure("AccessDeniedException") };
        pipeline.handle_shard_list(Err(forbidden), now);
        while let Some(job) = pipeline.poll_job() {
            if let super::super::Job::TakeApart(job) = job {
                pipeline.handle_taken_apart(job.run(), now);
            }
        }
        let sent = pipeline.poll_transmit(now).unwrap();
        pipeline.handle_put_records(sent.id, Err(failure(code::TIMEOUT)), now);
        assert!(pipeline.transmit_due() <= now + STREAM_BACKOFF);
    }

    #[test]
    fn one_request_at_a_time_is_for_probes_only() {
        let mut pipeline = stream(Duration::ZERO);
        let id = ShardId::new("a");
        let shard = Shard { id: id.clone(), first: HashKey(0), last: HashKey(u128::MAX), open: true };
        pipeline.handle_shard_list(Ok(ShardPage { shards: vec![shard], next_token: None }), Time::ZERO);
        put(&mut pipeline, Time::ZERO);
        let sent = pipeline.poll_transmit(Time::ZERO).unwrap();
        pipeline.handle_put_records(sent.id, Err(failure(code::TIMEOUT)), Time::ZERO);
        let now = pipeline.transmit_due();
        let probe = pipeline.poll_transmit(now).unwrap();
        put(&mut pipeline, now);
        assert!(pipeline.poll_transmit(now).is_none());
        let stored = EntryOutcome::Stored { shard_id: id, sequence_number: SequenceNumber::new("7") };
        pipeline.handle_put_records(probe.id, Ok(vec![stored]), now);
        assert!(pipeline.poll_transmit(now).is_some());
        put(&mut pipeline, now);
        assert!(pipeline.poll_transmit(now).is_some());
    }

    fn with_shards(mut pipeline: Pipeline, ids: [&str; 2]) -> Pipeline {
        let middle = u128::MAX / 2;
        let ranges = [(0, middle), (middle + 1, u128::MAX)];
        let shard = |(id, (first, last)): (&str, (u128, u128))| Shard {
            id: ShardId::new(id),
            first: HashKey(first),
            last: HashKey(last),
            open: true,
        };
        let shards = ids.into_iter().zip(ranges).map(shard).collect();
        pipeline.handle_shard_list(Ok(ShardPage { shards, next_token: None }), Time::ZERO);
        pipeline
    }

    fn put_at(pipeline: &mut Pipeline, hash_key: u128, data: &[u8]) -> Result<(), super::super::Refusal> {
        let record = UserRecord::new("key", data).with_explicit_hash_key(HashKey(hash_key));
        let hashed = Hashed { record, key_digest: key_digest("key"), hash_key: Some(HashKey(hash_key)) };
        pipeline.put(0, &hashed, Time::ZERO).map(|_| ())
    }

    fn throttled() -> EntryOutcome {
        let code = ErrorCode::new("ProvisionedThroughputExceededException");
        EntryOutcome::Failed { code, message: "".into() }
    }

    #[test]
    fn a_throttled_shard_pauses() {
        let mut pipeline = with_shards(stream(Duration::ZERO), ["a", "b"]);
        put_at(&mut pipeline, 0, b"data").unwrap();
        pipeline.handle_timeout(Time::ZERO);
        let sent = pipeline.poll_transmit(Time::ZERO).unwrap();
        pipeline.handle_put_records(sent.id, Ok(vec![throttled()]), Time::ZERO);
        assert!(pipeline.poll_transmit(Time::ZERO).is_none(), "it is sent to again at once");
        put_at(&mut pipeline, u128::MAX, b"data").unwrap();
        pipeline.handle_timeout(Time::ZERO);
        assert!(pipeline.poll_transmit(Time::ZERO).is_some(), "the other shard goes on");
        pipeline.handle_timeout(Time::from_millis(60));
        assert!(pipeline.poll_transmit(Time::from_millis(60)).is_some(), "the pause ends");
    }

    #[test]
    fn a_flush_ends_the_linger_of_what_is_sealed_already() {
        let mut pipeline = with_shards(stream(Duration::from_secs(60)), ["a", "b"]);
        // Too large for an aggregate.
        put_at(&mut pipeline, 0, &[1; 60_000]).unwrap();
        pipeline.handle_timeout(Time::ZERO);
        assert!(pipeline.transmit_due() > Time::ZERO);
        pipeline.flush(Time::ZERO);
        assert_eq!(pipeline.transmit_due(), Time::ZERO);
        // Nor does it linger when it comes back.
        let sent = pipeline.poll_transmit(Time::ZERO).unwrap();
        pipeline.handle_put_records(sent.id, Ok(vec![throttled()]), Time::ZERO);
        let after_the_pause = Time::from_millis(60);
        pipeline.handle_timeout(after_the_pause);
        assert!(pipeline.transmit_due() <= after_the_pause);
        assert!(pipeline.poll_transmit(after_the_pause).is_some());
    }

    #[test]
    fn a_shard_has_half_the_budget_while_others_are_active() {
        let config = StreamConfig::default().aggregation_enabled(false).record_ttl(Duration::from_secs(600));
        let new = || {
            let mut pipeline = Pipeline::new(config.clone(), 1, 1000, 7, Time::ZERO);
            pipeline.handle_timeout(Time::ZERO);
            with_shards(pipeline, ["a", "b"])
        };
        let mut alone = new();
        (0..9).for_each(|_| put_at(&mut alone, 0, &[1; 97]).unwrap());
        let mut beside = new();
        put_at(&mut beside, u128::MAX, b"data").unwrap();
        let taken = (0..9).take_while(|_| put_at(&mut beside, 0, &[1; 97]).is_ok()).count();
        assert_eq!(taken, 6, "until more than half is its own");
    }
}
