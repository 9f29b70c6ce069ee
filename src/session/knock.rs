//! What a request to open a socket says, and what is answered.
//!
//! Invariants: what is here was checked by RFC 6455, and its query has one reading;
//! a token is never shown by `Debug`.

use std::{future::Future, net::IpAddr, pin::Pin, time::Duration};

use bytes::Bytes;

use crate::{model::Id, node::Resume, ws::Stream};

/// Which dialect a socket will speak, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/api/v4/websocket`
    Mattermost,
    /// `/ws` (no name) and `/ws/room/{name}`
    Room(Option<Id>),
    /// `dialects.pydio.event_path`, `.chat_path`, `.chat_alias`
    Pydio(PydioRoute),
    /// `/echo`
    Echo,
    /// The only path of an embedded server.
    Embedded,
}

/// The two kinds of sockets of the pydio dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PydioRoute {
    /// Events of the bus.
    Event,
    /// Chat rooms.
    Chat,
}

/// A request to open a socket.
#[derive(Clone)]
pub struct Knock {
    /// Where.
    pub route: Route,
    /// The subprotocol that the 101 will name.
    pub protocol: Option<&'static str>,
    /// Which connection to go on with.
    pub resume: Option<Resume>,
    /// The token that the request carries, not yet verified.
    pub token: Option<String>,
    /// The name that a guest of a room wants to be shown by.
    pub guest_name: Option<String>,
    /// The client's address, as limits count it.
    pub client: IpAddr,
    /// False for a trusted proxy that speaks for itself: it has no limit of its own.
    pub is_limited: bool,
}

impl std::fmt::Debug for Knock {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Knock").field("route", &self.route).finish_non_exhaustive()
    }
}

/// What runs on a connection after its 101: it gets the stream and the bytes that
/// were read behind the request.
pub type Run = Box<dyn FnOnce(Stream, Bytes) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Why no socket is opened. Whoever denies has counted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denial {
    /// 400, 401, 403, 429 or 503.
    pub status: u16,
    /// What the answer says.
    pub text: &'static str,
    /// When to try again.
    pub retry_after: Option<Duration>,
}
