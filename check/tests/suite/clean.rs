//! Goal: the checker accuses nobody who did nothing.
//!
//! Method: a thousand runs of a world that keeps every promise, each from another
//! seed; together they must have had everything that the checker has to excuse.

use hubbub_check::{
    Options, check,
    history::History,
    read::Read,
    report::{Counts, Report, Verdict},
};

use crate::{script, world::World};

/// The history that a world leaves.
pub(crate) fn history(world: &World) -> History {
    let mut read = Read::default();
    for (file, lines) in &world.files {
        read.add(file, &lines.join("\n"));
    }
    assert!(read.bad.is_empty(), "{:?}", read.bad);
    read.history
}

pub(crate) fn judge(history: &History) -> Report {
    check(history, &Options::default())
}

#[test]
fn a_thousand_clean_histories_are_clean() {
    let mut sum = Counts::default();
    for seed in 0..1_000 {
        let world = script::run(seed);
        let report = judge(&history(&world));
        assert_eq!(report.verdict(), Verdict::Clean, "seed {seed}\n{}", report.text());
        let counts = report.counts;
        sum.deliveries += counts.deliveries;
        sum.resumes += counts.resumes;
        sum.resets += counts.resets;
        sum.noops += counts.noops;
    }
    assert!(sum.deliveries > 50_000, "{sum:?}");
    assert!(sum.resumes > 1_000, "{sum:?}");
    assert!(sum.resets > 300, "{sum:?}");
    assert!(sum.noops > 5_000, "{sum:?}");
}
