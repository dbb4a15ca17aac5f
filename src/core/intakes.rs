//! The intakes together: what of a lane is open in any of them, and the way from there to the lane's queue.

use super::aggregator::OpenAggregate;
use super::intake::Intake;
use super::lane::{HOLDING, LaneId};
use super::pipeline::Pipeline;
use crate::time::Time;

impl Pipeline {
    /// How many ways in there are.
    #[must_use]
    pub fn intakes(&self) -> usize {
        self.intakes.len()
    }

    /// Lends intake `number`, so that a caller can [`try_put`](Intake::try_put) while others use the rest, or takes it back. For a
    /// [`put`](Pipeline::put) the state machine must have the intake that is named, for everything else all of them.
    pub fn swap_intake(&mut self, number: usize, other: &mut Intake) {
        std::mem::swap(self.intake_mut(number), other);
    }

    pub(super) fn intake_mut(&mut self, number: usize) -> &mut Intake {
        self.intakes.get_mut(number).expect("callers know how many intakes there are")
    }

    /// What is open for a lane.
    pub(super) fn open(&self, id: LaneId) -> impl Iterator<Item = &OpenAggregate> {
        self.intakes.iter().filter_map(move |intake| intake.open(id))
    }

    /// Bytes that are open for a lane, as they would go into a request.
    pub(super) fn open_bytes(&self, id: LaneId) -> usize {
        self.open(id).map(OpenAggregate::encoded_len).sum()
    }

    /// Data and partition keys of a lane, queued and open.
    pub(super) fn user_bytes(&self, id: LaneId) -> usize {
        self.lane(id).user_bytes() + self.open(id).map(OpenAggregate::user_bytes).sum::<usize>()
    }

    /// When the oldest user record of a lane arrived, queued or open.
    pub(super) fn oldest_in(&self, id: LaneId) -> Option<Time> {
        self.open(id).map(OpenAggregate::arrived).chain(self.lane(id).oldest()).min()
    }

    /// Whether nothing of a lane is undecided.
    pub(super) fn is_drained(&self, id: LaneId) -> bool {
        self.lane(id).is_settled() && self.open(id).next().is_none()
    }

    /// Seals the open aggregates whose deadline is at or before `until`. One that has others queued before it could not leave
    /// yet: it grows on, and is sealed when the last of them has left.
    pub(super) fn seal_due(&mut self, until: Time, now: Time) {
        while let Some((intake, id)) = self.pop_due(until) {
            let waits = id != HOLDING && !self.lane(id).queue().is_empty();
            match self.intake_mut(intake).open_mut(id) {
                Some(open) if waits => {
                    open.overdue = true;
                    self.arm_lane(id, self.next_expiry(id));
                }
                _ => self.seal_in(intake, id, now),
            }
        }
    }

    fn pop_due(&mut self, until: Time) -> Option<(usize, LaneId)> {
        let intakes = &self.intakes;
        let is_open = |intake: usize, id, serial| intakes.get(intake).is_some_and(|intake| intake.is_open(id, serial));
        self.aggregator.pop_due(until, is_open)
    }

    /// Seals every open aggregate.
    pub(super) fn seal_all(&mut self, now: Time) {
        self.lane_ids().for_each(|id| self.seal_open(id, now));
    }

    /// Seals what is open for a lane.
    pub(super) fn seal_open(&mut self, id: LaneId, now: Time) {
        (0..self.intakes.len()).for_each(|intake| self.seal_in(intake, id, now));
    }

    /// Seals an open aggregate of the lane that is past its deadline, if it can leave or has to expire. Returns whether there was
    /// one.
    pub(super) fn seal_overdue(&mut self, id: LaneId, now: Time) -> bool {
        let (empty, ttl) = (self.lane(id).queue().is_empty(), self.config.record_ttl);
        let is_due = |open: &OpenAggregate| open.overdue && (empty || open.expires(ttl) <= now);
        let due = self.intakes.iter().position(|intake| intake.open(id).is_some_and(is_due));
        if let Some(intake) = due {
            self.seal_in(intake, id, now);
        }
        due.is_some()
    }

    /// Seals what is open for a lane in one intake.
    pub(super) fn seal_in(&mut self, intake: usize, id: LaneId, now: Time) {
        let Some(open) = self.intake_mut(intake).take_open(id) else { return };
        self.blocks.seal(open.block(), open.user_records());
        let lane = self.lane_mut(id);
        (lane.shape, lane.shaped) = (open.shape(), now);
        let (sealed, buffers) = open.seal();
        self.latest = self.latest.max(sealed.members.last_arrival());
        self.aggregator.keep(buffers);
        self.enqueue(id, sealed, now);
    }
}
