//! The locks of a stream. Callers that put at the same time go through stripes: each has a lock, an intake of the state machine and
//! the tables of what was put through it, so that they share neither locks nor cache lines. A put that finds an open aggregate with
//! room needs its stripe alone; another put the state as well; everything else the state and all stripes. Lock order: the state,
//! then the stripes by number.

use std::cell::Cell;
use std::ops::Range;
use std::sync::{LockResult, Mutex, MutexGuard, TryLockError};

use super::prepare::Prepared;
use super::side::Side;
use super::stream::{Placed, State};
use crate::core::{Intake, Token};
use crate::error::PutError;

/// More would leave a shard's aggregates less full, and four callers put faster than anything else here goes.
const MOST: usize = 4;

/// What callers go through.
#[derive(Debug)]
pub(super) struct Stripe {
    pub(super) intake: Intake,
    pub(super) side: Side,
    /// User records and their bytes accepted since the start.
    pub(super) accepted: Amount,
    /// Why no more are taken.
    pub(super) refuses: Option<PutError>,
}

/// User records and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Amount {
    pub(super) fn plus(self, other: Amount) -> Amount {
        Amount { records: self.records + other.records, bytes: self.bytes + other.bytes }
    }

    pub(super) fn minus(self, other: Amount) -> Option<Amount> {
        let records = self.records.checked_sub(other.records)?;
        Some(Amount { records, bytes: self.bytes.checked_sub(other.bytes)? })
    }
}

impl Stripe {
    /// A user record was accepted.
    #[inline]
    pub(super) fn accept(&mut self, token: Token, prepared: &Prepared<'_>, tickets: bool) -> Placed {
        self.accepted = self.accepted.plus(Amount { records: 1, bytes: prepared.bytes() });
        self.side.place(token, prepared.opaque, tickets)
    }
}

/// What two callers write to must not lie in one cache line, nor in two that are fetched together.
#[derive(Debug)]
#[repr(align(128))]
struct Apart<T>(T);

/// The state and the stripes.
#[derive(Debug)]
pub(super) struct Stripes {
    state: Apart<Mutex<State>>,
    stripes: Box<[Apart<Mutex<Stripe>>]>,
}

impl Stripes {
    /// How many stripes are of use on this machine: a power of two.
    pub(super) fn useful() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from).next_power_of_two().clamp(2, MOST)
    }

    /// A stripe for each intake of the state machine.
    pub(super) fn new(mut state: State) -> Stripes {
        let count = state.pipeline.intakes();
        let stripe = |number| {
            let mut intake = Intake::default();
            state.pipeline.swap_intake(number, &mut intake);
            let side = Side::new(number, count);
            Apart(Mutex::new(Stripe { intake, side, accepted: Amount::default(), refuses: None }))
        };
        Stripes { stripes: (0..count).map(stripe).collect(), state: Apart(Mutex::new(state)) }
    }

    /// The calling thread goes through this stripe next.
    #[cfg(test)]
    pub(super) fn move_to(&self, stripe: usize) {
        let (stream, place) = self.address();
        HOMES.with(|homes| homes[place].set(Home { stream, stripe, heat: 0, left: STAY }));
    }

    /// The state without the stripes: enough for what asks nothing about open aggregates.
    pub(super) fn state(&self) -> LockResult<MutexGuard<'_, State>> {
        self.state.0.lock()
    }

    /// The state and one stripe, for a put; `None` after a panic.
    pub(super) fn with_one(&self, number: usize) -> Option<Locked<'_>> {
        self.lock(number..number + 1).ok()
    }

    /// Everything; `None` after a panic.
    pub(super) fn whole(&self) -> Option<Locked<'_>> {
        self.remains().ok()
    }

    /// Everything, as it is; an error if there was a panic under one of the locks.
    pub(super) fn remains(&self) -> Result<Locked<'_>, Locked<'_>> {
        self.lock(0..self.stripes.len())
    }

    fn lock(&self, numbers: Range<usize>) -> Result<Locked<'_>, Locked<'_>> {
        let mut broken = false;
        let state = even_so(wait_for(&self.state.0), &mut broken);
        let mut locked = Locked { state, stripes: Default::default() };
        let stripes = locked.stripes.iter_mut().zip(&self.stripes).take(numbers.end).skip(numbers.start);
        for (place, Apart(stripe)) in stripes {
            *place = Some(even_so(wait_for(stripe), &mut broken));
        }
        locked.swap_intakes();
        if broken { Err(locked) } else { Ok(locked) }
    }

    /// The stripe of this thread, and its number.
    #[inline]
    pub(super) fn home(&self) -> (usize, LockResult<MutexGuard<'_, Stripe>>) {
        if let [Apart(only)] = &*self.stripes {
            return (0, wait_for(only));
        }
        let (stream, place) = self.address();
        HOMES.with(|homes| {
            let home = &homes[place];
            let (number, stripe) = self.at(home.get().of(stream));
            match stripe.try_lock() {
                Ok(stripe) => {
                    home.set(home.get().of(stream).calm());
                    (number, Ok(stripe))
                }
                Err(TryLockError::Poisoned(poisoned)) => (number, Err(poisoned)),
                Err(TryLockError::WouldBlock) => self.move_home(home, stream),
            }
        })
    }

    #[cold]
    fn move_home(&self, home: &Cell<Home>, stream: usize) -> (usize, LockResult<MutexGuard<'_, Stripe>>) {
        home.set(home.get().of(stream).crowded());
        let (number, stripe) = self.at(home.get());
        (number, wait_for(stripe))
    }

    /// What tells this stream from others, and where a thread keeps its home in it.
    #[inline]
    fn address(&self) -> (usize, usize) {
        let address = std::ptr::from_ref(self).addr();
        (address, address / align_of::<Stripes>() % HOMES_KEPT)
    }

    #[inline]
    fn at(&self, home: Home) -> (usize, &Mutex<Stripe>) {
        let number = home.stripe & (self.stripes.len() - 1);
        (number, &self.stripes[number].0)
    }
}

