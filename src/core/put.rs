//! The way in: which lane a user record belongs to, whether that lane has room, and whether it joins the open aggregate or travels
//! alone. Runs under the stream's locks, for each user record that finds no open aggregate with room (`intake.rs`).

use std::time::Duration;

use super::aggregator::Opening;
use super::lane::{HOLDING, LaneId, UNPREDICTED};
use super::pipeline::Pipeline;
use super::sealed::{History, Members, Sealed, Token};
use crate::config::StreamConfig;
use crate::metrics::DataSizes;
use crate::record::{HashKey, UserRecord};
use crate::time::Time;
use crate::wire::{Keyed, KinesisRecord};

/// Bytes that one user record adds to an aggregate beside its key and data, at most: magic, digest, tags, lengths, indices.
const AGGREGATION_OVERHEAD: usize = 96;
/// The default limit of a Kinesis record, data and partition key (Kinesis API reference); aggregates stay below it even where
/// the stream allows more. One byte is the aggregate's partition key.
const MAX_AGGREGATE_BYTES: usize = (1 << 20) - 1;

/// Refused puts are looked at again on common moments.
const ROOM_GRID: Duration = Duration::from_millis(5);

/// A user record whose partition key was hashed already, outside any lock.
#[derive(Clone, Copy, Debug)]
pub struct Hashed<'a> {
    /// The user record.
    pub record: UserRecord<'a>,
    /// A cheap hash of the partition key.
    pub key_digest: u64,
    /// The explicit hash key or the partition key's MD5; may be missing while [`Pipeline::needs_hash_keys`] is false.
    pub hash_key: Option<HashKey>,
}

/// Why the core did not take a user record. Nothing was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The hash key is needed by now: hash and come again.
    NeedsHashKey,
    /// Too much is queued for its shard; [`Pipeline::poll_admitted`] gives this number when there is room again.
    Backlog(u32),
}

impl<'a> From<&Hashed<'a>> for Keyed<'a> {
    #[inline]
    fn from(&Hashed { record, key_digest, .. }: &Hashed<'a>) -> Keyed<'a> {
        let UserRecord { partition_key, explicit_hash_key, data, .. } = record;
        Keyed { partition_key, key_digest, explicit_hash_key, data }
    }
}

impl Pipeline {
    /// Takes a user record by intake number `intake`: its bytes are copied into the intake's open aggregate of its shard.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was kept.
    pub fn put(&mut self, intake: usize, hashed: &Hashed<'_>, now: Time) -> Result<Token, Refusal> {
        let way_in = self.intake_mut(intake);
        if let Some(token) = way_in.try_put(hashed, now) {
            return Ok(token);
        }
        let id = way_in.predict(hashed.hash_key)?;
        let (keyed, max_bytes) = (Keyed::from(hashed), self.max_aggregate_bytes());
        // The last one of an aggregate by number.
        if let Some(open) = self.intake_mut(intake).open_mut(id)
            && let Some(token) = open.try_append(&keyed, max_bytes, now)
        {
            self.seal_in(intake, id, now);
            self.intake_mut(intake).count(id, hashed);
            return Ok(token);
        }
        // What joins an open aggregate was admitted with it.
        self.admit(id, now)?;
        self.intake_mut(intake).count(id, hashed);
        let alone = self.travels_alone(hashed.record.partition_key.len() + hashed.record.data.len());
        // What is open came before it.
        if !alone || self.ordered() {
            self.seal_in(intake, id, now);
        }
        // Who waited for the lock comes after those who had it: what begins now is not older than what was begun or sealed.
        let now = now.max(self.latest);
        self.latest = now;
        let place = if alone { Pipeline::put_alone } else { Pipeline::open_with };
        Ok(place(self, intake, id, hashed, now))
    }

