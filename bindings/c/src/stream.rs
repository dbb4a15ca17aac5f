//! `kp_stream_t`: puts of one user record, of many in an array, of many in columns; each waiting for room or not.

use std::ffi::c_char;

use producer::{PutError, PutMany, blocking};

use crate::error::{KP_ERR_INVALID_ARGUMENT, KP_ERR_PANIC, KP_OK};
use crate::guard::{Handle, guard, handle};
use crate::producer::duration;
use crate::records::{Array, Column, Columns, Many, Source, kp_user_record_t, read_one};

/// A stream of a producer: any number of threads may use it at once. Made by kp_producer_stream, freed with its producer.
pub struct kp_stream_t {
    stream: blocking::Stream,
    generation: u32,
}

impl Handle for kp_stream_t {
    #[inline]
    fn generation(&self) -> u32 {
        self.generation
    }
}

impl kp_stream_t {
    pub(crate) fn new(stream: blocking::Stream, generation: u32) -> kp_stream_t {
        kp_stream_t { stream, generation }
    }
}

/// Puts a user record, waiting up to timeout_ms for room. Its report comes with the number opaque.
///
/// Ownership: everything is copied before it returns. Errors: KP_ERR_TIMED_OUT, KP_ERR_QUEUE_FULL (at once, where only taking
/// reports could make room), KP_ERR_RECORD_TOO_LARGE, KP_ERR_INVALID_PARTITION_KEY, KP_ERR_INVALID_HASH_KEY, KP_ERR_CLOSED,
/// KP_ERR_POISONED, KP_ERR_INVALID_ARGUMENT, KP_ERR_FORKED: nothing was kept, no report comes. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_stream_put(
    stream: *const kp_stream_t,
    record: *const kp_user_record_t,
    opaque: u64,
    timeout_ms: u64,
) -> i32 {
    guard(KP_ERR_PANIC, || {
        // SAFETY: the header asks for a living stream and a user record.
        let (stream, record) = match unsafe { (handle(stream), read_one(record)) } {
            (Ok(stream), Ok(record)) => (&stream.stream, record),
            (Err(code), _) | (Ok(_), Err(code)) => return code,
        };
        let put = match stream.try_put_detached(record, opaque) {
            Err(PutError::QueueFull) if timeout_ms > 0 => stream.put_detached(record, opaque, duration(timeout_ms)),
            put => put,
        };
        put.map_or_else(status, |()| KP_OK)
    })
}

/// Puts a user record if there is room for it: kp_stream_put with no time to wait, which then says KP_ERR_QUEUE_FULL.
///
/// Errors: as kp_stream_put. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_stream_try_put(
    stream: *const kp_stream_t,
    record: *const kp_user_record_t,
    opaque: u64,
) -> i32 {
    guard(KP_ERR_PANIC, || {
        // SAFETY: the same is asked of the caller.
        unsafe { kp_stream_put(stream, record, opaque, 0) }
    })
}

/// Puts len user records of an array in order, waiting up to timeout_ms for room (0: not at all); the fastest way, together with
/// kp_stream_put_columns. accepted always gets how many were: the first ones. Their reports come with the numbers of opaques,
/// which may be NULL (all are 0).
///
/// Ownership: everything is copied before it returns. Errors: why the next one was not accepted, as kp_stream_put; KP_OK if all
/// were. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_stream_put_many(
    stream: *const kp_stream_t,
    records: *const kp_user_record_t,
    len: usize,
    opaques: *const u64,
    timeout_ms: u64,
    accepted: *mut usize,
) -> i32 {
    guard(KP_ERR_PANIC, || {
        // SAFETY: the header asks for a living stream, len user records, NULL or len numbers, and a place to write to.
        unsafe { put_many(stream, Array::new(records, len), opaques, len, timeout_ms, accepted) }
    })
}

/// The same for bindings of other languages: the user records stand in columns. keys holds all partition keys one behind the
/// other, key_lens their len lengths in bytes; data and data_lens the payloads. hash_keys and hash_key_lens hold explicit hash
/// keys, of length 0 where there is none; both may be NULL.
///
/// Ownership: everything is copied before it returns. Errors: as kp_stream_put_many. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "one for each column")]
pub unsafe extern "C" fn kp_stream_put_columns(
    stream: *const kp_stream_t,
    len: usize,
    keys: *const c_char,
    key_lens: *const u32,
    data: *const u8,
    data_lens: *const u32,
    hash_keys: *const c_char,
    hash_key_lens: *const u32,
    opaques: *const u64,
    timeout_ms: u64,
    accepted: *mut usize,
) -> i32 {
    guard(KP_ERR_PANIC, || {
        let columns = || {
            // SAFETY: the header asks for len lengths, and for as many bytes as they add up to.
            unsafe {
                let keys = Column::new(keys.cast(), key_lens, len)?;
                let data = Column::new(data, data_lens, len)?;
                let hash_keys = (!hash_key_lens.is_null()).then(|| Column::new(hash_keys.cast(), hash_key_lens, len));
                Ok(Columns::new(keys, data, hash_keys.transpose()?))
            }
        };
        // SAFETY: the header asks for a living stream, NULL or len numbers, and a place to write to.
        unsafe { put_many(stream, columns(), opaques, len, timeout_ms, accepted) }
    })
}

/// # Safety
/// As the functions above.
unsafe fn put_many<'a, S: Source<'a>>(
    stream: *const kp_stream_t,
    source: Result<S, i32>,
    opaques: *const u64,
    len: usize,
    timeout_ms: u64,
    accepted: *mut usize,
) -> i32 {
    // SAFETY: the caller's.
    let Some(accepted) = (unsafe { accepted.as_mut() }) else { return KP_ERR_INVALID_ARGUMENT };
    *accepted = 0;
    // SAFETY: the caller's.
    let (stream, source) = match (unsafe { handle(stream) }, source) {
        (Ok(stream), Ok(source)) => (&stream.stream, source),
        (Err(code), _) | (Ok(_), Err(code)) => return code,
    };
    // SAFETY: the caller's.
    let mut records = unsafe { Many::new(source, opaques, len) };
    let PutMany { accepted: count, stopped, .. } = match timeout_ms {
        0 => stream.try_put_many_detached(&mut records),
        _ => stream.put_many_detached(&mut records, duration(timeout_ms)),
    };
    *accepted = count;
    match (stopped, records.refused) {
        (Some(stopped), _) => status(stopped),
        (None, Some(code)) => code,
        (None, None) => KP_OK,
    }
}

fn status(refused: PutError) -> i32 {
    -refused.kind().code()
}
