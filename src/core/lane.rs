//! The way of one shard's user records: the sealed Kinesis records in put order, and the shard's pace. What is still open is the
//! intakes'. Two lanes belong to no shard: `HOLDING` takes user records while there is no shard map, `UNPREDICTED` sends what had to
//! go without one.

use std::collections::VecDeque;
use std::time::Duration;

use super::limiter::Limiter;
use super::sealed::Sealed;
use super::shard_map::ShardRange;
use crate::time::Time;
use crate::wire::Shape;

/// The number of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LaneId(pub(super) u32);

/// Takes user records while there is no shard map; nothing is sent from it.
pub(super) const HOLDING: LaneId = LaneId(0);
/// Sends Kinesis records whose shard is not known.
pub(super) const UNPREDICTED: LaneId = LaneId(1);

/// Bytes queued for one shard that are worth a request at once (the KPL's collector, kinesis_producer.cc).
pub(super) const SHARD_FULL_BYTES: usize = 256 << 10;

#[derive(Debug)]
pub(super) struct Lane {
    /// `None` for the two lanes that belong to no shard.
    pub(super) range: Option<ShardRange>,
    /// What its last aggregate held, and how many user records; and when that was.
    pub(super) shape: (Shape, usize),
    pub(super) shaped: Time,
    /// By age.
    queue: VecDeque<Sealed>,
    queued_bytes: usize,
    /// Data and partition keys queued.
    user_bytes: usize,
    pub(super) limiter: Limiter,
    /// Kinesis records that are on the wire, being taken apart, or waiting for a shard map to decide them.
    pub(super) unsettled: u32,
    /// Older lanes that must be drained before this one may send (ordering by shard, after resharding).
    pub(super) predecessors: Vec<LaneId>,
    /// Its deadline among the stream's timers.
    pub(super) timer: Time,
    /// When its pace lets it send again; past if it may now.
    pub(super) paced_until: Time,
    /// It is in the collector's list.
    pub(super) ready: bool,
    /// A put was refused for this lane: say when there is room again.
    pub(super) refused: bool,
    /// Its shard is in the present map (or it is one of the two without shard).
    pub(super) current: bool,
}

impl Lane {
    pub(super) fn new(range: Option<ShardRange>, limiter: Limiter) -> Lane {
        Lane {
            range,
            shape: Default::default(),
            shaped: Time::ZERO,
            queue: VecDeque::new(),
            queued_bytes: 0,
            user_bytes: 0,
            limiter,
            unsettled: 0,
            predecessors: Vec::new(),
            timer: Time::NEVER,
            paced_until: Time::ZERO,
            ready: false,
            refused: false,
            current: true,
        }
    }

    /// Puts `sealed` where its age wants it: new ones at the end, retried ones at the head. So the head expires first. That is
    /// put order as well for each hash key: all that came before a Kinesis record arrived before its first user record.
    pub(super) fn insert(&mut self, sealed: Sealed) {
        self.queued_bytes += sealed.wire_bytes();
        self.user_bytes += sealed.user_bytes;
        if self.queue.back().is_none_or(|last| last.age() <= sealed.age()) {
            return self.queue.push_back(sealed);
        }
        let place = self.queue.partition_point(|other| other.age() <= sealed.age());
        self.queue.insert(place, sealed);
    }

    /// The same for many: a queue that others joined meanwhile is put in order once.
    pub(super) fn insert_all(&mut self, batch: impl IntoIterator<Item = Sealed>) {
        let mut in_order = true;
        for sealed in batch {
            self.queued_bytes += sealed.wire_bytes();
            self.user_bytes += sealed.user_bytes;
            in_order &= self.queue.back().is_none_or(|last| last.age() <= sealed.age());
            self.queue.push_back(sealed);
        }
        if !in_order {
            self.queue.make_contiguous().sort_by_key(Sealed::age);
        }
    }

    pub(super) fn head(&self) -> Option<&Sealed> {
        self.queue.front()
    }

    pub(super) fn pop(&mut self) -> Option<Sealed> {
        let sealed = self.queue.pop_front()?;
        self.queued_bytes -= sealed.wire_bytes();
        self.user_bytes -= sealed.user_bytes;
        Some(sealed)
    }

    /// Splits the expired user records off the head: those that arrived at or before `moment`.
    pub(super) fn pop_expired(&mut self, moment: Time, keep_payload: bool) -> Option<Sealed> {
        let head = self.head()?;
        let count = head.members.arrived_by(moment);
        if count == 0 {
            return None;
        }
        let mut head = self.pop()?;
        if count == head.members.len() {
            return Some(head);
        }
        let expired = head.split_first(count, keep_payload);
        self.insert(head);
        Some(expired)
    }

    /// Takes the Kinesis record at `index` of the queue.
    pub(super) fn remove(&mut self, index: usize) -> Option<Sealed> {
        let sealed = self.queue.remove(index)?;
        self.queued_bytes -= sealed.wire_bytes();
        self.user_bytes -= sealed.user_bytes;
        Some(sealed)
    }

    pub(super) fn queue(&self) -> &VecDeque<Sealed> {
        &self.queue
    }

    pub(super) fn drain(&mut self) -> Vec<Sealed> {
        self.queued_bytes = 0;
        self.user_bytes = 0;
        self.queue.drain(..).collect()
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// When the oldest user record queued arrived.
    pub(super) fn oldest(&self) -> Option<Time> {
        self.head().map(|head| head.members.base())
    }

    /// Data and partition keys queued.
    pub(super) fn user_bytes(&self) -> usize {
        self.user_bytes
    }

    /// Whether it waits for something that its head needs, whatever the time.
    pub(super) fn may_send(&self, ordered: bool) -> bool {
        !self.queue.is_empty() && self.predecessors.is_empty() && !(ordered && self.unsettled > 0)
    }

    /// Whether nothing that was sealed is undecided.
    pub(super) fn is_settled(&self) -> bool {
        self.unsettled == 0 && self.queue.is_empty()
    }

    /// Time until what is queued, and `coming` Kinesis records and bytes that are not yet, are sent at the present pace. With order
    /// kept, a Kinesis record takes `answer_time` as well.
    pub(super) fn backlog(&mut self, coming: (usize, usize), answer_time: Duration, now: Time) -> Duration {
        let (records, bytes) = (self.queue.len() + coming.0, self.queued_bytes + coming.1);
        let seconds = self.limiter.seconds_for(bytes, records, now);
        Duration::from_secs_f64(seconds.max(answer_time.as_secs_f64() * records as f64).min(1e9))
    }
}
