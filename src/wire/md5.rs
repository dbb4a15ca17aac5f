//! MD5 (RFC 1321), which the format of aggregates and the choice of the shard demand: one digest, or many at once in SIMD
//! lanes. Nothing here relies on its strength, which is gone.

mod kernel;
mod lanes;

use self::kernel::{BLOCK_BYTES, Block, INITIAL, Kernel, State};
use crate::record::HashKey;

/// Bytes of the last block that a message can have, before its length takes a block of its own.
const MAX_TAIL_BYTES: usize = 55;

/// The MD5 of `data`.
#[must_use]
pub fn md5(data: &[u8]) -> [u8; 16] {
    let (blocks, rest) = data.as_chunks::<BLOCK_BYTES>();
    let mut state = INITIAL;
    kernel::compress(&mut state, blocks);
    let (tail, count) = pad(rest, data.len());
    kernel::compress(&mut state, tail.get(..count).unwrap_or_default());
    digest(state)
}

/// The hash key that the service gives to a partition key: its MD5 as a big-endian number.
#[must_use]
pub fn hash_key(partition_key: &str) -> HashKey {
    HashKey(u128::from_be_bytes(md5(partition_key.as_bytes())))
}

/// Appends the hash keys of many partition keys, in order. Short keys (up to 55 bytes) cost a fraction of [`hash_key`].
pub fn hash_keys(partition_keys: &[&str], out: &mut Vec<HashKey>) {
    match Kernel::available().next() {
        Some(kernel) => lanes::hash_keys(kernel, partition_keys, out),
        None => out.extend(partition_keys.iter().map(|key| hash_key(key))),
    }
}

/// Appends the MD5s of many messages, in order. Each message is a list of segments.
pub fn md5_many<'a, M: AsRef<[&'a [u8]]>>(messages: &[M], out: &mut Vec<[u8; 16]>) {
    match Kernel::available().next() {
        Some(kernel) => lanes::md5_many(kernel, messages, out),
        None => out.extend(messages.iter().map(|message| lanes::finish(INITIAL, &mut Message::new(message.as_ref())))),
    }
}

fn digest(state: State) -> [u8; 16] {
    let mut digest = [0; 16];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_le_bytes();
    }
    digest
}

/// The last blocks of a message of `len` bytes, and how many they are: 1 or 2.
#[inline]
fn pad(rest: &[u8], len: usize) -> ([Block; 2], usize) {
    let mut blocks = [[0; BLOCK_BYTES]; 2];
    let count = if rest.len() <= MAX_TAIL_BYTES { 1 } else { 2 };
    let bytes = blocks.as_flattened_mut();
    if let Some((head, tail)) = bytes.split_at_mut_checked(rest.len()) {
        head.copy_from_slice(rest);
        if let Some(mark) = tail.first_mut() {
            *mark = 0x80;
        }
    }
    if let Some(length) = bytes.get_mut(..count * BLOCK_BYTES).and_then(<[u8]>::last_chunk_mut::<8>) {
        // In bits, modulo 2^64 as the RFC has it.
        *length = (len as u64).wrapping_mul(8).to_le_bytes();
    }
    (blocks, count)
}

/// A message that is read block by block: from a segment where they lie in it whole, otherwise through `staged`.
struct Message<'a> {
    segments: &'a [&'a [u8]],
    /// What is left of the segment before `segments`.
    segment: &'a [u8],
    len: usize,
    staged: [Block; 2],
    ready: Ready<'a>,
}

/// The next blocks.
#[derive(Clone, Copy)]
enum Ready<'a> {
    Shared(&'a [Block]),
    Staged,
    /// The last of `staged`, from the first that is not hashed yet.
    Padded {
        from: usize,
        to: usize,
    },
}

impl<'a> Message<'a> {
    fn new(segments: &'a [&'a [u8]]) -> Message<'a> {
        let len = segments.iter().map(|segment| segment.len()).sum();
        Message { segments, segment: &[], len, staged: [[0; BLOCK_BYTES]; 2], ready: Ready::Shared(&[]) }
    }

    /// The blocks that can be hashed now; never empty before the end if `fill` was called.
    fn blocks(&self) -> &[Block] {
        match self.ready {
            Ready::Shared(blocks) => blocks,
            Ready::Staged => self.staged.get(..1).unwrap_or_default(),
            Ready::Padded { from, to } => self.staged.get(from..to).unwrap_or_default(),
        }
    }

    /// Sees to it that there are blocks, and says how many; `None` at the end.
    fn fill(&mut self) -> Option<usize> {
        if self.blocks().is_empty() {
            match self.ready {
                Ready::Shared(_) | Ready::Staged => self.next_blocks(),
                Ready::Padded { .. } => return None,
            }
        }
        Some(self.blocks().len())
    }

    /// `count` of the blocks have been hashed.
    fn advance(&mut self, count: usize) {
        self.ready = match self.ready {
            Ready::Shared(blocks) => Ready::Shared(blocks.get(count..).unwrap_or_default()),
            Ready::Staged if count == 0 => Ready::Staged,
            Ready::Staged => Ready::Shared(&[]),
            Ready::Padded { from, to } => Ready::Padded { from: from + count, to },
        };
    }

    fn next_blocks(&mut self) {
        let mut staged = 0;
        loop {
            if staged == 0 && self.segment.len() >= BLOCK_BYTES {
                let (blocks, rest) = self.segment.as_chunks();
                self.segment = rest;
                self.ready = Ready::Shared(blocks);
                return;
            }
            let [block, _] = &mut self.staged;
            let free = block.get_mut(staged..).unwrap_or_default();
            let len = free.len().min(self.segment.len());
            let (taken, rest) = self.segment.split_at(len);
            free.iter_mut().zip(taken).for_each(|(free, byte)| *free = *byte);
            staged += len;
            self.segment = rest;
            if staged == BLOCK_BYTES {
                self.ready = Ready::Staged;
                return;
            }
            let Some((segment, segments)) = self.segments.split_first() else {
                let [block, _] = self.staged;
                let (padded, to) = pad(block.get(..staged).unwrap_or_default(), self.len);
                self.staged = padded;
                self.ready = Ready::Padded { from: 0, to };
                return;
            };
            (self.segment, self.segments) = (segment, segments);
        }
    }
}

#[cfg(test)]
mod tests;
