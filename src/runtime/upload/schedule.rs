//! What to do next about an upload: a state machine without clock or I/O. What was taken from the counters is one batch; each of
//! its calls is made until it is certainly stored or certainly lost, and only then the next batch is taken, so that nothing is
//! counted twice and no more than one batch is held.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::data::Call;
use crate::time::Time;

/// The first pause before a call is made again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest, and that of a call for which there is no permission.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A batch that is older is given up.
const MAX_AGE: Duration = Duration::from_secs(600);
/// How often each call is made when the producer is being closed.
const TRIES_AT_CLOSE: u32 = 3;

/// What a call that failed tells about its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// They are not stored, and may be another time.
    NotStored,
    /// They are not stored: we may not.
    Denied,
    /// They never will be stored.
    Refused,
    /// They may be stored.
    Unknown,
}

/// What to do next.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Take what was counted, and give it to [`Schedule::take`].
    Take,
    /// Make a call, and give its outcome to [`Schedule::handle`].
    Send(Call),
    /// Wait until then, or for the close.
    Wait(Time),
    /// Nothing any more.
    End,
}

/// What a person should know about a failure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Consequence {
    /// The call is made again after this pause.
    Again(Duration),
    /// So many data are lost, because they were refused.
    Refused(usize),
    /// So many data are stored or not.
    Unknown(usize),
    /// So many data of so much time are lost, because it took too long.
    TooOld(usize, Duration),
    /// So many data are lost, because the producer is being closed.
    Closed(usize),
}

/// The state of uploads.
#[derive(Debug)]
pub(super) struct Schedule {
    delay: Duration,
    next_take: Time,
    /// The calls of the batch that are left; the first one is being made.
    calls: VecDeque<Call>,
    taken: Time,
    /// The time that the batch is about.
    span: Duration,
    /// How often the first call failed.
    failures: u32,
    retry_at: Time,
    closing: bool,
    /// The last batch was taken.
    ending: bool,
    random: fastrand::Rng,
}

