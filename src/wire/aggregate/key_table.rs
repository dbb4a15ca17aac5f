//! Finds the index of a key in an aggregate's key table: open addressing on a digest, sized to the aggregate, so that the
//! tables of many shards fit the caches together. The keys themselves stay in the writer's buffers.

/// Slots of the first table: 512 bytes.
const FIRST_SLOTS: usize = 32;

/// A key of the table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    /// The upper half of the mixed digest.
    tag: u32,
    /// Where the key begins in its buffer.
    start: u32,
    len: u32,
    /// 0 is a free slot.
    index_plus_one: u32,
}

impl Entry {
    pub(super) fn index(&self) -> u32 {
        self.index_plus_one.wrapping_sub(1)
    }

    /// Whether its bytes in `buffer` are `key`.
    #[inline]
    pub(super) fn is_key_in(&self, buffer: &[u8], key: &[u8]) -> bool {
        let start = self.start as usize;
        self.len as usize == key.len() && buffer.get(start..start + key.len()) == Some(key)
    }
}

/// The answer to a search.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lookup {
    /// The key is there.
    Found { index: u32 },
    /// The key is not there: it would get this index, and this slot while the table does not grow.
    New { index: u32, slot: usize },
}

impl Lookup {
    #[inline]
    pub(super) fn index(self) -> u32 {
        match self {
            Lookup::Found { index } | Lookup::New { index, .. } => index,
        }
    }

    #[inline]
    pub(super) fn is_new(self) -> bool {
        match self {
            Lookup::Found { .. } => false,
            Lookup::New { .. } => true,
        }
    }
}

/// The keys by digest.
#[derive(Debug, Default)]
pub(super) struct KeyTable {
    /// Empty, or a power of two at least twice the number of keys.
    slots: Vec<Entry>,
    keys: u32,
}

impl KeyTable {
    /// Searches for the key with this digest of which `is_key` is true.
    #[inline]
    pub(super) fn find(&self, digest: u64, is_key: impl Fn(&Entry) -> bool) -> Lookup {
        let tag = tag(digest);
        let mut slot = first_slot(tag, self.slots.len());
        // A free slot ends the search: half of them are free.
        while let Some(entry) = self.slots.get(slot).filter(|entry| entry.index_plus_one != 0) {
            if entry.tag == tag && is_key(entry) {
                return Lookup::Found { index: entry.index() };
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        Lookup::New { index: self.keys, slot }
    }

    /// Adds the key for which `lookup` was the answer.
    pub(super) fn insert(&mut self, lookup: Lookup, digest: u64, start: u32, len: u32) {
        let Lookup::New { index, mut slot } = lookup else { return };
        let tag = tag(digest);
        if (index as usize + 1) * 2 > self.slots.len() {
            self.grow();
            slot = self.free_slot(tag);
        }
        if let Some(free) = self.slots.get_mut(slot) {
            *free = Entry { tag, start, len, index_plus_one: index + 1 };
        }
        self.keys = index + 1;
    }

    /// Bytes in memory.
    pub(super) fn capacity(&self) -> usize {
        self.slots.capacity() * size_of::<Entry>()
    }

    #[cold]
    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(FIRST_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![Entry::default(); slots]);
        for entry in old.into_iter().filter(|entry| entry.index_plus_one != 0) {
            let slot = self.free_slot(entry.tag);
            if let Some(free) = self.slots.get_mut(slot) {
                *free = entry;
            }
        }
    }

    fn free_slot(&self, tag: u32) -> usize {
        let mut slot = first_slot(tag, self.slots.len());
        while self.slots.get(slot).is_some_and(|entry| entry.index_plus_one != 0) {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        slot
    }
}

/// Mixes the digest, for callers whose digests differ in a few bits only (2^64 divided by the golden ratio).
#[inline]
fn tag(digest: u64) -> u32 {
    (digest.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

/// The upper bits of the tag, scaled to the number of slots.
#[inline]
fn first_slot(tag: u32, slots: usize) -> usize {
    ((u64::from(tag) * slots as u64) >> 32) as usize
}
