//! Waits for a future on this thread, and does something else whenever the thread is woken meanwhile. One thread so puts and
//! awaits its tickets, without a runtime and without handing every ticket to another thread.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

/// Wakes the thread that made it.
pub(crate) struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// A waker for this thread.
pub(crate) fn thread_waker() -> Waker {
    Waker::from(Arc::new(Unpark(std::thread::current())))
}

/// Waits for `future` on the thread of `waker`; after each look at it that finds it unready calls `meanwhile`.
pub(crate) fn wait_for<T>(waker: &Waker, future: impl Future<Output = T>, mut meanwhile: impl FnMut()) -> T {
    let mut context = Context::from_waker(waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        meanwhile();
        std::thread::park();
    }
}
