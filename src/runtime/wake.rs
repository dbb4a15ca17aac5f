//! Wakes those who wait. A waker is the caller's code: one that panics must not keep the others asleep, nor take the stream
//! along. Runs on: any thread, without a lock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
            tracing::error!("a waker of the caller's panicked; whoever it belongs to may not have been woken");
        }
    }
}
