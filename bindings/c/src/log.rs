//! The library's log lines for a C function of the caller's. Without one, nothing is written anywhere.

use std::ffi::{c_char, c_void};
use std::fmt::{self, Write};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::callback::{UserData, kp_finalizer_fn};
use crate::error::{Fail, KP_ERR_INVALID_ARGUMENT, KP_ERR_RUNTIME, c_string, kp_error_t};
use crate::guard::{attempt, init};

/// Something failed for good, or is a bug.
pub const KP_LOG_ERROR: i32 = 1;
/// Something that a person should know: throttling, a stream backed off, user records refused.
pub const KP_LOG_WARN: i32 = 2;
/// Something changed: a shard map came into use, calls succeed again.
pub const KP_LOG_INFO: i32 = 3;
/// What happens in detail.
pub const KP_LOG_DEBUG: i32 = 4;

/// Takes a log line: one of KP_LOG_*, and the text, which is the library's and lives for the call. It must not call this library.
pub type kp_log_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, level: i32, line: *const c_char)>;

struct Callback {
    callback: unsafe extern "C" fn(*mut c_void, i32, *const c_char),
    user_data: UserData,
    most: i32,
}

static CALLBACK: RwLock<Option<Arc<Callback>>> = RwLock::new(None);

/// Log lines of all producers of this process go to this function, up to a level (KP_LOG_*); NULL ends it, whatever the level. Repeated lines come at
/// most once in ten seconds. The library itself never writes to stdout or stderr.
///
/// Ownership: user_data stays the caller's; finalizer (NULL is allowed) is called once, when no
/// call will follow, also if this is refused.
/// Errors: KP_ERR_INVALID_ARGUMENT, KP_ERR_RUNTIME. Threads: callback and finalizer run on any thread, also several at once.
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_log_set_callback(
    callback: kp_log_fn,
    level: i32,
    user_data: *mut c_void,
    finalizer: kp_finalizer_fn,
) -> *mut kp_error_t {
    attempt(|| {
        let user_data = UserData::new(user_data, finalizer);
        init();
        if callback.is_some() && !(KP_LOG_ERROR..=KP_LOG_DEBUG).contains(&level) {
            let message = format!("level: {level} is none of KP_LOG_ERROR (1) to KP_LOG_DEBUG (4)");
            return Err(Fail::new(KP_ERR_INVALID_ARGUMENT, message));
        }
        static INSTALLED: OnceLock<bool> = OnceLock::new();
        if !*INSTALLED.get_or_init(|| tracing::subscriber::set_global_default(Lines).is_ok()) {
            let message = "another part of this process takes the library's log lines already";
            return Err(Fail::new(KP_ERR_RUNTIME, message));
        }
        let new = callback.map(|callback| Arc::new(Callback { callback, user_data, most: level }));
        let old = std::mem::replace(&mut *CALLBACK.write().unwrap_or_else(PoisonError::into_inner), new);
        tracing::callsite::rebuild_interest_cache();
        // Not under the lock: the caller's finalizer runs here.
        drop(old);
        Ok(())
    })
}

/// Hands events of this library to the callback.
struct Lines;

impl Lines {
    fn callback() -> Option<Arc<Callback>> {
        CALLBACK.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && metadata.target().starts_with("kinesis_producer")
            && Lines::callback().is_some_and(|callback| level(metadata.level()) <= callback.most)
    }

    fn event(&self, event: &Event<'_>) {
        let Some(callback) = Lines::callback() else { return };
        let mut line = Line::default();
        event.record(&mut line);
        let line = c_string(&format!("{}{}", line.message, line.fields));
        // SAFETY: the caller's function, with the caller's pointer.
        unsafe { (callback.callback)(callback.user_data.pointer(), level(event.metadata().level()), line.as_ptr()) };
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// "message field=value …"
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

fn level(level: &Level) -> i32 {
    match *level {
        Level::ERROR => KP_LOG_ERROR,
        Level::WARN => KP_LOG_WARN,
        Level::INFO => KP_LOG_INFO,
        _ => KP_LOG_DEBUG,
    }
}