impl Schedule {
    pub(super) fn new(delay: Duration, seed: u64, now: Time) -> Schedule {
        Schedule {
            delay,
            next_take: now + delay,
            calls: VecDeque::new(),
            taken: now,
            span: Duration::ZERO,
            failures: 0,
            retry_at: Time::ZERO,
            closing: false,
            ending: false,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    // Inputs.

    /// The calls of what was taken, perhaps none.
    pub(super) fn take(&mut self, calls: Vec<Call>, now: Time) {
        self.calls = calls.into();
        self.span = now.since(self.taken);
        self.taken = now;
        self.next_take = if self.next_take + self.delay > now { self.next_take + self.delay } else { now + self.delay };
        self.ending = self.closing;
        self.turn_to_next();
    }

    /// What became of the call.
    pub(super) fn handle(&mut self, outcome: Result<(), Fate>, now: Time) -> Option<Consequence> {
        let data = self.calls.front().map_or(0, |call| call.len());
        let fate = match outcome {
            Ok(()) => {
                self.drop_first();
                return None;
            }
            Err(fate) => fate,
        };
        let consequence = match fate {
            Fate::Refused => {
                self.drop_first();
                Consequence::Refused(data)
            }
            Fate::Unknown => {
                self.drop_first();
                Consequence::Unknown(data)
            }
            Fate::NotStored | Fate::Denied => self.try_again(fate, now),
        };
        Some(consequence)
    }

    /// The producer is being closed: what is left is sent now, and then the rest.
    pub(super) fn close(&mut self) {
        if !self.closing {
            self.closing = true;
            self.failures = 0;
            self.retry_at = Time::ZERO;
        }
    }

    // Outputs.

    /// What is to be done now.
    pub(super) fn poll(&self, now: Time) -> Step {
        match self.calls.front() {
            Some(call) if now >= self.retry_at => Step::Send(Arc::clone(call)),
            Some(_) => Step::Wait(self.retry_at),
            None if self.ending => Step::End,
            None if self.closing || now >= self.next_take => Step::Take,
            None => Step::Wait(self.next_take),
        }
    }

    /// How many data of a batch are neither stored nor given up.
    pub(super) fn data_left(&self) -> usize {
        self.calls.iter().map(|call| call.len()).sum()
    }

    fn try_again(&mut self, fate: Fate, now: Time) -> Consequence {
        self.failures += 1;
        let pause = self.pause(fate);
        let left = self.data_left();
        if self.closing && (fate == Fate::Denied || self.failures >= TRIES_AT_CLOSE) {
            self.calls.clear();
            self.turn_to_next();
            return Consequence::Closed(left);
        }
        if now + pause > self.taken + MAX_AGE {
            self.calls.clear();
            self.turn_to_next();
            return Consequence::TooOld(left, self.span);
        }
        self.retry_at = now + pause;
        Consequence::Again(pause)
    }

    fn pause(&mut self, fate: Fate) -> Duration {
        let doublings = if fate == Fate::Denied { 31 } else { self.failures.saturating_sub(1).min(31) };
        let most = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
        // Producers that failed together do not come back together.
        most.mul_f64(0.5 + self.random.f64() / 2.0)
    }

    fn drop_first(&mut self) {
        self.calls.pop_front();
        self.turn_to_next();
    }

    fn turn_to_next(&mut self) {
        self.failures = 0;
        self.retry_at = Time::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Metric, StatisticSet};
    use crate::runtime::upload::data::{Datum, Values};

    const DELAY: Duration = Duration::from_secs(60);

    fn seconds(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    /// Of so many data.
    fn call(data: usize) -> Call {
        let values = Values::Set(StatisticSet::of(1.0, 1));
        vec![Datum { metric: Metric::UserRecordsPut, dimensions: Arc::new([]), values }; data].into()
    }

    /// After the first take, of these calls.
    fn taken(calls: &[Call]) -> Schedule {
        let mut schedule = Schedule::new(DELAY, 7, Time::ZERO);
        schedule.take(calls.to_vec(), seconds(60));
        schedule
    }

    #[test]
    fn batches_are_taken_at_even_times_and_nothing_is_sent_of_nothing() {
        let mut schedule = Schedule::new(DELAY, 7, Time::ZERO);
        assert_eq!(schedule.poll(seconds(59)), Step::Wait(seconds(60)));
        assert_eq!(schedule.poll(seconds(61)), Step::Take);
        schedule.take(Vec::new(), seconds(61));
        assert_eq!(schedule.poll(seconds(61)), Step::Wait(seconds(120)));
    }

    #[test]
    fn each_call_is_made_once_if_it_is_stored() {
        let calls = [call(2), call(3)];
        let mut schedule = taken(&calls);
        for call in &calls {
            assert_eq!(schedule.poll(seconds(60)), Step::Send(Arc::clone(call)));
            assert_eq!(schedule.handle(Ok(()), seconds(60)), None);
        }
        assert_eq!(schedule.poll(seconds(61)), Step::Wait(seconds(120)));
    }

    #[test]
    fn what_is_not_stored_is_sent_again_after_growing_pauses_and_nothing_is_taken_meanwhile() {
        let mut schedule = taken(&[call(2)]);
        let mut now = seconds(60);
        let mut longest = Vec::new();
        for most in [1, 2, 4, 8, 16, 32, 60, 60] {
            let Some(Consequence::Again(pause)) = schedule.handle(Err(Fate::NotStored), now) else { panic!("again") };
            assert!(
                (Duration::from_secs(most) / 2..=Duration::from_secs(most)).contains(&pause),
                "{pause:?} of {most}"
            );
            assert_eq!(schedule.poll(now), Step::Wait(now + pause));
            now = now + pause;
            assert_eq!(schedule.poll(now), Step::Send(call(2)));
            longest.push(pause);
        }
        assert_eq!(schedule.handle(Ok(()), now), None);
        assert_eq!(schedule.poll(now), Step::Take, "a batch was due long ago");
        schedule.take(vec![call(1)], now);
        let again = schedule.handle(Err(Fate::NotStored), now);
        assert!(matches!(again, Some(Consequence::Again(pause)) if pause <= FIRST_PAUSE), "{again:?}");
    }

    #[test]
    fn a_denied_call_is_made_again_slowly() {
        let mut schedule = taken(&[call(2)]);
        let again = schedule.handle(Err(Fate::Denied), seconds(60));
        assert!(matches!(again, Some(Consequence::Again(pause)) if pause >= LONGEST_PAUSE / 2), "{again:?}");
    }

    #[test]
    fn what_is_refused_or_may_be_stored_is_never_sent_again() {
        let calls = [call(2), call(3), call(4)];
        let mut schedule = taken(&calls);
        assert_eq!(schedule.handle(Err(Fate::Refused), seconds(60)), Some(Consequence::Refused(2)));
        assert_eq!(schedule.handle(Err(Fate::Unknown), seconds(60)), Some(Consequence::Unknown(3)));
        assert_eq!(schedule.poll(seconds(60)), Step::Send(call(4)));
    }

    #[test]
    fn a_batch_is_given_up_after_ten_minutes() {
        let mut schedule = taken(&[call(2), call(3)]);
        let again = schedule.handle(Err(Fate::NotStored), seconds(650));
        assert!(matches!(again, Some(Consequence::Again(_))), "{again:?}");
        assert_eq!(schedule.handle(Err(Fate::NotStored), seconds(660)), Some(Consequence::TooOld(5, DELAY)));
        assert_eq!(schedule.poll(seconds(660)), Step::Take);
    }

    #[test]
    fn a_close_sends_what_is_left_and_takes_the_rest_once() {
        let mut schedule = taken(&[call(2)]);
        schedule.handle(Err(Fate::Denied), seconds(60));
        schedule.close();
        assert_eq!(schedule.poll(seconds(61)), Step::Send(call(2)));
        assert_eq!(schedule.handle(Ok(()), seconds(61)), None);
        assert_eq!(schedule.poll(seconds(61)), Step::Take);
        schedule.take(vec![call(1)], seconds(61));
        schedule.close();
        assert_eq!(schedule.poll(seconds(61)), Step::Send(call(1)));
        assert_eq!(schedule.handle(Ok(()), seconds(61)), None);
        assert_eq!(schedule.poll(seconds(61)), Step::End);
    }

    #[test]
    fn a_close_does_not_wait_long_for_what_fails() {
        let mut schedule = taken(&[call(2), call(3)]);
        schedule.close();
        for _ in 1..TRIES_AT_CLOSE {
            assert!(matches!(schedule.handle(Err(Fate::NotStored), seconds(61)), Some(Consequence::Again(_))));
        }
        assert_eq!(schedule.handle(Err(Fate::NotStored), seconds(61)), Some(Consequence::Closed(5)));
        schedule.take(vec![call(1)], seconds(61));
        assert_eq!(schedule.handle(Err(Fate::Denied), seconds(61)), Some(Consequence::Closed(1)));
        assert_eq!(schedule.poll(seconds(61)), Step::End);
    }
}
