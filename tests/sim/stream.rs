//! One stream of the simulated process: its pipeline, its service, its ledger, and what the caller still wants to put.

use std::collections::{BTreeMap, HashSet, VecDeque};

use fastrand::Rng;
use kinesis_producer::config::Ordering;
use kinesis_producer::core::outcome::{EntryOutcome, PutRecordsOutcome};
use kinesis_producer::core::{Hashed, Intake, Pipeline, Refusal, RequestId, key_digest};
use kinesis_producer::metrics::StreamMetrics;
use kinesis_producer::time::Time;
use kinesis_producer::{HashKey, UserRecord};

use super::ledger::{Id, Ledger, Limits, Wanted};
use super::pace::{Debt, Pace};
use super::scenario::{MS, Scenario, Sizes, StreamPlan};
use super::service::{Service, WireEntry};
use super::tally::Tally;

/// Bytes that a user record takes in an aggregate beside its key and data, at most.
const AGGREGATION_OVERHEAD: usize = 96;
/// Seconds until the answer of a calm service, at most.
const LONGEST_ANSWER: f64 = 0.04;

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) number: usize,
    pub(crate) plan: StreamPlan,
    pub(crate) pipeline: Pipeline,
    pub(crate) service: Service,
    pub(crate) ledger: Ledger,
    /// Puts that wait for the budget.
    pub(crate) pending: VecDeque<Wanted>,
    /// Puts that wait for room in a lane.
    pub(crate) backlogged: BTreeMap<u32, Vec<Wanted>>,
    pub(crate) made: usize,
    /// What is on the wire, and since when.
    pub(crate) in_flight: BTreeMap<RequestId, (u64, Vec<WireEntry>)>,
    /// The moment that it is to be woken for.
    pub(crate) wake_for: u64,
    /// The number of the alarm that counts; earlier ones are stale.
    pub(crate) alarm: u64,
    pub(crate) timeouts: u64,
    /// Wake-ups in the present second.
    pub(crate) wakes: (u64, usize),
    pub(crate) lists: u64,
    /// A call of ListShards was swallowed.
    pub(crate) list_dead: bool,
    pub(crate) pace: Pace,
    pub(crate) debt: Debt,
    pub(crate) metrics: StreamMetrics,
    pub(crate) tally: Tally,
    /// A call failed as a whole, and none has succeeded since.
    pub(crate) backed_off: bool,
    pub(crate) puts_huge: bool,
    /// Which way in the next one takes: a generator of its own, so that it changes nothing else.
    ways_in: Rng,
    /// Put while nothing was known of the shards: user records and their bytes.
    held: (usize, usize),
}

impl Stream {
    /// Its callers go in by up to `intakes` ways.
    pub(crate) fn new(number: usize, scenario: &Scenario, intakes: usize, rng: &mut Rng) -> Stream {
        let plan = scenario.streams[number].clone();
        let limits = Limits {
            config: plan.config.clone(),
            request_timeout: scenario.request_timeout,
            slack: 10 * MS + 2 * scenario.wake_jitter + 4 * scenario.job_delay,
            waited: if intakes > 1 { MS } else { 0 },
        };
        let pace = Pace::new(plan.config.rate_limit, plan.reshards.is_empty() && plan.work.poisonous == 0.0);
        Stream {
            number,
            pipeline: Pipeline::new(plan.config.clone(), intakes, scenario.budget_bytes, rng.u64(..), Time::ZERO),
            service: Service::new(plan.shards, plan.shard_rate),
            ledger: Ledger::new(limits),
            debt: Debt::new(plan.config.rate_limit),
            metrics: StreamMetrics::new("sim", Time::ZERO),
            tally: Tally::default(),
            plan,
            pending: VecDeque::new(),
            backlogged: BTreeMap::new(),
            made: 0,
            in_flight: BTreeMap::new(),
            wake_for: u64::MAX,
            alarm: 0,
            timeouts: 0,
            wakes: (0, 0),
            lists: 0,
            list_dead: false,
            pace,
            backed_off: false,
            puts_huge: true,
            ways_in: Rng::with_seed(number as u64),
            held: (0, 0),
        }
    }

    /// The caller thinks of another burst.
    pub(crate) fn want_burst(&mut self, rng: &mut Rng) {
        let burst = rng.usize(1..=self.plan.work.burst * 2).min(self.plan.work.records.saturating_sub(self.made));
        for _ in 0..burst {
            let wanted = self.want(rng);
            self.pending.push_back(wanted);
        }
    }

