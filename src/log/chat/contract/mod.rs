//! What every store of chat rooms must do, as tests that are generic over it.
//!
//! A backend runs them all with `chat_contract!(ItsBackend)`. They stand on the stage of
//! the log's own suite, because a room's records are records of the log.
//!
//! Invariants: no test knows how a backend keeps its rooms.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::{
    clock::random_connection_id,
    log::{
        ChatLimits, ChatOp, ChatOutcome, ChatRefusal, ChatStore, MemoryLimits, Page, PageQuery,
        RealmLog,
        chat::{ChatDone, ChatError},
        contract::{Backend, Stage, id, identity, limits},
    },
    model::{
        Body, CHAT_DELETED, CHAT_MESSAGE, CHAT_ROOM, ChatMessage, ChatRoom, ChatSeat, Id, Record,
        RoomKey, RoomKind, Topic, chat_subject,
    },
};

mod messages;
mod presence;

pub(in crate::log) use messages::*;
pub(in crate::log) use presence::*;

/// Names each test of the suite once, for one backend.
macro_rules! chat_contract {
    ($backend:ty) => {
        chat_contract!($backend: a_room_has_one_key_however_many_join_at_once);
        chat_contract!($backend: a_user_is_listed_once_with_however_many_sockets);
        chat_contract!($backend: whoever_joins_is_told_and_hears_what_follows);
        chat_contract!($backend: only_a_join_that_may_creates_a_room);
        chat_contract!($backend: a_socket_that_ends_leaves_and_comes_back_by_a_resume);
        chat_contract!($backend: a_socket_that_was_replaced_takes_nobody_out);
        chat_contract!($backend: a_room_without_words_goes_with_whoever_hears_it);
        chat_contract!($backend: silence_leaves_and_whatever_is_sent_stays);
        chat_contract!($backend: messages_have_the_order_of_the_log);
        chat_contract!($backend: pages_count_back_from_the_newest);
        chat_contract!($backend: pages_stay_where_they_are_while_messages_come_and_go);
        chat_contract!($backend: the_newest_messages_are_kept);
        chat_contract!($backend: a_retry_is_known_and_changes_nothing);
        chat_contract!($backend: concurrent_retries_say_it_once);
        chat_contract!($backend: an_edit_takes_the_place_of_what_was_said);
        chat_contract!($backend: a_deleted_message_is_gone_and_does_not_come_back);
        chat_contract!($backend: only_its_author_changes_a_message);
        chat_contract!($backend: any_text_survives);
        chat_contract!($backend: rooms_of_another_realm_are_other_rooms);
        chat_contract!($backend: a_long_history_is_kept_and_read_in_parts);
    };
    ($backend:ty: $name:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $name() {
            $crate::log::chat::contract::$name::<$backend>().await;
        }
    };
}
pub(in crate::log) use chat_contract;

fn node(object: &str) -> RoomKey {
    RoomKey { kind: RoomKind::Node, object: Some(id(object)) }
}

fn all() -> PageQuery {
    PageQuery { before: None, skip: 0, limit: usize::MAX >> 16 }
}

