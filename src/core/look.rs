//! A look at what the state machine holds, for statistics. It changes nothing; shards are looked at a few at a time, so that nobody
//! waits long for the stream's lock.

use std::time::Duration;

use super::lane::{HOLDING, Lane, UNPREDICTED};
use super::pipeline::Pipeline;
use crate::metrics::{BackoffStatistics, QueueStatistics, ShardMapStatistics, ShardStatistics, StreamStatistics};
use crate::record::ShardId;
use crate::time::Time;

impl Pipeline {
    /// Everything that is not a shard's: [`look_at_shards`](Pipeline::look_at_shards) tells the rest.
    #[must_use]
    pub fn look(&self, now: Time) -> StreamStatistics {
        let oldest = self.shardless().into_iter().filter_map(Lane::oldest).chain(self.oldest_outside()).min();
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
            counters: self.counters,
            ..StreamStatistics::default()
        }
    }

    /// The shards of `count` lanes from lane `first` on; `None` when there are no more lanes.
    #[must_use]
    pub fn look_at_shards(&mut self, first: usize, count: usize, now: Time) -> Option<Vec<(ShardId, ShardStatistics)>> {
        let lanes = self.lanes.get_mut(first..).filter(|lanes| !lanes.is_empty())?;
        let some = lanes.iter_mut().take(count).filter(|lane| lane.current || !lane.is_drained());
        let look = some.filter_map(|lane| Some((lane.range.as_ref()?.id.clone(), look_at(lane, now))));
        Some(look.collect())
    }

    fn queues(&self, now: Time) -> QueueStatistics {
        let lanes = || self.shardless().into_iter();
        let started = self.on_wire.values().map(|request| request.started).min();
        let taken_apart: usize = self.at_work.values().map(|work| work.originals.len()).sum();
        QueueStatistics {
            open_user_records: lanes().filter_map(|lane| lane.open.as_ref()).map(|open| open.user_records()).sum(),
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

    fn shardless(&self) -> [&Lane; 2] {
        [HOLDING, UNPREDICTED].map(|id| self.lane(id))
    }
}

fn look_at(lane: &mut Lane, now: Time) -> ShardStatistics {
    let (limit_bytes_per_second, limit_records_per_second) = lane.limiter.rates();
    ShardStatistics {
        limit_bytes_per_second,
        limit_records_per_second,
        backoff_ms: millis(lane.limiter.backoff_until().since(now)),
        open_user_records: lane.open.as_ref().map_or(0, |open| open.user_records()),
        queued_kinesis_records: lane.queue().len(),
        queued_bytes: lane.queued_bytes(),
        drain_ms: if lane.queue().is_empty() { 0.0 } else { millis(lane.backlog(Duration::ZERO, now)) },
        oldest_ms: lane.oldest().map(|arrived| millis(now.since(arrived))),
        refuses_puts: lane.refused,
        ..ShardStatistics::default()
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
