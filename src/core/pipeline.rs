//! One stream: user records in, PutRecords requests out, outcomes in, reports out. It owns the stages and calls them in order;
//! the stages' own files hold the rest of its methods. After every input, drain the outputs: `poll_job`, `poll_reports`,
//! `poll_admitted`, `poll_event`, `poll_measurement` until they return nothing, and ask `poll_timeout` and `transmit_due` when to come back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::aggregator::Aggregator;
use super::blocks::Blocks;
use super::collector::{Collector, RequestId};
use super::event::Event;
use super::intake::{Intake, Sample};
use super::lane::{HOLDING, Lane, LaneId};
use super::limiter::Limiter;
use super::put::{aggregates, max_aggregate_bytes};
use super::report::ReportBatch;
use super::sealed::Sealed;
use super::shard_map::ShardMap;
use super::shard_map_refresh::Refresh;
use super::take_apart::{Job, JobId};
use super::timers::{Timer, Timers};
use crate::config::{Ordering, StreamConfig};
use crate::error::{ErrorCode, Failure};
use crate::metrics::{Counters, Measurement};
use crate::time::Time;

/// Expired user records are looked for on common moments, so that they cost one wake-up.
const EXPIRY_GRID: Duration = Duration::from_millis(5);
/// More shards than any stream has: what unpredicted Kinesis records may have together.
const MANY_SHARDS: f64 = 10_000.0;

/// A PutRecords request that is not answered yet.
#[derive(Debug)]
pub(super) struct OnWire {
    pub(super) started: Time,
    /// When the oldest of its user records arrived.
    pub(super) oldest: Option<Time>,
    pub(super) entries: Vec<(LaneId, Sealed)>,
}

/// The stream is backed off: one probe at a time until a call succeeds.
#[derive(Debug)]
pub(super) struct StreamBackoff {
    pub(super) until: Time,
    pub(super) streak: u32,
    /// Why the last call failed: its code and the service's words.
    pub(super) error: (ErrorCode, Arc<str>),
}

/// One stream's state machine.
#[derive(Debug)]
pub struct Pipeline {
    pub(super) config: StreamConfig,
    pub(super) rng: Rng,
    /// Half of the producer's budget in bytes: no lane may hold more while others are active (but for what is open in the intakes
    /// that are lent).
    pub(super) half_budget: usize,
    pub(super) map: Option<Arc<ShardMap>>,
    pub(super) map_version: u64,
    pub(super) refresh: Refresh,
    pub(super) lanes: Vec<Lane>,
    pub(super) free_lanes: Vec<LaneId>,
    /// The lane of each shard of the map.
    pub(super) lane_of_shard: Arc<[LaneId]>,
    /// Those that are lent have the default one in their place.
    pub(super) intakes: Vec<Intake>,
    pub(super) aggregator: Aggregator,
    pub(super) blocks: Blocks,
    pub(super) collector: Collector,
    pub(super) timers: Timers,
    pub(super) on_wire: BTreeMap<RequestId, OnWire>,
    pub(super) next_request: u64,
    /// Parts of a request whose content was refused, to be sent as they are.
    pub(super) resend: VecDeque<Vec<(LaneId, Sealed)>>,
    pub(super) backoff: Option<StreamBackoff>,
    pub(super) succeeded_before: bool,
    /// How long answers take lately.
    pub(super) answer_time: Duration,
    /// Unpredicted Kinesis records that were on the wire when one was last sent.
    pub(super) unpredicted_at_once: u32,
    /// Kinesis records stored in another shard than predicted, until a new map tells what that means.
    pub(super) misplaced: Vec<super::resharding::Misplaced>,
    pub(super) jobs: VecDeque<Job>,
    pub(super) at_work: BTreeMap<JobId, super::take_apart::AtWork>,
    pub(super) next_job: u64,
    /// A put changed a deadline.
    pub(super) stirred: bool,
    /// User records with a lower number do not linger any more: a flush came after them.
    pub(super) flushed_number: u64,
    /// When the youngest of those arrived that began a Kinesis record or are sealed.
    pub(super) latest: Time,
    /// What was last given to the first user record of a Kinesis record.
    number: u64,
    pub(super) reports: VecDeque<ReportBatch>,
    pub(super) admitted: VecDeque<u32>,
    pub(super) events: VecDeque<Event>,
    pub(super) counters: Counters,
    pub(super) measured: VecDeque<Measurement>,
}

