//! One connection in its hub: numbering, and what decides about it.
//!
//! Invariants: `seq` counts the sent events from the hello, which is 0; nothing at
//! or before `cursor` is sent.

use std::sync::Arc;

use super::{link::Link, outbox::Pushed};
use crate::{
    metrics::Metrics,
    model::{
        Body, ConnectionId, Record, Revocation, Revocations, Scope, SessionId, UnixSeconds, UserId,
        View,
    },
};

/// A connection that has a socket on this node.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) realm: usize,
    pub(super) user: UserId,
    pub(super) scope: Scope,
    pub(super) link: Arc<Link>,
    /// The number that the next event gets.
    pub(super) seq: u64,
    /// Offset up to which this connection has been served.
    pub(super) cursor: u64,
    pub(super) token: Box<Token>,
    pub(super) view: Option<Box<View>>,
    pub(super) watches: Vec<UserId>,
    /// When the last unanswered ping was sent, in ticks; 0 when none is.
    pub(super) pinged_at: u32,
    pub(super) is_touched: bool,
    /// True when the hub's last record did not fit into the outbox.
    pub(super) is_behind: bool,
}

/// What of a token matters while its socket is open.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) session: Option<SessionId>,
    pub(super) issued_at: Option<UnixSeconds>,
    pub(super) expires_at: UnixSeconds,
    pub(super) opened_at_ms: u64,
}

impl Connection {
    /// Sends `record`, or its number alone when its body is withheld.
    ///
    /// Returns false when the outbox is full: the socket has to go.
    pub(super) fn send(&mut self, record: &Arc<Record>, metrics: &Metrics) -> bool {
        let (pushed, reason) = if self.withholds(record) {
            (self.link.push_noop(self.seq), "scope")
        } else {
            (self.link.push_event(record, self.seq), "pressure")
        };
        match pushed {
            Pushed::Full => return false,
            Pushed::Withheld => metrics.bodies_withheld_total.with_label_values(&[reason]).inc(),
            Pushed::Queued | Pushed::Closed => {}
        }
        self.seq += 1;
        self.cursor = record.position.offset;
        true
    }

    /// True for the events that nobody who looks elsewhere needs.
    fn withholds(&self, record: &Record) -> bool {
        let Some(view) = &self.view else { return false };
        let Body::Event(event) = &record.body else { return false };
        (self.link.encoding().withheld)(event, view)
    }

    /// True when `revocation` ends this connection's token.
    pub(super) fn is_ended_by(&self, revocation: &Revocation) -> bool {
        let session = self.token.session.as_ref();
        Revocations::of(revocation, &self.user, session).ends_token(self.token.issued_at, session)
    }
}
