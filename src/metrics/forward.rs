//! Tells the values to the recorder that the application installed for the `metrics` facade (feature `metrics`), under the names of
//! [`Series`]. Every place and every stream keeps its handles, so that nothing is looked up for a value. What is counted here is
//! what the accumulators count, at the same moment; the recorder adds up by itself.
//!
//! A recorder is foreign code: [`guarded`] is the only way to it. It is called under the stream's metrics lock, never under the
//! stream's own; it must not call the producer.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ::metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, SharedString, with_recorder};

use super::facade::{Kind, Series};
use super::metric::{Metric, Unit};
use super::statistic_set::StatisticSet;
use crate::error::ErrorCode;
use crate::record::ShardId;

static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// Values of a second and histogram that are told one by one; of the next as many every second one, then every fourth, and so
/// on. Recorders keep each value apart until they are read (metrics-exporter-prometheus: 16 bytes each, for 5 s): a million user
/// records a second would take 240 MB.
const PLAIN_VALUES: u64 = 4096;

/// What the recorder knows of one shard, or of what has none.
#[derive(Debug)]
pub(super) struct PlaceHandles([Sums; Metric::ALL.len()]);

/// How the values of a metric in one place are told.
#[derive(Debug)]
enum Sums {
    /// They are not: it is no counter, or has no shard.
    Untold,
    Sum(Counter),
    /// 1 or 0.
    Outcomes {
        stored: Counter,
        failed: Counter,
    },
}

impl PlaceHandles {
    pub(super) fn add(&self, metric: Metric, values: &StatisticSet) {
        let sum = values.sum as u64;
        match self.0.get(metric as usize) {
            None | Some(Sums::Untold) => {}
            Some(Sums::Sum(counter)) => increment(counter, sum),
            Some(Sums::Outcomes { stored, failed }) => {
                increment(stored, sum);
                increment(failed, values.count.saturating_sub(sum));
            }
        }
    }
}

/// What the recorder knows of one stream.
#[derive(Debug)]
pub(super) struct StreamHandles {
    stream: SharedString,
    pending: Gauge,
    /// What this stream has added to the gauge: it may be another producer's as well.
    pending_told: i64,
    histograms: [Values; Metric::ALL.len()],
    total_time: Values,
    errors: BTreeMap<(ErrorCode, Option<ShardId>), Counter>,
}

impl StreamHandles {
    pub(super) fn new(stream: &str) -> StreamHandles {
        Series::all().for_each(|series| describe(&series));
        let stream = SharedString::from(stream.to_owned());
        let labels = || vec![Label::new("stream", stream.clone())];
        let pending = key(&Series::of(Metric::UserRecordsPending), labels());
        let histogram = |series: &Series| match series.kind {
            Kind::Histogram => Values::new(&key(series, labels()), series.unit),
            Kind::Counter | Kind::Gauge => Values::untold(),
        };
        StreamHandles {
            pending: registered(|recorder| recorder.register_gauge(&pending, &METADATA)).unwrap_or_else(Gauge::noop),
            pending_told: 0,
            histograms: std::array::from_fn(|index| {
                Metric::ALL.get(index).map_or_else(Values::untold, |metric| histogram(&Series::of(*metric)))
            }),
            total_time: histogram(&Series::total_time()),
            errors: BTreeMap::new(),
            stream,
        }
    }

    /// The counters of a shard, or of what has none: there all at once, so that their first values are seen to be a rise.
    pub(super) fn place(&self, shard: Option<&ShardId>) -> PlaceHandles {
        let counters = |metric: Metric| {
            let series = Series::of(metric);
            let has = |label| series.labels.contains(&label);
            if series.kind != Kind::Counter || has("error_code") || (shard.is_some() && !has("shard")) {
                return Sums::Untold;
            }
            let mut labels = vec![Label::new("stream", self.stream.clone())];
            if has("shard") {
                labels.push(shard_label(shard));
            }
            if !has("result") {
                return Sums::Sum(counter(&series, labels));
            }
            let of = |result| {
                let labels = labels.iter().cloned().chain([Label::from_static_parts("result", result)]);
                counter(&series, labels.collect())
            };
            Sums::Outcomes { stored: of("stored"), failed: of("failed") }
        };
        PlaceHandles(std::array::from_fn(|index| {
            Metric::ALL.get(index).map_or(Sums::Untold, |metric| counters(*metric))
        }))
    }

    /// So many more user records are pending, or fewer. Told as a change, because several threads may tell theirs in any order.
    pub(super) fn pending(&mut self, change: i64) {
        if change != 0 {
            self.pending_told += change;
            guarded(|| self.pending.increment(change as f64));
        }
    }

