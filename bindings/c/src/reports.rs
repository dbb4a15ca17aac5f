//! `kp_reports_t`: reports taken together, in columns and row by row.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::time::Duration;

use producer::{Report, Reports, SequenceNumber, ShardId, Stored};

use crate::error::{KP_ERR_INVALID_ARGUMENT, KP_ERR_PANIC, KP_OK};
use crate::guard::guard;
use crate::records::kp_user_record_t;
use crate::strings::Strings;

/// Status of a report: the user record is stored.
pub const KP_REPORT_STORED: i32 = 0;
/// record_ttl passed first; the attempts tell the last real error.
pub const KP_REPORT_EXPIRED: i32 = 1;
/// The shard was throttled and fail_if_throttled is set.
pub const KP_REPORT_THROTTLED: i32 = 2;
/// It was stored with an aggregate in a shard that does not own its hash key, and could not be sent again in time.
pub const KP_REPORT_WRONG_SHARD: i32 = 3;
/// The service refused it for good: kp_reports_error_code and kp_reports_error_message have its words.
pub const KP_REPORT_SERVICE: i32 = 4;
/// The answer had another number of entries than the request.
pub const KP_REPORT_COUNT_MISMATCH: i32 = 5;
/// The producer was closed, aborted or freed first.
pub const KP_REPORT_ABORTED: i32 = 6;

/// The user record is certainly not in the stream.
pub const KP_STORED_NO: i32 = 0;
/// An answer was lost: the user record is perhaps in the stream.
pub const KP_STORED_POSSIBLY: i32 = 1;
/// The user record is in the stream.
pub const KP_STORED_YES: i32 = 2;

/// Reports taken together: one for each of some user records, in rows from 0. Rows behind the end have neutral values (NULL, 0).
/// Made by kp_producer_poll_reports, or lent to the report callback.
pub struct kp_reports_t {
    reports: Reports,
    opaques: Vec<u64>,
    statuses: Vec<i32>,
    /// What C holds pointers to.
    strings: Strings,
}

/// One try of a user record.
#[repr(C)]
pub struct kp_attempt_t {
    /// sizeof(kp_attempt_t), set by the caller.
    pub struct_size: usize,
    /// Microseconds from the put (the first attempt) or the end of the attempt before, to its start.
    pub delay_us: u64,
    /// Microseconds from its start to its end.
    pub duration_us: u64,
    /// The service's error code, or the KPL's for what it names itself; NULL if it was stored.
    pub error_code: *const c_char,
    /// The service's words; NULL if it was stored.
    pub error_message: *const c_char,
}

impl kp_reports_t {
    pub(crate) fn new(reports: Reports) -> kp_reports_t {
        let (opaques, statuses) = reports
            .failures()
            .map(|(opaque, failure)| (opaque, failure.map_or(KP_REPORT_STORED, |failure| failure.number())))
            .unzip();
        kp_reports_t { reports, opaques, statuses, strings: Strings::default() }
    }

    fn keep(&self, text: Option<&str>) -> *const c_char {
        self.strings.keep(text)
    }
}

/// A row.
///
/// # Safety
/// `reports` is NULL or reports that live.
unsafe fn find<'a>(reports: *const kp_reports_t, row: usize) -> Option<(&'a kp_reports_t, Report)> {
    // SAFETY: the caller's.
    let reports = unsafe { reports.as_ref() }?;
    reports.reports.get(row).map(|(_, report)| (reports, report))
}

/// How many reports; 0 for NULL.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_reports_len(reports: *const kp_reports_t) -> usize {
    guard(0, || {
        // SAFETY: the header asks for NULL or reports that live.
        unsafe { reports.as_ref() }.map_or(0, |reports| reports.opaques.len())
    })
}

/// The numbers that the puts gave, a column of kp_reports_len; NULL for NULL.
///
/// Ownership: the reports'. Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_reports_opaques(reports: *const kp_reports_t) -> *const u64 {
    guard(std::ptr::null(), || {
        // SAFETY: the header asks for NULL or reports that live.
        unsafe { reports.as_ref() }.map_or(std::ptr::null(), |reports| reports.opaques.as_ptr())
    })
}

