//! A new shard map: shards that stay keep their lanes, what is queued for the others finds its new shard, and Kinesis records
//! that were stored elsewhere than predicted are judged. With order kept, a new shard's lane waits until every older lane that
//! overlaps it is drained.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::lane::{HOLDING, Lane, LaneId, UNPREDICTED};
use super::limiter::Limiter;
use super::outcome::code;
use super::pipeline::Pipeline;
use super::sealed::{Sealed, Try};
use super::shard_map::{ShardMap, ShardRange};
use super::take_apart::{AtWork, Job, JobId, TakeApart, TakenApart};
use crate::error::{ErrorCode, Failure};
use crate::record::{SequenceNumber, ShardId};
use crate::time::Time;

/// A Kinesis record that was stored in another shard than predicted, whose range is not known yet.
#[derive(Debug)]
pub(super) struct Misplaced {
    pub(super) lane: LaneId,
    pub(super) sealed: Sealed,
    pub(super) landing: Landing,
}

/// Where and when the service stored a Kinesis record.
#[derive(Clone, Debug)]
pub(super) struct Landing {
    pub(super) shard_id: ShardId,
    pub(super) sequence_number: SequenceNumber,
    pub(super) started: Time,
    pub(super) ended: Time,
    /// How many of its first user records were given up since. The others keep their places in what was stored.
    pub(super) given_up: usize,
}

impl Landing {
    pub(super) fn as_success(&self) -> Try {
        Try { start: self.started, end: self.ended, error: None }
    }

    fn as_wrong_shard(&self, words: &str) -> Try {
        let words = format!("stored in {}, {words}", self.shard_id).into();
        Try { start: self.started, end: self.ended, error: Some((ErrorCode::new(code::WRONG_SHARD), words)) }
    }
}

impl Pipeline {
    /// The result of a [`Job::TakeApart`]. Then drain all outputs.
    pub fn handle_taken_apart(&mut self, result: TakenApart, now: Time) {
        let id = result.id;
        let Some(work) = self.at_work.get_mut(&id) else { return };
        let lane = work.lane;
        work.result = Some(result);
        if !self.ordered() {
            return self.finish_job(id, now);
        }
        // Jobs come back in any order; what the later ones hold is later in put order.
        while let Some((&id, AtWork { result: Some(_), .. })) = self.at_work.iter().find(|(_, work)| work.lane == lane)
        {
            self.finish_job(id, now);
        }
    }

    fn finish_job(&mut self, id: JobId, now: Time) {
        let Some(AtWork { lane, originals, stored, result: Some(result) }) = self.at_work.remove(&id) else { return };
        self.lane_mut(lane).unsettled -= originals.len() as u32;
        for (mut sealed, positions) in result.stored {
            if let Some(stored) = &stored {
                sealed.history.push(stored.as_success());
                let places = positions.into_iter().map(|position| position + stored.given_up as u32).collect();
                self.decide_partly_stored(sealed, places, stored, now);
            }
        }
        let mut homeless = Vec::new();
        let mut at_home: BTreeMap<LaneId, Vec<Sealed>> = BTreeMap::new();
        for (shard, mut sealed) in result.pieces {
            if let Some(stored) = &stored {
                sealed.history.push(stored.as_wrong_shard("which does not own its hash key"));
                self.counters.wrong_shard += 1;
            }
            match shard.map(|shard| self.lane_of_shard.get(shard).copied()) {
                None if self.map.is_none() => at_home.entry(UNPREDICTED).or_default().push(sealed),
                Some(Some(lane)) if result.map_version == self.map_version => {
                    at_home.entry(lane).or_default().push(sealed)
                }
                _ => homeless.push(sealed),
            }
        }
        at_home.into_iter().for_each(|(lane, sealed)| self.enqueue_all(lane, sealed, now));
        // Another map came meanwhile. They stay the old lane's, so that its successors go on waiting.
        if !homeless.is_empty() {
            self.take_apart(lane, homeless);
        }
        self.settle(lane, now);
    }

    /// Has Kinesis records of `lane` taken apart by the present map.
    pub(super) fn take_apart(&mut self, lane: LaneId, mut originals: Vec<Sealed>) {
        // As in a lane: what comes back from a job for an older map is sorted by shard.
        originals.sort_by_key(Sealed::age);
        if !originals.is_empty() {
            self.start_job(AtWork { lane, originals, stored: None, result: None }, None);
        }
    }