    pub(super) fn error(&mut self, key: &(ErrorCode, Option<ShardId>)) {
        if !self.errors.contains_key(key) {
            let (code, shard) = key;
            let labels = vec![
                Label::new("stream", self.stream.clone()),
                shard_label(shard.as_ref()),
                Label::new("error_code", code.as_str().to_owned()),
            ];
            self.errors.insert(key.clone(), counter(&Series::of(Metric::ErrorsByCode), labels));
        }
        if let Some(counter) = self.errors.get(key) {
            increment(counter, 1);
        }
    }

    /// It is counted with others from now on.
    pub(super) fn forget_error(&mut self, key: &(ErrorCode, Option<ShardId>)) {
        self.errors.remove(key);
    }

    /// A value of a distribution, `count` times; times are in microseconds.
    pub(super) fn record(&mut self, metric: Metric, value: u64, count: u64, second: u64) {
        if let Some(values) = self.histograms.get_mut(metric as usize) {
            values.record(value, count, second);
        }
    }

    pub(super) fn record_total_time(&mut self, micros: u64, count: u64, second: u64) {
        self.total_time.record(micros, count, second);
    }
}

impl Drop for StreamHandles {
    /// A stream that is gone has nothing pending, even if it broke down and its user records were never counted as decided.
    fn drop(&mut self) {
        self.pending(-self.pending_told);
    }
}

/// One histogram.
#[derive(Debug)]
struct Values {
    histogram: Histogram,
    /// Of a value, in the histogram's unit.
    scale: f64,
    second: u64,
    /// Told in this second.
    told: u64,
    /// Not told, until there are enough of them for the next one.
    skipped: u64,
}

impl Values {
    fn new(key: &Key, unit: Unit) -> Values {
        let scale = match unit {
            Unit::Count | Unit::Bytes => 1.0,
            Unit::Milliseconds => 1e-6,
        };
        let histogram = registered(|recorder| recorder.register_histogram(key, &METADATA));
        Values { histogram: histogram.unwrap_or_else(Histogram::noop), scale, ..Values::untold() }
    }

    fn untold() -> Values {
        Values { histogram: Histogram::noop(), scale: 1.0, second: 0, told: 0, skipped: 0 }
    }

    fn record(&mut self, value: u64, count: u64, second: u64) {
        let count = self.thin(count, second);
        if count > 0 {
            guarded(|| self.histogram.record_many(value as f64 * self.scale, count));
        }
    }

    /// How many of `count` values are told.
    fn thin(&mut self, count: u64, second: u64) -> usize {
        if self.second != second {
            (self.second, self.told, self.skipped) = (second, 0, 0);
        }
        let stride = 1 << (self.told / PLAIN_VALUES).min(32);
        let waiting = self.skipped + count;
        self.skipped = waiting % stride;
        self.told += waiting / stride;
        usize::try_from(waiting / stride).unwrap_or(usize::MAX)
    }
}

/// A panic of the recorder's must not cost anybody a report or a number; the panic hook has told of it.
fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

fn registered<T>(register: impl FnOnce(&dyn Recorder) -> T) -> Option<T> {
    guarded(|| with_recorder(register))
}

fn counter(series: &Series, labels: Vec<Label>) -> Counter {
    let key = key(series, labels);
    registered(|recorder| recorder.register_counter(&key, &METADATA)).unwrap_or_else(Counter::noop)
}

fn increment(counter: &Counter, by: u64) {
    if by > 0 {
        guarded(|| counter.increment(by));
    }
}

fn key(series: &Series, labels: Vec<Label>) -> Key {
    Key::from_parts(series.name.clone(), labels)
}

fn shard_label(shard: Option<&ShardId>) -> Label {
    Label::new("shard", shard.map_or_else(String::new, |shard| shard.as_str().to_owned()))
}

