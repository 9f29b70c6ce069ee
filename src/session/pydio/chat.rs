//! What a client on the chat route says beside subscribing.
//!
//! Invariants:
//! - rights are asked for each time, and who says something is who was proved;
//! - a refusal is told, and the socket stays; what is no message of the chat is ignored.
//!
//! Not here: reading the history (`history`).

use std::{collections::HashMap, sync::Arc};

use super::{PydioClient, reply_error};
use crate::{
    clock::random_connection_id,
    dialect::pydio::chat::{RoomRef, Saying, Wish, decode, message},
    log::LogError,
    model::{ChatSeat, CloseCode, Id, Rights, RoomKey, RoomKind, Subject},
    node::{ChatDone, ChatError, ChatOp, ChatOutcome, Seat},
    session::{context::Context, ending::Client},
};

pub(super) const UNAVAILABLE: &str = "the server can't do this now, try again";
const NOT_ALLOWED: &str = "you may not enter this room";
const NOT_JOINED: &str = "join the room first";
const READ_ONLY: &str = "this room is read-only for you";
const TOO_MANY: &str = "too many rooms";

/// The rooms that a session is in.
#[derive(Debug, Default)]
pub(super) struct Rooms(pub(super) HashMap<Id, Joined>);

/// One of them, and how far its history was read.
#[derive(Debug)]
pub(super) struct Joined {
    key: RoomKey,
    pub(super) read: Option<Read>,
}

/// Where a page ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    /// The offset with which a client reads on.
    pub(super) next: u64,
    /// Number of the oldest message that was sent.
    pub(super) oldest: u64,
    /// Number of the newest message that there was when reading began.
    pub(super) newest: u64,
}

/// What a client is told instead, and the room that it is put out of.
pub(super) struct Refused {
    told: String,
    put_out: Option<RoomKey>,
}

impl From<&'static str> for Refused {
    fn from(text: &'static str) -> Self {
        Self { told: text.to_owned(), put_out: None }
    }
}

impl From<LogError> for Refused {
    fn from(_: LogError) -> Self {
        UNAVAILABLE.into()
    }
}

impl From<ChatError> for Refused {
    fn from(error: ChatError) -> Self {
        match error {
            ChatError::Refused(refusal) => Self { told: refusal.to_string(), put_out: None },
            ChatError::Unavailable(_) => UNAVAILABLE.into(),
        }
    }
}

impl Rooms {
    fn find(&self, room: &RoomRef) -> Option<(&Id, &RoomKey)> {
        match room {
            RoomRef::Uuid(uuid) => self.0.get_key_value(uuid).map(|(uuid, one)| (uuid, &one.key)),
            RoomRef::Key(key) => {
                let mut all = self.0.iter().map(|(uuid, one)| (uuid, &one.key));
                all.find(|(_, known)| *known == key)
            }
        }
    }

    fn uuids(&self) -> Vec<Id> {
        self.0.keys().cloned().collect()
    }
}

fn chat_seat(seat: &Seat) -> ChatSeat {
    ChatSeat { connection: seat.connection, user: seat.identity.user.clone() }
}

fn subject(seat: &Seat) -> Subject {
    let mut roles = seat.identity.roles.clone();
    roles.sort_unstable();
    roles.dedup();
    Subject { roles, profile: seat.identity.profile.clone() }
}

async fn rights(client: &Client, key: &RoomKey) -> Result<Rights, Refused> {
    let subject = subject(&client.seat);
    Ok(client.context.node.chat_rights(&client.seat, &subject, key).await?)
}

/// Who may not be in a room. Records of what happens in a workspace are withheld by
/// themselves; whoever may not see a node must not be in its room.
fn forbidden(key: &RoomKey) -> Refused {
    let put_out = (key.kind == RoomKind::Node).then(|| key.clone());
    Refused { told: NOT_ALLOWED.to_owned(), put_out }
}

