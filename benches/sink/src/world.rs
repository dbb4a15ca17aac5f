//! Everything the server's threads share: streams, faults, dice and counts behind one lock, and the operations on them.
//! Bodies are read before the lock is taken. Nothing here waits; [`crate::server`] does what a [`Course`] says.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use md5::{Digest as _, Md5};
use serde::Serialize;

use crate::clock::{self, Clock};
use crate::faults::{self, Course, Faults};
use crate::options::Options;
use crate::protocol::{
    self, DescribeStreamSummary, Format, ListShards, Outcome, PutRecords, PutRecordsAnswer, Refusal, ShardId,
};
use crate::statistics::{CheckStatistics, SizeCounts, Statistics};
use crate::stream::{Arriving, Page, ShardAnswer, Stream};

const MAX_ENTRIES: usize = 500; // AWS "PutRecords"
const MAX_REQUEST_BYTES: usize = 10 << 20; // AWS "PutRecords", partition keys included
const MAX_PARTITION_KEY_CHARS: usize = 256; // AWS "PutRecords"

/// The service behind the sockets.
#[derive(Debug)]
pub(crate) struct World {
    options: Options,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    streams: BTreeMap<String, Stream>,
    faults: Faults,
    faults_set_at: Duration,
    dice: fastrand::Rng,
    counts: Statistics,
    sizes: SizeCounts,
    connections_open: u64,
}

/// A counted mishap of a request, decided by its course.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mishap {
    LostAnswer,
    Hung,
    Late,
    Spoilt,
}

impl World {
    pub(crate) fn new(options: Options) -> Self {
        let state = State {
            streams: BTreeMap::new(),
            faults: options.faults.clone(),
            faults_set_at: Duration::ZERO,
            dice: fastrand::Rng::with_seed(options.seed),
            counts: Statistics::default(),
            sizes: SizeCounts::default(),
            connections_open: 0,
        };
        Self { options, clock: Clock::start(), state: Mutex::new(state) }
    }

    /// Counts a request's arrival and decides whether it fails outright.
    pub(crate) fn admit(&self, body_len: usize) -> Result<(), Refusal> {
        let now = self.clock.now();
        let state = &mut *self.state();
        state.counts.requests += 1;
        state.counts.bytes_received += body_len as u64;
        let fails = state.faults.fails_all(now.saturating_sub(state.faults_set_at));
        if fails || faults::hit(&mut state.dice, state.faults.error_500_rate) {
            return Err(Refusal::internal_failure());
        }
        Ok(())
    }

    /// Throws the dice for one PutRecords request.
    pub(crate) fn throw(&self) -> Course {
        let state = &mut *self.state();
        state.counts.put_records_requests += 1;
        state.faults.throw(&mut state.dice)
    }

    pub(crate) fn put_records(&self, format: Format, body: &[u8]) -> Result<PutRecordsAnswer, Refusal> {
        let request: PutRecords<'_> = format.read(body)?;
        let text = |text: &'_ Option<protocol::Text<'_>>| text.as_ref().map(|text| text.0.to_string());
        let (name, arn) = (text(&request.stream_name), text(&request.stream_arn));
        let name = protocol::stream_name(name.as_deref(), arn.as_deref())?;
        let entries = self.read_entries(&request, format)?;
        let now = self.clock.now();
        let state = &mut *self.state();
        let rate_factor = state.faults.enforce_limits.then_some(state.faults.throttle_rate_factor);
        let mut failed_record_count = 0;
        let mut records = Vec::with_capacity(entries.len());
        let stream = stream_of(&mut state.streams, name, &self.options);
        for entry in &entries {
            let bytes = (entry.data_len + entry.partition_key.len()) as u64;
            state.counts.entries += 1;
            state.counts.entry_bytes += bytes;
            let outcome = if faults::hit(&mut state.dice, state.faults.entry_failure_rate) {
                Outcome::Failed
            } else {
                stream.put(entry.arriving(), now, rate_factor)
            };
            match outcome {
                Outcome::Stored { .. } => {
                    state.counts.stored += 1;
                    state.counts.stored_bytes += bytes;
                    state.sizes.add(entry.data_len);
                }
                Outcome::Throttled { .. } => state.counts.throttled += 1,
                Outcome::Failed => state.counts.failed += 1,
            }
            failed_record_count += u32::from(!matches!(outcome, Outcome::Stored { .. }));
            records.push(outcome);
        }
        Ok(PutRecordsAnswer { failed_record_count, records })
    }

