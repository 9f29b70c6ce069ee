//! Sessions of the embedded log.
//!
//! Invariants: a session that a socket holds never ends; an ended one lives as long as
//! configured, and the oldest go first.

use std::sync::Arc;

use super::{
    super::{Checkpoint, Claim, Hold, Opening, Snapshot, kept::millis},
    realm::RealmState,
};
use crate::model::{ConnectionId, Identity, Memberships, SessionRecord};

/// A session record and what it subscribed to.
#[derive(Debug)]
pub(super) struct Session {
    record: SessionRecord,
    pub(super) watches: Option<Box<Memberships>>,
    /// When it ends, in milliseconds since 1970; 0 while a socket holds it.
    ends_at_ms: u64,
}

impl Session {
    pub(super) fn has_ended(&self, now_ms: u64) -> bool {
        self.ends_at_ms != 0 && self.ends_at_ms <= now_ms
    }
}

impl RealmState {
    pub(super) fn open_session(&mut self, identity: &Identity, opening: Opening) -> Snapshot {
        let record = SessionRecord {
            connection: opening.connection,
            user: identity.user.clone(),
            session: identity.session.clone(),
            scope: opening.scope,
            base: self.end.clone(),
            seq: 1,
            cursor: self.end.offset,
            fencing: 1,
            owner: Arc::from(""),
        };
        let session = Box::new(Session { record, watches: None, ends_at_ms: 0 });
        self.sessions.insert(opening.connection, session);
        self.snapshot(identity, Memberships::default())
    }

    pub(super) fn claim(
        &mut self,
        identity: &Identity,
        connection: ConnectionId,
        now_ms: u64,
    ) -> Claim {
        let Some(session) = self.sessions.get_mut(&connection) else { return Claim::Unknown };
        if session.record.user != identity.user || session.record.session != identity.session {
            return Claim::Forbidden;
        }
        if session.has_ended(now_ms) {
            self.sessions.remove(&connection);
            return Claim::Unknown;
        }
        session.ends_at_ms = 0;
        session.record.fencing += 1;
        let record = Box::new(session.record.clone());
        let watches = session.watches.as_deref().cloned().unwrap_or_default();
        Claim::Granted { record, snapshot: Box::new(self.snapshot(identity, watches)) }
    }

    pub(super) fn checkpoint(&mut self, checkpoint: &Checkpoint, now_ms: u64) {
        let Some(session) = self.sessions.get_mut(&checkpoint.connection) else { return };
        if checkpoint.fencing < session.record.fencing {
            return;
        }
        session.record.seq = checkpoint.seq;
        session.record.cursor = checkpoint.cursor;
        if checkpoint.ended {
            session.ends_at_ms = now_ms + millis(self.limits.session_ttl);
            self.ended.push_back((session.ends_at_ms, checkpoint.connection));
        }
        self.forget_ended(now_ms);
    }

    /// Drops sessions whose lifetime is over, and the oldest beyond the bound.
    fn forget_ended(&mut self, now_ms: u64) {
        while let Some(&(ends_at_ms, connection)) = self.ended.front() {
            if ends_at_ms > now_ms && self.ended.len() <= self.limits.ended_sessions {
                return;
            }
            self.ended.pop_front();
            let is_this_end = |session: &Session| session.ends_at_ms == ends_at_ms;
            if self.sessions.get(&connection).map(Box::as_ref).is_some_and(is_this_end) {
                self.sessions.remove(&connection);
            }
        }
    }

    pub(super) fn session(
        &self,
        connection: ConnectionId,
        now_ms: u64,
    ) -> Option<(SessionRecord, Memberships)> {
        let session = self.sessions.get(&connection)?;
        if session.has_ended(now_ms) {
            return None;
        }
        let watches = session.watches.as_deref().cloned().unwrap_or_default();
        Some((session.record.clone(), watches))
    }

    /// Whether the holder with this number still has the session.
    pub(super) fn holds(&self, connection: ConnectionId, fencing: u64) -> Hold {
        match self.sessions.get(&connection) {
            Some(session) if session.record.fencing == fencing => Hold::Held,
            Some(_) => Hold::Taken,
            None => Hold::Gone,
        }
    }

    pub(super) fn forget(&mut self, connection: ConnectionId, fencing: Option<u64>) {
        let known = self.sessions.get(&connection).map(|session| session.record.fencing);
        if fencing.is_none() || known == fencing {
            self.sessions.remove(&connection);
        }
    }
}
