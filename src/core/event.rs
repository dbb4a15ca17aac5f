//! What is worth telling the person who runs the producer. The core says it once; the runtime writes the log lines.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{ErrorCode, Failure};
use crate::record::ShardId;

/// Something a person may want to know.
#[derive(Clone, Debug)]
pub enum Event {
    /// A shard is throttled after a time without; `None` if the shard is not known.
    Throttled(Option<ShardId>),
    /// A call failed as a whole; nothing but probes is sent for a while.
    BackedOff {
        /// The service's exception, or one of [`super::outcome::code`].
        code: ErrorCode,
        /// The service's words.
        message: Arc<str>,
        /// Until the first probe.
        pause: Duration,
    },
    /// A call succeeded after [`Event::BackedOff`].
    Recovered,
    /// A shard map was installed.
    MapInstalled {
        /// How many open shards it has.
        shards: usize,
        /// Whether it differs from the one before.
        changed: bool,
    },
    /// The shard map cannot be had; the stale one (or none) stays in use.
    MapFailed {
        /// Why.
        code: ErrorCode,
        /// The service's words.
        message: Arc<str>,
        /// Whether there is a map to go on with.
        have_map: bool,
    },
    /// User records failed for good, other than by an abort.
    Failed {
        /// Their shard, if it is known.
        shard: Option<ShardId>,
        /// Why.
        failure: Failure,
        /// What the service said last, if it said anything: its code and words.
        error: Option<(ErrorCode, Arc<str>)>,
        /// How many user records.
        user_records: usize,
    },
}
