//! Tickets that are awaited. An unpaced load awaits them in put order, as most programs do: a report that came before that of an
//! earlier put is seen after it. A paced load sees each report at its moment.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

use kinesis_producer::Ticket;

use crate::support::now;
use crate::tally::Tally;

/// Tickets awaited in put order, on one thread.
pub(crate) struct InOrder {
    waker: Waker,
    puts: VecDeque<(Instant, std::iter::Peekable<std::vec::IntoIter<Ticket>>)>,
}

impl InOrder {
    /// For the thread of `waker`.
    pub(crate) fn new(waker: Waker) -> InOrder {
        InOrder { waker, puts: VecDeque::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.puts.is_empty()
    }

    /// Tickets that were put at `put_at`.
    pub(crate) fn add(&mut self, put_at: Instant, tickets: Vec<Ticket>) {
        self.puts.push_back((put_at, tickets.into_iter().peekable()));
    }

    /// Counts the reports that are there, up to the first that is not; the thread is woken when it may be.
    pub(crate) fn take_ready(&mut self, tally: &mut Tally) {
        let mut context = Context::from_waker(&self.waker);
        let mut seen_at = None;
        while let Some((put_at, tickets)) = self.puts.front_mut() {
            let mut count = 0;
            while let Some(ticket) = tickets.peek_mut() {
                let Poll::Ready(report) = Pin::new(ticket).poll(&mut context) else { break };
                tickets.next();
                tally.count(&report);
                count += 1;
            }
            if count > 0 {
                tally.time(*put_at, *seen_at.get_or_insert_with(now), count);
            }
            if tickets.peek().is_some() {
                return;
            }
            self.puts.pop_front();
        }
    }
}

/// Tickets of a group: its waker tells that one of them may be ready, so that not all have to be asked.
const GROUP: usize = 64;

/// Tickets awaited in whatever order they come, on one thread.
pub(crate) struct AnyOrder {
    woken: Arc<Woken>,
    /// The number of the first group.
    first: u64,
    groups: VecDeque<Group>,
}

struct Group {
    tickets: Vec<(Instant, Ticket)>,
    /// How many were ever added.
    added: usize,
    wake: Arc<WakeGroup>,
}

/// The groups that were woken, and the thread that looks at them.
struct Woken {
    groups: Mutex<Vec<u64>>,
    thread: Thread,
}

struct WakeGroup {
    number: u64,
    noted: AtomicBool,
    woken: Arc<Woken>,
}

impl Wake for WakeGroup {
    fn wake(self: Arc<Self>) {
        if !self.noted.swap(true, AcqRel) {
            self.woken.groups.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
            self.woken.thread.unpark();
        }
    }
}

impl AnyOrder {
    /// For this thread.
    pub(crate) fn new() -> AnyOrder {
        let woken = Arc::new(Woken { groups: Mutex::default(), thread: std::thread::current() });
        AnyOrder { woken, first: 0, groups: VecDeque::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.groups.iter().all(|group| group.tickets.is_empty())
    }

    /// A ticket that was put at `put_at`.
    pub(crate) fn add(&mut self, put_at: Instant, ticket: Ticket, tally: &mut Tally) {
        if self.groups.back().is_none_or(|last| last.added == GROUP) {
            let number = self.first + self.groups.len() as u64;
            let wake = WakeGroup { number, noted: AtomicBool::new(false), woken: Arc::clone(&self.woken) };
            self.groups.push_back(Group { tickets: Vec::with_capacity(GROUP), added: 0, wake: Arc::new(wake) });
        }
        let group = self.groups.back_mut().expect("one was added if there was none");
        group.added += 1;
        group.tickets.push((put_at, ticket));
        group.ask(group.tickets.len() - 1, tally);
    }

    /// Counts the reports that came.
    pub(crate) fn take_ready(&mut self, tally: &mut Tally) {
        let woken = std::mem::take(&mut *self.woken.groups.lock().unwrap_or_else(PoisonError::into_inner));
        for number in woken {
            let group = number.checked_sub(self.first).and_then(|place| self.groups.get_mut(place as usize));
            if let Some(group) = group {
                group.wake.noted.store(false, std::sync::atomic::Ordering::Release);
                group.ask(0, tally);
            }
        }
        while self.groups.front().is_some_and(|group| group.added == GROUP && group.tickets.is_empty()) {
            self.groups.pop_front();
            self.first += 1;
        }
    }
}

impl Group {
    /// Asks the tickets from place `from` on, and forgets those that are ready.
    fn ask(&mut self, from: usize, tally: &mut Tally) {
        let waker = Waker::from(Arc::clone(&self.wake));
        let mut context = Context::from_waker(&waker);
        let mut seen_at = None;
        let ready = self.tickets.extract_if(from.., |(put_at, ticket)| {
            let Poll::Ready(report) = Pin::new(ticket).poll(&mut context) else { return false };
            tally.count(&report);
            tally.time(*put_at, *seen_at.get_or_insert_with(now), 1);
            true
        });
        ready.for_each(drop);
    }
}
