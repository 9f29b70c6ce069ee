//! Goal: whoever loses a right hears nothing more from that place of the log on, leaves the
//! room, and is told.
//!
//! Method: each way to lose it, with messages before and after; alice, who keeps hers,
//! sees the user go.

use serde_json::{Value, json};

use super::{
    Client, Stage, chatter, join, post,
    resume::{numbered, resumed},
    said, texts, told, users,
};
use crate::pydio::{on_one_and_on_two, stage::node};

on_one_and_on_two!(
    a_rule_ends_the_stay_in_the_room_of_a_file,
    a_rule_for_a_role_ends_it,
    a_workspace_with_other_folders_ends_it,
    a_workspace_that_is_removed_ends_it,
    a_membership_that_is_removed_ends_it,
    a_file_that_moves_away_ends_it,
    a_file_that_is_told_elsewhere_ends_it,
    a_folder_that_moves_away_ends_it,
    a_folder_that_is_told_elsewhere_ends_it,
    a_folder_that_is_deleted_ends_it_for_all,
    a_file_that_moves_within_the_workspace_ends_nothing,
    what_is_no_right_of_the_user_ends_nothing,
    the_room_of_a_workspace_ends_with_the_membership,
    the_room_of_a_workspace_ends_with_a_rule,
    a_right_that_ends_while_the_socket_is_away,
    a_right_that_ends_by_subscribing_again_is_told,
    whoever_loses_a_right_in_mid_talk_hears_a_beginning,
);

const GONE: &str = "you may not be in this room any more: NODE n-17";

/// Alice may see everything, bob what is in `ws-9`; both are in the room of a file of it.
struct Talk {
    room: Value,
    uuid: String,
    alice: Client,
    bob: Client,
}

async fn places(stage: &Stage) -> Value {
    stage.workspace("ws-all", "").await;
    stage.workspace("ws-9", "common").await;
    stage.members("ws-all", &["alice"]).await;
    stage.members("ws-9", &["bob"]).await;
    let nodes = json!([{"uuid": "n-17", "path": "common/reports/new.pdf"}, {"uuid": "folder", "path": "common/reports"}]);
    stage.call("POST", "pydio/nodes", json!({"nodes": nodes})).await;
    json!({"Type": "NODE", "RoomTypeObject": "n-17"})
}

async fn talk(stage: &Stage) -> Talk {
    let room = places(stage).await;
    let (mut alice, mut bob) = (chatter(stage, "alice").await, chatter(stage, "bob").await);
    let uuid = join(&mut alice, &room).await;
    join(&mut bob, &room).await;
    alice.push().await;
    said(&mut alice, &uuid, "for both").await;
    assert_eq!(texts(&mut bob, 1).await, ["for both"]);
    Talk { room, uuid, alice, bob }
}

impl Talk {
    /// What was done before this call put bob out, and not alice.
    async fn ended(mut self, stage: &Stage) {
        post(&mut self.alice, &self.uuid, "secret").await;
        let (mut heard, mut left) = (false, false);
        while !(heard && left) {
            let push = self.alice.push().await;
            if push["@type"] == "ROOM_UPDATE" {
                assert_eq!(users(&push), ["alice"]);
                left = true;
            } else {
                assert_eq!(push["Message"], "secret");
                heard = true;
            }
        }
        assert_eq!(told(&mut self.bob).await, GONE, "and no secret before");
        said(&mut self.alice, &self.uuid, "another secret").await;
        post(&mut self.bob, &self.uuid, "hello?").await;
        assert_eq!(told(&mut self.bob).await, "join the room first");
        self.bob.send(json!({"@type": "JOIN", "Room": self.room})).await;
        assert_eq!(told(&mut self.bob).await, "you may not enter this room");
        // With the right, the room is there again.
        stage.workspace("ws-bob", "").await;
        stage.members("ws-bob", &["bob"]).await;
        join(&mut self.bob, &self.room).await;
        assert_eq!(users(&self.alice.push().await), ["alice", "bob"]);
        said(&mut self.alice, &self.uuid, "welcome back").await;
        assert_eq!(texts(&mut self.bob, 1).await, ["welcome back"]);
    }

    /// Nothing that was done before this call put anybody out.
    async fn goes_on(mut self) {
        said(&mut self.alice, &self.uuid, "still for both").await;
        assert_eq!(texts(&mut self.bob, 1).await, ["still for both"]);
        post(&mut self.bob, &self.uuid, "thanks").await;
        assert_eq!(texts(&mut self.bob, 1).await, ["thanks"]);
        assert_eq!(texts(&mut self.alice, 1).await, ["thanks"]);
    }
}

fn rule(who: &str, name: &str, path: &str, read: bool) -> Value {
    json!([{who: name, "path": path, "read": read, "write": false}])
}

