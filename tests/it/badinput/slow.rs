//! Goal: a client that does not read costs no more than its bounds, is told so, and
//! gets everything later; those beside it notice nothing.
//!
//! Method: small buffers and small limits, so that few events are too many.

use std::time::Duration;

use serde_json::json;

use super::{Lab, Person};
use crate::http::client::Server;

fn slow_readers(server: &Server) -> u64 {
    server.node.metrics().slow_consumers_total.with_label_values(&["mattermost"]).get()
}

/// Publishes big events until alice's socket is given up, and returns how many.
async fn drown(lab: &mut Lab) -> u64 {
    let text = "x".repeat(64 * 1024);
    let mut count = 0;
    while slow_readers(&lab.server) == 0 {
        assert!(count < 400, "alice is never given up");
        count += 1;
        lab.publish_data(&json!({"n": count, "text": &text})).await;
        assert_eq!(lab.witness.event("posted").await["data"]["n"], json!(count), "at once");
        let held = lab.server.node.metrics().outbox_bytes.get();
        assert!(held <= 4 * 70_000, "{held} bytes wait");
    }
    count
}

#[tokio::test]
async fn w21_a_client_that_never_reads_is_4431_and_goes_on_without_a_gap() {
    let mut lab = Lab::with(|config| {
        config.limits.outbox_events = 16;
        config.limits.outbox_bytes = 128 * 1024;
        config.limits.resume_replay_bytes = 64 * 1024 * 1024;
    })
    .await;
    let token = lab.server.token("alice");
    let mut alice = Person::enter_with_small_buffer(&lab.server, &token).await;
    let count = drown(&mut lab).await;
    // It wakes up, finds what was on the way, and the reason.
    assert_eq!(alice.closed().await, 4431);
    let had = alice.heard.iter().filter(|name| *name == "posted").count();
    let had = u64::try_from(had).unwrap();
    assert!(had < count, "{had} of {count}");
    let (mut again, mut message) = lab.resume(&token, &alice.connection, alice.next).await;
    for n in had + 1..=count {
        while message["event"] != "posted" {
            message = again.event("posted").await;
        }
        assert_eq!(message["data"]["n"], json!(n));
        if n < count {
            message = again.event("posted").await;
        }
    }
    assert_eq!(lab.resumes("replayed"), 1);
    lab.until("nothing waits", |server| server.node.metrics().outbox_bytes.get() == 0).await;
    lab.published = count;
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn w21_a_client_that_never_reads_at_all_is_dropped_and_can_come_back() {
    let mut lab = Lab::with(|config| {
        config.limits.outbox_events = 16;
        config.limits.outbox_bytes = 128 * 1024;
        config.limits.resume_replay_bytes = 64 * 1024 * 1024;
    })
    .await;
    let token = lab.server.token("alice");
    let alice = Person::enter_with_small_buffer(&lab.server, &token).await;
    let count = drown(&mut lab).await;
    let open = |server: &Server| {
        server.node.metrics().connections.with_label_values(&["mattermost"]).get()
    };
    lab.until("the socket is dropped", |server| open(server) == 1).await;
    let closed = &lab.server.node.metrics().sockets_closed_total;
    assert_eq!(closed.with_label_values(&["mattermost", "4431"]).get(), 1);
    assert_eq!(lab.server.node.metrics().outbox_bytes.get(), 0);
    // Nothing was read behind the hello: all of it comes again.
    let (mut again, mut message) = lab.resume(&token, &alice.connection, 1).await;
    for n in 1..=count {
        while message["event"] != "posted" || message["data"]["n"] != json!(n) {
            assert!(message["data"]["n"].as_u64().is_none_or(|seen| seen < n), "{n} is missing");
            message = again.event("posted").await;
        }
    }
    lab.published = count;
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn w21_replies_that_nobody_reads_are_bounded_too() {
    let mut lab = Lab::with(|config| {
        config.limits.outbox_events = 16;
        config.limits.outbox_bytes = 16 * 1024;
        config.limits.commands_per_second = 1e6;
        config.limits.commands_burst = 1_000_000;
    })
    .await;
    let token = lab.server.token("alice");
    let mut alice = Person::enter_with_small_buffer(&lab.server, &token).await;
    // Replies that are bigger than what they answer.
    let users: Vec<String> = (0..250).map(|n| format!("user-{n:058}")).collect();
    let ask = json!({"seq": 1, "action": "get_statuses_by_ids", "data": {"user_ids": users}});
    let ask = super::text_frame(&ask.to_string());
    let node = std::sync::Arc::clone(&lab.server.node);
    let closed = &node.metrics().sockets_closed_total;
    let mut count = 0;
    while closed.with_label_values(&["mattermost", "4431"]).get() == 0 {
        assert!(count < 2_000, "alice is never given up");
        count += 1;
        alice.client.send_if_open(&ask).await;
        if count % 16 == 0 {
            lab.is_undisturbed().await;
        }
        let held = lab.server.node.metrics().outbox_bytes.get();
        assert!(held <= 64 * 1024, "{held} bytes wait");
    }
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn w21_a_few_events_that_wait_too_long_are_4431_too() {
    let mut lab = Lab::with(|config| {
        config.limits.outbox_events = 100_000;
        config.limits.outbox_bytes = 256 * 1024 * 1024;
        config.limits.outbox_stall = Duration::from_secs(1);
    })
    .await;
    let token = lab.server.token("alice");
    let mut alice = Person::enter_with_small_buffer(&lab.server, &token).await;
    let text = "x".repeat(64 * 1024);
    // Until some wait; nothing is published any more then.
    while lab.server.node.metrics().outbox_bytes.get() < 100_000 {
        lab.publish_data(&json!({"n": 0, "text": &text})).await;
        lab.witness.event("posted").await;
        assert!(lab.witness.next < 400, "nothing ever waits");
    }
    lab.until("alice is given up", |server| slow_readers(server) == 1).await;
    assert_eq!(alice.closed().await, 4431);
    lab.is_undisturbed().await;
}
