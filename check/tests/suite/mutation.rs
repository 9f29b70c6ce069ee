//! Goal: whatever is broken in a history, the checker finds it, and says what it is.
//!
//! Method: clean histories, each broken at one place at a time. A place is taken only
//! where the promise is surely broken, and no place is taken twice. Ten thousand
//! mutants of each kind, on two threads.

use hubbub_check::report::{Invariant, Report};

use crate::{
    base::Base,
    chance::Chance,
    clean::judge,
    kinds::{self, Kind},
    kinds_more as more,
};

const MUTANTS: usize = 10_000;
const THREADS: usize = 2;
/// So that no history stands for too many mutants.
const OF_ONE_HISTORY: usize = 24;

static KINDS: [Kind; 21] = [
    kinds::DROPPED,
    kinds::DOUBLED,
    kinds::SWAPPED,
    kinds::RETARGETED,
    kinds::LEAKED,
    kinds::AFTER_REMOVAL,
    kinds::WRONG_TENANT,
    kinds::RENUMBERED,
    kinds::TAIL_LOST,
    kinds::SILENT_GAP,
    kinds::WITHHELD,
    kinds::GAP_ACROSS_RESUME,
    kinds::PUBLISHED_TWICE,
    kinds::TWICE_IN_LOG,
    more::WRONG_RESUME,
    more::CAUSELESS_RESET,
    more::SURVIVED,
    more::REPLAYED,
    more::PRESENCE_LIE,
    more::AFTER_REVOCATION,
    more::REFUSED,
];

/// Breaks histories of every second seed until there are enough mutants of each kind.
fn break_histories(thread: usize) -> [usize; KINDS.len()] {
    let mut made = [0; KINDS.len()];
    let wanted = MUTANTS / THREADS;
    let mut seed = thread as u64;
    while made.iter().any(|count| *count < wanted) {
        assert!(seed < 40_000, "some kind finds no place: {made:?}");
        let mut base = Base::new(seed);
        let mut chance = Chance::new(seed + 1_000_000);
        for (kind, count) in KINDS.iter().zip(&mut made) {
            let mut sites = (kind.sites)(&base);
            for _ in 0..OF_ONE_HISTORY.min(wanted - *count) {
                let Some(site) = chance.take(&mut sites) else { break };
                let (writer, lines) = (kind.apply)(&base, site, &mut chance);
                let whole = std::mem::replace(&mut base.history.writers[writer].lines, lines);
                let report = judge(&base.history);
                base.history.writers[writer].lines = whole;
                assert_found(kind, &report, &format!("seed {seed}, site {site:?}"));
                *count += 1;
            }
        }
        seed += THREADS as u64;
    }
    made
}

#[track_caller]
fn assert_found(kind: &Kind, report: &Report, place: &str) {
    let is_found = kind.found_by.iter().any(|invariant| report.count(*invariant) > 0);
    assert!(is_found, "{}: not found, {place}\n{}", kind.name, report.text());
    // What is renumbered must be found by more than its numbers.
    let is_plain = kind.is_renumbered && report.count(Invariant::Seq) > 0;
    assert!(!is_plain, "{}: badly renumbered, {place}\n{}", kind.name, report.text());
}

#[test]
fn every_mutant_of_every_kind_is_found() {
    let counts = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|thread| scope.spawn(move || break_histories(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    for (index, kind) in KINDS.iter().enumerate() {
        let made: usize = counts.iter().map(|counts| counts[index]).sum();
        assert_eq!(made, MUTANTS, "{}", kind.name);
    }
}
