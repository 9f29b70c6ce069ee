//! Laws of the status rules, and the memory backend against a naive model.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proptest::prelude::*;

use super::{
    Ending, MemoryPresence, Presence as _, Rules, Transition,
    merge::{self, Before, Choice, Overlay, Sighting},
};
use crate::{
    clock::Clock,
    model::{ConnectionId, Id, ManualStatus, Status},
};

const RULES: Rules = Rules { away_after_ms: 20_000, offline_after_ms: 5_000 };
const START_MS: u64 = 1_000_000_000;

fn sightings() -> impl Strategy<Value = Vec<Sighting>> {
    let one = (0..60_000_u64, prop::option::of(0..60_000_u64))
        .prop_map(|(active, dropped)| Sighting { active_at_ms: active, dropped_at_ms: dropped });
    prop::collection::vec(one, 0..6)
}

fn before() -> impl Strategy<Value = Before> {
    prop::sample::select(vec![Before::Devices, Before::Away, Before::Offline, Before::Ooo])
}

fn choices() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::Devices),
        Just(Choice::Away),
        Just(Choice::Offline),
        Just(Choice::Ooo),
        before().prop_map(Choice::Dnd),
        (0..80_u64, before()).prop_map(|(ends_at, before)| Choice::DndUntil(ends_at, before)),
    ]
}

