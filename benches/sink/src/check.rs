//! Reads a stream as a KCL consumer would and checks it: deaggregates, drops what the range rule drops, and follows each
//! producer's payloads. A payload begins with the producer's id (u32) and a sequence number (u64), both big endian.
//! Kinesis records must arrive in the order of their sequence numbers; as a child opens only when its parents are closed,
//! that is delivery order within each shard, parents first.

use std::ops::RangeInclusive;

use md5::{Digest as _, Md5};

use crate::deaggregate::deaggregate;
use crate::protocol;
use crate::statistics::CheckStatistics;

type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

/// A higher sequence number is no payload of ours: its bitmap would not fit into memory.
const MAX_SEQUENCE: u64 = 1 << 32;
/// Hashes of partition keys remembered.
const MAX_HASHES: usize = 1 << 16;

/// What was seen in one stream.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    producers: HashMap<u32, Producer>,
    hashes: HashMap<Box<[u8]>, u128>,
    counts: CheckStatistics,
}

/// What was seen of one producer.
#[derive(Debug, Default)]
struct Producer {
    /// A bit per sequence number.
    seen: Vec<u64>,
    /// One past the largest seen.
    end: u64,
    unique: u64,
    /// Largest sequence number per partition key, which is known by its hash.
    last: HashMap<u128, u64>,
}

impl Checker {
    /// Takes in one stored Kinesis record.
    pub(crate) fn read(&mut self, key: &str, hash_key: u128, data: &[u8], range: RangeInclusive<u128>) {
        match deaggregate(data) {
            None => {
                let order = order_key(self.hash(key.as_bytes()), hash_key);
                self.deliver(order, data);
            }
            Some(Err(_)) => self.counts.broken_aggregates += 1,
            Some(Ok(aggregate)) => {
                self.counts.aggregates += 1;
                let hashes: Vec<u128> = aggregate.partition_keys.iter().map(|key| self.hash(key)).collect();
                let explicit: Vec<Option<u128>> =
                    aggregate.explicit_hash_keys.iter().map(|key| explicit(key)).collect();
                for part in &aggregate.user_records {
                    let hash = hashes[part.partition_key];
                    let hash_key = match part.explicit_hash_key.map(|index| explicit[index]) {
                        None => hash,
                        Some(Some(hash_key)) => hash_key,
                        Some(None) => {
                            self.counts.unreadable += 1;
                            continue;
                        }
                    };
                    if range.contains(&hash_key) {
                        self.deliver(order_key(hash, hash_key), part.data);
                    } else {
                        self.counts.dropped_by_range += 1;
                    }
                }
            }
        }
    }

    /// What has been counted so far.
    pub(crate) fn statistics(&self) -> CheckStatistics {
        let missing = self.producers.values().map(|producer| producer.end - producer.unique).sum();
        CheckStatistics {
            producers: self.producers.len() as u64,
            unique: self.producers.values().map(|producer| producer.unique).sum(),
            missing,
            ..self.counts.clone()
        }
    }

    fn deliver(&mut self, order: u128, payload: &[u8]) {
        let header = payload.first_chunk::<4>().zip(payload.get(4..).and_then(|rest| rest.first_chunk::<8>()));
        let Some((producer, sequence)) = header else {
            self.counts.unreadable += 1;
            return;
        };
        let (producer, sequence) = (u32::from_be_bytes(*producer), u64::from_be_bytes(*sequence));
        if sequence >= MAX_SEQUENCE {
            self.counts.unreadable += 1;
            return;
        }
        self.counts.user_records += 1;
        self.counts.user_bytes += payload.len() as u64;
        let producer = self.producers.entry(producer).or_default();
        if !producer.see(sequence) {
            self.counts.duplicates += 1;
        } else if !producer.follows(order, sequence) {
            self.counts.out_of_order += 1;
        }
    }

    /// MD5 of a partition key; an aggregate's keys are mostly those of the aggregate before.
    fn hash(&mut self, key: &[u8]) -> u128 {
        if let Some(&hash) = self.hashes.get(key) {
            return hash;
        }
        let hash = u128::from_be_bytes(Md5::digest(key).into());
        if self.hashes.len() >= MAX_HASHES {
            self.hashes.clear();
        }
        self.hashes.insert(key.into(), hash);
        hash
    }
}

