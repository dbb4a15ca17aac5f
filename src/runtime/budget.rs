//! The bound of what a producer holds: user records and bytes accepted and not yet delivered. Room is reserved with one atomic
//! before the stream's lock; who finds none may wait in line, first come first served.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::wake::wake_all;
use crate::config::{MAX_OUTSTANDING_BYTES, MAX_OUTSTANDING_RECORDS};
use crate::error::PutError;

/// Room for outstanding user records.
#[derive(Debug)]
pub(crate) struct Budget {
    max_records: usize,
    max_bytes: usize,
    /// What is outstanding, in one word, so that a put pays for one atomic: the bytes, and above them the user records.
    used: AtomicU64,
    /// Decided, but their reports wait in the queue to be taken.
    untaken: AtomicUsize,
    /// Someone stands in line: newcomers go behind.
    queueing: AtomicBool,
    closed: AtomicBool,
    line: Mutex<VecDeque<Arc<Mutex<Waiting>>>>,
}

/// Someone in line.
#[derive(Debug)]
struct Waiting {
    records: usize,
    bytes: usize,
    /// Only this one itself could take reports: it must not wait for that.
    takes_reports: bool,
    answer: Option<Result<(), PutError>>,
    waker: Option<Waker>,
}

impl Budget {
    pub(crate) fn new(max_records: usize, max_bytes: usize) -> Budget {
        Budget {
            max_records: clamp(max_records, MAX_OUTSTANDING_RECORDS),
            max_bytes: clamp(max_bytes, MAX_OUTSTANDING_BYTES),
            used: AtomicU64::new(0),
            untaken: AtomicUsize::new(0),
            queueing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            line: Mutex::new(VecDeque::new()),
        }
    }

    /// User records and bytes outstanding.
    pub(crate) fn outstanding(&self) -> (usize, usize) {
        unpack(self.used.load(SeqCst))
    }

    /// Of these, user records whose reports wait in the queue to be taken.
    pub(crate) fn untaken(&self) -> usize {
        self.untaken.load(SeqCst)
    }

    /// The user records that fit.
    pub(crate) fn max_records(&self) -> usize {
        self.max_records
    }

    /// The bytes that fit.
    pub(crate) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Reserves room, or keeps nothing. Does not overtake those who wait.
    #[inline]
    pub(crate) fn try_reserve(&self, records: usize, bytes: usize) -> bool {
        !self.queueing.load(SeqCst) && self.take(records, bytes)
    }

    /// Whether everybody is refused for good.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    /// Waits in line for room. `takes_reports`: nobody but the caller takes reports.
    ///
    /// # Errors
    /// `Closed` when the producer closes meanwhile, `QueueFull` when only the caller itself could make room (by taking reports).
    pub(crate) fn reserve(self: &Arc<Budget>, records: usize, bytes: usize, takes_reports: bool) -> Reserve {
        Reserve { budget: Arc::clone(self), records, bytes, takes_reports, waiting: None }
    }

    /// Gives room back and lets those in line have it.
    pub(crate) fn release(&self, records: usize, bytes: usize) {
        self.give_back(records, bytes);
        self.serve();
    }

    /// Gives room back; call [`Budget::serve`] next, where wakers may run.
    pub(crate) fn give_back(&self, records: usize, bytes: usize) {
        self.used.fetch_sub(pack(records, bytes), SeqCst);
    }

    /// Reports of `records` user records are put into the queue; call [`Budget::serve`] next, where wakers may run.
    pub(crate) fn add_untaken(&self, records: usize) {
        self.untaken.fetch_add(records, SeqCst);
    }

    /// Answers those in line who can be answered by now.
    pub(crate) fn serve(&self) {
        if self.queueing.load(SeqCst) {
            self.serve_line();
        }
    }

    /// Reports were taken from the queue.
    pub(crate) fn take_untaken(&self, records: usize) {
        self.untaken.fetch_sub(records, SeqCst);
    }

    /// Refuses everybody from now on.
    pub(crate) fn close(&self) {
        self.closed.store(true, SeqCst);
        self.serve_line();
    }

