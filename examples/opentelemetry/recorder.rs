//! From the `metrics` facade to OpenTelemetry: one instrument for each name, with the labels as attributes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString, Unit};
use opentelemetry::KeyValue;
use opentelemetry::metrics as otel;

/// OpenTelemetry's own bounds are made for milliseconds.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

pub(crate) struct OpenTelemetryRecorder {
    meter: otel::Meter,
    /// Instruments have unit and description from their beginning.
    described: Mutex<HashMap<String, (Option<Unit>, SharedString)>>,
}

impl OpenTelemetryRecorder {
    pub(crate) fn new(meter: otel::Meter) -> OpenTelemetryRecorder {
        OpenTelemetryRecorder { meter, described: Mutex::default() }
    }

    fn describe(&self, name: &KeyName, unit: Option<Unit>, description: SharedString) {
        self.lock().insert(name.as_str().to_owned(), (unit, description));
    }

    fn described(&self, key: &Key) -> (Option<Unit>, String) {
        let described = self.lock().get(key.name()).cloned();
        described.map_or_else(Default::default, |(unit, description)| (unit, description.into_owned()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Option<Unit>, SharedString)>> {
        self.described.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// Equal names, units and descriptions give the same instrument, however often it is built.
impl metrics::Recorder for OpenTelemetryRecorder {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe(&name, unit, description);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe(&name, unit, description);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe(&name, unit, description);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let (unit, description) = self.described(key);
        let counter = self.meter.u64_counter(key.name().to_owned()).with_description(description);
        let counter = counter.with_unit(symbol(unit)).build();
        Counter::from_arc(Arc::new(Adding { counter, attributes: attributes(key), last: AtomicU64::new(0) }))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let (unit, description) = self.described(key);
        let gauge = self.meter.f64_gauge(key.name().to_owned()).with_description(description);
        let gauge = gauge.with_unit(symbol(unit)).build();
        Gauge::from_arc(Arc::new(Showing { gauge, attributes: attributes(key), shown: Mutex::new(0.0) }))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let (unit, description) = self.described(key);
        let mut histogram = self.meter.f64_histogram(key.name().to_owned()).with_description(description);
        if unit == Some(Unit::Seconds) {
            histogram = histogram.with_boundaries(SECONDS.to_vec());
        }
        let histogram = histogram.with_unit(symbol(unit)).build();
        Histogram::from_arc(Arc::new(Sorting { histogram, attributes: attributes(key) }))
    }
}

struct Adding {
    counter: otel::Counter<u64>,
    attributes: Vec<KeyValue>,
    last: AtomicU64,
}

impl CounterFn for Adding {
    fn increment(&self, value: u64) {
        self.last.fetch_add(value, Relaxed);
        self.counter.add(value, &self.attributes);
    }

    fn absolute(&self, value: u64) {
        let last = self.last.fetch_max(value, Relaxed);
        self.counter.add(value.saturating_sub(last), &self.attributes);
    }
}

struct Showing {
    gauge: otel::Gauge<f64>,
    attributes: Vec<KeyValue>,
    /// OpenTelemetry's gauges cannot be changed by a difference.
    shown: Mutex<f64>,
}

impl Showing {
    fn show(&self, change: impl FnOnce(f64) -> f64) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        *shown = change(*shown);
        self.gauge.record(*shown, &self.attributes);
    }
}

impl GaugeFn for Showing {
    fn increment(&self, value: f64) {
        self.show(|shown| shown + value);
    }

    fn decrement(&self, value: f64) {
        self.show(|shown| shown - value);
    }

    fn set(&self, value: f64) {
        self.show(|_| value);
    }
}

struct Sorting {
    histogram: otel::Histogram<f64>,
    attributes: Vec<KeyValue>,
}

impl HistogramFn for Sorting {
    fn record(&self, value: f64) {
        self.histogram.record(value, &self.attributes);
    }
}

fn attributes(key: &Key) -> Vec<KeyValue> {
    key.labels().map(|label| KeyValue::new(label.key().to_owned(), label.value().to_owned())).collect()
}

fn symbol(unit: Option<Unit>) -> &'static str {
    unit.map_or("", |unit| unit.as_canonical_label())
}
