//! Shapes of questions of operators.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::http::api::wire::{ConnectionName, Name, Position, digits};

/// One connection.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ConnectionAnswer {
    /// Its name.
    pub(in crate::http) connection: ConnectionName,
    /// Whose it is.
    pub(in crate::http) user: Name,
    /// Where its socket is, or was last.
    pub(in crate::http) node: String,
    /// True when a node says that it has its socket.
    pub(in crate::http) connected: bool,
    /// What it speaks; absent when it has no socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::http) dialect: Option<String>,
    /// The next number that it will be sent; without a socket the last one that was
    /// written down.
    pub(in crate::http) seq: u64,
    /// The offset of the log up to which it was served; without a socket the last one
    /// that was written down.
    pub(in crate::http) cursor: u64,
    /// What waits in front of its socket; absent when it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::http) outbox: Option<Outbox>,
    /// When its socket began, in milliseconds since 1970; absent when it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::http) since: Option<u64>,
}

/// What waits in front of a socket.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Outbox {
    /// Events.
    pub(in crate::http) events: usize,
    /// Bytes.
    pub(in crate::http) bytes: usize,
}

/// Which delivery is to be explained.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct DeliveryQuery {
    /// The tenant; `default` when absent.
    #[param(value_type = String, required = false, pattern = "^[A-Za-z0-9_.@-]{1,64}$")]
    pub(in crate::http) realm: Option<String>,
    /// The connection.
    #[param(value_type = String, pattern = "^[a-z0-9]{26}$")]
    pub(in crate::http) connection: ConnectionName,
    /// The place of the event in the log.
    #[serde(deserialize_with = "digits")]
    pub(in crate::http) offset: u64,
}

/// Why a connection got an event, or did not.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct DeliveryAnswer {
    /// True when the event is part of what this connection is sent.
    pub(in crate::http) delivered: bool,
    /// The rule that decided, as one word.
    pub(in crate::http) rule: &'static str,
    /// The rule that decided, as a sentence.
    pub(in crate::http) explanation: &'static str,
}

/// Which records are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct LogQuery {
    /// The tenant; `default` when absent.
    #[param(value_type = String, required = false, pattern = "^[A-Za-z0-9_.@-]{1,64}$")]
    pub(in crate::http) realm: Option<String>,
    /// The first offset; 1 when absent.
    #[serde(default, deserialize_with = "digits")]
    #[param(required = false)]
    pub(in crate::http) from: u64,
    /// How many records; 100 when absent.
    #[serde(default = "hundred")]
    #[param(required = false, minimum = 1, maximum = 1000)]
    pub(in crate::http) limit: usize,
}

fn hundred() -> usize {
    100
}

/// Records of a realm's log.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct LogAnswer {
    /// Oldest first. Fewer than asked for when they would be more than 4 MiB.
    pub(in crate::http) records: Vec<LogRecord>,
}

/// One record.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct LogRecord {
    /// Where it is.
    pub(in crate::http) position: Position,
    /// When the log accepted it, in milliseconds since 1970.
    pub(in crate::http) at: u64,
    /// What it says.
    #[serde(flatten)]
    #[schema(inline)]
    pub(in crate::http) body: LogBody,
}

