//! A C function of the caller's, with the pointer that it wants back.

use std::ffi::c_void;

/// Called once with the user_data, when it is not needed any more; NULL if there is nothing to do.
pub type kp_finalizer_fn = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// The caller's pointer; its finalizer is called once, when this is dropped.
pub(crate) struct UserData {
    pointer: *mut c_void,
    finalizer: kp_finalizer_fn,
}

// SAFETY: the header asks the caller for a pointer that may be used from the library's threads.
unsafe impl Send for UserData {}
// SAFETY: the same.
unsafe impl Sync for UserData {}

impl UserData {
    pub(crate) fn new(pointer: *mut c_void, finalizer: kp_finalizer_fn) -> UserData {
        UserData { pointer, finalizer }
    }

    pub(crate) fn pointer(&self) -> *mut c_void {
        self.pointer
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(finalizer) = self.finalizer {
            // SAFETY: the caller's function for the caller's pointer; this is its only call.
            unsafe { finalizer(self.pointer) };
        }
    }
}
