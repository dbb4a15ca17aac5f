//! What the runtime keeps for each block of the core: the slots that tickets point to, or the numbers that puts gave.

use std::ops::Range;
use std::sync::Arc;

use super::slots::{Part, SlotBlock};
use super::stream::Placed;
use crate::core::{ReportBatch, Token};

/// One entry a block, by the block's number.
#[derive(Debug, Default)]
pub(crate) struct Side {
    blocks: Vec<Block>,
}

#[derive(Debug, Default)]
enum Block {
    #[default]
    Free,
    Slots(Arc<SlotBlock>),
    Opaques(Opaques),
}

/// The numbers that the puts of a block gave.
#[derive(Debug, Default)]
struct Opaques {
    /// Empty once all were reported together, as they usually are.
    numbers: Vec<u64>,
    /// What was reported in parts.
    reported: Vec<Range<usize>>,
}

impl Opaques {
    /// The numbers of `count` slots from `first` on, which are reported now.
    fn report(&mut self, first: usize, count: usize) -> Vec<u64> {
        if count == self.numbers.len() {
            return std::mem::take(&mut self.numbers);
        }
        let slots = first..first + count;
        let numbers = self.numbers.get(slots.clone()).unwrap_or_default().to_vec();
        self.reported.push(slots);
        numbers
    }

    fn into_unreported(self) -> impl Iterator<Item = u64> {
        let Opaques { numbers, reported } = self;
        let is_left = move |slot: &usize| !reported.iter().any(|slots| slots.contains(slot));
        numbers.into_iter().enumerate().filter(move |(slot, _)| is_left(slot)).map(|(_, number)| number)
    }
}

impl Side {
    /// An accepted user record got this token.
    #[inline]
    pub(crate) fn place(&mut self, token: Token, opaque: Option<u64>, tickets: bool) -> Placed {
        let number = token.block as usize;
        if token.index == 0 {
            self.open(number, tickets);
        }
        match (self.blocks.get_mut(number), opaque) {
            (Some(Block::Slots(block)), None) => Placed::Ticket(Arc::clone(block), token.index),
            (Some(Block::Opaques(opaques)), Some(opaque)) => {
                opaques.numbers.push(opaque);
                Placed::Detached
            }
            (_, _) => Placed::Detached,
        }
    }

    /// Names the slots that `batch` fills.
    pub(crate) fn complete(&self, batch: &Arc<ReportBatch>, out: &mut Vec<(Arc<SlotBlock>, Part)>) {
        for_each_run(batch, |position, token, count| {
            if let Some(Block::Slots(block)) = self.blocks.get(token.block as usize) {
                out.push((Arc::clone(block), Part { first: token.index, count, position, batch: Arc::clone(batch) }));
            }
        });
    }

    /// The numbers of the user records of `batch`, run by run, each with its position in the batch.
    pub(crate) fn opaques(&mut self, batch: &Arc<ReportBatch>) -> impl Iterator<Item = (u32, Vec<u64>)> + use<> {
        let mut runs = Vec::new();
        for_each_run(batch, |position, token, count| {
            if let Some(Block::Opaques(opaques)) = self.blocks.get_mut(token.block as usize) {
                runs.push((position, opaques.report(token.index as usize, count as usize)));
            }
        });
        runs.into_iter()
    }

    /// Forgets the blocks of `batch` that are decided whole.
    pub(crate) fn free(&mut self, batch: &ReportBatch, is_free: impl Fn(u32) -> bool) {
        for_each_run(batch, |_, token, _| {
            if is_free(token.block)
                && let Some(block) = self.blocks.get_mut(token.block as usize)
            {
                *block = Block::Free;
            }
        });
    }

    /// What is left when the core cannot be asked any more.
    pub(crate) fn take_undecided(&mut self) -> (Vec<Arc<SlotBlock>>, Vec<u64>) {
        let (mut slots, mut numbers) = (Vec::new(), Vec::new());
        for block in std::mem::take(&mut self.blocks) {
            match block {
                Block::Free => {}
                Block::Slots(block) => slots.push(block),
                Block::Opaques(opaques) => numbers.extend(opaques.into_unreported()),
            }
        }
        (slots, numbers)
    }

    fn open(&mut self, number: usize, tickets: bool) {
        if self.blocks.len() <= number {
            self.blocks.resize_with(number + 1, Block::default);
        }
        if let Some(block) = self.blocks.get_mut(number) {
            *block = if tickets { Block::Slots(Arc::default()) } else { Block::Opaques(Opaques::default()) };
        }
    }
}

/// Calls `run(position, first token, count)` for each run of consecutive slots: usually one.
fn for_each_run(batch: &ReportBatch, mut run: impl FnMut(u32, Token, u32)) {
    let members = batch.members();
    if let Some(first) = members.as_run() {
        return run(0, first, members.len() as u32);
    }
    for (position, token) in members.tokens().enumerate() {
        run(position as u32, token, 1);
    }
}