impl Pipeline {
    /// A stream that asks for its shard map at once. `seed` makes backoff and jitter reproducible. It has up to `intakes` ways in:
    /// one, where several would break the order or where nothing is aggregated.
    #[must_use]
    pub fn new(config: StreamConfig, intakes: usize, budget_bytes: usize, seed: u64, now: Time) -> Pipeline {
        let single = config.ordering == Ordering::Shard || !aggregates(&config);
        let intakes = if single { 1 } else { intakes.max(1) };
        let intake =
            |number| Intake::new(max_aggregate_bytes(&config), config.aggregation_max_count, seed ^ (number << 1));
        let percent = config.rate_limit;
        let shardless = |shards| Lane::new(None, Limiter::new(percent, shards, now));
        let mut timers = Timers::new();
        timers.set(Timer::ShardMap, now);
        timers.set(Timer::FirstMap, now + config.record_max_buffered_time.max(Duration::from_secs(1)));
        Pipeline {
            rng: Rng::with_seed(seed),
            half_budget: budget_bytes / 2,
            map: None,
            map_version: 0,
            refresh: Refresh::new(),
            lanes: vec![shardless(1.0), shardless(MANY_SHARDS)],
            free_lanes: Vec::new(),
            lane_of_shard: Arc::default(),
            intakes: (0..intakes as u64).map(intake).collect(),
            aggregator: Aggregator::default(),
            blocks: Blocks::new(intakes),
            collector: Collector::new(),
            timers,
            on_wire: BTreeMap::new(),
            next_request: 0,
            resend: VecDeque::new(),
            backoff: None,
            succeeded_before: false,
            answer_time: Duration::ZERO,
            unpredicted_at_once: 0,
            misplaced: Vec::new(),
            jobs: VecDeque::new(),
            at_work: BTreeMap::new(),
            next_job: 0,
            stirred: false,
            flushed_number: 0,
            latest: Time::ZERO,
            number: 0,
            reports: VecDeque::new(),
            admitted: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
            measured: VecDeque::new(),
            config,
        }
    }

    // Inputs.

    /// Ends the linger of everything accepted so far. [`is_flushed`](Pipeline::is_flushed) with the number it gives tells when
    /// all of that is decided.
    pub fn flush(&mut self, now: Time) -> u64 {
        self.seal_all(now);
        // Not a number of its own: they must not run ahead of what is counted.
        self.number = self.received().max(self.number);
        self.flushed_number = self.number + 1;
        self.collector.hurry();
        self.release_held(now);
        self.blocks.end_epoch()
    }

    /// Reports everything undecided as `failure` (`Aborted`). What is on the wire may be stored all the same.
    pub fn abort(&mut self, now: Time) {
        self.seal_all(now);
        let on_wire: Vec<OnWire> = std::mem::take(&mut self.on_wire).into_values().collect();
        for (id, mut sealed) in on_wire.into_iter().flat_map(|request| request.entries) {
            sealed.possibly_stored = true;
            self.lane_mut(id).unsettled -= 1;
            self.decide_failed(sealed, Failure::Aborted, now);
        }
        self.fail_waiting(&Failure::Aborted, None, now);
    }

    /// Call it at (or after) the moment that [`poll_timeout`](Pipeline::poll_timeout) names.
    pub fn handle_timeout(&mut self, now: Time) {
        self.seal_due(now, now);
        while let Some(id) = self.timers.pop_lane(now) {
            self.lane_mut(id).timer = Time::NEVER;
            self.service(id, now);
        }
        self.expire_resend(now);
        self.expire_misplaced(now);
        if self.timers.fires(Timer::FirstMap, now) {
            self.give_up_first_map(now);
        }
        if self.timers.fires(Timer::ShardMap, now) {
            self.request_shard_map();
        }
    }

    // Outputs.

