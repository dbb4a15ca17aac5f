//! `kp_deaggregated_t`: the user records of a Kinesis record, as consumers see them.

use std::ffi::{CString, c_char};

use producer::HashKey;
use producer::wire::{DeaggregatedRecord, deaggregate, try_deaggregate};

use crate::error::{
    Fail, KP_ERR_INVALID_ARGUMENT, KP_ERR_INVALID_HASH_KEY, KP_ERR_INVALID_PARTITION_KEY, KP_ERR_PANIC, c_string,
    kp_error_t,
};
use crate::guard::{attempt, guard, output, slice, text};
use crate::reports::fill;

/// The user records of a Kinesis record, in rows from 0. They point into the data that they were read from.
pub struct kp_deaggregated_t {
    records: Vec<(DeaggregatedRecord<'static>, Option<CString>)>,
    /// What the rows of a plain Kinesis record point to.
    _partition_key: Option<Box<str>>,
}

/// A user record as a consumer sees it.
#[repr(C)]
pub struct kp_deaggregated_record_t {
    /// sizeof(kp_deaggregated_record_t), set by the caller.
    pub struct_size: usize,
    /// Its partition key, UTF-8, not NUL-terminated.
    pub partition_key: *const c_char,
    /// Bytes of partition_key.
    pub partition_key_len: usize,
    /// Its payload, in the data that was read.
    pub data: *const u8,
    /// Bytes of data.
    pub data_len: usize,
    /// The writer's own hash key, a decimal number, NUL-terminated; NULL if it gave none.
    pub explicit_hash_key: *const c_char,
    /// Its place in the aggregate, as the KCL counts.
    pub sub_sequence_number: u64,
    /// 1 if it comes from an aggregate, 0 if the Kinesis record itself is the user record.
    pub aggregated: i32,
}

/// The user records of a Kinesis record. One that is not a sound aggregate gives one user record: itself, with partition_key and
/// explicit_hash_key (NULL for none). So nothing is ever lost.
///
/// Ownership: the result is the caller's, to be freed by kp_deaggregated_free; data must outlive it. Errors:
/// KP_ERR_INVALID_ARGUMENT, KP_ERR_INVALID_PARTITION_KEY (not UTF-8), KP_ERR_INVALID_HASH_KEY. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_deaggregate(
    partition_key: *const c_char,
    partition_key_len: usize,
    explicit_hash_key: *const c_char,
    data: *const u8,
    data_len: usize,
    records: *mut *mut kp_deaggregated_t,
) -> *mut kp_error_t {
    attempt(|| {
        // SAFETY: the header asks for as many bytes as it says, and a place to write to.
        let (key, data, place) = unsafe {
            let key = slice::<u8>(partition_key.cast(), partition_key_len).map_err(|_| Fail::null("partition_key"))?;
            (key, bytes(data, data_len)?, output(records, "records")?)
        };
        let key = std::str::from_utf8(key)
            .map_err(|_| Fail::new(KP_ERR_INVALID_PARTITION_KEY, format!("partition_key: {key:?} is not UTF-8")))?;
        let hash_key = if explicit_hash_key.is_null() {
            None
        } else {
            // SAFETY: the header asks for a NUL-terminated string.
            let text = unsafe { text(explicit_hash_key, "explicit_hash_key")? };
            let parsed = text.parse::<HashKey>();
            Some(parsed.map_err(|error| Fail::new(KP_ERR_INVALID_HASH_KEY, error.to_string()))?)
        };
        let key: Box<str> = key.into();
        // SAFETY: the box is kept beside what borrows from it, and does not move what it points to.
        let borrowed: &'static str = unsafe { &*std::ptr::from_ref::<str>(&key) };
        place.write(kp_deaggregated_t::boxed(deaggregate(borrowed, hash_key, data), Some(key)));
        Ok(())
    })
}

/// The user records of an aggregate, or what is wrong with it.
///
/// Ownership: the result is the caller's, to be freed by kp_deaggregated_free; data must outlive it. Errors:
/// KP_ERR_INVALID_AGGREGATE unless data is an aggregate from beginning to end. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_try_deaggregate(
    data: *const u8,
    data_len: usize,
    records: *mut *mut kp_deaggregated_t,
) -> *mut kp_error_t {
    attempt(|| {
        // SAFETY: the header asks for as many bytes as it says, and a place to write to.
        let (data, place) = unsafe { (bytes(data, data_len)?, output(records, "records")?) };
        place.write(kp_deaggregated_t::boxed(try_deaggregate(data)?, None));
        Ok(())
    })
}

/// How many user records; 0 for NULL.
///
/// Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_deaggregated_len(records: *const kp_deaggregated_t) -> usize {
    guard(0, || {
        // SAFETY: the header asks for NULL or user records that live.
        unsafe { records.as_ref() }.map_or(0, |records| records.records.len())
    })
}

/// The user record in a row. record->struct_size must be set.
///
/// Ownership: what it points to is records' and the data's. Errors: KP_ERR_INVALID_ARGUMENT if there is no such row.
/// Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_deaggregated_record(
    records: *const kp_deaggregated_t,
    row: usize,
    record: *mut kp_deaggregated_record_t,
) -> i32 {
    guard(KP_ERR_PANIC, || {
        // SAFETY: the header asks for NULL or user records that live.
        let found = unsafe { records.as_ref() }.and_then(|records| records.records.get(row));
        let Some((found, hash_key)) = found else { return KP_ERR_INVALID_ARGUMENT };
        let filled = kp_deaggregated_record_t {
            struct_size: size_of::<kp_deaggregated_record_t>(),
            partition_key: found.partition_key.as_ptr().cast(),
            partition_key_len: found.partition_key.len(),
            data: found.data.as_ptr(),
            data_len: found.data.len(),
            explicit_hash_key: hash_key.as_ref().map_or(std::ptr::null(), |text| text.as_ptr()),
            sub_sequence_number: found.sub_sequence_number,
            aggregated: i32::from(found.aggregated),
        };
        // SAFETY: the header asks for a struct with its size.
        unsafe { fill(record, filled) }
    })
}

/// Frees user records; NULL is allowed.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_deaggregated_free(records: *mut kp_deaggregated_t) {
    guard((), || {
        if !records.is_null() {
            // SAFETY: made by one of the functions above, and freed once.
            drop(unsafe { Box::from_raw(records) });
        }
    });
}

impl kp_deaggregated_t {
    fn boxed(records: Vec<DeaggregatedRecord<'static>>, partition_key: Option<Box<str>>) -> *mut kp_deaggregated_t {
        let with_text = |record: DeaggregatedRecord<'static>| {
            let hash_key = record.explicit_hash_key.map(|key| c_string(&key.to_string()));
            (record, hash_key)
        };
        let records = records.into_iter().map(with_text).collect();
        Box::into_raw(Box::new(kp_deaggregated_t { records, _partition_key: partition_key }))
    }
}

/// # Safety
/// If it is not NULL, `len` bytes can be read there for as long as the result is used.
unsafe fn bytes(data: *const u8, len: usize) -> Result<&'static [u8], Fail> {
    // SAFETY: the caller's.
    unsafe { slice(data, len) }.map_err(|_| Fail::null("data"))
}
