//! Goal: the scenarios of chat, with everybody on one node and with clients on two.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::{
    Client, Stage, ask, chatter, file, history, join, next, post, post_as, ruled_file, said, texts,
    told, users,
};
use crate::pydio::on_one_and_on_two;

on_one_and_on_two!(
    s10_joining_a_new_room_tells_who_is_there,
    s11_everybody_gets_the_bare_message,
    s12_a_read_only_member_is_refused,
    s13_only_the_stored_author_deletes,
    s14_a_page_ends_with_may_have_more,
    s15_silence_leaves_the_room,
    pages_stay_where_they_are_while_people_talk,
    an_edit_is_told_with_the_same_name,
    a_socket_that_ends_leaves_when_it_was_the_last,
    leaving_ends_what_is_heard,
    a_retry_by_its_name_says_it_once,
    rooms_are_about_something_that_one_may_see,
    the_documented_vocabulary_works,
);

async fn s10_joining_a_new_room_tells_who_is_there(stage: &Stage) {
    let room = file(stage).await;
    let mut alice = chatter(stage, "alice").await;
    alice.send(json!({"@type": "JOIN", "Room": room})).await;
    let update = alice.push().await;
    assert_eq!(update["@type"], "ROOM_UPDATE");
    assert_eq!(update["Room"]["Type"], "NODE");
    assert_eq!(update["Room"]["RoomTypeObject"], "n-17");
    assert_eq!(users(&update), ["alice"]);
    assert!(update["Room"]["LastUpdated"].is_u64(), "{update}");
    let mut bob = chatter(stage, "bob").await;
    bob.send(json!({"@type": "JOIN", "Room": room})).await;
    let both = [bob.push().await, alice.push().await];
    assert_eq!(both[0], both[1]);
    assert_eq!(both[0]["Room"]["Uuid"], update["Room"]["Uuid"], "one room, on whichever node");
    assert_eq!(users(&both[0]), ["alice", "bob"]);
    // Saying that one is still there tells nobody.
    bob.send(json!({"@type": "JOIN", "Room": room, "Message": {"Message": "PING"}})).await;
    bob.settled().await;
    alice.settled().await;
}

async fn s11_everybody_gets_the_bare_message(stage: &Stage) {
    let room = file(stage).await;
    let (mut alice, mut bob) = (chatter(stage, "alice").await, chatter(stage, "bob").await);
    let uuid = join(&mut alice, &room).await;
    join(&mut bob, &room).await;
    alice.push().await;
    let forged = json!({"RoomUuid": uuid, "Message": "hello", "Author": "bob", "Timestamp": "1"});
    alice.send(json!({"@type": "POST", "Message": forged})).await;
    let message = alice.push().await;
    assert_eq!(bob.push().await, message);
    assert_eq!(message["Message"], "hello");
    assert_eq!(message["Author"], "alice");
    assert_eq!(message["RoomUuid"], uuid.as_str());
    assert!(message.get("@type").is_none() && message["Uuid"].is_string(), "{message}");
    let at: u64 = message["Timestamp"].as_str().expect("a text").parse().unwrap();
    assert!(at > 1_700_000_000, "{message}");
}

async fn s12_a_read_only_member_is_refused(stage: &Stage) {
    let rules = json!([{"user": "bob", "path": "reports", "read": true, "write": false}]);
    let room = ruled_file(stage, rules).await;
    let (mut alice, mut bob) = (chatter(stage, "alice").await, chatter(stage, "bob").await);
    let uuid = join(&mut alice, &room).await;
    join(&mut bob, &room).await;
    alice.push().await;
    post(&mut bob, &uuid, "may I?").await;
    assert_eq!(told(&mut bob).await, "this room is read-only for you");
    said(&mut alice, &uuid, "first").await;
    assert_eq!(texts(&mut bob, 1).await, ["first"], "reading is allowed");
    assert_eq!(history(&mut bob, &room, 1).await, ["first"]);
    // The right is asked for each time, not when one joins.
    stage.ruled_workspace("ws-9", "common", json!([])).await;
    said(&mut bob, &uuid, "now I may").await;
}

async fn s13_only_the_stored_author_deletes(stage: &Stage) {
    let room = file(stage).await;
    let (mut alice, mut bob) = (chatter(stage, "alice").await, chatter(stage, "bob").await);
    let uuid = join(&mut alice, &room).await;
    join(&mut bob, &room).await;
    alice.push().await;
    let message = said(&mut alice, &uuid, "mine").await;
    texts(&mut bob, 1).await;
    let name = &message["Uuid"];
    for author in ["bob", "alice"] {
        let target = json!({"Uuid": name, "RoomUuid": uuid, "Author": author});
        bob.send(json!({"@type": "DELETE_MSG", "Message": target})).await;
        assert_eq!(told(&mut bob).await, "only its author may change a message");
    }
    assert_eq!(history(&mut bob, &room, 1).await, ["mine"]);
    let target = json!({"Uuid": name, "RoomUuid": uuid, "Author": "alice"});
    alice.send(json!({"@type": "DELETE_MSG", "Message": target})).await;
    for client in [&mut alice, &mut bob] {
        let gone = client.push().await;
        assert_eq!(gone, json!({"@type": "DELETE_MSG", "Message": target}));
    }
    assert_eq!(history(&mut bob, &room, 0).await, [""; 0]);
}

