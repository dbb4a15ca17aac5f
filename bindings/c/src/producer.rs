//! `kp_producer_t`: made from settings, gives streams and reports, ends by close, abort or free.

use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use producer::{Producer, ReportMode, Reports, blocking};

use crate::callback::UserData;
use crate::config::kp_config_t;
use crate::error::{Fail, KP_ERR_FORKED, KP_ERR_INVALID_ARGUMENT, KP_ERR_PANIC, KP_ERR_TIMED_OUT, KP_OK, kp_error_t};
use crate::guard::{
    Handle, attempt, dispatching, generation, guard, handle, handle_named, init, is_dispatching, not_in_callback,
    output, text, write_if,
};
use crate::reports::{fill, kp_reports_t};
use crate::statistics::StatisticsCallback;
use crate::stream::kp_stream_t;

/// A time-out that never comes, for every function that takes milliseconds.
pub const KP_WAIT_FOREVER: u64 = u64::MAX;

/// Takes reports. They are lent for the time of the call.
pub type kp_reports_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, reports: *const kp_reports_t)>;

/// Puts user records into Kinesis streams. Any number of threads may use it at once. Made by kp_producer_new, freed by
/// kp_producer_free.
pub struct kp_producer_t {
    pub(crate) producer: blocking::Producer,
    streams: Mutex<HashMap<String, Box<kp_stream_t>>>,
    /// The number that the threads of its callbacks know it by.
    number: u64,
    generation: u32,
    /// Ends when its callback will not be called again.
    callback_ended: Option<Mutex<Receiver<()>>>,
    statistics: Option<StatisticsCallback>,
}

impl kp_producer_t {
    /// Stops it, and waits until no callback runs any more: until then they may use it and its streams.
    fn end(&self) {
        self.producer.abort();
        if let Some(callback) = &self.statistics {
            callback.end();
        }
        if let Some(ended) = &self.callback_ended {
            // An error means that the callback, and with it the sender, is gone.
            let _ = ended.lock().unwrap_or_else(PoisonError::into_inner).recv();
        }
    }
}

impl Handle for kp_producer_t {
    #[inline]
    fn generation(&self) -> u32 {
        self.generation
    }
}

/// The caller's function for reports.
pub(crate) struct ReportCallback {
    callback: unsafe extern "C" fn(*mut c_void, *const kp_reports_t),
    user_data: UserData,
}

impl ReportCallback {
    pub(crate) fn new(
        callback: unsafe extern "C" fn(*mut c_void, *const kp_reports_t),
        user_data: UserData,
    ) -> ReportCallback {
        ReportCallback { callback, user_data }
    }

    /// As the library wants it. `ended` is dropped after the last call, and after the finalizer's.
    fn into_mode(self, number: u64, ended: Sender<()>) -> ReportMode {
        // Fields are dropped in their order.
        struct Until {
            callback: ReportCallback,
            _ended: Sender<()>,
        }
        let until = Until { callback: self, _ended: ended };
        ReportMode::Callback(Box::new(move |reports: Reports| {
            // The whole of it is kept by this function, not the part that is used here.
            let until = &until;
            let ReportCallback { callback, user_data } = &until.callback;
            let reports = kp_reports_t::new(reports);
            // SAFETY: the caller's function, with the caller's pointer, and reports that live for the call.
            dispatching(number, || unsafe { callback(user_data.pointer(), &raw const reports) });
        }))
    }
}

