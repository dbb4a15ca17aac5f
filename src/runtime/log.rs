//! What the library says to a person, through `tracing`. Each kind of line comes at most once in ten seconds for a stream, with
//! the number of those left out, so that a storm at the service is not one in the log.

use std::time::Duration;

use tracing::{info, warn};

use crate::core::Event;
use crate::time::Time;

const INTERVAL: Duration = Duration::from_secs(10);

/// The log lines of one stream.
#[derive(Debug, Default)]
pub(crate) struct Log {
    throttled: Limit,
    backed_off: Limit,
    refused: Limit,
}

/// One kind of line.
#[derive(Debug, Default)]
struct Limit {
    last: Option<Time>,
    left_out: u64,
}

impl Limit {
    /// Whether to write now; gives the number of lines left out since the last.
    fn pass(&mut self, now: Time) -> Option<u64> {
        if self.last.is_some_and(|last| now.since(last) < INTERVAL) {
            self.left_out += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Log {
    pub(crate) fn write(&mut self, stream: &str, event: &Event, now: Time) {
        match event {
            Event::Throttled(shard) => {
                if let Some(left_out) = self.throttled.pass(now) {
                    let shard = shard.as_ref().map_or("unknown", |shard| shard.as_str());
                    warn!(
                        stream,
                        shard,
                        left_out,
                        "shard is throttled: its rate is lowered; if this stays, the stream needs more shards or keys that spread better"
                    );
                }
            }
            Event::BackedOff { code, message, pause } => {
                if let Some(left_out) = self.backed_off.pass(now) {
                    warn!(stream, %code, words = %message, ?pause, left_out, "calls fail: the stream is backed off, nothing is lost before record_ttl");
                }
            }
            Event::Recovered => info!(stream, "calls succeed again"),
            Event::MapInstalled { shards, changed } => info!(stream, shards, changed, "shard map is in use"),
            Event::MapFailed { code, message, have_map } => {
                warn!(stream, %code, words = %message, have_map, "shard map cannot be read: without it, only user records of one key share an aggregate; is kinesis:ListShards allowed?");
            }
            Event::Refused { code, message, user_records } => {
                if let Some(left_out) = self.refused.pass(now) {
                    warn!(stream, %code, words = %message, user_records, left_out, "user records are refused for good; their reports say so");
                }
            }
        }
    }
}
