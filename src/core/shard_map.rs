//! Which shard owns a hash key: the open shards of a stream, sorted by range, looked up by binary search. A map is made only of
//! ranges that tile the whole ring 0 … 2^128 − 1; [`ShardMapPages`] collects the pages of ListShards until they do.

use super::outcome::{Shard, ShardPage};
use crate::record::{HashKey, ShardId};

/// A shard's range of hash keys, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardRange {
    /// The shard's name.
    pub id: ShardId,
    /// The first hash key.
    pub first: HashKey,
    /// The last hash key.
    pub last: HashKey,
}

impl ShardRange {
    /// Whether `hash_key` lies in it.
    #[must_use]
    pub fn contains(&self, hash_key: HashKey) -> bool {
        self.first <= hash_key && hash_key <= self.last
    }

    /// Whether all of `other` lies in it.
    pub(super) fn covers(&self, other: &ShardRange) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// Whether some hash key lies in both.
    pub(super) fn overlaps(&self, other: &ShardRange) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// The open shards of a stream, in the order of their ranges, which tile the ring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardMap {
    /// The first hash key of each shard: what the search reads.
    firsts: Vec<u128>,
    ranges: Vec<ShardRange>,
}

impl ShardMap {
    /// A map of `ranges`, or `None` unless they tile the ring exactly.
    #[must_use]
    pub fn new(mut ranges: Vec<ShardRange>) -> Option<ShardMap> {
        ranges.sort_by_key(|range| range.first);
        let mut next = Some(0_u128);
        for range in &ranges {
            if next != Some(range.first.0) || range.last < range.first {
                return None;
            }
            next = range.last.0.checked_add(1);
        }
        let firsts: Vec<u128> = ranges.iter().map(|range| range.first.0).collect();
        (next.is_none() && !firsts.is_empty()).then_some(ShardMap { firsts, ranges })
    }

    /// The index of the shard that owns `hash_key`.
    #[must_use]
    pub fn find(&self, hash_key: HashKey) -> usize {
        self.firsts.partition_point(|first| *first <= hash_key.0).saturating_sub(1)
    }

    /// The shards, in the order of their ranges.
    #[must_use]
    pub fn ranges(&self) -> &[ShardRange] {
        &self.ranges
    }
}

/// The pages of one ListShards round.
#[derive(Debug, Default)]
pub(super) struct ShardMapPages {
    shards: Vec<Shard>,
}

impl ShardMapPages {
    /// Takes a page; gives the token of the next one if there is one.
    pub(super) fn add(&mut self, page: ShardPage) -> Option<String> {
        self.shards.extend(page.shards);
        page.next_token
    }

    /// The map of the open shards, and the ranges of the closed ones. `None` if the open ones do not tile the ring, as can be
    /// while the service reshards.
    pub(super) fn finish(self) -> (Option<ShardMap>, Vec<ShardRange>) {
        let (open, closed): (Vec<Shard>, Vec<Shard>) = self.shards.into_iter().partition(|shard| shard.open);
        let range = |shard: Shard| ShardRange { id: shard.id, first: shard.first, last: shard.last };
        (ShardMap::new(open.into_iter().map(range).collect()), closed.into_iter().map(range).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(id: &str, first: u128, last: u128) -> ShardRange {
        ShardRange { id: ShardId::new(id), first: HashKey(first), last: HashKey(last) }
    }

    #[test]
    fn ranges_that_tile_the_ring_make_a_map() {
        let map = ShardMap::new(vec![range("b", 100, u128::MAX), range("a", 0, 99)]).unwrap();
        for (key, shard) in [(0, "a"), (99, "a"), (100, "b"), (u128::MAX, "b")] {
            assert_eq!(map.ranges()[map.find(HashKey(key))].id.as_str(), shard);
        }
    }

    #[test]
    fn gaps_overlaps_and_nothing_make_no_map() {
        assert_eq!(ShardMap::new(vec![]), None);
        assert_eq!(ShardMap::new(vec![range("a", 0, 99), range("b", 101, u128::MAX)]), None);
        assert_eq!(ShardMap::new(vec![range("a", 0, 100), range("b", 100, u128::MAX)]), None);
        assert_eq!(ShardMap::new(vec![range("a", 1, u128::MAX)]), None);
        assert_eq!(ShardMap::new(vec![range("a", 0, u128::MAX - 1)]), None);
    }

    #[test]
    fn closed_shards_are_left_out_of_the_map_and_remembered() {
        let shard = |id: &str, first, last, open| Shard {
            id: ShardId::new(id),
            first: HashKey(first),
            last: HashKey(last),
            open,
        };
        let mut pages = ShardMapPages::default();
        let next_token = Some("more".to_owned());
        let first = ShardPage { shards: vec![shard("a", 0, u128::MAX, false), shard("b", 0, 9, true)], next_token };
        assert_eq!(pages.add(first).as_deref(), Some("more"));
        assert_eq!(pages.add(ShardPage { shards: vec![shard("c", 10, u128::MAX, true)], next_token: None }), None);
        let (map, closed) = pages.finish();
        assert_eq!(map.unwrap().ranges().len(), 2);
        assert_eq!(closed, [range("a", 0, u128::MAX)]);
    }
}
