//! What waits: in front of slow sockets, of hubs, of the tail.

use std::sync::Arc;

use hubbub::{
    clock::Clock,
    hub::{Hub, Parcel, Realm, Ring},
    lifecycle::Gate,
    log::Draft,
    metrics::Metrics,
    model::{Body, Event, Generation, Id, Position, Record, Renderings, Tag, Topic},
};
use serde_json::json;

use super::live::{Live, start};

fn event(to: Topic, name: &str, bytes: usize, ephemeral: bool) -> Body {
    Body::Event(Event {
        name: Arc::from(name),
        data: format!(r#"{{"text":"{}"}}"#, "x".repeat(bytes)).into(),
        to,
        omit_users: Vec::new(),
        omit_connection: None,
        ephemeral,
        binary: false,
        id: Arc::from("one"),
        sender: None,
    })
}

async fn flood(live: &Live, count: usize, name: &str, ephemeral: bool) {
    let realm = Id::parse("default").unwrap();
    let alice = || Topic::User(Id::parse("alice").unwrap());
    let draft = || Draft { body: event(alice(), name, 100_000, ephemeral), id: None };
    for _ in 0..count {
        live.app.node().publish_one(&realm, draft()).await.unwrap();
    }
}

#[tokio::test]
async fn a_reader_that_stops_fills_its_outbox_and_goes() {
    let live = start(|config| {
        config.limits.outbox_events = 20;
        config.limits.outbox_bytes = 64 * 1_024 * 1_024;
    })
    .await;
    let mut slow = live.open_narrow("/api/v4/websocket", &live.bearer("alice")).await;
    slow.skip(2).await;
    let slow_ones = [("dialect", "mattermost")];
    // The kernel takes some megabytes before anything waits.
    while live.page().await.get("hubbub_outbox_events", &[]) < 12.0 {
        flood(&live, 1, "posted", false).await;
    }
    let page = live.page().await;
    assert!(page.get("hubbub_outbox_bytes", &[]) > 12.0 * 100_000.0);
    assert_eq!(page.get("hubbub_bodies_withheld_total", &[]), 0.0);
    flood(&live, 3, "typing", true).await;
    let pressure = [("reason", "pressure")];
    let page = live.until("hubbub_bodies_withheld_total", &pressure, 3.0).await;
    assert_eq!(page.get("hubbub_slow_consumers_total", &slow_ones), 0.0);
    flood(&live, 10, "posted", false).await;
    let page = live.until("hubbub_slow_consumers_total", &slow_ones, 1.0).await;
    assert_eq!(page.get("hubbub_hub_connections", &[]), 0.0);
    drop(slow);
    let closed = [("dialect", "mattermost"), ("code", "4431")];
    live.until("hubbub_sockets_closed_total", &closed, 1.0).await;
    live.until("hubbub_outbox_events", &[], 0.0).await;
    let page = live.until("hubbub_outbox_bytes", &[], 0.0).await;
    assert_eq!(page.get("hubbub_slow_consumers_total", &[]), 1.0);
}

#[tokio::test]
async fn a_body_that_nobody_looks_at_is_a_noop_of_its_own_class() {
    let live = start(|_| ()).await;
    let (mut alice, _) = live.mattermost("alice").await;
    let (mut bob, _) = live.mattermost("bob").await;
    alice.skip(1).await;
    bob.skip(1).await;
    // A client has to say of all places what they show.
    for looks in [
        r#"{"seq":1,"action":"presence","data":{"channel_id":"elsewhere","thread_channel_id":""}}"#,
        r#"{"seq":2,"action":"presence","data":{"thread_channel_id":"","is_thread_view":true}}"#,
    ] {
        bob.say(looks).await;
        assert_eq!(bob.json().await["status"], json!("OK"));
    }
    let typing = r#"{"seq":1,"action":"user_typing","data":{"channel_id":"town"}}"#;
    alice.say(typing).await;
    assert_eq!(alice.json().await["status"], json!("OK"));
    let page = live.until("hubbub_bodies_withheld_total", &[("reason", "scope")], 1.0).await;
    // It waits for company.
    assert_eq!(page.get("hubbub_deliveries_total", &[("class", "noop")]), 0.0);
    assert_eq!(page.get("hubbub_outbox_events", &[]), 1.0);
    live.publish(1, "posted", json!({"channel": "town"}), false).await;
    assert_eq!(bob.json().await, json!({"event": "hb_noop", "seq": 2}));
    assert_eq!(bob.json().await["event"], json!("posted"));
    let page = live.until("hubbub_deliveries_total", &[("class", "noop")], 1.0).await;
    assert_eq!(page.get("hubbub_delivery_seconds_count", &[("class", "ephemeral")]), 2.0);
    assert_eq!(page.get("hubbub_outbox_events", &[]), 0.0);
    assert_eq!(page.get("hubbub_outbox_bytes", &[]), 0.0);
}

#[tokio::test]
async fn records_that_the_tail_has_not_carried_are_its_lag() {
    let live = start(|_| ()).await;
    let realm = Id::parse("default").unwrap();
    let draft = || Draft { body: event(Topic::Everyone, "posted", 1, false), id: None };
    live.app.node().publish_one(&realm, draft()).await.unwrap();
    live.until("hubbub_events_tailed_total", &[], 1.0).await;
    // The tail shares this thread: it runs only when this task waits.
    live.app.node().publish(&realm, vec![draft(), draft(), draft()]).await;
    let page = super::page::Page::parse(&live.app.node().metrics_page());
    assert_eq!(page.get("hubbub_tail_lag_events", &[]), 3.0);
    let page = live.until("hubbub_tail_lag_events", &[], 0.0).await;
    assert_eq!(page.get("hubbub_events_tailed_total", &[]), 4.0);
    assert!(page.get("hubbub_tail_lag_seconds", &[]) > 0.0);
}

#[tokio::test]
async fn a_hub_that_does_not_run_shows_its_queue() {
    let metrics = Metrics::new("one", 1);
    let (hub, handle) = Hub::new(0, 16, &metrics, Clock::system());
    let id = Id::parse("default").unwrap();
    let began = Position { generation: Generation::new("1.0"), offset: 0, tag: Tag::default() };
    let realm = Arc::new(Realm::new(id, Ring::new(0, 16, 1 << 20), began, Gate::always()));
    for offset in 1..=5 {
        let generation = Generation::new("1.0");
        let record = Arc::new(Record {
            position: Position { generation, offset, tag: Tag::default() },
            previous_tag: Tag::default(),
            accepted_at_us: 1,
            body: event(Topic::Everyone, "posted", 1, false),
            renderings: Renderings::default(),
            kept: None,
        });
        realm.ring.push(&record);
        handle
            .records
            .send(Parcel { realm_key: 0, realm: Arc::clone(&realm), record })
            .await
            .unwrap();
    }
    handle.show_queue();
    assert_eq!(metrics.hub(0).buffer_size.get(), 5);
    assert_eq!(metrics.hub(0).buffer_capacity.get(), 16);
    let stop = hubbub::lifecycle::CancellationToken::new();
    stop.cancel();
    Box::pin(hub.run(stop)).await;
    handle.show_queue();
    assert_eq!(metrics.hub(0).buffer_size.get(), 0);
}
