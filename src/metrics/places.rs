//! Where values are added up: a shard, or the stream where no shard is known. Memory is bounded: so many shards and so many
//! errors have places of their own, and the rest share one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::accumulator::{Accumulator, WINDOW_SECONDS, second_of};
use super::forward::{PlaceHandles, StreamHandles};
use super::metric::Metric;
use super::statistic_set::StatisticSet;
use super::statistics::ShardStatistics;
use crate::error::ErrorCode;
use crate::record::ShardId;
use crate::time::Time;

/// Shards with metrics of their own, 20 KB each while all of them are busy. Those idle for a minute make room for others.
const MAX_SHARDS: usize = 1024;
/// Pairs of error code and shard with metrics of their own, 2.5 KB each.
const MAX_ERRORS: usize = 1024;
/// Error codes told apart.
const MAX_CODES: usize = 64;
/// Rates are those of the last so many seconds.
const RATE_SECONDS: u64 = 10;
/// The code of a Kinesis record that was throttled.
const THROTTLED: &str = "ProvisionedThroughputExceededException";
/// What the errors of further codes are counted as.
const OTHER_CODES: &str = "Other";

/// The metrics of one shard.
#[derive(Debug)]
pub(super) struct Place {
    metrics: [Accumulator; Metric::ALL.len()],
    /// Bytes that were ready to be sent.
    pub(super) offered: Accumulator,
    handles: PlaceHandles,
}

impl Place {
    fn new(handles: PlaceHandles) -> Place {
        Place { metrics: Default::default(), offered: Accumulator::default(), handles }
    }

    pub(super) fn add(&mut self, metric: Metric, values: &StatisticSet, second: u64) {
        if let Some(accumulator) = self.metrics.get_mut(metric as usize) {
            accumulator.add(values, second);
        }
        self.handles.add(metric, values);
    }

    /// The metrics that ever had a value.
    pub(super) fn used(&self) -> impl Iterator<Item = (Metric, &Accumulator)> {
        Metric::ALL.iter().copied().zip(&self.metrics).filter(|(_, accumulator)| accumulator.is_used())
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = (Metric, &mut Accumulator)> {
        Metric::ALL.iter().copied().zip(&mut self.metrics)
    }

    fn is_idle(&self, second: u64) -> bool {
        self.metrics.iter().chain([&self.offered]).all(|accumulator| accumulator.is_idle(second))
    }

    fn inherit(&mut self, other: &Place) {
        self.metrics.iter_mut().zip(&other.metrics).for_each(|(accumulator, other)| accumulator.inherit(other));
    }
}

/// The places of one stream.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) shardless: Place,
    pub(super) shards: HashMap<ShardId, Place, foldhash::fast::FixedState>,
    pub(super) errors: BTreeMap<(ErrorCode, Option<ShardId>), Accumulator>,
    codes: BTreeSet<ErrorCode>,
    /// The second in which idle shards were last looked for.
    searched: Option<u64>,
    /// The same for errors.
    searched_errors: Option<u64>,
    pub(super) handles: StreamHandles,
}

impl Places {
    pub(super) fn new(stream: &str) -> Places {
        let handles = StreamHandles::new(stream);
        Places {
            shardless: Place::new(handles.place(None)),
            shards: HashMap::default(),
            errors: BTreeMap::new(),
            codes: BTreeSet::new(),
            searched: None,
            searched_errors: None,
            handles,
        }
    }

    /// The shard's place, or the shardless one if there are too many shards.
    pub(super) fn of(&mut self, shard: Option<&ShardId>, second: u64) -> &mut Place {
        let Some(shard) = shard else { return &mut self.shardless };
        if !self.shards.contains_key(shard) {
            if self.shards.len() >= MAX_SHARDS && self.searched != Some(second) {
                self.searched = Some(second);
                let shardless = &mut self.shardless;
                let idle = self.shards.extract_if(|_, place| place.is_idle(second));
                idle.for_each(|(_, place)| shardless.inherit(&place));
            }
            if self.shards.len() >= MAX_SHARDS {
                return &mut self.shardless;
            }
        }
        self.shards.entry(shard.clone()).or_insert_with(|| Place::new(self.handles.place(Some(shard))))
    }

    /// Adds what a shard was offered and took, and how often it throttled.
    pub(super) fn add_to(&self, shard: &ShardId, look: &mut ShardStatistics, now: Time) {
        let second = second_of(now);
        let throttled = self.errors.get(&(ErrorCode::new(THROTTLED), Some(shard.clone())));
        look.throttled = throttled.map_or(0, |errors| errors.read(None, second).count);
        look.throttled_last_minute = throttled.map_or(0, |errors| errors.read(Some(WINDOW_SECONDS), second).count);
        let Some(place) = self.shards.get(shard) else { return };
        // The present second is not over.
        let passed = (now.as_nanos() as f64 / 1e9).min(RATE_SECONDS as f64 - 1.0 + now.as_nanos() as f64 / 1e9 % 1.0);
        let rate = |value: f64| if passed > 0.0 { value / passed } else { 0.0 };
        let offered = place.offered.read(Some(RATE_SECONDS), second);
        look.offered_bytes_per_second = rate(offered.sum);
        look.offered_records_per_second = rate(offered.count as f64);
        let stored = place.metrics.get(Metric::KinesisRecordsDataPut as usize);
        look.stored_bytes_per_second = stored.map_or(0.0, |stored| rate(stored.read(Some(RATE_SECONDS), second).sum));
        let load = |offered: f64, limit: f64| if limit > 0.0 { offered / limit } else { 0.0 };
        let bytes = load(look.offered_bytes_per_second, look.limit_bytes_per_second);
        look.load = bytes.max(load(look.offered_records_per_second, look.limit_records_per_second));
    }

    /// Those of shards that had none for a minute count for the stream from then on.
    fn forget_idle_errors(&mut self, second: u64) {
        if self.searched_errors == Some(second) {
            return;
        }
        self.searched_errors = Some(second);
        let idle = self.errors.extract_if(.., |(_, shard), errors| shard.is_some() && errors.is_idle(second));
        for ((code, shard), errors) in idle.collect::<Vec<_>>() {
            self.errors.entry((code.clone(), None)).or_default().inherit(&errors);
            self.handles.forget_error(&(code, shard));
        }
    }

    /// Counts an error by its code.
    pub(super) fn add_error(&mut self, code: &ErrorCode, shard: Option<&ShardId>, second: u64) {
        let known = self.codes.contains(code) || (self.codes.len() < MAX_CODES && self.codes.insert(code.clone()));
        let code = if known { code.clone() } else { ErrorCode::new(OTHER_CODES) };
        let mut key = (code, shard.cloned());
        if !self.errors.contains_key(&key) && self.errors.len() >= MAX_ERRORS {
            self.forget_idle_errors(second);
        }
        if !self.errors.contains_key(&key) && self.errors.len() >= MAX_ERRORS {
            // There is always room for these: one a code.
            key.1 = None;
        }
        self.handles.error(&key);
        self.errors.entry(key).or_default().add(&StatisticSet::of(1.0, 1), second);
    }
}