fn moved(uuid: &str, kind: &str, from: &str, to: &str) -> Value {
    let node = |path: &str| json!({"Uuid": uuid, "Path": path, "Type": kind});
    json!({"Type": "UPDATE_PATH", "Source": node(from), "Target": node(to)})
}

async fn a_rule_ends_the_stay_in_the_room_of_a_file(stage: &Stage) {
    let talk = talk(stage).await;
    stage.ruled_workspace("ws-9", "common", rule("user", "bob", "reports", false)).await;
    talk.ended(stage).await;
}

async fn a_rule_for_a_role_ends_it(stage: &Stage) {
    let mut talk = talk(stage).await;
    let token =
        stage.token_of("bob", |claims| claims.roles = vec![crate::pydio::stage::id("guests")]);
    talk.bob.send(json!({"@type": "subscribe", "jwt": token})).await;
    talk.bob.push().await;
    stage.ruled_workspace("ws-9", "common", rule("role", "guests", "reports/new.pdf", false)).await;
    talk.ended(stage).await;
}

async fn a_workspace_with_other_folders_ends_it(stage: &Stage) {
    let talk = talk(stage).await;
    stage.workspace("ws-9", "common/books").await;
    talk.ended(stage).await;
}

async fn a_workspace_that_is_removed_ends_it(stage: &Stage) {
    let talk = talk(stage).await;
    stage.call("DELETE", "pydio/workspaces/ws-9", Value::Null).await;
    talk.ended(stage).await;
}

async fn a_membership_that_is_removed_ends_it(stage: &Stage) {
    let talk = talk(stage).await;
    let body = json!({"topic": {"workspace": "ws-9"}, "remove": ["bob"]});
    stage.call("POST", "members", body).await;
    talk.ended(stage).await;
}

async fn a_file_that_moves_away_ends_it(stage: &Stage) {
    let talk = talk(stage).await;
    stage.event("tree", moved("n-17", "LEAF", "common/reports/new.pdf", "private/new.pdf")).await;
    talk.ended(stage).await;
}

async fn a_file_that_is_told_elsewhere_ends_it(stage: &Stage) {
    let talk = talk(stage).await;
    let nodes = json!([{"uuid": "n-17", "path": "private/new.pdf"}]);
    stage.call("POST", "pydio/nodes", json!({"nodes": nodes})).await;
    talk.ended(stage).await;
}

async fn a_folder_that_moves_away_ends_it(stage: &Stage) {
    let talk = talk(stage).await;
    stage.event("tree", moved("x", "COLLECTION", "common/reports", "private/reports")).await;
    talk.ended(stage).await;
}

async fn a_folder_that_is_told_elsewhere_ends_it(stage: &Stage) {
    let talk = talk(stage).await;
    let nodes = json!([{"uuid": "folder", "path": "private/reports"}]);
    stage.call("POST", "pydio/nodes", json!({"nodes": nodes})).await;
    talk.ended(stage).await;
}

async fn a_folder_that_is_deleted_ends_it_for_all(stage: &Stage) {
    let mut talk = talk(stage).await;
    let source = json!({"Uuid": "folder", "Path": "common/reports", "Type": "COLLECTION"});
    stage.event("tree", json!({"Type": "DELETE", "Source": source})).await;
    for client in [&mut talk.alice, &mut talk.bob] {
        assert_eq!(told(client).await, GONE);
        client.send(json!({"@type": "JOIN", "Room": talk.room})).await;
        assert_eq!(told(client).await, "you may not enter this room");
    }
}

async fn a_file_that_moves_within_the_workspace_ends_nothing(stage: &Stage) {
    let talk = talk(stage).await;
    stage.event("tree", moved("x", "COLLECTION", "common/reports", "common/a/b")).await;
    stage.event("tree", moved("n-17", "LEAF", "common/a/b/new.pdf", "common/new.pdf")).await;
    talk.goes_on().await;
}

async fn what_is_no_right_of_the_user_ends_nothing(stage: &Stage) {
    let talk = talk(stage).await;
    let rules = json!([
        {"user": "carol", "path": "reports", "read": false},
        {"user": "bob", "path": "reports/old.pdf", "read": false},
        {"user": "bob", "path": "reports", "read": true, "write": true},
    ]);
    stage.ruled_workspace("ws-9", "common", rules).await;
    let body = json!({"topic": {"workspace": "ws-other"}, "remove": ["bob", "alice"]});
    stage.call("POST", "members", body).await;
    stage.event("tree", moved("y", "COLLECTION", "common/report", "private/report")).await;
    stage.event("tree", json!({"Type": "DELETE", "Source": node("z", "common/reports/z")})).await;
    talk.goes_on().await;
}