    /// The next work that needs no connection from the pool: a page of ListShards, or Kinesis records to take apart.
    #[must_use]
    pub fn poll_job(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    /// Whether [`poll_job`](Pipeline::poll_job) has something.
    #[must_use]
    pub fn has_job(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// The next decided Kinesis record.
    #[must_use]
    pub fn poll_reports(&mut self) -> Option<ReportBatch> {
        self.reports.pop_front()
    }

    /// The number of a [`Refusal::Backlog`] for which there is room again.
    #[must_use]
    pub fn poll_admitted(&mut self) -> Option<u32> {
        self.admitted.pop_front()
    }

    /// The next thing worth telling a person.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next thing to count.
    #[must_use]
    pub fn poll_measurement(&mut self) -> Option<Measurement> {
        self.measured.pop_front().or_else(|| self.next_sample())
    }

    fn next_sample(&mut self) -> Option<Measurement> {
        let Sample { lane, partition_key, key_digest, bytes } = self.intakes.iter_mut().find_map(Intake::pop_sample)?;
        let shard = self.lane(lane).range.as_ref().map(|range| range.id.clone());
        Some(Measurement::Sampled { shard, partition_key, key_digest, bytes })
    }

    /// When to call [`handle_timeout`](Pipeline::handle_timeout): later than the `now` of the last call.
    #[must_use]
    pub fn poll_timeout(&self) -> Time {
        let stages = self.aggregator.next_deadline().min(self.timers.next());
        stages.min(self.misplaced_expiry()).min(self.resend_expiry())
    }

    /// Whether everything accepted before this flush is decided.
    #[must_use]
    pub fn is_flushed(&self, flush: u64) -> bool {
        self.blocks.is_decided(flush)
    }

    /// Whether puts must bring their hash keys: not while there is no map, or a single shard.
    #[must_use]
    pub fn needs_hash_keys(&self) -> bool {
        self.lane_of_shard.len() > 1
    }

    /// Whether a put stirred something since this was last asked: only then the deadlines may be earlier than before.
    #[inline]
    pub fn take_stirred(&mut self) -> bool {
        std::mem::take(&mut self.stirred)
    }

    /// Whether the last put for this number of a [`Refusal::Backlog`] was refused, and nothing changed since.
    #[must_use]
    pub fn is_refusing(&self, lane: u32) -> bool {
        self.lanes.get(lane as usize).is_some_and(|lane| lane.refused)
    }

    /// Whether every user record of a block that had reports is reported: its number may then come again.
    #[must_use]
    pub fn is_block_free(&self, block: u32) -> bool {
        self.blocks.is_free(block)
    }

    /// What was done since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters { user_records_received: self.received(), ..self.counters }
    }

    /// User records accepted since the start, by the intakes that are here.
    fn received(&self) -> u64 {
        self.intakes.iter().map(Intake::received).sum()
    }

    /// A number in put order for the user record that was just accepted. Where there is one intake it is the count of them.
    pub(super) fn next_number(&mut self) -> u64 {
        self.number = self.received().max(self.number + 1);
        self.number
    }

    /// When the oldest undecided user record arrived, if there is one.
    #[must_use]
    pub fn oldest(&self) -> Option<Time> {
        let lanes = self.lane_ids().filter_map(|id| self.oldest_in(id));
        lanes.chain(self.oldest_outside()).min()
    }

    /// Of what is in no lane.
    pub(super) fn oldest_outside(&self) -> Option<Time> {
        let on_wire = self.on_wire.values().filter_map(|request| request.oldest);
        let halves = self.resend.iter().flatten().map(|(_, sealed)| sealed);
        let misplaced = self.misplaced.iter().map(|misplaced| &misplaced.sealed);
        let taken_apart = self.at_work.values().flat_map(|work| &work.originals);
        let sealed = halves.chain(misplaced).chain(taken_apart);
        sealed.map(|sealed| sealed.members.base()).chain(on_wire).min()
    }

    // The way to the ring.

    /// Queues a Kinesis record in its lane, by put order.
    pub(super) fn enqueue(&mut self, id: LaneId, mut sealed: Sealed, now: Time) {
        self.stirred = true;
        if id == HOLDING && self.refresh.gave_up() {
            return self.take_apart(id, vec![sealed]);
        }
        let bytes = self.offer(id, &mut sealed);
        self.lane_mut(id).insert(sealed);
        self.queued(id, bytes, 1, now);
    }

    /// The same for many.
    pub(super) fn enqueue_all(&mut self, id: LaneId, mut batch: Vec<Sealed>, now: Time) {
        let (bytes, records) = (batch.iter_mut().map(|sealed| self.offer(id, sealed)).sum(), batch.len());
        self.lane_mut(id).insert_all(batch);
        self.queued(id, bytes, records, now);
    }

    /// The lane's shard is what it is meant for from now on. Gives its bytes in a request.
    fn offer(&mut self, id: LaneId, sealed: &mut Sealed) -> usize {
        let bytes = sealed.wire_bytes();
        sealed.predicted = self.lane(id).range.as_ref().map(|range| range.id.clone());
        let offered = sealed.predicted.clone().filter(|_| sealed.history.total == 0);
        self.measured.extend(offered.map(|shard| Measurement::Offered { shard, bytes }));
        bytes
    }

    fn queued(&mut self, id: LaneId, bytes: usize, records: usize, now: Time) {
        if self.lane(id).ready {
            self.note_queued(id, bytes, records);
        } else if id != HOLDING {
            self.make_ready(id, now);
        }
        self.arm_lane(id, self.next_expiry(id));
    }

    /// Whatever may have changed for a lane: expires its head, and lets it send if it may.
    pub(super) fn service(&mut self, id: LaneId, now: Time) {
        while self.seal_overdue(id, now) {}
        self.expire(id, now);
        while self.seal_overdue(id, now) {}
        self.admit_again(id, now);
        if id != HOLDING {
            self.make_ready(id, now);
        }
        let lane = self.lane(id);
        let pace = if lane.queue().is_empty() || lane.paced_until <= now { Time::NEVER } else { lane.paced_until };
        // An expiry that is due was dealt with above.
        self.arm_lane(id, self.next_expiry(id).min(pace).max(now + Duration::from_nanos(1)));
    }

    /// When something of the lane expires next. What lingers in an open aggregate is younger than that.
    pub(super) fn next_expiry(&self, id: LaneId) -> Time {
        let ttl = self.config.record_ttl;
        let open = self.open(id).filter(|open| open.overdue).map(|open| open.expires(ttl));
        let first = open.chain(self.lane(id).head().map(|head| head.expires(ttl))).min();
        first.unwrap_or(Time::NEVER).round_up(EXPIRY_GRID)
    }

    fn expire(&mut self, id: LaneId, now: Time) {
        let keep = self.config.return_user_record_on_failure;
        let Some(moment) = self.expired_by(now) else { return };
        loop {
            let lane = self.lane_mut(id);
            let (bytes, records) = (lane.queued_bytes(), lane.queue().len());
            let Some(sealed) = lane.pop_expired(moment, keep) else { return };
            let (bytes, records) = (bytes - lane.queued_bytes(), records - lane.queue().len());
            if lane.ready {
                self.note_unqueued(bytes, records);
            }
            self.decide_expired(sealed, now);
            self.admit_again(id, now);
        }
    }

    /// Nothing that arrived later than this is expired at `now`.
    pub(super) fn expired_by(&self, now: Time) -> Option<Time> {
        let ttl = u64::try_from(self.config.record_ttl.as_nanos()).unwrap_or(u64::MAX);
        now.as_nanos().checked_sub(ttl).map(Time::from_nanos)
    }

    /// Wakes a lane at `when`, or earlier if it is to be woken earlier already.
    pub(super) fn arm_lane(&mut self, id: LaneId, when: Time) {
        let old = self.lane(id).timer;
        if when < old {
            self.lane_mut(id).timer = when;
            self.timers.move_lane(id, old, when);
        }
    }

    // Small things that every stage asks.

    pub(super) fn ordered(&self) -> bool {
        self.config.ordering == Ordering::Shard
    }

    /// How long a user record may wait for company: not so long that it could expire meanwhile.
    pub(super) fn linger(&self) -> Duration {
        self.config.record_max_buffered_time.min(self.config.record_ttl / 2)
    }

    pub(super) fn lane_ids(&self) -> impl Iterator<Item = LaneId> + use<> {
        (0..self.lanes.len() as u32).map(LaneId)
    }

    pub(super) fn lane(&self, id: LaneId) -> &Lane {
        self.lanes.get(id.0 as usize).expect("a lane's number stays valid while anything names it")
    }

    pub(super) fn lane_mut(&mut self, id: LaneId) -> &mut Lane {
        self.lanes.get_mut(id.0 as usize).expect("a lane's number stays valid while anything names it")
    }
}

#[cfg(test)]
mod tests {
    use super::super::outcome::{CallFailure, EntryOutcome, Shard, ShardPage};
    use super::super::put::Hashed;
    use super::*;
    use crate::config::Config;
    use crate::error::ErrorCode;
    use crate::record::{HashKey, SequenceNumber, ShardId, Stored, UserRecord};

