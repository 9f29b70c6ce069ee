//! The contract: what devices do to a status.

use super::{super::Ending, Backend, START_S, Stage, now_told};
use crate::model::Status::{Away, Offline, Online};

pub(in super::super) async fn a_user_is_online_while_a_device_is_there<B: Backend>() {
    let stage = Stage::<B>::open().await;
    assert_eq!(stage.connect("ann", 1).await, Some((Offline, Online)));
    assert_eq!(stage.connect("ann", 2).await, None, "a second device changes nothing");
    assert_eq!(stage.end("ann", 1, Ending::Closed).await, None);
    assert_eq!(stage.shows("ann").await, Online);
    assert_eq!(stage.end("ann", 2, Ending::Closed).await, Some((Online, Offline)));
    assert_eq!(stage.end("ann", 2, Ending::Closed).await, None, "it is gone already");
    let record = stage.record("ann").await;
    assert_eq!((record.status, record.manual), (Offline, false));
    assert_eq!(record.last_activity_at_ms, START_S * 1_000, "the last activity is remembered");
    assert_eq!(stage.pass(1_000_000).await, []);
}

pub(in super::super) async fn a_drop_counts_until_its_grace_ends<B: Backend>() {
    let stage = Stage::<B>::open().await;
    stage.connect("ann", 1).await;
    assert_eq!(stage.end("ann", 1, Ending::Dropped).await, None);
    assert_eq!(stage.pass(4_999).await, []);
    assert_eq!(stage.shows("ann").await, Online);
    assert_eq!(stage.pass(1).await, now_told("ann", Online, Offline));
    assert_eq!(stage.pass(10_000).await, []);
    assert_eq!(stage.connect("ann", 1).await, Some((Offline, Online)), "too late to resume");
}

pub(in super::super) async fn a_resume_within_the_grace_shows_nothing<B: Backend>() {
    let stage = Stage::<B>::open().await;
    stage.connect("ann", 1).await;
    stage.pass(1_000).await;
    stage.end("ann", 1, Ending::Dropped).await;
    stage.pass(4_000).await;
    assert_eq!(stage.connect("ann", 1).await, None);
    assert_eq!(stage.pass(60_000).await, []);
    assert_eq!(stage.shows("ann").await, Online);
    let record = stage.record("ann").await;
    assert_eq!(record.last_activity_at_ms, START_S * 1_000, "a resume is not activity");
}

pub(in super::super) async fn a_takeover_in_any_order_shows_nothing<B: Backend>() {
    let stage = Stage::<B>::open().await;
    stage.connect("ann", 1).await;
    assert_eq!(stage.connect("ann", 1).await, None, "another socket takes over");
    assert_eq!(stage.end("ann", 1, Ending::Closed).await, None, "the old socket ends late");
    assert_eq!(stage.pass(10_000).await, []);
    assert_eq!(stage.shows("ann").await, Online);
    assert_eq!(stage.end("ann", 1, Ending::Closed).await, Some((Online, Offline)));
}

pub(in super::super) async fn users_turn_away_without_activity_on_any_device<B: Backend>() {
    let stage = Stage::<B>::open().await;
    stage.connect("ann", 1).await;
    stage.connect("ann", 2).await;
    assert_eq!(stage.pass(200_000).await, []);
    assert_eq!(stage.act("ann", 2).await, None);
    assert_eq!(stage.pass(299_999).await, []);
    assert_eq!(stage.pass(1).await, now_told("ann", Online, Away));
    assert!(!stage.record("ann").await.manual);
    assert_eq!(stage.act("ann", 1).await, Some((Away, Online)));
    assert_eq!(stage.act("ann", 9).await, None, "an unknown connection does nothing");
    assert_eq!(stage.pass(299_999).await, []);
    assert_eq!(stage.pass(1).await, now_told("ann", Online, Away));
    assert_eq!(stage.connect("ann", 3).await, Some((Away, Online)), "a new device is activity");
}

pub(in super::super) async fn an_idle_device_does_not_inherit_activity<B: Backend>() {
    let stage = Stage::<B>::open().await;
    stage.connect("ann", 1).await;
    stage.pass(290_000).await;
    stage.connect("ann", 2).await;
    assert_eq!(stage.pass(20_000).await, []);
    assert_eq!(stage.end("ann", 2, Ending::Closed).await, Some((Online, Away)));
    let record = stage.record("ann").await;
    assert_eq!(record.last_activity_at_ms, START_S * 1_000 + 290_000);
}

pub(in super::super) async fn activity_is_recorded_in_steps<B: Backend>() {
    let stage = Stage::<B>::open().await;
    stage.connect("ann", 1).await;
    stage.pass(999).await;
    stage.act("ann", 1).await;
    assert_eq!(stage.record("ann").await.last_activity_at_ms, START_S * 1_000);
    stage.pass(1).await;
    stage.act("ann", 1).await;
    assert_eq!(stage.record("ann").await.last_activity_at_ms, START_S * 1_000 + 1_000);
}
