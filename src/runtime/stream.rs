//! One stream: its state machine behind short locks, and what has to happen after every input once the locks are released: tickets
//! are filled, reports queued, room given back, wakers woken, jobs started, lines logged.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use tokio::sync::Notify;

use super::clock::Clock;
use super::log::{self, Log};
use super::measure::Measured;
use super::reports::{Budgets, Delivery, ReportQueue};
use super::slots::SlotBlock;
use super::stripes::{Amount, Locked, Stripes};
use super::wake::wake_all;
use crate::config::StreamConfig;
use crate::core::{Event, Job, Pipeline, ReportBatch};
use crate::error::PutError;
use crate::metrics::StreamMetrics;
use crate::time::Time;

/// User records that are put under one hold of the lock, at most: some 5 µs.
pub(crate) const SLICE: usize = 64;

/// How the user records of a producer are reported.
#[derive(Clone, Debug)]
pub(crate) enum Delivered {
    /// By ticket.
    Tickets,
    /// By a queue, which the caller or the callback's thread empties.
    Queue(Arc<ReportQueue>),
}

/// A stream of a producer.
#[derive(Debug)]
pub(crate) struct StreamShared {
    pub(crate) name: Arc<str>,
    pub(crate) clock: Clock,
    pub(crate) budgets: Budgets,
    pub(crate) delivered: Delivered,
    pub(crate) wake_driver: Notify,
    pub(super) max_user_record_size: usize,
    pub(super) needs_hash_keys: AtomicBool,
    /// Threads that hand out reports which they drained: an abort is not over before they are done.
    handing_out: AtomicUsize,
    /// A panic under a lock poisons it; puts then get `Poisoned`.
    pub(super) stripes: Stripes,
    /// Counted after the stream's locks are released, and before reports are handed out: who has a report finds it counted.
    pub(super) metrics: Mutex<StreamMetrics>,
    log: Mutex<Log>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) pipeline: Pipeline,
    /// User records drained as reports since the start: what a breakdown need not give back.
    pub(super) decided: Amount,
    /// User records accepted that the metrics know of.
    counted: u64,
    /// The driver wakes up by itself at this moment.
    pub(super) armed: Time,
    /// It stands in line for a connection: when a request is due does not matter until it has one.
    pub(super) in_line: bool,
    /// No more user records; the driver ends.
    pub(super) closed: bool,
    /// There was a panic under a lock, and everything is reported.
    broken: bool,
    /// Puts that wait for room in a shard's queue.
    backlogged: HashMap<u32, Vec<Waker>>,
    /// Flushes under way.
    flushes: Vec<(u64, Waker)>,
    jobs: Vec<Job>,
}

/// What is left to do once the lock is released.
#[derive(Default)]
struct Aftermath {
    measured: Measured,
    completed: Vec<(Arc<SlotBlock>, super::slots::Part)>,
    deliveries: Vec<Delivery>,
    released: Vec<(usize, usize)>,
    wakers: Vec<Waker>,
    events: Vec<Event>,
    wake_driver: bool,
    hands_out: bool,
}

/// A put that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// For good, or until the caller does something.
    Refused(PutError),
    /// Too much is queued for the user record's shard.
    Backlog(u32),
}

/// What an accepted put gives back.
#[derive(Debug)]
pub(crate) enum Placed {
    Ticket(Arc<SlotBlock>, u32),
    Detached,
}

impl StreamShared {
    pub(crate) fn new(
        name: Arc<str>,
        config: StreamConfig,
        seed: u64,
        clock: Clock,
        budgets: Budgets,
        delivered: Delivered,
    ) -> StreamShared {
        let max_user_record_size = config.max_user_record_size;
        let now = clock.now();
        let pipeline = Pipeline::new(config, Stripes::useful(), budgets.producer.max_bytes(), seed, now);
        StreamShared {
            metrics: Mutex::new(StreamMetrics::new(&name, now)),
            log: Mutex::default(),
            name,
            clock,
            budgets,
            delivered,
            wake_driver: Notify::new(),
            max_user_record_size,
            needs_hash_keys: AtomicBool::new(false),
            handing_out: AtomicUsize::new(0),
            stripes: Stripes::new(State {
                pipeline,
                decided: Amount::default(),
                counted: 0,
                armed: Time::NEVER,
                in_line: false,
                closed: false,
                broken: false,
                backlogged: HashMap::new(),
                flushes: Vec::new(),
                jobs: Vec::new(),
            }),
        }
    }

    /// Registers `waker` to be woken when there is room again for a lane that refused. False if there may be room by now.
    pub(crate) fn wait_for_lane(&self, lane: u32, waker: &Waker) -> bool {
        // Cloned before the lock: that is the caller's code.
        let waker = waker.clone();
        let Ok(mut state) = self.stripes.state() else { return false };
        if state.closed || !state.pipeline.is_refusing(lane) {
            return false;
        }
        let waiting = state.backlogged.entry(lane).or_default();
        // One that is polled again without being woken by the lane leaves one waker.
        if waiting.last().is_none_or(|last| !last.will_wake(&waker)) {
            waiting.push(waker);
        }
        true
    }