proptest! {
    #[test]
    fn the_order_of_the_records_does_not_matter(
        (devices, shuffled) in sightings()
            .prop_flat_map(|devices| (Just(devices.clone()), Just(devices).prop_shuffle())),
        choice in choices(),
        touched_at_ms in 0..60_000_u64,
        now_ms in 0..80_000_u64,
    ) {
        let overlay = Overlay { choice, touched_at_ms, remembered_at_ms: 0 };
        prop_assert_eq!(
            merge::status(devices.into_iter(), overlay, now_ms, RULES),
            merge::status(shuffled.into_iter(), overlay, now_ms, RULES)
        );
    }

    #[test]
    fn a_choice_wins_whatever_the_devices_do(
        devices in sightings(),
        choice in choices(),
        now_ms in 0..80_000_u64,
    ) {
        let overlay = Overlay { choice, ..Overlay::NONE };
        let derived = merge::status(devices.into_iter(), overlay, now_ms, RULES);
        let expected = match choice {
            Choice::Dnd(_) => Some(Status::Dnd),
            Choice::DndUntil(ends_at, _) if ends_at * 1_000 > now_ms => Some(Status::Dnd),
            Choice::Away | Choice::DndUntil(_, Before::Away) => Some(Status::Away),
            Choice::Offline | Choice::DndUntil(_, Before::Offline) => Some(Status::Offline),
            Choice::Ooo | Choice::DndUntil(_, Before::Ooo) => Some(Status::Ooo),
            Choice::Devices | Choice::DndUntil(_, Before::Devices) => None,
        };
        prop_assert_eq!(derived.manual, expected.is_some());
        prop_assert!(!(derived.manual && derived.status == Status::Online));
        prop_assert_eq!(derived.dnd_ends_at > 0, {
            matches!(choice, Choice::DndUntil(..)) && derived.status == Status::Dnd
        });
        if let Some(status) = expected {
            prop_assert_eq!(derived.status, status);
        }
    }

    #[test]
    fn time_alone_changes_nothing_before_it_is_due(
        devices in sightings(),
        choice in choices(),
        now_ms in 0..80_000_u64,
        passed_ms in 0..80_000_u64,
    ) {
        let overlay = Overlay { choice, ..Overlay::NONE };
        let first = merge::status(devices.iter().copied(), overlay, now_ms, RULES);
        prop_assert!(first.holds_until_ms > now_ms);
        let later_ms = (now_ms + passed_ms).min(first.holds_until_ms - 1);
        let later = merge::status(devices.into_iter(), overlay, later_ms, RULES);
        prop_assert_eq!(first, later);
    }

    #[test]
    fn memory_does_what_the_naive_model_does(steps in prop::collection::vec(steps(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(replay(steps));
    }
}

/// Goal: each time in the rules ends in the millisecond in which it is over.
#[test]
fn the_edges_of_time_are_exact() {
    let there = Sighting { active_at_ms: 7, dropped_at_ms: None };
    let lost = Sighting { active_at_ms: 7, dropped_at_ms: Some(9) };
    let dnd = Choice::DndUntil(3, Before::Ooo);
    let check = |device: Sighting, choice, now_ms: u64, expected| {
        let overlay = Overlay { choice, ..Overlay::NONE };
        let derived = merge::status([device].into_iter(), overlay, now_ms, RULES);
        assert_eq!((derived.status, derived.holds_until_ms), expected, "at {now_ms}");
    };
    check(there, Choice::Devices, 20_006, (Status::Online, 20_007));
    check(there, Choice::Devices, 20_007, (Status::Away, u64::MAX));
    check(lost, Choice::Devices, 5_008, (Status::Online, 5_009));
    check(lost, Choice::Devices, 5_009, (Status::Offline, u64::MAX));
    check(there, dnd, 2_999, (Status::Dnd, 3_000));
    check(there, dnd, 3_000, (Status::Ooo, u64::MAX));
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Connect(u8),
    Active(u8),
    Disconnect(u8, Ending),
    Choose(ManualStatus),
    ChooseDndFor(u64),
    Clear,
    Pass(u64),
    Sweep,
}

type Step = (usize, Act);

fn steps() -> impl Strategy<Value = Step> {
    let ending = || prop::sample::select(vec![Ending::Closed, Ending::Dropped]);
    let chosen = prop::sample::select(vec![
        ManualStatus::Online,
        ManualStatus::Away,
        ManualStatus::Dnd,
        ManualStatus::Offline,
        ManualStatus::Ooo,
    ]);
    let act = prop_oneof![
        4 => (0..3_u8).prop_map(Act::Connect),
        3 => (0..3_u8).prop_map(Act::Active),
        4 => (0..3_u8, ending()).prop_map(|(number, ending)| Act::Disconnect(number, ending)),
        2 => chosen.prop_map(Act::Choose),
        1 => (0..30_u64).prop_map(Act::ChooseDndFor),
        1 => Just(Act::Clear),
        3 => (0..3_000_u64).prop_map(Act::Pass),
        2 => (3_000..30_000_u64).prop_map(Act::Pass),
        2 => Just(Act::Sweep),
    ];
    (0..2_usize, act)
}

/// A device, spelled out: sockets, activity, and when it was lost.
#[derive(Debug, Clone, Copy)]
struct Device {
    sockets: u32,
    active: u64,
    lost: Option<u64>,
}

/// A user as a list of facts; nothing is cached, nothing is armed.
#[derive(Debug, Default)]
struct User {
    devices: BTreeMap<u8, Device>,
    /// What was chosen, and when it ends; below it what shows then.
    chosen: Vec<(Status, u64)>,
    touched: u64,
    newest: u64,
}

impl User {
    fn forget(&mut self, now: u64) {
        self.devices
            .retain(|_, device| device.lost.is_none_or(|lost| now < lost + RULES.offline_after_ms));
        while self.chosen.last().is_some_and(|(_, ends)| *ends <= now) {
            self.chosen.pop();
        }
        if self.devices.is_empty() {
            self.touched = 0;
        }
    }

    fn apply(&mut self, act: Act, now: u64) {
        self.forget(now);
        match act {
            Act::Connect(number) => {
                let new = Device { sockets: 0, active: now, lost: None };
                let device = self.devices.entry(number).or_insert(new);
                device.sockets += 1;
                device.lost = None;
            }
            Act::Active(number) => {
                let device = self.devices.get_mut(&number);
                if let Some(device) = device.filter(|device| device.lost.is_none())
                    && now >= device.active + 1_000
                {
                    device.active = now;
                }
            }
            Act::Disconnect(number, ending) => {
                let Some(device) = self.devices.get_mut(&number) else { return };
                device.sockets = device.sockets.saturating_sub(1);
                if device.sockets == 0 && device.lost.is_none() {
                    device.lost = Some(now);
                    if ending == Ending::Closed {
                        self.devices.remove(&number);
                    }
                }
            }
            Act::Choose(ManualStatus::Online) => {
                self.chosen.clear();
                self.touched = now;
                self.newest = now;
            }
            Act::Choose(ManualStatus::Dnd) => self.choose(Status::Dnd, u64::MAX),
            Act::Choose(ManualStatus::Away) => self.choose(Status::Away, u64::MAX),
            Act::Choose(ManualStatus::Ooo) => self.choose(Status::Ooo, u64::MAX),
            Act::Choose(ManualStatus::Offline) => self.choose(Status::Offline, u64::MAX),
            Act::Choose(ManualStatus::DndUntil(ends_at)) => {
                self.choose(Status::Dnd, ends_at * 1_000);
            }
            Act::ChooseDndFor(_) | Act::Pass(_) | Act::Sweep => {}
            Act::Clear => self.chosen.clear(),
        }
        self.forget(now);
        for device in self.devices.values() {
            self.newest = self.newest.max(device.active);
        }
    }

    fn choose(&mut self, status: Status, ends: u64) {
        if status == Status::Dnd {
            self.chosen.retain(|(status, _)| *status != Status::Dnd);
        } else {
            self.chosen.clear();
        }
        self.chosen.push((status, ends));
    }

    fn shows(&mut self, now: u64) -> Status {
        self.forget(now);
        if let Some((status, _)) = self.chosen.last() {
            return *status;
        }
        let active = self.devices.values().map(|device| device.active).max();
        match active.map(|active| active.max(self.touched)) {
            None => Status::Offline,
            Some(active) if now < active + RULES.away_after_ms => Status::Online,
            Some(_) => Status::Away,
        }
    }
}

/// Goal: after any steps, a status is what the facts say, and what was told is a
/// chain of changes that a sweep completes.
///
/// Method: the same steps for the backend and for the model. A call may leave what
/// became due meanwhile to the sweep, but what it tells must be true.
async fn replay(steps: Vec<Step>) {
    let clock = Clock::manual(Duration::from_millis(START_MS));
    let presence = Arc::new(MemoryPresence::new("node-a", RULES, clock.clone()));
    let realm = Id::parse("default").unwrap();
    let ids = ["ann", "bob"].map(|user| Id::parse(user).unwrap());
    let mut users = [User::default(), User::default()];
    let mut shown = [Status::Offline; 2];
    for (place, act) in steps {
        let (user, id) = (&mut users[place], &ids[place]);
        let now = clock.now_ms();
        let connection = |number| ConnectionId::from_random([number; 26]);
        let act = if let Act::ChooseDndFor(seconds) = act {
            Act::Choose(ManualStatus::DndUntil(clock.now_seconds() + seconds))
        } else {
            act
        };
        let told = match act {
            Act::Connect(number) => presence.connected(&realm, id, connection(number)).await,
            Act::Active(number) => presence.active(&realm, id, connection(number)).await,
            Act::Disconnect(number, ending) => {
                presence.disconnected(&realm, id, connection(number), ending).await
            }
            Act::Choose(chosen) => presence.set_manual(&realm, id, chosen).await,
            Act::Clear => presence.clear_manual(&realm, id).await,
            Act::ChooseDndFor(_) | Act::Sweep => Ok(None),
            Act::Pass(ms) => {
                clock.advance(Duration::from_millis(ms));
                Ok(None)
            }
        };
        user.apply(act, now);
        let told = Vec::from_iter(told.unwrap());
        follow(&told, &ids, &mut shown);
        let now = clock.now_ms();
        if matches!(act, Act::Active(_)) && shown[place] == Status::Away {
            assert_ne!(user.shows(now), Status::Online, "activity ends an absence at once");
        } else if !matches!(act, Act::Pass(_) | Act::Sweep | Act::Active(_)) {
            assert_eq!(shown[place], user.shows(now), "a call tells what it changed: {act:?}");
        }
        if matches!(act, Act::Sweep) {
            follow(&presence.sweep().await.unwrap(), &ids, &mut shown);
            assert_eq!(shown, users.each_mut().map(|user| user.shows(now)), "nothing stays untold");
        }
        let records = presence.status(&realm, &ids).await.unwrap();
        for (record, user) in records.iter().zip(&mut users) {
            assert_eq!(record.status, user.shows(now), "{act:?}");
            assert_eq!(record.manual, !user.chosen.is_empty());
            assert_eq!(record.last_activity_at_ms, user.newest);
        }
        let mut counts = [0; 5];
        shown.iter().for_each(|status| counts[status.index()] += 1);
        counts[Status::Offline.index()] = presence.counts()[Status::Offline.index()];
        assert_eq!(presence.counts(), counts);
    }
}

fn follow(told: &[Transition], ids: &[Id], shown: &mut [Status]) {
    for change in told {
        let place = ids.iter().position(|id| *id == change.record.user).unwrap();
        assert_eq!(change.previous, shown[place], "each change begins where the last ended");
        assert_ne!(change.previous, change.record.status);
        shown[place] = change.record.status;
    }
}
