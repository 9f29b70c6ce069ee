//! Goal: an event of the bus reaches the sessions that may see it, as they see it, and
//! no others.
//!
//! Method: the scenarios of the protocol, on one node and on two.

use serde_json::json;

use super::{
    on_one_and_on_two,
    stage::{Stage, admin, node},
};

on_one_and_on_two!(
    s1_subscribing_is_not_answered,
    s2_what_was_before_subscribe_does_not_come,
    s5_a_node_that_two_workspaces_share_comes_once_for_each,
    s6_a_move_out_is_a_delete_and_a_move_in_a_create,
    s7_tasks_of_the_system_are_for_administrators,
    s9_what_a_user_does_is_not_echoed,
    hidden_nodes_and_neighbours_of_a_root_are_not_told,
    reserved_meta_data_and_zero_values_are_left_out,
    identity_events_reach_whom_they_concern,
    reading_is_not_told,
    a_task_that_has_ended_goes_back_for_nobody,
    silent_events_beyond_their_pace_are_refused_and_said_so,
);

async fn s1_subscribing_is_not_answered(stage: &Stage) {
    let mut alice = stage.client("alice").await;
    stage.is_silent(&mut alice, "alice").await;
}

async fn s2_what_was_before_subscribe_does_not_come(stage: &Stage) {
    stage.workspace("ws", "common").await;
    stage.members("ws", &["alice"]).await;
    let mut alice = stage.open().await;
    stage.delete("common/a").await;
    alice.subscribe(&stage.token("alice")).await;
    stage.is_silent(&mut alice, "alice").await;
    stage.delete("common/b").await;
    assert_eq!(alice.push().await["Source"]["Path"], "b");
}

async fn s5_a_node_that_two_workspaces_share_comes_once_for_each(stage: &Stage) {
    stage.workspace("ws-1", "common").await;
    stage.workspace("ws-2", "common/reports").await;
    stage.members("ws-1", &["alice", "bob"]).await;
    stage.members("ws-2", &["alice"]).await;
    let mut alice = stage.client("alice").await;
    let mut bob = stage.client("bob").await;
    let mut carol = stage.client("carol").await;
    stage.delete("common/reports/a").await;
    let both = [alice.push().await, alice.push().await];
    assert_eq!(both[0]["Source"]["Path"], "reports/a");
    assert_eq!(both[0]["Source"]["MetaStore"]["EventWorkspaceId"], "\"ws-1\"");
    assert_eq!(both[1]["Source"]["Path"], "a");
    assert_eq!(both[1]["Source"]["MetaStore"]["EventWorkspaceId"], "\"ws-2\"");
    assert_eq!(bob.push().await, both[0]);
    for (client, user) in [(&mut alice, "alice"), (&mut bob, "bob"), (&mut carol, "carol")] {
        stage.is_silent(client, user).await;
    }
}

async fn s6_a_move_out_is_a_delete_and_a_move_in_a_create(stage: &Stage) {
    stage.workspace("ws", "in").await;
    stage.members("ws", &["alice"]).await;
    let mut alice = stage.client("alice").await;
    let moved = |from: &str, to: &str| json!({"Type": "UPDATE_PATH", "Source": node("n", from), "Target": node("n", to)});
    stage.event("tree", moved("in/a", "out/a")).await;
    let out = alice.push().await;
    assert_eq!((&out["Type"], &out["Source"]["Path"]), (&json!("DELETE"), &json!("a")));
    assert!(out.get("Target").is_none(), "{out}");
    stage.event("tree", moved("out/a", "in/b/a")).await;
    let back = alice.push().await;
    assert!(back.get("Type").is_none() && back.get("Source").is_none(), "{back}");
    assert_eq!(back["Target"]["Path"], "b/a");
    stage.event("tree", moved("in/b/a", "in/c")).await;
    let within = alice.push().await;
    assert_eq!(within["Type"], "UPDATE_PATH");
    assert_eq!([&within["Source"]["Path"], &within["Target"]["Path"]], ["b/a", "c"]);
}

