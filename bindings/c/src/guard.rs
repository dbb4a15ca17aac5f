//! What every function of the ABI goes through: no panic crosses into C, no NULL is followed, no handle of a parent process is used
//! after `fork`, and nothing waits on a callback's own thread for that callback to return.

use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::error::{Fail, KP_ERR_FORKED, KP_ERR_INVALID_ARGUMENT, KP_ERR_PANIC, KP_ERR_WRONG_THREAD, kp_error_t};

/// Grows by one in each child of a `fork`: handles made before are dead there, because threads stay behind.
static GENERATION: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// The producer whose callback runs on this thread.
    static DISPATCHING: Cell<u64> = const { Cell::new(0) };
}

/// Runs `body`; a panic, which is a bug, becomes `on_panic`.
#[inline]
pub(crate) fn guard<T>(on_panic: T, body: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(panic) => {
            // What is thrown may itself panic when it is dropped.
            std::mem::forget(panic);
            on_panic
        }
    }
}

/// The same for setup and control: NULL for success, otherwise an error that the caller frees.
pub(crate) fn attempt(body: impl FnOnce() -> Result<(), Fail>) -> *mut kp_error_t {
    let outcome = guard(Err(None), || body().map_err(Some));
    match outcome {
        Ok(()) => std::ptr::null_mut(),
        Err(fail) => {
            let bug = || {
                Fail::new(KP_ERR_PANIC, "an internal error: please report it; close the producer and make a new one")
            };
            guard(std::ptr::null_mut(), || kp_error_t::boxed(fail.unwrap_or_else(bug)))
        }
    }
}

/// Once for all: watches for forks, and sends the words of panics to the log instead of to stderr.
pub(crate) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        extern "C" fn in_child() {
            GENERATION.fetch_add(1, Relaxed);
        }
        // SAFETY: the handler only adds to an atomic, which is allowed in the child of a fork.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        // This library has a Rust runtime of its own, so that the hook is its own as well. Tests want to see what they panic of.
        #[cfg(not(test))]
        std::panic::set_hook(Box::new(|panic| tracing::error!(target: "kinesis_producer", "internal error: {panic}")));
    });
}

/// The process that handles made now belong to.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Relaxed)
}

/// An object that dies in the child of a `fork`.
pub(crate) trait Handle {
    /// The process that made it.
    fn generation(&self) -> u32;
}

/// Follows a handle.
///
/// # Errors
/// `KP_ERR_INVALID_ARGUMENT` for NULL, `KP_ERR_FORKED` in the child of a fork.
///
/// # Safety
/// It is NULL or a living handle.
#[inline]
pub(crate) unsafe fn handle<'a, T: Handle>(pointer: *const T) -> Result<&'a T, i32> {
    // SAFETY: the caller's.
    let object = unsafe { pointer.as_ref() }.ok_or(KP_ERR_INVALID_ARGUMENT)?;
    if object.generation() == generation() { Ok(object) } else { Err(KP_ERR_FORKED) }
}

/// The same for setup and control.
///
/// # Errors
/// As [`handle`], in words.
///
/// # Safety
/// As [`handle`].
pub(crate) unsafe fn handle_named<'a, T: Handle>(pointer: *const T, name: &str) -> Result<&'a T, Fail> {
    // SAFETY: the caller's.
    unsafe { handle(pointer) }.map_err(|code| match code {
        KP_ERR_FORKED => {
            Fail::new(code, format!("{name}: it belongs to the parent process; after fork, make a new producer"))
        }
        _ => Fail::null(name),
    })
}

/// A NUL-terminated UTF-8 string.
///
/// # Errors
/// `KP_ERR_INVALID_ARGUMENT`.
///
/// # Safety
/// It is NULL or a NUL-terminated string that stays for as long as the result is used.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str, Fail> {
    if pointer.is_null() {
        return Err(Fail::null(name));
    }
    // SAFETY: the caller's.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|_| Fail::new(KP_ERR_INVALID_ARGUMENT, format!("{name}: {text:?} is not UTF-8")))
}

/// Where a result goes.
///
/// # Errors
/// `KP_ERR_INVALID_ARGUMENT` for NULL.
///
/// # Safety
/// It is NULL or may be written to.
pub(crate) unsafe fn output<'a, T>(pointer: *mut T, name: &str) -> Result<&'a mut std::mem::MaybeUninit<T>, Fail> {
    // SAFETY: the caller's; nobody reads what was there.
    unsafe { pointer.cast::<std::mem::MaybeUninit<T>>().as_mut() }.ok_or_else(|| Fail::null(name))
}

/// Writes a result that the caller may not want.
///
/// # Safety
/// It is NULL or may be written to.
pub(crate) unsafe fn write_if<T>(pointer: *mut T, value: T) {
    if !pointer.is_null() {
        // SAFETY: the caller's.
        unsafe { pointer.write(value) };
    }
}

/// Bytes with a length; NULL with length 0 is empty.
///
/// # Errors
/// `KP_ERR_INVALID_ARGUMENT` for NULL with a length, or a length that no memory has.
///
/// # Safety
/// If it is not NULL, `len` objects can be read there for as long as the result is used.
#[inline]
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, len: usize) -> Result<&'a [T], i32> {
    match (pointer.is_null(), len) {
        (_, 0) => Ok(&[]),
        (false, _) if len <= isize::MAX as usize / size_of::<T>() => {
            // SAFETY: the caller's, and the length was checked.
            Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
        }
        (_, _) => Err(KP_ERR_INVALID_ARGUMENT),
    }
}

/// Runs a callback of the producer with this number.
pub(crate) fn dispatching<T>(producer: u64, callback: impl FnOnce() -> T) -> T {
    let before = DISPATCHING.replace(producer);
    let result = callback();
    DISPATCHING.set(before);
    result
}

/// Whether this thread runs a callback of the producer with this number.
pub(crate) fn is_dispatching(producer: u64) -> bool {
    DISPATCHING.get() == producer
}

/// Refuses what would, or might, wait for the callback that it is called from.
///
/// # Errors
/// `KP_ERR_WRONG_THREAD`.
pub(crate) fn not_in_callback(producer: u64) -> Result<(), Fail> {
    if is_dispatching(producer) {
        let message =
            "this cannot be called from a callback of the producer's, which may wait for it: use another thread";
        return Err(Fail::new(KP_ERR_WRONG_THREAD, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{kp_error_code, kp_error_free};

    #[test]
    fn a_panic_becomes_a_status_or_an_error() {
        init();
        assert_eq!(guard(KP_ERR_PANIC, || panic!("a bug")), KP_ERR_PANIC);
        let error = attempt(|| panic!("a bug"));
        // SAFETY: the error was just made, and is freed once.
        unsafe {
            assert_eq!(kp_error_code(error), KP_ERR_PANIC);
            kp_error_free(error);
        }
    }
}
