//! Chat rooms in Redis: each step is one script, with the records that tell of it.
//!
//! Invariants: a step that may have been done twice is done once, because messages have
//! their names before they travel.

use std::sync::Arc;

use bytes::Bytes;
use redis::{Pipeline, Value};

use super::{
    super::{
        ChatDone, ChatError, ChatOp, ChatOutcome, ChatRefusal, ChatStore, LogError, Page,
        PageQuery,
        chat::{LISTED_USERS_MAX, SWEPT_MAX},
    },
    RedisLog,
    context::{arg, millis, nonsense, text, unavailable},
    replicas::Until,
    reply::{Reply, as_text},
    scripts::{CHAT, PAGE},
};
use crate::{
    clock::random_tag,
    model::{ChatMessage, ChatRoom, ChatSeat, Id, RealmId, RoomKey, RoomKind},
};

/// Rooms that one step tells of.
const ROOMS_AT_ONCE: usize = 32;

/// Verb, how many records it writes at most, who does it, and what with.
struct Call<'a> {
    verb: &'static str,
    records: usize,
    seat: Option<&'a ChatSeat>,
    own: Vec<Bytes>,
}

impl RedisLog {
    async fn step(&self, realm: &RealmId, call: Call<'_>) -> Result<ChatDone, ChatError> {
        let context = &self.context;
        let tags: String = (0..call.records).map(|_| random_tag().to_string()).collect();
        let limits = context.limits.chat;
        let seat = call.seat;
        let mut own = vec![
            text(call.verb),
            arg(context.clock.now_us()),
            arg(context.clock.now_seconds()),
            millis(context.limits.session_ttl),
            millis(limits.silence),
            arg(limits.history.max(1)),
            Bytes::from(tags),
            text(seat.map_or("", |seat| seat.connection.as_str())),
            text(seat.map_or("", |seat| seat.user.as_str())),
            seat.map(|seat| arg(seat.fencing)).unwrap_or_default(),
        ];
        own.extend(call.own);
        let publishing = self.publisher(realm).await?;
        let over = (&publishing.claims, Until::Confirmed);
        let reply = context.write(realm, &CHAT, own, over).await?;
        match reply.word() {
            Some("OK") => {}
            Some("NO") => return Err(refusal(&reply).ok_or_else(|| nonsense("a refusal"))?.into()),
            Some(_) | None => return Err(nonsense("a room").into()),
        }
        let position = reply.position(1).ok_or_else(|| nonsense("a place"))?;
        if let Some(confirmed) = &publishing.confirmed {
            confirmed.note(&position);
        }
        let outcome = outcome(&reply).ok_or_else(|| nonsense("a room"))?;
        self.believe(realm, &position).await?;
        Ok(ChatDone { outcome, offset: position.offset })
    }

    /// The same for some of the rooms of a session after the other.
    async fn each(
        &self,
        realm: &RealmId,
        verb: &'static str,
        rooms: &[Id],
        seat: &ChatSeat,
    ) -> Result<ChatDone, ChatError> {
        let mut done = ChatDone { outcome: ChatOutcome::Done, offset: 0 };
        for some in rooms.chunks(ROOMS_AT_ONCE) {
            let own = some.iter().map(|room| text(room.as_str())).collect();
            let call = Call { verb, records: some.len(), seat: Some(seat), own };
            done = self.step(realm, call).await?;
        }
        Ok(done)
    }
}

impl ChatStore for RedisLog {
    async fn chat(&self, realm: &RealmId, op: ChatOp) -> Result<ChatDone, ChatError> {
        let flag = |is_set| text(if is_set { "1" } else { "" });
        let call = match &op {
            ChatOp::Join { key, label, uuid, creates, asks, seat } => {
                let [kind, object] = named(key);
                let label = Bytes::from(literal(label));
                let own =
                    vec![kind, object, label, text(uuid.as_str()), flag(*creates), flag(*asks)];
                Call { verb: "join", records: 2, seat: Some(seat), own }
            }
            ChatOp::Leave { key, asks, seat } => {
                let [kind, object] = named(key);
                let own = vec![kind, object, flag(*asks)];
                Call { verb: "leave", records: 2, seat: Some(seat), own }
            }
            ChatOp::Return { rooms, seat } => return self.each(realm, "return", rooms, seat).await,
            ChatOp::End { rooms, seat } => return self.each(realm, "end", rooms, seat).await,
            ChatOp::Post { room, uuid, text: said, seat } => {
                let own =
                    vec![text(room.as_str()), text(uuid.as_str()), Bytes::from(literal(said))];
                Call { verb: "post", records: 1, seat: Some(seat), own }
            }
            ChatOp::Delete { room, uuid, seat } => {
                let own = vec![text(room.as_str()), text(uuid.as_str())];
                Call { verb: "delete", records: 1, seat: Some(seat), own }
            }
            ChatOp::Sweep => {
                Call { verb: "sweep", records: SWEPT_MAX, seat: None, own: Vec::new() }
            }
        };
        self.step(realm, call).await
    }

