//! The tail step by step.
//!
//! Goal: every rule of the tail, and that nonsense is never applied.
//!
//! Method: rows of (moment, input, what has to be done). The record at offset `o` has
//! the tag `10 o`; a course begins at offset 10 of generation `5.a`.

use std::sync::Arc;

mod holding;

use super::{Course, Effect, Input, Range, Request, Verdict, Vouched, trail::RECORDS_MAX};
use crate::model::{
    Body, Generation, Position, Record, Renderings, Revocation, RevocationScope, Tag,
};

const NOW: u64 = 1_000_000;

fn generation(text: &str) -> Generation {
    Generation::new(text)
}

fn place(name: &str, offset: u64) -> Position {
    Position { generation: generation(name), offset, tag: Tag(offset * 10) }
}

fn linked(previous: u64, offset: u64, tag: u64) -> Arc<Record> {
    let revocation = Revocation { scope: RevocationScope::Everyone, at_ms: 0 };
    Arc::new(Record {
        position: Position { generation: generation("5.a"), offset, tag: Tag(tag) },
        previous_tag: Tag(previous),
        accepted_at_us: 0,
        body: Body::Revocation(revocation),
        renderings: Renderings::default(),
        kept: None,
    })
}

fn record(offset: u64) -> Arc<Record> {
    linked((offset - 1) * 10, offset, offset * 10)
}

fn records(offsets: &[u64]) -> Vec<Arc<Record>> {
    offsets.iter().map(|offset| record(*offset)).collect()
}

fn frame(name: &str, offsets: &[u64]) -> Input {
    Input::Frame { generation: generation(name), records: records(offsets) }
}

fn forged(previous: u64, offset: u64, tag: u64) -> Input {
    Input::Frame { generation: generation("5.a"), records: vec![linked(previous, offset, tag)] }
}

/// Records after `after`, of a log that ends at `end` and keeps what is from `first` on.
fn range(after: u64, end: Position, first: u64, offsets: &[u64]) -> Input {
    let records = records(offsets);
    Input::Range(Range { asked_after: after, end: Some(end), first_kept: first, records })
}

fn verdict(round: u64, name: &str, verdict: Verdict) -> Input {
    Input::Verdict { round, generation: generation(name), verdict }
}