/// What became of the user records, a column of kp_reports_len with KP_REPORT_*; NULL for NULL.
///
/// Ownership: the reports'. Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_reports_statuses(reports: *const kp_reports_t) -> *const i32 {
    guard(std::ptr::null(), || {
        // SAFETY: the header asks for NULL or reports that live.
        unsafe { reports.as_ref() }.map_or(std::ptr::null(), |reports| reports.statuses.as_ptr())
    })
}

/// Whether the user record is in the stream: KP_STORED_NO, KP_STORED_POSSIBLY (an answer was lost) or KP_STORED_YES.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_reports_stored(reports: *const kp_reports_t, row: usize) -> i32 {
    guard(KP_STORED_POSSIBLY, || {
        // SAFETY: the header asks for NULL or reports that live.
        let found = unsafe { find(reports, row) };
        found.map_or(KP_STORED_NO, |(_, report)| match report.stored() {
            Stored::No => KP_STORED_NO,
            Stored::Yes => KP_STORED_YES,
            // The type may grow.
            Stored::Possibly | _ => KP_STORED_POSSIBLY,
        })
    })
}

/// The error code, the service's or "Expired", "Aborted" …; NULL if the user record is stored.
///
/// Ownership: the reports'. Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_reports_error_code(reports: *const kp_reports_t, row: usize) -> *const c_char {
    guard(std::ptr::null(), || {
        // SAFETY: the header asks for NULL or reports that live.
        let found = unsafe { find(reports, row) };
        found.map_or(std::ptr::null(), |(reports, report)| {
            reports.keep(report.failure().map(ToString::to_string).as_deref())
        })
    })
}

/// What failed last, in the service's words, also if a later attempt was stored; NULL if nothing did.
///
/// Ownership: the reports'. Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_reports_error_message(reports: *const kp_reports_t, row: usize) -> *const c_char {
    guard(std::ptr::null(), || {
        // SAFETY: the header asks for NULL or reports that live.
        let found = unsafe { find(reports, row) };
        found.map_or(std::ptr::null(), |(reports, report)| reports.keep(report.error_message()))
    })
}

/// The shard that stored the user record; NULL if none did.
///
/// Ownership: the reports'. Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_reports_shard_id(reports: *const kp_reports_t, row: usize) -> *const c_char {
    guard(std::ptr::null(), || {
        // SAFETY: the header asks for NULL or reports that live.
        let found = unsafe { find(reports, row) };
        found.map_or(std::ptr::null(), |(reports, report)| reports.keep(report.shard_id().map(ShardId::as_str)))
    })
}

/// The sequence number of the Kinesis record that holds the user record; NULL if it is not stored.
///
/// Ownership: the reports'. Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_reports_sequence_number(reports: *const kp_reports_t, row: usize) -> *const c_char {
    guard(std::ptr::null(), || {
        // SAFETY: the header asks for NULL or reports that live.
        let found = unsafe { find(reports, row) };
        found.map_or(std::ptr::null(), |(reports, report)| {
            reports.keep(report.sequence_number().map(SequenceNumber::as_str))
        })
    })
}

/// The user record's place in its aggregate, from 0, as the KCL counts; -1 if it was not stored, or stored alone.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_reports_sub_sequence_number(reports: *const kp_reports_t, row: usize) -> i64 {
    guard(-1, || {
        // SAFETY: the header asks for NULL or reports that live.
        let found = unsafe { find(reports, row) };
        let number = found.and_then(|(_, report)| report.sub_sequence_number());
        number.and_then(|number| i64::try_from(number).ok()).unwrap_or(-1)
    })
}

/// Microseconds from the put's return to the decision.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_reports_latency_us(reports: *const kp_reports_t, row: usize) -> u64 {
    guard(0, || {
        // SAFETY: the header asks for NULL or reports that live.
        let found = unsafe { find(reports, row) };
        found.map_or(0, |(_, report)| micros(report.latency()))
    })
}

/// How often the user record was tried, also beyond the attempts that are kept.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_reports_attempts_total(reports: *const kp_reports_t, row: usize) -> u32 {
    guard(0, || {
        // SAFETY: the header asks for NULL or reports that live.
        let found = unsafe { find(reports, row) };
        found.map_or(0, |(_, report)| report.attempt_count())
    })
}

