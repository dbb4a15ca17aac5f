//! A model of one stream in the service: shards with ranges, limits and what is stored in them; ListShards as it was a while
//! ago; and the reader on the far side, which applies the KCL's range rule.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use kinesis_producer::core::outcome::{
    CallFailure, EntryOutcome, ListShardsOutcome, PutRecordsOutcome, Shard, ShardPage,
};
use kinesis_producer::error::ErrorCode;
use kinesis_producer::wire::{DeaggregatedRecord, KinesisRecord, Payload, deaggregate, md5};
use kinesis_producer::{HashKey, SequenceNumber, ShardId, Stored};

use super::ledger::{self, Id};
use super::scenario::{Faults, SECOND};

/// An entry as it is on the wire.
#[derive(Clone, Debug)]
pub(crate) struct WireEntry {
    pub(crate) partition_key: String,
    pub(crate) hash_key: HashKey,
    pub(crate) data: Bytes,
    /// Whose user records it holds, as the sender sees it.
    pub(crate) ids: Vec<Id>,
}

impl WireEntry {
    /// What the body of a request would hold.
    pub(crate) fn new(record: &KinesisRecord) -> WireEntry {
        let partition_key = String::from_utf8(record.partition_key.to_vec()).expect("partition keys are text");
        let (data, ids, first) = match &record.payload {
            Payload::Plain(data) => {
                (data.clone(), vec![ledger::identify(&partition_key, data)], md5::hash_key(&partition_key))
            }
            Payload::Aggregate(sealed) => {
                let message: Vec<u8> = sealed.segments().iter().flat_map(|segment| segment.iter().copied()).collect();
                let digest = md5::md5(&message);
                let data = [&[0xF3, 0x89, 0x9A, 0xC2], message.as_slice(), &digest].concat();
                assert_eq!(data.len(), sealed.encoded_len());
                let ids = sealed.iter().map(|user| ledger::identify(user.partition_key, user.data)).collect();
                let first = sealed.first().expect("an aggregate has user records");
                let hash_key = first.explicit_hash_key.unwrap_or_else(|| md5::hash_key(first.partition_key));
                assert!(record.hash_key.is_none_or(|given| given == hash_key), "aggregate under a foreign hash key");
                (data.into(), ids, hash_key)
            }
        };
        WireEntry { partition_key, hash_key: record.hash_key.unwrap_or(first), data, ids }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.partition_key.len() + self.data.len()
    }
}

#[derive(Debug)]
struct ServiceShard {
    id: ShardId,
    first: u128,
    last: u128,
    open: bool,
    records: Vec<(u64, WireEntry)>,
    bytes_level: f64,
    records_level: f64,
    updated: u64,
}

#[derive(Debug)]
pub(crate) struct Service {
    /// In the order of their creation.
    shards: Vec<ServiceShard>,
    rate: f64,
    next_sequence_number: u64,
    /// Since when the list looks so.
    lists: Vec<(u64, Vec<Shard>)>,
    pub(crate) pages: HashMap<String, Vec<Shard>>,
    pub(crate) reshards: usize,
}

/// A copy of a user record that a consumer sees.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    /// The shard's number, by creation, and the sequence number.
    pub(crate) place: (usize, u64),
    pub(crate) shard_id: ShardId,
    pub(crate) sub_sequence_number: Option<u64>,
}

fn bucket(level: &mut f64, rate: f64, passed: f64) {
    *level = (*level + rate * passed).min(rate);
}

impl Service {
    pub(crate) fn new(shards: usize, rate: f64) -> Service {
        let mut service = Service {
            shards: Vec::new(),
            rate,
            next_sequence_number: 1,
            lists: Vec::new(),
            pages: HashMap::new(),
            reshards: 0,
        };
        let width = u128::MAX / shards as u128;
        for number in 0..shards as u128 {
            let last = if number + 1 == shards as u128 { u128::MAX } else { (number + 1) * width - 1 };
            service.add(number * width, last);
        }
        service.publish(0);
        service
    }