    fn start_job(&mut self, work: AtWork, stored_in: Option<ShardRange>) {
        let id = JobId(self.next_job);
        self.next_job += 1;
        self.lane_mut(work.lane).unsettled += work.originals.len() as u32;
        let job = TakeApart {
            id,
            map: self.map.clone(),
            map_version: self.map_version,
            originals: work.originals.clone(),
            max_bytes: self.max_aggregate_bytes(),
            max_count: self.config.aggregation_max_count,
            stored_in,
        };
        self.at_work.insert(id, work);
        self.jobs.push_back(Job::TakeApart(job));
    }

    /// Sends what waited for the first map on its way without one.
    pub(super) fn release_held(&mut self, now: Time) {
        if self.map.is_none() && self.refresh.gave_up() {
            let held = self.lane_mut(HOLDING).drain();
            self.take_apart(HOLDING, held);
            self.admit_again(HOLDING, now);
        }
    }

    /// Puts `map` into use.
    pub(super) fn install_map(&mut self, map: ShardMap, now: Time) {
        self.seal_all(now);
        self.map_version += 1;
        let old = std::mem::take(&mut self.lane_of_shard);
        let lanes = map.ranges().iter().map(|range| {
            let kept = old.iter().copied().find(|id| self.lane(*id).range.as_ref() == Some(range));
            kept.unwrap_or_else(|| self.add_lane(range.clone(), now))
        });
        self.lane_of_shard = lanes.collect();
        let map = Arc::new(map);
        self.intakes.iter_mut().for_each(|intake| intake.install_map(&map, &self.lane_of_shard));
        self.map = Some(map);
        let retired: Vec<LaneId> = old.iter().copied().filter(|id| !self.lane_of_shard.contains(id)).collect();
        self.wait_for_predecessors(&retired);
        for id in [HOLDING, UNPREDICTED].into_iter().chain(retired.iter().copied()) {
            self.unready(id);
            if !self.is_gathered(id) || self.lane(id).unsettled == 0 {
                self.rehome(id, now);
            }
        }
        for id in [HOLDING, UNPREDICTED].into_iter().chain(retired.iter().copied()) {
            // Whoever waits for room in it finds another lane now.
            if std::mem::take(&mut self.lane_mut(id).refused) {
                self.admitted.push_back(id.0);
            }
        }
        for id in retired {
            self.lane_mut(id).current = false;
            self.settle(id, now);
        }
        self.settle(HOLDING, now);
        self.settle(UNPREDICTED, now);
    }

    fn add_lane(&mut self, range: ShardRange, now: Time) -> LaneId {
        let mut lane = Lane::new(Some(range), Limiter::new(self.config.rate_limit, 1.0, now));
        if let Some(id) = self.free_lanes.pop() {
            lane.timer = self.lane(id).timer;
            *self.lane_mut(id) = lane;
            return id;
        }
        self.lanes.push(lane);
        LaneId(u32::try_from(self.lanes.len() - 1).expect("fewer than 2^32 shards"))
    }

    /// New lanes wait for the retired ones that they overlap, and for those that these still wait for.
    fn wait_for_predecessors(&mut self, retired: &[LaneId]) {
        if !self.ordered() {
            return;
        }
        for index in 0..self.lane_of_shard.len() {
            let Some(&id) = self.lane_of_shard.get(index) else { continue };
            let Some(range) = self.lane(id).range.clone() else { continue };
            let mut predecessors = Vec::new();
            for older in retired.iter().copied().chain([HOLDING, UNPREDICTED]) {
                let lane = self.lane(older);
                if lane.range.as_ref().is_none_or(|other| other.overlaps(&range)) {
                    predecessors.extend(lane.predecessors.iter().copied());
                    if !self.is_drained(older) {
                        predecessors.push(older);
                    }
                }
            }
            let lane = self.lane_mut(id);
            lane.predecessors.extend(predecessors);
            lane.predecessors.sort_unstable();
            lane.predecessors.dedup();
        }
    }