    /// Refuses what would expire in the queue, or push other shards out of the budget.
    fn admit(&mut self, id: LaneId, now: Time) -> Result<(), Refusal> {
        // Without a map, what was put is sent from another lane than it is put into.
        let id = if id == HOLDING && self.refresh.gave_up() { UNPREDICTED } else { id };
        let third = self.config.record_ttl / 3;
        let crowded = self.is_crowding(id, self.half_budget);
        let answer_time = self.answer_time_in(id);
        let backlog = match id {
            // While the first map is awaited, the shards' pace is not known.
            HOLDING => Duration::ZERO,
            _ => {
                let coming = self.coming_to(id);
                self.lane_mut(id).backlog(coming, answer_time, now)
            }
        };
        if !crowded && backlog <= third {
            return Ok(());
        }
        self.lane_mut(id).refused = true;
        // Sending is what makes room; but a shard that was sent too much waits for nothing but time.
        if backlog > third {
            self.stirred = true;
            self.arm_lane(id, (now + (backlog - third)).round_up(ROOM_GRID));
        }
        Err(Refusal::Backlog(id.0))
    }

    /// Kinesis records and bytes that were accepted for a lane and are not queued there yet.
    fn coming_to(&self, id: LaneId) -> (usize, usize) {
        if id != UNPREDICTED {
            return (0, self.open_bytes(id));
        }
        // What is being taken apart: its bytes are nothing at the pace of an unknown number of shards.
        (self.lane(HOLDING).unsettled as usize, self.open_bytes(HOLDING))
    }

    /// How long a Kinesis record of the lane waits for the answer to the one before it, with order kept. Unpredicted ones wait only
    /// for those with their hash keys: as many go at once as went lately.
    fn answer_time_in(&self, id: LaneId) -> Duration {
        match (self.ordered(), id) {
            (false, _) => Duration::ZERO,
            (true, UNPREDICTED) => self.answer_time / self.unpredicted_at_once.max(1),
            (true, _) => self.answer_time,
        }
    }

    fn is_crowding(&self, id: LaneId, half: usize) -> bool {
        self.user_bytes(id) > half && self.lane_ids().any(|other| other != id && !self.is_drained(other))
    }

    /// Something left a lane: puts that were refused for it may come again.
    pub(super) fn admit_again(&mut self, id: LaneId, now: Time) {
        if !self.lane(id).refused {
            return;
        }
        if self.admit(id, now).is_ok() {
            self.lane_mut(id).refused = false;
            self.admitted.push_back(id.0);
        }
    }

    fn travels_alone(&self, bytes: usize) -> bool {
        !aggregates(&self.config) || bytes + AGGREGATION_OVERHEAD > self.max_aggregate_bytes()
    }

    pub(super) fn max_aggregate_bytes(&self) -> usize {
        max_aggregate_bytes(&self.config)
    }

    fn put_alone(&mut self, intake: usize, id: LaneId, hashed: &Hashed<'_>, now: Time) -> Token {
        let token = Token { block: self.blocks.open(intake), index: 0 };
        let mut members = Members::default();
        members.push(token, self.next_number(), now);
        self.blocks.seal(token.block, 1);
        let hash_key = hashed.record.explicit_hash_key.or(hashed.hash_key);
        let mut data = DataSizes::default();
        data.add(hashed.record.data.len());
        let sealed = Sealed {
            record: KinesisRecord::plain(&hashed.record, hash_key),
            members,
            user_bytes: hashed.record.partition_key.len() + hashed.record.data.len(),
            data,
            predicted: None,
            deadline: now + self.linger(),
            history: History::default(),
            possibly_stored: false,
        };
        self.enqueue(id, sealed, now);
        token
    }

    fn open_with(&mut self, intake: usize, id: LaneId, hashed: &Hashed<'_>, now: Time) -> Token {
        // After a pause there may be less: a great many shards must not reserve what they had in a busy moment.
        let lane = self.lane(id);
        let shape = if now.since(lane.shaped) <= self.linger() { lane.shape } else { Default::default() };
        let opening = Opening {
            intake,
            lane: id,
            block: self.blocks.open(intake),
            number: self.next_number(),
            deadline: now + self.linger(),
            hash_key: hashed.hash_key,
            shape,
        };
        self.stirred = true;
        let mut open = self.aggregator.open(&opening);
        let first = open.try_append(&Keyed::from(hashed), usize::MAX, now);
        self.intake_mut(intake).set_open(id, open);
        first.expect("an aggregate without limit takes any user record")
    }
}