/// Both are in the room of `ws-9`, and `change` puts bob out.
async fn workspace_room(stage: &Stage, change: impl AsyncFnOnce()) {
    places(stage).await;
    stage.members("ws-9", &["alice"]).await;
    let room = json!({"Type": "WORKSPACE", "RoomTypeObject": "ws-9", "RoomLabel": "Team"});
    let (mut alice, mut bob) = (chatter(stage, "alice").await, chatter(stage, "bob").await);
    let uuid = join(&mut alice, &room).await;
    join(&mut bob, &room).await;
    assert_eq!(alice.push().await["Room"]["RoomLabel"], "Team");
    said(&mut alice, &uuid, "for both").await;
    assert_eq!(texts(&mut bob, 1).await, ["for both"]);
    change().await;
    assert_eq!(users(&alice.push().await), ["alice"]);
    said(&mut alice, &uuid, "secret").await;
    assert_eq!(told(&mut bob).await, "you may not be in this room any more: WORKSPACE ws-9");
    bob.send(json!({"@type": "HISTORY", "Room": room})).await;
    assert_eq!(told(&mut bob).await, "join the room first");
    bob.send(json!({"@type": "JOIN", "Room": room})).await;
    assert_eq!(told(&mut bob).await, "you may not enter this room");
    stage.workspace("ws-9", "common").await;
    stage.members("ws-9", &["bob"]).await;
    join(&mut bob, &room).await;
    assert_eq!(users(&alice.push().await), ["alice", "bob"]);
    said(&mut alice, &uuid, "welcome back").await;
    assert_eq!(texts(&mut bob, 1).await, ["welcome back"]);
}

async fn the_room_of_a_workspace_ends_with_the_membership(stage: &Stage) {
    workspace_room(stage, async || {
        let body = json!({"topic": {"workspace": "ws-9"}, "remove": ["bob"]});
        stage.call("POST", "members", body).await;
    })
    .await;
}

async fn the_room_of_a_workspace_ends_with_a_rule(stage: &Stage) {
    workspace_room(stage, async || {
        stage.ruled_workspace("ws-9", "common", rule("user", "bob", "", false)).await;
    })
    .await;
}

async fn a_right_that_ends_while_the_socket_is_away(stage: &Stage) {
    let room = places(stage).await;
    let mut alice = chatter(stage, "alice").await;
    let uuid = join(&mut alice, &room).await;
    let (mut bob, connection) = numbered(stage, "bob").await;
    bob.send(json!({"@type": "JOIN", "Room": room})).await;
    assert_eq!(bob.push().await["@seq"], 1);
    alice.push().await;
    drop(bob);
    assert_eq!(users(&alice.push().await), ["alice"], "his socket is gone");
    said(&mut alice, &uuid, "for both").await;
    stage.ruled_workspace("ws-9", "common", rule("user", "bob", "reports", false)).await;
    said(&mut alice, &uuid, "secret").await;
    let mut bob = resumed(stage, "bob", &connection, 2).await;
    let missed = [bob.push().await, bob.push().await, bob.push().await];
    assert_eq!((&missed[0]["@type"], &missed[0]["@seq"]), (&json!("ROOM_UPDATE"), &json!(2)));
    assert_eq!((&missed[1]["Message"], &missed[1]["@seq"]), (&json!("for both"), &json!(3)));
    assert_eq!(missed[2], json!({"@type": "noop", "@seq": 4}), "what came after the rule");
    assert_eq!(told(&mut bob).await, GONE);
    said(&mut alice, &uuid, "another secret").await;
    bob.settled().await;
    alice.settled().await;
}

async fn a_right_that_ends_by_subscribing_again_is_told(stage: &Stage) {
    let mut talk = talk(stage).await;
    stage.ruled_workspace("ws-9", "common", rule("role", "guests", "reports", false)).await;
    let token =
        stage.token_of("bob", |claims| claims.roles = vec![crate::pydio::stage::id("guests")]);
    talk.bob.send(json!({"@type": "subscribe", "jwt": token})).await;
    talk.ended(stage).await;
}

async fn whoever_loses_a_right_in_mid_talk_hears_a_beginning(stage: &Stage) {
    let Talk { uuid, mut alice, mut bob, .. } = talk(stage).await;
    for number in 0..60 {
        if number == 30 {
            // On its way while alice talks.
            stage.ruled_workspace("ws-9", "common", rule("user", "bob", "reports", false)).await;
        }
        post(&mut alice, &uuid, &number.to_string()).await;
    }
    let mut heard: Vec<u32> = Vec::new();
    let end = loop {
        let push = bob.push().await;
        match push["Message"].as_str() {
            Some(text) => heard.push(text.parse().unwrap()),
            None => break push,
        }
    };
    assert_eq!(end["error"], GONE);
    assert!(heard.len() <= 30, "nothing that was said after the rule: {heard:?}");
    assert_eq!(heard, (0..u32::try_from(heard.len()).unwrap()).collect::<Vec<_>>());
    bob.settled().await;
}