/// Starts a producer with these settings: finds region and credentials, starts the threads. It connects to nothing but what the
/// credentials need. Without a report callback, reports are to be taken by kp_producer_poll_reports.
///
/// Ownership: takes config, success or not; the producer is the caller's, to be freed by kp_producer_free.
/// Errors: KP_ERR_INVALID_CONFIG naming all that is wrong, KP_ERR_NO_REGION, KP_ERR_NO_CREDENTIALS, KP_ERR_IO (a certificate
/// file), KP_ERR_RUNTIME. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_producer_new(
    config: *mut kp_config_t,
    producer: *mut *mut kp_producer_t,
) -> *mut kp_error_t {
    attempt(|| {
        init();
        if config.is_null() {
            return Err(Fail::null("config"));
        }
        // SAFETY: made by kp_config_new; it is taken here once.
        let kp_config_t { config, reports, credentials, statistics } = *unsafe { Box::from_raw(config) };
        // SAFETY: the header asks for a place to write to.
        let place = unsafe { output(producer, "producer")? };
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let number = NUMBERS.fetch_add(1, Relaxed);
        let mut callback_ended = None;
        let mode = match reports {
            None => ReportMode::Queue,
            Some(callback) => {
                let (ended, end) = channel();
                callback_ended = Some(Mutex::new(end));
                callback.into_mode(number, ended)
            }
        };
        let mut builder = Producer::builder(config).report_mode(mode);
        if let Some(provider) = credentials {
            builder = builder.credentials_provider(provider);
        }
        if let Some(callback) = statistics.clone() {
            builder = builder.on_statistics(move |statistics| callback.call(number, statistics));
        }
        let producer = blocking::Producer::build(builder)?;
        let streams = Mutex::default();
        place.write(Box::into_raw(Box::new(kp_producer_t {
            producer,
            streams,
            number,
            generation: generation(),
            callback_ended,
            statistics,
        })));
        Ok(())
    })
}

/// Looks up a stream by name or ARN, once, not for each put. Its shards are looked up in the background.
///
/// Ownership: the stream is the producer's, and dies with it; the same name gives the same stream.
/// Errors: KP_ERR_INVALID_STREAM_NAME. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_producer_stream(
    producer: *const kp_producer_t,
    name: *const c_char,
    stream: *mut *mut kp_stream_t,
) -> *mut kp_error_t {
    attempt(|| {
        // SAFETY: the header asks for a living producer, a NUL-terminated string and a place to write to.
        let (producer, name, place) =
            unsafe { (handle_named(producer, "producer")?, text(name, "name")?, output(stream, "stream")?) };
        let opened = producer.producer.stream(name)?;
        let mut streams = producer.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let stream =
            streams.entry(name.to_owned()).or_insert_with(|| Box::new(kp_stream_t::new(opened, producer.generation)));
        place.write(&raw mut **stream);
        Ok(())
    })
}

/// Takes reports from the queue: waits up to timeout_ms for the first, then takes at most max (but at least those of one Kinesis
/// record). Their user records do not count as outstanding any more. After close or abort it gives what is left, then NULL.
///
/// Ownership: the reports are the caller's, to be freed by kp_reports_free. NULL if there are none, or on misuse (no producer, a
/// producer with a report callback, a child process). Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_producer_poll_reports(
    producer: *const kp_producer_t,
    max: usize,
    timeout_ms: u64,
) -> *mut kp_reports_t {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the header asks for a living producer.
        let Ok(producer) = (unsafe { handle(producer) }) else { return std::ptr::null_mut() };
        let reports = producer.producer.poll_reports(max, duration(timeout_ms));
        if reports.is_empty() {
            return std::ptr::null_mut();
        }
        Box::into_raw(Box::new(kp_reports_t::new(reports)))
    })
}

/// A file descriptor for poll, select or epoll: readable as long as there are reports to take, and for good once no more will
/// come.
///
/// Ownership: the producer's; never read from it, never close it. Errors: KP_ERR_WRONG_REPORT_MODE for a producer with a report
/// callback, KP_ERR_RUNTIME if there are no more descriptors, or none at all (only Unix has them). Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_producer_reports_fd(producer: *const kp_producer_t, fd: *mut i32) -> *mut kp_error_t {
    attempt(|| {
        // SAFETY: the header asks for a living producer and a place to write to.
        let (producer, place) = unsafe { (handle_named(producer, "producer")?, output(fd, "fd")?) };
        place.write(reports_fd(&producer.producer)?);
        Ok(())
    })
}