    /// Whether what is queued in a lane waits for what is on the wire, to be taken apart with it. With order kept, what went without
    /// prediction is older than what is queued under its hash keys, but may be younger than what is queued under others: apart, they
    /// would overlap. Nobody waits longer, for new lanes send nothing before.
    fn is_gathered(&self, id: LaneId) -> bool {
        self.ordered() && id == UNPREDICTED && self.map.is_some()
    }

    /// Moves what is queued in a retired lane to where it belongs now: whole, if one shard owns all of the old range.
    fn rehome(&mut self, id: LaneId, now: Time) {
        let queued = self.lane_mut(id).drain();
        match self.heir(id) {
            Some(heir) => self.enqueue_all(heir, queued, now),
            None => self.take_apart(id, queued),
        }
    }

    /// The present lane whose range covers the lane's.
    fn heir(&self, id: LaneId) -> Option<LaneId> {
        let range = self.lane(id).range.as_ref()?;
        let map = self.map.as_ref()?;
        let shard = map.find(range.first);
        map.ranges().get(shard).filter(|other| other.covers(range)).and_then(|_| self.lane_of_shard.get(shard).copied())
    }

    /// Gives a Kinesis record back to its lane for another attempt, or to whoever owns the lane's range by now.
    pub(super) fn requeue(&mut self, id: LaneId, sealed: Sealed, now: Time) {
        if self.is_gathered(id) {
            return self.lane_mut(id).insert(sealed);
        }
        if self.lane(id).current && !(id == UNPREDICTED && self.map.is_some()) {
            return self.enqueue(id, sealed, now);
        }
        match self.heir(id) {
            Some(heir) => self.enqueue(heir, sealed, now),
            None => self.take_apart(id, vec![sealed]),
        }
    }

    /// Something of the lane was settled: lets the next one go, and when a retired lane is drained, its successors.
    pub(super) fn settle(&mut self, id: LaneId, now: Time) {
        if self.is_gathered(id) && self.lane(id).unsettled == 0 {
            self.rehome(id, now);
        }
        if !self.is_drained(id) {
            return self.service(id, now);
        }
        let lane = self.lane(id);
        let shardless = lane.range.is_none();
        if lane.current && (!shardless || self.map.is_none()) {
            return;
        }
        for index in 0..self.lane_of_shard.len() {
            let Some(&successor) = self.lane_of_shard.get(index) else { continue };
            let predecessors = &mut self.lane_mut(successor).predecessors;
            let before = predecessors.len();
            predecessors.retain(|other| *other != id);
            if predecessors.len() < before {
                self.service(successor, now);
            }
        }
        // Retired lanes may wait for it as well, for the sake of their own successors.
        for lane in &mut self.lanes {
            lane.predecessors.retain(|other| *other != id);
        }
        if !shardless && !self.free_lanes.contains(&id) {
            self.free_lanes.push(id);
        }
    }

    /// A Kinesis record was stored in `shard_id`, which is not the predicted shard.
    pub(super) fn handle_misplaced(&mut self, misplaced: Misplaced, now: Time) {
        self.lane_mut(misplaced.lane).unsettled += 1;
        self.misplaced.push(misplaced);
        if self.decide_misplaced(now) {
            self.refresh_after_mismatch(now);
        }
    }

    /// Judges the misplaced Kinesis records whose shard is known. Returns whether others are left.
    pub(super) fn decide_misplaced(&mut self, now: Time) -> bool {
        for misplaced in std::mem::take(&mut self.misplaced) {
            match self.range_of(&misplaced.landing.shard_id) {
                Some(range) => self.judge_misplaced(misplaced, range, now),
                None => self.misplaced.push(misplaced),
            }
        }
        !self.misplaced.is_empty()
    }

    fn judge_misplaced(&mut self, misplaced: Misplaced, range: ShardRange, now: Time) {
        let Misplaced { lane: id, mut sealed, landing } = misplaced;
        self.lane_mut(id).unsettled -= 1;
        if self.lane(id).range.as_ref().is_some_and(|predicted| range.covers(predicted)) {
            sealed.history.push(landing.as_success());
            let places = (landing.given_up as u32..).take(sealed.members.len()).collect();
            self.decide_partly_stored(sealed, places, &landing, now);
        } else {
            let work = AtWork { lane: id, originals: vec![sealed], stored: Some(landing), result: None };
            self.start_job(work, Some(range));
        }
        self.settle(id, now);
    }

