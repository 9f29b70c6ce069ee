//! Refusals: each stage counts what it refuses, once.

use serde_json::json;

use super::live::start;
use crate::ws::client::frame;

#[tokio::test]
async fn every_stage_counts_what_it_refuses_once() {
    let live = start(|config| {
        config.limits.commands_per_second = 0.001;
        config.limits.commands_burst = 3;
        config.limits.subscriptions_per_connection = 1;
        config.limits.connections_per_user = 2;
    })
    .await;
    assert_eq!(live.refused("/nowhere", "").await, 404);
    assert_eq!(live.refused("/ws/room/den?sequence_number=x", "").await, 400);
    let bad = "Authorization: Bearer a.b.c\r\n";
    assert_eq!(live.refused("/ws", bad).await, 401);
    let body = json!({"event": 1, "data": {}, "to": {"everyone": true}});
    assert_eq!(live.post("/api/v1/publish", &body).await.0, 400);

    let (mut alice, _) = live.mattermost("alice").await;
    alice.skip(1).await;
    let (mut again, _) = live.mattermost("alice").await;
    assert_eq!(live.refused("/api/v4/websocket", &live.bearer("alice")).await, 429);
    for (text, seq) in [
        (r#"{"seq":1,"action":"user_typing","data":{"channel_id":"hill"}}"#, 1),
        (r#"{"seq":2,"action":"subscribe_statuses","data":{"user_ids":["a","b"]}}"#, 2),
        (r#"{"seq":3,"action":"fly"}"#, 3),
        (r#"{"seq":4,"action":"get_statuses"}"#, 4),
    ] {
        alice.say(text).await;
        let reply = alice.json().await;
        assert_eq!(
            (&reply["status"], &reply["seq_reply"]),
            (&json!("FAIL"), &json!(seq)),
            "{text}"
        );
    }
    again.say("{").await;
    assert_eq!(again.closed().await.0, 1007);
    alice.send(&frame(0x83, b"")).await;
    assert_eq!(alice.closed().await.0, 1002);

    let page = live.until("hubbub_connections", &[], 0.0).await;
    let expected = [
        ("action message", 1.0),
        ("commands limit", 1.0),
        ("connections_per_user limit", 1.0),
        ("field api", 1.0),
        ("json message", 1.0),
        ("not_found http", 1.0),
        ("not_member message", 1.0),
        ("query handshake", 1.0),
        ("reserved_opcode frame", 1.0),
        ("subscriptions limit", 1.0),
        ("token_malformed auth", 1.0),
    ];
    let expected = expected.map(|(series, value)| (series.to_owned(), value));
    assert_eq!(page.counted("hubbub_rejections_total"), expected);
}

#[tokio::test]
async fn who_does_not_answer_a_ping_or_finish_a_message_is_refused() {
    let live = start(|config| {
        config.limits.ping_interval = std::time::Duration::from_millis(500);
        config.limits.pong_timeout = std::time::Duration::from_millis(500);
        config.limits.message_timeout = std::time::Duration::from_millis(500);
    })
    .await;
    let (mut silent, _) = live.mattermost("alice").await;
    silent.skip(1).await;
    let refused = [("stage", "frame"), ("reason", "pong_timeout")];
    live.until("hubbub_rejections_total", &refused, 1.0).await;
    let (mut slow, _) = live.mattermost("bob").await;
    slow.send(&[0x81, 0x85, 1]).await;
    let refused = [("stage", "frame"), ("reason", "message_timeout")];
    live.until("hubbub_rejections_total", &refused, 1.0).await;
}
