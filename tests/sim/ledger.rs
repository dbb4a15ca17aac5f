//! What must hold. The ledger of a stream knows every user record that was accepted, watches what is sent, answered and
//! reported, and in the end compares the reports with what a consumer reads.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kinesis_producer::config::{Ordering, StreamConfig};
use kinesis_producer::core::outcome::{EntryOutcome, PutRecordsOutcome};
use kinesis_producer::core::{Report, ReportBatch, Token};
use kinesis_producer::error::Failure;
use kinesis_producer::wire::{DeaggregatedRecord, md5};
use kinesis_producer::{HashKey, ShardId, Stored};

use super::scenario::MS;
use super::service::{Copy, Service, WireEntry};
use super::shards::ToldShards;

/// Bytes of a payload that tell whose it is.
const HEADER: usize = 6;

/// A user record of one stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id {
    stream: u8,
    poison: u8,
    number: u32,
}

impl std::fmt::Debug for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let poison = if self.poisonous() { "!" } else { "" };
        write!(f, "{}/{}{poison}", self.stream, self.number)
    }
}

impl Id {
    pub(crate) fn poisonous(self) -> bool {
        self.poison == 1
    }
}

/// A user record that the caller wants to put.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) id: Id,
    pub(crate) partition_key: String,
    pub(crate) explicit_hash_key: Option<HashKey>,
    pub(crate) hash_key: HashKey,
    pub(crate) len: usize,
}

impl Wanted {
    pub(crate) fn new(
        stream: usize,
        number: usize,
        key: String,
        explicit: Option<HashKey>,
        size: (usize, bool),
    ) -> Wanted {
        let id = Id { stream: stream as u8, poison: u8::from(size.1), number: number as u32 };
        // Too short to tell whose it is: the partition key does.
        let partition_key = if size.0 < HEADER { format!("t-{stream}-{number}") } else { key };
        let hash_key = explicit.unwrap_or_else(|| md5::hash_key(&partition_key));
        Wanted { id, partition_key, explicit_hash_key: explicit, hash_key, len: size.0 }
    }

    pub(crate) fn data(&self) -> Vec<u8> {
        let mut data = vec![self.id.number as u8 ^ 0x5A; self.len];
        if self.len >= HEADER {
            data[0] = self.id.stream;
            data[1] = self.id.poison;
            data[2..HEADER].copy_from_slice(&self.id.number.to_be_bytes());
        }
        data
    }

    pub(crate) fn bytes(&self) -> usize {
        self.partition_key.len() + self.len
    }
}

/// Whose user record this is.
pub(crate) fn identify(partition_key: &str, data: &[u8]) -> Id {
    if let [stream, poison, a, b, c, d, ..] = *data {
        return Id { stream, poison, number: u32::from_be_bytes([a, b, c, d]) };
    }
    let mut parts = partition_key.split('-').skip(1).map(|part| part.parse::<u32>().expect("a number in the key"));
    let mut next = || parts.next().expect("two numbers in the key");
    Id { stream: next() as u8, poison: 0, number: next() }
}

#[derive(Debug)]
struct Accepted {
    wanted: Wanted,
    put: u64,
    frozen: u64,
    sends: u32,
    /// Sends whose outcome the producer cannot know.
    lost: u32,
    poisoned_company: bool,
    /// It came back in a request whose content was refused, whose halves are sent as they are.
    halved: bool,
    count_mismatch: bool,
    /// Where it, or the aggregate that it was in, was stored last.
    landed: Option<ShardId>,
    /// When it came back from the wire last, and how long the process had been frozen by then.
    answered: (u64, u64),
    report: Option<Report>,
}

