//! What a seed stands for: the settings of the streams, what the caller does, and which faults happen how often. A fault is
//! absent from most seeds, so that the others can be told apart.

use std::time::Duration;

use fastrand::Rng;
use kinesis_producer::config::{Ordering, StreamConfig};

use super::ledger::nanos;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// One simulated process.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) streams: Vec<StreamPlan>,
    pub(crate) max_connections: usize,
    pub(crate) request_timeout: u64,
    pub(crate) budget_records: usize,
    pub(crate) budget_bytes: usize,
    /// Nanoseconds of puts and faults; then all faults end.
    pub(crate) active: u64,
    /// Times of day at which the process is frozen, and for how long.
    pub(crate) freezes: Vec<(u64, u64)>,
    /// A wake-up comes this much late, at most.
    pub(crate) wake_jitter: u64,
    /// A job of taking apart takes this long, at most.
    pub(crate) job_delay: u64,
    pub(crate) abort_at: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct StreamPlan {
    pub(crate) config: StreamConfig,
    pub(crate) shards: usize,
    /// The service's limits of a shard, of the real ones.
    pub(crate) shard_rate: f64,
    pub(crate) work: Work,
    pub(crate) faults: Faults,
    /// Times of reshardings.
    pub(crate) reshards: Vec<u64>,
    pub(crate) flushes: Vec<u64>,
    /// From when until when every PutRecords call fails with this code.
    pub(crate) outage: Option<(u64, u64, &'static str)>,
}

/// What the caller puts.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) records: usize,
    pub(crate) keys: usize,
    pub(crate) sizes: Sizes,
    pub(crate) explicit: f64,
    pub(crate) burst: usize,
    pub(crate) pause: u64,
    /// 1 to 10 MiB ones among the others.
    pub(crate) huge: usize,
    pub(crate) poisonous: f64,
    /// Puts without a hash key although one is needed.
    pub(crate) forgets_hash_key: f64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Sizes {
    Tiny,
    Small,
    NearAggregate,
    Mixed,
}

/// Probabilities, per call or per entry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) entry_throttled: f64,
    pub(crate) entry_internal: f64,
    /// Of the failed entries: stored all the same.
    pub(crate) stored_anyway: f64,
    pub call_500: f64,
    pub(crate) call_throttled: f64,
    pub(crate) call_connect: f64,
    pub(crate) call_reset: f64,
    pub(crate) answer_lost: f64,
    pub(crate) count_mismatch: f64,
    /// The request reaches the service only after its timeout was reported.
    pub(crate) late: f64,
    pub(crate) slow: f64,
    pub(crate) list_failed: f64,
    pub(crate) list_forbidden: f64,
    pub(crate) list_never: f64,
    pub(crate) list_slow: f64,
    pub(crate) list_lag: u64,
    pub(crate) list_inconsistent: f64,
    pub(crate) list_page: usize,
    pub(crate) list_shows_closed: bool,
    /// None of these at all.
    pub(crate) calm: bool,
}

impl Scenario {
    pub(crate) fn new(rng: &mut Rng) -> Scenario {
        let active = rng.u64(2..30) * SECOND;
        let streams = if rng.u8(0..4) == 0 { 2 } else { 1 };
        let mut plans: Vec<StreamPlan> = (0..streams).map(|_| StreamPlan::new(rng, active)).collect();
        if let [_, dead] = plans.as_mut_slice() {
            let code = ["ResourceNotFoundException", "AccessDeniedException", "ServiceUnavailable", "answer lost"];
            dead.outage = Some((0, u64::MAX, code[rng.usize(0..4)]));
        }
        let freezes = if rng.u8(0..5) == 0 {
            (0..rng.usize(1..3)).map(|_| (rng.u64(0..active), rng.u64(10..60) * SECOND)).collect()
        } else {
            Vec::new()
        };
        let mut scenario = Scenario {
            streams: plans,
            max_connections: [1, 2, 24][rng.usize(0..3)],
            request_timeout: [300, 1000, 6000][rng.usize(0..3)] * MS,
            budget_records: [20, 300, 1_000_000][rng.usize(0..3)],
            budget_bytes: [11 << 20, 12 << 20, 64 << 20][rng.usize(0..3)],
            active,
            freezes,
            wake_jitter: [0, MS, 20 * MS][rng.usize(0..3)],
            job_delay: [0, MS, 50 * MS, 400 * MS][rng.usize(0..4)],
            abort_at: (rng.u8(0..8) == 0).then(|| rng.u64(0..active + SECOND)),
        };
        if rng.u8(0..16) == 0 {
            scenario.idealise(rng);
        }
        scenario
    }

    /// Takes everything out of the world that could go wrong; the caller still wants more than the shards take.
    fn idealise(&mut self, rng: &mut Rng) {
        self.streams.truncate(1);
        self.freezes.clear();
        self.abort_at = None;
        self.max_connections = 24;
        for plan in &mut self.streams {
            let rate = [20, 100][rng.usize(0..2)];
            let ttl = plan.config.record_ttl.max(Duration::from_secs(5));
            // A shard takes some of the largest aggregates within record_ttl.
            let aggregate = plan.config.aggregation_max_size.min(50 << 10);
            plan.config = plan.config.clone().rate_limit(rate).record_ttl(ttl).aggregation_max_size(aggregate);
            plan.shard_rate = 1.0;
            plan.reshards.clear();
            plan.outage = None;
            plan.work = Work { huge: 0, poisonous: 0.0, ..plan.work.clone() };
            // Without permission for ListShards it works as well.
            let list_forbidden = f64::from(rng.u8(0..2));
            plan.faults = Faults { calm: true, list_forbidden, list_page: 1000, ..Faults::default() };
        }
    }
}

