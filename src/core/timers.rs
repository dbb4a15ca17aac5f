//! Deadlines of a stream: a few fixed ones, and one for each lane that waits for something. "Next" is a minimum.

use std::collections::BTreeSet;

use super::lane::LaneId;
use crate::time::Time;

/// The fixed deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Ask for the shard map (again).
    ShardMap = 0,
    /// Stop waiting for the first shard map.
    FirstMap = 1,
}

#[derive(Debug)]
pub(super) struct Timers {
    fixed: [Time; 2],
    /// Each lane that has a deadline, once.
    lanes: BTreeSet<(Time, LaneId)>,
}

impl Timers {
    pub(super) fn new() -> Timers {
        Timers { fixed: [Time::NEVER; 2], lanes: BTreeSet::new() }
    }

    pub(super) fn set(&mut self, timer: Timer, when: Time) {
        self.fixed[timer as usize] = when;
    }

    pub(super) fn get(&self, timer: Timer) -> Time {
        self.fixed[timer as usize]
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        self.set(timer, Time::NEVER);
    }

    /// Whether `timer` is due; it then stops.
    pub(super) fn fires(&mut self, timer: Timer, now: Time) -> bool {
        let due = self.fixed[timer as usize] <= now;
        if due {
            self.stop(timer);
        }
        due
    }

    /// Moves a lane's deadline from `old`, which may be never.
    pub(super) fn move_lane(&mut self, lane: LaneId, old: Time, new: Time) {
        self.lanes.remove(&(old, lane));
        self.lanes.insert((new, lane));
    }

    /// The next lane whose deadline has come; it then has none.
    pub(super) fn pop_lane(&mut self, now: Time) -> Option<LaneId> {
        let first = self.lanes.first().filter(|(when, _)| *when <= now).copied()?;
        self.lanes.remove(&first);
        Some(first.1)
    }

    pub(super) fn next(&self) -> Time {
        let lane = self.lanes.first().map_or(Time::NEVER, |(when, _)| *when);
        self.fixed.iter().fold(lane, |next, when| next.min(*when))
    }
}