/// Figures of the scenario that checks need.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) config: StreamConfig,
    pub(crate) request_timeout: u64,
    /// How late things may be because of the simulation itself.
    pub(crate) slack: u64,
    /// How long callers may have waited for one another since they read the clock.
    pub(crate) waited: u64,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    limits: Limits,
    accepted: HashMap<Id, Accepted>,
    tokens: HashMap<Token, Id>,
    blocks: HashMap<u32, usize>,
    /// Undecided user records of one partition key and hash key, in put order.
    keys: HashMap<(String, HashKey), VecDeque<Id>>,
    /// Undecided, by put order.
    undecided: BTreeSet<u64>,
    order: HashMap<Id, u64>,
    /// Error codes that calls and entries failed with.
    codes: HashSet<String>,
    pub(crate) shards: ToldShards,
    pub(crate) flushes: Vec<(u64, u64)>,
    pub(crate) aborted: bool,
    pub(crate) undecided_bytes: usize,
    pub(crate) stored: u64,
    pub(crate) failed: HashMap<String, u64>,
}

impl Ledger {
    pub(crate) fn new(limits: Limits) -> Ledger {
        Ledger {
            limits,
            accepted: HashMap::new(),
            tokens: HashMap::new(),
            blocks: HashMap::new(),
            keys: HashMap::new(),
            undecided: BTreeSet::new(),
            order: HashMap::new(),
            codes: HashSet::new(),
            shards: ToldShards::default(),
            flushes: Vec::new(),
            aborted: false,
            undecided_bytes: 0,
            stored: 0,
            failed: HashMap::new(),
        }
    }

    pub(crate) fn undecided(&self) -> usize {
        self.undecided.len()
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.len()
    }

    pub(crate) fn is_reported(&self, id: Id) -> bool {
        self.accepted[&id].report.is_some()
    }

