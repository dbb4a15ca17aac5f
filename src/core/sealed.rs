//! A Kinesis record on its way: the sealed bytes, and for each of its user records the place where its report belongs.

use std::sync::Arc;
use std::time::Duration;

use crate::error::ErrorCode;
use crate::metrics::{DataSizes, StatisticSet};
use crate::record::{HashKey, ShardId};
use crate::time::Time;
use crate::wire::{KinesisRecord, Payload, UserRecordRef};

/// Attempts kept at each end of a long history.
const KEPT: usize = 15;

/// Where an accepted user record's report belongs: slot `index` of block `block`. A block is opened with each aggregate, its
/// slots are numbered in put order, and its number is used again once all of them are reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    /// The block.
    pub block: u32,
    /// The slot in it.
    pub index: u32,
}

/// The user records of one Kinesis record, in put order.
#[derive(Clone, Debug, Default)]
pub struct Members {
    base: Time,
    /// Microseconds after the first one (saturating: a longer linger than 71 minutes only blurs the delay reported).
    arrivals: Vec<u32>,
    tokens: Tokens,
}

/// Those of an aggregate are a run of slots, until it is taken apart: four bytes a user record instead of twenty.
#[derive(Clone, Debug)]
enum Tokens {
    /// As many slots as there are user records, from this one on.
    Run(Numbered),
    List(Vec<Numbered>),
}

/// A token, and the user record's number in put order. In an aggregate they count on from the first one's: that is never more than
/// their own number, so that what came before in one lane has the lower number (where there is one intake, as with order kept).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Numbered {
    token: Token,
    number: u64,
}

impl Numbered {
    fn plus(self, count: usize) -> Numbered {
        let Numbered { token, number } = self;
        Numbered { token: Token { index: token.index + count as u32, ..token }, number: number + count as u64 }
    }
}

impl Default for Tokens {
    fn default() -> Tokens {
        Tokens::Run(Numbered::default())
    }
}

impl Members {
    /// None, with room for some.
    pub(super) fn with_capacity(count: usize) -> Members {
        Members { arrivals: Vec::with_capacity(count), ..Members::default() }
    }

    /// Adds a user record that arrived at `now`; those before it have lower numbers.
    #[inline]
    pub(super) fn push(&mut self, token: Token, number: u64, now: Time) {
        if self.arrivals.is_empty() {
            // A whole microsecond: an arrival that moves to other members does not lose more each time.
            self.base = Time::from_nanos(now.as_nanos() / 1000 * 1000);
            self.tokens = Tokens::Run(Numbered { token, number });
        }
        match &mut self.tokens {
            Tokens::Run(first) if first.plus(self.arrivals.len()).token == token => {}
            Tokens::Run(first) => {
                let before = (0..self.arrivals.len()).map(|position| first.plus(position));
                self.tokens = Tokens::List(before.chain([Numbered { token, number }]).collect());
            }
            Tokens::List(tokens) => tokens.push(Numbered { token, number }),
        }
        let micros = now.as_nanos().saturating_sub(self.base.as_nanos()) / 1000;
        let micros = u32::try_from(micros).unwrap_or(u32::MAX);
        // Who waited for the lock came after those who had it.
        self.arrivals.push(self.arrivals.last().map_or(micros, |last| micros.max(*last)));
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.arrivals.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    /// When the first one arrived.
    pub(super) fn base(&self) -> Time {
        self.base
    }

    /// When the first one expires.
    pub(super) fn expires(&self, ttl: Duration) -> Time {
        // A microsecond more than the arrival's resolution: never early.
        self.base + ttl + Duration::from_micros(1)
    }

    /// The token of the user record at `position`.
    #[must_use]
    pub fn token(&self, position: usize) -> Option<Token> {
        self.numbered(position).map(|numbered| numbered.token)
    }

    /// The number in put order of the user record at `position`.
    pub(super) fn number(&self, position: usize) -> u64 {
        self.numbered(position).map(|numbered| numbered.number).unwrap_or_default()
    }

    fn numbered(&self, position: usize) -> Option<Numbered> {
        match &self.tokens {
            Tokens::Run(first) => (position < self.len()).then(|| first.plus(position)),
            Tokens::List(tokens) => tokens.get(position).copied(),
        }
    }

    /// When the user record at `position` arrived, rounded down to a microsecond after the first.
    #[must_use]
    pub fn arrival(&self, position: usize) -> Time {
        let micros = self.arrivals.get(position).copied().unwrap_or_default();
        self.base + Duration::from_micros(micros.into())
    }

    /// When the last one arrived.
    pub(super) fn last_arrival(&self) -> Time {
        self.arrival(self.len().saturating_sub(1))
    }

    /// Gives memory back that was reserved in vain.
    pub(super) fn compact(&mut self) {
        if self.arrivals.capacity() > 2 * self.arrivals.len() {
            self.arrivals.shrink_to_fit();
        }
    }

    /// When each arrived: microseconds after the first.
    pub(super) fn arrivals(&self) -> &[u32] {
        &self.arrivals
    }

    /// The tokens in order.
    pub fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        (0..self.len()).map_while(|position| self.token(position))
    }

