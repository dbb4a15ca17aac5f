//! `kp_error_t`, the status codes, and their table at run time. The numbers are the library's (`ErrorKind`), negated; below -60
//! they are this ABI's own.

use std::ffi::{CString, c_char};
use std::sync::LazyLock;

use producer::error::{Error, ErrorKind};

use crate::guard::guard;

/// Success.
pub const KP_OK: i32 = 0;
/// No room for another user record, or too much is queued for its shard; nothing was kept.
pub const KP_ERR_QUEUE_FULL: i32 = -1;
/// The time given for waiting passed. A put that says so kept nothing.
pub const KP_ERR_TIMED_OUT: i32 = -2;
/// The user record's data, or data and partition key, are too large.
pub const KP_ERR_RECORD_TOO_LARGE: i32 = -3;
/// The partition key is empty, longer than 256 characters, or not UTF-8.
pub const KP_ERR_INVALID_PARTITION_KEY: i32 = -4;
/// The explicit hash key is not a decimal number from 0 to 2^128 - 1.
pub const KP_ERR_INVALID_HASH_KEY: i32 = -5;
/// The producer is closed or closing.
pub const KP_ERR_CLOSED: i32 = -6;
/// A bug stopped the producer; its outstanding user records were reported as aborted.
pub const KP_ERR_POISONED: i32 = -7;
/// What was asked for does not fit the producer's way of reporting.
pub const KP_ERR_WRONG_REPORT_MODE: i32 = -8;
/// Neither an ARN nor a stream name that Kinesis allows.
pub const KP_ERR_INVALID_STREAM_NAME: i32 = -9;
/// One or more settings are unknown, unreadable or out of range; the message names all of them.
pub const KP_ERR_INVALID_CONFIG: i32 = -20;
/// No region is configured and none was found in the environment.
pub const KP_ERR_NO_REGION: i32 = -21;
/// No credentials were found.
pub const KP_ERR_NO_CREDENTIALS: i32 = -22;
/// A file that the configuration names cannot be read or used.
pub const KP_ERR_IO: i32 = -23;
/// Threads or sockets could not be had.
pub const KP_ERR_RUNTIME: i32 = -24;
/// There is no metric of this name.
pub const KP_ERR_UNKNOWN_METRIC: i32 = -30;
/// Metrics can be asked for the last 1 to 60 seconds, or since the start.
pub const KP_ERR_INVALID_WINDOW: i32 = -31;
/// The data is not a sound aggregate.
pub const KP_ERR_INVALID_AGGREGATE: i32 = -40;
/// An argument is NULL, not UTF-8 or out of range.
pub const KP_ERR_INVALID_ARGUMENT: i32 = -60;
/// It would wait for the callback that it is called from.
pub const KP_ERR_WRONG_THREAD: i32 = -61;
/// The object belongs to the parent process: after fork, make a new producer.
pub const KP_ERR_FORKED: i32 = -62;
/// A bug in this library; nothing of what was asked for can be relied on.
pub const KP_ERR_PANIC: i32 = -63;

/// The codes of this ABI alone.
const OWN: [(i32, &str, &str); 5] = [
    (KP_OK, "Ok", "Success."),
    (KP_ERR_INVALID_ARGUMENT, "InvalidArgument", "An argument is NULL, not UTF-8 or out of range."),
    (KP_ERR_WRONG_THREAD, "WrongThread", "It would wait for the callback that it is called from."),
    (KP_ERR_FORKED, "Forked", "The object belongs to the parent process: after fork, make a new producer."),
    (KP_ERR_PANIC, "Panic", "A bug in this library; nothing of what was asked for can be relied on."),
];

struct Status {
    code: i32,
    name: CString,
    description: CString,
}

static TABLE: LazyLock<Vec<Status>> = LazyLock::new(|| {
    let own = OWN.into_iter();
    let shared = ErrorKind::ALL.iter().map(|kind| (-kind.code(), kind.name(), kind.description()));
    let status = |(code, name, description)| Status { code, name: c_string(name), description: c_string(description) };
    own.chain(shared).map(status).collect()
});