/// How many attempts are kept: all, or the first and the last fifteen.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_reports_attempts_len(reports: *const kp_reports_t, row: usize) -> usize {
    guard(0, || {
        // SAFETY: the header asks for NULL or reports that live.
        let found = unsafe { find(reports, row) };
        found.map_or(0, |(_, report)| report.attempts().len())
    })
}

/// An attempt, by its place among those that are kept. attempt->struct_size must be set.
///
/// Ownership: its strings are the reports'. Errors: KP_ERR_INVALID_ARGUMENT if there is no such row or attempt.
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_reports_attempt(
    reports: *const kp_reports_t,
    row: usize,
    index: usize,
    attempt: *mut kp_attempt_t,
) -> i32 {
    guard(KP_ERR_PANIC, || {
        // SAFETY: the header asks for NULL or reports that live.
        let Some((reports, report)) = (unsafe { find(reports, row) }) else { return KP_ERR_INVALID_ARGUMENT };
        let Some(found) = report.attempts().nth(index) else { return KP_ERR_INVALID_ARGUMENT };
        let filled = kp_attempt_t {
            struct_size: size_of::<kp_attempt_t>(),
            delay_us: micros(found.delay),
            duration_us: micros(found.duration),
            error_code: reports.keep(found.error_code),
            error_message: reports.keep(found.error_message),
        };
        // SAFETY: the header asks for a struct with its size.
        unsafe { fill(attempt, filled) }
    })
}

/// The user record itself, if it failed and return_user_record_on_failure is set. record->struct_size must be set.
///
/// Ownership: what it points to is the reports'. Errors: KP_ERR_INVALID_ARGUMENT if there is none. Threads: one at a time.
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_reports_user_record(
    reports: *const kp_reports_t,
    row: usize,
    record: *mut kp_user_record_t,
) -> i32 {
    guard(KP_ERR_PANIC, || {
        // SAFETY: the header asks for NULL or reports that live.
        let Some((reports, report)) = (unsafe { find(reports, row) }) else { return KP_ERR_INVALID_ARGUMENT };
        // What it points to is kept by the reports, not by this copy of one.
        let Some(found) = report.user_record() else { return KP_ERR_INVALID_ARGUMENT };
        let hash_key = found.explicit_hash_key.map(|key| key.to_string());
        let filled = kp_user_record_t {
            struct_size: size_of::<kp_user_record_t>(),
            partition_key: found.partition_key.as_ptr().cast(),
            partition_key_len: found.partition_key.len(),
            data: found.data.as_ptr(),
            data_len: found.data.len(),
            explicit_hash_key: reports.keep(hash_key.as_deref()),
            explicit_hash_key_len: hash_key.map_or(0, |text| text.len()),
        };
        // SAFETY: the header asks for a struct with its size.
        unsafe { fill(record, filled) }
    })
}

/// Frees reports; NULL is allowed. Not for those lent to the report callback.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_reports_free(reports: *mut kp_reports_t) {
    guard((), || {
        if !reports.is_null() {
            // SAFETY: made by kp_producer_poll_reports, and freed once.
            drop(unsafe { Box::from_raw(reports) });
        }
    });
}

/// Fills a struct of the caller's, whose first field says how much of it the caller knows; that field stays.
///
/// # Safety
/// `place` is NULL or a struct with its size in its first field, that many bytes long.
pub(crate) unsafe fn fill<T>(place: *mut T, value: T) -> i32 {
    const SIZE_FIELD: usize = size_of::<usize>();
    if place.is_null() {
        return KP_ERR_INVALID_ARGUMENT;
    }
    // SAFETY: the caller's.
    let known = unsafe { place.cast::<usize>().read_unaligned() };
    if known < SIZE_FIELD {
        return KP_ERR_INVALID_ARGUMENT;
    }
    let len = known.min(size_of::<T>()) - SIZE_FIELD;
    let value = MaybeUninit::new(value);
    // SAFETY: no more is written than the caller knows, nor read than there is.
    unsafe {
        let from = value.as_ptr().cast::<u8>().add(SIZE_FIELD);
        std::ptr::copy_nonoverlapping(from, place.cast::<u8>().add(SIZE_FIELD), len);
    }
    KP_OK
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
