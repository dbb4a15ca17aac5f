//! Many messages in SIMD lanes. A lane takes the next message when its own ends, so that messages of all lengths keep the lanes
//! busy; towards the end, when few are left, lanes idle.

use super::kernel::{self, BLOCK_BYTES, Block, INITIAL, Kernel, LANES, LaneStates, State};
use super::{MAX_TAIL_BYTES, Message, digest, hash_key};
use crate::record::HashKey;

/// With fewer messages than this, one after the other is faster: a block of all lanes takes as long as about two alone.
const MIN_LANES: usize = 3;

/// Hash keys of partition keys, a round of one block for each lane at a time.
pub(super) fn hash_keys(kernel: Kernel, partition_keys: &[&str], out: &mut Vec<HashKey>) {
    out.reserve(partition_keys.len());
    for keys in partition_keys.chunks(LANES) {
        if keys.len() < MIN_LANES {
            out.extend(keys.iter().map(|key| hash_key(key)));
            continue;
        }
        let mut blocks = [[0; BLOCK_BYTES]; LANES];
        for (block, key) in blocks.iter_mut().zip(keys) {
            write_only_block(block, key.as_bytes());
        }
        let mut states = LaneStates(INITIAL.map(|word| [word; LANES]));
        kernel.compress(&mut states, &blocks.each_ref().map(std::slice::from_ref));
        out.extend(keys.iter().enumerate().map(|(lane, key)| match key.len() {
            0..=MAX_TAIL_BYTES => HashKey(u128::from_be_bytes(digest(states.get(lane)))),
            _ => hash_key(key),
        }));
    }
}

/// The block of a message that has only one; a longer one leaves it as it is.
#[inline]
fn write_only_block(block: &mut Block, message: &[u8]) {
    let Some((head, length)) = block.split_last_chunk_mut::<8>() else { return };
    if let Some((text, [mark, ..])) = head.split_at_mut_checked(message.len()) {
        text.copy_from_slice(message);
        *mark = 0x80;
        *length = (8 * message.len() as u64).to_le_bytes();
    }
}

/// A message under way in a lane.
struct Lane<'a, 'o> {
    message: Message<'a>,
    out: &'o mut [u8; 16],
}

/// MD5s of messages in segments.
pub(super) fn md5_many<'a, M: AsRef<[&'a [u8]]>>(kernel: Kernel, messages: &[M], out: &mut Vec<[u8; 16]>) {
    let first = out.len();
    out.resize(first + messages.len(), [0; 16]);
    let mut waiting = messages.iter().zip(out.iter_mut().skip(first));
    let mut lanes: [Option<Lane<'_, '_>>; LANES] = [const { None }; LANES];
    let mut states = LaneStates([[0; LANES]; 4]);
    loop {
        let mut busy = 0;
        for (number, slot) in lanes.iter_mut().enumerate() {
            if let Some(lane) = slot
                && lane.message.fill().is_none()
            {
                *lane.out = digest(states.get(number));
                *slot = None;
            }
            if slot.is_none()
                && let Some((segments, out)) = waiting.next()
            {
                let mut message = Message::new(segments.as_ref());
                message.fill();
                *slot = Some(Lane { message, out });
                states.set(number, INITIAL);
            }
            busy += usize::from(slot.is_some());
        }
        if busy < MIN_LANES {
            break;
        }
        // An idle lane goes along with a busy one.
        let company = lanes.iter().flatten().next().map(|lane| lane.message.blocks()).unwrap_or_default();
        let blocks = lanes.each_ref().map(|lane| lane.as_ref().map_or(company, |lane| lane.message.blocks()));
        let count = kernel.compress(&mut states, &blocks);
        lanes.iter_mut().flatten().for_each(|lane| lane.message.advance(count));
    }
    for (number, lane) in lanes.into_iter().enumerate() {
        if let Some(mut lane) = lane {
            *lane.out = finish(states.get(number), &mut lane.message);
        }
    }
}

/// Hashes the rest of a message alone.
pub(super) fn finish(mut state: State, message: &mut Message<'_>) -> [u8; 16] {
    while let Some(count) = message.fill() {
        kernel::compress(&mut state, message.blocks());
        message.advance(count);
    }
    digest(state)
}

impl LaneStates {
    fn get(&self, lane: usize) -> State {
        let LaneStates(words) = self;
        words.map(|lanes| lanes.get(lane).copied().unwrap_or_default())
    }

    fn set(&mut self, lane: usize, state: State) {
        let LaneStates(words) = self;
        for (lanes, word) in words.iter_mut().zip(state) {
            if let Some(old) = lanes.get_mut(lane) {
                *old = word;
            }
        }
    }
}