    fn add(&mut self, first: u128, last: u128) {
        self.shards.push(ServiceShard {
            id: ShardId::new(&format!("shardId-{:012}", self.shards.len())),
            first,
            last,
            open: true,
            records: Vec::new(),
            bytes_level: self.rate * 1_048_576.0,
            records_level: self.rate * 1000.0,
            updated: 0,
        });
    }

    fn publish(&mut self, now: u64) {
        let list = self.shards.iter().map(|shard| Shard {
            id: shard.id.clone(),
            first: HashKey(shard.first),
            last: HashKey(shard.last),
            open: shard.open,
        });
        let list = list.collect();
        self.lists.push((now, list));
    }

    /// Splits an open shard, or merges two neighbours.
    pub(crate) fn reshard(&mut self, rng: &mut Rng, now: u64) {
        let mut open: Vec<usize> = (0..self.shards.len()).filter(|n| self.shards[*n].open).collect();
        open.sort_by_key(|n| self.shards[*n].first);
        let at = rng.usize(0..open.len());
        let (first, last) = (self.shards[open[at]].first, self.shards[open[at]].last);
        self.shards[open[at]].open = false;
        if rng.bool() && at + 1 < open.len() {
            let next = open[at + 1];
            self.shards[next].open = false;
            self.add(first, self.shards[next].last);
        } else {
            let middle = first + (last - first) / 2;
            self.add(first, middle);
            self.add(middle + 1, last);
        }
        self.reshards += 1;
        self.publish(now);
    }

    fn route(&mut self, hash_key: HashKey) -> &mut ServiceShard {
        let shard = self.shard_of(hash_key);
        &mut self.shards[shard]
    }

    pub(crate) fn shard_of(&self, hash_key: HashKey) -> usize {
        let owns = |shard: &ServiceShard| shard.open && shard.first <= hash_key.0 && hash_key.0 <= shard.last;
        self.shards.iter().position(owns).expect("open shards tile the ring")
    }

    pub(crate) fn open_shards(&self) -> usize {
        self.shards.iter().filter(|shard| shard.open).count()
    }

    pub(crate) fn store(&mut self, entry: &WireEntry) -> EntryOutcome {
        let number = self.next_sequence_number;
        self.next_sequence_number += 1;
        let shard = self.route(entry.hash_key);
        shard.records.push((number, entry.clone()));
        EntryOutcome::Stored { shard_id: shard.id.clone(), sequence_number: SequenceNumber::new(&number.to_string()) }
    }

    /// Whether the shard has room for the entry; takes it.
    fn has_room(&mut self, entry: &WireEntry, now: u64) -> bool {
        let rate = self.rate;
        let shard = self.route(entry.hash_key);
        let passed = (now - shard.updated) as f64 / SECOND as f64;
        shard.updated = now;
        bucket(&mut shard.bytes_level, rate * 1_048_576.0, passed);
        bucket(&mut shard.records_level, rate * 1000.0, passed);
        let bytes = entry.bytes() as f64;
        let room = shard.bytes_level >= bytes.min(rate * 1_048_576.0) && shard.records_level >= 1.0;
        if room {
            shard.bytes_level -= bytes;
            shard.records_level -= 1.0;
        }
        room
    }

