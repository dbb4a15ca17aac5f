//! Puts as the faces need them: at once or not at all, or waiting for room; one user record or many in order. Room in the budget
//! is reserved before any lock; then the put goes through the stripe of its thread, and only where no open aggregate has room
//! through the state machine.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use super::prepare::{Prepared, hash_key};
use super::stream::{Delivered, NotTaken, Placed, SLICE, State, StreamShared, WakeOnPanic, next_wake};
use super::stripes::Locked;
use crate::core::Refusal;
use crate::error::PutError;
use crate::time::Time;

impl StreamShared {
    /// Puts a prefix of `records` without waiting: gives how many were taken, and why not more.
    #[inline]
    pub(crate) fn try_put_all(
        &self,
        records: &[Prepared<'_>],
        placed: impl FnMut(Placed),
    ) -> (usize, Option<PutError>) {
        let (taken, stopped) = self.try_put_prefix(records, placed);
        (taken, stopped.map(NotTaken::into_refusal))
    }

    /// Puts all of `records`, waiting for room where there is none. `placed` is called for each that was taken, in order, also
    /// when the future is dropped before its end.
    pub(crate) async fn put_all(
        &self,
        records: &[Prepared<'_>],
        placed: &mut impl FnMut(Placed),
    ) -> Result<(), PutError> {
        let mut rest = records;
        loop {
            let (taken, stopped) = self.try_put_prefix(rest, &mut *placed);
            rest = rest.get(taken..).unwrap_or_default();
            match stopped {
                None => return Ok(()),
                Some(NotTaken::Backlog(lane)) => self.lane_has_room(lane).await,
                Some(NotTaken::Refused(PutError::QueueFull)) => {
                    let Some((first, others)) = rest.split_first() else { return Ok(()) };
                    self.reserve_in_line(first.bytes()).await?;
                    match self.put_reserved(std::slice::from_ref(first), &mut *placed) {
                        (_, None) => rest = others,
                        (_, Some(NotTaken::Backlog(lane))) => self.lane_has_room(lane).await,
                        (_, Some(NotTaken::Refused(why))) => return Err(why),
                    }
                }
                Some(NotTaken::Refused(why)) => return Err(why),
            }
        }
    }

    #[inline]
    fn try_put_prefix(&self, records: &[Prepared<'_>], placed: impl FnMut(Placed)) -> (usize, Option<NotTaken>) {
        let reserved = self.reserve(records);
        let (taken, stopped) = self.put_reserved(records.get(..reserved).unwrap_or_default(), placed);
        let full = if self.budgets.producer.is_closed() { PutError::Closed } else { PutError::QueueFull };
        (taken, stopped.or((reserved < records.len()).then_some(NotTaken::Refused(full))))
    }

    /// Puts user records for which room is reserved, and gives back what is not used.
    #[inline]
    fn put_reserved(&self, records: &[Prepared<'_>], mut placed: impl FnMut(Placed)) -> (usize, Option<NotTaken>) {
        let mut accepted = 0;
        let count = |place| {
            accepted += 1;
            placed(place);
        };
        // A bug in the core must not unwind into the caller. What was accepted before it has its report.
        let put = catch_unwind(AssertUnwindSafe(|| self.put(records, count)));
        let (taken, stopped) = put.unwrap_or_else(|_| {
            let poisoned = NotTaken::Refused(PutError::Poisoned);
            (accepted, (accepted < records.len()).then_some(poisoned))
        });
        self.unreserve(records.get(taken..).unwrap_or_default());
        (taken, stopped)
    }

    /// Reserves room for user records, in order, as far as there is some; gives how many.
    #[inline]
    fn reserve(&self, records: &[Prepared<'_>]) -> usize {
        let bytes = records.iter().map(Prepared::bytes).sum();
        if self.try_reserve(records.len(), bytes) {
            return records.len();
        }
        records.iter().take_while(|record| self.try_reserve(1, record.bytes())).count()
    }

    /// Reserves room in the producer's budget and in the stream's share.
    #[inline]
    fn try_reserve(&self, records: usize, bytes: usize) -> bool {
        if !self.budgets.producer.try_reserve(records, bytes) {
            return false;
        }
        let share = self.budgets.stream.as_ref().is_none_or(|share| share.try_reserve(records, bytes));
        if !share {
            self.budgets.producer.release(records, bytes);
        }
        share
    }

    /// Puts user records for which room is reserved, in order, until one is not taken. Gives how many were, and why not more.
    fn put(&self, records: &[Prepared<'_>], mut placed: impl FnMut(Placed)) -> (usize, Option<NotTaken>) {
        let _wake = WakeOnPanic(&self.wake_driver);
        let mut taken = 0;
        while let Some(slice) = records.get(taken..).filter(|rest| !rest.is_empty()) {
            let slice = slice.get(..SLICE).unwrap_or(slice);
            let now = self.clock.now();
            let (count, stripe) = match self.put_open(slice, now, &mut placed) {
                Ok(put) => put,
                Err(why) => return (taken, Some(NotTaken::Refused(why))),
            };
            taken += count;
            let Some(rest) = slice.get(count..).filter(|rest| !rest.is_empty()) else { continue };
            let (count, stopped) = self.put_next(stripe, rest, now, &mut placed);
            taken += count;
            if stopped.is_some() {
                return (taken, stopped);
            }
        }
        (taken, None)
    }

    /// Appends to open aggregates, until a user record needs more than that. Gives how many were taken, and the stripe they went
    /// through.
    #[inline]
    fn put_open(
        &self,
        slice: &[Prepared<'_>],
        now: Time,
        placed: &mut impl FnMut(Placed),
    ) -> Result<(usize, usize), PutError> {
        let (number, stripe) = self.stripes.home();
        let mut stripe = stripe.map_err(|_| PutError::Poisoned)?;
        if let Some(why) = stripe.refuses {
            return Err(why);
        }
        let tickets = matches!(self.delivered, Delivered::Tickets);
        let mut taken = 0;
        for prepared in slice {
            let Some(token) = stripe.intake.try_put(&prepared.hashed, now) else { break };
            placed(stripe.accept(token, prepared, tickets));
            taken += 1;
        }
        Ok((taken, number))
    }

    /// Puts user records of which the first finds no open aggregate with room. Where there are other stripes, their callers may
    /// want the state too: then it puts only that one.
    fn put_next(
        &self,
        number: usize,
        slice: &[Prepared<'_>],
        now: Time,
        placed: &mut impl FnMut(Placed),
    ) -> (usize, Option<NotTaken>) {
        let Some(mut locked) = self.stripes.with_one(number) else {
            return (0, Some(NotTaken::Refused(PutError::Poisoned)));
        };
        let Locked { state, stripes } = &mut locked;
        let State { pipeline, closed, armed, in_line, .. } = &mut **state;
        if *closed {
            return (0, Some(NotTaken::Refused(PutError::Closed)));
        }
        let tickets = matches!(self.delivered, Delivered::Tickets);
        let most = if pipeline.intakes() > 1 { 1 } else { slice.len() };
        let mut taken = 0;
        let mut refusal = None;
        if let Some(Some(stripe)) = stripes.get_mut(number) {
            for prepared in slice.iter().take(most) {
                match pipeline.put(number, &prepared.hashed, now) {
                    Ok(token) => placed(stripe.accept(token, prepared, tickets)),
                    Err(why) => {
                        refusal = Some(why);
                        break;
                    }
                }
                taken += 1;
            }
        }
        // Also after a refusal: when there is room again is a deadline too.
        let wake = pipeline.take_stirred() && (pipeline.has_job() || next_wake(pipeline, *in_line) < *armed);
        if wake {
            *armed = Time::ZERO;
        }
        drop(locked);
        if wake {
            self.wake_driver.notify_one();
        }
        match (refusal, slice.get(taken)) {
            (Some(Refusal::Backlog(lane)), _) => (taken, Some(NotTaken::Backlog(lane))),
            // Rare: the shard map came after the key was looked at. Hash, and enter again.
            (Some(Refusal::NeedsHashKey), Some(next)) => {
                let mut next = *next;
                next.hashed.hash_key = Some(hash_key(&next.hashed.record, next.hashed.key_digest));
                let (count, stopped) = self.put_next(number, &[next], now, placed);
                (taken + count, stopped)
            }
            (_, _) => (taken, None),
        }
    }

    fn unreserve(&self, records: &[Prepared<'_>]) {
        if !records.is_empty() {
            let bytes = records.iter().map(Prepared::bytes).sum();
            self.budgets.all().for_each(|budget| budget.release(records.len(), bytes));
        }
    }

    /// Room for one user record, waited for in line, in both budgets.
    async fn reserve_in_line(&self, bytes: usize) -> Result<(), PutError> {
        let takes_reports = match &self.delivered {
            Delivered::Tickets => false,
            Delivered::Queue(queue) => queue.is_taken_by_caller(),
        };
        let producer = self.budgets.producer.reserve(1, bytes, takes_reports);
        let Some(share) = &self.budgets.stream else { return producer.await };
        share.reserve(1, bytes, takes_reports).await?;
        let mut held = Held { share, bytes: Some(bytes) };
        producer.await?;
        held.bytes = None;
        Ok(())
    }

    /// Waits until a lane that refused may have room.
    async fn lane_has_room(&self, lane: u32) {
        let mut registered = false;
        poll_fn(|context| {
            if registered {
                return Poll::Ready(());
            }
            registered = self.wait_for_lane(lane, context.waker());
            if registered { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }
}

/// Room in a stream's share while the producer's is waited for.
struct Held<'a> {
    share: &'a super::budget::Budget,
    bytes: Option<usize>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(bytes) = self.bytes {
            self.share.release(1, bytes);
        }
    }
}

impl NotTaken {
    fn into_refusal(self) -> PutError {
        match self {
            NotTaken::Refused(why) => why,
            NotTaken::Backlog(_) => PutError::QueueFull,
        }
    }
}