    /// If they are consecutive slots of one block: the block and its first slot.
    #[must_use]
    pub fn as_run(&self) -> Option<Token> {
        match &self.tokens {
            Tokens::Run(first) => (!self.is_empty()).then_some(first.token),
            Tokens::List(tokens) => {
                let first = tokens.first()?.token;
                let mut slots = (first.index..).zip(tokens);
                slots.all(|(index, other)| other.token == Token { index, ..first }).then_some(first)
            }
        }
    }

    /// How many of the first ones arrived at or before `moment`.
    pub(super) fn arrived_by(&self, moment: Time) -> usize {
        let base = self.base.as_nanos();
        // An arrival is known to the microsecond below: round up, so that nothing counts as older than it is.
        self.arrivals.partition_point(|arrival| base + (u64::from(*arrival) + 1) * 1000 <= moment.as_nanos())
    }

    /// Takes the first `count` away.
    pub(super) fn split_first(&mut self, count: usize) -> Members {
        let count = count.min(self.len());
        let later = self.arrivals.split_off(count);
        let first_tokens = match &mut self.tokens {
            Tokens::Run(first) => {
                let before = *first;
                *first = before.plus(count);
                Tokens::Run(before)
            }
            Tokens::List(tokens) => {
                let later = tokens.split_off(count);
                Tokens::List(std::mem::replace(tokens, later))
            }
        };
        let arrivals = std::mem::replace(&mut self.arrivals, later);
        let first = Members { base: self.base, arrivals, tokens: first_tokens };
        self.rebase();
        first
    }

    /// Adds the user record at `position` of `other`.
    pub(super) fn push_from(&mut self, other: &Members, position: usize) {
        if let Some(Numbered { token, number }) = other.numbered(position) {
            self.push(token, number, other.arrival(position));
        }
    }

    fn rebase(&mut self) {
        let Some(first) = self.arrivals.first().copied() else { return };
        self.base = self.base + Duration::from_micros(first.into());
        self.arrivals.iter_mut().for_each(|arrival| *arrival -= first);
    }
}

/// One try of a Kinesis record: what all its user records share.
#[derive(Clone, Debug)]
pub(super) struct Try {
    pub(super) start: Time,
    pub(super) end: Time,
    /// The error's code and words, if it failed.
    pub(super) error: Option<(ErrorCode, Arc<str>)>,
}

/// The tries of a Kinesis record: the first and the last fifteen, and how many there were.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) tries: Vec<Try>,
    pub(super) total: u32,
    /// Of those that are not kept: the milliseconds waited before each, and the end of the last one.
    dropped: Option<Box<(StatisticSet, Time)>>,
}

