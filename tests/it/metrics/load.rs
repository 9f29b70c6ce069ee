//! A load of every kind, and each number that it leaves.

use serde_json::json;

use super::{
    live::{Live, start},
    page::Page,
};
use crate::ws::client::frame;

const MATTERMOST: (&str, &str) = ("dialect", "mattermost");
const ROOM: (&str, &str) = ("dialect", "room");

#[tokio::test]
async fn a_known_load_leaves_exact_numbers() {
    let live = start(|config| config.hubs.queue = 512).await;
    let (mut alice, _) = live.mattermost("alice").await;
    assert_eq!(alice.json().await["event"], json!("status_change"));
    let (mut alice_again, _) = live.mattermost("alice").await;
    let (mut bob, _) = live.mattermost("bob").await;
    assert_eq!(bob.json().await["event"], json!("status_change"));
    let lines = format!("{}Sec-WebSocket-Protocol: hubbub.room.v1\r\n", live.bearer("carol"));
    let mut carol = live.open("/ws/room/den", &lines).await;
    assert_eq!(carol.json().await["type"], json!("hello"));
    let mut dave = live.open("/ws/room/den?name=dave", "").await;
    let mut echo = live.open("/echo", "").await;
    let page = live.until("hubbub_hub_connections", &[], 5.0).await;
    assert_eq!(page.get("hubbub_connections", &[MATTERMOST]), 3.0);
    assert_eq!(page.get("hubbub_connections", &[ROOM]), 2.0);
    assert_eq!(page.get("hubbub_connections", &[("dialect", "echo")]), 1.0);
    assert_eq!(page.get("hubbub_http_connections", &[("listener", "public")]), 0.0);

    live.publish(10, "posted", json!({"channel": "town"}), false).await;
    live.publish(4, "typing", json!({"user": "alice"}), true).await;
    repeat_one(&live).await;
    let members = json!({"topic": {"channel": "hill"}, "add": ["bob"]});
    assert_eq!(live.post("/api/v1/members", &members).await.0, 200);
    for number in 0..5 {
        carol.say(&format!(r#"{{"text":"{number}"}}"#)).await;
        carol.skip(1).await;
    }
    echo.say("back").await;
    assert_eq!(echo.frame().await.unwrap().payload, b"back");
    alice.skip(15).await;
    alice_again.skip(15).await;
    bob.skip(11).await;
    for number in 0..5_u8 {
        assert!(dave.frame().await.unwrap().payload.ends_with(&[b'0' + number]));
    }
    let page = live.until("hubbub_users", &[("status", "online")], 3.0).await;
    check_log(&page);
    check_deliveries(&page);
    check_node(&page);
    check_requests(&live.page().await);

    alice.close(1000).await;
    alice_again.close(4000).await;
    drop(bob);
    carol.send(&frame(0x88, &[])).await;
    carol.rest().await;
    dave.send(&[0x81, 0x01, b'x']).await;
    assert_eq!(dave.closed().await.0, 1002);
    echo.close(1001).await;
    check_closed(&live).await;
}

/// One event, repeated, and its id with another body.
async fn repeat_one(live: &Live) {
    let mut event = json!({"event": "posted", "data": {}, "to": {"channel": "town"}, "id": "one"});
    assert_eq!(live.post("/api/v1/publish", &event).await.1["duplicate"], json!(false));
    assert_eq!(live.post("/api/v1/publish", &event).await.1["duplicate"], json!(true));
    event["data"] = json!({"other": 1});
    assert_eq!(live.post("/api/v1/publish", &event).await.0, 409);
}

fn check_log(page: &Page) {
    // Three users came, and each of them is online now.
    let expected = [
        ("control accepted", 1.0),
        ("durable accepted", 16.0),
        ("durable conflict", 1.0),
        ("durable duplicate", 1.0),
        ("ephemeral accepted", 7.0),
    ];
    let expected = expected.map(|(series, value)| (series.to_owned(), value));
    assert_eq!(page.counted("hubbub_events_published_total"), expected);
    let seconds = [("accepted", 24.0), ("conflict", 1.0), ("duplicate", 1.0)];
    let seconds = seconds.map(|(series, value)| (series.to_owned(), value));
    assert_eq!(page.counted("hubbub_publish_seconds_count"), seconds);
    assert!(page.get("hubbub_publish_seconds_sum", &[]) < 24.0);
    // The channel that each token seeds is a record, too; guests have none.
    assert_eq!(page.get("hubbub_events_tailed_total", &[]), 24.0 + 3.0);
    assert_eq!(page.get("hubbub_ring_events", &[]), 27.0);
    assert!(page.get("hubbub_ring_bytes", &[]) >= 27.0 * 64.0);
    assert_eq!(page.get("hubbub_tail_lag_events", &[]), 0.0);
    assert!(page.get("hubbub_tail_lag_seconds", &[]) < 20.0);
    assert_eq!(page.counted("hubbub_tail_catchups_total"), []);
}

fn check_deliveries(page: &Page) {
    // alice's second socket came after the change of her status.
    let expected =
        [("durable mattermost", 33.0), ("durable room", 10.0), ("ephemeral mattermost", 10.0)];
    let expected = expected.map(|(series, value)| (series.to_owned(), value));
    assert_eq!(page.counted("hubbub_deliveries_total"), expected);
    let seconds = [("durable".to_owned(), 43.0), ("ephemeral".to_owned(), 10.0)];
    assert_eq!(page.counted("hubbub_delivery_seconds_count"), seconds);
    let sum = page.get("hubbub_delivery_seconds_sum", &[]);
    assert!(sum > 0.0 && sum < 53.0 * 20.0, "{sum}");
    assert_eq!(page.counted("hubbub_bodies_withheld_total"), []);
    assert_eq!(page.counted("hubbub_slow_consumers_total"), []);
    assert_eq!(page.get("hubbub_outbox_events", &[]), 0.0);
    assert_eq!(page.get("hubbub_outbox_bytes", &[]), 0.0);
}

fn check_node(page: &Page) {
    assert_eq!(page.get("hubbub_ready", &[]), 1.0);
    assert_eq!(page.get("hubbub_drain_phase", &[]), 0.0);
    assert_eq!(page.get("hubbub_users", &[]), 3.0);
    assert_eq!(page.get("hubbub_session_panics_total", &[]), 0.0);
    assert_eq!(page.get("hubbub_build_info", &[("node", "test-node")]), 1.0);
    for hub in ["0", "1"] {
        assert_eq!(page.get("hubbub_hub_broadcast_buffer_capacity", &[("hub", hub)]), 512.0);
        assert_eq!(page.get("hubbub_hub_broadcast_buffer_size", &[("hub", hub)]), 0.0);
    }
    assert_eq!(page.counted("hubbub_resumes_total"), []);
    assert_eq!(page.counted("hubbub_resets_total"), []);
    for name in ["process_cpu_seconds_total", "process_open_fds", "process_threads"] {
        assert!(page.get(name, &[]) > 0.0, "{name}");
    }
    for row in hubbub::metrics::TABLE {
        let name = if row.kind == "histogram" {
            format!("{}_count", row.name)
        } else {
            row.name.to_owned()
        };
        assert!(page.has(&name), "{name}");
    }
}

fn check_requests(page: &Page) {
    let name = "hubbub_http_requests_total";
    for (route, status, count) in [
        ("/api/v4/websocket", "101", 3.0),
        ("/ws/room/{name}", "101", 2.0),
        ("/echo", "101", 1.0),
        ("/api/v1/publish", "200", 16.0),
        ("/api/v1/publish", "409", 1.0),
        ("/api/v1/members", "200", 1.0),
    ] {
        assert_eq!(page.get(name, &[("route", route), ("status", status)]), count, "{route}");
        let series = [("route", route), ("status", status)];
        assert_eq!(page.get("hubbub_http_request_seconds_count", &series), count, "{route}");
    }
    assert!(page.get(name, &[("route", "/metrics"), ("status", "200")]) >= 1.0);
}

async fn check_closed(live: &Live) {
    let page = live.until("hubbub_connections", &[], 0.0).await;
    let closed = [
        ("1000 mattermost", 1.0),
        ("1001 echo", 1.0),
        ("1002 room", 1.0),
        ("1005 room", 1.0),
        ("1006 mattermost", 1.0),
        ("other mattermost", 1.0),
    ];
    let closed = closed.map(|(series, value)| (series.to_owned(), value));
    assert_eq!(page.counted("hubbub_sockets_closed_total"), closed);
    for (dialect, count) in [("mattermost", 3.0), ("room", 2.0), ("echo", 1.0)] {
        let dialect = [("dialect", dialect)];
        assert_eq!(page.get("hubbub_sockets_opened_total", &dialect), count);
        assert_eq!(page.get("hubbub_sockets_closed_total", &dialect), count);
    }
    let rejected = [("conflict api".to_owned(), 1.0), ("unmasked frame".to_owned(), 1.0)];
    assert_eq!(page.counted("hubbub_rejections_total"), rejected);
    let page = live.until("hubbub_hub_connections", &[], 0.0).await;
    assert_eq!(page.get("hubbub_outbox_events", &[]), 0.0);
    assert_eq!(page.get("hubbub_outbox_bytes", &[]), 0.0);
}