    fn take(&self, records: usize, bytes: usize) -> bool {
        let more = |used| {
            let (used_records, used_bytes) = unpack(used);
            let fits = records <= self.max_records - used_records && bytes <= self.max_bytes - used_bytes;
            fits.then(|| used + pack(records, bytes))
        };
        self.used.fetch_update(SeqCst, SeqCst, more).is_ok()
    }

    /// Everything outstanding is decided: nothing but taking reports makes room.
    fn is_stuck(&self) -> bool {
        let untaken = self.untaken.load(SeqCst);
        untaken > 0 && untaken >= self.outstanding().0
    }

    /// Answers those in line who can be answered.
    fn serve_line(&self) {
        let mut woken = Vec::new();
        let mut line = self.line();
        while let Some(first) = line.front() {
            let mut waiting = lock(first);
            let answer = if self.closed.load(SeqCst) {
                Err(PutError::Closed)
            } else if self.take(waiting.records, waiting.bytes) {
                Ok(())
            } else if waiting.takes_reports && self.is_stuck() {
                Err(PutError::QueueFull)
            } else {
                break;
            };
            waiting.answer = Some(answer);
            woken.extend(waiting.waker.take());
            drop(waiting);
            line.pop_front();
        }
        // Those behind the first may be the only ones who could make room for it.
        if self.is_stuck() {
            line.retain(|waiting| {
                let mut waiting = lock(waiting);
                if waiting.takes_reports {
                    waiting.answer = Some(Err(PutError::QueueFull));
                    woken.extend(waiting.waker.take());
                }
                !waiting.takes_reports
            });
        }
        self.queueing.store(!line.is_empty(), SeqCst);
        drop(line);
        wake_all(woken);
    }

    fn line(&self) -> MutexGuard<'_, VecDeque<Arc<Mutex<Waiting>>>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for room; what it gets belongs to the caller. Dropped before, it hands its turn on.
#[derive(Debug)]
pub(crate) struct Reserve {
    budget: Arc<Budget>,
    records: usize,
    bytes: usize,
    takes_reports: bool,
    waiting: Option<Arc<Mutex<Waiting>>>,
}

impl Future for Reserve {
    type Output = Result<(), PutError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = context.waker();
        if let Some(waiting) = &self.waiting {
            let mut own = lock(waiting);
            let Some(answer) = own.answer.take() else {
                own.waker = Some(waker.clone());
                return Poll::Pending;
            };
            drop(own);
            self.waiting = None;
            return Poll::Ready(answer);
        }
        if self.budget.try_reserve(self.records, self.bytes) {
            return Poll::Ready(Ok(()));
        }
        let waiting = Waiting {
            records: self.records,
            bytes: self.bytes,
            takes_reports: self.takes_reports,
            answer: None,
            waker: Some(waker.clone()),
        };
        let waiting = Arc::new(Mutex::new(waiting));
        self.waiting = Some(Arc::clone(&waiting));
        let mut line = self.budget.line();
        line.push_back(waiting);
        self.budget.queueing.store(true, SeqCst);
        drop(line);
        // Room may have come between the look and the line.
        self.budget.serve_line();
        Poll::Pending
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        let Some(waiting) = self.waiting.take() else { return };
        self.budget.line().retain(|other| !Arc::ptr_eq(other, &waiting));
        if lock(&waiting).answer == Some(Ok(())) {
            self.budget.release(self.records, self.bytes);
        }
        self.budget.serve_line();
    }
}

fn clamp(limit: usize, max: u64) -> usize {
    limit.min(usize::try_from(max).unwrap_or(usize::MAX))
}

const BYTES_BITS: u32 = MAX_OUTSTANDING_BYTES.trailing_ones();

fn pack(records: usize, bytes: usize) -> u64 {
    (records as u64) << BYTES_BITS | bytes as u64
}

