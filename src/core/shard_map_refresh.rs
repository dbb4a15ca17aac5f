//! When to ask for the shard map: at once, then once an interval, at once after a mismatch, and with patience after a failure.
//! One round of ListShards at a time; the map in use stays until a sound one is there.

use std::time::Duration;

use fastrand::Rng;

use super::event::Event;
use super::outcome::{CallFailure, ListShardsOutcome};
use super::pipeline::Pipeline;
use super::shard_map::{ShardMap, ShardMapPages, ShardRange};
use super::take_apart::Job;
use super::timers::Timer;
use crate::time::Time;

/// Pause after a failed refresh: × 1.5 up to 30 s (the KPL's shard_map.h).
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Without permission there is no hurry.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(60);
/// Between a mismatch that a new map did not explain and the next try.
const MISMATCH_PAUSE: Duration = Duration::from_secs(1);
/// Ranges of closed shards that are remembered.
const REMEMBERED: usize = 4096;

/// Where the refreshing of the shard map stands.
#[derive(Debug)]
pub(super) struct Refresh {
    pages: Option<ShardMapPages>,
    /// A mismatch came up while a round was under way: its map may be older than the mismatch.
    again: bool,
    /// When the last round ended.
    finished: Time,
    failures: u32,
    told_failure: bool,
    /// No map came in time: user records go unpredicted until one does.
    gave_up: bool,
    /// Shards seen in other maps: an answer may still name them.
    past: Vec<ShardRange>,
}

impl Refresh {
    pub(super) fn new() -> Refresh {
        Refresh {
            pages: None,
            again: false,
            finished: Time::ZERO,
            failures: 0,
            told_failure: false,
            gave_up: false,
            past: Vec::new(),
        }
    }

    pub(super) fn gave_up(&self) -> bool {
        self.gave_up
    }

    /// When the last round ended.
    pub(super) fn finished(&self) -> Option<Time> {
        (self.finished > Time::ZERO).then_some(self.finished)
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn past(&self) -> &[ShardRange] {
        &self.past
    }

    fn remember(&mut self, ranges: impl Iterator<Item = ShardRange>) {
        for range in ranges {
            if !self.past.iter().any(|other| other.id == range.id) {
                self.past.push(range);
            }
        }
        let excess = self.past.len().saturating_sub(REMEMBERED);
        self.past.drain(..excess);
    }

    fn pause_after_failure(&mut self, failure: Option<&CallFailure>) -> Duration {
        if failure.is_some_and(|failure| failure.code.as_str() == "AccessDeniedException") {
            return FORBIDDEN_PAUSE;
        }
        let pause = FIRST_PAUSE.mul_f64(1.5_f64.powi(self.failures.min(20) as i32));
        self.failures += 1;
        pause.min(LONGEST_PAUSE)
    }
}

impl Pipeline {
    /// The answer to a [`Job::ListShards`]. Then drain all outputs.
    pub fn handle_shard_list(&mut self, outcome: ListShardsOutcome, now: Time) {
        let Some(mut pages) = self.refresh.pages.take() else { return };
        match outcome {
            Err(failure) => self.refresh_failed(Some(&failure), now),
            Ok(page) => match pages.add(page) {
                Some(token) => {
                    self.refresh.pages = Some(pages);
                    self.jobs.push_back(Job::ListShards { next_token: Some(token) });
                }
                None => match pages.finish() {
                    (Some(map), closed) => self.refreshed(map, closed, now),
                    // The service is resharding: the parents are closed and not all children are open yet.
                    (None, _) => self.refresh_failed(None, now),
                },
            },
        }
    }

    /// Starts a round of ListShards unless one is under way.
    pub(super) fn request_shard_map(&mut self) {
        if self.refresh.pages.is_none() {
            self.refresh.pages = Some(ShardMapPages::default());
            self.jobs.push_back(Job::ListShards { next_token: None });
        }
    }

    /// The map is wrong, as an answer showed: asks for a new one at once, or after the round under way, but not over and over
    /// while the service's list lags behind its shards.
    pub(super) fn refresh_after_mismatch(&mut self, now: Time) {
        let earliest = self.refresh.finished + MISMATCH_PAUSE;
        if self.refresh.pages.is_some() {
            self.refresh.again = true;
        } else if earliest <= now {
            self.request_shard_map();
        } else {
            self.timers.set(Timer::ShardMap, earliest.min(self.timers.get(Timer::ShardMap)));
        }
    }

    /// No map came in time: what is held goes without.
    pub(super) fn give_up_first_map(&mut self, now: Time) {
        if self.map.is_none() {
            self.refresh.gave_up = true;
            self.release_held(now);
        }
    }

    fn refreshed(&mut self, map: ShardMap, closed: Vec<ShardRange>, now: Time) {
        self.refresh.failures = 0;
        self.refresh.told_failure = false;
        self.timers.stop(Timer::FirstMap);
        let changed = self.map.as_deref() != Some(&map);
        if changed || self.map.is_none() {
            let old = self.map.clone();
            self.refresh.remember(closed.into_iter().chain(old.iter().flat_map(|map| map.ranges().iter().cloned())));
            self.events.push_back(Event::MapInstalled { shards: map.ranges().len(), changed: old.is_some() });
            self.install_map(map, now);
        }
        let waiting = self.decide_misplaced(now);
        self.refresh.finished = now;
        let again = std::mem::take(&mut self.refresh.again) || waiting;
        let interval = with_jitter(self.config.shard_map_refresh_interval, &mut self.rng);
        self.timers.set(Timer::ShardMap, now + if again { MISMATCH_PAUSE } else { interval });
    }