/// What went wrong in setup or control. See kp_error_free.
pub struct kp_error_t {
    code: i32,
    message: CString,
}

/// An error on its way to C.
#[derive(Debug)]
pub(crate) struct Fail {
    code: i32,
    message: String,
}

impl Fail {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Fail {
        Fail { code, message: message.into() }
    }

    pub(crate) fn null(name: &str) -> Fail {
        Fail::new(KP_ERR_INVALID_ARGUMENT, format!("{name}: NULL is not allowed"))
    }
}

impl From<Error> for Fail {
    fn from(error: Error) -> Fail {
        Fail::new(-error.kind().code(), error.to_string())
    }
}

impl kp_error_t {
    pub(crate) fn boxed(fail: Fail) -> *mut kp_error_t {
        Box::into_raw(Box::new(kp_error_t { code: fail.code, message: c_string(&fail.message) }))
    }
}

/// Text for C; what comes after a NUL in it is lost.
pub(crate) fn c_string(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(text.get(..end).unwrap_or_default()).unwrap_or_default()
}

/// The code, one of KP_ERR_*; KP_OK for NULL.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_error_code(error: *const kp_error_t) -> i32 {
    guard(KP_ERR_PANIC, || {
        // SAFETY: NULL or an error that lives.
        unsafe { error.as_ref() }.map_or(KP_OK, |error| error.code)
    })
}

/// The name of the code, such as "InvalidConfig"; "Ok" for NULL.
///
/// Ownership: static. Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_error_name(error: *const kp_error_t) -> *const c_char {
    guard(std::ptr::null(), || {
        // SAFETY: NULL or an error that lives.
        kp_status_name(unsafe { kp_error_code(error) })
    })
}

/// What was wrong, the value, and what is allowed, in English; "" for NULL.
///
/// Ownership: the error's. Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_error_message(error: *const kp_error_t) -> *const c_char {
    guard(c"".as_ptr(), || {
        // SAFETY: NULL or an error that lives.
        unsafe { error.as_ref() }.map_or(c"".as_ptr(), |error| error.message.as_ptr())
    })
}

/// Frees an error; NULL is allowed.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_error_free(error: *mut kp_error_t) {
    guard((), || {
        if !error.is_null() {
            // SAFETY: made by `boxed`, and freed once.
            drop(unsafe { Box::from_raw(error) });
        }
    });
}

/// How many codes there are, KP_OK included: for tables in other languages.
///
/// Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn kp_status_count() -> usize {
    guard(0, || TABLE.len())
}

/// The code at a place of the table of codes; KP_ERR_INVALID_ARGUMENT behind its end.
///
/// Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn kp_status_at(index: usize) -> i32 {
    guard(KP_ERR_PANIC, || TABLE.get(index).map_or(KP_ERR_INVALID_ARGUMENT, |status| status.code))
}

/// The name of a code, such as "QueueFull"; "Unknown" if there is no such code.
///
/// Ownership: static. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn kp_status_name(code: i32) -> *const c_char {
    guard(std::ptr::null(), || {
        TABLE.iter().find(|status| status.code == code).map_or(c"Unknown".as_ptr(), |status| status.name.as_ptr())
    })
}

/// What a code means, in a sentence.
///
/// Ownership: static. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn kp_status_description(code: i32) -> *const c_char {
    guard(std::ptr::null(), || {
        let found = TABLE.iter().find(|status| status.code == code);
        found.map_or(c"There is no such code.".as_ptr(), |status| status.description.as_ptr())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_the_library_has_a_constant_in_the_header() {
        let source = include_str!("error.rs");
        for kind in ErrorKind::ALL {
            let constant: String = kind
                .name()
                .char_indices()
                .flat_map(|(at, c)| (at > 0 && c.is_uppercase()).then_some('_').into_iter().chain(c.to_uppercase()))
                .collect();
            let line = format!("pub const KP_ERR_{constant}: i32 = -{};", kind.code());
            assert!(source.contains(&line), "{line}");
        }
    }
}
