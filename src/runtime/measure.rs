//! Counting, and looking at what was counted. What the core measured is drained with everything else and counted once the stream's
//! lock is released, before reports are handed out: who has a report finds it counted.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, MutexGuard, PoisonError};

use super::stream::{SLICE, StreamShared};
use crate::core::{Pipeline, ReportBatch};
use crate::metrics::{Counters, Measurement, Reading, StreamMetrics, StreamState, StreamStatistics};
use crate::time::Time;

/// What was drained to be counted.
#[derive(Default)]
pub(super) struct Measured {
    received: u64,
    /// Undecided now, and before these were decided.
    pending: usize,
    most_pending: usize,
    measurements: Vec<Measurement>,
    decided: Vec<Arc<ReportBatch>>,
}

impl Measured {
    /// `counted` user records were accepted when this was last done; `pending` are undecided now.
    pub(super) fn drain(
        pipeline: &mut Pipeline,
        counted: &mut u64,
        pending: usize,
        decided: Vec<Arc<ReportBatch>>,
    ) -> Measured {
        let received = pipeline.counters().user_records_received;
        Measured {
            received: received - std::mem::replace(counted, received),
            pending,
            most_pending: pending + decided.iter().map(|batch| batch.members().len()).sum::<usize>(),
            measurements: std::iter::from_fn(|| pipeline.poll_measurement()).collect(),
            decided,
        }
    }
}

impl StreamShared {
    /// Whatever goes wrong in counting, reports go out.
    pub(super) fn measure(&self, measured: Measured, now: Time) {
        let count = AssertUnwindSafe(|| {
            let mut metrics = self.lock_metrics();
            metrics.received(measured.received, now);
            measured.measurements.into_iter().for_each(|measurement| metrics.measure(measurement, now));
            measured.decided.iter().for_each(|batch| batch.measure(&mut metrics));
            metrics.pending(measured.most_pending as u64, measured.pending as u64, now);
        });
        if catch_unwind(count).is_err() {
            tracing::error!(stream = %self.name, "metrics lack what was counted a moment ago, because of a bug");
        }
    }

    /// After a panic: as they were.
    pub(crate) fn counters(&self) -> Counters {
        let (Ok(whole) | Err(whole)) = self.stripes.remains();
        whole.state.pipeline.counters()
    }

    /// When the oldest undecided user record arrived.
    pub(crate) fn oldest(&self) -> Option<Time> {
        self.stripes.whole()?.state.pipeline.oldest()
    }

    /// What every metric counted since the start, or in the last `window` seconds.
    pub(crate) fn metrics(&self, window: Option<u64>) -> Vec<Reading> {
        self.count_everything();
        self.lock_metrics().read(window, self.clock.now())
    }

    /// What was counted since the last upload.
    #[cfg(feature = "cloudwatch")]
    pub(crate) fn take_unsent(&self) -> crate::metrics::Unsent {
        self.count_everything();
        self.lock_metrics().take_unsent()
    }

    /// A look at the stream.
    pub(crate) fn statistics(&self) -> StreamStatistics {
        self.count_everything();
        let now = self.clock.now();
        let Some(whole) = self.stripes.whole() else {
            return StreamStatistics { state: StreamState::Broken, ..StreamStatistics::default() };
        };
        let state = &whole.state;
        let mut look = state.pipeline.look(now);
        look.state = if state.closed { StreamState::Closed } else { StreamState::Open };
        let held = whole.held();
        (look.undecided_records, look.undecided_bytes) = (held.records, held.bytes);
        look.queues.waits_for_connection = state.in_line;
        drop(whole);
        for first in (0..).step_by(SLICE) {
            let shards = self.enter(|pipeline, now| pipeline.look_at_shards(first, SLICE, now));
            let Some(shards) = shards.flatten() else { break };
            for (id, shard) in shards {
                look.queues.open_user_records += shard.open_user_records;
                look.queues.queued_kinesis_records += shard.queued_kinesis_records;
                look.queues.queued_bytes += shard.queued_bytes;
                look.oldest_ms = look.oldest_ms.into_iter().chain(shard.oldest_ms).max_by(f64::total_cmp);
                look.shards.insert(id.to_string(), shard);
            }
        }
        self.lock_metrics().add_to(&mut look, now);
        look
    }

    /// What was put since the driver last ran is counted too.
    fn count_everything(&self) {
        self.enter(|_, _| ());
    }

    fn lock_metrics(&self) -> MutexGuard<'_, StreamMetrics> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