#[cfg(unix)]
fn reports_fd(producer: &blocking::Producer) -> Result<i32, Fail> {
    use std::os::fd::AsRawFd;
    Ok(producer.reports_fd()?.as_raw_fd())
}

#[cfg(not(unix))]
fn reports_fd(_: &blocking::Producer) -> Result<i32, Fail> {
    Err(Fail::new(
        crate::error::KP_ERR_RUNTIME,
        "only Unix has file descriptors to wait for: poll with a time-out instead",
    ))
}

/// Sends what was accepted so far without further linger, and waits until it is decided. It does not wait for reports to be
/// taken.
///
/// Errors: KP_ERR_TIMED_OUT if some of it is not decided after timeout_ms; KP_ERR_WRONG_THREAD in the report or the
/// statistics callback. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_producer_flush(producer: *const kp_producer_t, timeout_ms: u64) -> *mut kp_error_t {
    attempt(|| {
        // SAFETY: the header asks for a living producer.
        let producer = unsafe { handle_named(producer, "producer")? };
        not_in_callback(producer.number)?;
        if producer.producer.flush(duration(timeout_ms)) {
            return Ok(());
        }
        let records = producer.producer.outstanding().records;
        let message = format!("flush: after {timeout_ms} ms, {records} user records are outstanding");
        Err(Fail::new(KP_ERR_TIMED_OUT, message))
    })
}

/// Takes no more user records (waiting puts get KP_ERR_CLOSED), flushes, and after timeout_ms reports the rest as aborted.
/// aborted (NULL is allowed) gets their number. The last metrics are uploaded in what is left of the time: two seconds at least,
/// five at most. Afterwards take what is left of the reports, then free the producer; a report
/// callback may still be at work with the last of them until then.
///
/// Errors: KP_ERR_WRONG_THREAD in the report or the statistics callback. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_producer_close(
    producer: *const kp_producer_t,
    timeout_ms: u64,
    aborted: *mut usize,
) -> *mut kp_error_t {
    attempt(|| {
        // SAFETY: the header asks for a living producer.
        let producer = unsafe { handle_named(producer, "producer")? };
        not_in_callback(producer.number)?;
        let rest = producer.producer.close(duration(timeout_ms));
        // SAFETY: the header asks for NULL or a place to write to.
        unsafe { write_if(aborted, rest) };
        Ok(())
    })
}

/// Stops at once: what is undecided is reported as aborted before this returns. aborted (NULL is allowed) gets its number.
///
/// Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_producer_abort(producer: *const kp_producer_t, aborted: *mut usize) -> *mut kp_error_t {
    attempt(|| {
        // SAFETY: the header asks for a living producer.
        let producer = unsafe { handle_named(producer, "producer")? };
        let rest = producer.producer.abort();
        // SAFETY: the header asks for NULL or a place to write to.
        unsafe { write_if(aborted, rest) };
        Ok(())
    })
}

/// What was accepted and not delivered yet: user records, bytes of data and partition keys, and for how many milliseconds the
/// oldest undecided one waits (0 if there is none). Each place may be NULL.
///
/// Errors: KP_ERR_INVALID_ARGUMENT, KP_ERR_FORKED. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_producer_outstanding(
    producer: *const kp_producer_t,
    records: *mut usize,
    bytes: *mut usize,
    oldest_ms: *mut u64,
) -> i32 {
    guard(KP_ERR_PANIC, || {
        // SAFETY: the header asks for a living producer.
        let outstanding = match unsafe { handle(producer) } {
            Ok(producer) => producer.producer.outstanding(),
            Err(code) => return code,
        };
        let oldest = outstanding.oldest.unwrap_or_default().as_millis();
        // SAFETY: the header asks for NULL or places to write to.
        unsafe {
            write_if(records, outstanding.records);
            write_if(bytes, outstanding.bytes);
            write_if(oldest_ms, u64::try_from(oldest).unwrap_or(u64::MAX));
        }
        KP_OK
    })
}