impl Scenario {
    /// Whether nothing but the caller's own haste can go wrong with a stream.
    pub(crate) fn is_ideal(&self, number: usize) -> bool {
        let plan = &self.streams[number];
        let limits = plan.shard_rate == 1.0 && plan.config.rate_limit <= 100 && plan.work.huge == 0;
        let quiet = self.freezes.is_empty() && self.abort_at.is_none() && plan.reshards.is_empty();
        let lone = self.streams.len() == 1 && self.max_connections > 2 && plan.work.poisonous == 0.0;
        let patient = nanos(plan.config.record_ttl) >= 5 * SECOND;
        // Without a map each user record may become a Kinesis record of its own, and with order kept requests go one at a time.
        let one_by_one = plan.config.ordering == Ordering::Shard && plan.config.collection_max_count == 1;
        let crumbs = plan.faults.list_forbidden > 0.0 && one_by_one;
        limits && quiet && lone && patient && !crumbs && plan.outage.is_none() && plan.faults.calm
    }
}

impl StreamPlan {
    fn new(rng: &mut Rng, active: u64) -> StreamPlan {
        let config = config(rng);
        let mut outage = None;
        if rng.u8(0..12) == 0 {
            let start = rng.u64(0..active);
            let code = ["ServiceUnavailable", "ResourceNotFoundException", "KMSDisabledException", "answer lost"];
            outage = Some((start, start + rng.u64(0..20) * SECOND, code[rng.usize(0..4)]));
        }
        let reshards = if rng.bool() {
            let first = rng.u64(0..active);
            let several = rng.usize(1..6);
            (0..several).map(|_| if rng.bool() { first + rng.u64(0..SECOND) } else { rng.u64(0..active) }).collect()
        } else {
            Vec::new()
        };
        let flushes = (0..rng.usize(0..4)).map(|_| rng.u64(0..active)).collect();
        let mut work = Work::new(rng, active);
        // Their aggregates would be larger than anything that a request may hold.
        work.huge = if config.max_user_record_size > 1 << 20 { work.huge } else { 0 };
        StreamPlan {
            config,
            shards: [1, 1, 2, 3, 8, 40][rng.usize(0..6)],
            shard_rate: [1.0, 1.0, 0.1, 0.02][rng.usize(0..4)],
            work,
            faults: Faults::new(rng),
            reshards,
            flushes,
            outage,
        }
    }
}

fn config(rng: &mut Rng) -> StreamConfig {
    let huge = rng.u8(0..10) == 0;
    StreamConfig::default()
        .ordering(if rng.bool() { Ordering::Shard } else { Ordering::None })
        .aggregation_enabled(rng.u8(0..5) != 0)
        .aggregation_max_count([1, 2, 10, u64::MAX, u64::MAX][rng.usize(0..5)])
        .aggregation_max_size([64, 300, 2_000, 50 << 10, 50 << 10, 1 << 20][rng.usize(0..6)])
        .collection_max_count([1, 3, 500, 500][rng.usize(0..4)])
        .collection_max_size([52_224, 300_000, 5 << 20, 10 << 20][rng.usize(0..4)])
        .max_user_record_size(if huge { 10 << 20 } else { 1 << 20 })
        .record_max_buffered_time(Duration::from_millis([0, 5, 100, 100, 2_000, 60_000][rng.usize(0..6)]))
        .record_ttl(Duration::from_millis([100, 1_000, 5_000, 30_000, 30_000, 120_000][rng.usize(0..6)]))
        .rate_limit([1, 20, 100, 150, 150, 1_000][rng.usize(0..6)])
        .fail_if_throttled(rng.u8(0..10) == 0)
        .return_user_record_on_failure(rng.u8(0..3) == 0)
        .shard_map_refresh_interval(Duration::from_secs([1, 10, 60][rng.usize(0..3)]))
}

impl Work {
    fn new(rng: &mut Rng, active: u64) -> Work {
        let records = [30, 200, 800, 2_500][rng.usize(0..4)];
        let burst = [1, 5, 50, 500][rng.usize(0..4)];
        let bursts = (records / burst).max(1) as u64;
        Work {
            records,
            keys: [1, 3, 100, usize::MAX][rng.usize(0..4)],
            sizes: [Sizes::Tiny, Sizes::Small, Sizes::NearAggregate, Sizes::Mixed][rng.usize(0..4)],
            explicit: [0.0, 0.0, 0.2, 1.0][rng.usize(0..4)],
            burst,
            pause: active / bursts,
            huge: rng.usize(0..4),
            poisonous: if rng.u8(0..8) == 0 { 0.02 } else { 0.0 },
            forgets_hash_key: if rng.bool() { 0.1 } else { 0.0 },
        }
    }
}

impl Faults {
    fn new(rng: &mut Rng) -> Faults {
        let calm = rng.u8(0..8) == 0;
        let mut some = |most: f64| {
            let (active, much) = (rng.u8(0..3) == 0, rng.f64());
            if active && !calm { most * much } else { 0.0 }
        };
        Faults {
            entry_throttled: some(0.3),
            entry_internal: some(0.2),
            stored_anyway: some(1.0),
            call_500: some(0.3),
            call_throttled: some(0.2),
            call_connect: some(0.3),
            call_reset: some(0.2),
            answer_lost: some(0.3),
            count_mismatch: some(0.1),
            late: some(0.3),
            slow: some(0.5),
            list_failed: some(0.5),
            list_forbidden: some(0.5),
            list_never: some(0.2),
            list_slow: some(0.5),
            list_lag: (some(5.0) * SECOND as f64) as u64,
            list_inconsistent: some(0.5),
            list_page: [1, 7, 1000, 1000][rng.usize(0..4)],
            list_shows_closed: rng.bool(),
            calm,
        }
    }
}
