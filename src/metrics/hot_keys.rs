//! The partition keys that make up most of a stream, from a sample, in bounded memory: a key that is not known takes the place of
//! the smallest one and its weight, so that what is large is never missed (Metwally et al., "Efficient Computation of Frequent
//! and Top-k Elements in Data Streams", 2005).

use std::time::Duration;

use crate::record::ShardId;
use crate::time::Time;

/// Keys that are watched, and those of them that are shown.
const WATCHED: usize = 64;
const SHOWN: usize = 10;
/// Keys with less of the bytes are not shown: they are no more than the next one.
const SHOWN_SHARE: f64 = 0.01;
/// What was seen weighs half as much every so often.
const HALF_LIFE: Duration = Duration::from_secs(30);
/// Shares of fewer samples mean nothing.
const ENOUGH: u64 = 50;

#[derive(Debug, Default)]
pub(super) struct HotKeys {
    /// Of each watched key: its digest, by which it is found.
    digests: Vec<u64>,
    keys: Vec<Watched>,
    bytes: f64,
    samples: u64,
    halved: Time,
}

#[derive(Debug)]
struct Watched {
    partition_key: Box<str>,
    shard: Option<ShardId>,
    /// Bytes, and those of them that may be another key's.
    bytes: f64,
    inherited: f64,
}

/// A partition key and its part of the bytes.
pub(super) struct Share<'a> {
    pub(super) partition_key: &'a str,
    pub(super) shard: Option<&'a ShardId>,
    pub(super) share: f64,
}

impl HotKeys {
    /// A user record of `bytes`; keys of the same `digest` are taken for one.
    pub(super) fn add(
        &mut self,
        digest: u64,
        partition_key: Box<str>,
        shard: Option<ShardId>,
        bytes: usize,
        now: Time,
    ) {
        self.age(now);
        self.samples += 1;
        let bytes = bytes as f64;
        self.bytes += bytes;
        let place = self.digests.iter().position(|other| *other == digest);
        if let Some(known) = place.and_then(|place| self.keys.get_mut(place)) {
            known.bytes += bytes;
            known.shard = shard;
            return;
        }
        let mut inherited = 0.0;
        if self.keys.len() >= WATCHED {
            let smallest = self.keys.iter().enumerate().min_by(|(_, a), (_, b)| a.bytes.total_cmp(&b.bytes));
            if let Some(place) = smallest.map(|(place, _)| place) {
                self.digests.swap_remove(place);
                inherited = self.keys.swap_remove(place).bytes;
            }
        }
        self.digests.push(digest);
        self.keys.push(Watched { partition_key, shard, bytes: inherited + bytes, inherited });
    }

    /// The largest, with the part that certainly is theirs.
    pub(super) fn shares(&mut self, now: Time) -> Vec<Share<'_>> {
        self.age(now);
        if self.samples < ENOUGH {
            return Vec::new();
        }
        let share = |key: &Watched| (key.bytes - key.inherited) / self.bytes;
        let mut largest: Vec<&Watched> = self.keys.iter().filter(|key| share(key) >= SHOWN_SHARE).collect();
        largest.sort_by(|a, b| share(b).total_cmp(&share(a)));
        largest.truncate(SHOWN);
        let shown = largest.into_iter().map(|key| Share {
            partition_key: &key.partition_key,
            shard: key.shard.as_ref(),
            share: share(key),
        });
        shown.collect()
    }

    fn age(&mut self, now: Time) {
        let lives = (now.since(self.halved).as_nanos() / HALF_LIFE.as_nanos()).min(64) as i32;
        if lives == 0 {
            return;
        }
        self.halved = now;
        let rest = 0.5_f64.powi(lives);
        self.bytes *= rest;
        self.samples = (self.samples as f64 * rest) as u64;
        for key in &mut self.keys {
            key.bytes *= rest;
            key.inherited *= rest;
        }
        let mut keys = self.keys.iter();
        self.digests.retain(|_| keys.next().is_some_and(|key| key.bytes >= 1.0));
        self.keys.retain(|key| key.bytes >= 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(keys: &mut HotKeys, partition_key: &str) {
        let digest = partition_key.bytes().fold(7, |digest: u64, byte| digest.wrapping_mul(31) + u64::from(byte));
        keys.add(digest, partition_key.into(), None, 100, Time::ZERO);
    }

    #[test]
    fn a_hot_key_is_found_among_many_and_forgotten_when_it_cools() {
        let mut keys = HotKeys::default();
        for n in 0..10_000 {
            let key = if n % 5 == 0 { "hot".to_owned() } else { format!("key-{n}") };
            add(&mut keys, &key);
        }
        let shares = keys.shares(Time::ZERO);
        assert_eq!(shares.iter().map(|share| share.partition_key).collect::<Vec<_>>(), ["hot"]);
        assert!((0.15..=0.2).contains(&shares[0].share), "{}", shares[0].share);
        let later = Time::from_millis(20 * 60_000);
        assert!(keys.shares(later).is_empty() && keys.digests.is_empty());
    }

    #[test]
    fn memory_is_bounded_and_equal_keys_are_not_hot() {
        let mut keys = HotKeys::default();
        for n in 0..100_000 {
            add(&mut keys, &format!("key-{}", n % 1000));
        }
        assert_eq!((keys.keys.len(), keys.digests.len()), (WATCHED, WATCHED));
        assert!(keys.shares(Time::ZERO).is_empty());
    }
}