/// A room in which `m1` to `m5` were said.
async fn five(stage: &Stage) -> (Client, Value, String) {
    let room = file(stage).await;
    let mut alice = chatter(stage, "alice").await;
    let uuid = join(&mut alice, &room).await;
    for number in 1..=5 {
        said(&mut alice, &uuid, &format!("m{number}")).await;
    }
    (alice, room, uuid)
}

async fn s14_a_page_ends_with_may_have_more(stage: &Stage) {
    let (_alice, room, uuid) = five(stage).await;
    let mut bob = chatter(stage, "bob").await;
    join(&mut bob, &room).await;
    let check = async |bob: &mut Client, offset, expected: &[&str]| {
        ask(bob, &room, offset, 2).await;
        assert_eq!(texts(bob, expected.len()).await, expected);
    };
    check(&mut bob, 0, &["m4", "m5"]).await;
    let more = bob.push().await;
    assert_eq!(more["@type"], "MAY_HAVE_MORE");
    assert_eq!(more["RoomUuid"], uuid.as_str());
    assert_eq!((&more["Offset"], &more["Limit"]), (&json!(2), &json!(2)));
    assert!(more["Timestamp"].is_u64(), "{more}");
    check(&mut bob, 2, &["m2", "m3"]).await;
    assert_eq!(bob.push().await["Offset"], 4);
    check(&mut bob, 4, &["m1"]).await;
    bob.settled().await;
    check(&mut bob, 3, &["m1", "m2"]).await;
    assert_eq!(bob.push().await["Offset"], 5);
    assert_eq!(history(&mut bob, &room, 5).await, ["m1", "m2", "m3", "m4", "m5"]);
}

async fn pages_stay_where_they_are_while_people_talk(stage: &Stage) {
    let (mut alice, room, uuid) = five(stage).await;
    let mut bob = chatter(stage, "bob").await;
    join(&mut bob, &room).await;
    alice.push().await;
    ask(&mut bob, &room, 0, 2).await;
    assert_eq!(texts(&mut bob, 2).await, ["m4", "m5"]);
    bob.push().await;
    for text in ["m6", "m7", "m8"] {
        said(&mut alice, &uuid, text).await;
    }
    assert_eq!(texts(&mut bob, 3).await, ["m6", "m7", "m8"]);
    ask(&mut bob, &room, 2, 2).await;
    assert_eq!(texts(&mut bob, 2).await, ["m2", "m3"], "where the first page ended");
    bob.push().await;
    ask(&mut bob, &room, 1, 2).await;
    assert_eq!(texts(&mut bob, 2).await, ["m3", "m4"], "counted from where reading began");
    bob.push().await;
    ask(&mut bob, &room, 0, 2).await;
    assert_eq!(texts(&mut bob, 2).await, ["m7", "m8"], "and from the newest again");
}

async fn s15_silence_leaves_the_room(stage: &Stage) {
    let room = file(stage).await;
    let (mut alice, mut bob) = (chatter(stage, "alice").await, chatter(stage, "bob").await);
    join(&mut alice, &room).await;
    let began_at = Instant::now();
    join(&mut bob, &room).await;
    assert_eq!(users(&alice.push().await), ["alice", "bob"]);
    let ping = json!({"@type": "JOIN", "Room": room, "Message": {"Message": "PING"}});
    let update = loop {
        match timeout(Duration::from_secs(8), next(&mut alice)).await {
            Ok(update) => break update.unwrap(),
            Err(_elapsed) => alice.send(ping.clone()).await,
        }
    };
    assert_eq!(users(&update), ["alice"]);
    let after = began_at.elapsed();
    assert!((19..25).contains(&after.as_secs()), "{after:?}");
    let update = next(&mut bob).await.unwrap();
    assert_eq!(users(&update), ["alice"], "who is silent still hears");
    bob.send(ping).await;
    assert_eq!(users(&bob.push().await), ["alice", "bob"]);
    assert_eq!(users(&alice.push().await), ["alice", "bob"]);
}

async fn an_edit_is_told_with_the_same_name(stage: &Stage) {
    let room = file(stage).await;
    let (mut alice, mut bob) = (chatter(stage, "alice").await, chatter(stage, "bob").await);
    let uuid = join(&mut alice, &room).await;
    join(&mut bob, &room).await;
    alice.push().await;
    let first = said(&mut alice, &uuid, "helo").await;
    texts(&mut bob, 1).await;
    let name = first["Uuid"].as_str().unwrap();
    post_as(&mut bob, &uuid, name, "hacked").await;
    assert_eq!(told(&mut bob).await, "only its author may change a message");
    post_as(&mut alice, &uuid, name, "hello").await;
    let edited = alice.push().await;
    assert_eq!(bob.push().await, edited);
    let mut expected = first.clone();
    expected["Message"] = json!("hello");
    assert_eq!(edited, expected, "name, author and moment stay");
    assert_eq!(history(&mut bob, &room, 1).await, ["hello"]);
}

