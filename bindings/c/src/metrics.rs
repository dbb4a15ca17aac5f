//! `kp_metrics_t`: the KPL's metrics as they stood when they were asked for, row by row.

use std::ffi::c_char;
use std::time::Duration;

use producer::metrics::{Metric, MetricValues, StatisticSet};

use crate::error::kp_error_t;
use crate::guard::{attempt, guard, handle_named, output, text};
use crate::producer::kp_producer_t;
use crate::strings::Strings;

/// Metrics, in rows from 0. Rows behind the end have neutral values (NULL, 0). Made by kp_producer_metrics, freed by
/// kp_metrics_free.
pub struct kp_metrics_t {
    rows: Vec<MetricValues>,
    /// What C holds pointers to.
    strings: Strings,
}

/// A metric of the KPL's by its name in CloudWatch, such as "UserRecordsPut", or all of them if name is NULL; of the last
/// window_seconds (1 to 60, the present one included), or since the start if that is 0. Each is given for the producer, every
/// stream and every shard, and errors by code as well; what never had a value is not there.
///
/// Ownership: the metrics are the caller's, to be freed by kp_metrics_free.
/// Errors: KP_ERR_UNKNOWN_METRIC naming all there are, KP_ERR_INVALID_WINDOW. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_producer_metrics(
    producer: *const kp_producer_t,
    name: *const c_char,
    window_seconds: u32,
    metrics: *mut *mut kp_metrics_t,
) -> *mut kp_error_t {
    attempt(|| {
        // SAFETY: the header asks for a living producer and a place to write to.
        let (producer, place) = unsafe { (handle_named(producer, "producer")?, output(metrics, "metrics")?) };
        let metric = if name.is_null() {
            None
        } else {
            // SAFETY: the header asks for NULL or a NUL-terminated string.
            Some(Metric::from_name(unsafe { text(name, "name")? })?)
        };
        let window = (window_seconds > 0).then(|| Duration::from_secs(window_seconds.into()));
        let rows = producer.producer.metrics(metric, window)?;
        place.write(Box::into_raw(Box::new(kp_metrics_t { rows, strings: Strings::default() })));
        Ok(())
    })
}

/// A text of a row; NULL if it has none, or there is no such row.
///
/// # Safety
/// `metrics` is NULL or metrics that live.
unsafe fn keep(
    metrics: *const kp_metrics_t,
    row: usize,
    text: impl FnOnce(&MetricValues) -> Option<&str>,
) -> *const c_char {
    // SAFETY: the caller's.
    let Some(metrics) = (unsafe { metrics.as_ref() }) else { return std::ptr::null() };
    metrics.strings.keep(metrics.rows.get(row).and_then(text))
}

/// The values of a row; all are 0 if there is no such row.
///
/// # Safety
/// `metrics` is NULL or metrics that live.
unsafe fn values(metrics: *const kp_metrics_t, row: usize) -> StatisticSet {
    // SAFETY: the caller's.
    let found = unsafe { metrics.as_ref() }.and_then(|metrics| metrics.rows.get(row));
    found.map_or_else(StatisticSet::default, |found| found.values)
}

/// How many rows; 0 for NULL.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_metrics_len(metrics: *const kp_metrics_t) -> usize {
    guard(0, || {
        // SAFETY: the header asks for NULL or metrics that live.
        unsafe { metrics.as_ref() }.map_or(0, |metrics| metrics.rows.len())
    })
}

/// The metric's name in CloudWatch.
///
/// Ownership: the metrics'. Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_metrics_name(metrics: *const kp_metrics_t, row: usize) -> *const c_char {
    guard(std::ptr::null(), || {
        // SAFETY: the header asks for NULL or metrics that live.
        unsafe { keep(metrics, row, |found| Some(found.metric.name())) }
    })
}

/// What its values count: "Count", "Bytes" or "Milliseconds".
///
/// Ownership: the metrics'. Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_metrics_unit(metrics: *const kp_metrics_t, row: usize) -> *const c_char {
    guard(std::ptr::null(), || {
        // SAFETY: the header asks for NULL or metrics that live.
        unsafe { keep(metrics, row, |found| Some(found.metric.unit().name())) }
    })
}

/// The stream, by the name or ARN it was opened by; NULL for all streams together.
///
/// Ownership: the metrics'. Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_metrics_stream(metrics: *const kp_metrics_t, row: usize) -> *const c_char {
    guard(std::ptr::null(), || {
        // SAFETY: the header asks for NULL or metrics that live.
        unsafe { keep(metrics, row, |found| found.stream.as_deref()) }
    })
}

/// The shard; NULL for all shards together.
///
/// Ownership: the metrics'. Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_metrics_shard(metrics: *const kp_metrics_t, row: usize) -> *const c_char {
    guard(std::ptr::null(), || {
        // SAFETY: the header asks for NULL or metrics that live.
        unsafe { keep(metrics, row, |found| found.shard.as_ref().map(|shard| shard.as_str())) }
    })
}

/// The error code, for ErrorsByCode; NULL for all codes of the producer together (for a stream or a shard see AllErrors), and for
/// every other metric.
///
/// Ownership: the metrics'. Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_metrics_error_code(metrics: *const kp_metrics_t, row: usize) -> *const c_char {
    guard(std::ptr::null(), || {
        // SAFETY: the header asks for NULL or metrics that live.
        unsafe { keep(metrics, row, |found| found.error_code.as_ref().map(|code| code.as_str())) }
    })
}

/// How many values.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_metrics_count(metrics: *const kp_metrics_t, row: usize) -> u64 {
    guard(0, || {
        // SAFETY: the header asks for NULL or metrics that live.
        unsafe { values(metrics, row) }.count
    })
}

/// Their sum.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_metrics_sum(metrics: *const kp_metrics_t, row: usize) -> f64 {
    guard(0.0, || {
        // SAFETY: the header asks for NULL or metrics that live.
        unsafe { values(metrics, row) }.sum
    })
}

/// Their average; 0 if there are none.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_metrics_mean(metrics: *const kp_metrics_t, row: usize) -> f64 {
    guard(0.0, || {
        // SAFETY: the header asks for NULL or metrics that live.
        unsafe { values(metrics, row) }.mean()
    })
}

/// The smallest; 0 if there are none.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_metrics_min(metrics: *const kp_metrics_t, row: usize) -> f64 {
    guard(0.0, || {
        // SAFETY: the header asks for NULL or metrics that live.
        unsafe { values(metrics, row) }.min
    })
}

/// The largest; 0 if there are none.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_metrics_max(metrics: *const kp_metrics_t, row: usize) -> f64 {
    guard(0.0, || {
        // SAFETY: the header asks for NULL or metrics that live.
        unsafe { values(metrics, row) }.max
    })
}

/// Frees metrics; NULL is allowed.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_metrics_free(metrics: *mut kp_metrics_t) {
    guard((), || {
        if !metrics.is_null() {
            // SAFETY: made by kp_producer_metrics, and freed once.
            drop(unsafe { Box::from_raw(metrics) });
        }
    });
}
