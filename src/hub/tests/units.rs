//! Outbox and ring by themselves.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::stage::{ENCODING, Frame, Stage, event, frames};
use crate::{
    clock::Clock,
    hub::{Deliveries, Outbox, OutboxLimits, Pushed, Ring},
    metrics::Metrics,
    model::{Body, Record, Topic},
    ws::frame,
};

const LIMITS: OutboxLimits = OutboxLimits { events: 8, bytes: 4_096 };

/// The first is durable, the second ephemeral.
fn records() -> [Arc<Record>; 2] {
    let mut stage = Stage::new(10);
    stage.append(Body::Event(event(Topic::Everyone)));
    stage.append(Body::Event(crate::model::Event { ephemeral: true, ..event(Topic::Everyone) }));
    [Arc::clone(&stage.records[0]), Arc::clone(&stage.records[1])]
}

fn deliveries() -> Deliveries {
    Deliveries::new(&Metrics::new("test", 1), Clock::system())
}

/// Everything that leaves, when the socket takes `step` bytes of each write.
fn drained(outbox: &mut Outbox, step: usize) -> Vec<u8> {
    let (mut scratch, mut deliveries) = (Vec::new(), deliveries());
    let mut out = Vec::new();
    while !outbox.is_empty() {
        outbox.encode(&ENCODING, &mut scratch, &mut deliveries);
        let (taken, unsent) = scratch.split_at(step.min(scratch.len()));
        out.extend_from_slice(taken);
        if !unsent.is_empty() {
            outbox.keep(unsent);
        }
    }
    out
}

/// Goal: a link that is abandoned while only numbers wait still says why.
#[test]
fn an_abandoned_outbox_is_due() {
    let mut outbox = Outbox::default();
    for seq in 1..4 {
        assert_eq!(outbox.push_noop(seq, &ENCODING, LIMITS), Pushed::Withheld);
    }
    assert!(!outbox.is_due(), "numbers alone cause no write");
    outbox.abandon(frame::close(4409, ""));
    assert!(outbox.is_due());
    assert_eq!(frames(&drained(&mut outbox, 3)), [Frame::Close(4409)]);
}

/// Goal: under pressure bodies of ephemeral events go first, their numbers never.
#[test]
fn ephemeral_bodies_are_shed_at_half_of_the_bound() {
    let [durable, ephemeral] = records();
    let mut outbox = Outbox::default();
    let kinds = [&ephemeral; 6].into_iter().chain([&durable; 3]);
    let told: Vec<Pushed> = (1..)
        .zip(kinds)
        .map(|(seq, record)| outbox.push_event(record, seq, &ENCODING, LIMITS))
        .collect();
    let mut expected = vec![Pushed::Queued; 4];
    expected.extend([Pushed::Withheld; 2]);
    expected.extend([Pushed::Queued, Pushed::Queued, Pushed::Full]);
    assert_eq!(told, expected);
    let offsets: Vec<Option<u64>> = frames(&drained(&mut outbox, usize::MAX))
        .into_iter()
        .map(|frame| if let Frame::Event { offset, .. } = frame { offset } else { None })
        .collect();
    let shed = [Some(2), Some(2), Some(2), Some(2), None, None, Some(1), Some(1)];
    assert_eq!(offsets, shed);
}

#[derive(Debug, Clone)]
enum Push {
    Durable,
    Ephemeral,
    Noop,
    Reply,
    Write(usize),
}

