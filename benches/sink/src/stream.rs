//! One stream: shards, routing, limits, resharding, and what ListShards says of it. No I/O, no clock: `now` is an argument.
//! Sequence numbers come from one counter per stream, so a child's are above its parents'.

use std::time::Duration;

use serde::Serialize;

use crate::check::Checker;
use crate::protocol::{Decimal, Outcome, Refusal, SequenceNumber, ShardId};
use crate::statistics::ShardStatistics;

const BYTES_PER_SECOND: f64 = 1_048_576.0; // a shard's write limit, AWS "Quotas and limits"
const RECORDS_PER_SECOND: f64 = 1000.0; // likewise

/// A stream and all its shards, open and closed; the index is the shard's number.
#[derive(Debug)]
pub(crate) struct Stream {
    shards: Vec<Shard>,
    /// Indices of the open shards by start of range.
    open: Vec<u32>,
    sequence: u64,
    pub(crate) checker: Option<Checker>,
}

#[derive(Debug)]
struct Shard {
    start: u128,
    end: u128,
    parents: [Option<u32>; 2],
    first_sequence: u64,
    last_sequence: Option<u64>,
    bucket: TokenBucket,
    statistics: ShardStatistics,
}

/// A Kinesis record on its way into a shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arriving<'a> {
    pub(crate) partition_key: &'a str,
    pub(crate) hash_key: u128,
    /// Decoded if there is a checker, else not looked at.
    pub(crate) data: &'a [u8],
    /// Of the decoded data.
    pub(crate) data_len: usize,
}

impl Stream {
    /// `shards` even shares of the hash key space.
    pub(crate) fn new(shards: u32, check: bool) -> Self {
        let mut stream =
            Self { shards: Vec::new(), open: Vec::new(), sequence: 0, checker: check.then(Checker::default) };
        let share = if shards <= 1 { u128::MAX } else { u128::MAX / u128::from(shards) };
        for index in 0..shards {
            let start = u128::from(index) * share + u128::from(index);
            let end = if index + 1 == shards { u128::MAX } else { start + share };
            let id = stream.open_shard(start, end, [None, None]);
            stream.open.push(id);
        }
        stream
    }

    /// Stores or throttles one Kinesis record. `rate_factor`: of the shard's limits, or none.
    pub(crate) fn put(&mut self, arriving: Arriving<'_>, now: Duration, rate_factor: Option<f64>) -> Outcome {
        let at = self.open.partition_point(|&id| self.shards[id as usize].start <= arriving.hash_key);
        let id = self.open[at.saturating_sub(1)];
        let shard = &mut self.shards[id as usize];
        let bytes = arriving.data_len + arriving.partition_key.len();
        if let Some(factor) = rate_factor
            && !shard.bucket.take(bytes, now, factor)
        {
            shard.statistics.throttled += 1;
            return Outcome::Throttled { shard: id };
        }
        self.sequence += 1;
        shard.statistics.stored += 1;
        shard.statistics.stored_bytes += bytes as u64;
        if let Some(checker) = &mut self.checker {
            checker.read(arriving.partition_key, arriving.hash_key, arriving.data, shard.start..=shard.end);
        }
        Outcome::Stored { shard: id, sequence: self.sequence }
    }

    /// Splits the widest open shards or merges the narrowest neighbours until `target` are open.
    pub(crate) fn reshard(&mut self, target: u32) {
        while self.open.len() < target as usize {
            let width = |&at: &usize| self.shards[self.open[at] as usize].width();
            // The first of the widest: every shard is split once before any child is.
            let Some(at) = (0..self.open.len()).rev().max_by_key(width) else { return };
            if !self.split(at) {
                return;
            }
        }
        while self.open.len() > target.max(1) as usize {
            let width =
                |&at: &usize| self.shards[self.open[at + 1] as usize].end - self.shards[self.open[at] as usize].start;
            let Some(at) = (0..self.open.len() - 1).min_by_key(width) else { return };
            self.merge(at);
        }
    }

    pub(crate) fn open_shards(&self) -> usize {
        self.open.len()
    }

    /// Up to `most` shards after the given one, and whether more follow.
    pub(crate) fn list(&self, only_open: bool, after: Option<u32>, most: usize) -> (Vec<ShardAnswer>, bool) {
        let first = after.map_or(0, |id| id as usize + 1);
        let mut ids = (first..self.shards.len()).filter(|&id| !only_open || self.shards[id].last_sequence.is_none());
        let page = ids.by_ref().take(most).map(|id| self.shard_answer(id)).collect();
        (page, ids.next().is_some())
    }

    pub(crate) fn shard_statistics(&self) -> Vec<ShardStatistics> {
        let named = self.shards.iter().enumerate().map(|(id, shard)| ShardStatistics {
            shard_id: shard_id(id).to_string(),
            open: shard.last_sequence.is_none(),
            ..shard.statistics.clone()
        });
        named.collect()
    }

    /// Forgets counts and what was seen; shards and sequence numbers stay.
    pub(crate) fn reset(&mut self) {
        for shard in &mut self.shards {
            shard.statistics = ShardStatistics::default();
        }
        self.checker = self.checker.is_some().then(Checker::default);
    }

