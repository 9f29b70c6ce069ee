//! One connection in its hub: numbering, and what decides about it.
//!
//! Invariants: `seq` counts the sent events from the hello, which is 0; nothing at
//! or before `cursor` is sent.

use std::sync::Arc;

use super::{
    link::{Link, Writer},
    turn::{Chain, Turn},
};
use crate::{
    metrics::Metrics,
    model::{
        Body, ConnectionId, Identity, Record, Revocation, Revocations, Scope, Topic, UserId, View,
    },
};

/// A connection that has a socket on this node.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) realm: usize,
    /// What its token proved. Shared with the session.
    pub(super) identity: Arc<Identity>,
    pub(super) scope: Scope,
    pub(super) link: Arc<Link>,
    /// The number that the next event gets.
    pub(super) seq: u64,
    /// Offset up to which this connection has been served.
    pub(super) cursor: u64,
    pub(super) view: Option<Box<View>>,
    /// What it subscribed to by itself.
    pub(super) watches: Vec<Topic>,
    /// When the last unanswered ping was sent, in ticks; 0 when none is.
    pub(super) pinged_at: u32,
    /// When this socket began, in milliseconds since 1970.
    pub(super) opened_at_ms: u64,
    /// The number of the claim by which this socket has the connection.
    pub(super) fencing: u64,
    /// Its place when it was last listed for a checkpoint.
    pub(super) listed_at: u64,
    /// What this turn has for it; `seq` and `cursor` count it already.
    pub(super) chain: Chain,
    pub(super) is_touched: bool,
    /// Where it stands when a record did not fit into its outbox: its place in the
    /// log is before that record.
    pub(super) behind_at: Option<u64>,
}

impl Connection {
    /// Whose it is.
    pub(super) fn user(&self) -> &UserId {
        &self.identity.user
    }

    /// Notes `record` for this turn.
    pub(super) fn take(&mut self, record: &Record, turn: &mut Turn) {
        let is_withheld = self.withholds(record);
        turn.add(&mut self.chain, is_withheld);
        self.seq += 1;
        self.cursor = record.position.offset;
    }

    /// Notes `record` for this turn without its body.
    pub(super) fn withhold(&mut self, record: &Record, turn: &mut Turn) {
        turn.add(&mut self.chain, true);
        self.seq += 1;
        self.cursor = record.position.offset;
    }

    /// Notes one face of a bus event for this turn. Others of the same record may follow:
    /// its place is the hub's, not yet this connection's own.
    pub(super) fn take_face(&mut self, turn: &mut Turn) {
        turn.add(&mut self.chain, false);
        self.seq += 1;
    }

    /// Hands what this turn has for it to its link, written at once where possible.
    ///
    /// Returns false when the outbox is full: the socket has to go.
    pub(super) fn settle(&mut self, turn: &Turn, writer: &mut Writer, metrics: &Metrics) -> bool {
        let chain = std::mem::take(&mut self.chain);
        if chain.is_empty() {
            self.link.flush(writer);
            return true;
        }
        let steps = turn.steps(chain);
        let count = u64::try_from(turn.steps(chain).count()).unwrap_or(0);
        let first = self.seq - count;
        let has_bodies = !matches!(self.scope, Scope::Chat(_)) && self.view.is_none()
            || turn.steps(chain).any(|(_, is_withheld)| !is_withheld);
        let settled = self.link.write_turn(first, steps, has_bodies, writer);
        for (reason, count) in [("pressure", settled.pressed), ("scope", settled.scoped)] {
            if count > 0 {
                metrics.bodies_withheld_total.with_label_values(&[reason]).inc_by(count);
            }
        }
        if settled.taken == count {
            return true;
        }
        // What did not fit is not counted: a resume begins with it, or with the first
        // face of its record.
        let taken = usize::try_from(settled.taken).unwrap_or(usize::MAX);
        let refused = turn.steps(chain).nth(taken).map(|(record, _)| record.position.offset);
        let is_same = |(record, _): &(&Arc<Record>, bool)| Some(record.position.offset) == refused;
        let faces = turn.steps(chain).take(taken).filter(is_same).count();
        self.seq = first + settled.taken - u64::try_from(faces).unwrap_or(0);
        self.behind_at = refused.map(|offset| offset.saturating_sub(1));
        false
    }

    /// True for the events that nobody who looks elsewhere needs.
    fn withholds(&self, record: &Record) -> bool {
        let Some(view) = &self.view else { return false };
        let Body::Event(event) = &record.body else { return false };
        (self.link.encoding().withheld)(event, view)
    }

    /// True when `revocation` ends this connection's token.
    pub(super) fn is_ended_by(&self, revocation: &Revocation) -> bool {
        let Identity { user, session, .. } = &*self.identity;
        Revocations::of(revocation, user, session.as_ref()).ends(&self.identity)
    }
}
