//! The way in that callers do not share: each intake has open aggregates of its own, so that several callers can append at the same
//! time. What needs more than an open aggregate with room is for the state machine, which has the intake back by then.

use std::sync::Arc;

use super::aggregator::OpenAggregate;
use super::lane::{HOLDING, LaneId};
use super::put::{Hashed, Refusal};
use super::sampler::Sampler;
use super::sealed::Token;
use super::shard_map::ShardMap;
use crate::record::HashKey;
use crate::time::Time;
use crate::wire::Keyed;

/// One of the ways into a stream. The default one takes nothing: it stands in the place of one that is lent.
#[derive(Debug, Default)]
pub struct Intake {
    max_bytes: usize,
    max_count: u64,
    map: Option<Arc<ShardMap>>,
    /// The lane of each shard of the map.
    lane_of_shard: Arc<[LaneId]>,
    /// By lane.
    open: Vec<Option<Box<OpenAggregate>>>,
    received: u64,
    sampler: Sampler,
    sampled: Vec<Sample>,
}

/// A user record that was looked at more closely.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) lane: LaneId,
    pub(super) partition_key: Box<str>,
    pub(super) key_digest: u64,
    pub(super) bytes: usize,
}

impl Intake {
    /// Aggregates of `max_bytes` and `max_count` user records at most.
    pub(super) fn new(max_bytes: usize, max_count: u64, seed: u64) -> Intake {
        Intake { max_bytes, max_count, sampler: Sampler::new(seed), ..Intake::default() }
    }

    /// Appends a user record to the open aggregate of its shard. `None` if there is none, or if it would be full: then it is for
    /// [`Pipeline::put`](super::Pipeline::put).
    #[inline]
    pub fn try_put(&mut self, hashed: &Hashed<'_>, now: Time) -> Option<Token> {
        let lane = self.predict(hashed.hash_key).ok()?;
        let open = self.open.get_mut(lane.0 as usize)?.as_mut()?;
        if open.user_records() as u64 + 1 >= self.max_count {
            return None;
        }
        let token = open.try_append(&Keyed::from(hashed), self.max_bytes, now)?;
        self.count(lane, hashed);
        Some(token)
    }

    /// The lane of a user record.
    #[inline]
    pub(super) fn predict(&self, hash_key: Option<HashKey>) -> Result<LaneId, Refusal> {
        match (&self.map, hash_key, &*self.lane_of_shard) {
            (None, _, _) => Ok(HOLDING),
            (Some(_), _, [only]) => Ok(*only),
            (Some(_), None, _) => Err(Refusal::NeedsHashKey),
            (Some(map), Some(hash_key), lanes) => Ok(lanes.get(map.find(hash_key)).copied().unwrap_or(HOLDING)),
        }
    }

    /// A user record was accepted.
    #[inline]
    pub(super) fn count(&mut self, lane: LaneId, hashed: &Hashed<'_>) {
        self.received += 1;
        if self.sampler.picks() {
            self.sample(lane, hashed);
        }
    }

    #[cold]
    fn sample(&mut self, lane: LaneId, &Hashed { record, key_digest, .. }: &Hashed<'_>) {
        let bytes = record.partition_key.len() + record.data.len();
        self.sampled.push(Sample { lane, partition_key: record.partition_key.into(), key_digest, bytes });
    }

    /// User records accepted since the start.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    pub(super) fn pop_sample(&mut self) -> Option<Sample> {
        self.sampled.pop()
    }

    /// From now on the shards of `map` are asked for.
    pub(super) fn install_map(&mut self, map: &Arc<ShardMap>, lane_of_shard: &Arc<[LaneId]>) {
        self.map = Some(Arc::clone(map));
        self.lane_of_shard = Arc::clone(lane_of_shard);
    }

    pub(super) fn open(&self, lane: LaneId) -> Option<&OpenAggregate> {
        self.open.get(lane.0 as usize)?.as_deref()
    }

    pub(super) fn open_mut(&mut self, lane: LaneId) -> Option<&mut OpenAggregate> {
        self.open.get_mut(lane.0 as usize)?.as_deref_mut()
    }

    /// Whether the lane's open aggregate is the one with this serial number.
    pub(super) fn is_open(&self, lane: LaneId, serial: u64) -> bool {
        self.open(lane).is_some_and(|open| open.serial() == serial)
    }

    /// The lane's open aggregate is this one from now on.
    pub(super) fn set_open(&mut self, lane: LaneId, open: Box<OpenAggregate>) {
        let place = lane.0 as usize;
        if self.open.len() <= place {
            self.open.resize_with(place + 1, || None);
        }
        if let Some(place) = self.open.get_mut(place) {
            *place = Some(open);
        }
    }

    pub(super) fn take_open(&mut self, lane: LaneId) -> Option<Box<OpenAggregate>> {
        self.open.get_mut(lane.0 as usize)?.take()
    }
}