fn even_so<T>(locked: LockResult<T>, broken: &mut bool) -> T {
    locked.unwrap_or_else(|poisoned| {
        *broken = true;
        poisoned.into_inner()
    })
}

/// Others hold it for a slice at most, which takes less than going to sleep and being woken: looks again for about as long before
/// it sleeps.
fn wait_for<T>(mutex: &Mutex<T>) -> LockResult<MutexGuard<'_, T>> {
    for pause in [1, 4, 8, 16, 32, 32, 32, 32, 32] {
        match mutex.try_lock() {
            Ok(guard) => return Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Err(poisoned),
            Err(TryLockError::WouldBlock) => (0..pause).for_each(|_| std::hint::spin_loop()),
        }
    }
    mutex.lock()
}

/// Which stripe of a stream a thread takes. All begin with the first one, so that what comes at a low rate fills aggregates
/// together; who keeps meeting others there moves on, for a while.
#[derive(Clone, Copy, Default)]
struct Home {
    /// The stream's address: what is forgotten or mistaken costs a few meetings.
    stream: usize,
    stripe: usize,
    /// How much of the time it met others lately.
    heat: u32,
    /// After this many calm puts it goes back to the first one.
    left: u32,
}

/// One in eight met somebody.
const MEETING: u32 = 8;
const TOO_HOT: u32 = 8 * MEETING;
const STAY: u32 = 4096;
/// Streams that a thread remembers; those that fall together begin anew each time.
const HOMES_KEPT: usize = 8;

thread_local! {
    static HOMES: [Cell<Home>; HOMES_KEPT] =
        const { [const { Cell::new(Home { stream: 0, stripe: 0, heat: 0, left: 0 }) }; HOMES_KEPT] };
}

impl Home {
    #[inline]
    fn of(self, stream: usize) -> Home {
        if self.stream == stream { self } else { Home { stream, ..Home::default() } }
    }

    #[inline]
    fn calm(self) -> Home {
        match self {
            Home { heat: 1.., .. } => Home { heat: self.heat - 1, ..self },
            Home { left: 2.., .. } => Home { left: self.left - 1, ..self },
            Home { stream, .. } => Home { stream, ..Home::default() },
        }
    }

    fn crowded(self) -> Home {
        match self.heat + MEETING {
            TOO_HOT.. => Home { stripe: self.stripe + 1, heat: 0, left: STAY, ..self },
            heat => Home { heat, ..self },
        }
    }
}

/// The state machine with the intakes of the stripes that are locked with it.
pub(super) struct Locked<'a> {
    pub(super) state: MutexGuard<'a, State>,
    pub(super) stripes: [Option<MutexGuard<'a, Stripe>>; MOST],
}

impl Locked<'_> {
    /// User records accepted since the start, if all stripes are locked.
    pub(super) fn accepted(&self) -> Amount {
        self.stripes.iter().flatten().map(|stripe| stripe.accepted).fold(Amount::default(), Amount::plus)
    }

    /// Of these, what is not drained as reports yet.
    pub(super) fn held(&self) -> Amount {
        self.accepted().minus(self.state.decided).unwrap_or_default()
    }

    fn swap_intakes(&mut self) {
        for (number, stripe) in self.stripes.iter_mut().enumerate() {
            if let Some(stripe) = stripe {
                self.state.pipeline.swap_intake(number, &mut stripe.intake);
            }
        }
    }
}

/// Lends the intakes to the callers again.
impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.swap_intakes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripe_after(home: &mut Home, meets: impl Iterator<Item = bool>) -> usize {
        for meets in meets {
            *home = if meets { home.crowded() } else { home.calm() };
        }
        home.stripe
    }

    #[test]
    fn who_meets_others_now_and_then_stays() {
        let mut home = Home::default();
        assert_eq!(stripe_after(&mut home, (0..10_000).map(|put| put % 10 == 0)), 0);
    }

    #[test]
    fn another_stream_begins_with_the_first_stripe() {
        let mut home = Home::default();
        assert_eq!(stripe_after(&mut home, (0..30).map(|_| true)), 3);
        assert_eq!((home.of(0).stripe, home.of(1).stripe), (3, 0));
    }

    #[test]
    fn who_keeps_meeting_others_moves_on_and_comes_back() {
        let mut home = Home::default();
        assert_eq!(stripe_after(&mut home, (0..30).map(|put| put % 2 == 0)), 1);
        assert_eq!(stripe_after(&mut home, std::iter::repeat_n(false, 4000)), 1);
        assert_eq!(stripe_after(&mut home, std::iter::repeat_n(false, 200)), 0);
    }
}