fn unpack(used: u64) -> (usize, usize) {
    ((used >> BYTES_BITS) as usize, (used & MAX_OUTSTANDING_BYTES) as usize)
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(reserve: &mut Reserve) -> Poll<Result<(), PutError>> {
        Pin::new(reserve).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_full_budget_refuses_and_keeps_nothing() {
        let budget = Budget::new(2, 100);
        assert!(budget.try_reserve(1, 60));
        assert!(!budget.try_reserve(1, 60));
        assert_eq!(budget.outstanding(), (1, 60));
        assert!(budget.try_reserve(1, 40));
        assert!(!budget.try_reserve(1, 0));
        assert_eq!(budget.outstanding(), (2, 100));
    }

    #[test]
    fn those_who_wait_are_served_in_line_and_not_overtaken() {
        let budget = Arc::new(Budget::new(2, 100));
        assert!(budget.try_reserve(1, 100));
        let (mut large, mut small) = (budget.reserve(1, 80, false), budget.reserve(1, 10, false));
        assert!(poll(&mut large).is_pending());
        assert!(poll(&mut small).is_pending());
        budget.release(0, 50);
        assert!(poll(&mut small).is_pending(), "the small one overtook the large one");
        assert!(!budget.try_reserve(0, 1), "a newcomer overtook the line");
        budget.release(1, 50);
        assert_eq!(poll(&mut large), Poll::Ready(Ok(())));
        assert_eq!(poll(&mut small), Poll::Ready(Ok(())));
        assert_eq!(budget.outstanding(), (2, 90));
    }

    #[test]
    fn one_who_leaves_hands_the_turn_on() {
        let budget = Arc::new(Budget::new(2, 100));
        assert!(budget.try_reserve(1, 60));
        let (mut large, mut small) = (budget.reserve(1, 80, false), budget.reserve(1, 40, false));
        assert!(poll(&mut large).is_pending());
        assert!(poll(&mut small).is_pending());
        drop(large);
        assert_eq!(poll(&mut small), Poll::Ready(Ok(())));

        let mut granted = budget.reserve(1, 50, false);
        assert!(poll(&mut granted).is_pending());
        budget.release(1, 60);
        drop(granted);
        assert_eq!(budget.outstanding(), (1, 40), "what was granted and not taken is given back");
    }

    #[test]
    fn nobody_waits_for_what_only_taking_reports_can_free() {
        let budget = Arc::new(Budget::new(1, 100));
        assert!(budget.try_reserve(1, 10));
        let (mut other, mut waiting) = (budget.reserve(1, 10, false), budget.reserve(1, 10, true));
        assert!(poll(&mut other).is_pending());
        assert!(poll(&mut waiting).is_pending());
        budget.add_untaken(1);
        budget.serve();
        assert_eq!(poll(&mut waiting), Poll::Ready(Err(PutError::QueueFull)));
        assert!(poll(&mut other).is_pending(), "someone else takes reports for this one");
        budget.take_untaken(1);
        budget.release(1, 10);
        assert_eq!(poll(&mut other), Poll::Ready(Ok(())));
    }

    #[test]
    fn attempts_to_reserve_too_much_keep_nobody_waiting() {
        let budget = Arc::new(Budget::new(10, 100));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    assert!(!budget.try_reserve(1, 101));
                }
            });
            for _ in 0..20_000 {
                let mut first = budget.reserve(1, 100, false);
                if poll(&mut first).is_pending() {
                    let served = (0..10_000_000).any(|_| poll(&mut first).is_ready());
                    stop.store(!served, SeqCst);
                    assert!(served, "there is room, and nobody says so");
                }
                budget.release(1, 100);
            }
            stop.store(true, SeqCst);
        });
        assert_eq!(budget.outstanding(), (0, 0));
    }

    #[test]
    fn closing_answers_everybody() {
        let budget = Arc::new(Budget::new(1, 100));
        assert!(budget.try_reserve(1, 10));
        let mut waiting = budget.reserve(1, 10, false);
        assert!(poll(&mut waiting).is_pending());
        budget.close();
        assert_eq!(poll(&mut waiting), Poll::Ready(Err(PutError::Closed)));
    }
}
