//! Goal: however a peer ends, or does not end, its socket is closed soon and with a
//! code, and nobody else notices.
//!
//! Method: close frames of every kind, silence and half-closed connections.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, interval};

use super::{Lab, PATIENCE, ping};
use crate::ws::client::frame;

/// The time that an end may take, with room for a slow machine.
const SOON: Duration = Duration::from_secs(5);

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes(), reason].concat())
}

#[tokio::test]
async fn w12_a_malformed_close_is_answered_with_1002_or_1007() {
    let mut lab = Lab::new().await;
    let codes = [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535];
    let mut rows: Vec<(Vec<u8>, u16, &str)> =
        codes.iter().map(|code| (close(*code, b""), 1002, "close_payload")).collect();
    rows.push((frame(0x88, b"\x03"), 1002, "close_payload"));
    rows.push((close(1000, b"\xff"), 1007, "not_utf8"));
    rows.push((close(1000, &[b'x'; 124]), 1002, "control_too_long"));
    for (bytes, code, reason) in rows {
        let alice = lab.join("alice").await;
        lab.refuses(alice, &bytes, (code, "frame", reason)).await;
        let stranger = lab.stranger().await;
        lab.refuses(stranger, &bytes, (code, "frame", reason)).await;
    }
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn w13_frames_after_a_close_are_ignored() {
    let mut lab = Lab::new().await;
    let mut alice = lab.join("alice").await;
    let typing = json!({"seq": 1, "action": "user_typing", "data": {"channel_id": "town"}});
    let late = frame(0x81, typing.to_string().as_bytes());
    alice.client.send(&[close(4000, b""), late.repeat(20), b"\x81\x02hi".to_vec()].concat()).await;
    assert_eq!(alice.closed().await, 4000);
    lab.is_undisturbed().await;
    assert!(!lab.witness.heard.contains(&"typing".to_owned()), "{:?}", lab.witness.heard);
}

#[tokio::test]
async fn w13_a_close_that_is_never_answered_ends_soon() {
    let mut lab = Lab::new().await;
    let mut alice = lab.join("alice").await;
    let body = json!({"connection": alice.connection, "code": 4403, "reason": "out"});
    let began = Instant::now();
    assert_eq!(lab.server.post("/api/v1/disconnect", &body.to_string()).await.status, 200);
    while alice.client.frame().await.is_some_and(|frame| super::code_of(&frame) != Some(4403)) {}
    assert_eq!(alice.client.frame().await, None, "the server does not wait for the answer");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn w23_silence_ends_with_1008_and_any_data_is_a_sign_of_life() {
    let mut lab = Lab::with(|config| {
        config.limits.ping_interval = Duration::from_secs(1);
        config.limits.pong_timeout = Duration::from_secs(3);
        config.limits.commands_per_second = 1_000.0;
    })
    .await;
    let before = lab.server.rejected("frame", "pong_timeout");
    let mut silent = lab.join("alice").await;
    let mut talker = lab.join("bob").await;
    let mut beats = interval(Duration::from_millis(200));
    let mut seq = 0;
    let deadline = Instant::now() + PATIENCE;
    // Neither of them answers a ping. The witness does not either, but talks.
    while lab.server.rejected("frame", "pong_timeout") == before {
        assert!(Instant::now() < deadline, "the silent one stays");
        beats.tick().await;
        seq += 1;
        talker.text(&ping(seq)).await;
        lab.witness.text(&ping(seq)).await;
    }
    assert_eq!(silent.closed().await, 1008);
    assert_eq!(talker.reply(seq).await["status"], "OK");
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn w24_a_half_closed_socket_ends_soon() {
    let mut lab = Lab::new().await;
    let began = Instant::now();
    let mut alice = lab.join("alice").await;
    alice.client.half_close().await;
    alice.client.rest().await;
    let mut stranger = lab.stranger().await;
    stranger.client.half_close().await;
    stranger.client.rest().await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let connections = |server: &crate::http::client::Server| {
        server.node.metrics().connections.with_label_values(&["mattermost"]).get()
    };
    lab.until("only the witness is left", |server| connections(server) == 1).await;
    lab.is_undisturbed().await;
}
