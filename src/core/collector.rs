//! Groups Kinesis records into PutRecords requests. Lanes that may send stand in a ring; a request is due when the earliest
//! deadline among their heads has come, or when there is enough for a full one. It is formed only when it can be sent, so
//! requests fill while they wait.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use super::lane::{LaneId, SHARD_FULL_BYTES, UNPREDICTED};
use super::pipeline::Pipeline;
use super::sealed::Sealed;
use crate::time::Time;
use crate::wire::KinesisRecord;

/// The service's limit for a request, with partition keys (Kinesis API reference, PutRecords).
const MAX_REQUEST_BYTES: usize = 10 << 20;
/// Open aggregates whose deadline is this near go along with a request that is due (the KPL's collector lets requests wait as
/// long for more; leaving early costs less latency and fills requests as well).
const MAX_SLACK: Duration = Duration::from_millis(50);

/// A PutRecords request to send. Its answer goes to [`Pipeline::handle_put_records`] under the same id.
#[derive(Debug)]
pub struct Transmit {
    /// Names the request.
    pub id: RequestId,
    /// 1 to 500 Kinesis records.
    pub records: Vec<KinesisRecord>,
}

/// The number of a PutRecords request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

/// The lanes that may send, and when.
#[derive(Debug)]
pub(super) struct Collector {
    ring: VecDeque<LaneId>,
    /// When a request is due: never later than the earliest deadline in the ring.
    due: Time,
    bytes: usize,
    records: usize,
}

impl Collector {
    pub(super) fn new() -> Collector {
        Collector { ring: VecDeque::new(), due: Time::NEVER, bytes: 0, records: 0 }
    }

    pub(super) fn due(&self) -> Time {
        self.due
    }

    /// Everything in the ring is due.
    pub(super) fn hurry(&mut self) {
        if !self.ring.is_empty() {
            self.due = Time::ZERO;
        }
    }
}

/// A request while it is formed.
struct Forming {
    entries: Vec<(LaneId, Sealed)>,
    bytes: usize,
    /// Hash keys of unpredicted Kinesis records, which stay in order by going one at a time.
    hash_keys: HashSet<u128>,
}

impl Pipeline {
    /// The next request, if one is due at `now` and the stream is not backed off. Poll until `None`; then see
    /// [`Pipeline::transmit_due`].
    #[must_use]
    pub fn poll_transmit(&mut self, now: Time) -> Option<Transmit> {
        // What expired meanwhile must not be sent.
        if self.poll_timeout() <= now {
            self.handle_timeout(now);
        }
        if self.transmit_due() > now {
            return None;
        }
        if let Some(entries) = self.resend.pop_front() {
            return Some(self.transmit(entries, now));
        }
        let slack = MAX_SLACK.min(self.linger() / 5);
        self.seal_due(now + slack, now);
        let mut forming = Forming { entries: Vec::new(), bytes: 0, hash_keys: HashSet::new() };
        // Each round takes a share of every lane in the ring; a lane that has nothing more to give leaves the ring.
        while let Some(id) = self.collector.ring.pop_front() {
            match self.collect_from(id, &mut forming, now) {
                More::Later => self.collector.ring.push_back(id),
                More::No => self.leave_ring(id),
                More::Full => {
                    self.collector.ring.push_front(id);
                    break;
                }
            }
        }
        // With order kept, what has the same hash keys waits for the answer, also when the request is full.
        if self.ordered() && self.lane(UNPREDICTED).unsettled > 0 {
            self.unready(UNPREDICTED);
        }
        self.collector.due = self.ring_due();
        (!forming.entries.is_empty()).then(|| self.transmit(forming.entries, now))
    }

    /// When [`poll_transmit`](Pipeline::poll_transmit) will have something, as far as is known.
    #[must_use]
    pub fn transmit_due(&self) -> Time {
        let due = if self.resend.is_empty() { self.collector.due() } else { Time::ZERO };
        match &self.backoff {
            Some(_) if !self.on_wire.is_empty() => Time::NEVER,
            Some(backoff) if due < Time::NEVER => due.max(backoff.until),
            _ => due,
        }
    }

    /// Puts a lane into the ring if it may send at `now`.
    pub(super) fn make_ready(&mut self, id: LaneId, now: Time) {
        let (ordered, has_map) = (self.ordered(), self.map.is_some());
        let lane = self.lane_mut(id);
        if lane.ready || lane.paced_until > now || !lane.may_send(ordered) {
            return;
        }
        debug_assert!(!(id == UNPREDICTED && has_map), "with a map, what was not predicted is taken apart by it");
        lane.ready = true;
        let (bytes, records) = (lane.queued_bytes(), lane.queue().len());
        self.collector.ring.push_back(id);
        self.collector.bytes += bytes;
        self.collector.records += records;
        self.update_due(id);
    }

    /// Kinesis records of `bytes` were queued in a lane of the ring.
    pub(super) fn note_queued(&mut self, id: LaneId, bytes: usize, records: usize) {
        self.collector.bytes += bytes;
        self.collector.records += records;
        self.update_due(id);
    }