    pub(crate) fn want(&mut self, rng: &mut Rng) -> Wanted {
        let work = &self.plan.work;
        let number = self.made;
        self.made += 1;
        let key = if work.keys == usize::MAX { number } else { rng.usize(0..work.keys) };
        let key = if key % 7 == 3 { format!("{key:0256}") } else { format!("key-{key}") };
        let poisonous = rng.f64() < work.poisonous;
        let most = self.plan.config.aggregation_max_size.min(1 << 20);
        let mut len = match work.sizes {
            Sizes::Tiny => rng.usize(0..8),
            Sizes::Small => 100,
            Sizes::NearAggregate => (most + 40).saturating_sub(rng.usize(0..200)).min(20_000),
            Sizes::Mixed => [rng.usize(0..3), rng.usize(0..100), rng.usize(0..3_000)][rng.usize(0..3)],
        };
        if work.huge > 0 && self.puts_huge && rng.usize(0..work.records) < work.huge {
            len = rng.usize(1 << 20..=(10 << 20) - 256);
        }
        let explicit = (rng.f64() < work.explicit).then(|| match rng.u8(0..4) {
            0 => HashKey(0),
            1 => HashKey(u128::MAX),
            2 => HashKey(rng.u128(..)),
            _ => HashKey(u128::MAX / 3),
        });
        Wanted::new(self.number, number, key, explicit, (len, poisonous && len >= 6))
    }

    /// Puts `wanted`, if the pipeline takes it.
    pub(crate) fn put(&mut self, wanted: Wanted, rng: &mut Rng, now: u64, frozen: u64) -> bool {
        let data = wanted.data();
        let mut record = UserRecord::new(&wanted.partition_key, &data);
        record.explicit_hash_key = wanted.explicit_hash_key;
        let hash = self.pipeline.needs_hash_keys() && rng.f64() >= self.plan.work.forgets_hash_key || rng.u8(0..8) == 0;
        let hash_key = hash.then_some(wanted.hash_key);
        let mut hashed = Hashed { record, key_digest: key_digest(&wanted.partition_key), hash_key };
        // Several callers wait for one another, and read the clock before that.
        let waited = self.ways_in.u64(0..=self.ledger.waited());
        let time = Time::from_nanos(now.saturating_sub(waited));
        self.pipeline.take_stirred();
        let before = (self.pipeline.poll_timeout(), self.pipeline.transmit_due());
        let intake = self.ways_in.usize(0..self.pipeline.intakes());
        // The others are lent while one is used.
        let others: Vec<usize> = (0..self.pipeline.intakes()).filter(|other| *other != intake).collect();
        let mut lent: Vec<Intake> = others.iter().map(|_| Intake::default()).collect();
        others.iter().zip(&mut lent).for_each(|(other, lent)| self.pipeline.swap_intake(*other, lent));
        let mut result = self.pipeline.put(intake, &hashed, time);
        if result == Err(Refusal::NeedsHashKey) {
            assert!(self.pipeline.needs_hash_keys() && hashed.hash_key.is_none());
            hashed.hash_key = Some(wanted.hash_key);
            result = self.pipeline.put(intake, &hashed, time);
        }
        others.iter().zip(&mut lent).for_each(|(other, lent)| self.pipeline.swap_intake(*other, lent));
        let after = (self.pipeline.poll_timeout(), self.pipeline.transmit_due());
        let earlier = after.0 < before.0 || after.1 < before.1;
        assert!(
            self.pipeline.take_stirred() || !earlier,
            "a put moved a deadline and says nothing: {after:?}, {before:?}"
        );
        match result {
            Ok(token) => {
                // What joins others was admitted with them.
                let owed = self.pace.owed(self.service.shard_of(wanted.hash_key), now);
                let third = self.plan.config.record_ttl.as_secs_f64() / 3.0;
                let joins = self.ledger.undecided() > 0;
                assert!(joins || owed <= third + 1e-6, "taken by a shard that must pause for {owed} s");
                if self.pace.started.is_none() && self.pace.possible {
                    self.held = (self.held.0 + 1, self.held.1 + wanted.bytes() + AGGREGATION_OVERHEAD);
                }
                self.ledger.accept(wanted, token, now, frozen);
                self.tally.accepted();
                self.metrics.received(1, time);
            }
            Err(Refusal::Backlog(lane)) => self.backlogged.entry(lane).or_default().push(wanted),
            Err(Refusal::NeedsHashKey) => panic!("it was there"),
        }
        let received = self.pipeline.counters().user_records_received;
        assert_eq!(received, self.ledger.accepted() as u64, "what was refused left a trace");
        result.is_ok()
    }