    /// Does something to the state machine, drains its outputs, and does what follows from them. `None` after a panic.
    pub(crate) fn enter<T>(&self, input: impl FnOnce(&mut Pipeline, Time) -> T) -> Option<T> {
        let now = self.clock.now();
        let _wake = WakeOnPanic(&self.wake_driver);
        // Finished after the lock is released, also by a panic: what was drained is no longer in the tables.
        let mut unfinished = Unfinished { stream: self, after: Aftermath::default(), now };
        let mut whole = self.stripes.whole()?;
        let result = input(&mut whole.state.pipeline, now);
        self.drain(&mut whole, &mut unfinished.after);
        Some(result)
    }

    /// The jobs that are to be started.
    pub(crate) fn take_jobs(&self) -> Vec<Job> {
        self.stripes.state().map(|mut state| std::mem::take(&mut state.jobs)).unwrap_or_default()
    }

    /// The driver is awake: nobody needs to wake it before it has armed itself again.
    pub(crate) fn disarm(&self) {
        if let Ok(mut state) = self.stripes.state() {
            state.armed = Time::ZERO;
        }
    }

    /// Tells when the driver will wake up by itself, and whether it stands in line for a connection; whatever needs it earlier
    /// wakes it.
    pub(crate) fn arm(&self, in_line: bool) -> Option<Time> {
        let mut state = self.stripes.state().ok()?;
        state.in_line = in_line;
        state.armed = next_wake(&state.pipeline, in_line);
        Some(state.armed)
    }

    /// Takes no more user records.
    pub(crate) fn close(&self) {
        let (mut whole, why) = match self.stripes.remains() {
            Ok(whole) => (whole, PutError::Closed),
            Err(whole) => (whole, PutError::Poisoned),
        };
        let Locked { state, stripes } = &mut whole;
        state.closed = true;
        stripes.iter_mut().flatten().for_each(|stripe| stripe.refuses = Some(why));
        let wakers: Vec<Waker> = std::mem::take(&mut state.backlogged).into_values().flatten().collect();
        drop(whole);
        wake_all(wakers);
        self.wake_driver.notify_one();
    }

    /// Reports everything undecided as aborted, also after a panic. Gives how many user records that were.
    pub(crate) fn abort(&self) -> usize {
        self.close();
        let aborted = self.enter(|pipeline, now| {
            let before = pipeline.counters().user_records_failed;
            pipeline.abort(now);
            pipeline.counters().user_records_failed - before
        });
        let count = aborted.map_or_else(|| self.give_up(), |count| count as usize);
        // What another thread drained is decided as well; it does not block.
        while self.is_handing_out() {
            std::thread::yield_now();
        }
        count
    }

    /// After a panic under the lock the state machine cannot be trusted; the table of what was accepted can.
    fn give_up(&self) -> usize {
        let Err(mut whole) = self.stripes.remains() else { return 0 };
        let Amount { records, bytes } = whole.held();
        let Locked { state, stripes } = &mut whole;
        state.broken = true;
        let (mut tickets, mut opaques) = (Vec::new(), Vec::new());
        for stripe in stripes.iter_mut().flatten() {
            stripe.side.take_undecided(&mut tickets, &mut opaques);
            stripe.accepted = Amount::default();
        }
        state.decided = Amount::default();
        let wakers: Vec<Waker> = state.flushes.drain(..).map(|(_, waker)| waker).collect();
        drop(whole);
        wake_all(wakers);
        if matches!(self.delivered, Delivered::Tickets) {
            self.budgets.all().for_each(|budget| budget.give_back(records, bytes));
        }
        let batch = Arc::new(ReportBatch::broken_down());
        wake_all(tickets.iter().flat_map(|block| block.complete_rest(&batch)).map(|(_, waker)| waker));
        match &self.delivered {
            Delivered::Tickets => {}
            Delivered::Queue(_) if opaques.is_empty() => {}
            Delivered::Queue(queue) => {
                queue.push(vec![Delivery { batch, position: 0, opaques, bytes, budgets: self.budgets.clone() }]);
            }
        }
        self.budgets.all().for_each(|budget| budget.serve());
        records
    }

    /// Whether some thread hands out reports that it drained.
    pub(crate) fn is_handing_out(&self) -> bool {
        self.handing_out.load(SeqCst) > 0
    }

    /// Whether a flush is over; if not, `waker` is woken when it may be.
    pub(crate) fn is_flushed(&self, flush: u64, waker: &Waker) -> bool {
        let Ok(mut state) = self.stripes.state() else { return true };
        let done = state.broken || state.pipeline.is_flushed(flush);
        if !done {
            state.flushes.push((flush, waker.clone()));
        }
        done
    }

    /// Forgets who waits for a flush.
    pub(crate) fn forget_flush(&self, flush: u64) {
        if let Ok(mut state) = self.stripes.state() {
            state.flushes.retain(|(other, _)| *other != flush);
        }
    }

    /// How many wait for a flush.
    #[cfg(test)]
    pub(crate) fn flushes(&self) -> usize {
        self.stripes.state().map_or(0, |state| state.flushes.len())
    }

