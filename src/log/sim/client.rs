//! Stock clients: they know the name of their connection and the next number, and
//! nothing else. What they are sent is held against the history.

use std::{collections::VecDeque, rc::Rc};

use super::{
    history::Entry,
    redis::{Incarnation, Profile, Scheme},
    tally::Case,
    world::World,
};
use crate::model::ConnectionId;

/// What travels to a client.
#[derive(Debug, Clone, Copy)]
pub(super) enum Message {
    Hello(ConnectionId),
    Event { seq: u64, serial: u64 },
    Close,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    Connecting,
    Open,
}

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) user: u8,
    pub(super) cid: Option<ConnectionId>,
    /// The number that it expects next.
    pub(super) next: u64,
    pub(super) phase: Phase,
    pub(super) node: usize,
    /// Counts its sockets.
    pub(super) socket: u64,
    pub(super) since_ms: u64,
    pub(super) wire: VecDeque<Message>,
    /// It was served by the new primary while the old one did not know of it.
    pub(super) has_crossed: bool,
}

/// What really belongs to one session.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) user: u8,
    pub(super) base: Rc<Entry>,
    last: Rc<Entry>,
    began_ms: u64,
    /// How many nodes died under it.
    pub(super) kills: u32,
    /// Who has served it.
    pub(super) holders: Vec<Incarnation>,
}

impl Track {
    pub(super) fn new(user: u8, base: Rc<Entry>, began_ms: u64, holder: Incarnation) -> Self {
        let last = Rc::clone(&base);
        Self { user, base, last, began_ms, kills: 0, holders: vec![holder] }
    }
}

/// A publication that was acknowledged.
#[derive(Debug)]
pub(super) struct Ack {
    pub(super) entry: Rc<Entry>,
    /// When its publisher first tried: what it is about was committed before.
    pub(super) attempted_ms: u64,
    /// False where nobody could have been asked about it before the log went on.
    pub(super) node: Incarnation,
    pub(super) switches: usize,
}

/// How long a client waits for a node.
const PATIENCE_MS: u64 = 4_000;

impl World {
    /// An idle client tries a node.
    pub(super) fn connect(&mut self, client: usize, node: usize) {
        let (replid, is_up) = (self.nodes[node].command, self.nodes[node].serves());
        let is_old = replid.is_some_and(|replid| self.servers.is_zombie(replid));
        let of = &mut self.clients[client];
        // Nobody can help a client of the log profile that shows a number of the new
        // primary to the old one: see the decisions.
        let is_lost = is_old && of.has_crossed && self.rules.profile == Profile::Log;
        if of.phase != Phase::Idle || !is_up || is_lost {
            return;
        }
        of.socket += 1;
        of.wire.clear();
        (of.phase, of.node, of.since_ms) = (Phase::Connecting, node, self.now_ms);
        let (socket, resume) = (of.socket, of.cid.map(|cid| (cid, of.next)));
        self.arrive(node, (client, socket), resume);
    }

    /// The socket of a client ends, from its side.
    pub(super) fn hang_up(&mut self, client: usize) {
        let of = &mut self.clients[client];
        of.phase = Phase::Idle;
        of.socket += 1;
        of.wire.clear();
    }

    pub(super) fn tire(&mut self, client: usize) {
        let of = &self.clients[client];
        if of.phase == Phase::Connecting && self.now_ms - of.since_ms > PATIENCE_MS {
            self.hang_up(client);
        }
    }

    /// A client takes the next message.
    pub(super) fn receive(&mut self, client: usize) -> bool {
        let Some(message) = self.clients[client].wire.pop_front() else { return false };
        self.say(|_| format!("c{client} {message:?}"));
        match message {
            Message::Hello(cid) => {
                let of = &mut self.clients[client];
                (of.cid, of.next) = (Some(cid), 1);
                of.has_crossed = false;
            }
            Message::Event { seq, serial } => self.hear(client, seq, serial),
            Message::Close => self.hang_up(client),
        }
        true
    }

    fn hear(&mut self, client: usize, seq: u64, serial: u64) {
        let of = &mut self.clients[client];
        let (user, expected) = (of.user, of.next);
        of.next += 1;
        let Some(cid) = of.cid else { return };
        if seq != expected {
            return self.fail("S1", format!("{cid} was sent {seq} and expects {expected}"));
        }
        let Some(entry) = self.history.entry(serial).map(Rc::clone) else {
            return self.fail("K01", format!("{cid} was sent a record that nobody wrote"));
        };
        if !entry.is_for(user) {
            return self.fail("S4", format!("{cid} of {user} was sent {serial}"));
        }
        let Some(track) = self.tracks.get_mut(&cid) else { return };
        let last = std::mem::replace(&mut track.last, Rc::clone(&entry));
        let before = entry.previous.as_ref().and_then(|before| before.count_for(user, &last));
        match before {
            None => {
                let text = format!(
                    "{cid} was sent {serial} after {}, which is no past of it",
                    last.serial
                );
                self.fail("S1", text);
            }
            Some(0) => self.check_acks(cid, Some(&entry)),
            Some(count) => {
                let text =
                    format!("{cid} was sent {serial} after {}: {count} are missing", last.serial);
                self.fail("S1", text);
            }
        }
    }