    /// The range of a shard of this or an earlier map.
    fn range_of(&self, id: &ShardId) -> Option<ShardRange> {
        let present = self.map.iter().flat_map(|map| map.ranges());
        present.chain(self.refresh.past()).find(|range| range.id == *id).cloned()
    }

    /// Gives up on misplaced user records that no map explained in time. The younger ones of the same aggregate go on waiting: the
    /// map may still come before they expire as well.
    pub(super) fn expire_misplaced(&mut self, now: Time) {
        let Some(moment) = self.expired_by(now).filter(|_| self.misplaced_expiry() <= now) else { return };
        let keep = self.config.return_user_record_on_failure;
        for mut misplaced in std::mem::take(&mut self.misplaced) {
            let Misplaced { lane, sealed, landing } = &mut misplaced;
            let lane = *lane;
            let count = sealed.members.arrived_by(moment);
            if count == sealed.members.len() {
                self.lane_mut(lane).unsettled -= 1;
                self.give_up_misplaced(misplaced.sealed, &misplaced.landing, now);
                self.settle(lane, now);
                continue;
            }
            if count > 0 {
                let expired = sealed.split_first(count, keep);
                self.give_up_misplaced(expired, landing, now);
                landing.given_up += count;
            }
            self.misplaced.push(misplaced);
        }
    }

    fn give_up_misplaced(&mut self, mut sealed: Sealed, landing: &Landing, now: Time) {
        sealed.history.push(landing.as_wrong_shard("whose range could not be learnt"));
        sealed.possibly_stored = true;
        self.decide_failed(sealed, Failure::WrongShard, now);
    }

