//! The metrics of one stream. Each value is counted once, in the shard it belongs to or in the stream; what is asked for a stream
//! or a producer is added up when it is asked.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::accumulator::second_of;
use super::distribution::Distribution;
use super::hot_keys::HotKeys;
use super::measured::{Decided, Measurement};
use super::metric::Metric;
use super::places::Places;
use super::statistic_set::StatisticSet;
use super::statistics::{HotKey, Percentiles, StreamStatistics};
use crate::error::ErrorCode;
use crate::record::ShardId;
use crate::time::Time;

/// How often pending user records are looked at (kinesis_producer.cc, report_outstanding).
const PENDING_INTERVAL: Duration = Duration::from_millis(200);
/// Those of the last minute are told apart by seconds.
const PENDING_SAMPLES: u64 = 300;
/// User records of a Kinesis record whose times stand for those of their neighbours in the distribution.
const SAMPLES: usize = 8;

/// The metrics of one stream.
#[derive(Debug)]
pub struct StreamMetrics {
    places: Places,
    /// Of those that are spread, once they have a value.
    distributions: [Option<Box<Distribution>>; Metric::ALL.len()],
    /// From the put to the decision, which is no metric of the KPL's.
    total_time: Distribution,
    hot_keys: HotKeys,
    /// How many user records were pending when that was last told, and when they were last looked at.
    pending: (u64, Time),
}

/// The values of one metric in one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The metric.
    pub metric: Metric,
    /// The error code, for [`Metric::ErrorsByCode`].
    pub error_code: Option<ErrorCode>,
    /// The shard, if one is known.
    pub shard: Option<ShardId>,
    /// The values.
    pub values: StatisticSet,
}

/// What was counted since the last upload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unsent {
    /// In every place, only what has values.
    pub readings: Vec<Reading>,
    /// Of the whole stream: how often which value came, rounded up by 1 % at most; times in microseconds.
    pub spreads: Vec<(Metric, Vec<(u64, u64)>)>,
}

impl StreamMetrics {
    /// Nothing yet, of the stream of this name or ARN.
    #[must_use]
    pub fn new(stream: &str, opened: Time) -> StreamMetrics {
        StreamMetrics {
            places: Places::new(stream),
            distributions: Default::default(),
            total_time: Distribution::new(),
            hot_keys: HotKeys::default(),
            pending: (0, opened),
        }
    }

    // Inputs.

    /// `count` user records were accepted.
    pub fn received(&mut self, count: u64, now: Time) {
        if count > 0 {
            let place = self.places.of(None, second_of(now));
            place.add(Metric::UserRecordsReceived, &StatisticSet::of(1.0, count), second_of(now));
            self.places.handles.pending(count as i64);
        }
    }

    /// So many user records are pending now, and `most` were a moment ago, before some were decided. The looks that were missed
    /// since this was last said saw as many on the way from then to `most`, for nothing is decided in between, or none if there
    /// were none: the first put is told at once.
    pub fn pending(&mut self, most: u64, count: u64, now: Time) {
        let (before, mut looked) = self.pending;
        let missed = (now.since(looked).as_nanos() / PENDING_INTERVAL.as_nanos()) as u64;
        let old = missed.saturating_sub(PENDING_SAMPLES);
        let mut look = |value: u64, times: u64| {
            looked = looked + Duration::from_nanos(PENDING_INTERVAL.as_nanos() as u64 * times);
            let (values, second) = (StatisticSet::of(value as f64, times), second_of(looked));
            self.places.of(None, second).add(Metric::UserRecordsPending, &values, second);
        };
        let seen = |number: u64| match before {
            0 if number < missed => 0,
            _ => (before as f64 + (most as f64 - before as f64) * number as f64 / missed as f64) as u64,
        };
        if old > 0 {
            look(seen(old / 2), old);
        }
        for number in old + 1..=missed {
            look(seen(number), 1);
        }
        self.pending = (count, looked);
    }