/// Whether user records share Kinesis records.
pub(super) fn aggregates(config: &StreamConfig) -> bool {
    config.aggregation_enabled && config.aggregation_max_count > 1
}

/// Bytes of an aggregate at most.
pub(super) fn max_aggregate_bytes(config: &StreamConfig) -> usize {
    config.aggregation_max_size.min(MAX_AGGREGATE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::super::digest::key_digest;
    use super::super::outcome::{CallFailure, EntryOutcome, Shard, ShardPage};
    use super::super::take_apart::Job;
    use super::*;
    use crate::config::Ordering;
    use crate::error::ErrorCode;
    use crate::record::{SequenceNumber, ShardId, Stored};

    fn stream(config: StreamConfig, budget_bytes: usize) -> Pipeline {
        let mut pipeline = Pipeline::new(config, 1, budget_bytes, 7, Time::ZERO);
        pipeline.handle_timeout(Time::ZERO);
        pipeline
    }

    fn page() -> ShardPage {
        let shard = Shard { id: ShardId::new("only"), first: HashKey(0), last: HashKey(u128::MAX), open: true };
        ShardPage { shards: vec![shard], next_token: None }
    }

    fn put(pipeline: &mut Pipeline, len: usize, now: Time) -> Result<Token, Refusal> {
        let data = vec![7; len];
        let record = UserRecord::new("key", &data);
        pipeline.put(0, &Hashed { record, key_digest: key_digest("key"), hash_key: None }, now)
    }

    /// One that may not ask for its shards.
    fn without_map(config: StreamConfig, budget_bytes: usize) -> Pipeline {
        let mut pipeline = stream(config, budget_bytes);
        let forbidden = CallFailure {
            code: ErrorCode::new("AccessDeniedException"),
            message: "".into(),
            status: Some(400),
            stored: Stored::No,
        };
        pipeline.handle_shard_list(Err(forbidden), Time::ZERO);
        pipeline
    }

    fn take_apart(pipeline: &mut Pipeline, now: Time) {
        while let Some(job) = pipeline.poll_job() {
            if let Job::TakeApart(job) = job {
                pipeline.handle_taken_apart(job.run(), now);
            }
        }
    }

    #[test]
    fn a_shard_that_refused_says_when_it_has_room_and_refuses_no_more() {
        let ttl = Duration::from_secs(3);
        let config = StreamConfig::default().aggregation_enabled(false).rate_limit(1).record_ttl(ttl);
        let mut pipeline = stream(config, 64 << 20);
        pipeline.handle_shard_list(Ok(page()), Time::ZERO);
        let lane = loop {
            match put(&mut pipeline, 1000, Time::ZERO) {
                Ok(_) => {}
                Err(Refusal::Backlog(lane)) => break lane,
                Err(Refusal::NeedsHashKey) => panic!("there is one shard"),
            }
        };
        assert!(pipeline.is_refusing(lane) && pipeline.poll_admitted().is_none());
        let mut now = Time::ZERO;
        while pipeline.poll_admitted() != Some(lane) {
            now = pipeline.poll_timeout().min(pipeline.transmit_due().max(now + Duration::from_millis(1)));
            assert!(now < Time::ZERO + ttl, "room must come before the first ones expire");
            pipeline.handle_timeout(now);
            while pipeline.poll_transmit(now).is_some() {}
        }
        assert!(!pipeline.is_refusing(lane), "nobody waits for it any more");
        assert!(put(&mut pipeline, 1000, now).is_ok());
    }

    #[test]
    fn who_waited_for_the_lock_takes_none_that_come_later_past_others() {
        let config = StreamConfig::default().ordering(Ordering::Shard).aggregation_max_count(2);
        let mut pipeline = stream(config, 64 << 20);
        pipeline.handle_shard_list(Ok(page()), Time::ZERO);
        for read in [12, 13, 10, 14, 11] {
            put(&mut pipeline, 10, Time::from_millis(read)).unwrap();
        }
        pipeline.flush(Time::from_millis(15));
        let first = |sealed: &Sealed| (sealed.members.number(0), sealed.members.arrival(0));
        let queue: Vec<_> = pipeline.lane(pipeline.lane_of_shard[0]).queue().iter().map(first).collect();
        let at = Time::from_millis;
        assert_eq!(queue, [(1, at(12)), (3, at(13)), (5, at(14))]);
    }

    #[test]
    fn whoever_waits_for_room_without_a_map_is_called_when_one_comes() {
        let config = StreamConfig::default()
            .record_max_buffered_time(Duration::from_secs(60))
            .record_ttl(Duration::from_secs(600));
        let mut pipeline = without_map(config, 1000);
        let now = Time::from_millis(100);
        put(&mut pipeline, 600, now).unwrap();
        pipeline.flush(now);
        take_apart(&mut pipeline, now);
        // The half of the budget is queued, and another one is being taken apart.
        put(&mut pipeline, 10, now).unwrap();
        pipeline.flush(now);
        assert_eq!(put(&mut pipeline, 10, now), Err(Refusal::Backlog(UNPREDICTED.0)));
        assert!(pipeline.is_refusing(UNPREDICTED.0));
        let asked = pipeline.timers.get(super::super::timers::Timer::ShardMap);
        pipeline.handle_timeout(asked);
        while pipeline.poll_admitted().is_some() {}
        pipeline.handle_shard_list(Ok(page()), asked);
        let admitted: Vec<u32> = std::iter::from_fn(|| pipeline.poll_admitted()).collect();
        assert!(admitted.contains(&UNPREDICTED.0), "{admitted:?}");
        assert!(!pipeline.is_refusing(UNPREDICTED.0));
    }

    #[test]
    fn with_order_kept_those_being_taken_apart_count_for_who_comes_after_them() {
        let config = StreamConfig::default()
            .ordering(Ordering::Shard)
            .aggregation_enabled(false)
            .record_ttl(Duration::from_secs(9));
        let mut pipeline = without_map(config, 64 << 20);
        put(&mut pipeline, 10, Time::ZERO).unwrap();
        pipeline.flush(Time::ZERO);
        take_apart(&mut pipeline, Time::ZERO);
        let request = pipeline.poll_transmit(Time::ZERO).expect("it was flushed").id;
        let stored = EntryOutcome::Stored { shard_id: ShardId::new("only"), sequence_number: SequenceNumber::new("1") };
        // Answers take an eighth of this on average, by now: three of them are a third of the time to live.
        let now = Time::from_millis(8000);
        pipeline.handle_put_records(request, Ok(vec![stored]), now);
        let accepted = (0..100).take_while(|_| put(&mut pipeline, 10, now).is_ok()).count();
        assert_eq!(accepted, 4);
    }

    #[test]
    fn behind_a_younger_one_that_travels_alone_an_open_aggregate_expires_in_time() {
        let ttl = Duration::from_secs(1);
        let config = StreamConfig::default().aggregation_max_size(500).record_ttl(ttl);
        let mut pipeline = stream(config, 64 << 20);
        pipeline.handle_shard_list(Ok(page()), Time::ZERO);
        put(&mut pipeline, 10, Time::ZERO).unwrap();
        put(&mut pipeline, 1000, Time::from_millis(50)).unwrap();
        // There is no connection: nothing is sent.
        let mut now = Time::ZERO;
        let first = loop {
            now = pipeline.poll_timeout().max(now);
            pipeline.handle_timeout(now);
            if let Some(batch) = pipeline.poll_reports() {
                break batch;
            }
        };
        assert_eq!(first.members().arrival(0), Time::ZERO);
        assert!(now <= Time::ZERO + ttl + Duration::from_millis(10), "{now}");
    }
}
