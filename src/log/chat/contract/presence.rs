//! Who is in a room: sockets that end, come back, are replaced, fall silent.

use std::time::Duration;

use super::*;
use crate::log::Claim;

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
