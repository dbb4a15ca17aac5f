//! Waits for a future on the calling thread, without a runtime: for the blocking face.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use super::clock::Clock;
use crate::time::Time;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls `future` until it is ready or `deadline` has passed.
pub(crate) fn wait<T>(future: impl Future<Output = T>, clock: &Clock, deadline: Time) -> Option<T> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(value);
        }
        if clock.now() >= deadline {
            return None;
        }
        clock.park_until(deadline);
    }
}