    /// Something happened on the way to the service.
    pub fn measure(&mut self, measurement: Measurement, now: Time) {
        let second = second_of(now);
        match measurement {
            Measurement::Called { took, kinesis_records, user_records, error } => {
                let place = self.places.of(None, second);
                let (kinesis_records, user_records) = (kinesis_records as u64, user_records as u64);
                place.add(Metric::RequestTime, &StatisticSet::of(millis(took), 1), second);
                self.spread(Metric::RequestTime, micros(took), 1, now);
                for (metric, count) in [
                    (Metric::KinesisRecordsPerPutRecordsRequest, kinesis_records),
                    (Metric::UserRecordsPerPutRecordsRequest, user_records),
                ] {
                    self.places.of(None, second).add(metric, &StatisticSet::of(count as f64, 1), second);
                    self.spread(metric, count, 1, now);
                }
                if let Some(code) = error {
                    self.error(&code, None, second);
                }
            }
            Measurement::Attempted { shard, user_records, answer } => {
                let (shard, user_records) = (shard.as_ref(), user_records as u64);
                let place = self.places.of(shard, second);
                place.add(Metric::UserRecordsPerKinesisRecord, &StatisticSet::of(user_records as f64, 1), second);
                if let Some(answer) = &answer {
                    place.add(Metric::KinesisRecordsPut, &flag(answer.is_ok(), 1), second);
                }
                match answer {
                    Some(Ok(bytes)) => {
                        place.add(Metric::KinesisRecordsDataPut, &StatisticSet::of(bytes as f64, 1), second);
                        place.add(Metric::AllErrors, &flag(false, 1), second);
                        self.spread(Metric::KinesisRecordsDataPut, bytes as u64, 1, now);
                    }
                    Some(Err(code)) => self.error(&code, shard, second),
                    None => {}
                }
                self.spread(Metric::UserRecordsPerKinesisRecord, user_records, 1, now);
            }
            Measurement::Sampled { shard, partition_key, key_digest, bytes } => {
                self.hot_keys.add(key_digest, partition_key, shard, bytes, now);
            }
            Measurement::Offered { shard, bytes } => {
                self.places.of(Some(&shard), second).offered.add(&StatisticSet::of(bytes as f64, 1), second);
            }
        }
    }

    /// User records were decided; `waits` are the times before their further attempts.
    pub fn decide(&mut self, decided: &Decided<'_>, waits: impl Iterator<Item = Duration> + Clone) {
        let Decided { shard, base, arrivals, data, stored, expired, attempts, first_attempt, dropped_waits, now } =
            *decided;
        let (second, count) = (second_of(now), arrivals.len() as u64);
        let place = self.places.of(shard, second);
        place.add(Metric::UserRecordsPut, &flag(stored, count), second);
        if stored {
            let (min, max) = (f64::from(data.min), f64::from(data.max));
            let sizes = StatisticSet { count, sum: data.sum as f64, min, max };
            place.add(Metric::UserRecordsDataPut, &sizes, second);
        }
        if expired {
            place.add(Metric::UserRecordExpired, &flag(true, count), second);
        }
        let retries = attempts.saturating_sub(1);
        place.add(Metric::RetriesPerRecord, &StatisticSet::of(f64::from(retries), count), second);
        let further = waits.clone().map(|wait| StatisticSet::of(millis(wait), count));
        let dropped = dropped_waits.times(count);
        let first = first_attempt.map(|start| waited(base, arrivals, start));
        for values in further.chain([dropped]).chain(first) {
            place.add(Metric::BufferingTime, &values, second);
        }
        self.places.handles.pending(-(count as i64));
        self.spread(Metric::RetriesPerRecord, u64::from(retries), count, now);
        for wait in waits {
            self.spread(Metric::BufferingTime, micros(wait), count, now);
        }
        if dropped.count > 0 {
            self.spread(Metric::BufferingTime, (dropped.mean() * 1e3) as u64, dropped.count, now);
        }
        for (arrival, weight) in sampled(base, arrivals) {
            if let Some(start) = first_attempt {
                self.spread(Metric::BufferingTime, micros(start.since(arrival)), weight, now);
            }
            self.total_time.add(micros(now.since(arrival)), weight, now);
            self.places.handles.record_total_time(micros(now.since(arrival)), weight, second);
        }
    }

    // Outputs.

