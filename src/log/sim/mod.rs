//! The cluster in one thread: the real tail, ring, reader and walk, against servers that
//! fail in every way that is known of them.
//!
//! A seed decides what happens next, on a clock of its own. Faults come and go for some
//! hundred steps, then everything heals. Each delivery is held against the history of
//! all records that ever were.
//!
//! Invariants:
//! - one seed is one run: nothing depends on the machine, the clock or a map's order;
//! - what a seed once broke is tried for ever (`regressions.txt`);
//! - a scheme that is known to be wrong is found to be wrong;
//! - a case that no seed meets fails the test: what never happens is not tested.
//!
//! Any seeds by hand: write `from..to` into `target/sim-seeds`, then run
//! `cargo test --lib sim::seeds_by_hand`.

#![expect(clippy::cast_possible_truncation, reason = "numbers of a simulation are small")]

mod calls;
mod chance;
mod client;
mod history;
mod node;
mod redis;
mod servers;
mod tally;
mod world;

use self::{
    redis::{Profile, Rules, Scheme},
    tally::{Case, Tally},
    world::{Violation, run, tell},
};

/// Seeds of each run of the tests.
const SEEDS: u64 = 2_000;

/// The rules of a seed: both profiles in turn.
fn rules(seed: u64) -> Rules {
    let profile = if seed.is_multiple_of(2) { Profile::Log } else { Profile::Ha };
    Rules { scheme: Scheme::Proper, profile, claims_wait: true }
}

/// Runs these seeds on all processors, and says what they met and what they broke.
fn run_all(
    seeds: std::ops::Range<u64>,
    rules: impl Fn(u64) -> Rules + Sync,
) -> (Tally, Vec<(u64, Violation)>) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let some = |thread: u64| {
        let (mut tally, mut broken) = (Tally::default(), Vec::new());
        for seed in seeds.clone().filter(|seed| seed % threads == thread) {
            let outcome = run(seed, rules(seed));
            tally.add(&outcome.tally);
            broken.extend(outcome.violation.map(|violation| (seed, violation)));
        }
        (tally, broken)
    };
    let (mut tally, mut broken) = (Tally::default(), Vec::new());
    std::thread::scope(|scope| {
        let some = &some;
        let running: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || some(thread))).collect();
        for part in running {
            let (met, violations) = part.join().unwrap();
            tally.add(&met);
            broken.extend(violations);
        }
    });
    broken.sort_by_key(|(seed, _)| *seed);
    (tally, broken)
}

#[track_caller]
fn assert_holds(broken: &[(u64, Violation)]) {
    let lines =
        broken.iter().map(|(seed, Violation { rule, text })| format!("{seed} {rule}: {text}"));
    let lines: Vec<_> = lines.take(20).collect();
    assert!(broken.is_empty(), "{} seeds broke a promise:\n{}", broken.len(), lines.join("\n"));
}

/// Goal: no schedule of faults breaks a promise, and every case is met.
#[test]
fn every_promise_holds_under_every_seed() {
    let (tally, broken) = run_all(0..SEEDS, rules);
    println!("{tally:?}");
    assert_holds(&broken);
    let missed: Vec<_> = Case::ALL.iter().filter(|case| tally.count(**case) == 0).collect();
    assert!(missed.is_empty(), "no seed met {missed:?}");
}

/// Goal: any number of seeds, and the story of one, by hand: see the head of this file.
#[test]
fn seeds_by_hand() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/sim-seeds");
    let Ok(text) = std::fs::read_to_string(path) else { return };
    let (from, to) = text.trim().split_once("..").expect("from..to");
    let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
    if from + 1 == to {
        let outcome = tell(from, rules(from));
        println!("{}\n{:?}", outcome.story.join("\n"), outcome.violation);
        return;
    }
    let (tally, broken) = run_all(from..to, rules);
    println!("{tally:?}");
    assert_holds(&broken);
}

fn controls(
    scheme: Scheme,
    profile: Profile,
    claims_wait: bool,
) -> std::collections::BTreeMap<&'static str, usize> {
    let (_, broken) = run_all(0..SEEDS, |_| Rules { scheme, profile, claims_wait });
    let mut rules = std::collections::BTreeMap::new();
    for (_, violation) in &broken {
        *rules.entry(violation.rule).or_default() += 1;
    }
    println!("{scheme:?} {profile:?} {claims_wait}: {rules:?}");
    rules
}

/// Goal: a suite that can't fail proves nothing.
///
/// Method: schemes that are known to be wrong.
#[test]
fn schemes_that_are_wrong_are_found_out() {
    let naive = controls(Scheme::Naive, Profile::Log, true);
    assert!(naive.contains_key("S1") && naive.contains_key("S2"), "{naive:?}");
    let naive = controls(Scheme::Naive, Profile::Ha, true);
    assert!(naive.contains_key("S1"), "{naive:?}");
    let tags = controls(Scheme::TagsOnly, Profile::Log, true);
    assert!(tags.contains_key("S2"), "{tags:?}");
    let unsure = controls(Scheme::Proper, Profile::Ha, false);
    assert!(unsure.contains_key("S1") || unsure.contains_key("S6"), "{unsure:?}");
}
