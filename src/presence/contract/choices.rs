//! The contract: what users choose.

use super::{super::Ending, Backend, START_S, Stage, now_told};
use crate::model::{
    ManualStatus,
    Status::{Away, Dnd, Offline, Online, Ooo},
};

pub(in super::super) async fn a_choice_wins_over_devices<B: Backend>() {
    let stage = Stage::<B>::open().await;
    for (chosen, status) in [
        (ManualStatus::Away, Away),
        (ManualStatus::Dnd, Dnd),
        (ManualStatus::Offline, Offline),
        (ManualStatus::Ooo, Ooo),
    ] {
        let user = status.as_str();
        assert_eq!(stage.connect(user, 1).await, Some((Offline, Online)));
        assert_eq!(stage.choose(user, chosen).await, Some((Online, status)));
        assert_eq!(stage.choose(user, chosen).await, None, "{user} again");
        stage.pass(5_000).await;
        assert_eq!(stage.act(user, 1).await, None, "activity moves no choice");
        assert_eq!(stage.pass(1_000_000).await, [], "nor does its absence");
        assert_eq!(stage.end(user, 1, Ending::Closed).await, None);
        assert_eq!(stage.connect(user, 2).await, None);
        let record = stage.record(user).await;
        assert_eq!((record.status, record.manual), (status, true));
        assert_eq!(stage.clear(user).await, Some((status, Online)));
        assert_eq!(stage.clear(user).await, None);
        assert!(!stage.record(user).await.manual);
        stage.end(user, 2, Ending::Closed).await;
    }
}

pub(in super::super) async fn online_drops_the_choice_and_counts_as_activity<B: Backend>() {
    let stage = Stage::<B>::open().await;
    stage.connect("ann", 1).await;
    assert_eq!(stage.pass(300_000).await, now_told("ann", Online, Away));
    assert_eq!(stage.choose("ann", ManualStatus::Online).await, Some((Away, Online)));
    assert!(!stage.record("ann").await.manual, "online is never manual");
    assert_eq!(stage.pass(299_999).await, []);
    assert_eq!(stage.pass(1).await, now_told("ann", Online, Away));
    stage.choose("ann", ManualStatus::Dnd).await;
    assert_eq!(stage.choose("ann", ManualStatus::Online).await, Some((Dnd, Online)));
}

pub(in super::super) async fn online_without_a_device_is_offline<B: Backend>() {
    let stage = Stage::<B>::open().await;
    assert_eq!(stage.choose("ann", ManualStatus::Online).await, None);
    assert_eq!(stage.shows("ann").await, Offline);
    assert_eq!(stage.choose("ann", ManualStatus::Dnd).await, Some((Offline, Dnd)));
    assert_eq!(stage.choose("ann", ManualStatus::Online).await, Some((Dnd, Offline)));
}

pub(in super::super) async fn a_timed_dnd_ends_on_time<B: Backend>() {
    let stage = Stage::<B>::open().await;
    stage.connect("ann", 1).await;
    let dnd = ManualStatus::DndUntil(START_S + 61);
    assert_eq!(stage.choose("ann", dnd).await, Some((Online, Dnd)));
    let record = stage.record("ann").await;
    assert_eq!((record.manual, record.dnd_ends_at), (true, START_S + 61), "not cut to the minute");
    assert_eq!(stage.pass(60_999).await, []);
    assert_eq!(stage.pass(1).await, now_told("ann", Dnd, Online));
    let record = stage.record("ann").await;
    assert_eq!((record.manual, record.dnd_ends_at), (false, 0));
    let past = ManualStatus::DndUntil(START_S);
    assert_eq!(stage.choose("ann", past).await, None, "an end in the past ends at once");
}

pub(in super::super) async fn a_timed_dnd_restores_what_was_chosen_before<B: Backend>() {
    let stage = Stage::<B>::open().await;
    stage.connect("ann", 1).await;
    stage.choose("ann", ManualStatus::Ooo).await;
    stage.choose("ann", ManualStatus::DndUntil(START_S + 10)).await;
    stage.choose("ann", ManualStatus::DndUntil(START_S + 20)).await;
    assert_eq!(stage.pass(19_999).await, []);
    assert_eq!(stage.pass(1).await, now_told("ann", Dnd, Ooo));
    assert!(stage.record("ann").await.manual);
    assert_eq!(stage.choose("ann", ManualStatus::DndUntil(START_S + 60)).await, Some((Ooo, Dnd)));
    stage.end("ann", 1, Ending::Closed).await;
    stage.choose("ann", ManualStatus::Online).await;
    assert_eq!(stage.pass(60_000).await, [], "a choice that was dropped does not come back");
}

pub(in super::super) async fn an_untimed_dnd_clears_an_older_end<B: Backend>() {
    let stage = Stage::<B>::open().await;
    stage.connect("ann", 1).await;
    stage.choose("ann", ManualStatus::DndUntil(START_S + 60)).await;
    assert_eq!(stage.choose("ann", ManualStatus::Dnd).await, None);
    assert_eq!(stage.record("ann").await.dnd_ends_at, 0);
    assert_eq!(stage.pass(120_000).await, []);
    assert_eq!(stage.shows("ann").await, Dnd);
}