fn describe(series: &Series) {
    let unit = match series.unit {
        Unit::Count => ::metrics::Unit::Count,
        Unit::Bytes => ::metrics::Unit::Bytes,
        Unit::Milliseconds => ::metrics::Unit::Seconds,
    };
    let (name, unit, words) = (series.name.clone().into(), Some(unit), series.description.into());
    registered(|recorder| match series.kind {
        Kind::Counter => recorder.describe_counter(name, unit, words),
        Kind::Gauge => recorder.describe_gauge(name, unit, words),
        Kind::Histogram => recorder.describe_histogram(name, unit, words),
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::metrics::{CounterFn, GaugeFn, HistogramFn, KeyName, with_local_recorder};

    use super::*;
    use crate::metrics::{Decided, Measurement, StreamMetrics};
    use crate::time::Time;

    /// A recorder that panics: with everything, or only with values.
    struct Panicking {
        registers: bool,
    }

    struct Handle;

    impl Recorder for Panicking {
        fn describe_counter(&self, _: KeyName, _: Option<::metrics::Unit>, _: SharedString) {
            panic!("a recorder's bug");
        }

        fn describe_gauge(&self, _: KeyName, _: Option<::metrics::Unit>, _: SharedString) {}

        fn describe_histogram(&self, _: KeyName, _: Option<::metrics::Unit>, _: SharedString) {}

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            assert!(self.registers, "a recorder's bug");
            Counter::from_arc(Arc::new(Handle))
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            assert!(self.registers, "a recorder's bug");
            Gauge::from_arc(Arc::new(Handle))
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            assert!(self.registers, "a recorder's bug");
            Histogram::from_arc(Arc::new(Handle))
        }
    }

    impl CounterFn for Handle {
        fn increment(&self, _: u64) {
            panic!("a recorder's bug");
        }

        fn absolute(&self, _: u64) {}
    }

    impl GaugeFn for Handle {
        fn increment(&self, _: f64) {
            panic!("a recorder's bug");
        }

        fn decrement(&self, _: f64) {}

        fn set(&self, _: f64) {}
    }

    impl HistogramFn for Handle {
        fn record(&self, _: f64) {
            panic!("a recorder's bug");
        }
    }

    /// One user record that fails.
    fn count_one(metrics: &mut StreamMetrics) {
        let now = Time::from_millis(10);
        let shard = ShardId::new("shard");
        metrics.received(1, now);
        let code = ErrorCode::new("InternalFailure");
        let attempted = Measurement::Attempted { shard: Some(shard.clone()), user_records: 1, answer: Some(Err(code)) };
        metrics.measure(attempted, now);
        let decided = Decided {
            shard: Some(&shard),
            base: Time::ZERO,
            arrivals: &[0],
            data: Default::default(),
            stored: false,
            expired: true,
            attempts: 1,
            first_attempt: Some(Time::from_millis(5)),
            dropped_waits: StatisticSet::default(),
            now,
        };
        metrics.decide(&decided, std::iter::empty());
    }

    fn count_of(metrics: &StreamMetrics, metric: Metric) -> u64 {
        let readings = metrics.read(None, Time::from_millis(10));
        readings.iter().filter(|reading| reading.metric == metric).map(|reading| reading.values.count).sum()
    }

    #[test]
    fn a_recorder_that_panics_costs_no_number() {
        for registers in [true, false] {
            with_local_recorder(&Panicking { registers }, || {
                let mut metrics = StreamMetrics::new("orders", Time::ZERO);
                count_one(&mut metrics);
                for metric in [
                    Metric::UserRecordsReceived,
                    Metric::KinesisRecordsPut,
                    Metric::ErrorsByCode,
                    Metric::UserRecordExpired,
                    Metric::BufferingTime,
                ] {
                    assert_eq!(count_of(&metrics, metric), 1, "{metric}");
                }
            });
        }
    }

    /// Reports that a panic interrupts are counted and handed out while it unwinds.
    #[test]
    fn a_recorder_that_panics_does_not_end_the_program_while_another_panic_unwinds() {
        struct CountOnDrop<'a>(&'a mut StreamMetrics);

        impl Drop for CountOnDrop<'_> {
            fn drop(&mut self) {
                count_one(self.0);
            }
        }

        with_local_recorder(&Panicking { registers: true }, || {
            let mut metrics = StreamMetrics::new("orders", Time::ZERO);
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                let _count = CountOnDrop(&mut metrics);
                panic!("a bug");
            }));
            assert!(unwound.is_err());
            assert_eq!(count_of(&metrics, Metric::UserRecordExpired), 1);
        });
    }

    #[test]
    fn beyond_a_number_of_values_a_second_each_stands_for_several() {
        let mut values = Values::untold();
        assert_eq!(values.thin(PLAIN_VALUES, 5), 4096);
        assert_eq!((values.thin(1, 5), values.thin(1, 5)), (0, 1));
        assert_eq!(values.thin(2 * PLAIN_VALUES - 2, 5), 4095);
        assert_eq!(values.thin(4, 5), 1);
        assert_eq!(values.thin(7, 6), 7);
        let told: usize = (0..1_000_000).map(|_| values.thin(1, 7)).sum();
        assert!(told < 9 * 4096, "{told}");
    }
}
