//! Tickets. The user records of an aggregate share one block; each ticket is a slot in it. Usually one store completes the whole
//! block; after an aggregate was taken apart, its slots complete in parts.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::core::{Report, ReportBatch};

/// The slots of one block.
#[derive(Debug, Default)]
pub(crate) struct SlotBlock(Mutex<Slots>);

#[derive(Debug, Default)]
struct Slots {
    /// Sorted by first slot; they do not overlap.
    parts: Vec<Part>,
    /// What every slot without a part has, once the producer broke down.
    rest: Option<Arc<ReportBatch>>,
    /// Each for the slot it was left at, or for several.
    wakers: Vec<(u32, Waker)>,
}

/// Instead of a slot: the waker stands for several, so that none of them alone may replace it.
const SEVERAL: u32 = u32::MAX;

/// Slots `first` and the following, `count` of them, have the reports of `batch` from `position` on.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) position: u32,
    pub(crate) batch: Arc<ReportBatch>,
}

impl SlotBlock {
    /// Fills slots; gives the wakers of those who wait for any slot of the block, to be woken without a lock.
    #[must_use]
    pub(crate) fn complete(&self, part: Part) -> Vec<(u32, Waker)> {
        let mut slots = self.lock();
        let place = slots.parts.partition_point(|other| other.first < part.first);
        slots.parts.insert(place, part);
        std::mem::take(&mut slots.wakers)
    }

    /// Fills every slot that is still empty.
    #[must_use]
    pub(crate) fn complete_rest(&self, batch: &Arc<ReportBatch>) -> Vec<(u32, Waker)> {
        let mut slots = self.lock();
        slots.rest.get_or_insert_with(|| Arc::clone(batch));
        std::mem::take(&mut slots.wakers)
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        // Nothing in this file panics under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    fn report(&self, index: u32) -> Option<Report> {
        let part = self
            .parts
            .partition_point(|part| part.first <= index)
            .checked_sub(1)
            .and_then(|place| self.parts.get(place));
        match part.filter(|part| index - part.first < part.count) {
            Some(part) => Some(part.batch.report(part.position + (index - part.first))),
            None => self.rest.as_ref().map(|batch| batch.report(0)),
        }
    }
}

/// The future of a user record's [`Report`]. It needs no runtime. Dropping it drops nothing else: the user record goes its way,
/// and its report is counted as delivered when it is there.
///
/// # Cancel safety
/// A ticket can be polled, put aside and polled again; [`Ticket::report`] looks without waiting.
#[derive(Debug)]
#[must_use = "a ticket is the only way to learn what became of the user record; put_detached makes none"]
pub struct Ticket {
    block: Arc<SlotBlock>,
    index: u32,
}

impl Ticket {
    pub(crate) fn new(block: Arc<SlotBlock>, index: u32) -> Ticket {
        Ticket { block, index }
    }

    /// The report, if the user record is decided.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        self.block.lock().report(self.index)
    }
}

impl Future for Ticket {
    type Output = Report;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Report> {
        let mut slots = self.block.lock();
        if let Some(report) = slots.report(self.index) {
            return Poll::Ready(report);
        }
        let waker = context.waker();
        // One task that awaits many tickets of a block leaves one waker.
        let index = self.index;
        if let Some((slot, _)) = slots.wakers.last_mut().filter(|(_, last)| last.will_wake(waker)) {
            if *slot != index {
                *slot = SEVERAL;
            }
            return Poll::Pending;
        }
        match slots.wakers.iter_mut().find(|(other, _)| *other == index) {
            Some((_, old)) => old.clone_from(waker),
            None => slots.wakers.push((index, waker.clone())),
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, SeqCst);
        }
    }

    #[test]
    fn a_task_that_waits_for_two_tickets_is_woken_though_one_of_them_moves_on() {
        let block = Arc::new(SlotBlock::default());
        let (mut first, mut second) = (Ticket::new(Arc::clone(&block), 0), Ticket::new(Arc::clone(&block), 1));
        let flags: [Arc<Flag>; 2] = Default::default();
        let wakers = flags.clone().map(Waker::from);
        assert!(Pin::new(&mut first).poll(&mut Context::from_waker(&wakers[0])).is_pending());
        assert!(Pin::new(&mut second).poll(&mut Context::from_waker(&wakers[0])).is_pending());
        assert!(Pin::new(&mut first).poll(&mut Context::from_waker(&wakers[1])).is_pending());
        let woken = block.complete_rest(&Arc::new(ReportBatch::broken_down()));
        woken.into_iter().for_each(|(_, waker)| waker.wake());
        assert!(flags.iter().all(|flag| flag.0.load(SeqCst)));
    }
}
