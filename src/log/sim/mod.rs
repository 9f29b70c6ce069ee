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
//! Any seeds by hand: write `from..to` into `target/sim-seeds`, or `from..to Part` to leave
//! a rule out, then run `cargo test --lib sim::seeds_by_hand -- --nocapture`. A single
//! seed tells its story.

#![expect(
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    reason = "numbers of a simulation are small, and its matches need not stay total"
)]

mod answers;
mod calls;
mod chance;
mod client;
mod faults;
mod healing;
mod history;
mod node;
mod redis;
mod servers;
mod tally;
mod world;

use self::{
    redis::{Part, Profile, Rules, Scheme},
    tally::{Case, Tally},
    world::{Violation, run, tell},
};

/// Rules, each with a seed that shows what it is for.
const PARTS: [(Part, u64); 6] = [
    (Part::ReplicatedClaims, 395),
    (Part::WholeFence, 3384),
    (Part::LateReports, 1976),
    (Part::Vouching, 1),
    (Part::IdsOfThisLife, 1009),
    (Part::HoldingBack, 17),
];

/// Seeds of each run of the tests.
const SEEDS: u64 = 2_000;

/// The rules of a seed: both profiles in turn.
fn rules(seed: u64) -> Rules {
    let profile = if seed.is_multiple_of(2) { Profile::Log } else { Profile::Ha };
    Rules { scheme: Scheme::Proper, profile, without: None }
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

/// Goal: what was broken once stays whole.
///
/// Method: each line of the file begins with a seed.
#[test]
fn seeds_that_broke_something_hold() {
    let lines = include_str!("regressions.txt").lines();
    let seeds = lines.filter_map(|line| line.split_once(' ')?.0.parse().ok());
    let broken: Vec<(u64, Violation)> = seeds
        .filter_map(|seed| run(seed, rules(seed)).violation.map(|violation| (seed, violation)))
        .collect();
    assert_holds(&broken);
}

/// The first seed, from this one on, by which these rules break the promise `rule`
/// (empty: any).
fn first_broken(rule: &str, from: u64, rules: impl Fn(u64) -> Rules) -> Option<u64> {
    let breaks = |seed: &u64| {
        let violation = run(*seed, rules(*seed)).violation;
        violation.is_some_and(|violation| violation.rule == rule || rule.is_empty())
    };
    (from..from + SEEDS).find(breaks)
}

/// Goal: a suite that can't fail proves nothing.
///
/// Method: schemes that are known to be wrong.
#[test]
fn schemes_that_are_wrong_are_found_out() {
    for (scheme, profile, promise) in [
        (Scheme::Naive, Profile::Log, "S1"),
        (Scheme::Naive, Profile::Log, "S2"),
        (Scheme::Naive, Profile::Ha, "S1"),
        (Scheme::TagsOnly, Profile::Log, "S2"),
    ] {
        let found = first_broken(promise, 0, |_| Rules { scheme, profile, without: None });
        assert!(found.is_some(), "{scheme:?} with {profile:?} must break {promise}");
    }
}

/// Goal: rules of the scripts and the driver are there for something.
///
/// Method: leave one out until a promise breaks, beginning with a seed that is known to
/// show it. The rules that are not in this list guard against what fewer seeds meet;
/// they can be left out by hand.
#[test]
fn a_rule_that_is_left_out_is_missed() {
    for (part, from) in PARTS {
        let found = first_broken("", from, |seed| Rules { without: Some(part), ..rules(seed) });
        assert!(found.is_some(), "nothing breaks without {part:?}");
        println!("{part:?} is missed by {found:?}");
    }
}

/// Goal: any number of seeds, and the story of one, by hand: see the head of this file.
#[test]
fn seeds_by_hand() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/sim-seeds");
    let Ok(text) = std::fs::read_to_string(path) else { return };
    let (range, part) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let (from, to) = range.split_once("..").expect("from..to");
    let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
    let without = Part::ALL.iter().copied().find(|one| format!("{one:?}") == part);
    let rules = |seed| Rules { without, ..rules(seed) };
    if from + 1 == to {
        let outcome = tell(from, rules(from));
        println!("{}\n{:?}", outcome.story.join("\n"), outcome.violation);
        return;
    }
    let (tally, broken) = run_all(from..to, rules);
    println!("{tally:?}");
    assert_holds(&broken);
}
