//! What the library says to a person, through `tracing`: one line a failure, which names stream, shard, code and what to do. Each
//! kind of line comes at most once in ten seconds for a stream, with the number of those left out, so that a storm at the service
//! is not one in the log. Nothing is ever written to standard output or error.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::{info, warn};

use crate::core::Event;
use crate::error::Failure;
use crate::record::ShardId;
use crate::time::Time;

const INTERVAL: Duration = Duration::from_secs(10);
/// Failures that are told apart; the others share one limit.
const KINDS_OF_FAILURE: usize = 32;

/// The log lines of one stream.
#[derive(Debug, Default)]
pub(crate) struct Log {
    throttled: Limit,
    backed_off: Limit,
    map_failed: Limit,
    /// By what it is called.
    failed: BTreeMap<String, Limit>,
}

/// One kind of line.
#[derive(Debug, Default)]
pub(super) struct Limit {
    last: Option<Time>,
    left_out: u64,
}

impl Limit {
    /// Whether to write now about `count` more; gives the number of those left out since the last line.
    pub(super) fn pass(&mut self, count: u64, now: Time) -> Option<u64> {
        if self.last.is_some_and(|last| now.since(last) < INTERVAL) {
            self.left_out += count;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Log {
    /// Whether to write about `event` now; gives the number of those left out since the last line.
    pub(crate) fn pass(&mut self, event: &Event, now: Time) -> Option<u64> {
        match event {
            Event::Throttled(_) => self.throttled.pass(1, now),
            Event::BackedOff { .. } => self.backed_off.pass(1, now),
            Event::MapFailed { .. } => self.map_failed.pass(1, now),
            Event::Failed { failure, user_records, .. } => self.limit_of(failure).pass(*user_records as u64, now),
            Event::Recovered | Event::MapInstalled { .. } => Some(0),
        }
    }

    fn limit_of(&mut self, failure: &Failure) -> &mut Limit {
        let kind = failure.to_string();
        let known = self.failed.contains_key(&kind) || self.failed.len() < KINDS_OF_FAILURE;
        self.failed.entry(if known { kind } else { String::new() }).or_default()
    }
}

/// Writes a line. That is anybody's code: it runs without any lock.
pub(crate) fn write(stream: &str, event: &Event, left_out: u64) {
    match event {
        Event::Throttled(shard) => {
            let shard = shown(shard.as_ref());
            warn!(
                stream,
                shard,
                left_out,
                "shard is throttled: its rate is lowered; if this stays, the stream needs more shards or keys that spread better"
            );
        }
        Event::BackedOff { code, message, pause } => {
            warn!(stream, %code, words = %message, ?pause, left_out, "calls fail: the stream is backed off, nothing is lost before record_ttl");
        }
        Event::Recovered => info!(stream, "calls succeed again"),
        Event::MapInstalled { shards, changed } => info!(stream, shards, changed, "shard map is in use"),
        Event::MapFailed { code, message, have_map } => {
            warn!(stream, %code, words = %message, have_map, left_out, "shard map cannot be read: without it, only user records of one key share an aggregate; is kinesis:ListShards allowed?");
        }
        Event::Failed { shard, failure, error, user_records } => {
            let shard = shown(shard.as_ref());
            let last_code = error.as_ref().map_or("", |(code, _)| code.as_str());
            let words = error.as_ref().map_or("", |(_, words)| &**words);
            warn!(
                stream, shard, code = %failure, last_code, words, user_records, left_out,
                "user records failed, and their reports say so: {}", advice(failure)
            );
        }
    }
}

fn shown(shard: Option<&ShardId>) -> &str {
    shard.map_or("unknown", |shard| shard.as_str())
}

/// What to do.
fn advice(failure: &Failure) -> &'static str {
    match failure {
        Failure::Expired => {
            "record_ttl passed before they could be stored; the producer's statistics tell what is slow, and a longer record_ttl \
             bridges longer outages"
        }
        Failure::Throttled => "fail_if_throttled is set; the stream needs more shards, or keys that spread better",
        Failure::WrongShard => {
            "the stream's shards changed and no new shard map came in time; is kinesis:ListShards allowed?"
        }
        Failure::CountMismatch => "the answer does not fit the request; is the endpoint really Kinesis?",
        Failure::Aborted => "the producer was stopped first",
        Failure::Service(code) => match code.as_str() {
            "ResourceNotFoundException" => "does the stream exist, in this region and account?",
            "AccessDeniedException" => "is kinesis:PutRecords allowed for this stream?",
            code if code.starts_with("KMS") => "see the state of the stream's KMS key, and whether it may be used",
            _ => "the service refuses them for good, in its own words",
        },
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;
    use std::sync::Once;

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Metadata, Subscriber};

    use super::*;
    use crate::error::ErrorCode;

    thread_local! {
        static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    /// Keeps the lines of each thread. It is the process's subscriber: one for a thread alone may miss lines while others come
    /// and go.
    struct Lines;

    impl Subscriber for Lines {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            struct Text(String);
            impl Visit for Text {
                fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                    self.0 += &format!("{}={value:?} ", field.name());
                }
            }
            let mut text = Text(String::new());
            event.record(&mut text);
            LINES.with_borrow_mut(|lines| lines.push(text.0));
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    /// The lines that `write` writes.
    pub(crate) fn lines_of(write: impl FnOnce()) -> Vec<String> {
        static SUBSCRIBED: Once = Once::new();
        SUBSCRIBED.call_once(|| tracing::subscriber::set_global_default(Lines).expect("no other test sets one"));
        LINES.take();
        write();
        LINES.take()
    }

    fn failed(code: &str, user_records: usize) -> Event {
        Event::Failed {
            shard: Some(ShardId::new("shardId-7")),
            failure: Failure::Service(ErrorCode::new(code)),
            error: Some((ErrorCode::new(code), "not you".into())),
            user_records,
        }
    }

    fn tell(log: &mut Log, event: &Event, millis: u64) {
        if let Some(left_out) = log.pass(event, Time::from_millis(millis)) {
            write("orders", event, left_out);
        }
    }

    #[test]
    fn a_failure_is_one_line_that_says_where_why_and_what_to_do() {
        let mut log = Log::default();
        let lines = lines_of(|| {
            tell(&mut log, &failed("AccessDeniedException", 3), 0);
            tell(&mut log, &failed("AccessDeniedException", 4), 9_999);
            tell(&mut log, &failed("ResourceNotFoundException", 5), 9_999);
            tell(&mut log, &failed("AccessDeniedException", 6), 10_000);
        });
        assert_eq!(lines.len(), 3, "{lines:?}");
        for part in ["orders", "shardId-7", "code=AccessDeniedException", "not you", "user_records=3", "left_out=0"] {
            assert!(lines[0].contains(part), "{part} in {}", lines[0]);
        }
        assert!(lines[0].contains("is kinesis:PutRecords allowed for this stream?"), "{}", lines[0]);
        assert!(lines[2].contains("user_records=6") && lines[2].contains("left_out=4"), "{}", lines[2]);
    }

    #[test]
    fn failures_of_any_number_of_kinds_take_bounded_memory() {
        let mut log = Log::default();
        for n in 0..1000 {
            let _ = log.pass(&failed(&format!("Code{n}"), 1), Time::ZERO);
        }
        assert_eq!(log.failed.len(), KINDS_OF_FAILURE + 1);
    }
}
