//! What a hub is told and asked.
//!
//! Invariants: whoever asks may give up; a hub never waits for an asker.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{attach::Attach, link::Link, realm::Realm};
use crate::model::{CloseCode, ConnectionId, Record, Topic, UserId, View};

/// A record on its way to a hub.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// Key of the realm on this node.
    pub realm_key: usize,
    /// The realm.
    pub realm: Arc<Realm>,
    /// The record.
    pub record: Arc<Record>,
}

/// What a hub is asked beside delivering records.
#[derive(Debug)]
pub enum Command {
    /// Serve a connection.
    Attach(Box<Attach>),
    /// Forget a connection whose socket ended, unless another socket has it.
    Detach {
        /// Key of its realm.
        realm_key: usize,
        /// Its name.
        connection: ConnectionId,
        /// The socket that ended.
        link: Arc<Link>,
        /// Told when it is done.
        done: oneshot::Sender<()>,
    },
    /// Note what a client looks at.
    View {
        /// Key of its realm.
        realm_key: usize,
        /// Which connection.
        connection: ConnectionId,
        /// The places that it reported now; others stay as they were.
        view: Box<View>,
    },
    /// Say whether a user that is here is a member of a topic.
    IsMember {
        /// Key of the realm.
        realm_key: usize,
        /// The user.
        user: UserId,
        /// The topic.
        topic: Topic,
        /// The answer.
        answer: oneshot::Sender<bool>,
    },
    /// Say when this hub has applied everything up to an offset.
    Sync {
        /// Key of the realm.
        realm_key: usize,
        /// The realm.
        realm: Arc<Realm>,
        /// The offset.
        offset: u64,
        /// Told when it is so.
        done: oneshot::Sender<()>,
    },
    /// Describe a connection.
    Describe {
        /// Key of its realm.
        realm_key: usize,
        /// Which.
        connection: ConnectionId,
        /// The answer; `None` when it is not here.
        answer: oneshot::Sender<Option<ConnectionInfo>>,
    },
    /// List the connections in a topic, by user.
    Listeners {
        /// Key of the realm.
        realm_key: usize,
        /// The topic.
        topic: Topic,
        /// The answer: one entry per connection.
        answer: oneshot::Sender<Vec<(UserId, ConnectionId)>>,
    },
    /// Describe the hub.
    Inspect {
        /// The answer.
        answer: oneshot::Sender<HubInfo>,
    },
    /// A realm's life on this node is over: close its connections with 1012, at once,
    /// and forget all about it.
    End {
        /// Key of the realm.
        realm_key: usize,
        /// Told when it is done.
        done: oneshot::Sender<()>,
    },
    /// Connections were claimed: sockets with lower fencing numbers have to go.
    Taken {
        /// Key of the realm.
        realm_key: usize,
        /// Connections and the numbers of their newest claims.
        taken: Arc<[(ConnectionId, u64)]>,
    },
    /// List the connections of a realm and the fencing numbers of their sockets.
    Holders {
        /// Key of the realm.
        realm_key: usize,
        /// The answer.
        answer: oneshot::Sender<Vec<(ConnectionId, u64)>>,
    },
    /// This node does not hold these connections any more: their sockets have to go.
    Dismiss {
        /// Key of the realm.
        realm_key: usize,
        /// Connections and the fencing numbers that do not hold them any more.
        lost: Vec<(ConnectionId, u64)>,
        /// The code to close them with.
        code: CloseCode,
        /// Told when it is done.
        done: oneshot::Sender<()>,
    },
    /// List how far the connections of a realm have come.
    Places {
        /// Key of the realm.
        realm_key: usize,
        /// Those, too, that were listed at this place before.
        all: bool,
        /// The answer.
        answer: oneshot::Sender<Vec<PlaceOf>>,
    },
    /// Close all connections with 1013: the node can't serve them for now.
    Shed,
    /// Close all connections, evenly over a window.
    Drain {
        /// The window.
        window: Duration,
    },
}

/// A connection, for operators.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Whose it is.
    pub user: UserId,
    /// Which dialect it speaks.
    pub dialect: &'static str,
    /// The next number.
    pub seq: u64,
    /// The offset up to which it was served.
    pub cursor: u64,
    /// Events that wait in its outbox.
    pub outbox_events: usize,
    /// Bytes that wait in its outbox.
    pub outbox_bytes: usize,
    /// When this socket began, in milliseconds since 1970.
    pub since_ms: u64,
}

/// A hub, for operators.
#[derive(Debug, Clone, Copy, Default)]
pub struct HubInfo {
    /// Connections that it serves.
    pub connections: usize,
    /// Topics with a listener.
    pub topics: usize,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceOf {
    /// Whose place.
    pub connection: ConnectionId,
    /// Its next number.
    pub seq: u64,
    /// The offset up to which it was served.
    pub cursor: u64,
    /// The fencing number of its socket.
    pub fencing: u64,
}