fn pushes() -> impl Strategy<Value = Vec<Push>> {
    let push = prop_oneof![
        4 => Just(Push::Durable),
        2 => Just(Push::Ephemeral),
        2 => Just(Push::Noop),
        1 => Just(Push::Reply),
        3 => (0..200_usize).prop_map(Push::Write),
    ];
    prop::collection::vec(push, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Goal: what enters leaves, whole, in order and once, however the socket takes it;
    /// never more than the bounds waits; the counts return to nothing.
    #[test]
    fn what_enters_an_outbox_leaves_it(pushes in pushes(), ending in 0..3_u8) {
        let [durable, ephemeral] = records();
        let (mut outbox, mut scratch, mut deliveries) = (Outbox::default(), Vec::new(), deliveries());
        let (mut out, mut seq, mut entered) = (Vec::new(), 1, 0);
        for push in pushes {
            let pushed = match push {
                Push::Durable => outbox.push_event(&durable, seq, &ENCODING, LIMITS),
                Push::Ephemeral => outbox.push_event(&ephemeral, seq, &ENCODING, LIMITS),
                Push::Noop => outbox.push_noop(seq, &ENCODING, LIMITS),
                Push::Reply => {
                    entered += usize::from(outbox.push_frame(frame::ping(b""), LIMITS));
                    continue;
                }
                Push::Write(step) => {
                    outbox.encode(&ENCODING, &mut scratch, &mut deliveries);
                    let (taken, unsent) = scratch.split_at(step.min(scratch.len()));
                    out.extend_from_slice(taken);
                    if !unsent.is_empty() {
                        outbox.keep(unsent);
                    }
                    continue;
                }
            };
            if pushed != Pushed::Full {
                seq += 1;
                entered += 1;
            }
            prop_assert!(outbox.fill().0 <= LIMITS.events);
        }
        let is_abandoned = ending == 2;
        match ending {
            0 => {}
            1 => outbox.close(frame::close(1012, "")),
            _ => outbox.abandon(frame::close(4431, "")),
        }
        if ending > 0 {
            prop_assert!(outbox.is_due());
            prop_assert_eq!(outbox.push_event(&durable, seq, &ENCODING, LIMITS), Pushed::Closed);
            prop_assert!(outbox.push_frame(Bytes::from_static(b"x"), LIMITS));
        }
        out.extend(drained(&mut outbox, 7));
        prop_assert_eq!(outbox.fill(), (0, 0));
        let mut told = frames(&out);
        if ending > 0 {
            let code = if is_abandoned { 4431 } else { 1012 };
            prop_assert_eq!(told.pop(), Some(Frame::Close(code)));
        }
        if !is_abandoned {
            prop_assert_eq!(told.len(), entered);
        }
        let numbers: Vec<u64> = told
            .iter()
            .filter_map(|f| if let Frame::Event { seq, .. } = f { Some(*seq) } else { None })
            .collect();
        let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
        prop_assert_eq!(numbers, expected);
    }

    /// Goal: a ring is the end of the log, as long as its bounds let it.
    #[test]
    fn a_ring_holds_the_newest(count in 0..40_usize, bound in 1..20_usize, from in 0..45_u64, more in 0..10_u64) {
        let mut stage = Stage::new(bound);
        for _ in 0..count {
            stage.append(Body::Event(event(Topic::Everyone)));
        }
        stage.feed(usize::MAX);
        let ring = &stage.realm.ring;
        let kept = count.min(bound);
        let (first, last) = ((count - kept) as u64 + 1, count as u64);
        let fill = ring.fill();
        prop_assert_eq!((fill.first, fill.last, fill.records), (first, last, kept));
        for offset in 0..45 {
            let found = ring.get(offset).map(|record| record.position.offset);
            prop_assert_eq!(found, (first..=last).contains(&offset).then_some(offset));
        }
        let to = from + more;
        let mut found = Vec::new();
        let all = ring.each(from, to, |record| found.push(record.position.offset));
        prop_assert_eq!(all.is_some(), from >= first && to <= last);
        let expected: Vec<u64> = (from..=to).collect();
        prop_assert!(all.is_none() || found == expected, "{:?}", found);
    }
}

/// Goal: a ring is bounded by bytes, too.
#[test]
fn a_ring_lets_large_records_go() {
    let ring = Ring::new(0, 1_000, 1_000);
    let [durable, _] = records();
    ring.push(&durable);
    assert_eq!(ring.fill().records, 1);
    let mut stage = Stage::new(10);
    for _ in 0..2 {
        stage.append(Body::Event(event(Topic::Everyone)));
    }
    let Body::Event(small) = &stage.records[1].body else { panic!("it is an event") };
    let large = crate::model::Event { data: Bytes::from(vec![b'1'; 2_000]), ..small.clone() };
    let record = Record {
        position: stage.records[1].position.clone(),
        previous_tag: stage.records[1].previous_tag,
        accepted_at_us: 0,
        body: Body::Event(large),
        renderings: Default::default(),
        kept: None,
    };
    ring.push(&Arc::new(record));
    let fill = ring.fill();
    assert_eq!((fill.records, fill.bytes, fill.last), (0, 0, 2));
    assert_eq!(fill.first, 3);
}