    async fn chat_room(
        &self,
        realm: &RealmId,
        key: &RoomKey,
    ) -> Result<Option<ChatRoom>, LogError> {
        let context = &self.context;
        let mut find = Pipeline::new();
        find.cmd("HGET").arg(context.key(realm, "k")).arg(key.text());
        let head = context.key(realm, "m");
        let found = context.client.query("chat", &head, &find).await;
        let found = found.map_err(|error| unavailable("a room", &error))?;
        let Some(uuid) = found.first().and_then(as_text) else { return Ok(None) };
        let uuid = Id::parse(uuid).map_err(|_| nonsense("a room"))?;
        let mut look = Pipeline::new();
        look.cmd("HMGET").arg(context.key(realm, &format!("kr:{uuid}"))).arg("l").arg("u");
        look.cmd("ZRANGE").arg(context.key(realm, &format!("ku:{uuid}"))).arg(0);
        look.arg(LISTED_USERS_MAX.saturating_sub(1));
        let seen = context.client.query("chat", &head, &look).await;
        let seen = seen.map_err(|error| unavailable("a room", &error))?;
        let [row, users] = <[Value; 2]>::try_from(seen).map_err(|_| nonsense("a room"))?;
        let row = Reply::new(row);
        let room = || {
            Some(ChatRoom {
                uuid,
                key: key.clone(),
                label: unquoted(row.text(0)?)?,
                users: ids(&Reply::new(users))?,
                updated_at: row.number(1)?,
            })
        };
        Ok(Some(room().ok_or_else(|| nonsense("a room"))?))
    }

    async fn chat_keys(
        &self,
        realm: &RealmId,
        rooms: &[Id],
    ) -> Result<Vec<Option<RoomKey>>, LogError> {
        if rooms.is_empty() {
            return Ok(Vec::new());
        }
        let context = &self.context;
        let mut all = Pipeline::new();
        for room in rooms {
            all.cmd("HMGET").arg(context.key(realm, &format!("kr:{room}"))).arg("k").arg("o");
        }
        let rows = context.client.query("chat", &context.key(realm, "m"), &all).await;
        let rows = rows.map_err(|error| unavailable("rooms", &error))?;
        if rows.len() != rooms.len() {
            return Err(nonsense("rooms"));
        }
        Ok(rows.into_iter().map(|row| key(&Reply::new(row), 0)).collect())
    }

    async fn chat_page(
        &self,
        realm: &RealmId,
        room: &Id,
        query: PageQuery,
    ) -> Result<Page, LogError> {
        let own = [
            text(room.as_str()),
            query.before.map(arg).unwrap_or_default(),
            arg(query.skip),
            arg(query.limit),
        ];
        let reply = self.context.run(realm, &PAGE, own).await;
        let reply = reply.map_err(|error| unavailable("a page", &error))?;
        page(&reply, room).ok_or_else(|| nonsense("a page"))
    }

    async fn chat_after(
        &self,
        realm: &RealmId,
        room: &Id,
        after: u64,
        limit: usize,
    ) -> Result<Page, LogError> {
        let own = [text(room.as_str()), text("after"), arg(after), arg(limit)];
        let reply = self.context.run(realm, &PAGE, own).await;
        let reply = reply.map_err(|error| unavailable("a page", &error))?;
        page(&reply, room).ok_or_else(|| nonsense("a page"))
    }
}

/// A text as JSON: scripts put it into the data of events as it is.
fn literal(text: &str) -> String {
    // Serialising a text can't fail.
    serde_json::to_string(text).unwrap_or_default()
}

fn unquoted(literal: &str) -> Option<Arc<str>> {
    serde_json::from_str(literal).ok()
}

fn named(key: &RoomKey) -> [Bytes; 2] {
    [arg(key.kind.number()), text(key.object())]
}

fn key(reply: &Reply, at: usize) -> Option<RoomKey> {
    let kind = RoomKind::of_number(reply.number(at)?)?;
    let object = match reply.text(at + 1)? {
        "" => None,
        object => Some(Id::parse(object).ok()?),
    };
    Some(RoomKey { kind, object })
}

fn ids(reply: &Reply) -> Option<Vec<Id>> {
    let id = |value| as_text(value).and_then(|text| Id::parse(text).ok());
    reply.parts()?.iter().map(id).collect()
}

fn refusal(reply: &Reply) -> Option<ChatRefusal> {
    Some(match reply.text(1)? {
        "room" => ChatRefusal::NoRoom,
        "rooms" => ChatRefusal::TooManyRooms,
        "message" => ChatRefusal::NoMessage,
        "author" => ChatRefusal::NotAuthor,
        "deleted" => ChatRefusal::Deleted,
        _ => return None,
    })
}

fn outcome(reply: &Reply) -> Option<ChatOutcome> {
    let id = |at| Id::parse(reply.text(at)?).ok();
    Some(match reply.text(4)? {
        "joined" => ChatOutcome::Joined(ChatRoom {
            uuid: id(5)?,
            key: key(reply, 6)?,
            label: unquoted(reply.text(8)?)?,
            updated_at: reply.number(9)?,
            users: ids(&reply.part(10)?)?,
        }),
        word @ ("said" | "known") => {
            let message = ChatMessage {
                uuid: id(5)?,
                room: id(6)?,
                text: unquoted(reply.text(7)?)?,
                author: id(8)?,
                at: reply.number(9)?,
            };
            if word == "said" { ChatOutcome::Said(message) } else { ChatOutcome::Known(message) }
        }
        "done" => ChatOutcome::Done,
        "more" => ChatOutcome::More,
        _ => return None,
    })
}

fn page(reply: &Reply, room: &Id) -> Option<Page> {
    let count = reply.parts()?.len();
    let message = |at: usize| {
        let message = ChatMessage {
            uuid: Id::parse(reply.text(at + 1)?).ok()?,
            room: room.clone(),
            author: Id::parse(reply.text(at + 2)?).ok()?,
            at: reply.number(at + 3)?,
            text: unquoted(reply.text(at + 4)?)?,
        };
        Some((reply.number(at)?, message))
    };
    let messages = (0..count).step_by(5).map(message).collect::<Option<_>>()?;
    Some(Page { messages })
}