    /// What every metric counted since the start, or in the last `window` seconds, in every place.
    #[must_use]
    pub fn read(&self, window: Option<u64>, now: Time) -> Vec<Reading> {
        let second = second_of(now);
        let places = self.places.shards.iter().map(|(shard, place)| (Some(shard), place));
        let by_metric = places.chain([(None, &self.places.shardless)]).flat_map(|(shard, place)| {
            place.used().map(move |(metric, accumulator)| Reading {
                metric,
                error_code: None,
                shard: shard.cloned(),
                values: accumulator.read(window, second),
            })
        });
        let by_code = self.places.errors.iter().map(|((code, shard), accumulator)| Reading {
            metric: Metric::ErrorsByCode,
            error_code: Some(code.clone()),
            shard: shard.clone(),
            values: accumulator.read(window, second),
        });
        by_metric.chain(by_code).collect()
    }

    /// Adds what was measured to a look at the stream: times, hot keys, and what each shard was offered and took.
    pub(crate) fn add_to(&mut self, look: &mut StreamStatistics, now: Time) {
        look.times.buffering = self.recent(Metric::BufferingTime, now);
        look.times.request = self.recent(Metric::RequestTime, now);
        look.times.total = percentiles(&self.total_time.recent(now));
        let hot_keys = self.hot_keys.shares(now).into_iter().map(|share| HotKey {
            partition_key: share.partition_key.to_owned(),
            shard: share.shard.map(ShardId::to_string),
            share: share.share,
        });
        look.hot_keys = hot_keys.collect();
        for (id, shard) in &mut look.shards {
            self.places.add_to(&ShardId::new(id), shard, now);
        }
    }

    fn recent(&mut self, metric: Metric, now: Time) -> Percentiles {
        let distribution = self.distributions.get_mut(metric as usize).and_then(Option::as_mut);
        distribution.map(|distribution| percentiles(&distribution.recent(now))).unwrap_or_default()
    }

    /// What was counted since this was last asked for: nobody is told it twice.
    pub fn take_unsent(&mut self) -> Unsent {
        let mut readings = Vec::new();
        let mut add = |metric, error_code: Option<&ErrorCode>, shard: Option<&ShardId>, values: StatisticSet| {
            if values.count > 0 {
                readings.push(Reading { metric, error_code: error_code.cloned(), shard: shard.cloned(), values });
            }
        };
        let shards = self.places.shards.iter_mut().map(|(shard, place)| (Some(shard), place));
        for (shard, place) in shards.chain([(None, &mut self.places.shardless)]) {
            place.all_mut().for_each(|(metric, accumulator)| add(metric, None, shard, accumulator.take_unsent()));
        }
        for ((code, shard), accumulator) in &mut self.places.errors {
            add(Metric::ErrorsByCode, Some(code), shard.as_ref(), accumulator.take_unsent());
        }
        let spreads = Metric::ALL.iter().copied().zip(&mut self.distributions);
        let spreads = spreads.filter_map(|(metric, spread)| Some((metric, spread.as_mut()?.take_unsent())));
        Unsent { readings, spreads: spreads.filter(|(_, values)| !values.is_empty()).collect() }
    }

    fn error(&mut self, code: &ErrorCode, shard: Option<&ShardId>, second: u64) {
        self.places.add_error(code, shard, second);
        self.places.of(shard, second).add(Metric::AllErrors, &flag(true, 1), second);
    }

    fn spread(&mut self, metric: Metric, value: u64, count: u64, now: Time) {
        if let Some(distribution) = self.distributions.get_mut(metric as usize) {
            distribution.get_or_insert_with(|| Box::new(Distribution::new())).add(value, count, now);
        }
        self.places.handles.record(metric, value, count, second_of(now));
    }
}

/// 1 or 0, `count` times.
fn flag(value: bool, count: u64) -> StatisticSet {
    StatisticSet::of(f64::from(u8::from(value)), count)
}

