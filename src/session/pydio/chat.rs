//! What a client on the chat route says beside subscribing.
//!
//! Invariants:
//! - rights are asked for each time, and who says something is who was proved;
//! - a refusal is told, and the socket stays; what is no message of the chat is ignored.
//!
//! Not here: reading the history (`history`), what a session may (`rights`).

use std::{collections::HashMap, sync::Arc};

use tokio::time::Instant;

use super::{PydioClient, reply_error};
use crate::{
    clock::random_connection_id,
    dialect::pydio::chat::{RoomRef, Saying, Wish, decode, message},
    log::LogError,
    model::{ChatSeat, Id, RoomKey},
    node::{ChatDone, ChatError, ChatOp, ChatOutcome, Seat, Stay},
    session::{context::Context, ending::Client},
};

pub(super) const UNAVAILABLE: &str = "the server can't do this now, try again";
const NOT_JOINED: &str = "join the room first";
const TOO_MANY: &str = "too many rooms";
const TOO_OFTEN: &str = "too many rooms in a short time";

/// The rooms that a session is in.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    pub(super) all: HashMap<Id, Joined>,
    /// Tells when a right may have ended; `None` without rooms.
    pub(super) stay: Option<Stay>,
    /// Rooms about which the log could not be asked, and when it is asked again.
    pub(super) unsure: Option<(Instant, Vec<RoomKey>)>,
}

/// One of them, and how far its history was read.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) key: RoomKey,
    /// False while the log could not be told that this session is there.
    pub(super) is_there: bool,
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
    pub(super) told: String,
    pub(super) put_out: Option<RoomKey>,
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
    /// None yet, for the session of `client`.
    pub(super) fn none(client: &Client) -> Self {
        let stay = Some(client.context.node.stay(&client.seat));
        Self { all: HashMap::new(), stay, unsure: None }
    }

    pub(super) fn add(&mut self, uuid: Id, key: &RoomKey) {
        self.expect(uuid, key).is_there = true;
    }

    /// A room that the session is to be in: the log could not be told yet.
    pub(super) fn expect(&mut self, uuid: Id, key: &RoomKey) -> &mut Joined {
        let unread = || Joined { key: key.clone(), is_there: false, read: None };
        self.all.entry(uuid).or_insert_with(unread)
    }

    /// To be called before rights are asked for: one that ends meanwhile is told.
    pub(super) fn watch(&self, key: &RoomKey) {
        if let Some(stay) = &self.stay {
            stay.enter(key);
        }
    }

    /// Ends what [`Rooms::watch`] began, when the session is not in the room.
    pub(super) fn unwatch(&self, key: &RoomKey) {
        let is_there = self.all.values().any(|joined| joined.key == *key);
        if let Some(stay) = self.stay.as_ref().filter(|_| !is_there) {
            stay.leave(key);
        }
    }

    fn find(&self, room: &RoomRef) -> Option<(&Id, &RoomKey)> {
        match room {
            RoomRef::Uuid(uuid) => self.all.get_key_value(uuid).map(|(uuid, one)| (uuid, &one.key)),
            RoomRef::Key(key) => {
                let mut all = self.all.iter().map(|(uuid, one)| (uuid, &one.key));
                all.find(|(_, known)| *known == key)
            }
        }
    }

    pub(super) fn uuids(&self) -> Vec<Id> {
        self.all.keys().cloned().collect()
    }
}

pub(super) fn chat_seat(seat: &Seat) -> ChatSeat {
    let user = seat.identity.user.clone();
    ChatSeat { connection: seat.connection, user, fencing: seat.fencing() }
}

/// Nobody is there any more for the rooms of a socket that ended.
pub(super) async fn end(context: &Context, seat: &Seat, rooms: &Rooms) {
    step(context, seat, |seat| ChatOp::End { rooms: rooms.uuids(), seat }).await;
}

/// Does what needs no answer: whoever is not there ends by silence.
pub(super) async fn step(context: &Context, seat: &Seat, op: impl FnOnce(ChatSeat) -> ChatOp) {
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
pub(super) fn new_name() -> Id {
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

    /// The session is in this room no more.
    pub(super) fn forget(&mut self, uuid: &Id, key: &RoomKey) {
        self.rooms.all.remove(uuid);
        self.rooms.unwatch(key);
    }

    /// A room that the session is in.
    pub(super) fn joined(&self, room: &RoomRef) -> Result<(Id, RoomKey), Refused> {
        let (uuid, key) = self.rooms.find(room).ok_or(NOT_JOINED)?;
        Ok((uuid.clone(), key.clone()))
    }

    pub(super) async fn chat(&self, op: ChatOp) -> Result<ChatOutcome, Refused> {
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
        self.rooms.watch(&key);
        let joined = self.try_join((&key, label), is_ping, wants_history).await;
        self.rooms.unwatch(&key);
        joined
    }

    async fn try_join(
        &mut self,
        (key, label): (&RoomKey, Arc<str>),
        is_ping: bool,
        wants_history: bool,
    ) -> Result<(), Refused> {
        self.may_read(key).await?;
        let max = self.client.context.limits().subscriptions_per_connection;
        let is_known = self.rooms.find(&RoomRef::Key(key.clone())).is_some();
        if !is_known && self.rooms.all.len() >= max {
            return Err(TOO_MANY.into());
        }
        let Client { context, seat, .. } = &self.client;
        if !is_known && !context.node.may_hear_more(seat, max).await? {
            return Err(TOO_OFTEN.into());
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
            self.rooms.add(room.uuid.clone(), key);
            if wants_history {
                self.everything(&room.uuid).await?;
            }
        }
        Ok(())
    }

    async fn leave_room(&mut self, key: RoomKey) -> Result<(), Refused> {
        let (uuid, _) = self.joined(&RoomRef::Key(key.clone()))?;
        let seat = chat_seat(&self.client.seat);
        self.chat(ChatOp::Leave { key: key.clone(), asks: true, seat }).await?;
        self.forget(&uuid, &key);
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