    fn split(&mut self, at: usize) -> bool {
        let parent = self.open[at];
        let Shard { start, end, .. } = self.shards[parent as usize];
        if start == end {
            return false;
        }
        let middle = start + (end - start) / 2;
        self.close(parent);
        let low = self.open_shard(start, middle, [Some(parent), None]);
        let high = self.open_shard(middle + 1, end, [Some(parent), None]);
        self.open.splice(at..=at, [low, high]);
        true
    }

    fn merge(&mut self, at: usize) {
        let (low, high) = (self.open[at], self.open[at + 1]);
        self.close(low);
        self.close(high);
        let (start, end) = (self.shards[low as usize].start, self.shards[high as usize].end);
        let child = self.open_shard(start, end, [Some(low), Some(high)]);
        self.open.splice(at..=at + 1, [child]);
    }

    fn close(&mut self, id: u32) {
        self.sequence += 1;
        self.shards[id as usize].last_sequence = Some(self.sequence);
    }

    fn open_shard(&mut self, start: u128, end: u128, parents: [Option<u32>; 2]) -> u32 {
        self.sequence += 1;
        let id = u32::try_from(self.shards.len()).expect("a stream is resharded fewer than 2^32 times");
        self.shards.push(Shard {
            start,
            end,
            parents,
            first_sequence: self.sequence,
            last_sequence: None,
            bucket: TokenBucket::default(),
            statistics: ShardStatistics::default(),
        });
        id
    }

    fn shard_answer(&self, id: usize) -> ShardAnswer {
        let shard = &self.shards[id];
        ShardAnswer {
            shard_id: shard_id(id),
            parent_shard_id: shard.parents[0].map(ShardId),
            adjacent_parent_shard_id: shard.parents[1].map(ShardId),
            hash_key_range: HashKeyRange {
                starting_hash_key: Decimal(shard.start),
                ending_hash_key: Decimal(shard.end),
            },
            sequence_number_range: SequenceNumberRange {
                starting_sequence_number: SequenceNumber(shard.first_sequence),
                ending_sequence_number: shard.last_sequence.map(SequenceNumber),
            },
        }
    }
}

impl Shard {
    fn width(&self) -> u128 {
        self.end - self.start
    }
}

fn shard_id(index: usize) -> ShardId {
    ShardId(u32::try_from(index).unwrap_or(u32::MAX))
}

/// A shard's limits: two buckets that hold one second's worth.
#[derive(Debug, Default)]
struct TokenBucket {
    /// Spent and not yet refilled: bytes, records; in units of the unscaled limits.
    spent: [f64; 2],
    filled_at: Duration,
}

impl TokenBucket {
    /// A Kinesis record larger than the bucket passes when the bucket is full.
    fn take(&mut self, bytes: usize, now: Duration, factor: f64) -> bool {
        let refill = now.saturating_sub(self.filled_at).as_secs_f64() * factor;
        self.filled_at = self.filled_at.max(now);
        let limits = [BYTES_PER_SECOND, RECORDS_PER_SECOND];
        #[expect(clippy::cast_precision_loss, reason = "a Kinesis record is far below 2^52 bytes")]
        let costs = [bytes as f64, 1.0];
        for (spent, limit) in self.spent.iter_mut().zip(limits) {
            *spent = (*spent - limit * refill).max(0.0);
        }
        let fits = (0..2).all(|i| self.spent[i] == 0.0 || self.spent[i] + costs[i] <= limits[i] * factor);
        if fits {
            self.spent[0] += costs[0];
            self.spent[1] += costs[1];
        }
        fits
    }
}

/// A shard as ListShards shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ShardAnswer {
    pub(crate) shard_id: ShardId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent_shard_id: Option<ShardId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) adjacent_parent_shard_id: Option<ShardId>,
    pub(crate) hash_key_range: HashKeyRange,
    pub(crate) sequence_number_range: SequenceNumberRange,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HashKeyRange {
    pub(crate) starting_hash_key: Decimal,
    pub(crate) ending_hash_key: Decimal,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SequenceNumberRange {
    pub(crate) starting_sequence_number: SequenceNumber,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ending_sequence_number: Option<SequenceNumber>,
}

/// Where a listing goes on: what NextToken carries.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) stream: String,
    pub(crate) only_open: bool,
    pub(crate) after: Option<u32>,
}

impl Page {
    pub(crate) fn token(&self) -> String {
        format!("{}:{}:{}", u8::from(self.only_open), self.after.unwrap_or(0), self.stream)
    }

    pub(crate) fn of_token(token: &str) -> Result<Self, Refusal> {
        let mut parts = token.splitn(3, ':');
        let refusal = || Refusal::new("InvalidArgumentException", format!("NextToken {token}: not one of ours"));
        let (Some(only_open), Some(after), Some(stream)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(refusal());
        };
        let after = after.parse().map_err(|_| refusal())?;
        Ok(Self { stream: stream.to_owned(), only_open: only_open == "1", after: Some(after) })
    }
}

#[cfg(test)]
mod tests;
