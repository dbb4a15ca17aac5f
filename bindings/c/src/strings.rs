//! Texts that C holds pointers to, for as long as the object lives that they came from.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::{CStr, CString, c_char};

use crate::error::c_string;

/// Texts that were handed out, each once. One thread at a time.
#[derive(Default)]
pub(crate) struct Strings(RefCell<HashSet<CString>>);

impl Strings {
    /// The text, NUL-terminated, for as long as this lives; NULL for none.
    pub(crate) fn keep(&self, text: Option<&str>) -> *const c_char {
        let Some(text) = text.map(c_string) else { return std::ptr::null() };
        let mut strings = self.0.borrow_mut();
        let kept = strings.get::<CStr>(&text).map(CString::as_c_str).map(CStr::as_ptr);
        kept.unwrap_or_else(|| {
            // A CString does not move what it points to when it is moved.
            let pointer = text.as_ptr();
            strings.insert(text);
            pointer
        })
    }
}