    /// `None`: it is to hang.
    pub(crate) fn list_shards(&self, format: Format, body: &[u8]) -> Result<Option<ListShardsAnswer>, Refusal> {
        let request: ListShards = format.read(body)?;
        let state = &mut *self.state();
        state.counts.list_shards_requests += 1;
        let page = page_of(&request)?;
        if state.faults.list_shards_hang {
            state.counts.hung_requests += 1;
            return Ok(None);
        }
        let most = request.max_results.unwrap_or(1000).clamp(1, self.options.list_shards_page) as usize;
        let stream = stream_of(&mut state.streams, &page.stream, &self.options);
        let (shards, more) = stream.list(page.only_open, page.after, most);
        let after = shards.last().map(|shard| shard.shard_id.0).filter(|_| more);
        let next_token = after.map(|after| Page { after: Some(after), ..page }.token());
        Ok(Some(ListShardsAnswer { shards, next_token }))
    }

    pub(crate) fn describe_stream_summary(&self, format: Format, body: &[u8]) -> Result<SummaryAnswer, Refusal> {
        let request: DescribeStreamSummary = format.read(body)?;
        let name = protocol::stream_name(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
        let state = &mut *self.state();
        let stream = stream_of(&mut state.streams, name, &self.options);
        let stream_description_summary = Summary {
            stream_name: name.to_owned(),
            stream_arn: format!("arn:aws:kinesis:us-east-1:000000000000:stream/{name}"),
            stream_status: "ACTIVE",
            open_shard_count: stream.open_shards(),
            retention_period_hours: 24,
            // CBOR wants a tagged timestamp there, which the writer has no words for.
            stream_creation_timestamp: (format == Format::Json).then_some(1_700_000_000),
            enhanced_monitoring: [],
        };
        Ok(SummaryAnswer { stream_description_summary })
    }

    pub(crate) fn faults(&self) -> Faults {
        self.state().faults.clone()
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        let now = self.clock.now();
        let state = &mut *self.state();
        state.faults = faults;
        state.faults_set_at = now;
    }

    /// Reshards one stream, which need not exist yet, or all.
    pub(crate) fn reshard(&self, stream: Option<&str>, shards: u32) {
        let state = &mut *self.state();
        match stream {
            Some(name) => stream_of(&mut state.streams, name, &self.options).reshard(shards),
            None => state.streams.values_mut().for_each(|stream| stream.reshard(shards)),
        }
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let state = self.state();
        let mut check: Option<CheckStatistics> = self.options.check.then(CheckStatistics::default);
        for checker in state.streams.values().filter_map(|stream| stream.checker.as_ref()) {
            check.get_or_insert_default().add(&checker.statistics());
        }
        Statistics {
            kinesis_record_bytes: state.sizes.sizes(),
            check,
            streams: state.streams.iter().map(|(name, stream)| (name.clone(), stream.shard_statistics())).collect(),
            cpu_ms: clock::process_cpu().as_secs_f64() * 1e3,
            uptime_ms: self.clock.now().as_secs_f64() * 1e3,
            ..state.counts.clone()
        }
    }

    /// Forgets all counts and what the checker saw; streams, shards and faults stay.
    pub(crate) fn reset(&self) {
        let state = &mut *self.state();
        state.counts = Statistics::default();
        state.counts.connections_high = state.connections_open;
        state.sizes = SizeCounts::default();
        state.streams.values_mut().for_each(Stream::reset);
    }

    pub(crate) fn count_refusal(&self, refusal: &Refusal) {
        *self.state().counts.refused_requests.entry(refusal.code.to_owned()).or_default() += 1;
    }

    pub(crate) fn count_mishap(&self, mishap: Mishap) {
        let counts = &mut self.state().counts;
        match mishap {
            Mishap::LostAnswer => counts.lost_answers += 1,
            Mishap::Hung => counts.hung_requests += 1,
            Mishap::Late => counts.late_requests += 1,
            Mishap::Spoilt => counts.spoilt_answers += 1,
        }
    }

    pub(crate) fn connection_opened(&self) {
        let state = &mut *self.state();
        state.connections_open += 1;
        state.counts.connections += 1;
        state.counts.connections_high = state.counts.connections_high.max(state.connections_open);
    }

    pub(crate) fn connection_closed(&self) {
        self.state().connections_open -= 1;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_entries<'a>(&self, request: &'a PutRecords<'_>, format: Format) -> Result<Vec<ReadEntry<'a>>, Refusal> {
        let count = request.records.len();
        if !(1..=MAX_ENTRIES).contains(&count) {
            let words = format!("Records: {count} entries are not in 1..={MAX_ENTRIES}");
            return Err(Refusal::new("ValidationException", words));
        }
        let mut total_bytes = 0;
        let mut entries = Vec::with_capacity(count);
        for entry in &request.records {
            let partition_key: &str = &entry.partition_key.0;
            let data_len = entry.data.decoded_len(format);
            let bytes = data_len + partition_key.len();
            total_bytes += bytes;
            if partition_key.is_empty() || too_long(partition_key) {
                let words =
                    format!("PartitionKey {partition_key:.300}: not of 1..={MAX_PARTITION_KEY_CHARS} characters");
                return Err(Refusal::new("ValidationException", words));
            }
            if bytes > self.options.max_record_bytes {
                let words = format!("an entry of {bytes} bytes is above {}", self.options.max_record_bytes);
                return Err(Refusal::new("ValidationException", words));
            }
            let hash_key = match &entry.explicit_hash_key {
                Some(key) => protocol::hash_key(&key.0)?,
                None => u128::from_be_bytes(Md5::digest(partition_key).into()),
            };
            let data = if self.options.check { entry.data.decoded(format)? } else { Cow::Borrowed(&[][..]) };
            entries.push(ReadEntry { partition_key, hash_key, data, data_len });
        }
        if total_bytes > MAX_REQUEST_BYTES {
            let words = format!("a request of {total_bytes} bytes is above {MAX_REQUEST_BYTES}");
            return Err(Refusal::new("InvalidArgumentException", words));
        }
        Ok(entries)
    }
}

/// An entry that is fit to be stored; its data is empty unless somebody will look at it.
struct ReadEntry<'a> {
    partition_key: &'a str,
    hash_key: u128,
    data: Cow<'a, [u8]>,
    data_len: usize,
}

impl ReadEntry<'_> {
    fn arriving(&self) -> Arriving<'_> {
        Arriving {
            partition_key: self.partition_key,
            hash_key: self.hash_key,
            data: &self.data,
            data_len: self.data_len,
        }
    }
}