async fn a_socket_that_ends_leaves_when_it_was_the_last(stage: &Stage) {
    let room = file(stage).await;
    let mut alice = chatter(stage, "alice").await;
    let (mut one, mut other) = (chatter(stage, "bob").await, chatter(stage, "bob").await);
    join(&mut alice, &room).await;
    join(&mut one, &room).await;
    assert_eq!(users(&alice.push().await), ["alice", "bob"]);
    join(&mut other, &room).await;
    alice.settled().await;
    drop(one);
    let told = timeout(Duration::from_millis(500), alice.0.next()).await;
    assert!(told.is_err(), "the other socket is still there: {told:?}");
    drop(other);
    assert_eq!(users(&alice.push().await), ["alice"]);
}

async fn leaving_ends_what_is_heard(stage: &Stage) {
    let room = file(stage).await;
    let (mut alice, mut bob) = (chatter(stage, "alice").await, chatter(stage, "bob").await);
    let uuid = join(&mut alice, &room).await;
    join(&mut bob, &room).await;
    alice.push().await;
    bob.send(json!({"@type": "LEAVE", "Room": room})).await;
    assert_eq!(users(&bob.push().await), ["alice"], "the last that it hears");
    assert_eq!(users(&alice.push().await), ["alice"]);
    said(&mut alice, &uuid, "alone").await;
    bob.settled().await;
    post(&mut bob, &uuid, "hello?").await;
    assert_eq!(told(&mut bob).await, "join the room first");
    bob.send(json!({"@type": "HISTORY", "Room": room})).await;
    assert_eq!(told(&mut bob).await, "join the room first");
}

async fn a_retry_by_its_name_says_it_once(stage: &Stage) {
    let room = file(stage).await;
    let (mut alice, mut bob) = (chatter(stage, "alice").await, chatter(stage, "bob").await);
    let uuid = join(&mut alice, &room).await;
    join(&mut bob, &room).await;
    alice.push().await;
    let mut again = chatter(stage, "alice").await;
    join(&mut again, &room).await;
    post_as(&mut alice, &uuid, "m-1", "once").await;
    let first = alice.push().await;
    assert_eq!(again.push().await, first);
    post_as(&mut again, &uuid, "m-1", "once").await;
    assert_eq!(again.push().await, first, "whoever repeats it is answered");
    alice.settled().await;
    assert_eq!(texts(&mut bob, 1).await, ["once"]);
    bob.settled().await;
    assert_eq!(history(&mut bob, &room, 1).await, ["once"]);
}

async fn rooms_are_about_something_that_one_may_see(stage: &Stage) {
    let rules = json!([{"user": "bob", "path": "reports", "read": false, "write": false}]);
    let room = ruled_file(stage, rules).await;
    let mut bob = chatter(stage, "bob").await;
    let node = |object: &str| json!({"Type": "NODE", "RoomTypeObject": object});
    let user = |object: &str| json!({"Type": "USER", "RoomTypeObject": object});
    let workspace = |object: &str| json!({"Type": "WORKSPACE", "RoomTypeObject": object});
    for forbidden in [&room, &node("unknown"), &user("alice"), &workspace("ws-other")] {
        bob.send(json!({"@type": "JOIN", "Room": forbidden})).await;
        assert_eq!(told(&mut bob).await, "you may not enter this room", "{forbidden}");
    }
    for allowed in [user("bob"), workspace("ws-9"), json!({"Type": "GLOBAL"}), json!({})] {
        join(&mut bob, &allowed).await;
    }
}

async fn the_documented_vocabulary_works(stage: &Stage) {
    let (mut alice, room, uuid) = five(stage).await;
    let mut bob = chatter(stage, "bob").await;
    let payload = json!({"RoomTypeObject": "n-17"}).to_string();
    bob.send(json!({"@type": "join", "RoomType": 3, "Payload": payload})).await;
    assert_eq!(bob.push().await["Room"]["Uuid"], uuid.as_str());
    assert_eq!(texts(&mut bob, 5).await, ["m1", "m2", "m3", "m4", "m5"], "without asking");
    let payload = json!({"Room": room, "Message": {"Message": "m6"}}).to_string();
    bob.send(json!({"@type": "msg", "Payload": payload})).await;
    assert_eq!(texts(&mut bob, 1).await, ["m6"]);
    alice.push().await;
    assert_eq!(texts(&mut alice, 1).await, ["m6"], "both vocabularies share rooms");
    bob.send(json!({"@type": "leave", "RoomType": 3, "Payload": room.to_string()})).await;
    assert_eq!(users(&bob.push().await), ["alice"]);
}
