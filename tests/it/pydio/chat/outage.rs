//! Goal: who can't be told whether a right is left does not lose it.
//!
//! Method: places of nodes can't be read for a while, because something else has their name.

use serde_json::json;

use super::{Stage, chatter, file, join, said, texts, users};

#[tokio::test]
async fn a_room_that_cannot_be_asked_for_is_kept_when_subscribing_again() {
    let stage = Stage::two_with(|_| {}).await;
    let room = file(&stage).await;
    let (mut alice, mut bob) = (chatter(&stage, "alice").await, chatter(&stage, "bob").await);
    let uuid = join(&mut alice, &room).await;
    join(&mut bob, &room).await;
    assert_eq!(users(&alice.push().await), ["alice", "bob"]);
    let places = "hb:{default}:pf";
    assert_eq!(stage.redis().command(&format!("RENAME {places} aside")).await, "+OK");
    assert_eq!(stage.redis().command(&format!("SET {places} x")).await, "+OK");
    // Nothing is told: nobody knows anything yet.
    bob.subscribe(&stage.token("bob")).await;
    assert_eq!(stage.redis().command(&format!("RENAME aside {places}")).await, "+OK");
    let update = bob.push().await;
    assert_eq!((&update["@type"], users(&update).contains(&"bob")), (&json!("ROOM_UPDATE"), true));
    loop {
        let update = alice.push().await;
        if users(&update).contains(&"bob") {
            break;
        }
    }
    said(&mut alice, &uuid, "you are still here").await;
    assert_eq!(texts(&mut bob, 1).await, ["you are still here"]);
}
