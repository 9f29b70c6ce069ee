//! A socket in a chat room: what it says goes to the room, itself included.
//!
//! Invariants:
//! - what is said is in the log before anybody sees it, so all see one order;
//! - a plain client that is refused is closed with a code, because it has no words
//!   for errors; a numbered one is told.

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;

use super::{
    context::Context,
    doorkeeper::Ticket,
    ending::{self, Client},
    meter::Meter,
    pace::{Pace, Paced},
    shield::shielded,
    socket::{End, Heard, Socket},
};
use crate::{
    clock::random_connection_id,
    dialect::room::{
        EVENT_NAME, Hello, ROOM_JSON, ROOM_PLAIN, Refusal, Request, Said, decode, decode_binary,
        decode_plain, event_id, hello, reply_error, said_data,
    },
    log::Draft,
    model::{Body, CloseCode, Event, Id, Identity, Scope, Topic},
    node::{Arrival, Greeting, PublishError, Resume, Welcome},
    ws::{Stream, frame},
};

/// Who enters which room, and how.
#[derive(Debug)]
pub(super) struct RoomEntry {
    pub(super) identity: Arc<Identity>,
    pub(super) room: Id,
    /// True for the subprotocol with numbers, history and resume.
    pub(super) is_numbered: bool,
    pub(super) resume: Option<Resume>,
    /// Where a plain client's part of the log begins. It has no hello that could tell
    /// it so: what is said after its 101 must come.
    pub(super) since: Option<u64>,
}

/// A client in a room.
struct RoomClient {
    client: Client,
    room: Id,
    is_numbered: bool,
    pace: Pace,
    meter: Meter,
    _ticket: Ticket,
}

/// Serves one socket until it ends.
///
/// Two tasks, because the first is big and short, the second small and long.
pub(super) fn run(
    context: Arc<Context>,
    ticket: Ticket,
    entry: RoomEntry,
    upgraded: (Stream, Bytes),
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let sessions = context.sessions.clone();
        let Some(mut seated) = enter(context, ticket, entry, upgraded).await else { return };
        // The block keeps the client in place: a function would keep room for it twice.
        sessions.spawn(async move {
            let end = loop {
                match seated.client.next().await {
                    Heard::End(end) => break end,
                    heard @ (Heard::Text(_) | Heard::Binary(_)) => {
                        if shielded(Box::pin(seated.hear(heard))).await.is_err() {
                            seated.client.panicked();
                        }
                    }
                }
            };
            Box::pin(seated.leave(end)).await;
        });
    })
}

/// Takes a seat; `None` when the socket has ended instead.
async fn enter(
    context: Arc<Context>,
    ticket: Ticket,
    entry: RoomEntry,
    (stream, leftover): (Stream, Bytes),
) -> Option<RoomClient> {
    let meter = Meter::open(&context, "room");
    let RoomEntry { identity, room, is_numbered, resume, since } = entry;
    let encoding = if is_numbered { &ROOM_JSON } else { &ROOM_PLAIN };
    let socket = Socket::new(Arc::clone(&context), encoding, stream, leftover);
    let arrival = Arrival {
        identity,
        scope: Scope::Room(room.clone()),
        link: Arc::clone(socket.link()),
        // A plain client has no numbers to go on from.
        resume: resume.filter(|_| is_numbered),
        since,
        greet: if is_numbered { Box::new(greet) } else { Box::new(|_| None) },
    };
    let refused = match context.node.connect(arrival).await {
        Welcome::Fresh(seat) | Welcome::Resumed(seat) => {
            let max = context.config.dialects.room.max_message_bytes;
            let mut client = Client::begin(context, socket, seat).await;
            client.message_bytes = (!is_numbered).then_some(max);
            let pace = Pace::new();
            let room = RoomClient { client, room, is_numbered, pace, meter, _ticket: ticket };
            return Some(room);
        }
        Welcome::Ended => CloseCode::SessionEnded,
        Welcome::Unavailable => CloseCode::TryLater,
    };
    meter.close(ending::refuse(socket, refused).await);
    None
}

