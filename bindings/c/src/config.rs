//! `kp_config_t`: settings by name and value, from text or a KPL properties file, and the callbacks that a producer starts with.

use std::ffi::{c_char, c_void};

use producer::Config;

use crate::callback::{UserData, kp_finalizer_fn};
use crate::credentials::{CallbackProvider, kp_credentials_fn};
use crate::error::{Fail, KP_ERR_INVALID_ARGUMENT, kp_error_t};
use crate::guard::{attempt, guard, init, text};
use crate::producer::{ReportCallback, kp_reports_fn};
use crate::statistics::{StatisticsCallback, kp_statistics_fn};

/// The settings of a producer. Made by kp_config_new; kp_producer_new takes it.
#[derive(Default)]
pub struct kp_config_t {
    pub(crate) config: Config,
    pub(crate) reports: Option<ReportCallback>,
    pub(crate) credentials: Option<CallbackProvider>,
    pub(crate) statistics: Option<StatisticsCallback>,
}

/// The defaults.
///
/// Ownership: the caller's, until kp_producer_new takes it; otherwise free it by kp_config_free. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn kp_config_new() -> *mut kp_config_t {
    guard(std::ptr::null_mut(), || {
        init();
        Box::into_raw(Box::default())
    })
}

/// Frees settings that no producer took; NULL is allowed.
///
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_config_free(config: *mut kp_config_t) {
    guard((), || {
        if !config.is_null() {
            // SAFETY: made by kp_config_new, and freed once.
            drop(unsafe { Box::from_raw(config) });
        }
    });
}

/// Sets one setting by name, as CONFIGURATION.md lists them: "record_ttl" or the KPL's "RecordTtl", "30 s" or a number of
/// milliseconds; "stream.orders.ordering" sets it for one stream.
///
/// Errors: KP_ERR_INVALID_CONFIG if there is no such setting, or the value is unreadable or out of range; the setting is then
/// unchanged. Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_config_set(
    config: *mut kp_config_t,
    key: *const c_char,
    value: *const c_char,
) -> *mut kp_error_t {
    attempt(|| {
        // SAFETY: the header asks for a living config and NUL-terminated strings.
        let (config, key, value) = unsafe { (settings(config)?, text(key, "key")?, text(value, "value")?) };
        Ok(config.config.set(key, value)?)
    })
}

/// Takes settings from lines "key = value"; lines that begin with # are skipped.
///
/// Errors: KP_ERR_INVALID_CONFIG naming all that is wrong; nothing of the text is then kept. Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_config_load_text(config: *mut kp_config_t, lines: *const c_char) -> *mut kp_error_t {
    attempt(|| {
        // SAFETY: the header asks for a living config and a NUL-terminated string.
        let (config, lines) = unsafe { (settings(config)?, text(lines, "lines")?) };
        Ok(config.config.load_text(lines)?)
    })
}

/// Takes settings from a properties file of the KPL (default_config.properties).
///
/// Errors: KP_ERR_IO if it cannot be read; KP_ERR_INVALID_CONFIG naming all that is wrong; nothing of the file is then kept.
/// Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_config_load_properties_file(
    config: *mut kp_config_t,
    path: *const c_char,
) -> *mut kp_error_t {
    attempt(|| {
        // SAFETY: the header asks for a living config and a NUL-terminated string.
        let (config, path) = unsafe { (settings(config)?, text(path, "path")?) };
        Ok(config.config.load_properties_file(path)?)
    })
}

/// Checks what settings demand of each other; kp_producer_new does it as well.
///
/// Errors: KP_ERR_INVALID_CONFIG naming all that is wrong. Threads: one at a time. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_config_check(config: *const kp_config_t) -> *mut kp_error_t {
    attempt(|| {
        // SAFETY: the header asks for a living config.
        let config = unsafe { config.as_ref() }.ok_or_else(|| Fail::null("config"))?;
        Ok(config.config.check()?)
    })
}

/// Reports come to this function instead of the queue of kp_producer_poll_reports. One thread of the producer calls it, one call
/// at a time, never from inside a put. Its user records count as outstanding until it has returned. It may put; flush, close and
/// free of its producer return KP_ERR_WRONG_THREAD. The reports are the library's: do not free them, do not keep them.
///
/// Ownership: user_data stays the caller's; finalizer (NULL is allowed) is called once, when no
/// call will follow, also if this is refused.
/// Threads: callback and finalizer run on a thread of the library. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_config_set_report_callback(
    config: *mut kp_config_t,
    callback: kp_reports_fn,
    user_data: *mut c_void,
    finalizer: kp_finalizer_fn,
) -> *mut kp_error_t {
    attempt(|| {
        let user_data = UserData::new(user_data, finalizer);
        // SAFETY: the header asks for a living config.
        let config = unsafe { settings(config)? };
        let callback = callback.ok_or_else(|| Fail::null("callback"))?;
        config.reports = Some(ReportCallback::new(callback, user_data));
        Ok(())
    })
}

/// Credentials come from this function: it is called when the first are needed, and again before they expire. It calls
/// kp_credentials_set and returns 0, or returns another number if it has none now. It should be quick: a thread of the producer
/// waits for it.
///
/// Ownership: user_data stays the caller's; finalizer (NULL is allowed) is called once, when no
/// call will follow, also if this is refused.
/// Threads: callback and finalizer run on threads of the library. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_config_set_credentials_callback(
    config: *mut kp_config_t,
    callback: kp_credentials_fn,
    user_data: *mut c_void,
    finalizer: kp_finalizer_fn,
) -> *mut kp_error_t {
    attempt(|| {
        let user_data = UserData::new(user_data, finalizer);
        // SAFETY: the header asks for a living config.
        let config = unsafe { settings(config)? };
        let callback = callback.ok_or_else(|| Fail::null("callback"))?;
        config.credentials = Some(CallbackProvider::new(callback, user_data));
        Ok(())
    })
}

/// A look at the whole producer goes to this function once every statistics_interval, which must be set as well, until the
/// producer is closed. A thread of the producer calls it, one call at a time; the next one comes when it has returned. It may
/// put, ask for metrics and statistics, and abort; flush, close and free of its producer return KP_ERR_WRONG_THREAD.
/// kp_producer_free waits for a call that runs. The statistics are the library's: do not free them, do not keep them.
///
/// Ownership: user_data stays the caller's; finalizer (NULL is allowed) is called once, when no
/// call will follow, also if this is refused; at the latest before kp_producer_free returns.
/// Errors: KP_ERR_INVALID_ARGUMENT. Threads: callback runs on a thread of the library, finalizer on any. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_config_set_statistics_callback(
    config: *mut kp_config_t,
    callback: kp_statistics_fn,
    user_data: *mut c_void,
    finalizer: kp_finalizer_fn,
) -> *mut kp_error_t {
    attempt(|| {
        let user_data = UserData::new(user_data, finalizer);
        // SAFETY: the header asks for a living config.
        let config = unsafe { settings(config)? };
        let callback = callback.ok_or_else(|| Fail::null("callback"))?;
        config.statistics = Some(StatisticsCallback::new(callback, user_data));
        Ok(())
    })
}

/// # Safety
/// It is NULL or a living config that nobody else uses now.
unsafe fn settings<'a>(config: *mut kp_config_t) -> Result<&'a mut kp_config_t, Fail> {
    // SAFETY: the caller's.
    unsafe { config.as_mut() }.ok_or_else(|| Fail::new(KP_ERR_INVALID_ARGUMENT, "config: NULL is not allowed"))
}
