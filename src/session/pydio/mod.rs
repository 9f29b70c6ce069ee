//! A socket that speaks Pydio's protocol, on either of its routes.
//!
//! Invariants:
//! - a socket is nobody's until `subscribe` proves a user, and again after
//!   `unsubscribe`; nobody's socket ends after `limits.auth_timeout`;
//! - subscribing again replaces the user and all rights, and loses no push in between;
//! - an error is told as text before the socket closes with a code.
//!
//! Not here: shapes (`dialect`), who gets what (`bus`, `hub`).

mod chat;
mod history;
mod outside;
mod rights;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;

use self::{chat::Rooms, outside::Outside, rights::Cause};
use super::{
    context::Context,
    doorkeeper::{Admission, Ticket},
    ending::{self, Client},
    knock::PydioRoute,
    meter::Meter,
    pace::{Pace, Paced},
    shield::shielded,
    socket::{End, Heard, Socket},
};
use crate::{
    dialect::pydio::{Control, ENCODING, Refusal, decode, hello, reply_error},
    model::{CloseCode, Identity, Scope, Subject},
    node::{Arrival, Greeting, Resume, Welcome},
    ws::{Stream, frame},
};

/// How long what waits in an outbox may hold up a new subscription.
const FLUSH_PATIENCE: Duration = Duration::from_secs(10);

/// Who opens a socket.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) route: PydioRoute,
    /// Where the first subscription wants to go on.
    pub(super) resume: Option<Resume>,
    pub(super) limits: Arc<Admission>,
}

/// A user who was proved, and how the socket goes on.
struct Proved {
    identity: Arc<Identity>,
    is_numbered: bool,
    resume: Option<Resume>,
    /// What was pushed up to this offset came to the same socket before.
    since: Option<u64>,
}

/// What a socket keeps, whoever it belongs to.
struct Base {
    route: PydioRoute,
    limits: Arc<Admission>,
    ticket: Ticket,
    meter: Meter,
    pace: Pace,
}

/// A client with a seat.
struct PydioClient {
    client: Client,
    base: Base,
    /// The chat rooms that it is in.
    rooms: Rooms,
}

/// What follows a message.
enum Next {
    Stay,
    Become(Proved),
    Nobody,
}

/// Serves one socket until it ends.
///
/// Two tasks, because the first is big and short, the second small and long.
pub(super) fn run(
    context: Arc<Context>,
    ticket: Ticket,
    entry: Entry,
    (stream, leftover): (Stream, Bytes),
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let sessions = context.sessions.clone();
        let meter = Meter::open(&context, "pydio");
        let socket = Socket::new(Arc::clone(&context), &ENCODING, stream, leftover);
        let Entry { route, resume, limits } = entry;
        let base = Base { route, limits, ticket, meter, pace: Pace::new() };
        let outside = Outside { context, socket, base, resume };
        let Some(mut seated) = outside.come_in().await else { return };
        // The block keeps the client in place: a function would keep room for it twice.
        sessions.spawn(async move {
            loop {
                let next = match seated.next().await {
                    Cause::Heard(Heard::End(end)) => return Box::pin(seated.leave(end)).await,
                    Cause::Stirred(rooms) => {
                        if shielded(Box::pin(seated.ask_rights(rooms))).await.is_err() {
                            seated.client.panicked();
                        }
                        Next::Stay
                    }
                    Cause::Heard(heard @ (Heard::Text(_) | Heard::Binary(_))) => {
                        match shielded(Box::pin(seated.hear(heard))).await {
                            Ok(next) => next,
                            Err(_panicked) => {
                                seated.client.panicked();
                                Next::Stay
                            }
                        }
                    }
                };
                let outside = match next {
                    Next::Stay => continue,
                    Next::Become(proved) => Box::pin(seated.become_other(proved)).await,
                    Next::Nobody => {
                        let outside = Box::pin(seated.stand_up()).await;
                        Box::pin(outside.come_in()).await
                    }
                };
                match outside {
                    Some(client) => seated = client,
                    None => return,
                }
            }
        });
    })
}

impl Base {
    /// What a session of this route reads.
    fn scope(&self, identity: &Identity) -> Scope {
        let mut roles = identity.roles.clone();
        roles.sort_unstable();
        roles.dedup();
        let subject = Arc::new(Subject { roles, profile: identity.profile.clone() });
        match self.route {
            PydioRoute::Event => Scope::Bus(subject),
            PydioRoute::Chat => Scope::Chat(subject),
        }
    }