fn greet(greeting: &Greeting<'_>) -> Option<Bytes> {
    let Scope::Room(room) = greeting.scope else { return None };
    let user = shown_name(greeting.identity);
    let payload = hello(&Hello { connection: greeting.connection, user, room }, greeting.history);
    Some(frame::message(frame::Opcode::Text, &payload))
}

/// The name that the others see: a guest's chosen one, a user's id.
fn shown_name(identity: &Identity) -> &str {
    let guest = identity.name.as_deref().filter(|_| super::guest::is_guest(identity));
    guest.unwrap_or(identity.user.as_str())
}

impl RoomClient {
    async fn leave(self, end: End) {
        let Self { client, meter, _ticket, .. } = self;
        meter.close(ending::leave(client, end).await);
    }

    async fn hear(&mut self, heard: Heard) {
        let context = Arc::clone(&self.client.context);
        match self.pace.step(&context.limits()) {
            Paced::Fine => {}
            Paced::Dropped if self.is_numbered => {
                context.node.metrics().rejected("limit", "commands");
                return self.client.socket.reply(&reply_error(Refusal::TooFast));
            }
            Paced::Dropped | Paced::Over => {
                context.node.metrics().rejected("limit", "commands");
                return self.client.socket.abandon(CloseCode::RateLimited, "too many messages");
            }
        }
        self.client.acted().await;
        let max_bytes = context.config.dialects.room.max_message_bytes;
        let request = match heard {
            Heard::Text(text) if self.is_numbered => {
                decode(&text, &context.json_limits(), max_bytes)
            }
            Heard::Text(text) => {
                decode_plain(&text, max_bytes).map(|said| said.map_or(Request::Blank, Request::Say))
            }
            Heard::Binary(_) if self.is_numbered => {
                context.node.metrics().rejected("message", "binary");
                let reason = "this subprotocol speaks text";
                return self.client.socket.abandon(CloseCode::Unsupported, reason);
            }
            Heard::Binary(bytes) => match decode_binary(Bytes::from(bytes), max_bytes) {
                Ok(Some(bytes)) => return self.say(bytes, true, None).await,
                Ok(None) => return,
                Err(error) => Err(error),
            },
            Heard::End(_) => return,
        };
        match request {
            Ok(Request::Say(Said { text, id })) => self.say(said_data(&text), false, id).await,
            Ok(Request::Blank) => {}
            Ok(Request::Refused(refusal)) => self.refuse(refusal),
            Err(error) => {
                context.node.metrics().rejected("message", error.label());
                self.client.socket.abandon(error.close(), "the message can't be read");
            }
        }
    }

    /// Puts a message into the log. Its sender sees it like everybody else.
    async fn say(&mut self, data: Bytes, binary: bool, id: Option<Id>) {
        let identity = &self.client.seat.identity;
        let sender = shown_name(identity);
        let (event, key) = match &id {
            Some(id) => {
                let id: Arc<str> = event_id(&self.room, sender, id.as_str()).into();
                (Arc::clone(&id), Some(id))
            }
            None => (Arc::from(random_connection_id().as_str()), None),
        };
        let event = Event {
            name: Arc::from(EVENT_NAME),
            data,
            to: Topic::Room(self.room.clone()),
            omit_users: Vec::new(),
            omit_connection: None,
            ephemeral: false,
            binary,
            id: event,
            sender: Some(Arc::from(sender)),
        };
        let draft = Draft { body: Body::Event(event), id: key };
        let node = &self.client.context.node;
        match node.publish_one(&identity.realm, draft).await {
            Ok(_published) => {}
            Err(PublishError::Conflict) => self.refuse(Refusal::IdReused),
            Err(
                PublishError::TooManyMemberships { .. }
                | PublishError::Waiting { .. }
                | PublishError::Unavailable { .. },
            ) => {
                self.refuse(Refusal::Unavailable);
            }
        }
    }

    fn refuse(&self, refusal: Refusal) {
        self.client.context.node.metrics().rejected("message", refusal.label());
        if self.is_numbered {
            self.client.socket.reply(&reply_error(refusal));
        } else {
            self.client.socket.abandon(CloseCode::TryLater, "the server can't take messages now");
        }
    }
}
