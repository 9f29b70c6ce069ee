//! The contract: what can be asked, and that each change is told once.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{
    super::{Ending, Presence as _, Rule, Transition},
    Backend, START_S, Stage, connection, id,
};
use crate::{
    clock::random_below,
    model::{
        ManualStatus,
        Status::{Dnd, Offline, Online},
    },
};

pub(in super::super) async fn unknown_users_and_other_realms_are_offline<B: Backend>() {
    let stage = Stage::<B>::open().await;
    stage.connect("ann", 1).await;
    let users = [id("nobody"), id("ann"), id("nobody")];
    let records = stage.presence.status(&stage.realm, &users).await.unwrap();
    let shown: Vec<_> =
        records.iter().map(|record| (record.user.as_str(), record.status)).collect();
    assert_eq!(shown, [("nobody", Offline), ("ann", Online), ("nobody", Offline)]);
    assert_eq!(records[0].last_activity_at_ms, 0);
    let other = id("other");
    assert_eq!(stage.presence.status(&other, &users).await.unwrap()[1].status, Offline);
    assert_eq!(stage.presence.all_statuses(&other, 10).await.unwrap(), []);
    let told = stage.presence.disconnected(&other, &users[1], connection(1), Ending::Closed).await;
    assert_eq!(told.unwrap(), None);
    assert_eq!(stage.shows("ann").await, Online);
}

pub(in super::super) async fn statuses_and_counts_tell_who_is_there<B: Backend>() {
    let stage = Stage::<B>::open().await;
    assert_eq!(stage.presence.counts(), [0; 5]);
    for (number, user) in (0..).zip(["ann", "bob", "cid", "dan"]) {
        stage.connect(user, number).await;
    }
    stage.choose("bob", ManualStatus::Dnd).await;
    stage.choose("cid", ManualStatus::Offline).await;
    stage.end("dan", 3, Ending::Closed).await;
    let mut all = stage.presence.all_statuses(&stage.realm, 10).await.unwrap();
    all.sort_by(|a, b| a.user.cmp(&b.user));
    let shown: Vec<_> = all.iter().map(|record| (record.user.as_str(), record.status)).collect();
    assert_eq!(shown, [("ann", Online), ("bob", Dnd)]);
    assert_eq!(stage.presence.all_statuses(&stage.realm, 1).await.unwrap().len(), 1);
    assert_eq!(stage.presence.counts(), [1, 0, 1, 2, 0]);
    stage.pass(300_000).await;
    assert_eq!(stage.presence.counts(), [0, 1, 1, 2, 0]);
}

pub(in super::super) async fn explain_names_the_rule_and_the_records<B: Backend>() {
    let stage = Stage::<B>::open().await;
    let nothing = stage.presence.explain(&stage.realm, &id("ann")).await.unwrap();
    assert_eq!((nothing.rule, nothing.devices), (Rule::NoDevice, vec![]));
    stage.connect("ann", 1).await;
    stage.pass(7_000).await;
    stage.act("ann", 1).await;
    stage.connect("ann", 2).await;
    stage.end("ann", 1, Ending::Dropped).await;
    let explained = stage.presence.explain(&stage.realm, &id("ann")).await.unwrap();
    assert_eq!(explained.rule, Rule::Active);
    assert_eq!(explained.record, stage.record("ann").await);
    let now_ms = START_S * 1_000 + 7_000;
    assert_eq!((explained.now_ms, explained.holds_until_ms), (now_ms, now_ms + 5_000));
    let mut devices = explained.devices;
    devices.sort_by_key(|device| device.dropped_at_ms);
    let [there, dropped] = devices.as_slice() else { panic!("two devices: {devices:?}") };
    assert_eq!((there.node.as_ref(), there.connection), ("node-a", connection(2)));
    assert_eq!((there.since_ms, there.active_at_ms, there.dropped_at_ms), (now_ms, now_ms, None));
    assert_eq!(dropped.connection, connection(1));
    assert_eq!((dropped.since_ms, dropped.active_at_ms), (START_S * 1_000, now_ms));
    let listed = stage.presence.devices(&stage.realm, &[id("ann"), id("bob")]).await.unwrap();
    assert_eq!((listed[0].devices.len(), listed[1].devices.len()), (2, 0));
    assert_eq!(listed[0].record, explained.record);
    stage.end("ann", 2, Ending::Closed).await;
    let explained = stage.presence.explain(&stage.realm, &id("ann")).await.unwrap();
    assert_eq!(explained.rule, Rule::ActiveInGrace);
    stage.choose("ann", ManualStatus::DndUntil(START_S + 60)).await;
    let explained = stage.presence.explain(&stage.realm, &id("ann")).await.unwrap();
    assert_eq!(explained.rule, Rule::TimedDnd);
}

/// Goal: no change is told twice or lost, whatever runs at once.
///
/// Method: tasks drive the same three users while time passes and sweeps run; then
/// the changes of each user, in their order, must form a chain from offline to what is
/// shown.
pub(in super::super) async fn concurrent_calls_tell_one_chain_of_changes<B: Backend>() {
    let stage = Arc::new(Stage::<B>::open().await);
    let mut tasks = JoinSet::new();
    for number in 0..4 {
        let stage = Arc::clone(&stage);
        tasks.spawn(async move { drive(&stage, number).await });
    }
    let mut returned = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        returned.extend(ended.unwrap());
    }
    stage.clock.advance(Duration::from_secs(1_000));
    returned.extend(stage.presence.sweep().await.unwrap());
    returned.sort_by_key(|change| change.version);
    let told = stage.told(returned).await;
    assert!(told.len() > 100, "the users changed: {}", told.len());
    let shown = stage.shown.lock().clone();
    for (user, status) in shown {
        assert_eq!(stage.shows(user.as_str()).await, status, "{user}");
    }
}

async fn drive<B: Backend>(stage: &Stage<B>, number: u8) -> Vec<Transition> {
    let (presence, realm) = (&stage.presence, &stage.realm);
    let mut told = Vec::new();
    for _ in 0..1_000 {
        let user = id(["ann", "bob", "cid"][usize::try_from(random_below(3)).unwrap()]);
        let connection = connection(number);
        let ending = [Ending::Closed, Ending::Dropped][usize::try_from(random_below(2)).unwrap()];
        let change = match random_below(7) {
            0 | 1 => presence.connected(realm, &user, connection).await,
            2 | 3 => presence.disconnected(realm, &user, connection, ending).await,
            4 => presence.active(realm, &user, connection).await,
            5 => presence.set_manual(realm, &user, ManualStatus::Dnd).await,
            _ => presence.clear_manual(realm, &user).await,
        };
        told.extend(change.unwrap());
        stage.clock.advance(Duration::from_millis(random_below(1_000)));
        told.extend(presence.sweep().await.unwrap());
        tokio::task::yield_now().await;
    }
    told
}