    const ARRIVED: Time = Time::from_millis(10);
    const LATER: Time = Time::from_millis(20);

    fn put(pipeline: &mut Pipeline, now: Time) {
        let record = UserRecord::new("key", b"data");
        pipeline.put(0, &Hashed { record, key_digest: 1, hash_key: None }, now).unwrap();
    }

    /// A pipeline of a stream with one shard.
    fn with_a_shard(config: &Config) -> Pipeline {
        let mut pipeline = Pipeline::new(config.for_stream("orders"), 1, usize::MAX, 7, Time::ZERO);
        let shard = Shard { id: ShardId::new("shardId-0"), first: HashKey(0), last: HashKey(u128::MAX), open: true };
        pipeline.handle_timeout(Time::ZERO);
        pipeline.handle_shard_list(Ok(ShardPage { shards: vec![shard], next_token: None }), Time::ZERO);
        pipeline
    }

    #[test]
    fn the_oldest_is_known_while_halves_of_a_refused_request_wait() {
        let mut pipeline = with_a_shard(&Config::new().aggregation_enabled(false));
        assert_eq!(pipeline.oldest(), None);
        put(&mut pipeline, ARRIVED);
        put(&mut pipeline, LATER);
        pipeline.flush(LATER);
        assert_eq!(pipeline.oldest(), Some(ARRIVED));
        let request = pipeline.poll_transmit(LATER).unwrap();
        assert_eq!(pipeline.oldest(), Some(ARRIVED));
        let refused = CallFailure {
            code: ErrorCode::new("ValidationException"),
            message: "no".into(),
            status: Some(400),
            stored: Stored::No,
        };
        pipeline.handle_put_records(request.id, Err(refused), LATER);
        assert_eq!((pipeline.resend.len(), pipeline.oldest()), (2, Some(ARRIVED)));
    }

