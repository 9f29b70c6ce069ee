//! Goal: nobody alone uses up the rooms of a realm in Redis.

use serde_json::json;

use super::{Stage, chatter, join, told};

#[tokio::test]
async fn a_user_who_made_too_many_rooms_makes_no_more() {
    let stage = Stage::two_with(|_| {}).await;
    let room = |object: &str| json!({"Type": "GLOBAL", "RoomTypeObject": object});
    let mut alice = chatter(&stage, "alice").await;
    join(&mut alice, &room("first")).await;
    let made = "hb:{default}:kn alice";
    assert_eq!(stage.redis().command(&format!("HINCRBY {made} 9998")).await, ":9999");
    join(&mut alice, &room("second")).await;
    alice.send(json!({"@type": "JOIN", "Room": room("third")})).await;
    assert_eq!(told(&mut alice).await, "there are too many rooms");
    let mut bob = chatter(&stage, "bob").await;
    join(&mut bob, &room("third")).await;
    // Nothing was said in it: it goes, and makes room for another.
    alice.send(json!({"@type": "LEAVE", "Room": room("first")})).await;
    assert_eq!(alice.push().await["@type"], "ROOM_UPDATE");
    join(&mut alice, &room("fourth")).await;
    assert_eq!(stage.redis().command("HLEN hb:{default}:k").await, ":3");
}
