//! Counts what is undecided: per block, so that a block's number can be used again, and per flush, so that a flush knows when
//! everything accepted before it is decided.

use std::collections::VecDeque;

use super::sealed::Members;

#[derive(Debug, Default)]
struct Block {
    undecided: u32,
    epoch: u64,
}

/// The blocks in use, and the flushes under way.
#[derive(Debug)]
pub(super) struct Blocks {
    blocks: Vec<Block>,
    /// By intake: the numbers of intake _i_ of _n_ are _i_, _i_ + _n_, _i_ + 2 _n_ and so on.
    free: Vec<Vec<u32>>,
    /// The first epoch (the time between two flushes) with anything undecided, and the undecided of it and those after.
    first_epoch: u64,
    epochs: VecDeque<u64>,
}

impl Blocks {
    pub(super) fn new(intakes: usize) -> Blocks {
        Blocks { blocks: Vec::new(), free: vec![Vec::new(); intakes], first_epoch: 0, epochs: VecDeque::from([0]) }
    }

    /// A block for the user records of a new aggregate of an intake.
    pub(super) fn open(&mut self, intake: usize) -> u32 {
        if self.free.get(intake).is_none_or(Vec::is_empty) {
            for free in &mut self.free {
                let number = u32::try_from(self.blocks.len()).expect("fewer than 2^32 aggregates are outstanding");
                self.blocks.push(Block::default());
                free.push(number);
            }
        }
        self.free.get_mut(intake).and_then(Vec::pop).expect("an intake's number stays valid")
    }

    /// The aggregate of `block` was sealed with `count` user records.
    pub(super) fn seal(&mut self, block: u32, count: usize) {
        let epoch = self.current_epoch();
        if let Some(block) = self.blocks.get_mut(block as usize) {
            *block = Block { undecided: count as u32, epoch };
        }
        if let Some(undecided) = self.epochs.back_mut() {
            *undecided += count as u64;
        }
    }

    /// These user records are decided.
    pub(super) fn decide(&mut self, members: &Members) {
        if let Some(run) = members.as_run() {
            return self.release(run.block, members.len() as u32);
        }
        for token in members.tokens() {
            self.release(token.block, 1);
        }
    }

    /// Whether all user records of a sealed block are decided.
    pub(super) fn is_free(&self, block: u32) -> bool {
        self.blocks.get(block as usize).is_none_or(|block| block.undecided == 0)
    }

    /// Starts a new epoch; gives the one that ends. Everything accepted so far must be sealed.
    pub(super) fn end_epoch(&mut self) -> u64 {
        self.epochs.push_back(0);
        let ended = self.current_epoch() - 1;
        self.drop_decided_epochs();
        ended
    }

    /// Whether everything accepted in `epoch` and before is decided.
    pub(super) fn is_decided(&self, epoch: u64) -> bool {
        epoch < self.first_epoch
    }

    fn current_epoch(&self) -> u64 {
        self.first_epoch + self.epochs.len() as u64 - 1
    }

    fn release(&mut self, number: u32, count: u32) {
        let Some(block) = self.blocks.get_mut(number as usize) else { return };
        block.undecided -= count;
        let epoch = block.epoch;
        if block.undecided == 0 {
            let intake = number as usize % self.free.len();
            self.free.get_mut(intake).expect("a remainder is below what it is divided by").push(number);
        }
        if let Some(undecided) = self.epochs.get_mut((epoch - self.first_epoch) as usize) {
            *undecided -= u64::from(count);
        }
        self.drop_decided_epochs();
    }

    fn drop_decided_epochs(&mut self) {
        while self.epochs.len() > 1 && self.epochs.front() == Some(&0) {
            self.epochs.pop_front();
            self.first_epoch += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sealed::Token;
    use super::*;
    use crate::time::Time;

    fn members(block: u32, slots: std::ops::Range<u32>) -> Members {
        let mut members = Members::default();
        slots.for_each(|index| members.push(Token { block, index }, 0, Time::ZERO));
        members
    }

    #[test]
    fn a_flush_is_done_when_all_before_it_is_decided_in_whatever_order() {
        let mut blocks = Blocks::new(1);
        let (first, second) = (blocks.open(0), blocks.open(0));
        blocks.seal(first, 2);
        let flush = blocks.end_epoch();
        blocks.seal(second, 1);
        blocks.decide(&members(second, 0..1));
        assert!(!blocks.is_decided(flush));
        blocks.decide(&members(first, 0..1));
        assert!(!blocks.is_decided(flush));
        blocks.decide(&members(first, 1..2));
        assert!(blocks.is_decided(flush));
    }

    #[test]
    fn a_flush_of_nothing_is_done_at_once() {
        let mut blocks = Blocks::new(1);
        let flush = blocks.end_epoch();
        assert!(blocks.is_decided(flush));
    }

    #[test]
    fn numbers_are_used_again_only_when_all_slots_are_decided() {
        let mut blocks = Blocks::new(1);
        let block = blocks.open(0);
        blocks.seal(block, 2);
        blocks.decide(&members(block, 0..1));
        assert_ne!(blocks.open(0), block);
        blocks.decide(&members(block, 1..2));
        assert_eq!(blocks.open(0), block);
    }
}
