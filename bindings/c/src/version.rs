//! Which version this is, at compile time and at run time.

use std::ffi::c_char;

use crate::guard::guard;

/// The version of this header.
pub const KP_VERSION_MAJOR: u32 = 0;
/// The version of this header.
pub const KP_VERSION_MINOR: u32 = 1;
/// The version of this header.
pub const KP_VERSION_PATCH: u32 = 0;

/// The version of the library that runs, such as "1.4.0".
///
/// Ownership: static. Threads: any. Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn kp_version() -> *const c_char {
    guard(std::ptr::null(), || concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_the_version_of_the_library() {
        let header = format!("{KP_VERSION_MAJOR}.{KP_VERSION_MINOR}.{KP_VERSION_PATCH}");
        assert_eq!(header, env!("CARGO_PKG_VERSION"));
    }
}
