//! Hash keys of partition keys seen lately, per thread, so that a key that comes again costs a look-up instead of an MD5. Whole
//! keys are compared: a wrong hash key would send a user record to the wrong shard.

use std::cell::RefCell;

use super::prepare::Prepared;
use crate::record::HashKey;
use crate::wire::md5;

/// Sets × ways × 64 bytes: 128 KiB a thread that puts, room for some 1,500 keys before they push each other out.
const SETS: usize = 512;
const WAYS: usize = 4;
/// Longer keys are hashed each time.
const MAX_KEY_BYTES: usize = 39;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Entry {
    hash_key: u128,
    digest: u64,
    key: [u8; MAX_KEY_BYTES],
    len: u8,
}

const EMPTY: Entry = Entry { hash_key: 0, digest: 0, key: [0; MAX_KEY_BYTES], len: 0 };

thread_local! {
    static CACHE: RefCell<Vec<[Entry; WAYS]>> = const { RefCell::new(Vec::new()) };
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
        let set = cache.get(digest as usize % SETS)?;
        let found =
            set.iter().find(|entry| entry.digest == digest && entry.key.get(..entry.len.into()) == Some(key))?;
        Some(HashKey(found.hash_key))
    })
}

/// Keeps a hash key for [`find`].
pub(crate) fn remember(partition_key: &str, digest: u64, hash_key: HashKey) {
    let key = partition_key.as_bytes();
    if key.len() > MAX_KEY_BYTES {
        return;
    }
    CACHE.with(|cache| {
        let mut cache = cache.borrow_mut();
        if cache.is_empty() {
            cache.resize(SETS, [EMPTY; WAYS]);
        }
        let Some(set) = cache.get_mut(digest as usize % SETS) else { return };
        // The oldest of the set makes room.
        set.rotate_right(1);
        let mut entry = Entry { hash_key: hash_key.0, digest, len: key.len() as u8, ..EMPTY };
        if let Some(place) = entry.key.get_mut(..key.len()) {
            place.copy_from_slice(key);
        }
        set[0] = entry;
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
    fn long_keys_and_more_keys_than_there_is_room_for_are_hashed() {
        let long = "k".repeat(256);
        assert_eq!(hash_key(&long, 1), md5::hash_key(&long));
        for n in 0..10_000_u64 {
            let key = format!("key-{n}");
            assert_eq!(hash_key(&key, n), md5::hash_key(&key));
        }
    }
}