impl History {
    /// How long it waited before each attempt that is kept, but the first.
    pub(super) fn waits(&self) -> impl Iterator<Item = Duration> + Clone + '_ {
        self.tries.iter().enumerate().skip(1).map(|(place, attempt)| attempt.start.since(self.end_before(place)))
    }

    /// The milliseconds that it waited before those that are not kept.
    pub(super) fn dropped_waits(&self) -> StatisticSet {
        self.dropped.as_ref().map(|dropped| dropped.0).unwrap_or_default()
    }

    /// The end of the attempt before the one at `place`.
    fn end_before(&self, place: usize) -> Time {
        let kept = place.checked_sub(1).and_then(|place| self.tries.get(place)).map(|attempt| attempt.end);
        let dropped = self.dropped.as_ref().map(|dropped| dropped.1).filter(|_| place == KEPT);
        dropped.or(kept).unwrap_or_default()
    }

    /// What failed last, other than by expiry.
    pub(super) fn last_error(&self) -> Option<&(ErrorCode, Arc<str>)> {
        let mut errors = self.tries.iter().rev().filter_map(|attempt| attempt.error.as_ref());
        errors.find(|(code, _)| code.as_str() != super::outcome::code::EXPIRED)
    }

    pub(super) fn push(&mut self, attempt: Try) {
        if self.tries.len() == 2 * KEPT {
            let dropped = self.tries.remove(KEPT);
            let before = self.end_before(KEPT);
            let (waits, end) = &mut **self.dropped.get_or_insert_default();
            waits.merge(&StatisticSet::of(dropped.start.since(before).as_secs_f64() * 1e3, 1));
            *end = dropped.end;
        }
        self.tries.push(attempt);
        self.total = self.total.saturating_add(1);
    }
}

/// A Kinesis record whose bytes are fixed, between the aggregator and its report.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    pub(super) record: KinesisRecord,
    pub(super) members: Members,
    /// Data and partition keys of its user records: what the budget counts.
    pub(super) user_bytes: usize,
    /// Sizes of their data.
    pub(super) data: DataSizes,
    /// The shard that it was last queued for.
    pub(super) predicted: Option<ShardId>,
    /// When it should have left.
    pub(super) deadline: Time,
    pub(super) history: History,
    /// Some attempt may have stored it.
    pub(super) possibly_stored: bool,
}

impl Sealed {
    /// Bytes that count against a shard and a request: data and partition key.
    pub(super) fn wire_bytes(&self) -> usize {
        self.record.data_len() + self.record.partition_key.len()
    }

    /// Lanes are sorted by it: when the first user record arrived, and its number.
    pub(super) fn age(&self) -> (Time, u64) {
        (self.members.base(), self.members.number(0))
    }

    /// When the first user record expires.
    pub(super) fn expires(&self, ttl: Duration) -> Time {
        self.members.expires(ttl)
    }

    /// Splits off the first `count` user records, fewer than all: the bytes of the rest are sent without them. The part split
    /// off has members, history and size, and the whole payload if `keep_payload`.
    pub(super) fn split_first(&mut self, count: usize, keep_payload: bool) -> Sealed {
        let before = self.record.payload.clone();
        let (mut bytes, mut data) = (0, DataSizes::default());
        if let Payload::Aggregate(aggregate) = &mut self.record.payload {
            for user in aggregate.iter().take(count) {
                bytes += user.partition_key.len() + user.data.len();
                data.add(user.data.len());
            }
            let mut rest = aggregate.clone();
            rest.drop_first(count);
            // Its first user record is another one now; without hashing its hash key is known only if it is the same.
            self.record.hash_key = match (aggregate.first(), rest.first()) {
                (_, Some(UserRecordRef { explicit_hash_key: Some(given), .. })) => Some(given),
                (Some(old), Some(new)) if old.explicit_hash_key.is_none() && old.partition_key == new.partition_key => {
                    self.record.hash_key
                }
                _ => None,
            };
            *aggregate = rest;
        }
        self.user_bytes -= bytes;
        self.data.sum -= data.sum;
        let payload = if keep_payload { before } else { Payload::Plain(bytes::Bytes::new()) };
        Sealed {
            record: KinesisRecord { payload, partition_key: self.record.partition_key.clone(), hash_key: None },
            members: self.members.split_first(count),
            user_bytes: bytes,
            data,
            predicted: self.predicted.clone(),
            deadline: self.deadline,
            history: self.history.clone(),
            possibly_stored: self.possibly_stored,
        }
    }

    /// The partition key that it is sent under.
    pub(super) fn partition_key(&self) -> &str {
        std::str::from_utf8(&self.record.partition_key).expect("a partition key was a str")
    }