async fn s7_tasks_of_the_system_are_for_administrators(stage: &Stage) {
    let mut alice = stage.client("alice").await;
    let mut root = stage.open().await;
    root.subscribe(&stage.token_of("root", admin)).await;
    let task = |owner: &str| {
        let task = json!({"ID": "t", "Status": "Running", "TriggerOwner": owner,
            "StartTime": 1_530_612_000, "Progress": 0.0, "CanStop": false});
        json!({"TaskUpdated": task, "Job": {"ID": "copy", "Label": "Copy"}})
    };
    stage.event("task", task("pydio.system.user")).await;
    stage.event("task", task("alice")).await;
    let own = alice.push().await;
    assert_eq!(own["TaskUpdated"]["TriggerOwner"], "alice");
    assert_eq!(own["TaskUpdated"]["StartTime"], 1_530_612_000);
    assert!(own["TaskUpdated"].get("Progress").is_none(), "zero values are left out: {own}");
    assert_eq!(own["Job"]["ID"], "copy");
    assert_eq!(root.push().await["TaskUpdated"]["TriggerOwner"], "pydio.system.user");
    stage.is_silent(&mut root, "root").await;
}

async fn s9_what_a_user_does_is_not_echoed(stage: &Stage) {
    let mut alice = stage.client("alice").await;
    let did = |owner: &str, actor: &str, kind: u8, name: &str| {
        let activity = json!({"type": "Update", "actor": {"id": actor},
            "object": {"type": "Document", "id": "n", "name": "secret/place/new.pdf"}});
        json!({"OwnerType": kind, "OwnerId": owner, "BoxName": name, "Activity": activity})
    };
    stage.event("activity", did("alice", "alice", 1, "inbox")).await;
    stage.event("activity", did("bob", "alice", 1, "inbox")).await;
    stage.event("activity", did("alice", "bob", 0, "outbox")).await;
    stage.event("activity", did("alice", "bob", 1, "inbox")).await;
    let got = alice.push().await;
    assert_eq!(got["@type"], "activity");
    assert_eq!(got["OwnerType"], "USER", "a number is read, a name is written");
    assert_eq!(got["Activity"]["actor"]["id"], "bob");
    assert_eq!(got["Activity"]["object"]["name"], "new.pdf", "a path does not leak");
    stage.is_silent(&mut alice, "alice").await;
}

async fn hidden_nodes_and_neighbours_of_a_root_are_not_told(stage: &Stage) {
    stage.workspace("ws", "a/foo").await;
    stage.members("ws", &["alice"]).await;
    let mut alice = stage.client("alice").await;
    for path in ["a/foobar", "a/foo/.pydio", "a", "b/a/foo/x", "a/foo/x/.hidden"] {
        stage.delete(path).await;
    }
    stage.is_silent(&mut alice, "alice").await;
    stage.delete("/a/foo/").await;
    let root = alice.push().await;
    assert!(root["Source"].get("Path").is_none(), "the root itself has no path: {root}");
    stage.delete("a/foo/.x/y").await;
    assert_eq!(alice.push().await["Source"]["Path"], ".x/y");
}

async fn reserved_meta_data_and_zero_values_are_left_out(stage: &Stage) {
    stage.workspace("ws", "a").await;
    stage.members("ws", &["alice"]).await;
    let mut alice = stage.client("alice").await;
    let source = json!({"Uuid": "n", "Path": "a/x", "Type": 2, "Size": 48_213, "MTime": "0", "Etag": "",
        "MetaStore": {"name": "\"x\"", "pydio:secret": "\"s\"", "empty": ""}});
    stage.event("tree", json!({"Type": 5, "Source": source})).await;
    let got = alice.push().await;
    let expected = json!({"Type": "DELETE", "Source": {"Uuid": "n", "Path": "x", "Type": "COLLECTION",
        "Size": "48213",
        "MetaStore": {"name": "\"x\"", "empty": "", "EventWorkspaceId": "\"ws\""}}});
    assert_eq!(got, expected);
}