    fn refresh_failed(&mut self, failure: Option<&CallFailure>, now: Time) {
        let pause = self.refresh.pause_after_failure(failure);
        self.timers.set(Timer::ShardMap, now + with_jitter(pause, &mut self.rng));
        self.refresh.finished = now;
        self.refresh.again = false;
        if let Some(failure) = failure
            && !std::mem::replace(&mut self.refresh.told_failure, true)
        {
            let (code, message) = (failure.code.clone(), failure.message.clone());
            self.events.push_back(Event::MapFailed { code, message, have_map: self.map.is_some() });
        }
        // Refused for good: waiting for the first map would only cost time. PutRecords has the last word on what is wrong.
        if failure.is_some_and(|failure| failure.status.is_some_and(|status| (400..500).contains(&status))) {
            self.give_up_first_map(now);
        }
    }
}

/// Between nine and eleven tenths, so that many producers do not ask together.
fn with_jitter(pause: Duration, rng: &mut Rng) -> Duration {
    pause.mul_f64(0.9 + 0.2 * rng.f64())
}

#[cfg(test)]
mod tests {
    use super::super::digest::key_digest;
    use super::super::outcome::{EntryOutcome, Shard, ShardPage};
    use super::super::put::Hashed;
    use super::*;
    use crate::config::StreamConfig;
    use crate::record::{HashKey, SequenceNumber, ShardId, UserRecord};

    const MAP_CAME: Time = Time::from_millis(10_000);

    fn page() -> ShardPage {
        let half = u128::MAX / 2;
        let shard =
            |id, first, last| Shard { id: ShardId::new(id), first: HashKey(first), last: HashKey(last), open: true };
        ShardPage { shards: vec![shard("low", 0, half), shard("high", half + 1, u128::MAX)], next_token: None }
    }

    /// A stream that has a shard map and has asked for nothing since.
    fn stream() -> Pipeline {
        let config = StreamConfig::default().record_max_buffered_time(Duration::ZERO);
        let mut pipeline = Pipeline::new(config, 1, 64 << 20, 7, Time::ZERO);
        pipeline.handle_timeout(Time::ZERO);
        assert!(asks(&mut pipeline));
        pipeline.handle_shard_list(Ok(page()), MAP_CAME);
        pipeline
    }

    fn asks(pipeline: &mut Pipeline) -> bool {
        std::iter::from_fn(|| pipeline.poll_job()).any(|job| matches!(job, Job::ListShards { .. }))
    }

    /// A user record of the low shard is stored in another one.
    fn mismatch(pipeline: &mut Pipeline, now: Time) {
        let record = UserRecord::new("key", b"data");
        let hashed = Hashed { record, key_digest: key_digest("key"), hash_key: Some(HashKey(1)) };
        pipeline.put(0, &hashed, now).unwrap();
        pipeline.handle_timeout(now);
        let request = pipeline.poll_transmit(now).unwrap();
        let (shard_id, sequence_number) = (ShardId::new("high"), SequenceNumber::new("1"));
        pipeline.handle_put_records(request.id, Ok(vec![EntryOutcome::Stored { shard_id, sequence_number }]), now);
    }

    #[test]
    fn a_mismatch_asks_at_once_but_not_over_and_over() {
        let mut pipeline = stream();
        mismatch(&mut pipeline, MAP_CAME + Duration::from_millis(10));
        assert!(!asks(&mut pipeline), "the last round ended a moment ago");
        let earliest = MAP_CAME + MISMATCH_PAUSE;
        assert_eq!(pipeline.poll_timeout(), earliest);
        pipeline.handle_timeout(earliest);
        assert!(asks(&mut pipeline));
        pipeline.handle_shard_list(Ok(page()), earliest);
        let later = earliest + MISMATCH_PAUSE;
        mismatch(&mut pipeline, later);
        assert!(asks(&mut pipeline));
        mismatch(&mut pipeline, later);
        assert!(!asks(&mut pipeline), "a round is under way");
    }

    #[test]
    fn a_mismatch_while_a_round_is_under_way_asks_again_after_it() {
        let mut pipeline = stream();
        let next = pipeline.poll_timeout();
        pipeline.handle_timeout(next);
        assert!(asks(&mut pipeline));
        mismatch(&mut pipeline, next);
        pipeline.handle_shard_list(Ok(page()), next);
        assert_eq!(pipeline.poll_timeout(), next + MISMATCH_PAUSE);
        pipeline.handle_timeout(next + MISMATCH_PAUSE);
        assert!(asks(&mut pipeline));
        // That was enough: the round after it comes in its own time.
        pipeline.handle_shard_list(Ok(page()), next + MISMATCH_PAUSE);
        assert!(pipeline.timers.get(Timer::ShardMap) > next + Duration::from_secs(50));
    }
}