impl<L: RealmLog + ChatStore + 'static> Stage<L> {
    /// A socket of `user`, with a session of its own.
    async fn socket(&self, user: &str) -> ChatSeat {
        let (connection, _) = self.begin(&identity(user, None)).await;
        ChatSeat { connection, user: id(user), fencing: 1 }
    }

    async fn try_do(&self, op: ChatOp) -> Result<ChatDone, ChatError> {
        self.log.chat(&self.realm, op).await
    }

    async fn refused(&self, op: ChatOp) -> ChatRefusal {
        match self.try_do(op).await {
            Err(ChatError::Refused(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    async fn join(&self, key: &RoomKey, seat: &ChatSeat) -> ChatRoom {
        let done = self.try_do(join(key, seat, true, true)).await.unwrap();
        let ChatOutcome::Joined(room) = done.outcome else { panic!("{done:?}") };
        room
    }

    async fn say(&self, room: &Id, name: &str, text: &str, seat: &ChatSeat) -> ChatOutcome {
        self.try_do(post(room, name, text, seat)).await.unwrap().outcome
    }

    async fn texts(&self, room: &Id, query: PageQuery) -> Vec<String> {
        texts(&self.log.chat_page(&self.realm, room, query).await.unwrap())
    }

    /// Names of the events of rooms after `offset`, with where they go.
    async fn told(&self, offset: u64) -> Vec<(String, Topic)> {
        let records = self.log.range(&self.realm, offset, 10_000).await.unwrap();
        records.iter().filter_map(|record| told(record)).collect()
    }

    async fn top(&self) -> u64 {
        self.log.memberships(&self.realm, &id("nobody")).await.unwrap().0.offset
    }

    async fn users(&self, key: &RoomKey) -> Vec<String> {
        let room = self.log.chat_room(&self.realm, key).await.unwrap().unwrap();
        room.users.iter().map(ToString::to_string).collect()
    }
}

fn told(record: &Record) -> Option<(String, Topic)> {
    let Body::Event(event) = &record.body else { return None };
    Some((event.name.as_ref().to_owned(), event.to.clone()))
}

fn texts(page: &Page) -> Vec<String> {
    page.messages.iter().map(|(_, message)| message.text.as_ref().to_owned()).collect()
}

fn join(key: &RoomKey, seat: &ChatSeat, creates: bool, asks: bool) -> ChatOp {
    ChatOp::Join {
        key: key.clone(),
        label: Arc::from("Label \"1\""),
        uuid: Id::parse(random_connection_id().as_str()).unwrap(),
        creates,
        asks,
        seat: seat.clone(),
    }
}

fn post(room: &Id, name: &str, text: &str, seat: &ChatSeat) -> ChatOp {
    let (room, uuid, text, seat) = (room.clone(), id(name), Arc::from(text), seat.clone());
    ChatOp::Post { room, uuid, text, seat }
}

fn delete(room: &Id, name: &str, seat: &ChatSeat) -> ChatOp {
    ChatOp::Delete { room: room.clone(), uuid: id(name), seat: seat.clone() }
}

/// Goal: joins that race make one room, and lose nobody.
pub(in crate::log) async fn a_room_has_one_key_however_many_join_at_once<B>()
where
    B: Backend<Log: ChatStore>,
{
    let stage = Arc::new(Stage::open::<B>(limits()).await);
    let mut joins = JoinSet::new();
    for number in 0..20 {
        let stage = Arc::clone(&stage);
        joins.spawn(async move {
            let seat = stage.socket(&format!("u{number}")).await;
            stage.join(&node("n-1"), &seat).await.uuid
        });
    }
    let mut rooms = joins.join_all().await;
    rooms.dedup();
    assert_eq!(rooms.len(), 1, "one room");
    let mut users = stage.users(&node("n-1")).await;
    users.sort();
    let mut expected: Vec<String> = (0..20).map(|number| format!("u{number}")).collect();
    expected.sort();
    assert_eq!(users, expected);
    let keys = stage.log.chat_keys(&stage.realm, &[rooms[0].clone(), id("none")]).await.unwrap();
    assert_eq!(keys, [Some(node("n-1")), None]);
}

/// Goal: the second socket of a user changes nothing for others, and the user stays until
/// the last one is gone.
pub(in crate::log) async fn a_user_is_listed_once_with_however_many_sockets<B>()
where
    B: Backend<Log: ChatStore>,
{
    let stage = Stage::open::<B>(limits()).await;
    let (first, second) = (stage.socket("alice").await, stage.socket("alice").await);
    let bob = stage.socket("bob").await;
    let room = stage.join(&node("n"), &first).await;
    stage.join(&node("n"), &bob).await;
    let before = stage.top().await;
    assert_eq!(stage.join(&node("n"), &second).await.users, [id("alice"), id("bob")]);
    let own = Topic::Connection(second.connection);
    assert_eq!(stage.told(before).await, [(CHAT_ROOM.to_owned(), own)], "only it is told");
    let leave = |seat: &ChatSeat| ChatOp::Leave { key: node("n"), asks: true, seat: seat.clone() };
    stage.try_do(leave(&first)).await.unwrap();
    assert_eq!(stage.users(&node("n")).await, ["alice", "bob"]);
    let before = stage.top().await;
    stage.try_do(leave(&second)).await.unwrap();
    assert_eq!(stage.users(&node("n")).await, ["bob"]);
    assert_eq!(stage.told(before).await, [(CHAT_ROOM.to_owned(), Topic::Chat(room.uuid))]);
    assert_eq!(
        stage.refused(ChatOp::Leave { key: node("x"), asks: true, seat: bob }).await,
        ChatRefusal::NoRoom
    );
}

/// Goal: the records of a joining are in the right order, and say what is true.
pub(in crate::log) async fn whoever_joins_is_told_and_hears_what_follows<B>()
where
    B: Backend<Log: ChatStore>,
{
    let stage = Stage::open::<B>(limits()).await;
    let alice = stage.socket("alice").await;
    let before = stage.top().await;
    let room = stage.join(&node("n"), &alice).await;
    let records = stage.log.range(&stage.realm, before, 10).await.unwrap();
    let [subscribed, told] = &records[..] else { panic!("{records:?}") };
    let add = vec![Topic::Chat(room.uuid.clone())];
    let watch = Body::Watch { connection: alice.connection, add, remove: Vec::new() };
    assert_eq!(subscribed.body, watch);
    let Body::Event(event) = &told.body else { panic!("{told:?}") };
    assert_eq!(&*event.name, CHAT_ROOM);
    assert_eq!(chat_subject(&event.data), Some((RoomKind::Node, "n")));
    let data: serde_json::Value = serde_json::from_slice(&event.data).unwrap();
    let expected = serde_json::json!({
        "kind": 3, "object": "n", "uuid": room.uuid.as_str(), "label": "Label \"1\"",
        "users": ["alice"], "updated_at": room.updated_at,
    });
    assert_eq!(data, expected);
    let (_, watches) = stage.log.session(&stage.realm, alice.connection).await.unwrap().unwrap();
    let topic = Topic::Chat(room.uuid.clone());
    assert!(watches.covers(&topic, told.position.offset));
    assert!(!watches.covers(&topic, subscribed.position.offset));
    // Saying again that it is there tells nobody; asking tells the asker alone.
    let before = stage.top().await;
    stage.try_do(join(&node("n"), &alice, false, false)).await.unwrap();
    assert_eq!(stage.told(before).await, []);
    stage.try_do(join(&node("n"), &alice, false, true)).await.unwrap();
    let own = Topic::Connection(alice.connection);
    assert_eq!(stage.told(before).await, [(CHAT_ROOM.to_owned(), own)]);
    stage.try_do(ChatOp::Leave { key: node("n"), asks: true, seat: alice.clone() }).await.unwrap();
    let (_, watches) = stage.log.session(&stage.realm, alice.connection).await.unwrap().unwrap();
    assert!(!watches.is_open(&topic));
}

/// Goal: who only says "still there" makes no room.
pub(in crate::log) async fn only_a_join_that_may_creates_a_room<B>()
where
    B: Backend<Log: ChatStore>,
{
    let stage = Stage::open::<B>(limits()).await;
    let alice = stage.socket("alice").await;
    assert_eq!(stage.refused(join(&node("n"), &alice, false, true)).await, ChatRefusal::NoRoom);
    assert_eq!(stage.log.chat_room(&stage.realm, &node("n")).await.unwrap(), None);
    let global = RoomKey { kind: RoomKind::Global, object: None };
    let room = stage.join(&global, &alice).await;
    assert_eq!(room.key, global);
    assert_eq!(stage.join(&global, &alice).await.uuid, room.uuid, "no object is a name, too");
    assert_eq!(stage.refused(post(&id("x"), "m", "hi", &alice)).await, ChatRefusal::NoRoom);
    assert_eq!(stage.texts(&id("x"), all()).await, [""; 0]);
}