fn words(effects: &[Effect]) -> String {
    let word = |effect: &Effect| match effect {
        Effect::Deliver(records) => {
            let offsets: Vec<_> = records.iter().map(|r| r.position.offset.to_string()).collect();
            format!("deliver {}", offsets.join(" "))
        }
        Effect::Read { after, cause } => format!("read {after} {}", cause.label()),
        Effect::Probe => "probe".to_owned(),
        Effect::Confirm => "confirm".to_owned(),
        Effect::Report { round, highest } => {
            format!("report {round} {:?} {}", highest.generation, highest.offset)
        }
        Effect::Kick => "kick".to_owned(),
        Effect::Recheck => "recheck".to_owned(),
        Effect::Adopt(generation) => format!("adopt {generation:?}"),
        Effect::Lost(loss) => format!("lost {loss:?}"),
    };
    effects.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[track_caller]
fn run(course: &mut Course, rows: Vec<(u64, Input, &str)>) {
    for (number, (at_ms, input, expected)) in rows.into_iter().enumerate() {
        let told = format!("{input:?}");
        let mut effects = Vec::new();
        course.step(NOW + at_ms, input, &mut effects);
        assert_eq!(words(&effects), expected, "row {number}: {told}");
    }
}

#[track_caller]
fn check(rows: Vec<(u64, Input, &str)>) {
    run(&mut Course::new(place("5.a", 10), NOW), rows);
}

#[test]
fn records_are_delivered_in_order_and_once() {
    check(vec![
        (0, frame("5.a", &[11]), "deliver 11"),
        (1, frame("5.a", &[12, 13]), "deliver 12 13"),
        (2, frame("5.a", &[12, 13]), ""),
        (3, frame("5.a", &[13, 14]), "deliver 14"),
        (4, frame("4.z", &[15]), ""),
        (5, frame("5.a", &[9]), ""),
    ]);
}

#[test]
fn a_hole_is_filled_from_the_log_and_what_came_early_follows() {
    check(vec![
        (0, frame("5.a", &[13]), "read 10 gap"),
        (1, frame("5.a", &[15, 16]), ""),
        // What is asked again after the answer is what came while it was under way.
        (2, range(10, place("5.a", 13), 1, &[11, 12, 13]), "deliver 11 12 13, read 13 gap"),
        (3, range(13, place("5.a", 16), 1, &[14]), "deliver 14 15 16"),
        (4, frame("5.a", &[17]), "deliver 17"),
    ]);
}

#[test]
fn a_hole_that_the_feed_fills_itself_needs_no_answer() {
    check(vec![
        (0, frame("5.a", &[12]), "read 10 gap"),
        (1, frame("5.a", &[11]), "deliver 11 12"),
        (2, range(10, place("5.a", 12), 1, &[11, 12]), ""),
    ]);
}

#[test]
fn a_long_reading_goes_on_until_the_end() {
    check(vec![
        (0, Input::Subscribed, "recheck, read 10 reconnect"),
        (1, range(10, place("5.a", 14), 1, &[11, 12]), "deliver 11 12, read 12 reconnect"),
        (2, Input::Gap, "recheck"),
        (3, range(12, place("5.a", 14), 1, &[13, 14]), "deliver 13 14, read 14 reconnect"),
        (4, range(14, place("5.a", 14), 1, &[]), ""),
    ]);
}

#[test]
fn lost_answers_are_asked_for_again() {
    check(vec![
        (0, Input::Gap, "recheck, read 10 gap"),
        (900, frame("5.a", &[11]), "deliver 11"),
        (1_999, Input::Tick, "probe"),
        (2_000, Input::Tick, "read 11 gap"),
        (2_001, Input::Failed(Request::Read), ""),
        (2_250, Input::Tick, ""),
        (2_251, Input::Tick, "read 11 gap"),
        (2_252, Input::Failed(Request::Probe), ""),
        (2_502, Input::Tick, "probe"),
        (4_251, Input::Tick, "read 11 gap"),
        (4_502, Input::Tick, "probe"),
        (4_503, range(11, place("5.a", 11), 1, &[]), ""),
        (4_503, Input::Meta(Some(place("5.a", 11))), ""),
    ]);
}

#[test]
fn a_quiet_feed_is_doubted_and_a_busy_one_now_and_then() {
    let mut rows = vec![
        (999, Input::Tick, ""),
        (1_000, Input::Tick, "probe"),
        (1_001, Input::Meta(Some(place("5.a", 10))), ""),
        (1_999, Input::Tick, ""),
        (2_000, Input::Tick, "probe"),
        (2_001, Input::Meta(Some(place("5.a", 10))), ""),
    ];
    for offset in 11..16 {
        let at_ms = 2_900 + 900 * (offset - 11);
        let delivered = ["deliver 11", "deliver 12", "deliver 13", "deliver 14", "deliver 15"];
        rows.push((
            at_ms,
            frame("5.a", &[offset]),
            delivered[usize::try_from(offset).unwrap() - 11],
        ));
    }
    rows.push((6_999, Input::Tick, ""));
    rows.push((7_000, Input::Tick, "probe"));
    check(rows);
}

#[test]
fn a_starving_feed_is_replaced() {
    check(vec![
        (1_000, Input::Tick, "probe"),
        (1_010, Input::Meta(Some(place("5.a", 12))), ""),
        (1_259, Input::Tick, ""),
        (1_260, Input::Tick, "kick, read 10 probe"),
        (1_261, range(10, place("5.a", 12), 1, &[11, 12]), "deliver 11 12"),
    ]);
    check(vec![
        (1_000, Input::Tick, "probe"),
        (1_010, Input::Meta(Some(place("5.a", 12))), ""),
        (1_100, frame("5.a", &[11, 12, 13]), "deliver 11 12 13"),
        (1_300, Input::Tick, ""),
    ]);
}

#[test]
fn what_is_not_kept_any_more_ends_the_course() {
    let lost = "lost Retention";
    let trimmed = || range(10, place("5.a", 20), 12, &[12, 13]);
    let gap = "recheck, read 10 gap";
    check(vec![(0, Input::Gap, gap), (1, trimmed(), lost), (2, frame("5.a", &[11]), "")]);
    check(vec![(0, Input::Gap, gap), (1, range(10, place("5.a", 20), 0, &[]), lost)]);
    check(vec![
        (0, Input::Gap, gap),
        (1, frame("5.a", &[11]), "deliver 11"),
        (2, trimmed(), "deliver 12 13, read 13 gap"),
    ]);
}

#[test]
fn another_generation_is_adopted_only_after_a_clean_verdict() {
    check(vec![
        (0, frame("5.a", &[13]), "read 10 gap"),
        (1, frame("6.b", &[11]), "report 1 5.a 10"),
        (2, frame("5.a", &[11]), ""),
        (3, range(10, place("5.a", 13), 1, &[11, 12]), ""),
        (4, verdict(1, "6.b", Verdict::Pending), ""),
        (103, Input::Tick, ""),
        (104, Input::Tick, "report 1 5.a 10"),
        (2_104, Input::Tick, "report 1 5.a 10"),
        (2_105, verdict(0, "6.b", Verdict::Dirty), ""),
        (2_106, verdict(1, "6.b", Verdict::Clean), "adopt 6.b, read 10 reconnect"),
        (2_107, verdict(1, "6.b", Verdict::Dirty), ""),
        (2_108, range(10, place("6.b", 12), 1, &[11, 12]), "deliver 11 12"),
        (2_109, frame("5.a", &[13]), ""),
        (2_110, frame("6.b", &[13]), "deliver 13"),
        (2_111, Input::GenerationSeen(generation("5.a")), ""),
        (2_112, Input::GenerationSeen(generation("6.b")), ""),
        (2_113, Input::GenerationSeen(generation("6.c")), "report 2 6.b 13"),
        (2_114, verdict(2, "6.c", Verdict::Dirty), "lost Generation"),
        (2_115, frame("6.c", &[14]), ""),
    ]);
}

#[test]
fn every_sign_of_another_history_asks_for_a_verdict() {
    let foreign = |name: &str, offset, tag| {
        Some(Position { generation: generation(name), offset, tag: Tag(tag) })
    };
    let ends = [None, foreign("6.b", 10, 100), foreign("5.a", 10, 101), foreign("5.a", 9, 90)];
    for end in ends {
        check(vec![
            (1_000, Input::Tick, "probe"),
            (1_001, Input::Meta(end.clone()), "report 1 5.a 10"),
            (1_002, verdict(1, "5.a", Verdict::Clean), "read 10 reconnect"),
        ]);
        let range = Range { asked_after: 10, end, first_kept: 1, records: Vec::new() };
        check(vec![
            (0, Input::Gap, "recheck, read 10 gap"),
            (1, Input::Range(range), "report 1 5.a 10"),
        ]);
    }
    let gap = || (0, Input::Gap, "recheck, read 10 gap");
    for foreign in [linked(101, 11, 110), linked(90, 10, 101)] {
        let end = Some(place("5.a", 12));
        let records = vec![foreign];
        let range = Range { asked_after: 10, end, first_kept: 1, records };
        check(vec![gap(), (1, Input::Range(range), "report 1 5.a 10")]);
    }
}

#[test]
fn nonsense_is_never_applied() {
    check(vec![
        // The right place with a wrong predecessor,
        (0, forged(101, 11, 110), "read 10 gap"),
        (1, range(10, place("5.a", 10), 1, &[]), ""),
        // the far future,
        (2, forged(100, u64::MAX, 110), "read 10 gap"),
        (3, range(10, place("5.a", 10), 1, &[]), ""),
        // the near future that never comes,
        (4, forged(119, 12, 121), "read 10 gap"),
        (5, range(10, place("5.a", 10), 1, &[]), ""),
        (6, frame("5.a", &[11]), "deliver 11"),
        (7, frame("5.a", &[12]), "deliver 12"),
        // the past with another tag,
        (8, forged(100, 11, 111), "report 1 5.a 12"),
        (9, verdict(1, "5.a", Verdict::Clean), "read 12 reconnect"),
        (10, range(12, place("5.a", 12), 1, &[]), ""),
        (11, frame("5.a", &[13]), "deliver 13"),
        (12, forged(0, 0, 5), ""),
    ]);
}

#[test]
fn memory_ahead_is_bounded() {
    let mut course = Course::new(place("5.a", 10), NOW);
    for offset in 12..12 + 2 * RECORDS_MAX {
        course.step(NOW, frame("5.a", &[offset]), &mut Vec::new());
    }
    assert_eq!(course.ahead.len() as u64, RECORDS_MAX - 1);
    let mut effects = Vec::new();
    course.step(NOW, frame("5.a", &[11]), &mut effects);
    let Some(Effect::Deliver(delivered)) = effects.first() else { panic!("{effects:?}") };
    assert_eq!(delivered.len() as u64, RECORDS_MAX);
    assert_eq!(course.ahead.len(), 0);
}

#[test]
fn what_was_vouched_for_is_reported() {
    let mut course = Course::new(place("5.a", 10), NOW);
    let (old, own, new) = (generation("4.z"), generation("5.a"), generation("6.b"));
    assert_eq!(course.vouch(&old, 9, Tag(90)), Vouched::Never);
    assert_eq!(course.vouch(&own, 15, Tag(150)), Vouched::Yes);
    assert_eq!(course.vouch(&own, 12, Tag(120)), Vouched::Yes);
    run(&mut course, vec![(0, frame("5.a", &[11]), "deliver 11")]);
    // The feed and an answer of the log must not name two records for one place.
    run(&mut course, vec![(1, frame("5.a", &[12, 13, 14]), "deliver 12 13 14")]);
    run(&mut course, vec![(2, forged(140, 15, 151), "read 14 gap")]);
    assert_eq!(course.vouch(&new, 16, Tag(160)), Vouched::NotYet);
    assert_eq!(course.vouch(&own, 16, Tag(160)), Vouched::NotYet);
    run(
        &mut course,
        vec![
            (3, Input::Tick, "report 1 5.a 15"),
            (4, verdict(1, "6.b", Verdict::Clean), "adopt 6.b, read 14 reconnect"),
        ],
    );
    assert_eq!(course.vouch(&own, 16, Tag(160)), Vouched::Never);
    assert_eq!(course.vouch(&new, 16, Tag(160)), Vouched::Yes);
    assert_eq!(course.vouch(&new, 14, Tag(141)), Vouched::NotYet);
    run(
        &mut course,
        vec![
            (5, Input::Tick, "report 2 6.b 16"),
            (6, verdict(2, "6.b", Verdict::Dirty), "lost Generation"),
        ],
    );
    assert_eq!(course.vouch(&new, 16, Tag(160)), Vouched::Never);
}

#[test]
fn k03_a_link_that_is_wrong_in_the_log_is_doubted_once() {
    let broken = || {
        let records = vec![linked(999, 11, 110)];
        let end = Some(place("5.a", 11));
        Input::Range(Range { asked_after: 10, end, first_kept: 1, records })
    };
    check(vec![
        (1, forged(999, 11, 110), "read 10 gap"),
        (2, broken(), "report 1 5.a 10"),
        (3, verdict(1, "5.a", Verdict::Clean), "read 10 reconnect"),
        (4, broken(), "lost Retention"),
    ]);
    // Who could go on in between doubts it again.
    check(vec![
        (1, forged(999, 11, 110), "read 10 gap"),
        (2, broken(), "report 1 5.a 10"),
        (3, verdict(1, "5.a", Verdict::Clean), "read 10 reconnect"),
        (4, range(10, place("5.a", 11), 1, &[11]), "deliver 11"),
        (5, forged(999, 12, 120), "read 11 gap"),
    ]);
}

#[test]
fn an_old_primary_is_not_believed_and_not_waited_for_for_ever() {
    let old = || Input::Meta(Some(place("4.z", 30)));
    check(vec![
        (1_000, Input::Tick, "probe"),
        (1_001, old(), "kick"),
        (2_000, Input::Tick, "probe"),
        (2_001, old(), "kick"),
        (3_000, Input::Tick, "probe"),
        (3_001, Input::Meta(Some(place("5.a", 10))), ""),
        (6_000, Input::GenerationSeen(generation("6.b")), "report 1 5.a 10"),
        (6_001, verdict(1, "4.z", Verdict::Clean), "kick"),
        (6_250, Input::Tick, ""),
        (6_251, Input::Tick, "report 1 5.a 10"),
        (10_000, Input::Tick, "report 1 5.a 10"),
        (14_000, Input::Tick, "report 1 5.a 10"),
        (18_000, Input::Tick, "report 1 5.a 10"),
        (21_001, verdict(1, "4.z", Verdict::Clean), "lost Generation"),
    ]);
}

#[test]
fn who_slept_looks_which_sessions_it_still_holds() {
    check(vec![
        (100, frame("5.a", &[11]), "deliver 11"),
        (5_099, Input::Tick, "probe"),
        (10_099, frame("5.a", &[12]), "recheck, deliver 12, probe"),
    ]);
}
