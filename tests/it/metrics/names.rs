//! Mattermost's own names: the same facts for its own dashboards.

use serde_json::json;

use super::live::start;

#[tokio::test]
async fn mattermost_names_say_the_same() {
    let live = start(|config| config.mattermost_metric_names = true).await;
    let (mut alice, id) = live.mattermost("alice").await;
    alice.skip(1).await;
    let (mut bob, _) = live.mattermost("bob").await;
    bob.skip(1).await;
    let mut guest = live.open("/ws?name=guest", "").await;
    live.publish(3, "posted", json!({"channel": "town"}), false).await;
    live.publish(2, "custom_thing", json!({"user": "alice"}), false).await;
    guest.say("hello").await;
    assert!(guest.frame().await.is_some());
    alice.skip(5).await;
    bob.skip(3).await;
    for seq in 1..=4 {
        bob.say(&format!(r#"{{"seq":{seq},"action":"ping"}}"#)).await;
        bob.skip(1).await;
    }
    let page = live.until("mattermost_http_websockets_total", &[], 2.0).await;
    assert_eq!(page.get("mattermost_http_websockets_total", &[("origin_client", "unknown")]), 2.0);
    assert_eq!(page.get("mattermost_websocket_broadcast_buffer_users_registered", &[]), 3.0);
    assert_eq!(page.get("mattermost_websocket_broadcast_buffer_size", &[("hub", "1")]), 0.0);
    // What is said in a room is none of Mattermost's events.
    let events = [("other", 3.0), ("posted", 3.0), ("status_change", 2.0)];
    let events = events.map(|(series, value)| (series.to_owned(), value));
    assert_eq!(page.counted("mattermost_websocket_event_total"), events);
    let written = [
        ("hello", 2.0),
        ("other", 2.0),
        ("posted", 6.0),
        ("response", 4.0),
        ("status_change", 2.0),
    ];
    let written = written.map(|(series, value)| (series.to_owned(), value));
    assert_eq!(page.counted("mattermost_websocket_broadcasts_total"), written);

    drop(alice);
    live.until("mattermost_http_websockets_total", &[], 1.0).await;
    let alice = live.resume("alice", &id, 7).await;
    live.until("mattermost_websocket_reconnects_total", &[("type", "lossless")], 1.0).await;
    drop(alice);
    live.until("mattermost_http_websockets_total", &[], 1.0).await;
    let _alice = live.resume("alice", &id, 5).await;
    live.until("mattermost_websocket_reconnects_total", &[("type", "success")], 1.0).await;
    for (user, id) in [("bob", id.as_str()), ("bob", "abcdefghijklmnopqrstuvwxyz")] {
        live.resume(user, id, 3).await.skip(1).await;
    }
    live.until("mattermost_websocket_reconnects_total", &[("type", "failure")], 2.0).await;
}

#[tokio::test]
async fn they_are_not_there_unless_asked_for() {
    let live = start(|_| ()).await;
    let page = live.page().await;
    assert!(!page.has("mattermost_http_websockets_total"));
    assert!(!page.has("mattermost_websocket_event_total"));
}
