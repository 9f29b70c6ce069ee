//! Who is in a room: sockets that end, come back, are replaced, fall silent.

use std::time::Duration;

use super::*;
use crate::log::{Checkpoint, Claim};

/// Goal: presence is of sockets, the subscription is of the session.
pub(in crate::log) async fn a_socket_that_ends_leaves_and_comes_back_by_a_resume<B>()
where
    B: Backend<Log: ChatStore>,
{
    let stage = Stage::open::<B>(limits()).await;
    let (alice, bob) = (stage.socket("alice").await, stage.socket("bob").await);
    let rooms = vec![stage.join(&node("a"), &alice).await, stage.join(&node("b"), &alice).await];
    let rooms: Vec<Id> = rooms.into_iter().map(|room| room.uuid).collect();
    stage.join(&node("a"), &bob).await;
    let before = stage.top().await;
    stage.try_do(ChatOp::End { rooms: rooms.clone(), seat: alice.clone() }).await.unwrap();
    assert_eq!(stage.users(&node("a")).await, ["bob"]);
    assert_eq!(stage.users(&node("b")).await, [""; 0]);
    assert_eq!(stage.told(before).await.len(), 2);
    let session = stage.log.session(&stage.realm, alice.connection).await.unwrap();
    assert!(session.unwrap().1.is_open(&Topic::Chat(rooms[0].clone())), "the session stays");
    let unknown = [rooms.clone(), vec![id("none")]].concat();
    stage.try_do(ChatOp::Return { rooms: unknown, seat: alice.clone() }).await.unwrap();
    assert_eq!(stage.users(&node("a")).await, ["bob", "alice"]);
    assert_eq!(stage.told(before).await.len(), 4);
    stage.try_do(ChatOp::Return { rooms, seat: alice }).await.unwrap();
    assert_eq!(stage.told(before).await.len(), 4, "it is there already");
}

/// Goal: a node that was paused while another socket took the connection over says that its
/// own one ended, and takes nobody out of a room.
pub(in crate::log) async fn a_socket_that_was_replaced_takes_nobody_out<B>()
where
    B: Backend<Log: ChatStore>,
{
    let stage = Stage::open::<B>(limits()).await;
    let first = stage.socket("alice").await;
    let room = stage.join(&node("n"), &first).await.uuid;
    let claim = stage.log.claim(&identity("alice", None), first.connection).await.unwrap();
    let Claim::Granted { record, .. } = claim else { panic!("{claim:?}") };
    let second = ChatSeat { fencing: record.fencing, ..first.clone() };
    let before = stage.top().await;
    let end = |seat: &ChatSeat| ChatOp::End { rooms: vec![room.clone()], seat: seat.clone() };
    let back = |seat: &ChatSeat| ChatOp::Return { rooms: vec![room.clone()], seat: seat.clone() };
    stage.try_do(back(&second)).await.unwrap();
    stage.try_do(end(&first)).await.unwrap();
    assert_eq!(stage.users(&node("n")).await, ["alice"], "the second socket is there");
    stage.try_do(end(&second)).await.unwrap();
    assert_eq!(stage.users(&node("n")).await, [""; 0]);
    assert_eq!(stage.told(before).await, [(CHAT_ROOM.to_owned(), Topic::Chat(room.clone()))]);
    stage.try_do(back(&first)).await.unwrap();
    assert_eq!(stage.users(&node("n")).await, [""; 0], "and the first one is nowhere");
}

/// Goal: who makes rooms and says nothing there leaves nothing behind, and nobody who may
/// come back misses a room.
pub(in crate::log) async fn a_room_without_words_goes_with_whoever_hears_it<B>()
where
    B: Backend<Log: ChatStore>,
{
    let session_ttl = Duration::from_secs(2);
    let stage = Stage::open::<B>(MemoryLimits { session_ttl, ..limits() }).await;
    let (alice, bob) = (stage.socket("alice").await, stage.socket("bob").await);
    let leave = |key: &RoomKey| ChatOp::Leave { key: key.clone(), asks: true, seat: alice.clone() };
    let find = async |name: &str| stage.log.chat_room(&stage.realm, &node(name)).await.unwrap();
    let [said, alone, shared] = ["said", "alone", "shared"].map(node);
    let room = stage.join(&said, &alice).await.uuid;
    stage.say(&room, "m", "hello", &alice).await;
    stage.join(&shared, &bob).await;
    let gone = stage.join(&alone, &alice).await.uuid;
    let shared_room = stage.join(&shared, &alice).await.uuid;
    for key in [&said, &alone, &shared] {
        stage.try_do(leave(key)).await.unwrap();
    }
    assert_eq!(find("alone").await, None, "its only session left");
    assert_ne!(stage.join(&alone, &alice).await.uuid, gone, "the next one is another");
    // Bob's socket ends; his session may go on, and then it is in the room again.
    stage
        .try_do(ChatOp::End { rooms: vec![shared_room.clone()], seat: bob.clone() })
        .await
        .unwrap();
    stage.try_do(ChatOp::Sweep).await.unwrap();
    assert_eq!(find("shared").await.map(|room| room.uuid), Some(shared_room));
    let (connection, fencing) = (bob.connection, bob.fencing);
    let ended = Checkpoint { connection, seq: 1, cursor: 0, fencing, ended: true };
    stage.log.checkpoint(&stage.realm, vec![ended]).await.unwrap();
    let goes = async {
        let mut again = tokio::time::interval(Duration::from_millis(10));
        while find("shared").await.is_some() {
            again.tick().await;
            stage.clock.advance(Duration::from_millis(20));
            stage.try_do(ChatOp::Sweep).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), goes).await.expect("nobody needs the room");
    assert_eq!(find("said").await.map(|room| room.uuid), Some(room), "what was said stays");
    assert!(find("alone").await.is_some(), "somebody is there");
}

/// Goal: a sweep takes out exactly those who were silent.
pub(in crate::log) async fn silence_leaves_and_whatever_is_sent_stays<B>()
where
    B: Backend<Log: ChatStore>,
{
    let silence = Duration::from_millis(700);
    let chat = ChatLimits { silence, ..limits().chat };
    let stage = Stage::open::<B>(MemoryLimits { chat, ..limits() }).await;
    let (silent, busy) = (stage.socket("silent").await, stage.socket("busy").await);
    let room = stage.join(&node("n"), &silent).await.uuid;
    stage.join(&node("n"), &busy).await;
    for number in 0..4 {
        // The backend's own clock, whichever it is: one of both moves.
        stage.clock.advance(Duration::from_millis(300));
        tokio::time::sleep(Duration::from_millis(300)).await;
        stage.say(&room, &format!("m{number}"), "still here", &busy).await;
    }
    let before = stage.top().await;
    stage.try_do(ChatOp::Sweep).await.unwrap();
    assert_eq!(stage.users(&node("n")).await, ["busy"]);
    assert_eq!(stage.told(before).await, [(CHAT_ROOM.to_owned(), Topic::Chat(room.clone()))]);
    stage.try_do(ChatOp::Sweep).await.unwrap();
    assert_eq!(stage.told(before).await.len(), 1, "it is told once");
    // Whoever left in silence says something without coming back into the list.
    stage.say(&room, "late", "hello", &silent).await;
    assert_eq!(stage.users(&node("n")).await, ["busy"]);
    stage.try_do(join(&node("n"), &silent, false, false)).await.unwrap();
    assert_eq!(stage.users(&node("n")).await, ["busy", "silent"]);
}
