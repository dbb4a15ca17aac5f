//! Deadlines of a stream: a few fixed ones, and one for each lane that waits for something. "Next" is a minimum.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

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
    /// Lanes by deadline. A lane's entry is stale if the lane has another deadline by now.
    lanes: BinaryHeap<Reverse<(Time, LaneId)>>,
}

impl Timers {
    pub(super) fn new() -> Timers {
        Timers { fixed: [Time::NEVER; 2], lanes: BinaryHeap::new() }
    }

    pub(super) fn set(&mut self, timer: Timer, when: Time) {
        self.fixed[timer as usize] = when;
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

    pub(super) fn set_lane(&mut self, lane: LaneId, when: Time) {
        self.lanes.push(Reverse((when, lane)));
    }

    /// The next lane whose deadline (maybe a stale one) is due.
    pub(super) fn pop_lane(&mut self, now: Time) -> Option<(Time, LaneId)> {
        let Reverse((when, _)) = self.lanes.peek()?;
        if *when > now {
            return None;
        }
        self.lanes.pop().map(|Reverse(entry)| entry)
    }

    pub(super) fn next(&self) -> Time {
        let lane = self.lanes.peek().map_or(Time::NEVER, |Reverse((when, _))| *when);
        self.fixed.iter().fold(lane, |next, when| next.min(*when))
    }
}