    /// Serves a request. `faults` are those of the moment.
    pub(crate) fn put_records(
        &mut self,
        entries: &[WireEntry],
        faults: &Faults,
        rng: &mut Rng,
        now: u64,
    ) -> PutRecordsOutcome {
        if entries.iter().any(|entry| entry.ids.iter().any(|id| id.poisonous())) {
            return Err(failure("ValidationException", Some(400)));
        }
        if rng.f64() < faults.call_throttled {
            return Err(failure("LimitExceededException", Some(400)));
        }
        if rng.f64() < faults.call_500 {
            let stored = if rng.f64() < faults.stored_anyway { rng.usize(0..=entries.len()) } else { 0 };
            for entry in &entries[..stored] {
                self.store(entry);
            }
            return Err(failure("InternalFailure", Some(500)));
        }
        let outcomes = entries.iter().map(|entry| {
            if !self.has_room(entry, now) || rng.f64() < faults.entry_throttled {
                return refusal("ProvisionedThroughputExceededException");
            }
            if rng.f64() < faults.entry_internal {
                if rng.f64() < faults.stored_anyway {
                    self.store(entry);
                }
                return refusal("InternalFailure");
            }
            self.store(entry)
        });
        let mut outcomes: Vec<EntryOutcome> = outcomes.collect();
        if rng.f64() < faults.count_mismatch {
            outcomes.pop();
        }
        Ok(outcomes)
    }

    /// Serves a page of ListShards.
    pub(crate) fn list_shards(
        &mut self,
        token: Option<String>,
        faults: &Faults,
        rng: &mut Rng,
        now: u64,
    ) -> ListShardsOutcome {
        if rng.f64() < faults.list_forbidden {
            return Err(failure("AccessDeniedException", Some(400)));
        }
        if rng.f64() < faults.list_failed {
            let code = if rng.bool() { ("LimitExceededException", Some(400)) } else { ("InternalFailure", Some(500)) };
            return Err(failure(code.0, code.1));
        }
        let mut shards = match token {
            Some(token) => self.pages.remove(&token).expect("a token that was given"),
            None => self.list(faults, rng, now),
        };
        let rest = shards.split_off(faults.list_page.max(1).min(shards.len()));
        let next_token = (!rest.is_empty()).then(|| format!("page-{}", rng.u64(..)));
        if let Some(token) = &next_token {
            self.pages.insert(token.clone(), rest);
        }
        Ok(ShardPage { shards, next_token })
    }

    fn list(&self, faults: &Faults, rng: &mut Rng, now: u64) -> Vec<Shard> {
        let seen = now.saturating_sub(rng.u64(0..=faults.list_lag));
        let list = self.lists.iter().rev().find(|(since, _)| *since <= seen);
        let mut list = list.expect("a list from the start").1.clone();
        if rng.f64() < faults.list_inconsistent
            && let Some(newest) = list.iter().rposition(|shard| shard.open)
        {
            list.remove(newest);
        }
        if !faults.list_shows_closed {
            list.retain(|shard| shard.open);
        }
        rng.shuffle(&mut list);
        list
    }

    /// All copies of user records, as consumers see them: an aggregate's user records outside of the shard's range are dropped.
    pub(crate) fn read(&self, mut see: impl FnMut(&DeaggregatedRecord<'_>, Copy)) {
        for (order, shard) in self.shards.iter().enumerate() {
            for (number, entry) in &shard.records {
                for user in deaggregate(&entry.partition_key, Some(entry.hash_key), &entry.data) {
                    let hash_key = user.explicit_hash_key.unwrap_or_else(|| md5::hash_key(&user.partition_key)).0;
                    if user.aggregated && !(shard.first..=shard.last).contains(&hash_key) {
                        continue;
                    }
                    let sub_sequence_number = user.aggregated.then_some(user.sub_sequence_number);
                    see(&user, Copy { place: (order, *number), shard_id: shard.id.clone(), sub_sequence_number });
                }
            }
        }
    }
}

pub(crate) fn failure(code: &str, status: Option<u16>) -> CallFailure {
    let stored = if status.is_some_and(|status| status < 500) { Stored::No } else { Stored::Possibly };
    CallFailure { code: ErrorCode::new(code), message: Arc::from("as simulated"), status, stored }
}

fn refusal(code: &str) -> EntryOutcome {
    EntryOutcome::Failed { code: ErrorCode::new(code), message: Arc::from("as simulated") }
}