/// The rooms of a session that goes on, in which its user is there again.
pub(super) async fn go_on(client: &Client) -> Rooms {
    let (node, seat) = (&client.context.node, &client.seat);
    let joined = match node.chat_joined(seat).await {
        Ok(joined) => joined,
        Err(error) => {
            // It comes again: without its rooms it would seem to be in none.
            tracing::debug!(%error, "rooms of a session are not known");
            client.socket.abandon(CloseCode::TryLater, "the server can't do this now");
            return Rooms::default();
        }
    };
    let rooms = joined.into_iter().map(|(uuid, key)| (uuid, Joined { key, read: None }));
    let rooms = Rooms(rooms.collect());
    step(&client.context, seat, |seat| ChatOp::Return { rooms: rooms.uuids(), seat }).await;
    rooms
}

/// Takes the rooms of one session of a user into another one, as far as they are still
/// allowed, so that nobody is seen going.
pub(super) async fn move_rooms(from: (&Seat, Rooms), client: &Client) -> Rooms {
    let (old, rooms) = from;
    let is_same = old.identity.user == client.seat.identity.user
        && old.identity.realm == client.seat.identity.realm;
    let mut moved = Rooms::default();
    for joined in rooms.0.values().filter(|_| is_same) {
        let may = rights(client, &joined.key).await;
        if !may.is_ok_and(|rights| rights.read) {
            continue;
        }
        let op = ChatOp::Join {
            key: joined.key.clone(),
            label: Arc::from(""),
            uuid: new_name(),
            creates: false,
            asks: false,
            seat: chat_seat(&client.seat),
        };
        if let Ok(ChatDone { outcome: ChatOutcome::Joined(room), .. }) =
            client.context.node.chat(&client.seat, op).await
        {
            moved.0.insert(room.uuid, Joined { key: joined.key.clone(), read: None });
        }
    }
    end(&client.context, old, &rooms).await;
    moved
}

/// Nobody is there any more for the rooms of a socket that ended.
pub(super) async fn end(context: &Context, seat: &Seat, rooms: &Rooms) {
    step(context, seat, |seat| ChatOp::End { rooms: rooms.uuids(), seat }).await;
}

/// Does what needs no answer: whoever is not there ends by silence.
async fn step(context: &Context, seat: &Seat, op: impl FnOnce(ChatSeat) -> ChatOp) {
    let op = op(chat_seat(seat));
    let has_rooms = match &op {
        ChatOp::Return { rooms, .. } | ChatOp::End { rooms, .. } => !rooms.is_empty(),
        ChatOp::Join { .. }
        | ChatOp::Leave { .. }
        | ChatOp::Post { .. }
        | ChatOp::Delete { .. }
        | ChatOp::Sweep => true,
    };
    if has_rooms && let Err(error) = context.node.chat(seat, op).await {
        tracing::debug!(%error, "presence in rooms was not noted");
    }
}

/// A name that nothing has.
fn new_name() -> Id {
    let name = random_connection_id();
    #[expect(clippy::expect_used, reason = "26 letters and digits are a name")]
    Id::parse(name.as_str()).expect("a name")
}

impl PydioClient {
    /// Does what one message of the chat asks.
    pub(super) async fn hear_chat(&mut self, text: &str) {
        self.client.acted().await;
        let context = Arc::clone(&self.client.context);
        let done = match decode(text, &context.json_limits()) {
            None => return tracing::trace!(bytes = text.len(), "no message of the chat"),
            Some(Err(told)) => Err(told.into()),
            Some(Ok(wish)) => Box::pin(self.grant(wish)).await,
        };
        if let Err(Refused { told, put_out }) = done {
            if let Some(key) = put_out {
                self.put_out(key).await;
            }
            context.node.metrics().rejected("message", "other");
            self.client.socket.reply(&reply_error(&told));
        }
    }

    async fn grant(&mut self, wish: Wish) -> Result<(), Refused> {
        match wish {
            Wish::Join { key, label, is_ping, wants_history } => {
                self.join((key, label), is_ping, wants_history).await
            }
            Wish::Leave(key) => self.leave_room(key).await,
            Wish::Say(saying) => self.say(saying).await,
            Wish::Delete { room, uuid } => self.delete(&room, uuid).await,
            Wish::History { room, paging } => {
                let (uuid, key) = self.joined(&room)?;
                self.may_read(&key).await?;
                self.history(&uuid, &key, paging).await
            }
        }
    }