    pub(super) fn misplaced_expiry(&self) -> Time {
        let expiries = self.misplaced.iter().map(|misplaced| misplaced.sealed.expires(self.config.record_ttl));
        expiries.min().unwrap_or(Time::NEVER)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::digest::key_digest;
    use super::super::outcome::{EntryOutcome, Shard, ShardPage};
    use super::super::put::Hashed;
    use super::*;
    use crate::config::{Ordering, StreamConfig};
    use crate::record::{HashKey, UserRecord};

    const MIDDLE: u128 = 1 << 127;
    const LOWER: (u128, u128) = (0, MIDDLE - 1);
    const UPPER: (u128, u128) = (MIDDLE, u128::MAX);

    fn shard(id: &str, (first, last): (u128, u128), open: bool) -> Shard {
        Shard { id: ShardId::new(id), first: HashKey(first), last: HashKey(last), open }
    }

    /// A stream that was asked for its first map; user records linger and live for a minute and for ten.
    fn stream() -> Pipeline {
        let config = StreamConfig::default()
            .ordering(Ordering::Shard)
            .record_max_buffered_time(Duration::from_secs(60))
            .record_ttl(Duration::from_secs(600));
        let mut pipeline = Pipeline::new(config, 1, 64 << 20, 7, Time::ZERO);
        pipeline.handle_timeout(Time::ZERO);
        pipeline
    }

    fn learn(pipeline: &mut Pipeline, shards: Vec<Shard>, now: Time) {
        assert!(matches!(pipeline.poll_job(), Some(Job::ListShards { .. })));
        pipeline.handle_shard_list(Ok(ShardPage { shards, next_token: None }), now);
    }

    fn put(pipeline: &mut Pipeline, hash_key: u128, now: Time) {
        let mut record = UserRecord::new("key", b"data");
        record.explicit_hash_key = Some(HashKey(hash_key));
        let hashed = Hashed { record, key_digest: key_digest("key"), hash_key: record.explicit_hash_key };
        pipeline.put(0, &hashed, now).unwrap();
    }

    #[test]
    fn what_was_taken_apart_by_an_older_map_is_taken_apart_again() {
        let mut pipeline = stream();
        put(&mut pipeline, 0, Time::ZERO);
        put(&mut pipeline, u128::MAX, Time::ZERO);
        learn(&mut pipeline, vec![shard("a", (0, u128::MAX), true)], Time::ZERO);
        let Some(Job::TakeApart(old)) = pipeline.poll_job() else { panic!("what was held is taken apart") };
        let later = Time::from_millis(70_000);
        pipeline.handle_timeout(later);
        learn(&mut pipeline, vec![shard("b", LOWER, true), shard("c", UPPER, true)], later);
        pipeline.handle_taken_apart(old.run(), later);
        let Some(Job::TakeApart(again)) = pipeline.poll_job() else { panic!("its map is not the present one") };
        pipeline.handle_taken_apart(again.run(), later);
        let sent = pipeline.poll_transmit(later).unwrap();
        assert_eq!(sent.records.len(), 2);
    }

    #[test]
    fn what_was_put_before_the_map_is_queued_before_what_was_put_since() {
        let mut pipeline = stream();
        let at = |second: u64| Time::from_millis(second * 1000);
        for second in 0..10 {
            put(&mut pipeline, u128::from(second), at(second));
            pipeline.flush(at(second));
        }
        learn(&mut pipeline, vec![shard("a", (0, u128::MAX), true)], at(10));
        let Some(Job::TakeApart(job)) = pipeline.poll_job() else { panic!("what was held is taken apart") };
        for second in 10..20 {
            put(&mut pipeline, u128::from(second), at(second));
            pipeline.flush(at(second));
        }
        pipeline.handle_taken_apart(job.run(), at(20));
        let queue = pipeline.lane(pipeline.lane_of_shard[0]).queue();
        let ages: Vec<_> = queue.iter().map(Sealed::age).collect();
        assert!(ages.len() > 10 && ages.is_sorted(), "{ages:?}");
    }

    #[test]
    fn a_misplaced_user_record_waits_for_a_map_until_it_expires_itself() {
        let (mut pipeline, second) = (stream(), |n: u64| Time::from_millis(n * 1000));
        learn(&mut pipeline, vec![shard("a", LOWER, true), shard("b", UPPER, true)], Time::ZERO);
        put(&mut pipeline, 0, Time::ZERO);
        put(&mut pipeline, 1, second(30));
        pipeline.handle_timeout(second(60));
        let sent = pipeline.poll_transmit(second(60)).unwrap();
        let stored =
            EntryOutcome::Stored { shard_id: ShardId::new("parent"), sequence_number: SequenceNumber::new("7") };
        pipeline.handle_put_records(sent.id, Ok(vec![stored]), second(60));
        pipeline.handle_timeout(second(601));
        let first = pipeline.poll_reports().unwrap();
        assert_eq!((first.members().len(), first.failure()), (1, Some(&Failure::WrongShard)));
        assert!(pipeline.poll_reports().is_none());
        // It belongs to the shard's parent as well, and stands second in what was stored.
        let shards = vec![shard("parent", LOWER, false), shard("c", LOWER, true), shard("b", UPPER, true)];
        learn(&mut pipeline, shards, second(602));
        let other = Arc::new(pipeline.poll_reports().unwrap()).report(0);
        assert!(other.is_stored());
        assert_eq!(other.sub_sequence_number(), Some(1));
    }

    #[test]
    fn after_a_misplaced_aggregate_was_given_up_its_lane_sends_again() {
        let (mut pipeline, second) = (stream(), |n: u64| Time::from_millis(n * 1000));
        learn(&mut pipeline, vec![shard("a", LOWER, true), shard("b", UPPER, true)], Time::ZERO);
        put(&mut pipeline, 0, Time::ZERO);
        put(&mut pipeline, 1, Time::ZERO);
        pipeline.handle_timeout(second(60));
        let sent = pipeline.poll_transmit(second(60)).unwrap();
        let stored =
            EntryOutcome::Stored { shard_id: ShardId::new("parent"), sequence_number: SequenceNumber::new("7") };
        pipeline.handle_put_records(sent.id, Ok(vec![stored]), second(60));
        pipeline.handle_timeout(second(601));
        assert_eq!(pipeline.poll_reports().unwrap().failure(), Some(&Failure::WrongShard));
        put(&mut pipeline, 2, second(602));
        pipeline.handle_timeout(second(662));
        assert!(pipeline.poll_transmit(second(662)).is_some());
    }
}