    /// No acknowledged record may be missing in what a session was sent: up to `entry`,
    /// or up to now.
    pub(super) fn check_acks(&mut self, cid: ConnectionId, entry: Option<&Rc<Entry>>) {
        let Some(track) = self.tracks.get(&cid) else { return };
        let missing = self.acks.iter().filter(|ack| ack.entry.is_lost.get()).find(|ack| {
            let Ack { entry: lost, attempted_ms, node, switches } = ack;
            let is_due = match entry {
                Some(entry) => {
                    let is_strict = !lost.by_zombie && self.servers.is_witness(*node, *switches);
                    is_strict && lost.serial < entry.serial
                }
                // An old primary beside one that has nothing at all: see the decisions.
                None => !lost.by_zombie || lost.root() == self.servers.primary.state.tip.root(),
            };
            let has = track.last.holds(lost) || entry.is_some_and(|entry| entry.holds(lost));
            is_due && !has && *attempted_ms > track.began_ms && lost.is_for(track.user)
        });
        if let Some(ack) = missing {
            let (lost, when) = (ack.entry.serial, if entry.is_some() { "later" } else { "never" });
            let text = format!("{cid} was reset {when} though {lost} was acknowledged and lost");
            self.fail("S2", text);
        }
    }

    /// A numbering begins: what was acknowledged before is not after its beginning.
    pub(super) fn check_base(&mut self, replid: u32, track: &Track) {
        let is_later = |ack: &&Ack| !ack.entry.is_lost.get() && !track.base.holds(&ack.entry);
        let is_old = self.servers.is_zombie(replid);
        if let Some(ack) = self.acks.iter().find(is_later).filter(|_| !is_old) {
            let text = format!("{} is after the base {}", ack.entry.serial, track.base.serial);
            self.fail("S5", text);
        }
    }

    /// True when nothing on the primary is missing at the clients.
    pub(super) fn is_heard(&self, client: usize) -> bool {
        let of = &self.clients[client];
        let track = of.cid.and_then(|cid| self.tracks.get(&cid));
        let Some(track) = track.filter(|_| of.phase == Phase::Open && of.wire.is_empty()) else {
            return false;
        };
        self.servers.primary.state.tip.count_for(of.user, &track.last) == Some(0)
    }

    /// A session goes on: everything that it was sent must be in the log of `seen`.
    pub(super) fn check_resume(&mut self, cid: ConnectionId, next: u64, seen: &Rc<Entry>) {
        let Some(track) = self.tracks.get(&cid) else { return };
        match seen.count_for(track.user, &track.base) {
            Some(count) if next <= count + 1 => {}
            Some(count) => self.fail("S6", format!("{cid} got {next}, there are {count}")),
            None => self.fail("S6", format!("{cid} went on in a log without its beginning")),
        }
    }

    /// A session can't go on because the number was never given: is that so?
    pub(super) fn check_ahead(&mut self, cid: ConnectionId, next: u64, seen: &Rc<Entry>) {
        let Some(track) = self.tracks.get(&cid) else { return };
        let count = seen.count_for(track.user, &track.base);
        if count.is_some_and(|count| next <= count + 1) {
            self.fail("S6", format!("{cid} was refused {next}, there are {count:?}"));
        }
    }

    /// With the profile `ha` nobody begins anew because of a failover, while nothing is deleted
    /// or trimmed that proves what was sent.
    pub(super) fn check_reset(&mut self, what: &str) {
        let deleted = [Case::Flushed, Case::MetaDeleted, Case::LogDeleted];
        let was_deleted = self.servers.primary.state.first > 1
            || deleted.iter().any(|case| self.tally.count(*case) > 0);
        let is_promised = self.rules.profile == Profile::Ha && self.rules.scheme == Scheme::Proper;
        if is_promised && !was_deleted {
            self.fail("S8", what.to_owned());
        }
    }

    pub(super) fn note_resume(&mut self, cid: ConnectionId, node: Incarnation, replayed: usize) {
        self.tally.met(Case::Resumed);
        if replayed > 0 {
            self.tally.met(Case::ResumedWithReplay);
        }
        let Some(track) = self.tracks.get_mut(&cid) else { return };
        if track.kills >= 2 {
            self.tally.met(Case::ResumedAfterTwoKills);
        }
        if !track.holders.contains(&node) {
            self.tally.met(Case::ResumedByStranger);
            track.holders.push(node);
        }
    }
}