    /// Ends the stay in a room, if there is one. Silence ends what can't be ended now.
    async fn put_out(&mut self, key: RoomKey) {
        let Ok((uuid, _)) = self.joined(&RoomRef::Key(key.clone())) else { return };
        let seat = chat_seat(&self.client.seat);
        if self.chat(ChatOp::Leave { key, seat }).await.is_ok() {
            self.rooms.0.remove(&uuid);
        }
    }

    /// A room that the session is in.
    fn joined(&self, room: &RoomRef) -> Result<(Id, RoomKey), Refused> {
        let (uuid, key) = self.rooms.find(room).ok_or(NOT_JOINED)?;
        Ok((uuid.clone(), key.clone()))
    }

    async fn may_read(&self, key: &RoomKey) -> Result<(), Refused> {
        let rights = rights(&self.client, key).await?;
        if rights.read { Ok(()) } else { Err(forbidden(key)) }
    }

    async fn may_write(&self, key: &RoomKey) -> Result<(), Refused> {
        match rights(&self.client, key).await? {
            Rights { read: true, write: true } => Ok(()),
            Rights { read: true, write: false } => Err(READ_ONLY.into()),
            Rights { read: false, .. } => Err(forbidden(key)),
        }
    }

    async fn chat(&self, op: ChatOp) -> Result<ChatOutcome, Refused> {
        let Client { context, seat, .. } = &self.client;
        let ChatDone { outcome, offset } = context.node.chat(seat, op).await?;
        // What is answered from here on comes after what the room was told.
        context.node.caught_up(seat, offset).await;
        Ok(outcome)
    }

    async fn join(
        &mut self,
        (key, label): (RoomKey, Arc<str>),
        is_ping: bool,
        wants_history: bool,
    ) -> Result<(), Refused> {
        self.may_read(&key).await?;
        let max = self.client.context.limits().subscriptions_per_connection;
        let is_known = self.rooms.find(&RoomRef::Key(key.clone())).is_some();
        if !is_known && self.rooms.0.len() >= max {
            return Err(TOO_MANY.into());
        }
        let op = ChatOp::Join {
            key: key.clone(),
            label,
            uuid: new_name(),
            creates: !is_ping,
            asks: !is_ping,
            seat: chat_seat(&self.client.seat),
        };
        if let ChatOutcome::Joined(room) = self.chat(op).await? {
            let joined = Joined { key: key.clone(), read: None };
            self.rooms.0.entry(room.uuid.clone()).or_insert(joined);
            if wants_history {
                self.everything(&room.uuid).await?;
            }
        }
        Ok(())
    }

    async fn leave_room(&mut self, key: RoomKey) -> Result<(), Refused> {
        let (uuid, _) = self.joined(&RoomRef::Key(key.clone()))?;
        let seat = chat_seat(&self.client.seat);
        self.chat(ChatOp::Leave { key, seat }).await?;
        self.rooms.0.remove(&uuid);
        Ok(())
    }

    async fn say(&mut self, Saying { room, uuid, text }: Saying) -> Result<(), Refused> {
        let (room, key) = self.joined(&room)?;
        self.may_write(&key).await?;
        let uuid = uuid.unwrap_or_else(new_name);
        let seat = chat_seat(&self.client.seat);
        // Everybody hears of it from the log; whoever repeats it, only from here.
        if let ChatOutcome::Known(said) = self.chat(ChatOp::Post { room, uuid, text, seat }).await?
        {
            self.client.socket.reply(&message(&said));
        }
        Ok(())
    }

    async fn delete(&mut self, room: &RoomRef, uuid: Id) -> Result<(), Refused> {
        let (room, key) = self.joined(room)?;
        self.may_write(&key).await?;
        let seat = chat_seat(&self.client.seat);
        self.chat(ChatOp::Delete { room, uuid, seat }).await?;
        Ok(())
    }
}
