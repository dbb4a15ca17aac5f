//! The queue of reports for producers that do not use tickets: taken in batches by the caller, or by the thread that runs the
//! caller's callback.

use std::collections::VecDeque;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;

use super::budget::Budget;
use super::clock::Clock;
#[cfg(unix)]
use super::signal::Signal;
use crate::core::{Report, ReportBatch};
#[cfg(unix)]
use crate::error::Error;
use crate::error::Failure;
use crate::time::Time;

/// User records decided together, with the numbers that their puts gave. Their reports stand at consecutive positions of the batch.
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

/// Reports taken together.
#[derive(Debug, Default)]
pub struct Reports {
    /// Each with the number of reports before it.
    runs: Vec<(usize, Run)>,
    len: usize,
}

#[derive(Debug)]
struct Run {
    batch: Arc<ReportBatch>,
    position: u32,
    opaques: Vec<u64>,
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
        self.runs.iter().flat_map(|(_, run)| {
            let numbered = (run.position..).zip(&run.opaques);
            numbered.map(|(position, opaque)| (*opaque, run.batch.report(position)))
        })
    }

    /// One of them, with the number that its put gave.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<(u64, Report)> {
        let place = self.runs.partition_point(|(before, _)| *before <= index).checked_sub(1)?;
        let (before, run) = self.runs.get(place)?;
        let offset = index - before;
        let opaque = run.opaques.get(offset)?;
        Some((*opaque, run.batch.report(run.position + offset as u32)))
    }

    /// The number that each put gave, with its failure if there is one: cheaper than [`iter`](Reports::iter).
    pub fn failures(&self) -> impl Iterator<Item = (u64, Option<&Failure>)> + '_ {
        self.runs.iter().flat_map(|(_, run)| run.opaques.iter().map(|opaque| (*opaque, run.batch.failure())))
    }
}

/// What taken reports counted for: given back once they are delivered.
#[derive(Debug)]
#[must_use = "room that is not given back is lost"]
pub(crate) struct Room(Vec<(Budgets, usize, usize)>);

impl Room {
    pub(crate) fn give_back(self) {
        for (budgets, records, bytes) in self.0 {
            for budget in budgets.all() {
                budget.take_untaken(records);
                budget.release(records, bytes);
            }
        }
    }
}

/// Reports on their way to whoever takes them.
#[derive(Debug, Default)]
pub(crate) struct ReportQueue {
    queue: Mutex<Queue>,
    arrived: Condvar,
    /// A thread of the producer's takes what comes, for the callback.
    dispatched: bool,
    /// That thread, once it runs.
    dispatcher: OnceLock<ThreadId>,
    /// For programs that wait for many things at once.
    #[cfg(unix)]
    signal: OnceLock<Signal>,
}

#[derive(Debug, Default)]
struct Queue {
    deliveries: VecDeque<Delivery>,
    /// No more will come.
    ended: bool,
}

impl ReportQueue {
    /// One that a thread of the producer's empties, see [`ReportQueue::dispatch_here`].
    pub(crate) fn dispatched() -> ReportQueue {
        ReportQueue { dispatched: true, ..ReportQueue::default() }
    }

    /// Adds reports. The budgets' lines are to be served next.
    pub(crate) fn push(&self, deliveries: Vec<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        for delivery in &deliveries {
            delivery.budgets.all().for_each(|budget| budget.add_untaken(delivery.opaques.len()));
        }
        let mut queue = self.lock();
        queue.deliveries.extend(deliveries);
        self.show(&queue);
        drop(queue);
        self.arrived.notify_one();
    }

    /// What a program can wait on with `poll` or `epoll`: readable as long as there are reports, and for good once no more will
    /// come.
    ///
    /// # Errors
    /// `Runtime` if the system has no more descriptors.
    #[cfg(unix)]
    pub(crate) fn fd(&self) -> Result<BorrowedFd<'_>, Error> {
        let queue = self.lock();
        if self.signal.get().is_none() {
            let _ = self.signal.set(Signal::new()?);
        }
        self.show(&queue);
        drop(queue);
        Ok(self.signal.get().expect("it was set above").as_fd())
    }

    /// From now on the calling thread takes what comes.
    pub(crate) fn dispatch_here(&self) {
        let _ = self.dispatcher.set(std::thread::current().id());
    }

    /// Whether a thread of the producer's takes what comes, and no caller may.
    pub(crate) fn is_dispatched(&self) -> bool {
        self.dispatched
    }

    /// Whether the calling thread must not wait for others to take reports: it is the one that does, or it is a program's that
    /// takes them when it likes.
    pub(crate) fn is_taken_by_caller(&self) -> bool {
        !self.dispatched || self.dispatcher.get() == Some(&std::thread::current().id())
    }

    /// No more will come: those who wait get what there is.
    pub(crate) fn end(&self) {
        let mut queue = self.lock();
        queue.ended = true;
        self.show(&queue);
        drop(queue);
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
        let (reports, room) = queue.take(most);
        // One arrival wakes one thread; what is left is for the next.
        if !queue.deliveries.is_empty() {
            self.arrived.notify_one();
        }
        self.show(&queue);
        drop(queue);
        room.give_back();
        reports
    }

    /// Waits for something; `None` when no more will come. The room is to be given back once the reports are delivered.
    pub(crate) fn next(&self) -> Option<(Reports, Room)> {
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

    /// Tells the signal whether there is something to take.
    #[cfg_attr(not(unix), allow(unused_variables, clippy::unused_self))]
    fn show(&self, queue: &Queue) {
        #[cfg(unix)]
        if let Some(signal) = self.signal.get() {
            signal.set(queue.ended || !queue.deliveries.is_empty());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn take(&mut self, most: usize) -> (Reports, Room) {
        let mut reports = Reports::default();
        let mut room = Vec::new();
        while let Some(delivery) =
            self.deliveries.pop_front_if(|next| reports.is_empty() || reports.len + next.opaques.len() <= most)
        {
            let Delivery { batch, position, opaques, bytes, budgets } = delivery;
            room.push((budgets, opaques.len(), bytes));
            let before = reports.len;
            reports.len += opaques.len();
            reports.runs.push((before, Run { batch, position, opaques }));
        }
        (reports, Room(room))
    }
}
