//! A socket that speaks Mattermost's protocol.
//!
//! Invariants:
//! - no event before the hello, and no event for who has not proved a user;
//! - each request gets exactly one reply with its number, or ends the socket;
//! - a socket without a user ends after `limits.auth_timeout`.
//!
//! Not here: shapes (`dialect`), what requests do (`actions`).

mod actions;

use std::{future::Future, num::NonZeroU64, pin::Pin, sync::Arc};

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::{
    context::Context,
    doorkeeper::{Admission, Ticket},
    ending::{self, Client},
    meter::Meter,
    pace::{Pace, Paced},
    shield::shielded,
    socket::{End, Heard, Socket},
};
use crate::{
    dialect::mattermost::{
        self, Action, ENCODING, Hello, Refusal, Request, hello, reply_fail, reply_ok,
    },
    model::{CloseCode, Identity, Scope},
    node::{Arrival, Greeting, Resume, Welcome},
    ws::{FrameLimits, Stream, frame},
};

/// Who opens a socket, as far as is known.
#[derive(Debug)]
pub(super) struct Entry {
    /// Whom the request proved; `None` when a challenge has to follow.
    pub(super) identity: Option<Arc<Identity>>,
    pub(super) resume: Option<Resume>,
    pub(super) limits: Arc<Admission>,
}

/// A client with a seat.
struct MattermostClient {
    client: Client,
    pace: Pace,
    typing: Option<crate::limits::Bucket>,
    pinged_at: Option<Instant>,
    meter: Meter,
    _ticket: Ticket,
}

/// Serves one socket until it ends.
///
/// Two tasks, because the first is big and short, the second small and long.
pub(super) fn run(
    context: Arc<Context>,
    ticket: Ticket,
    entry: Entry,
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
                    Heard::Text(text) => {
                        if shielded(Box::pin(seated.hear(text))).await.is_err() {
                            seated.client.panicked();
                        }
                    }
                    Heard::Binary(_) => seated.refuse_binary(),
                }
            };
            Box::pin(seated.leave(end)).await;
        });
    })
}

/// Takes a seat; `None` when the socket has ended instead.
async fn enter(
    context: Arc<Context>,
    mut ticket: Ticket,
    entry: Entry,
    (stream, leftover): (Stream, Bytes),
) -> Option<MattermostClient> {
    let meter = Meter::open(&context, "mattermost");
    let mut socket = Socket::new(Arc::clone(&context), &ENCODING, stream, leftover);
    let Entry { identity, resume, limits } = entry;
    let (identity, resume, challenge) = match identity {
        Some(identity) => (identity, resume, None),
        // A resume needs a user, and its id was promised before there was one.
        None => match challenge(&context, &mut ticket, &limits, &mut socket).await {
            Ok((identity, seq)) => (identity, None, Some(seq)),
            Err(end) => {
                meter.close(socket.finish(end).await);
                return None;
            }
        },
    };
    let version = context.config.dialects.mattermost.server_version.clone();
    let arrival = Arrival {
        identity,
        scope: Scope::Member,
        link: Arc::clone(socket.link()),
        resume,
        since: None,
        greet: Box::new(move |greeting| greet(greeting, &version)),
    };
    let refused = match context.node.connect(arrival).await {
        Welcome::Fresh(seat) | Welcome::Resumed(seat) => {
            if let Some(seq) = challenge {
                socket.reply(&reply_ok(seq));
            }
            let client = Client::begin(context, socket, seat).await;
            let pace = Pace::new();
            return Some(MattermostClient {
                client,
                pace,
                typing: None,
                pinged_at: None,
                meter,
                _ticket: ticket,
            });
        }
        Welcome::Ended => CloseCode::SessionEnded,
        Welcome::Unavailable => CloseCode::TryLater,
    };
    meter.close(ending::refuse(socket, refused).await);
    None
}

impl MattermostClient {
    async fn leave(self, end: End) {
        let Self { client, meter, _ticket, .. } = self;
        meter.close(ending::leave(client, end).await);
    }
}

fn greet(greeting: &Greeting<'_>, server_version: &str) -> Option<Bytes> {
    let payload = hello(&Hello {
        connection: greeting.connection,
        user: &greeting.identity.user,
        server_hostname: greeting.node,
        server_version,
    });
    Some(frame::message(frame::Opcode::Text, &payload))
}

/// Waits for the challenge that proves a user. Returns the user and the number of
/// the request, which is answered after the hello.
async fn challenge(
    context: &Context,
    ticket: &mut Ticket,
    admission: &Admission,
    socket: &mut Socket,
) -> Result<(Arc<Identity>, NonZeroU64), End> {
    let limits = context.limits();
    let deadline = Instant::now() + limits.auth_timeout;
    let frames = FrameLimits::unauthenticated(&limits);
    let mut pace = Pace::new();
    loop {
        // Every arm is cancel safe; what was read in part stays with the socket.
        let heard = tokio::select! {
            biased;
            () = context.draining.cancelled() => {
                return Err(close(socket, CloseCode::Restart, "the server restarts"));
            }
            heard = timeout_at(deadline, socket.next_within(&frames)) => heard,
        };
        let text = match heard {
            Ok(Heard::Text(text)) => text,
            Ok(Heard::End(end)) => return Err(end),
            Ok(Heard::Binary(_)) => {
                context.node.metrics().rejected("message", "binary");
                return Err(close(socket, CloseCode::Unsupported, "only text is spoken here"));
            }
            Err(_elapsed) => {
                context.node.metrics().rejected("auth", "timeout");
                return Err(close(socket, CloseCode::AuthRequired, "no authentication in time"));
            }
        };
        if pace.step(&limits) != Paced::Fine {
            context.node.metrics().rejected("limit", "commands");
            return Err(close(socket, CloseCode::RateLimited, "too many messages"));
        }
        let Request { seq, action } = match mattermost::decode(&text, &context.json_limits()) {
            Ok(request) => request,
            Err(error) => {
                context.node.metrics().rejected("message", error.label());
                return Err(close(socket, error.close(), "the message can't be read"));
            }
        };
        let refusal = match action {
            Ok(Action::AuthenticationChallenge(token)) => {
                match context.verifier.verify(token.reveal()).await {
                    Ok(identity) => {
                        let max = limits.connections_per_user;
                        if !ticket.count_user(admission, &identity, max) {
                            context.node.metrics().rejected("limit", "connections_per_user");
                            let reason = "too many connections of this user";
                            return Err(close(socket, CloseCode::RateLimited, reason));
                        }
                        return Ok((Arc::new(identity), seq));
                    }
                    Err(error) => {
                        context.node.metrics().rejected("auth", error.label());
                        let is_patient = ticket.count_failure(admission);
                        socket.reply(&reply_fail(seq, &Refusal::InvalidToken));
                        let code = if is_patient {
                            CloseCode::AuthRequired
                        } else {
                            CloseCode::RateLimited
                        };
                        socket.link().close(code.number(), "the token is not valid");
                        return Err(End::ByServer(code.number()));
                    }
                }
            }
            Ok(_) => Refusal::NotAuthenticated,
            Err(refusal) => refusal,
        };
        context.node.metrics().rejected("message", refusal.label());
        socket.reply(&reply_fail(seq, &refusal));
    }
}

/// Closes a socket that has no seat.
fn close(socket: &Socket, code: CloseCode, reason: &str) -> End {
    socket.abandon(code, reason);
    End::ByServer(code.number())
}
