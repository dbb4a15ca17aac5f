//! The one file that reads clocks and waits. Everything else takes the time as a `Duration` since the sink started.

#![expect(clippy::disallowed_methods, reason = "this file owns the sink's clock")]

use std::time::{Duration, Instant};

/// When the sink started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// Starts at zero.
    #[must_use]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    #[must_use]
    pub(crate) fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Waits; nothing at all for zero. The timer's grain is a millisecond.
pub(crate) async fn wait(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// User and system time of the whole process so far.
pub(crate) fn process_cpu() -> Duration {
    cpu_time::ProcessTime::now().as_duration()
}
