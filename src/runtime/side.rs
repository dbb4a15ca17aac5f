//! What the runtime keeps for each block of the core: the slots that tickets point to, or the numbers that puts gave.

use std::ops::Range;
use std::sync::Arc;

use super::slots::{Part, SlotBlock};
use super::stream::Placed;
use crate::core::{ReportBatch, Token};

/// What was put through one stripe: one entry for each of its blocks. Those of stripe _i_ of _n_ have the numbers _i_, _i_ + _n_,
/// _i_ + 2 _n_ and so on.
#[derive(Debug)]
pub(crate) struct Side {
    stripe: u32,
    /// _n_ is two to the power of this.
    bits: u32,
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
    /// The tables of stripe number `stripe` of `stripes`, which is a power of two.
    pub(crate) fn new(stripe: usize, stripes: usize) -> Side {
        Side { stripe: stripe as u32, bits: stripes.trailing_zeros(), blocks: Vec::new() }
    }

    /// An accepted user record got this token.
    #[inline]
    pub(crate) fn place(&mut self, token: Token, opaque: Option<u64>, tickets: bool) -> Placed {
        if token.index == 0 {
            self.open(token.block, tickets);
        }
        match (self.block(token.block), opaque) {
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
            if let Some(Block::Slots(block)) = self.place_of(token.block).and_then(|place| self.blocks.get(place)) {
                out.push((Arc::clone(block), Part { first: token.index, count, position, batch: Arc::clone(batch) }));
            }
        });
    }

    /// The numbers of the user records of `batch`, run by run, each with its position in the batch.
    pub(crate) fn opaques(&mut self, batch: &Arc<ReportBatch>) -> impl Iterator<Item = (u32, Vec<u64>)> + use<> {
        let mut runs = Vec::new();
        for_each_run(batch, |position, token, count| {
            if let Some(Block::Opaques(opaques)) = self.block(token.block) {
                runs.push((position, opaques.report(token.index as usize, count as usize)));
            }
        });
        runs.into_iter()
    }

    /// Forgets the blocks of `batch` that are decided whole.
    pub(crate) fn free(&mut self, batch: &ReportBatch, is_free: impl Fn(u32) -> bool) {
        for_each_run(batch, |_, token, _| {
            if is_free(token.block)
                && let Some(block) = self.block(token.block)
            {
                *block = Block::Free;
            }
        });
    }

    /// What is left when the core cannot be asked any more.
    pub(crate) fn take_undecided(&mut self, slots: &mut Vec<Arc<SlotBlock>>, numbers: &mut Vec<u64>) {
        for block in std::mem::take(&mut self.blocks) {
            match block {
                Block::Free => {}
                Block::Slots(block) => slots.push(block),
                Block::Opaques(opaques) => numbers.extend(opaques.into_unreported()),
            }
        }
    }

    /// Where a block's entry is; nowhere if the block is another stripe's.
    #[inline]
    fn place_of(&self, number: u32) -> Option<usize> {
        let place = number >> self.bits;
        (number == place << self.bits | self.stripe).then_some(place as usize)
    }

    #[inline]
    fn block(&mut self, number: u32) -> Option<&mut Block> {
        let place = self.place_of(number)?;
        self.blocks.get_mut(place)
    }

    fn open(&mut self, number: u32, tickets: bool) {
        let place = (number >> self.bits) as usize;
        if self.blocks.len() <= place {
            self.blocks.resize_with(place + 1, Block::default);
        }
        if let Some(block) = self.block(number) {
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