/// What a producer did since it was made. See kp_producer_counters.
#[repr(C)]
pub struct kp_counters_t {
    /// sizeof(kp_counters_t), set by the caller.
    pub struct_size: usize,
    /// User records accepted.
    pub user_records_received: u64,
    /// User records reported as stored.
    pub user_records_stored: u64,
    /// User records reported as failed (not stored, or not certainly).
    pub user_records_failed: u64,
    /// Kinesis records reported as stored.
    pub kinesis_records_stored: u64,
    /// Bytes (data and partition key) of the Kinesis records reported as stored.
    pub kinesis_bytes_stored: u64,
    /// PutRecords calls made.
    pub put_records_calls: u64,
    /// Kinesis records sent, each time they were sent.
    pub attempts: u64,
    /// Bytes (data and partition key) of the Kinesis records sent, each time they were sent.
    pub bytes_sent: u64,
    /// Kinesis records that the service throttled.
    pub throttled: u64,
    /// Kinesis records that were stored in another shard than predicted and had to be sent again in part.
    pub wrong_shard: u64,
}

/// What a producer did since it was made, all streams together. counters->struct_size must be set.
///
/// Errors: KP_ERR_INVALID_ARGUMENT, KP_ERR_FORKED. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_producer_counters(producer: *const kp_producer_t, counters: *mut kp_counters_t) -> i32 {
    guard(KP_ERR_PANIC, || {
        // SAFETY: the header asks for a living producer.
        let counted = match unsafe { handle(producer) } {
            Ok(producer) => producer.producer.counters(),
            Err(code) => return code,
        };
        let filled = kp_counters_t {
            struct_size: size_of::<kp_counters_t>(),
            user_records_received: counted.user_records_received,
            user_records_stored: counted.user_records_stored,
            user_records_failed: counted.user_records_failed,
            kinesis_records_stored: counted.kinesis_records_stored,
            kinesis_bytes_stored: counted.kinesis_bytes_stored,
            put_records_calls: counted.put_records_calls,
            attempts: counted.attempts,
            bytes_sent: counted.bytes_sent,
            throttled: counted.throttled,
            wrong_shard: counted.wrong_shard,
        };
        // SAFETY: the header asks for a struct with its size.
        unsafe { fill(counters, filled) }
    })
}

/// Stops the producer at once and frees it with its streams; NULL is allowed. What is undecided is aborted, reports in the queue
/// are lost: to lose nothing, close it and take the reports first. With a report callback, everything is reported before this
/// returns; no call of it or of a statistics callback follows, and their finalizers were called. In the child of a fork it does
/// nothing.
///
/// Errors: KP_ERR_WRONG_THREAD in the report or the statistics callback: nothing is freed then. Threads: one, when no other uses
/// it any more; its callbacks may until this returns. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_producer_free(producer: *mut kp_producer_t) -> i32 {
    guard(KP_ERR_PANIC, || {
        // SAFETY: NULL or a living producer.
        match unsafe { handle(producer) } {
            Err(KP_ERR_INVALID_ARGUMENT) => return KP_OK,
            // Its threads are the parent's: to wait for them would be for ever.
            Err(KP_ERR_FORKED) => return KP_ERR_FORKED,
            Err(code) => return code,
            Ok(producer) if is_dispatching(producer.number) => return crate::error::KP_ERR_WRONG_THREAD,
            Ok(producer) => producer.end(),
        }
        // SAFETY: made by kp_producer_new, and freed once.
        drop(unsafe { Box::from_raw(producer) });
        KP_OK
    })
}

/// Milliseconds, or for ever.
pub(crate) fn duration(timeout_ms: u64) -> Duration {
    if timeout_ms == KP_WAIT_FOREVER { Duration::MAX } else { Duration::from_millis(timeout_ms) }
}
