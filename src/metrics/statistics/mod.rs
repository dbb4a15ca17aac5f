//! A look at the whole producer at one moment, for people and programs that ask why it is slow: what is queued where, what each
//! shard takes and is offered, how long things take, which keys are hot, and what of it stands out. `STATISTICS.md` and
//! `statistics.schema.json` are generated from these types; a field once here keeps its name and meaning.

mod findings;
#[cfg(feature = "schema")]
mod markdown;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

#[cfg(feature = "schema")]
#[doc(hidden)]
pub use markdown::{markdown, schema};

use super::counters::Counters;

/// What a producer looks like at one moment. Times are in milliseconds, sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Statistics {
    /// The library's version.
    pub version: String,
    /// When this was taken: milliseconds since 1970, by the system's clock.
    pub time_ms: u64,
    /// How long the producer has existed.
    pub age_ms: u64,
    /// What stands out, most urgent first: the answer to "why is it slow?".
    pub findings: Vec<Finding>,
    /// What is accepted and not delivered yet, and how much of it may be.
    pub outstanding: OutstandingStatistics,
    /// Requests on the wire.
    pub connections: ConnectionStatistics,
    /// Totals of all streams since the producer was created.
    pub counters: Counters,
    /// Every stream that was used, by the name or ARN it was opened by.
    pub streams: BTreeMap<String, StreamStatistics>,
}

/// Something that stands out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Finding {
    /// What kind it is.
    pub kind: FindingKind,
    /// The stream, if it is about one.
    pub stream: Option<String>,
    /// The shard, if it is about one.
    pub shard: Option<String>,
    /// What was seen and what to do, in a sentence for people.
    pub message: String,
}

/// Kinds of findings, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingKind {
    /// A bug stopped the stream.
    StreamBroken,
    /// Calls fail: the stream sends nothing but probes.
    StreamBackedOff,
    /// There is no shard map: user records of different keys do not share aggregates.
    NoShardMap,
    /// More is offered to a shard than it takes.
    ShardOverloaded,
    /// The service throttled a shard in the last minute.
    ShardThrottled,
    /// Puts wait, or are refused, because the budget is used up.
    BudgetFull,
    /// All connections are in use and requests wait for one.
    ConnectionsBusy,
    /// Answers take long.
    SlowAnswers,
    /// Reports lie in the queue and are not taken.
    ReportsNotTaken,
    /// One partition key makes up much of a stream.
    HotKey,
}

/// User records accepted and not delivered, and the budget for them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OutstandingStatistics {
    /// User records.
    pub records: usize,
    /// `max_outstanding_records`.
    pub max_records: usize,
    /// Bytes of data and partition keys.
    pub bytes: usize,
    /// `max_outstanding_bytes`.
    pub max_bytes: usize,
    /// User records that are decided, whose reports nobody has taken from the queue.
    pub reports_not_taken: usize,
    /// How long ago the oldest undecided user record was put; none if there is none.
    pub oldest_ms: Option<f64>,
}

/// Requests on the wire.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ConnectionStatistics {
    /// PutRecords requests on the wire, of all streams.
    pub in_use: usize,
    /// `max_connections`.
    pub max: usize,
}

/// One stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct StreamStatistics {
    /// Whether it takes user records.
    pub state: StreamState,
    /// User records accepted and not decided.
    pub undecided_records: usize,
    /// Bytes of their data and partition keys.
    pub undecided_bytes: usize,
    /// How long ago the oldest of them was put; none if there is none.
    pub oldest_ms: Option<f64>,
    /// Where they are.
    pub queues: QueueStatistics,
    /// Why nothing but probes is sent; none if calls succeed.
    pub backoff: Option<BackoffStatistics>,
    /// What is known of the shards.
    pub shard_map: ShardMapStatistics,
    /// How long things took in the last half to whole minute.
    pub times: TimeStatistics,
    /// Totals since the stream was opened.
    pub counters: Counters,
    /// Every shard of the shard map, and those that still have something queued, by shard id.
    pub shards: BTreeMap<String, ShardStatistics>,
    /// The partition keys with most bytes of the last minute or so, largest first: up to ten with 1 % or more, from a sample of
    /// one in 128 user records.
    pub hot_keys: Vec<HotKey>,
}

/// Whether a stream takes user records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StreamState {
    /// It does.
    #[default]
    Open,
    /// The producer is closed or closing.
    Closed,
    /// A bug stopped it.
    Broken,
}

