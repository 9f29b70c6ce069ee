//! What one node asks the others: where a connection is, who is in a room.
//!
//! Invariants: an answer is bounded; a node that does not answer in time is left out,
//! and what the log's store knows of its connections takes its place.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Node, RealmEntry,
    wire::{Found, Inside, Question as Words},
};
use crate::{
    hub::{Command, ConnectionInfo},
    log::{LogError, Question, RealmLog as _},
    model::{ConnectionId, Id, RealmId, Topic, UserId},
};

/// Connections of one answer, at most.
const INSIDE_MAX: usize = 5_000;

/// A connection, wherever in the cluster it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The node that has its socket, or had it last.
    pub node: String,
    /// Whose it is.
    pub user: UserId,
    /// The next number that it will be sent, as far as is known.
    pub seq: u64,
    /// The offset up to which it was served, as far as is known.
    pub cursor: u64,
    /// Its socket; `None` when it has none, or its node does not answer.
    pub socket: Option<LocatedSocket>,
}

/// The socket of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedSocket {
    /// What it speaks.
    pub dialect: String,
    /// Events that wait in its outbox.
    pub outbox_events: usize,
    /// Bytes that wait in its outbox.
    pub outbox_bytes: usize,
    /// When it began, in milliseconds since 1970.
    pub since_ms: u64,
}

impl Located {
    fn here(node: &str, info: ConnectionInfo) -> Self {
        let ConnectionInfo { user, dialect, seq, cursor, .. } = info;
        let socket = LocatedSocket {
            dialect: dialect.to_owned(),
            outbox_events: info.outbox_events,
            outbox_bytes: info.outbox_bytes,
            since_ms: info.since_ms,
        };
        Self { node: node.to_owned(), user, seq, cursor, socket: Some(socket) }
    }

    fn there(found: Found) -> Option<Self> {
        let Found { node, user, dialect, seq, cursor, .. } = found;
        let Found { outbox_events, outbox_bytes, since_ms, .. } = found;
        let socket = LocatedSocket { dialect, outbox_events, outbox_bytes, since_ms };
        Some(Self { node, user: Id::parse(&user).ok()?, seq, cursor, socket: Some(socket) })
    }
}

impl Node {
    /// A connection, on whatever node: as its node tells it, or, when none does, as far
    /// as it was written down.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn connection(
        &self,
        realm: &RealmId,
        connection: ConnectionId,
    ) -> Result<Option<Located>, LogError> {
        let entry = self.realm(realm).await?;
        if let Some(info) = self.connection_here(&entry, connection).await {
            return Ok(Some(Located::here(&self.id, info)));
        }
        let Some((session, _)) = self.log.session(realm, connection).await? else {
            return Ok(None);
        };
        let question = Words::Connection { id: connection.to_string() };
        let found: Vec<Option<Found>> = self.ask_others(realm, &question).await?;
        let located = found.into_iter().flatten().filter_map(Located::there);
        // During a change of hands two may answer: the later socket is the one.
        let newest = located.max_by_key(|one| one.socket.as_ref().map(|socket| socket.since_ms));
        // Where nobody else can have it, it has no socket.
        let noted = (!session.owner.is_empty()).then(|| Located {
            node: session.owner.as_ref().to_owned(),
            user: session.user,
            seq: session.seq,
            cursor: session.cursor,
            socket: None,
        });
        Ok(newest.or(noted))
    }

    /// The connections that are in a room on all nodes, by user.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn in_room(
        &self,
        realm: &RealmId,
        room: &Id,
    ) -> Result<Vec<(UserId, ConnectionId)>, LogError> {
        let entry = self.realm(realm).await?;
        let mut everyone = self.in_room_here(&entry, room).await;
        let question = Words::Room { name: room.to_string() };
        let answers: Vec<Inside> = self.ask_others(realm, &question).await?;
        let named = |(user, connection): (String, String)| {
            Some((Id::parse(&user).ok()?, ConnectionId::parse(&connection).ok()?))
        };
        everyone.extend(answers.into_iter().flatten().filter_map(named));
        Ok(everyone)
    }

    async fn connection_here(
        &self,
        entry: &RealmEntry,
        connection: ConnectionId,
    ) -> Option<ConnectionInfo> {
        let realm_key = entry.key;
        for hub in &self.hubs {
            let found =
                Self::ask(hub, |answer| Command::Describe { realm_key, connection, answer }).await;
            if let Some(Some(info)) = found {
                return Some(info);
            }
        }
        None
    }

    async fn in_room_here(&self, entry: &RealmEntry, room: &Id) -> Vec<(UserId, ConnectionId)> {
        let mut everyone = Vec::new();
        for hub in &self.hubs {
            let (realm_key, topic) = (entry.key, Topic::Room(room.clone()));
            let listeners =
                Self::ask(hub, |answer| Command::Listeners { realm_key, topic, answer }).await;
            everyone.extend(listeners.unwrap_or_default());
        }
        everyone
    }

    /// The answers of the other nodes that can be read.
    async fn ask_others<T: DeserializeOwned>(
        &self,
        realm: &RealmId,
        question: &Words,
    ) -> Result<Vec<T>, LogError> {
        let answers = self.log.ask(realm, text(question)).await?;
        Ok(answers.iter().filter_map(|answer| serde_json::from_slice(answer).ok()).collect())
    }

    /// Answers what another node asks.
    pub(super) async fn reply(&self, entry: &RealmEntry, question: &Question) {
        let answer = match serde_json::from_slice(&question.text) {
            Ok(Words::Connection { id }) => {
                let found = match ConnectionId::parse(&id) {
                    Ok(id) => self.connection_here(entry, id).await,
                    Err(_malformed) => None,
                };
                text(&found.map(|info| Found {
                    node: self.id.as_ref().to_owned(),
                    user: info.user.to_string(),
                    dialect: info.dialect.to_owned(),
                    seq: info.seq,
                    cursor: info.cursor,
                    outbox_events: info.outbox_events,
                    outbox_bytes: info.outbox_bytes,
                    since_ms: info.since_ms,
                }))
            }
            Ok(Words::Room { name }) => {
                let inside = match Id::parse(&name) {
                    Ok(room) => self.in_room_here(entry, &room).await,
                    Err(_malformed) => Vec::new(),
                };
                let named = inside.into_iter().take(INSIDE_MAX);
                let named = named.map(|(user, id)| (user.to_string(), id.to_string()));
                text(&named.collect::<Inside>())
            }
            // A newer node asks what this one does not know.
            Err(error) => {
                tracing::debug!(%error, "a question was not understood");
                Bytes::from_static(b"null")
            }
        };
        if let Err(error) = self.log.answer(&entry.realm.id, question, answer).await {
            tracing::debug!(%error, "an answer was not given");
        }
    }
}

fn text(shape: &impl Serialize) -> Bytes {
    // Plain shapes with plain keys always have a text.
    serde_json::to_vec(shape).unwrap_or_default().into()
}