    /// Kinesis records of `bytes` left the queue of a lane of the ring.
    pub(super) fn note_unqueued(&mut self, bytes: usize, records: usize) {
        self.collector.bytes -= bytes;
        self.collector.records -= records;
    }

    /// Takes a lane out of the ring, wherever it stands.
    pub(super) fn unready(&mut self, id: LaneId) {
        if self.lane(id).ready {
            self.collector.ring.retain(|other| *other != id);
            self.leave_ring(id);
        }
    }

    fn leave_ring(&mut self, id: LaneId) {
        let lane = self.lane_mut(id);
        lane.ready = false;
        let (bytes, records) = (lane.queued_bytes(), lane.queue().len());
        self.note_unqueued(bytes, records);
    }

    fn update_due(&mut self, id: LaneId) {
        let full = self.collector.bytes >= self.config.collection_max_size
            || self.collector.records >= self.config.collection_max_count;
        let due = if full { Time::ZERO } else { self.lane_due(id) };
        self.collector.due = self.collector.due.min(due);
    }

    fn ring_due(&self) -> Time {
        let full = self.collector.bytes >= self.config.collection_max_size
            || self.collector.records >= self.config.collection_max_count;
        if full && !self.collector.ring.is_empty() {
            return Time::ZERO;
        }
        self.collector.ring.iter().map(|id| self.lane_due(*id)).min().unwrap_or(Time::NEVER)
    }

    /// When the lane's head should leave.
    fn lane_due(&self, id: LaneId) -> Time {
        let lane = self.lane(id);
        // With order kept, one goes at a time: once there are two there is nothing to wait for.
        let enough = lane.queued_bytes() >= SHARD_FULL_BYTES || (self.ordered() && lane.queue().len() > 1);
        match lane.head() {
            None => Time::NEVER,
            Some(_) if enough => Time::ZERO,
            Some(head) if head.members.number(0) < self.flushed_number => Time::ZERO,
            Some(head) => head.deadline,
        }
    }

    /// Moves what fits from a lane to the request: at most its share, so that lanes take turns.
    fn collect_from(&mut self, id: LaneId, forming: &mut Forming, now: Time) -> More {
        let (max_bytes, max_records) =
            (self.config.collection_max_size.min(MAX_REQUEST_BYTES), self.config.collection_max_count);
        let ordered = self.ordered();
        let one_by_one = ordered && id != UNPREDICTED;
        let mut share = SHARD_FULL_BYTES;
        let mut index = 0;
        loop {
            if self.seal_overdue(id, now) {
                continue;
            }
            let lane = self.lane_mut(id);
            let Some(sealed) = lane.queue().get(index) else { return More::No };
            let bytes = sealed.wire_bytes();
            if forming.entries.len() >= max_records
                || (!forming.entries.is_empty() && forming.bytes + bytes > max_bytes)
            {
                return More::Full;
            }
            let hash_key = sealed.hash_key().map(|key| key.0);
            if ordered && id == UNPREDICTED && hash_key.is_some_and(|key| forming.hash_keys.contains(&key)) {
                index += 1;
                continue;
            }
            if let Err(when) = lane.limiter.try_take(bytes, now) {
                lane.paced_until = when;
                self.arm_lane(id, when);
                return More::No;
            }
            let Some(sealed) = lane.remove(index) else { return More::No };
            lane.unsettled += 1;
            self.note_unqueued(bytes, 1);
            forming.bytes += bytes;
            forming.hash_keys.extend(hash_key.filter(|_| id == UNPREDICTED));
            forming.entries.push((id, sealed));
            share = share.saturating_sub(bytes);
            if one_by_one {
                return More::No;
            }
            if share == 0 {
                return More::Later;
            }
        }
    }

    fn transmit(&mut self, entries: Vec<(LaneId, Sealed)>, now: Time) -> Transmit {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        let records: Vec<KinesisRecord> = entries.iter().map(|(_, sealed)| sealed.record.clone()).collect();
        self.counters.put_records_calls += 1;
        self.counters.attempts += records.len() as u64;
        self.counters.bytes_sent += entries.iter().map(|(_, sealed)| sealed.wire_bytes() as u64).sum::<u64>();
        if entries.iter().any(|(id, _)| *id == UNPREDICTED) {
            self.unpredicted_at_once = self.lane(UNPREDICTED).unsettled;
        }
        for (id, _) in &entries {
            self.admit_again(*id, now);
        }
        let oldest = entries.iter().map(|(_, sealed)| sealed.members.base()).min();
        self.on_wire.insert(id, super::pipeline::OnWire { started: now, oldest, entries });
        Transmit { id, records }
    }
}

/// What a lane has after its turn.
enum More {
    /// More, for the next round.
    Later,
    /// Nothing that may go in this request.
    No,
    /// Something, but the request is full.
    Full,
}