    /// An outcome arrives.
    pub(crate) fn answered(&mut self, entries: &[WireEntry], outcome: &PutRecordsOutcome, now: u64, frozen: u64) {
        self.ledger.answered(entries, outcome, now, frozen);
        let throttled =
            |entry: &EntryOutcome| matches!(entry, EntryOutcome::Failed { code, .. } if is_throttling(code.as_str()));
        if outcome.as_ref().is_ok_and(|entries| entries.iter().any(throttled)) {
            self.debt.throttled(now);
        }
        match outcome {
            Ok(_) => self.backed_off = false,
            Err(failure) if is_permanent(failure.code.as_str()) || failure.code.as_str() == "ValidationException" => {}
            Err(_) => self.backed_off = true,
        }
    }

    /// The user records that `outcome` decides, whatever else happened to them.
    pub(crate) fn decided_by(&self, entries: &[WireEntry], outcome: &PutRecordsOutcome) -> Vec<Id> {
        let mut decided: Vec<&WireEntry> = Vec::new();
        match outcome {
            Err(failure) if is_permanent(failure.code.as_str()) => {
                let on_wire: HashSet<Id> =
                    self.in_flight.values().flat_map(|(_, entries)| entries).flat_map(|e| e.ids.clone()).collect();
                return self.ledger.undecided_ids().filter(|id| !on_wire.contains(id)).collect();
            }
            Err(_) => {}
            Ok(outcomes) if outcomes.len() != entries.len() => decided.extend(entries),
            Ok(outcomes) => {
                for (entry, outcome) in entries.iter().zip(outcomes) {
                    let plain = entry.ids.len() == 1;
                    match outcome {
                        EntryOutcome::Stored { .. } if plain => decided.push(entry),
                        EntryOutcome::Failed { code, .. }
                            if is_throttling(code.as_str()) && self.plan.config.fail_if_throttled =>
                        {
                            decided.push(entry);
                        }
                        _ => {}
                    }
                }
            }
        }
        decided.into_iter().flat_map(|entry| entry.ids.iter().copied()).collect()
    }

    /// Until when puts may wait for room although nothing is undecided.
    pub(crate) fn admits(&self) -> u64 {
        self.debt.admits(self.plan.config.record_ttl)
    }

    /// Whether the first puts were more than admission lets one shard have: while its pace is not known nothing is refused.
    pub(crate) fn held_too_much(&self) -> bool {
        let third = self.plan.config.record_ttl.as_secs_f64() / 3.0;
        // With order kept, each may have to wait for the answer to the one before.
        let ordered = self.plan.config.ordering == Ordering::Shard;
        let answers = if ordered { self.held.0 as f64 * LONGEST_ANSWER } else { 0.0 };
        self.pace.seconds_for(self.held.0, self.held.1).max(answers) > third
    }

    /// 10 MiB leave a slow shard in debt for many minutes.
    pub(crate) fn is_slow(&self) -> bool {
        self.plan.work.huge > 0 && (self.plan.config.rate_limit < 100 || self.plan.shard_rate < 1.0)
    }

    /// What must hold whenever all outputs are drained.
    pub(crate) fn check(&self) {
        for (flush, before) in &self.ledger.flushes {
            let (is, should) = (self.pipeline.is_flushed(*flush), self.ledger.is_flushed(*before));
            assert_eq!(is, should, "flush {flush} of stream {}", self.number);
        }
        for lane in self.backlogged.keys() {
            assert!(self.pipeline.is_refusing(*lane), "nobody calls those who wait for room in lane {lane}");
        }
        if self.ledger.undecided() == 0 && !self.backlogged.is_empty() {
            let (next, admits) = (self.pipeline.poll_timeout().as_nanos(), self.admits());
            assert!(
                next <= admits,
                "puts wait for nothing until {next}, their shards' debts allow them from {admits} on"
            );
        }
    }
}

fn is_throttling(code: &str) -> bool {
    code == "ProvisionedThroughputExceededException"
}

fn is_permanent(code: &str) -> bool {
    matches!(code, "ResourceNotFoundException" | "AccessDeniedException" | "KMSDisabledException")
}