fn too_long(partition_key: &str) -> bool {
    partition_key.len() > MAX_PARTITION_KEY_CHARS && partition_key.chars().count() > MAX_PARTITION_KEY_CHARS
}

fn stream_of<'a>(streams: &'a mut BTreeMap<String, Stream>, name: &str, options: &Options) -> &'a mut Stream {
    if !streams.contains_key(name) {
        streams.insert(name.to_owned(), Stream::new(options.shards, options.check));
    }
    streams.get_mut(name).expect("it was inserted if it was not there")
}

fn page_of(request: &ListShards) -> Result<Page, Refusal> {
    if let Some(token) = &request.next_token {
        if request.stream_name.is_some() {
            let words = "NextToken and StreamName cannot be provided together.";
            return Err(Refusal::new("InvalidArgumentException", words));
        }
        return Page::of_token(token);
    }
    let stream = protocol::stream_name(request.stream_name.as_deref(), request.stream_arn.as_deref())?.to_owned();
    let mut after = request.exclusive_start_shard_id.as_deref().map(ShardId::parse).transpose()?;
    let mut only_open = false;
    if let Some(filter) = &request.shard_filter {
        match (filter.kind.as_str(), filter.shard_id.as_deref()) {
            ("AT_LATEST", None) => only_open = true,
            ("AT_TRIM_HORIZON" | "FROM_TRIM_HORIZON" | "AT_TIMESTAMP" | "FROM_TIMESTAMP", None) => {}
            ("AFTER_SHARD_ID", Some(id)) => after = Some(ShardId::parse(id)?),
            (kind, _) => {
                return Err(Refusal::new("InvalidArgumentException", format!("ShardFilter {kind}: not valid")));
            }
        }
    }
    Ok(Page { stream, only_open, after })
}

/// The answer to `ListShards`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListShardsAnswer {
    pub(crate) shards: Vec<ShardAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_token: Option<String>,
}

/// The answer to `DescribeStreamSummary`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SummaryAnswer {
    stream_description_summary: Summary,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    open_shard_count: usize,
    retention_period_hours: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_creation_timestamp: Option<u64>,
    enhanced_monitoring: [(); 0],
}