    /// Gives the socket a seat; `None` when it has ended instead.
    async fn seat(
        self,
        context: Arc<Context>,
        socket: Socket,
        proved: Proved,
    ) -> Option<PydioClient> {
        let Proved { identity, is_numbered, resume, since } = proved;
        socket.link().begin(is_numbered);
        let arrival = Arrival {
            scope: self.scope(&identity),
            identity,
            link: Arc::clone(socket.link()),
            resume,
            since,
            greet: if is_numbered { Box::new(greet) } else { Box::new(|_| None) },
        };
        let is_chat = self.route == PydioRoute::Chat;
        let refusal = match context.node.connect(arrival).await {
            Welcome::Fresh(seat) => {
                let client = Client::begin(context, socket, seat).await;
                let rooms = if is_chat { Rooms::none(&client) } else { Rooms::default() };
                return Some(PydioClient { client, base: self, rooms });
            }
            Welcome::Resumed(seat) => {
                let client = Client::begin(context, socket, seat).await;
                let rooms = if is_chat { rights::go_on(&client).await } else { Rooms::default() };
                return Some(PydioClient { client, base: self, rooms });
            }
            Welcome::Ended => Refusal::Ended,
            Welcome::Unavailable => Refusal::Unavailable,
        };
        // The node may have closed it for a reason of its own.
        if socket.link().closed_with().is_none() {
            refuse(&context, &socket, &refusal);
        }
        let code = socket.link().closed_with().unwrap_or(CloseCode::TryLater.number());
        self.meter.close(socket.finish(End::ByServer(code)).await);
        None
    }
}

fn greet(greeting: &Greeting<'_>) -> Option<Bytes> {
    Some(frame::message(frame::Opcode::Text, &hello(greeting.connection)))
}

/// Tells an error, counts it, and closes the socket where that follows.
fn refuse(context: &Context, socket: &Socket, refusal: &Refusal) {
    if let Some((stage, reason)) = refusal.count() {
        context.node.metrics().rejected(stage, reason);
    }
    let text = refusal.to_string();
    socket.reply(&reply_error(&text));
    if let Some(code) = refusal.close() {
        // What was told leaves first.
        let reason = match refusal {
            Refusal::TooMany => "Too many connections.",
            Refusal::TooManyFailures => "Too many bad tokens.",
            Refusal::Unreadable(_)
            | Refusal::EmptyToken { .. }
            | Refusal::Token(_)
            | Refusal::Ended
            | Refusal::TooFast
            | Refusal::Unavailable => code.row().meaning,
        };
        socket.link().close(code.number(), reason);
    }
}

impl PydioClient {
    async fn leave(self, end: End) {
        let Self { client, base, rooms } = self;
        // Whoever took the connection over is in its rooms.
        if client.socket.link().closed_with() != Some(CloseCode::ResumedElsewhere.number()) {
            chat::end(&client.context, &client.seat, &rooms).await;
        }
        base.meter.close(ending::leave(client, end).await);
    }

    /// Does what one message asks.
    async fn hear(&mut self, heard: Heard) -> Next {
        let context = Arc::clone(&self.client.context);
        match self.base.pace.step(&context.limits()) {
            Paced::Fine => {}
            Paced::Dropped => {
                refuse(&context, &self.client.socket, &Refusal::TooFast);
                return Next::Stay;
            }
            Paced::Over => {
                context.node.metrics().rejected("limit", "commands");
                self.client.socket.abandon(CloseCode::RateLimited, "too many messages");
                return Next::Stay;
            }
        }
        // Only text is spoken; anything else is read and dropped.
        let Heard::Text(text) = heard else { return Next::Stay };
        match decode(&text, &context.json_limits()) {
            Ok(Control::Subscribe(subscribe)) => {
                let Self { client, base, .. } = self;
                let address = (&context, &client.socket);
                match base.prove(address, subscribe).await {
                    Some(proved) => Next::Become(proved),
                    None => Next::Stay,
                }
            }
            Ok(Control::Unsubscribe) => Next::Nobody,
            Ok(Control::Other) if self.base.route == PydioRoute::Event => Next::Stay,
            Err(error) if self.base.route == PydioRoute::Event => {
                refuse(&context, &self.client.socket, &error.into());
                Next::Stay
            }
            Ok(Control::Other) | Err(_) => {
                self.hear_chat(&text).await;
                Next::Stay
            }
        }
    }

    /// Gives the seat up; the socket stays open.
    async fn stand_up(self) -> Outside {
        let Self { client, mut base, rooms } = self;
        chat::end(&client.context, &client.seat, &rooms).await;
        let (context, socket) = ending::stand_up(client).await;
        base.ticket.forget_user();
        Outside { context, socket, base, resume: None }
    }

    /// Takes another seat in place of this one, right after what this one was sent.
    async fn become_other(self, proved: Proved) -> Option<Self> {
        let Self { client, base, rooms } = self;
        let old = client.seat.clone();
        let was_numbered = client.socket.link().encoding().numbered.is_none();
        let (context, mut socket) = ending::stand_up(client).await;
        let since = socket.link().left_at().map(|(_, cursor)| cursor);
        if was_numbered != proved.is_numbered {
            // What waits was numbered, or not, as it was asked for.
            let written = timeout(FLUSH_PATIENCE, socket.written()).await;
            if !matches!(written, Ok(Ok(()))) {
                let reason = "the client does not read fast enough";
                socket.abandon(CloseCode::SlowReader, reason);
                let end = End::ByServer(CloseCode::SlowReader.number());
                base.meter.close(socket.finish(end).await);
                return None;
            }
        }
        let mut seated = base.seat(context, socket, Proved { since, ..proved }).await?;
        if seated.base.route == PydioRoute::Chat {
            seated.rooms = rights::move_rooms((&old, rooms), &seated.client).await;
        }
        Some(seated)
    }
}
