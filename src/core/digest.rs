//! A cheap hash of partition keys, for tables of keys; it says nothing about shards. Seeded by a constant: within an aggregate
//! of some hundred keys, collisions made on purpose cost little.

use std::hash::BuildHasher;

/// The digest that equal partition keys share.
#[must_use]
#[inline]
pub fn key_digest(partition_key: &str) -> u64 {
    foldhash::fast::FixedState::default().hash_one(partition_key.as_bytes())
}
