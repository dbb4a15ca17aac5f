//! `kp_statistics_t`: a look at a whole producer, as JSON, and the caller's function that gets one again and again.

use std::ffi::{CString, c_char, c_void};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use producer::metrics::Statistics;

use crate::callback::UserData;
use crate::error::{c_string, kp_error_t};
use crate::guard::{attempt, dispatching, guard, handle_named, output};
use crate::producer::kp_producer_t;

/// What a producer looked like at one moment: see STATISTICS.md and statistics.schema.json. Made by kp_producer_statistics, or
/// lent to the statistics callback.
pub struct kp_statistics_t {
    json: CString,
}

/// Takes statistics. They are lent for the time of the call.
pub type kp_statistics_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, statistics: *const kp_statistics_t)>;

impl kp_statistics_t {
    fn new(statistics: &Statistics) -> kp_statistics_t {
        // JSON has no NUL in it.
        kp_statistics_t { json: c_string(&statistics.to_json()) }
    }
}

struct Caller {
    callback: unsafe extern "C" fn(*mut c_void, *const kp_statistics_t),
    user_data: UserData,
}

/// The caller's function for statistics, which the library and the producer's handle share: whoever frees the handle ends it,
/// however long the library's tasks take to go away. The lock is held during a call, so that ending waits for one that runs.
#[derive(Clone)]
pub(crate) struct StatisticsCallback(Arc<Mutex<Option<Caller>>>);

impl StatisticsCallback {
    pub(crate) fn new(
        callback: unsafe extern "C" fn(*mut c_void, *const kp_statistics_t),
        user_data: UserData,
    ) -> StatisticsCallback {
        StatisticsCallback(Arc::new(Mutex::new(Some(Caller { callback, user_data }))))
    }

    /// Calls it for the producer with this number, unless it was ended.
    pub(crate) fn call(&self, number: u64, statistics: &Statistics) {
        if let Some(Caller { callback, user_data }) = &*self.lock() {
            let statistics = kp_statistics_t::new(statistics);
            // SAFETY: the caller's function, with the caller's pointer, and statistics that live for the call.
            dispatching(number, || unsafe { callback(user_data.pointer(), &raw const statistics) });
        }
    }

    /// No call runs after this, and the finalizer was called. Not from inside a call.
    pub(crate) fn end(&self) {
        let caller = self.lock().take();
        // Not under the lock: the caller's finalizer runs here.
        drop(caller);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Caller>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A look at everything at this moment: queues, shards, times, hot keys, and what of it stands out. It costs some microseconds
/// a shard.
///
/// Ownership: the statistics are the caller's, to be freed by kp_statistics_free. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_producer_statistics(
    producer: *const kp_producer_t,
    statistics: *mut *mut kp_statistics_t,
) -> *mut kp_error_t {
    attempt(|| {
        // SAFETY: the header asks for a living producer and a place to write to.
        let (producer, place) = unsafe { (handle_named(producer, "producer")?, output(statistics, "statistics")?) };
        place.write(Box::into_raw(Box::new(kp_statistics_t::new(&producer.producer.statistics()))));
        Ok(())
    })
}

/// The statistics as JSON on one line, NUL-terminated; NULL for NULL.
///
/// Ownership: the statistics'. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_statistics_json(statistics: *const kp_statistics_t) -> *const c_char {
    guard(std::ptr::null(), || {
        // SAFETY: the header asks for NULL or statistics that live.
        unsafe { statistics.as_ref() }.map_or(std::ptr::null(), |statistics| statistics.json.as_ptr())
    })
}

/// How many bytes the JSON has, without the NUL at its end; 0 for NULL.
///
/// Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_statistics_len(statistics: *const kp_statistics_t) -> usize {
    guard(0, || {
        // SAFETY: the header asks for NULL or statistics that live.
        unsafe { statistics.as_ref() }.map_or(0, |statistics| statistics.json.as_bytes().len())
    })
}

/// Frees statistics; NULL is allowed. Not for those lent to the statistics callback.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_statistics_free(statistics: *mut kp_statistics_t) {
    guard((), || {
        if !statistics.is_null() {
            // SAFETY: made by kp_producer_statistics, and freed once.
            drop(unsafe { Box::from_raw(statistics) });
        }
    });
}
