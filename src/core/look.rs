//! A look at what the state machine holds, for statistics. It changes nothing; shards are looked at a few at a time, so that nobody
//! waits long for the stream's lock.

use std::time::Duration;

use super::aggregator::OpenAggregate;
use super::lane::{HOLDING, Lane, LaneId, UNPREDICTED};
use super::pipeline::Pipeline;
use crate::metrics::{BackoffStatistics, QueueStatistics, ShardMapStatistics, ShardStatistics, StreamStatistics};
use crate::record::ShardId;
use crate::time::Time;

const SHARDLESS: [LaneId; 2] = [HOLDING, UNPREDICTED];

impl Pipeline {
    /// Everything that is not a shard's: [`look_at_shards`](Pipeline::look_at_shards) tells the rest.
    #[must_use]
    pub fn look(&self, now: Time) -> StreamStatistics {
        let oldest = SHARDLESS.into_iter().filter_map(|id| self.oldest_in(id)).chain(self.oldest_outside()).min();
        StreamStatistics {
            oldest_ms: oldest.map(|arrived| millis(now.since(arrived))),
            queues: self.queues(now),
            backoff: self.backoff.as_ref().map(|backoff| BackoffStatistics {
                remaining_ms: millis(backoff.until.since(now)),
                failures: backoff.streak + 1,
                error_code: backoff.error.0.to_string(),
                error_message: backoff.error.1.to_string(),
            }),
            shard_map: ShardMapStatistics {
                open_shards: self.lane_of_shard.len(),
                changes: self.map_version,
                read_ms_ago: self.refresh.finished().map(|finished| millis(now.since(finished))),
                failures: self.refresh.failures(),
            },
            counters: self.counters(),
            ..StreamStatistics::default()
        }
    }

    /// The shards of `count` lanes from lane `first` on; `None` when there are no more lanes.
    #[must_use]
    pub fn look_at_shards(&mut self, first: usize, count: usize, now: Time) -> Option<Vec<(ShardId, ShardStatistics)>> {
        let ids: Vec<LaneId> = self.lane_ids().skip(first).take(count).collect();
        let look = ids.iter().filter_map(|id| self.look_at(*id, now)).collect();
        (!ids.is_empty()).then_some(look)
    }

    fn look_at(&mut self, id: LaneId, now: Time) -> Option<(ShardId, ShardStatistics)> {
        let lane = self.lane(id);
        let shard = lane.range.as_ref().map(|range| range.id.clone())?;
        let (limit_bytes_per_second, limit_records_per_second) = lane.limiter.rates();
        let statistics = ShardStatistics {
            limit_bytes_per_second,
            limit_records_per_second,
            backoff_ms: millis(lane.limiter.backoff_until().since(now)),
            open_user_records: self.open_user_records(id),
            queued_kinesis_records: lane.queue().len(),
            queued_bytes: lane.queued_bytes(),
            oldest_ms: self.oldest_in(id).map(|arrived| millis(now.since(arrived))),
            refuses_puts: lane.refused,
            ..ShardStatistics::default()
        };
        if !lane.current && self.is_drained(id) {
            return None;
        }
        let (open, waits) = (self.open_bytes(id), !lane.queue().is_empty());
        let drain = if waits { self.lane_mut(id).backlog((0, open), Duration::ZERO, now) } else { Duration::ZERO };
        Some((shard, ShardStatistics { drain_ms: millis(drain), ..statistics }))
    }

    fn open_user_records(&self, id: LaneId) -> usize {
        self.open(id).map(OpenAggregate::user_records).sum()
    }

    fn queues(&self, now: Time) -> QueueStatistics {
        let lanes = || SHARDLESS.into_iter().map(|id| self.lane(id));
        let started = self.on_wire.values().map(|request| request.started).min();
        let taken_apart: usize = self.at_work.values().map(|work| work.originals.len()).sum();
        QueueStatistics {
            open_user_records: SHARDLESS.into_iter().map(|id| self.open_user_records(id)).sum(),
            queued_kinesis_records: lanes().map(|lane| lane.queue().len()).sum(),
            queued_bytes: lanes().map(Lane::queued_bytes).sum(),
            requests_on_wire: self.on_wire.len(),
            kinesis_records_on_wire: self.on_wire.values().map(|request| request.entries.len()).sum(),
            oldest_request_ms: started.map(|started| millis(now.since(started))),
            kinesis_records_resharding: taken_apart + self.misplaced.len(),
            kinesis_records_in_halves: self.resend.iter().map(Vec::len).sum(),
            waits_for_connection: false,
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
