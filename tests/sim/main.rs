//! The deterministic simulation: streams of the core against a model of the service, the network, the caller and time. A seed
//! makes everything but the number of ways in; nothing waits. `SIM_SEEDS=100000 cargo test --test sim` runs more seeds,
//! `SIM_SEED=7 SIM_INTAKES=2` one with its trace.

mod events;
mod ledger;
mod network;
mod pace;
mod scenario;
mod service;
mod shards;
mod stream;
mod tally;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use world::World;

/// Seeds in a normal run.
const SEEDS: u64 = 1_000;
const MOST_INTAKES: usize = 4;

/// Seeds that once failed, and what they found.
const PINNED: &[(u64, &str)] = &[
    (17, "a due request left lanes out after a limited one, and stayed due for ever"),
    (106, "with order kept, an unpredicted hash key was on the wire twice when a request was full"),
    (45, "with order kept, a job that came back early overtook an earlier one"),
    (47, "when the first map came, queued unpredicted Kinesis records overtook retried ones"),
    (198, "user records stored with a misplaced aggregate reported places of the part, not of the aggregate"),
    (96, "a misplaced aggregate was reported up to the buffered time too late"),
    (239, "halves of a refused request were sent after they had expired"),
    (405, "a young part of an old aggregate kept older Kinesis records from expiring"),
    (1852, "user records of overlapping aggregates were put together out of their order of arrival"),
    (6633, "an arrival lost another microsecond each time that its aggregate was taken apart"),
    (39, "an aggregate of one user record was taken for misplaced"),
    (29963, "the rest of an aggregate whose front had expired went behind others of the same arrival"),
    (
        118_675,
        "with order kept, a retried unpredicted Kinesis record came back among what had been taken apart without it",
    ),
    (26932, "without a shard map, keys that wait for one another's answers were not held back, and expired"),
    (31584, "the same, when what is being taken apart was not counted"),
];

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}: {text:?}: a number is expected")))
}

/// Whether everything held.
fn holds(seed: u64, intakes: usize) -> bool {
    let run = || {
        let twice = seed.is_multiple_of(16);
        let first = World::new(seed, intakes, false, twice).run();
        if twice {
            assert_eq!(first, World::new(seed, intakes, false, true).run(), "the same seed gave another trace");
        }
    };
    catch_unwind(AssertUnwindSafe(run)).is_ok()
}

#[test]
fn whatever_happens_every_user_record_gets_one_true_report() {
    if let Some(seed) = number("SIM_SEED") {
        World::new(seed, number("SIM_INTAKES").unwrap_or(1) as usize, true, false).run();
        return;
    }
    let seeds = number("SIM_SEEDS").unwrap_or(SEEDS);
    // Those that once failed go by one way in, as they did then, and by several.
    let pinned = PINNED.iter().flat_map(|(seed, _)| [(*seed, 1), (*seed, MOST_INTAKES)]);
    let others = (0..seeds).map(|seed| (seed, 1 + seed as usize % MOST_INTAKES));
    let runs: Vec<(u64, usize)> = pinned.chain(others).collect();
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, |threads| threads.get()) {
            scope.spawn(|| {
                loop {
                    let Some(&(seed, intakes)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                    if !holds(seed, intakes) {
                        let again = format!("SIM_SEED={seed} SIM_INTAKES={intakes}");
                        eprintln!("seed {seed} failed; again: {again} cargo test --test sim -- --nocapture");
                        failed.lock().expect("nobody panics with it").push((seed, intakes));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().expect("nobody panics with it");
    failed.sort_unstable();
    assert!(failed.is_empty(), "{} seeds failed: {failed:?}", failed.len());
}