    /// The hash key if it is known without hashing: given, or kept from the put.
    pub(super) fn hash_key(&self) -> Option<HashKey> {
        self.record.hash_key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(count: u32) -> Members {
        let mut members = Members::default();
        for index in 0..count {
            members.push(
                Token { block: 3, index },
                70 + u64::from(index),
                Time::from_millis(u64::from(index) * 10 + 5),
            );
        }
        members
    }

    #[test]
    fn nothing_counts_as_older_than_it_is() {
        let members = members(3);
        assert_eq!(members.arrived_by(Time::from_millis(5)), 0);
        assert_eq!(members.arrived_by(Time::from_nanos(5_001_000)), 1);
        assert_eq!(members.arrived_by(Time::from_millis(26)), 3);
    }

    #[test]
    fn arrivals_that_move_on_are_rounded_once() {
        let mut members = Members::default();
        let arrivals = [1_999, 3_998, 6_001].map(Time::from_nanos);
        (0..).zip(arrivals).for_each(|(index, now)| members.push(Token { block: 3, index }, 0, now));
        for first in [0, 1, 2] {
            let mut others = Members::default();
            (first..3).for_each(|position| others.push_from(&members, position));
            assert_eq!(others.arrival(2 - first), Time::from_nanos(6_000));
        }
    }

    #[test]
    fn splitting_keeps_tokens_and_arrivals() {
        let mut rest = members(5);
        let first = rest.split_first(2);
        assert_eq!(first.len(), 2);
        assert_eq!((rest.token(0), rest.arrival(0)), (Some(Token { block: 3, index: 2 }), Time::from_millis(25)));
        assert_eq!(rest.arrival(2), Time::from_millis(45));
        assert_eq!(rest.as_run(), Some(Token { block: 3, index: 2 }));
        assert_eq!((first.number(0), rest.number(0), rest.number(2)), (70, 72, 74));
    }

    #[test]
    fn what_is_left_of_an_aggregate_keeps_its_hash_key_where_the_keys_tell_it() {
        for (keys, left) in [(["a", "a"], Some(HashKey(7))), (["a", "b"], None)] {
            let mut writer = crate::wire::AggregateWriter::new();
            for (digest, partition_key) in keys.into_iter().enumerate() {
                let key_digest = if keys[0] == keys[1] { 0 } else { digest as u64 };
                let keyed = crate::wire::Keyed { partition_key, key_digest, explicit_hash_key: None, data: b"x" };
                assert!(writer.try_append(&keyed, usize::MAX));
            }
            let mut sealed = Sealed {
                record: KinesisRecord::from_aggregate(writer.seal(), Some(HashKey(7))),
                members: members(2),
                user_bytes: 4,
                data: DataSizes { sum: 2, min: 1, max: 1 },
                predicted: None,
                deadline: Time::ZERO,
                history: History::default(),
                possibly_stored: false,
            };
            sealed.split_first(1, false);
            assert_eq!((sealed.hash_key(), sealed.user_bytes), (left, 2));
        }
    }

    #[test]
    fn a_gap_or_another_block_is_no_run() {
        let mut members = members(2);
        members.push(Token { block: 3, index: 3 }, 73, Time::from_millis(30));
        assert_eq!(members.as_run(), None);
    }

    #[test]
    fn a_long_history_keeps_both_ends_and_the_count() {
        let mut history = History::default();
        for n in 0..100 {
            history.push(Try { start: Time::from_millis(n), end: Time::from_millis(n), error: None });
        }
        let starts: Vec<u64> = history.tries.iter().map(|attempt| attempt.start.as_nanos() / 1_000_000).collect();
        assert_eq!(history.total, 100);
        // One millisecond before each but the first.
        assert_eq!(history.waits().map(|wait| wait.as_millis()).collect::<Vec<_>>(), [1; 29]);
        assert_eq!((history.dropped_waits().count, history.dropped_waits().sum), (70, 70.0));
        assert_eq!(starts[..15], (0..15).collect::<Vec<_>>());
        assert_eq!(starts[15..], (85..100).collect::<Vec<_>>());
    }
}
