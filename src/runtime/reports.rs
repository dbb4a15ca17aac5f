//! The queue of reports for producers that do not use tickets: taken in batches by the caller, or by the thread that runs the
//! caller's callback.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;

use super::budget::Budget;
use super::clock::Clock;
use crate::core::{Report, ReportBatch};
use crate::time::Time;

/// User records decided together, with the numbers that their puts gave. One batch's reports stand at consecutive positions.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) batch: Arc<ReportBatch>,
    pub(crate) position: u32,
    pub(crate) opaques: Vec<u64>,
    pub(crate) bytes: usize,
    pub(crate) budgets: Budgets,
}

/// What counted the user records: the producer's budget, and the stream's share if it has one.
#[derive(Clone, Debug)]
pub(crate) struct Budgets {
    pub(crate) producer: Arc<Budget>,
    pub(crate) stream: Option<Arc<Budget>>,
}

impl Budgets {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Budget>> {
        std::iter::once(&self.producer).chain(&self.stream)
    }
}

/// Reports taken together. Their user records count as outstanding until it is dropped.
#[derive(Debug, Default)]
pub struct Reports {
    deliveries: Vec<Delivery>,
    len: usize,
}

impl Reports {
    /// How many reports.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Each report with the number that its put gave.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Report)> + '_ {
        self.deliveries.iter().flat_map(|delivery| {
            let numbered = (delivery.position..).zip(&delivery.opaques);
            numbered.map(|(position, opaque)| (*opaque, delivery.batch.report(position)))
        })
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        for delivery in &self.deliveries {
            for budget in delivery.budgets.all() {
                budget.take_untaken(delivery.opaques.len());
                budget.release(delivery.opaques.len(), delivery.bytes);
            }
        }
    }
}

/// Reports on their way to whoever takes them.
#[derive(Debug, Default)]
pub(crate) struct ReportQueue {
    queue: Mutex<Queue>,
    arrived: Condvar,
    /// The thread that runs the callback, if there is one.
    dispatcher: OnceLock<ThreadId>,
}

#[derive(Debug, Default)]
struct Queue {
    deliveries: VecDeque<Delivery>,
    /// No more will come.
    ended: bool,
}

impl ReportQueue {
    /// Adds reports. The budgets' lines are to be served next.
    pub(crate) fn push(&self, deliveries: Vec<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        for delivery in &deliveries {
            delivery.budgets.all().for_each(|budget| budget.add_untaken(delivery.opaques.len()));
        }
        self.lock().deliveries.extend(deliveries);
        self.arrived.notify_one();
    }

    /// From now on the calling thread takes what comes.
    pub(crate) fn dispatch_here(&self) {
        let _ = self.dispatcher.set(std::thread::current().id());
    }

    /// Whether the calling thread must not wait for others to take reports: it is the one that does, or it is a program's that
    /// takes them when it likes.
    pub(crate) fn is_taken_by_caller(&self) -> bool {
        self.dispatcher.get().is_none_or(|dispatcher| *dispatcher == std::thread::current().id())
    }

    /// No more will come: those who wait get what there is.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.arrived.notify_all();
    }

    /// Waits until `deadline` for something, then takes whole batches: at most `most` reports, but at least one batch.
    pub(crate) fn poll(&self, most: usize, clock: &Clock, deadline: Time) -> Reports {
        let mut queue = self.lock();
        while queue.deliveries.is_empty() && !queue.ended {
            let left = deadline.since(clock.now());
            if left.is_zero() {
                break;
            }
            queue = self.arrived.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let reports = queue.take(most);
        // One arrival wakes one thread; what is left is for the next.
        if !queue.deliveries.is_empty() {
            self.arrived.notify_one();
        }
        reports
    }

    /// Waits for something; `None` when no more will come.
    pub(crate) fn next(&self) -> Option<Reports> {
        let mut queue = self.lock();
        loop {
            if !queue.deliveries.is_empty() {
                return Some(queue.take(usize::MAX));
            }
            if queue.ended {
                return None;
            }
            queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn take(&mut self, most: usize) -> Reports {
        let mut reports = Reports::default();
        while let Some(delivery) = self.deliveries.front() {
            let len = reports.len + delivery.opaques.len();
            if len > most && !reports.is_empty() {
                break;
            }
            reports.len = len;
            reports.deliveries.extend(self.deliveries.pop_front());
        }
        reports
    }
}
