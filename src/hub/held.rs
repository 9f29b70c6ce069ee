//! What a hub keeps back: records of realms that it may not speak for now, and
//! connections that came before the hub was where they begin.
//!
//! After a pause of the process, what waits in the queues may be for connections that
//! another node holds by now. So each turn looks at the realm's gate first. What is left
//! is a pause between that look and the writes of the same turn.
//!
//! Invariants:
//! - nothing of a realm is applied while its gate is closed or its claims are in doubt;
//! - the records of a realm keep their order; the other realms go on;
//! - at most as many records are held as fit into the queue.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{
    Hub, Parcel, TURN_RECORDS,
    attach::{Attach, Attached, Start},
    claims::Standing,
};
use crate::model::CloseCode;

/// How often a hub looks whether it may go on.
const LOOK: Duration = Duration::from_millis(50);

/// What is kept back.
#[derive(Debug, Default)]
pub(super) struct Held {
    records: VecDeque<Parcel>,
    connections: VecDeque<Box<Attach>>,
    look_at: Option<Instant>,
}

/// What becomes of a connection that wants to be served.
enum Outlook {
    Serve,
    Wait,
    Refuse(Attached),
}

impl Held {
    /// When to look again; `None` when nothing is kept back.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.look_at
    }

    /// How many records are kept back.
    pub(super) fn records(&self) -> usize {
        self.records.len()
    }
}

impl Hub {
    /// Applies what a turn took, as far as this node may speak for it.
    pub(super) fn take(&mut self, turn: &mut Vec<Parcel>) {
        if self.held.records.is_empty() && are_spoken_for(turn) {
            for parcel in turn.drain(..) {
                self.apply(&parcel);
            }
        } else {
            self.held.records.extend(turn.drain(..));
            self.apply_held();
        }
        if !self.held.connections.is_empty() {
            self.serve_held();
        }
        self.held.look_at = match (&self.held.records, &self.held.connections) {
            (records, connections) if records.is_empty() && connections.is_empty() => None,
            // A turn's worth was applied, and more may follow at once.
            (records, _) if records.front().is_some_and(may_apply) => Some(Instant::now()),
            (_, _) => Some(Instant::now() + LOOK),
        };
        self.answer_waiting();
    }

    fn apply(&mut self, parcel: &Parcel) {
        if self.shard.realm(parcel.realm_key, &parcel.realm).is_some() {
            self.shard.apply(parcel.realm_key, &parcel.record);
        }
    }

    /// Applies held records, at most a turn's worth.
    fn apply_held(&mut self) {
        let held = std::mem::take(&mut self.held.records);
        let (mut left, mut last) = (TURN_RECORDS, None);
        for parcel in held {
            let may = match last {
                Some((key, may)) if key == parcel.realm_key => may,
                Some(_) | None => may_apply(&parcel),
            };
            last = Some((parcel.realm_key, may));
            if may && left > 0 {
                left -= 1;
                self.apply(&parcel);
            } else {
                self.held.records.push_back(parcel);
            }
        }
    }

    /// Serves a connection, or keeps it until this hub is where it begins.
    pub(super) fn receive(&mut self, attach: Box<Attach>) {
        // Who asked has given up: in a storm most of the work would be for nobody.
        if attach.answer.is_closed() {
            return;
        }
        match self.outlook(&attach) {
            Outlook::Serve => self.shard.attach(*attach),
            Outlook::Wait => {
                self.held.connections.push_back(attach);
                self.held.look_at.get_or_insert(Instant::now() + LOOK);
            }
            Outlook::Refuse(why) => super::reply(attach.answer, why),
        }
    }

    fn serve_held(&mut self) {
        for attach in std::mem::take(&mut self.held.connections) {
            self.receive(attach);
        }
    }

    fn outlook(&self, attach: &Attach) -> Outlook {
        let realm = &attach.realm;
        if realm.is_over() {
            return Outlook::Refuse(Attached::Doubtful);
        }
        let index = self.shard.known_realm(attach.realm_key);
        let seen = index.map_or(realm.began.offset, |index| index.seen);
        // Only where the hub has what the snapshot has is the one a part of the other.
        if !realm.is_spoken_for() || seen < attach.at.offset || !realm.agrees_with(&attach.at) {
            return Outlook::Wait;
        }
        if attach.start == Start::Fresh {
            return Outlook::Serve;
        }
        let (connection, fencing) = (attach.reader.connection, attach.fencing);
        match realm.claims.standing(attach.claimed_after, connection, fencing) {
            Standing::Held => Outlook::Serve,
            Standing::Taken => Outlook::Refuse(Attached::Superseded),
            Standing::Unknown => Outlook::Refuse(Attached::Doubtful),
        }
    }

    /// Ends a realm: nothing of it is left here.
    pub(super) fn end_realm(&mut self, realm_key: usize) {
        self.shard.end(realm_key);
        self.waiting.retain(|(key, _, _)| *key != realm_key);
        self.held.records.retain(|parcel| parcel.realm_key != realm_key);
        // Those that wait are told so.
        self.serve_held();
    }

    /// Closes the sockets of connections that are held elsewhere: those for which
    /// `is_lost` says so, by their fencing numbers.
    pub(super) fn dismiss_lost(
        &mut self,
        realm_key: usize,
        (lost, code): (&[(crate::model::ConnectionId, u64)], CloseCode),
        is_lost: impl Fn(u64, u64) -> bool,
    ) {
        for (connection, fencing) in lost {
            let Some(index) = self.shard.known_realm(realm_key) else { return };
            let Some(key) = index.key(*connection) else { continue };
            let live = self.shard.connections.get(key as usize);
            if live.is_some_and(|live| is_lost(live.fencing, *fencing)) {
                self.shard.dismiss(key, |link| link.abandon(code, code.row().meaning));
            }
        }
    }
}

/// True when nothing of the turn has to be kept back.
fn are_spoken_for(turn: &[Parcel]) -> bool {
    let mut last = None;
    turn.iter().all(|parcel| {
        let is_known = last.replace(parcel.realm_key) == Some(parcel.realm_key);
        is_known || may_apply(parcel)
    })
}

/// Records of a realm that is over are applied to nobody.
fn may_apply(parcel: &Parcel) -> bool {
    parcel.realm.is_over() || parcel.realm.is_spoken_for()
}