    #[test]
    fn the_oldest_is_known_while_a_new_map_is_awaited_and_while_it_is_taken_apart() {
        let mut pipeline = with_a_shard(&Config::new());
        put(&mut pipeline, ARRIVED);
        put(&mut pipeline, ARRIVED);
        pipeline.flush(LATER);
        let request = pipeline.poll_transmit(LATER).unwrap();
        let elsewhere =
            EntryOutcome::Stored { shard_id: ShardId::new("shardId-1"), sequence_number: SequenceNumber::new("1") };
        pipeline.handle_put_records(request.id, Ok(vec![elsewhere]), LATER);
        assert_eq!((pipeline.misplaced.len(), pipeline.oldest()), (1, Some(ARRIVED)));
        let half = u128::MAX / 2;
        let bounds = [(1, 0, half), (2, half + 1, u128::MAX)];
        let shards = bounds.map(|(number, first, last)| Shard {
            id: ShardId::new(&format!("shardId-{number}")),
            first: HashKey(first),
            last: HashKey(last),
            open: true,
        });
        // A round that is over has to be a second ago.
        pipeline.handle_timeout(Time::from_millis(2000));
        pipeline.handle_shard_list(Ok(ShardPage { shards: shards.into(), next_token: None }), Time::from_millis(2000));
        assert_eq!((pipeline.at_work.len(), pipeline.oldest()), (1, Some(ARRIVED)));
    }
}