    pub(crate) fn undecided_ids(&self) -> impl Iterator<Item = Id> + '_ {
        self.tokens.values().copied()
    }

    pub(crate) fn waited(&self) -> u64 {
        self.limits.waited
    }

    pub(crate) fn slack(&self) -> u64 {
        self.limits.slack
    }

    /// Nanoseconds awake after its put by which a user record is reported.
    pub(crate) fn most_awake(&self) -> u64 {
        nanos(self.limits.config.record_ttl) + self.limits.request_timeout + self.limits.slack
    }

    fn ordered(&self) -> bool {
        self.limits.config.ordering == Ordering::Shard
    }

    /// A put was accepted.
    pub(crate) fn accept(&mut self, wanted: Wanted, token: Token, now: u64, frozen: u64) {
        let id = wanted.id;
        assert!(self.tokens.insert(token, id).is_none(), "{token:?} is still in use");
        let in_block = self.blocks.entry(token.block).or_default();
        assert!(token.index > 0 || *in_block == 0, "block {} was opened again with {in_block} undecided", token.block);
        *in_block += 1;
        self.keys.entry((wanted.partition_key.clone(), wanted.hash_key)).or_default().push_back(id);
        let order = self.accepted.len() as u64;
        self.undecided.insert(order);
        self.order.insert(id, order);
        self.undecided_bytes += wanted.bytes();
        let entry = Accepted {
            wanted,
            put: now,
            frozen,
            sends: 0,
            lost: 0,
            poisoned_company: false,
            halved: false,
            count_mismatch: false,
            landed: None,
            answered: (now, frozen),
            report: None,
        };
        assert!(self.accepted.insert(id, entry).is_none(), "{id:?} was put twice");
    }

    /// A flush began; everything accepted so far belongs to it.
    pub(crate) fn flushed(&mut self, flush: u64) {
        self.flushes.push((flush, self.accepted.len() as u64));
    }

    /// Whether everything before a flush that began with `before` accepted is reported.
    pub(crate) fn is_flushed(&self, before: u64) -> bool {
        self.undecided.first().is_none_or(|first| *first >= before)
    }

    /// A request leaves.
    pub(crate) fn sent(&mut self, entries: &[WireEntry], now: u64, frozen: u64) {
        let config = &self.limits.config;
        assert!((1..=config.collection_max_count.min(500)).contains(&entries.len()), "{} entries", entries.len());
        let bytes: usize = entries.iter().map(WireEntry::bytes).sum();
        let most = config.collection_max_size.min(10 << 20);
        assert!(bytes <= most || entries.len() == 1, "a request of {bytes} bytes, {most} are allowed");
        let ttl = nanos(config.record_ttl);
        for entry in entries {
            assert!(entry.bytes() <= 10 << 20, "an entry of {} bytes", entry.bytes());
            let poisoned = entry.ids.iter().any(|id| id.poisonous());
            let aggregate = entry.data.starts_with(&[0xF3, 0x89, 0x9A, 0xC2]);
            if aggregate {
                let most = config.aggregation_max_size.min(1 << 20);
                assert!(entry.bytes() <= most.max(1) + 1, "an aggregate of {} bytes, not {most}", entry.bytes());
                assert!(entry.ids.len() as u64 <= config.aggregation_max_count && config.aggregation_enabled);
            }
            for id in &entry.ids {
                let accepted =
                    self.accepted.get_mut(id).unwrap_or_else(|| panic!("{id:?} was sent but never accepted"));
                assert!(accepted.report.is_none(), "{id:?} was sent after its report");
                assert!(accepted.wanted.partition_key == entry.partition_key || aggregate);
                let late = (now - accepted.put).saturating_sub(frozen - accepted.frozen);
                assert!(late <= ttl + self.limits.slack, "{id:?} was sent {late} ns after its put, after it expired");
                accepted.sends += 1;
                accepted.poisoned_company |= poisoned;
            }
            let accepted = |id: &Id| &self.accepted[id];
            let halved = entry.ids.iter().any(|id| accepted(id).halved);
            let together = self.shards.belong_together(entry.ids.iter().map(|id| accepted(id).wanted.hash_key));
            assert!(together || halved, "an aggregate for more than one shard: {:?}", entry.ids);
            if self.ordered() {
                self.check_order_on_wire(entry);
            }
        }
    }

    /// All that came before under the same key is decided or goes along.
    fn check_order_on_wire(&self, entry: &WireEntry) {
        let mut seen: HashMap<(&str, HashKey), usize> = HashMap::new();
        for id in &entry.ids {
            let wanted = &self.accepted[id].wanted;
            let place = seen.entry((&wanted.partition_key, wanted.hash_key)).or_default();
            let queue = &self.keys[&(wanted.partition_key.clone(), wanted.hash_key)];
            assert_eq!(queue.get(*place), Some(id), "sent before what came before it under {}", wanted.partition_key);
            *place += 1;
        }
    }

    /// The producer is about to learn of an outcome.
    pub(crate) fn answered(&mut self, entries: &[WireEntry], outcome: &PutRecordsOutcome, now: u64, frozen: u64) {
        let halved = outcome.as_ref().is_err_and(|failure| failure.code.as_str() == "ValidationException");
        for id in entries.iter().flat_map(|entry| &entry.ids) {
            let accepted = self.entry(*id);
            (accepted.answered, accepted.halved) = ((now, frozen), halved);
        }
        match outcome {
            Err(failure) => {
                self.codes.insert(failure.code.as_str().to_owned());
                if failure.stored != Stored::No {
                    entries.iter().for_each(|entry| self.lose(entry));
                }
            }
            Ok(outcomes) if outcomes.len() != entries.len() => {
                for entry in entries {
                    self.lose(entry);
                    entry.ids.iter().for_each(|id| self.entry(*id).count_mismatch = true);
                }
            }
            Ok(outcomes) => {
                for (entry, outcome) in entries.iter().zip(outcomes) {
                    match outcome {
                        EntryOutcome::Failed { code, .. } => {
                            self.codes.insert(code.as_str().to_owned());
                            if code.as_str() == "InternalFailure" {
                                self.lose(entry);
                            }
                        }
                        EntryOutcome::Stored { shard_id, .. } => {
                            entry.ids.iter().for_each(|id| self.entry(*id).landed = Some(shard_id.clone()));
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    fn lose(&mut self, entry: &WireEntry) {
        entry.ids.iter().for_each(|id| self.entry(*id).lost += 1);
    }

    fn entry(&mut self, id: Id) -> &mut Accepted {
        self.accepted.get_mut(&id).expect("an accepted user record")
    }

    /// The pipeline decided some user records.
    pub(crate) fn reported(
        &mut self,
        batch: ReportBatch,
        (now, frozen): (u64, u64),
        mut each: impl FnMut(&Report, usize),
    ) {
        let batch = Arc::new(batch);
        assert!(!batch.members().is_empty(), "a report of nothing");
        let tokens: Vec<Token> = batch.members().tokens().collect();
        let mut bytes = 0;
        for (position, token) in tokens.iter().enumerate() {
            let id = self.tokens.remove(token).unwrap_or_else(|| panic!("{token:?} was reported twice or never given"));
            *self.blocks.get_mut(&token.block).expect("a block in use") -= 1;
            self.undecided.remove(&self.order[&id]);
            let report = batch.report(position as u32);
            self.check_report(id, &report, now, frozen);
            let accepted = self.entry(id);
            bytes += accepted.wanted.bytes();
            each(&report, accepted.wanted.len);
            let key = (accepted.wanted.partition_key.clone(), accepted.wanted.hash_key);
            accepted.report = Some(report);
            let queue = self.keys.get_mut(&key).expect("a key in use");
            queue.retain(|other| *other != id);
        }
        assert_eq!(batch.user_bytes(), bytes, "the budget gets back what it gave");
        self.undecided_bytes -= bytes;
    }

    fn check_report(&mut self, id: Id, report: &Report, now: u64, frozen: u64) {
        let aborted = self.aborted;
        let ttl = nanos(self.limits.config.record_ttl);
        let Accepted { wanted, put, sends, lost, .. } = &self.accepted[&id];
        let (age, sends, lost) = (now - put, *sends, *lost);
        let awake = age.saturating_sub(frozen - self.accepted[&id].frozen);
        let most = self.most_awake();
        assert!(awake <= most, "{id:?} reported after {} ms awake, {} are allowed", awake / MS, most / MS);
        let (answered, frozen_then) = self.accepted[&id].answered;
        let back = (now - answered).saturating_sub(frozen - frozen_then);
        let slack = self.limits.slack;
        assert!(
            awake <= ttl + slack || back <= slack || self.aborted,
            "{id:?} should have expired {} ms ago",
            (awake - ttl) / MS
        );
        let latency = nanos(report.latency());
        let may_be = age.saturating_sub(2_000)..=age + self.limits.waited + 2_000;
        assert!(may_be.contains(&latency), "{id:?}: latency {latency}, not {age}");
        let attempts = report.attempt_count();
        let extra = u32::from(matches!(report.failure(), Some(Failure::Expired | Failure::Service(_))));
        let unanswered = u32::from(aborted);
        assert!(
            attempts + unanswered >= sends && attempts <= sends + extra,
            "{id:?}: {attempts} attempts for {sends} sends, {report:?}"
        );
        assert_eq!(report.failure().is_none(), report.is_stored());
        match report.failure() {
            None => assert!(report.shard_id().is_some() && report.sequence_number().is_some() && sends > 0),
            Some(Failure::Expired) => assert!(age + self.limits.waited >= ttl, "{id:?} expired after {age} ns"),
            Some(Failure::Throttled) => assert!(self.limits.config.fail_if_throttled),
            // While its time is not over, or the shard is known where it was stored, it can be decided better.
            Some(Failure::WrongShard) => {
                assert!(age + self.limits.waited >= ttl, "{id:?} was given up as misplaced after {age} ns");
                let landed = self.accepted[&id].landed.as_ref().expect("it was stored somewhere");
                assert!(!self.shards.knows(landed), "{id:?} is in {landed}, whose range is known");
                assert_eq!(report.stored(), Stored::Possibly);
            }
            Some(Failure::Service(code)) => {
                assert!(self.codes.contains(code.as_str()), "nobody ever said {code}");
                let innocent = code.as_str() == "ValidationException" && !self.accepted[&id].poisoned_company;
                assert!(!innocent, "{id:?} was not with a poisonous one");
            }
            Some(Failure::CountMismatch) => assert!(self.accepted[&id].count_mismatch),
            Some(Failure::Aborted) => assert!(self.aborted),
            Some(other) => panic!("{other} is new"),
        }
        if lost > 0 && !report.is_stored() {
            assert_eq!(report.stored(), Stored::Possibly, "{id:?} may have been stored");
        }
        let asked = self.limits.config.return_user_record_on_failure && !report.is_stored();
        assert_eq!(report.user_record().is_some(), asked);
        if let Some(user) = report.user_record() {
            assert!(user.partition_key == wanted.partition_key && user.data == wanted.data(), "another user record");
            assert!(user.explicit_hash_key.unwrap_or_else(|| md5::hash_key(user.partition_key)) == wanted.hash_key);
        }
        match report.failure() {
            None => self.stored += 1,
            Some(failure) => *self.failed.entry(failure.to_string()).or_default() += 1,
        }
    }

    /// Everything is reported and nothing is on its way any more: compares the reports with what consumers read.
    pub(crate) fn check_stream(&self, service: &Service) {
        assert_eq!(self.undecided.len(), 0, "user records without a report");
        let mut copies: HashMap<Id, Vec<Copy>> = HashMap::new();
        service.read(|user, copy| {
            let id = self.check_read(user);
            copies.entry(id).or_default().push(copy);
        });
        for (id, accepted) in &self.accepted {
            let seen = copies.get(id).map_or(&[][..], Vec::as_slice);
            let report = accepted.report.as_ref().expect("everything is reported");
            assert!(
                seen.len() <= 1 + accepted.lost as usize + usize::from(self.aborted),
                "{id:?} is there {} times: {seen:?}",
                seen.len()
            );
            match report.stored() {
                Stored::No => assert!(seen.is_empty(), "{id:?} was reported as not stored: {report:?}"),
                Stored::Yes => assert!(
                    seen.iter().any(|copy| Some(&copy.shard_id) == report.shard_id()
                        && Some(copy.place.1.to_string().as_str()) == report.sequence_number().map(|n| n.as_str())
                        && copy.sub_sequence_number == report.sub_sequence_number()),
                    "{id:?} is not where its report says: {seen:?} {report:?}"
                ),
                _ => {}
            }
        }
        if self.ordered() {
            self.check_order(&copies);
        }
    }

    fn check_read(&self, user: &DeaggregatedRecord<'_>) -> Id {
        let id = identify(&user.partition_key, user.data);
        let accepted = self.accepted.get(&id).unwrap_or_else(|| panic!("{id:?} was never put"));
        let wanted = &accepted.wanted;
        assert!(user.partition_key == wanted.partition_key && user.data == wanted.data(), "{id:?} is not what was put");
        let expected = if user.aggregated { wanted.explicit_hash_key } else { Some(wanted.hash_key) };
        assert_eq!(user.explicit_hash_key, expected, "{id:?} is under another hash key");
        id
    }

    /// The first copies of the stored user records of one partition key and hash key are in put order.
    fn check_order(&self, copies: &HashMap<Id, Vec<Copy>>) {
        let mut stored: Vec<(u64, &Accepted, &Copy)> = Vec::new();
        for (id, accepted) in &self.accepted {
            if accepted.report.as_ref().is_some_and(Report::is_stored) {
                let first = copies[id].iter().min_by_key(|copy| copy.place).expect("it was found before");
                stored.push((self.order[id], accepted, first));
            }
        }
        stored.sort_by_key(|(order, ..)| *order);
        let mut last: HashMap<(&str, HashKey), &Copy> = HashMap::new();
        for (order, accepted, copy) in stored {
            let place = |copy: &Copy| (copy.place, copy.sub_sequence_number);
            let key = (accepted.wanted.partition_key.as_str(), accepted.wanted.hash_key);
            if let Some(before) = last.insert(key, copy) {
                assert!(place(before) < place(copy), "{order} {:?}: {before:?} is before {copy:?}", accepted.wanted);
            }
        }
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
