//! One thread that puts: its share of the sequence numbers, unpaced or at their moments, and awaits its tickets meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Waker;
use std::time::{Duration, Instant};

use kinesis_producer::{Producer, PutError, PutMany, Stream, UserRecord};

use crate::options::{Options, ReportWay};
use crate::payload::{Batch, Numbers};
use crate::support::now;
use crate::tally::Tally;
use crate::tickets::{AnyOrder, InOrder};
use crate::wait::{thread_waker, wait_for};

/// User records of one `put_many`.
const BATCH: usize = 1024;

/// Longer than anything that is accepted lives, unless `record_ttl` is longer still.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(3600);

pub(crate) struct Putter<'a> {
    producer: &'a Producer,
    stream: &'a Stream,
    options: &'a Options,
    start: Instant,
    numbers: Numbers,
    waker: Waker,
    tally: Tally,
}

impl<'a> Putter<'a> {
    /// For this thread, the `thread`th from 0.
    pub(crate) fn new(
        producer: &'a Producer,
        stream: &'a Stream,
        options: &'a Options,
        start: Instant,
        thread: u64,
    ) -> Putter<'a> {
        let numbers = Numbers::new(options.records, options.key_count(), options.threads.into(), thread);
        Putter { producer, stream, options, start, numbers, waker: thread_waker(), tally: Tally::new() }
    }

    /// Puts all, and awaits all tickets. The last of the threads, which `putting` counts down, sends what an unpaced load left
    /// in open aggregates; a paced one leaves it its time.
    ///
    /// # Errors
    /// Why a put was refused; the tickets before it were awaited.
    pub(crate) fn run(&mut self, putting: &AtomicUsize) -> Result<(), PutError> {
        match (self.options.rate, self.options.report) {
            (None, ReportWay::Tickets) => self.put_many(putting),
            (None, ReportWay::Poll | ReportWay::None) => {
                let put = self.put_many_detached();
                self.done(putting);
                put
            }
            (Some(rate), ReportWay::Tickets) => self.put_paced(rate, putting),
            (Some(rate), ReportWay::Poll | ReportWay::None) => {
                let put = self.put_paced_detached(rate);
                putting.fetch_sub(1, SeqCst);
                put
            }
        }
    }

    pub(crate) fn into_tally(self) -> Tally {
        self.tally
    }

    fn batch(&self, records: usize) -> Batch {
        Batch::new(records, self.options.size, self.options.producer_id)
    }

    fn put_many(&mut self, putting: &AtomicUsize) -> Result<(), PutError> {
        let mut batch = self.batch(BATCH);
        let mut waiting = InOrder::new(self.waker.clone());
        let mut put = Ok(());
        while put.is_ok() && batch.fill(&mut self.numbers) > 0 {
            let records: Vec<UserRecord<'_>> = batch.records().collect();
            let put_at = now();
            let many = wait_for(&self.waker, self.stream.put_many(&records), || waiting.take_ready(&mut self.tally));
            put = many.stopped.map_or(Ok(()), Err);
            waiting.add(put_at, many.tickets);
            waiting.take_ready(&mut self.tally);
        }
        if putting.fetch_sub(1, SeqCst) == 1 {
            wait_for(&self.waker, self.producer.flush(FLUSH_TIMEOUT), || waiting.take_ready(&mut self.tally));
        }
        waiting.take_ready(&mut self.tally);
        while !waiting.is_empty() {
            std::thread::park();
            waiting.take_ready(&mut self.tally);
        }
        put
    }

    fn put_many_detached(&mut self) -> Result<(), PutError> {
        let mut batch = self.batch(BATCH);
        while batch.fill(&mut self.numbers) > 0 {
            let put_at = self.start.elapsed().as_nanos() as u64;
            let records: Vec<(UserRecord<'_>, u64)> = batch.records().map(|record| (record, put_at)).collect();
            let mut rest = records.as_slice();
            while !rest.is_empty() {
                let PutMany { accepted, stopped, .. } =
                    wait_for(&self.waker, self.stream.put_many_detached(rest.iter().copied()), || {});
                rest = &rest[accepted..];
                match stopped {
                    // All is decided and only untaken reports fill the queue: another thread takes them.
                    Some(PutError::QueueFull) => std::thread::yield_now(),
                    Some(refused) => return Err(refused),
                    None => {}
                }
            }
        }
        Ok(())
    }

    fn put_paced(&mut self, rate: f64, putting: &AtomicUsize) -> Result<(), PutError> {
        let mut batch = self.batch(1);
        let mut waiting = AnyOrder::new();
        let mut put = Ok(());
        while let (Ok(()), Some((sequence, _))) = (put, self.numbers.peek()) {
            wait_until(self.due(sequence, rate), || waiting.take_ready(&mut self.tally));
            batch.fill(&mut self.numbers);
            for record in batch.records() {
                let put_at = now();
                match wait_for(&self.waker, self.stream.put(record), || waiting.take_ready(&mut self.tally)) {
                    Ok(ticket) => waiting.add(put_at, ticket, &mut self.tally),
                    Err(refused) => put = Err(refused),
                }
            }
        }
        putting.fetch_sub(1, SeqCst);
        waiting.take_ready(&mut self.tally);
        while !waiting.is_empty() {
            std::thread::park();
            waiting.take_ready(&mut self.tally);
        }
        put
    }

    fn put_paced_detached(&mut self, rate: f64) -> Result<(), PutError> {
        let mut batch = self.batch(1);
        while let Some((sequence, _)) = self.numbers.peek() {
            wait_until(self.due(sequence, rate), || {});
            batch.fill(&mut self.numbers);
            for record in batch.records() {
                let put_at = self.start.elapsed().as_nanos() as u64;
                while let Err(refused) = wait_for(&self.waker, self.stream.put_detached(record, put_at), || {}) {
                    match refused {
                        PutError::QueueFull => std::thread::yield_now(),
                        other => return Err(other),
                    }
                }
            }
        }
        Ok(())
    }

    /// When a paced user record is to be put.
    fn due(&self, sequence: u64, rate: f64) -> Instant {
        self.start + Duration::from_secs_f64(sequence as f64 / rate)
    }

    /// Counts this thread as done; the last one sends what lies in open aggregates.
    fn done(&self, putting: &AtomicUsize) {
        if putting.fetch_sub(1, SeqCst) == 1 {
            wait_for(&self.waker, self.producer.flush(FLUSH_TIMEOUT), || {});
        }
    }
}

/// Waits for a moment; calls `meanwhile` at once and whenever the thread is woken before.
fn wait_until(when: Instant, mut meanwhile: impl FnMut()) {
    loop {
        meanwhile();
        let left = when.saturating_duration_since(now());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left);
    }
}