fn millis(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Of values in microseconds.
fn percentiles(values: &Histogram<u64>) -> Percentiles {
    let at = |quantile: f64| values.value_at_quantile(quantile) as f64 / 1e3;
    Percentiles {
        count: values.len(),
        p50_ms: at(0.5),
        p90_ms: at(0.9),
        p99_ms: at(0.99),
        p999_ms: at(0.999),
        max_ms: values.max() as f64 / 1e3,
    }
}

/// How long each user record waited until `start`, in milliseconds. Arrivals are in order.
fn waited(base: Time, arrivals: &[u32], start: Time) -> StatisticSet {
    let (Some(first), Some(last)) = (arrivals.first(), arrivals.last()) else { return StatisticSet::default() };
    let since = |arrival: u32| millis(start.since(base + Duration::from_micros(arrival.into())));
    let offsets: u64 = arrivals.iter().map(|arrival| u64::from(*arrival)).sum();
    let sum = millis(start.since(base)) * arrivals.len() as f64 - offsets as f64 / 1e3;
    StatisticSet { count: arrivals.len() as u64, sum: sum.max(0.0), min: since(*last), max: since(*first) }
}

/// Some of the arrivals, and how many each stands for: the first and the last for themselves, the others evenly taken.
fn sampled(base: Time, arrivals: &[u32]) -> impl Iterator<Item = (Time, u64)> + '_ {
    let between = arrivals.len().saturating_sub(2);
    let samples = between.min(SAMPLES - 2);
    let evenly = (0..samples).map(move |sample| {
        let (from, to) = (sample * between / samples, (sample + 1) * between / samples);
        (1 + usize::midpoint(from, to - 1), (to - from) as u64)
    });
    let ends = [Some(0), arrivals.len().checked_sub(1)].into_iter().flatten().take(arrivals.len());
    ends.map(|place| (place, 1)).chain(evenly).filter_map(move |(place, weight)| {
        let arrival = arrivals.get(place)?;
        Some((base + Duration::from_micros((*arrival).into()), weight))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(metrics: &StreamMetrics, metric: Metric) -> StatisticSet {
        let readings = metrics.read(None, Time::from_millis(1_000_000));
        readings.iter().find(|reading| reading.metric == metric).expect("it had a value").values
    }

    #[test]
    fn pending_user_records_between_two_events_are_those_on_the_way() {
        let mut metrics = StreamMetrics::new("orders", Time::ZERO);
        // Nothing for a minute, then one put, and 50,000 more in the ten seconds before they are sent and stored together.
        metrics.pending(1, 1, Time::from_millis(60_000));
        metrics.pending(50_001, 0, Time::from_millis(70_000));
        let values = of(&metrics, Metric::UserRecordsPending);
        assert_eq!((values.count, values.max), (350, 50_001.0));
        let ramp = (values.sum - 1.0) / 50.0;
        assert!((25_000.0..26_000.0).contains(&ramp), "{ramp}");
        metrics.pending(0, 0, Time::from_millis(80_000));
        assert_eq!(of(&metrics, Metric::UserRecordsPending).sum, values.sum);
    }

    #[test]
    fn the_first_and_the_last_arrival_are_among_the_samples() {
        let mut arrivals = vec![99_000; 1_000];
        arrivals[0] = 0;
        let samples: Vec<(Time, u64)> = sampled(Time::ZERO, &arrivals).collect();
        assert_eq!((samples.len(), samples.iter().map(|(_, weight)| weight).sum::<u64>()), (SAMPLES, 1_000));
        assert_eq!(samples[0], (Time::ZERO, 1));
        for few in 0..=20 {
            let weights = sampled(Time::ZERO, &arrivals[..few]).map(|(_, weight)| weight).sum::<u64>();
            assert_eq!(weights, few as u64);
        }
    }

    #[test]
    fn idle_errors_make_room_for_those_of_other_shards() {
        let mut metrics = StreamMetrics::new("orders", Time::ZERO);
        let attempted = |shard: u32| Measurement::Attempted {
            shard: Some(ShardId::new(&shard.to_string())),
            user_records: 1,
            answer: Some(Err(ErrorCode::new("ProvisionedThroughputExceededException"))),
        };
        for shard in 0..2_000 {
            metrics.measure(attempted(shard), Time::ZERO);
        }
        let now = Time::from_millis(120_000);
        metrics.measure(attempted(7_777), now);
        let errors: Vec<Reading> =
            metrics.read(None, now).into_iter().filter(|reading| reading.error_code.is_some()).collect();
        assert_eq!(errors.iter().map(|reading| reading.values.count).sum::<u64>(), 2_001);
        assert!(errors.iter().any(|reading| reading.shard == Some(ShardId::new("7777"))), "{errors:?}");
    }
}