async fn identity_events_reach_whom_they_concern(stage: &Stage) {
    stage.workspace("ws-9", "x").await;
    stage.members("ws-9", &["alice"]).await;
    let mut alice = stage.open().await;
    alice
        .subscribe(
            &stage.token_of("alice", |claims| claims.roles = vec![super::stage::id("accounting")]),
        )
        .await;
    let mut bob = stage.client("bob").await;
    let role = json!({"Uuid": "accounting"});
    let acl = |action: &str| json!({"Action": {"Name": action}, "RoleID": "accounting", "WorkspaceID": "ws-9"});
    stage.event("idm", json!({"Type": "UPDATE", "Role": role})).await;
    stage.event("idm", json!({"Acl": acl("read")})).await;
    stage.event("idm", json!({"Acl": acl("parameter:x"), "User": {"Login": "bob"}})).await;
    stage.event("idm", json!({"Type": "UPDATE", "User": {"Uuid": "bob"}})).await;
    stage.event("idm", json!({"Type": "DELETE", "Workspace": {"UUID": "ws-9"}})).await;
    let got = alice.push().await;
    assert_eq!(got, json!({"@type": "idm", "Type": "UPDATE", "Role": {"Uuid": "accounting"}}));
    assert_eq!(alice.push().await["Acl"]["RoleID"], "accounting");
    assert_eq!(alice.push().await["Workspace"]["UUID"], "ws-9");
    assert_eq!(bob.push().await["User"]["Login"], "bob");
    assert_eq!(bob.push().await["User"]["Uuid"], "bob");
    stage.is_silent(&mut alice, "alice").await;
    stage.is_silent(&mut bob, "bob").await;
}

async fn reading_is_not_told(stage: &Stage) {
    stage.workspace("ws", "a").await;
    stage.members("ws", &["alice"]).await;
    let mut alice = stage.client("alice").await;
    stage.event("tree", json!({"Type": "READ", "Target": node("n", "a/x")})).await;
    stage.is_silent(&mut alice, "alice").await;
}

async fn a_task_that_has_ended_goes_back_for_nobody(stage: &Stage) {
    let mut alice = stage.client("alice").await;
    let update = async |id: &str, status: &str| {
        let task = json!({"ID": id, "Status": status, "TriggerOwner": "alice"});
        stage.event("task", json!({"TaskUpdated": task, "Job": {"ID": "copy"}})).await;
    };
    for status in ["Running", "Finished", "Running", "Paused", "Error", "Queued"] {
        // Taken by whichever node.
        update("t-1", status).await;
    }
    update("t-2", "Running").await;
    let expected = [("t-1", "Running"), ("t-1", "Finished"), ("t-1", "Error"), ("t-2", "Running")];
    for (id, status) in expected {
        let got = alice.push().await;
        assert_eq!([&got["TaskUpdated"]["ID"], &got["TaskUpdated"]["Status"]], [id, status]);
    }
    stage.is_silent(&mut alice, "alice").await;
}

async fn silent_events_beyond_their_pace_are_refused_and_said_so(stage: &Stage) {
    stage.workspace("ws", "a").await;
    stage.members("ws", &["alice"]).await;
    let mut alice = stage.client("alice").await;
    let event = |number: usize| {
        let source = node("gone", &format!("a/{number}"));
        let payload = json!({"Type": "DELETE", "Source": source, "Silent": true});
        json!({"topic": "tree", "payload": payload})
    };
    let mut replies = Vec::new();
    for number in 0..200 {
        replies.push(stage.try_call("POST", "pydio/events", event(number)).await);
    }
    let is_taken = |reply: &crate::http::client::Reply| reply.status == 200;
    let taken = replies.iter().filter(|reply| is_taken(reply)).count();
    assert!((10..200).contains(&taken), "{taken}");
    for reply in replies.iter().filter(|reply| !is_taken(reply)) {
        assert_eq!(reply.error(), (429, "rate_limited".to_owned(), "payload.Silent".to_owned()));
        assert!(reply.header("retry-after").is_some(), "{reply:?}");
    }
    // Others are not held up, and what was taken came.
    stage.delete("a/last").await;
    for _ in 0..taken {
        assert_eq!(alice.push().await["Type"], "DELETE");
    }
    assert_eq!(alice.push().await["Source"]["Path"], "last");
    stage.is_silent(&mut alice, "alice").await;
}
