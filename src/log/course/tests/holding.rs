//! Records that wait until the replicas have them.
//!
//! Goal: nothing is delivered that a replica may not have, and nothing waits for ever.
//!
//! Method: as for the rest of the tail.

use super::*;

fn confirmed(name: &str, offset: u64) -> Input {
    Input::Confirmed { position: place(name, offset), is_answer: false }
}

fn answer(name: &str, offset: u64) -> Input {
    Input::Confirmed { position: place(name, offset), is_answer: true }
}

#[track_caller]
fn check(rows: Vec<(u64, Input, &str)>) {
    run(&mut Course::new(place("5.a", 10), NOW).held_back(), rows);
}

#[test]
fn what_is_not_confirmed_waits() {
    check(vec![
        (0, frame("5.a", &[11]), ""),
        (1, frame("5.a", &[12, 13]), ""),
        (2, confirmed("5.a", 12), "deliver 11 12"),
        (3, confirmed("5.a", 11), ""),
        (4, confirmed("5.a", 13), "deliver 13"),
        // Confirmed before it was heard: another node had more to tell.
        (5, confirmed("5.a", 14), "read 13 gap"),
        (6, frame("5.a", &[14]), "deliver 14"),
        (7, range(13, place("5.a", 14), 1, &[14]), ""),
    ]);
}

#[test]
fn a_hole_is_read_when_what_follows_is_confirmed() {
    check(vec![
        (0, frame("5.a", &[12]), ""),
        (1, confirmed("5.a", 12), "read 10 gap"),
        (2, range(10, place("5.a", 13), 1, &[11, 12, 13]), "deliver 11 12, confirm"),
        (3, answer("5.a", 13), "deliver 13"),
    ]);
}

#[test]
fn who_is_not_told_asks() {
    check(vec![
        (0, frame("5.a", &[11]), ""),
        (29, Input::Tick, ""),
        (30, Input::Tick, "confirm"),
        (40, frame("5.a", &[12]), ""),
        (50, Input::Failed(Request::Confirm), ""),
        (299, Input::Tick, ""),
        (300, Input::Tick, "confirm"),
        (301, answer("5.a", 12), "deliver 11 12"),
        (302, answer("5.a", 99), ""),
        (400, Input::Tick, ""),
    ]);
}

#[test]
fn what_a_reading_finds_is_asked_about_at_once() {
    check(vec![
        (0, Input::Subscribed, "recheck, read 10 reconnect"),
        (1, range(10, place("5.a", 12), 1, &[11, 12]), "confirm"),
        (2, answer("5.a", 12), "deliver 11 12"),
        // What does not fit in here is read again.
        (3, confirmed("5.a", 5_000), "read 12 gap"),
        (4, range(12, place("5.a", 5_000), 1, &[13]), "deliver 13, read 13 gap"),
    ]);
}

#[test]
fn what_was_invented_is_not_asked_about_for_ever() {
    check(vec![
        (0, forged(7, 20, 7), ""),
        (30, Input::Tick, "confirm"),
        (31, answer("5.a", 10), ""),
        (900, frame("5.a", &[11]), ""),
        (930, Input::Tick, "confirm"),
        (931, answer("5.a", 11), "deliver 11"),
        (932, confirmed("5.a", 20), "read 11 gap"),
    ]);
}

#[test]
fn another_generation_begins_with_what_was_delivered() {
    check(vec![
        (0, frame("5.a", &[11]), ""),
        (1, confirmed("5.a", 11), "deliver 11"),
        (2, frame("5.a", &[12]), ""),
        (3, confirmed("6.b", 12), "report 1 5.a 11"),
        (4, verdict(1, "6.b", Verdict::Clean), "adopt 6.b, read 11 reconnect"),
        // Of the old primary.
        (5, confirmed("5.a", 13), ""),
        (6, range(11, place("6.b", 12), 1, &[12]), "confirm"),
        (7, confirmed("6.b", 12), "deliver 12"),
    ]);
}

#[test]
fn a_place_that_contradicts_is_doubted() {
    let other = Position { tag: Tag(7), ..place("5.a", 10) };
    check(vec![(0, Input::Confirmed { position: other, is_answer: false }, "report 1 5.a 10")]);
}