impl Producer {
    /// Whether it is a first copy.
    fn see(&mut self, sequence: u64) -> bool {
        let (word, bit) = ((sequence / 64) as usize, 1_u64 << (sequence % 64));
        if word >= self.seen.len() {
            self.seen.resize((word + 1).max(self.seen.len() * 2), 0);
        }
        let first = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        self.unique += u64::from(first);
        self.end = self.end.max(sequence + 1);
        first
    }

    /// Whether no later user record of this key came before.
    fn follows(&mut self, order: u128, sequence: u64) -> bool {
        let last = self.last.entry(order).or_insert(sequence);
        let follows = *last <= sequence;
        *last = (*last).max(sequence);
        follows
    }
}

/// Order is kept within a partition key, and with explicit hash keys within the pair.
fn order_key(hash: u128, hash_key: u128) -> u128 {
    if hash == hash_key { hash } else { hash ^ hash_key.rotate_left(61) }
}

fn explicit(key: &[u8]) -> Option<u128> {
    std::str::from_utf8(key).ok().and_then(|text| protocol::hash_key(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deaggregate::write_aggregate;

    const ALL: RangeInclusive<u128> = 0..=u128::MAX;

    fn payload(producer: u32, sequence: u64) -> Vec<u8> {
        [&producer.to_be_bytes()[..], &sequence.to_be_bytes(), b"rest"].concat()
    }

    fn read(checker: &mut Checker, key: &str, sequence: u64) {
        let hash_key = u128::from_be_bytes(Md5::digest(key).into());
        checker.read(key, hash_key, &payload(1, sequence), ALL);
    }

    #[test]
    fn missing_and_duplicates_are_counted() {
        let mut checker = Checker::default();
        [0, 1, 5, 1].into_iter().for_each(|sequence| read(&mut checker, "k", sequence));
        let counts = checker.statistics();
        assert_eq!((counts.unique, counts.missing, counts.duplicates, counts.out_of_order), (3, 3, 1, 0));
    }

    #[test]
    fn order_is_within_the_key_and_over_first_copies() {
        let mut checker = Checker::default();
        for (key, sequence) in [("a", 0), ("b", 3), ("a", 2), ("b", 1), ("a", 0), ("a", 4)] {
            read(&mut checker, key, sequence);
        }
        let counts = checker.statistics();
        assert_eq!((counts.out_of_order, counts.duplicates), (1, 1));
    }

    #[test]
    fn producers_are_told_apart() {
        let mut checker = Checker::default();
        checker.read("k", 0, &payload(1, 0), ALL);
        checker.read("k", 0, &payload(2, 0), ALL);
        let counts = checker.statistics();
        assert_eq!((counts.producers, counts.unique, counts.duplicates), (2, 2, 0));
    }

    #[test]
    fn user_records_of_an_aggregate_outside_the_range_are_dropped() {
        let mut checker = Checker::default();
        let (first, second, third) = (payload(1, 0), payload(1, 1), payload(1, 2));
        let data = write_aggregate(&[("a", Some("7"), &first), ("a", Some("8"), &second), ("a", None, &third)]);
        checker.read("a", 7, &data, 0..=7);
        let counts = checker.statistics();
        assert_eq!((counts.unique, counts.dropped_by_range, counts.aggregates), (1, 2, 1));
    }

    #[test]
    fn the_same_key_is_one_key_plain_or_in_an_aggregate() {
        let mut checker = Checker::default();
        read(&mut checker, "k", 9);
        let data = write_aggregate(&[("k", None, &payload(1, 8)), ("other", None, &payload(1, 0))]);
        checker.read("a", 0, &data, ALL);
        assert_eq!(checker.statistics().out_of_order, 1);
    }

    #[test]
    fn payloads_of_others_are_unreadable() {
        let mut checker = Checker::default();
        checker.read("k", 0, b"short", ALL);
        checker.read("k", 0, &[0xFF; 12], ALL);
        checker.read("k", 0, b"\xF3\x89\x9A\xC2broken", ALL);
        let counts = checker.statistics();
        assert_eq!((counts.unreadable, counts.broken_aggregates, counts.user_records), (2, 1, 0));
    }
}
