//! Memory that is about to be written is asked for ahead of time. Aggregates are new memory most of the time, and what follows a
//! put are atomic instructions, which wait until all that was written before has arrived: 35 ns a put when memory is busy.
//!
//! One of the two modules with `unsafe` code: the instruction's.
#![allow(unsafe_code)]

/// Bytes of a cache line.
const LINE: usize = 64;
/// What is fetched: more than this is a pattern that the machine sees by itself.
const LINES: usize = 2;

/// Asks for the memory behind the end of `buffer`.
#[inline]
pub(super) fn behind(buffer: &[u8]) {
    for line in 1..=LINES {
        ask_for(buffer.as_ptr().wrapping_add(buffer.len() + line * LINE));
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
fn ask_for(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing and faults nowhere, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_ET0>(address.cast()) }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
#[inline]
fn ask_for(_: *const u8) {}