/// What a record says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(in crate::http) enum LogBody {
    /// Something happened.
    Event(LogEvent),
    /// Users became or ceased to be members.
    Members {
        /// What they belong to.
        topic: TopicName,
        /// Who joined.
        add: Vec<Name>,
        /// Who left.
        remove: Vec<Name>,
    },
    /// A user became a member of what the user's token names.
    Seeds {
        /// Who joined.
        user: Name,
        /// What the user belongs to.
        topics: Vec<TopicName>,
    },
    /// A connection subscribed to the status of users or to chat rooms, or ceased to.
    Watch {
        /// The connection.
        connection: ConnectionName,
        /// What it wants.
        add: Vec<TopicName>,
        /// What it no longer wants.
        remove: Vec<TopicName>,
    },
    /// Tokens ended.
    Revocation {
        /// `user`, `session` or `everyone`.
        scope: &'static str,
        /// Whose; empty for everyone.
        id: String,
        /// Tokens that were issued before ended, in milliseconds since 1970.
        before: u64,
    },
    /// An operator closed sockets.
    Disconnect {
        /// Whose.
        target: TopicName,
        /// With this code.
        code: u16,
        /// For this reason.
        reason: String,
    },
    /// Something happened in Pydio.
    Bus {
        /// `tree`, `meta`, `task`, `idm` or `activity`.
        topic: &'static str,
        /// `whole`, `part` (it waits to be merged), `merged` or `void` (nobody is told).
        stage: &'static str,
        /// What happened.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Object, nullable = false)]
        payload: Option<Box<RawValue>>,
    },
    /// A workspace of Pydio was defined anew.
    Workspace {
        /// Which.
        id: Name,
        /// False when it ceased to be.
        exists: bool,
    },
    /// Where nodes of Pydio are.
    Nodes {
        /// How many have a path from here on.
        set: usize,
        /// How many are gone.
        removed: usize,
    },
    /// Something that this version can't read.
    Unknown,
}

/// An event in the log.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct LogEvent {
    /// Its name.
    pub(in crate::http) event: String,
    /// What it says; absent when it is not text, or ephemeral: those bodies are not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, nullable = false)]
    pub(in crate::http) data: Option<Box<RawValue>>,
    /// Who gets it.
    pub(in crate::http) to: TopicName,
    /// Members who do not get it.
    pub(in crate::http) omit_users: Vec<Name>,
    /// A connection that does not get it; empty for none.
    pub(in crate::http) omit_connection: String,
    /// True: a replay sends a no-op in its place.
    pub(in crate::http) ephemeral: bool,
    /// Name of the request that published it.
    pub(in crate::http) id: String,
}

/// An address of events.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct TopicName {
    /// `user`, `channel`, `team`, `workspace`, `room`, `chat`, `status`, `connection` or `everyone`.
    pub(in crate::http) kind: &'static str,
    /// Which; empty for everyone.
    pub(in crate::http) id: String,
}

/// What this node is doing.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct NodeAnswer {
    /// Its name.
    pub(in crate::http) id: String,
    /// The version of the server.
    pub(in crate::http) version: &'static str,
    /// The realms that it reads.
    pub(in crate::http) realms: Vec<RealmAnswer>,
    /// Its hubs.
    pub(in crate::http) hubs: Vec<HubAnswer>,
    /// True when it gets new connections.
    pub(in crate::http) ready: bool,
    /// Why it does not.
    pub(in crate::http) reasons: Vec<&'static str>,
}

/// One realm on this node.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct RealmAnswer {
    /// Its name.
    pub(in crate::http) realm: Name,
    /// The last record that its hubs were given; absent before the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::http) position: Option<Position>,
    /// The oldest offset that can be replayed from memory.
    pub(in crate::http) ring_first: u64,
    /// Records that can be replayed from memory.
    pub(in crate::http) ring_events: usize,
    /// Bytes that can be replayed from memory.
    pub(in crate::http) ring_bytes: usize,
}

/// One hub of this node.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct HubAnswer {
    /// Its number, from 0.
    pub(in crate::http) hub: usize,
    /// Connections that it serves.
    pub(in crate::http) connections: usize,
    /// Topics with a listener.
    pub(in crate::http) topics: usize,
    /// Records that wait in front of it.
    pub(in crate::http) queue: usize,
}

/// The nodes of the cluster.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct NodesAnswer {
    /// Each live node.
    pub(in crate::http) nodes: Vec<ClusterNode>,
}

/// One node of the cluster.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ClusterNode {
    /// Its name.
    pub(in crate::http) id: String,
    /// Which start of that name it is.
    pub(in crate::http) incarnation: u64,
    /// When it counts as dead unless it is heard of before, in milliseconds since 1970.
    pub(in crate::http) lease_expires_at: u64,
    /// Connections that it serves.
    pub(in crate::http) connections: usize,
    /// True when it gives its connections away.
    pub(in crate::http) draining: bool,
}