/// Where the undecided user records of a stream are.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct QueueStatistics {
    /// User records in open aggregates, which wait for company.
    pub open_user_records: usize,
    /// Kinesis records ready to be sent.
    pub queued_kinesis_records: usize,
    /// Their bytes.
    pub queued_bytes: usize,
    /// PutRecords requests on the wire.
    pub requests_on_wire: usize,
    /// Kinesis records in them.
    pub kinesis_records_on_wire: usize,
    /// How long ago the oldest of the requests was sent; none if there is none.
    pub oldest_request_ms: Option<f64>,
    /// Kinesis records that are being taken apart because shards changed, or wait for a shard map that explains where they
    /// were stored.
    pub kinesis_records_resharding: usize,
    /// Kinesis records of requests whose content was refused, which are sent again in halves.
    pub kinesis_records_in_halves: usize,
    /// Whether a request is due and no connection is free.
    pub waits_for_connection: bool,
}

/// Why a stream sends nothing but probes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct BackoffStatistics {
    /// Time until the next probe.
    pub remaining_ms: f64,
    /// Probes that failed one after the other.
    pub failures: u32,
    /// The error code of the last failed call.
    pub error_code: String,
    /// The service's words.
    pub error_message: String,
}

/// What is known of the shards of a stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ShardMapStatistics {
    /// Open shards; 0 while there is no shard map.
    pub open_shards: usize,
    /// How often another shard map was put into use.
    pub changes: u64,
    /// How long ago the last round of ListShards ended; none before the first one did.
    pub read_ms_ago: Option<f64>,
    /// Rounds of ListShards that failed one after the other.
    pub failures: u32,
}

/// How long things took lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TimeStatistics {
    /// From the put, or the end of the attempt before, to an attempt.
    pub buffering: Percentiles,
    /// A PutRecords call.
    pub request: Percentiles,
    /// From the put to the report.
    pub total: Percentiles,
}

/// How values are spread, in milliseconds, each known to 1 %; all are 0 if there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Percentiles {
    /// How many values.
    pub count: u64,
    /// Half of them are at most this.
    pub p50_ms: f64,
    /// 90 % of them are at most this.
    pub p90_ms: f64,
    /// 99 % of them are at most this.
    pub p99_ms: f64,
    /// 99.9 % of them are at most this.
    pub p999_ms: f64,
    /// The largest.
    pub max_ms: f64,
}

/// One shard.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ShardStatistics {
    /// Bytes a second that became ready to be sent to it, over the last ten seconds.
    pub offered_bytes_per_second: f64,
    /// Kinesis records a second, likewise.
    pub offered_records_per_second: f64,
    /// Bytes a second that it stored, over the last ten seconds.
    pub stored_bytes_per_second: f64,
    /// Bytes a second at which it is sent to at most, adapted to what the service takes.
    pub limit_bytes_per_second: f64,
    /// Kinesis records a second, likewise.
    pub limit_records_per_second: f64,
    /// What is offered as a part of the limit, in bytes or records, whichever is more: above 1, the queue grows.
    pub load: f64,
    /// Kinesis records that it throttled since the stream was opened.
    pub throttled: u64,
    /// Those of the last minute.
    pub throttled_last_minute: u64,
    /// Time until it is sent to again after it throttled or failed; 0 if it may be now.
    pub backoff_ms: f64,
    /// User records in its open aggregate.
    pub open_user_records: usize,
    /// Kinesis records queued for it.
    pub queued_kinesis_records: usize,
    /// Their bytes.
    pub queued_bytes: usize,
    /// Time until they are sent at the present limit.
    pub drain_ms: f64,
    /// How long ago the oldest user record that waits for it was put; none if there is none.
    pub oldest_ms: Option<f64>,
    /// Whether puts for it are refused or wait until there is room in its queue.
    pub refuses_puts: bool,
}

/// A partition key that makes up much of a stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct HotKey {
    /// The key.
    pub partition_key: String,
    /// The shard it was last put to, if that is known.
    pub shard: Option<String>,
    /// Its part of the stream's bytes, from 0 to 1, from a sample.
    pub share: f64,
}

impl FindingKind {
    /// Its name in the JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FindingKind::StreamBroken => "stream_broken",
            FindingKind::StreamBackedOff => "stream_backed_off",
            FindingKind::NoShardMap => "no_shard_map",
            FindingKind::ShardOverloaded => "shard_overloaded",
            FindingKind::ShardThrottled => "shard_throttled",
            FindingKind::BudgetFull => "budget_full",
            FindingKind::ConnectionsBusy => "connections_busy",
            FindingKind::SlowAnswers => "slow_answers",
            FindingKind::ReportsNotTaken => "reports_not_taken",
            FindingKind::HotKey => "hot_key",
        }
    }
}

/// Kind, stream and shard, and the sentence: a line for a person.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        for place in self.stream.iter().chain(&self.shard) {
            write!(f, " {place}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl Statistics {
    /// As JSON, on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers, texts and maps of texts can be written")
    }

    /// Adds what stands out.
    pub(crate) fn find(mut self) -> Statistics {
        self.findings = findings::of(&self);
        self
    }
}
