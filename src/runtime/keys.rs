//! Hash keys of partition keys seen lately, per thread, so that a key that comes again costs a look-up instead of an MD5. Whole
//! keys are compared: a wrong hash key would send a user record to the wrong shard.

use std::cell::RefCell;

use super::prepare::Prepared;
use crate::record::HashKey;
use crate::wire::md5;

/// Sets × ways × 68 bytes: 136 KiB a thread that puts. Of 1,000 keys, 4 % find no room in their sets; of 2,000, half.
const SETS: usize = 256;
const WAYS: usize = 8;
/// Longer keys are hashed each time.
const MAX_KEY_BYTES: usize = 47;

/// What is looked at first lies together, so that a key that is not there costs one cache line.
struct Cache {
    /// The upper halves of the keys' digests, by set.
    tags: Vec<[u32; WAYS]>,
    entries: Vec<[Entry; WAYS]>,
    /// How many keys were remembered. That takes the ways in turn, whatever the set: in a set with a key too many, some of them are
    /// found nevertheless when they come round and round.
    remembered: usize,
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Entry {
    hash_key: u128,
    key: [u8; MAX_KEY_BYTES],
    len: u8,
}

const EMPTY: Entry = Entry { hash_key: 0, key: [0; MAX_KEY_BYTES], len: 0 };

thread_local! {
    static CACHE: RefCell<Cache> = const { RefCell::new(Cache { tags: Vec::new(), entries: Vec::new(), remembered: 0 }) };
}

/// The hash key that the service computes for `partition_key`, whose digest is `digest`.
#[inline]
pub(crate) fn hash_key(partition_key: &str, digest: u64) -> HashKey {
    find(partition_key, digest).unwrap_or_else(|| {
        let hash_key = md5::hash_key(partition_key);
        remember(partition_key, digest, hash_key);
        hash_key
    })
}

/// Hashes the keys of those user records of `prepared` that `missing` names, together.
pub(crate) fn hash_missing(prepared: &mut [Prepared<'_>], missing: &[usize]) {
    if missing.is_empty() {
        return;
    }
    let keys: Vec<&str> =
        missing.iter().filter_map(|at| prepared.get(*at)).map(|one| one.hashed.record.partition_key).collect();
    let mut hash_keys = Vec::with_capacity(keys.len());
    md5::hash_keys(&keys, &mut hash_keys);
    for (at, hash_key) in missing.iter().zip(hash_keys) {
        if let Some(one) = prepared.get_mut(*at) {
            one.hashed.hash_key = Some(hash_key);
            remember(one.hashed.record.partition_key, one.hashed.key_digest, hash_key);
        }
    }
}

/// The hash key of a key seen lately.
#[inline]
pub(crate) fn find(partition_key: &str, digest: u64) -> Option<HashKey> {
    let key = partition_key.as_bytes();
    CACHE.with(|cache| {
        let cache = cache.borrow();
        let (set, tag) = place(digest);
        let way = cache.tags.get(set)?.iter().position(|other| *other == tag)?;
        let entry = cache.entries.get(set)?.get(way)?;
        (entry.key.get(..entry.len.into())? == key).then_some(HashKey(entry.hash_key))
    })
}

/// The set of a key, and what tells it from others there.
#[inline]
fn place(digest: u64) -> (usize, u32) {
    (digest as usize % SETS, (digest >> 32) as u32)
}

/// Keeps a hash key for [`find`], if the key comes for the second time: those that never come again touch tags only. A tag whose
/// entry is still another key's finds nothing.
pub(crate) fn remember(partition_key: &str, digest: u64, hash_key: HashKey) {
    let key = partition_key.as_bytes();
    if key.len() > MAX_KEY_BYTES {
        return;
    }
    CACHE.with(|cache| {
        let Cache { tags, entries, remembered } = &mut *cache.borrow_mut();
        if tags.is_empty() {
            tags.resize(SETS, [0; WAYS]);
            entries.resize(SETS, [EMPTY; WAYS]);
        }
        let (set, tag) = place(digest);
        let (Some(tags), Some(entries)) = (tags.get_mut(set), entries.get_mut(set)) else { return };
        let Some(way) = tags.iter().position(|other| *other == tag) else {
            *remembered = remembered.wrapping_add(1);
            tags[*remembered % WAYS] = tag;
            return;
        };
        let entry = &mut entries[way];
        (entry.hash_key, entry.len) = (hash_key.0, key.len() as u8);
        if let Some(place) = entry.key.get_mut(..key.len()) {
            place.copy_from_slice(key);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_with_one_digest_keep_their_own_hash_keys() {
        for _ in 0..2 {
            assert_eq!(hash_key("one", 7), md5::hash_key("one"));
            assert_eq!(hash_key("two", 7), md5::hash_key("two"));
            assert_eq!(hash_key("tw", 7), md5::hash_key("tw"));
        }
    }

    #[test]
    fn of_a_thousand_keys_that_come_round_and_round_nearly_all_are_found() {
        let keys: Vec<String> = (0..1000).map(|n| format!("partition-key-{n:06}")).collect();
        let mut found = 0;
        for round in 0..20 {
            for key in &keys {
                let digest = crate::core::key_digest(key);
                found += usize::from(round >= 10 && find(key, digest) == Some(md5::hash_key(key)));
                hash_key(key, digest);
            }
        }
        assert!(found > 10 * 960, "{found} of 10,000");
    }

    #[test]
    fn long_keys_and_more_keys_than_there_is_room_for_are_hashed() {
        let long = "k".repeat(256);
        assert_eq!(hash_key(&long, 1), md5::hash_key(&long));
        for n in 0..10_000_u64 {
            let key = format!("key-{n}");
            assert_eq!(hash_key(&key, n), md5::hash_key(&key));
        }
    }
}
