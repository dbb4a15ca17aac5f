//! `kp_local_t`: the embedded service, for tests and examples of programs that use this library. Built in with the feature `local`.

use std::ffi::{CString, c_char};

use producer::local::{LocalService, StoredRecord};

use crate::config::kp_config_t;
use crate::error::{Fail, KP_ERR_INVALID_ARGUMENT, KP_ERR_PANIC, c_string, kp_error_t};
use crate::guard::{Handle, attempt, generation, guard, handle, handle_named, init, output, text};
use crate::reports::fill;

/// A Kinesis service inside this process, on a free loopback port. It keeps every record in memory, checks no signatures, and
/// takes at most 1 MiB a Kinesis record.
pub struct kp_local_t {
    service: LocalService,
    endpoint_url: CString,
    generation: u32,
}

impl Handle for kp_local_t {
    fn generation(&self) -> u32 {
        self.generation
    }
}

/// The Kinesis records of a stream, in rows from 0: shard by shard, in order within each.
pub struct kp_stored_records_t {
    records: Vec<(StoredRecord, Strings)>,
}

struct Strings {
    partition_key: CString,
    sequence_number: CString,
    shard_id: CString,
}

/// A Kinesis record as it lies in its stream.
#[repr(C)]
pub struct kp_stored_record_t {
    /// sizeof(kp_stored_record_t), set by the caller.
    pub struct_size: usize,
    /// Its partition key, NUL-terminated.
    pub partition_key: *const c_char,
    /// Its sequence number, NUL-terminated.
    pub sequence_number: *const c_char,
    /// Its shard, NUL-terminated.
    pub shard_id: *const c_char,
    /// Its data: kp_deaggregate reads the user records in it.
    pub data: *const u8,
    /// Bytes of data.
    pub data_len: usize,
}

/// Starts a service.
///
/// Ownership: the caller's, to be freed by kp_local_free. Errors: KP_ERR_RUNTIME if no port or no thread can be had.
/// Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_local_start(local: *mut *mut kp_local_t) -> *mut kp_error_t {
    attempt(|| {
        init();
        // SAFETY: the header asks for a place to write to.
        let place = unsafe { output(local, "local")? };
        let service = LocalService::start_blocking()?;
        let endpoint_url = c_string(service.endpoint_url());
        place.write(Box::into_raw(Box::new(kp_local_t { service, endpoint_url, generation: generation() })));
        Ok(())
    })
}

/// Where it listens, for endpoint_url; NULL for NULL.
///
/// Ownership: the service's. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_local_endpoint_url(local: *const kp_local_t) -> *const c_char {
    guard(std::ptr::null(), || {
        // SAFETY: the header asks for NULL or a living service.
        unsafe { handle(local) }.map_or(std::ptr::null(), |local| local.endpoint_url.as_ptr())
    })
}

/// Settings with which a producer finds the service: endpoint, region, any credentials, no proxy.
///
/// Errors: KP_ERR_INVALID_ARGUMENT, KP_ERR_FORKED. Threads: one at a time for config. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_local_configure(local: *const kp_local_t, config: *mut kp_config_t) -> *mut kp_error_t {
    attempt(|| {
        // SAFETY: the header asks for a living service and living settings.
        let (local, config) = unsafe { (handle_named(local, "local")?, config.as_mut()) };
        let config = config.ok_or_else(|| Fail::null("config"))?;
        let settings = [
            ("endpoint_url", local.service.endpoint_url()),
            ("region", "us-east-1"),
            ("access_key_id", "local"),
            ("secret_access_key", "local"),
            ("proxy_from_environment", "false"),
        ];
        for (key, value) in settings {
            config.config.set(key, value)?;
        }
        Ok(())
    })
}

/// Creates a stream and waits until it takes records.
///
/// Errors: KP_ERR_RUNTIME with the service's words. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_local_create_stream(
    local: *const kp_local_t,
    name: *const c_char,
    shards: u32,
) -> *mut kp_error_t {
    attempt(|| {
        // SAFETY: the header asks for a living service and a NUL-terminated string.
        let (local, name) = unsafe { (handle_named(local, "local")?, text(name, "name")?) };
        Ok(local.service.block_on(local.service.create_stream(name, shards))?)
    })
}

/// Reads every Kinesis record of a stream.
///
/// Ownership: the result is the caller's, to be freed by kp_stored_records_free. Errors: KP_ERR_RUNTIME with the service's words.
/// Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_local_read_stream(
    local: *const kp_local_t,
    name: *const c_char,
    records: *mut *mut kp_stored_records_t,
) -> *mut kp_error_t {
    attempt(|| {
        // SAFETY: the header asks for a living service, a NUL-terminated string and a place to write to.
        let (local, name, place) =
            unsafe { (handle_named(local, "local")?, text(name, "name")?, output(records, "records")?) };
        let read = local.service.block_on(local.service.read_stream(name))?;
        let with_strings = |record: StoredRecord| {
            let strings = Strings {
                partition_key: c_string(&record.partition_key),
                sequence_number: c_string(record.sequence_number.as_str()),
                shard_id: c_string(record.shard_id.as_str()),
            };
            (record, strings)
        };
        let records = read.into_iter().map(with_strings).collect();
        place.write(Box::into_raw(Box::new(kp_stored_records_t { records })));
        Ok(())
    })
}

/// Stops a service and forgets its streams; NULL is allowed. In the child of a fork it does nothing.
///
/// Threads: one, when no other uses it any more. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_local_free(local: *mut kp_local_t) {
    guard((), || {
        // SAFETY: NULL or a living service.
        if unsafe { handle(local) }.is_ok() {
            // SAFETY: made by kp_local_start, and freed once.
            drop(unsafe { Box::from_raw(local) });
        }
    });
}

/// How many Kinesis records; 0 for NULL.
///
/// Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_stored_records_len(records: *const kp_stored_records_t) -> usize {
    guard(0, || {
        // SAFETY: the header asks for NULL or records that live.
        unsafe { records.as_ref() }.map_or(0, |records| records.records.len())
    })
}

/// The Kinesis record in a row. record->struct_size must be set.
///
/// Ownership: what it points to is records'. Errors: KP_ERR_INVALID_ARGUMENT if there is no such row. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_stored_records_get(
    records: *const kp_stored_records_t,
    row: usize,
    record: *mut kp_stored_record_t,
) -> i32 {
    guard(KP_ERR_PANIC, || {
        // SAFETY: the header asks for NULL or records that live.
        let found = unsafe { records.as_ref() }.and_then(|records| records.records.get(row));
        let Some((found, strings)) = found else { return KP_ERR_INVALID_ARGUMENT };
        let filled = kp_stored_record_t {
            struct_size: size_of::<kp_stored_record_t>(),
            partition_key: strings.partition_key.as_ptr(),
            sequence_number: strings.sequence_number.as_ptr(),
            shard_id: strings.shard_id.as_ptr(),
            data: found.data.as_ptr(),
            data_len: found.data.len(),
        };
        // SAFETY: the header asks for a struct with its size.
        unsafe { fill(record, filled) }
    })
}

/// Frees Kinesis records; NULL is allowed.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_stored_records_free(records: *mut kp_stored_records_t) {
    guard((), || {
        if !records.is_null() {
            // SAFETY: made by kp_local_read_stream, and freed once.
            drop(unsafe { Box::from_raw(records) });
        }
    });
}
