//! How connections go on, or do not.

use serde_json::json;

use super::live::start;

#[tokio::test]
async fn each_end_of_a_resume_is_counted_by_its_result_and_cause() {
    let live = start(|config| {
        config.limits.resume_replay_events = 5;
        config.log.retention_events = 8;
    })
    .await;
    let to_alice = || json!({"user": "alice"});
    let (mut alice, id) = live.mattermost("alice").await;
    // The number 1 is the change of her status.
    alice.skip(1).await;
    live.publish(1, "posted", to_alice(), false).await;
    alice.skip(1).await;
    drop(alice);
    live.until("hubbub_connections", &[], 0.0).await;

    let alice = live.resume("alice", &id, 3).await;
    let page = live.until("hubbub_resumes_total", &[("result", "lossless")], 1.0).await;
    assert_eq!(page.get("hubbub_bodies_withheld_total", &[]), 0.0);
    drop(alice);
    live.until("hubbub_connections", &[], 0.0).await;
    live.publish(2, "posted", to_alice(), false).await;
    live.publish(1, "typing", to_alice(), true).await;

    let mut alice = live.resume("alice", &id, 3).await;
    alice.skip(2).await;
    assert_eq!(alice.json().await, json!({"event": "hb_noop", "seq": 5}));
    let page = live.until("hubbub_resumes_total", &[("result", "replayed")], 1.0).await;
    assert_eq!(page.get("hubbub_bodies_withheld_total", &[("reason", "replayed")]), 1.0);
    assert_eq!(page.get("hubbub_deliveries_total", &[("class", "noop")]), 1.0);
    drop(alice);
    live.until("hubbub_connections", &[], 0.0).await;

    let resets = [
        ("bob", id.clone(), 6, "forbidden"),
        ("alice", id.clone(), 99, "ahead"),
        ("alice", "abcdefghijklmnopqrstuvwxyz".to_owned(), 1, "unknown"),
    ];
    for (user, id, next, cause) in resets {
        let mut client = live.resume(user, &id, next).await;
        assert_eq!(client.json().await["event"], json!("hello"), "{cause}");
        live.until("hubbub_resets_total", &[("cause", cause)], 1.0).await;
    }
    for (missed, cause) in [(7, "replay_limit"), (9, "retention")] {
        let (alice, id) = live.mattermost("alice").await;
        drop(alice);
        live.until("hubbub_connections", &[], 0.0).await;
        live.publish(missed, "posted", to_alice(), false).await;
        let mut alice = live.resume("alice", &id, 1).await;
        assert_eq!(alice.json().await["event"], json!("hello"), "{cause}");
        live.until("hubbub_resets_total", &[("cause", cause)], 1.0).await;
    }
    let page = live.page().await;
    let results = [("forbidden", 1.0), ("lossless", 1.0), ("replayed", 1.0), ("reset", 4.0)];
    let results = results.map(|(series, value)| (series.to_owned(), value));
    assert_eq!(page.counted("hubbub_resumes_total"), results);
    assert_eq!(page.get("hubbub_resets_total", &[]), 5.0);
    assert_eq!(page.get("hubbub_ring_events", &[]), 8.0);
}

#[tokio::test]
async fn a_resume_closes_the_old_socket() {
    let live = start(|_| ()).await;
    let (mut old, id) = live.mattermost("alice").await;
    old.skip(1).await;
    let _new = live.resume("alice", &id, 2).await;
    assert_eq!(old.closed().await.0, 4409);
    drop(old);
    let closed = [("dialect", "mattermost"), ("code", "4409")];
    let page = live.until("hubbub_sockets_closed_total", &closed, 1.0).await;
    assert_eq!(page.get("hubbub_connections", &[]), 1.0);
    assert_eq!(page.get("hubbub_hub_connections", &[]), 1.0);
}