    /// Drains the outputs of the state machine under the locks. A panic leaves nothing between the tables and `after`.
    fn drain(&self, whole: &mut Locked<'_>, after: &mut Aftermath) {
        let batches: Vec<Arc<ReportBatch>> =
            std::iter::from_fn(|| whole.state.pipeline.poll_reports()).map(Arc::new).collect();
        if !batches.is_empty() {
            self.handing_out.fetch_add(1, SeqCst);
            after.hands_out = true;
        }
        let accepted = whole.accepted();
        let Locked { state, stripes } = whole;
        let State { pipeline, decided, counted, armed, in_line, backlogged, flushes, jobs, .. } = &mut **state;
        for batch in &batches {
            let more = decided.plus(Amount { records: batch.members().len(), bytes: batch.user_bytes() });
            assert!(accepted.minus(more).is_some(), "more is decided than was accepted");
            *decided = more;
            match &self.delivered {
                Delivered::Tickets => {
                    after.released.push((batch.members().len(), batch.user_bytes()));
                    stripes.iter().flatten().for_each(|stripe| stripe.side.complete(batch, &mut after.completed));
                }
                Delivered::Queue(_) => {
                    let opaques = stripes.iter_mut().flatten().flat_map(|stripe| stripe.side.opaques(batch));
                    let delivered = opaques.map(|(position, opaques)| {
                        let (batch, budgets) = (Arc::clone(batch), self.budgets.clone());
                        Delivery { batch, position, opaques, bytes: 0, budgets }
                    });
                    let first = after.deliveries.len();
                    after.deliveries.extend(delivered);
                    // All bytes of the batch go with its first part.
                    if let Some(delivery) = after.deliveries.get_mut(first) {
                        delivery.bytes = batch.user_bytes();
                    }
                }
            }
        }
        // Only now: several batches may hold user records of one block, and the last of them frees it.
        for stripe in stripes.iter_mut().flatten() {
            batches.iter().for_each(|batch| stripe.side.free(batch, |block| pipeline.is_block_free(block)));
        }
        while let Some(lane) = pipeline.poll_admitted() {
            after.wakers.extend(backlogged.remove(&lane).unwrap_or_default());
        }
        while let Some(event) = pipeline.poll_event() {
            after.events.push(event);
        }
        let pending = accepted.records - decided.records;
        after.measured = Measured::drain(pipeline, counted, pending, batches);
        while let Some(job) = pipeline.poll_job() {
            jobs.push(job);
        }
        let done = flushes.extract_if(.., |(flush, _)| pipeline.is_flushed(*flush));
        after.wakers.extend(done.map(|(_, waker)| waker));
        after.wake_driver = !jobs.is_empty() || next_wake(pipeline, *in_line) < *armed;
        store_change(&self.needs_hash_keys, pipeline.needs_hash_keys());
    }

    fn tell(&self, events: &[Event], now: Time) {
        if events.is_empty() {
            return;
        }
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let passed: Vec<_> = events.iter().filter_map(|event| Some((event, log.pass(event, now)?))).collect();
        drop(log);
        passed.into_iter().for_each(|(event, left_out)| log::write(&self.name, event, left_out));
    }

    /// Does what the outputs ask for, without the lock.
    fn finish(&self, after: Aftermath, now: Time) {
        self.measure(after.measured, now);
        let mut wakers = after.wakers;
        // Whoever has a report finds the room that its user record took.
        for (records, bytes) in after.released {
            self.budgets.all().for_each(|budget| budget.give_back(records, bytes));
        }
        for (block, part) in after.completed {
            wakers.extend(block.complete(part).into_iter().map(|(_, waker)| waker));
        }
        if let Delivered::Queue(queue) = &self.delivered {
            queue.push(after.deliveries);
        }
        // Before anybody is woken: who is may abort.
        if after.hands_out {
            self.handing_out.fetch_sub(1, SeqCst);
            self.budgets.all().for_each(|budget| budget.serve());
        }
        wake_all(wakers);
        if after.wake_driver {
            self.wake_driver.notify_one();
        }
        self.tell(&after.events, now);
    }
}

/// What was drained and not handed out yet.
struct Unfinished<'a> {
    stream: &'a StreamShared,
    after: Aftermath,
    now: Time,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Lines may be anybody's code, and a second panic would end the program.
            self.after.events.clear();
        }
        self.stream.finish(std::mem::take(&mut self.after), self.now);
    }
}

/// A panic under the lock poisons it: the driver, woken, finds that out and reports the rest as aborted.
pub(super) struct WakeOnPanic<'a>(pub(super) &'a Notify);

impl Drop for WakeOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.notify_one();
        }
    }
}

/// When the driver has something to do.
pub(super) fn next_wake(pipeline: &Pipeline, in_line: bool) -> Time {
    if in_line { pipeline.poll_timeout() } else { pipeline.poll_timeout().min(pipeline.transmit_due()) }
}

/// Stores only what changed: puts read it all the time.
fn store_change(flag: &AtomicBool, needs: bool) {
    if flag.load(Relaxed) != needs {
        flag.store(needs, Relaxed);
    }
}
