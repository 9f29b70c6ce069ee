//! Goal: what was in folders that were deleted does not fill up Redis.

use serde_json::{Value, json};

use super::stage::Stage;

/// Tells of so many nodes in a folder.
async fn tell(stage: &Stage, folder: &str, count: usize) {
    let node = |at: usize| json!({"uuid": format!("{folder}-{at}"), "path": format!("{folder}/{}/{at}", at % 9)});
    let nodes: Vec<Value> = (0..count).map(node).collect();
    stage.call("POST", "pydio/nodes", json!({"nodes": nodes})).await;
}

#[tokio::test]
async fn nodes_in_deleted_folders_make_room_for_others() {
    let stage = Stage::two_with(|_| {}).await;
    let kept =
        async |table: &str| stage.redis().command(&format!("HLEN hb:{{default}}:{table}")).await;
    for round in 0..2 {
        tell(&stage, &format!("gone-{round}"), 700).await;
        stage.delete_folder(&format!("gone-{round}")).await;
    }
    tell(&stage, "kept", 300).await;
    // One folder and nine in it; how much is in each, and the last number.
    assert_eq!([kept("pf").await, kept("pp").await, kept("pc").await], [":300", ":10", ":11"]);
    // While nothing goes, nothing is looked for.
    let monitor = stage.redis().monitor().await;
    tell(&stage, "kept", 300).await;
    let asked = monitor.stop().await;
    assert!(!asked.iter().any(|words| words[0].eq_ignore_ascii_case("HSCAN")));
    assert!(asked.iter().any(|words| words[0].eq_ignore_ascii_case("HSET")));
}
