//! The nodes: the real course, ring, reader and walk, and a driver around them.

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    sync::Arc,
};

use super::{
    calls::{Ask, Call, Door},
    client::{Message, Phase},
    history::Entry,
    redis::{Frame, Incarnation, Part, Row},
    tally::Case,
    world::World,
};
use crate::{
    hub::{Reader, Ring, Verdict},
    log::{
        Loss,
        course::{Cause, Course, Effect, Input},
    },
    model::{ConnectionId, Position, Record},
};

/// One node.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) incarnation: Incarnation,
    pub(super) is_up: bool,
    pub(super) is_paused: bool,
    /// The server that it asks,
    pub(super) command: Option<u32>,
    /// and the one that it hears.
    pub(super) feed: Option<u32>,
    /// The newest server that it has known: it never goes back.
    pub(super) newest: u32,
    /// It finds the old primary.
    pub(super) prefers_zombie: bool,
    pub(super) frames: VecDeque<Frame>,
    pub(super) calls: Vec<Call>,
    pub(super) realm: Option<Realm>,
    /// Counts the lives of its realm.
    pub(super) life: u32,
    pub(super) ticked_ms: u64,
    leased_ms: u64,
    saved_ms: u64,
}

/// What a node knows of the realm.
#[derive(Debug)]
pub(super) struct Realm {
    pub(super) course: Course,
    pub(super) ring: Ring,
    pub(super) lives: BTreeMap<ConnectionId, Live>,
    has_adopted: bool,
}

/// A connection on a node.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) door: Door,
    pub(super) reader: Reader,
    pub(super) seq: u64,
    pub(super) cursor: u64,
    pub(super) fencing: u64,
}

impl Live {
    pub(super) fn row(&self) -> Row {
        (self.seq, self.cursor, self.fencing)
    }
}

/// Frames that wait for a node, at most.
const FRAMES_MAX: usize = 24;
/// Records in a ring.
const RING: usize = 48;
const TICK_MS: u64 = 100;
const LEASE_EVERY_MS: u64 = 2_000;
const SAVE_EVERY_MS: u64 = 3_000;
const SLEPT_MS: u64 = 5_000;

impl Node {
    /// True when it takes clients and publishers.
    pub(super) fn serves(&self) -> bool {
        self.is_up && self.realm.is_some()
    }

    pub(super) fn runs(&self) -> bool {
        self.is_up && !self.is_paused
    }

    pub(super) fn call(&mut self, ask: Ask, now_ms: u64) {
        self.calls.push(Call::new(ask, self.life, now_ms));
    }
}

impl World {
    /// A node starts under a new incarnation.
    pub(super) fn start(&mut self, node: usize) {
        self.incarnations += 1;
        let life = self.nodes[node].life + 1;
        let (incarnation, ticked_ms) = (self.incarnations, self.now_ms);
        self.nodes[node] = Node { incarnation, life, ticked_ms, is_up: true, ..Node::default() };
        self.begin_realm(node);
    }

    /// Subscribes, then asks where to begin.
    fn begin_realm(&mut self, node: usize) {
        self.resolve(node);
        let now_ms = self.now_ms;
        let of = &mut self.nodes[node];
        of.feed = of.command;
        of.frames.clear();
        of.realm = None;
        of.life += 1;
        of.call(Ask::Attach, now_ms);
    }

    pub(super) fn resolve(&mut self, node: usize) {
        let old = self.servers.zombie.as_ref().map(|server| server.replid);
        let is_misled = self.nodes[node].prefers_zombie && !self.chance.one_in(3);
        let new = self.servers.primary.replid;
        let keeps = self.rules.keep(Part::NewestServer);
        let of = &mut self.nodes[node];
        let replid = old.filter(|old| is_misled && (*old >= of.newest || !keeps)).unwrap_or(new);
        of.newest = of.newest.max(replid);
        of.command = Some(replid);
    }

    pub(super) fn attached(&mut self, node: usize, at: Position, backlog: &[Arc<Record>]) {
        let before = backlog.first().map_or(at.offset, |record| record.position.offset - 1);
        let ring = Ring::new(before, RING, 1 << 20);
        for record in backlog {
            ring.push(record);
        }
        let begun = Course::new(at, self.now_ms);
        let course = if self.rules.holds_back() { begun.held_back() } else { begun };
        let realm = Realm { course, ring, lives: BTreeMap::new(), has_adopted: false };
        self.nodes[node].realm = Some(realm);
    }

    /// What a node does by the clock.
    pub(super) fn tick(&mut self, node: usize) {
        let now_ms = self.now_ms;
        let of = &mut self.nodes[node];
        if !of.runs() || now_ms - of.ticked_ms < TICK_MS {
            return;
        }
        if now_ms - of.ticked_ms > SLEPT_MS {
            self.tally.met(Case::Slept);
        }
        of.ticked_ms = now_ms;
        if of.command.is_none_or(|replid| self.servers.get(replid).is_none()) {
            self.resolve(node);
        }
        let of = &mut self.nodes[node];
        if of.feed.is_some_and(|replid| self.servers.get(replid).is_none()) {
            self.break_feed(node);
        }
        let of = &mut self.nodes[node];
        if of.realm.is_none() && !of.calls.iter().any(|call| matches!(call.ask, Ask::Attach)) {
            return self.begin_realm(node);
        }
        if of.feed.is_none() && of.realm.is_some() {
            of.feed = of.command;
            self.step(node, Input::Subscribed);
        }
        self.step(node, Input::Tick);
        let of = &mut self.nodes[node];
        let Some(realm) = &of.realm else { return };
        let rows: Vec<_> = realm.lives.iter().map(|(cid, live)| (*cid, live.row())).collect();
        if now_ms - of.leased_ms >= LEASE_EVERY_MS {
            of.leased_ms = now_ms;
            of.call(Ask::Lease, now_ms);
        }
        if now_ms - of.saved_ms >= SAVE_EVERY_MS && !rows.is_empty() {
            of.saved_ms = now_ms;
            of.call(Ask::Save(rows), now_ms);
        }
    }

    /// The feed of a node ends; what it has heard it has heard.
    pub(super) fn break_feed(&mut self, node: usize) {
        self.nodes[node].feed = None;
        self.tally.met(Case::FeedBroken);
        self.step(node, Input::Gap);
    }

    /// Something was published by the server that a node hears.
    pub(super) fn overhear(&mut self, replid: u32, frames: &[Frame]) {
        for of in &mut self.nodes {
            if of.feed == Some(replid) {
                of.frames.extend(frames.iter().cloned());
                if of.frames.len() > FRAMES_MAX {
                    // The server lets go of a subscriber that does not read.
                    of.frames.clear();
                    of.feed = None;
                }
            }
        }
    }

    /// A node takes the next frame.
    pub(super) fn listen(&mut self, node: usize) -> bool {
        let of = &mut self.nodes[node];
        if !of.runs() || of.realm.is_none() {
            return false;
        }
        let Some(frame) = of.frames.pop_front() else { return false };
        match frame {
            Frame::Records(generation, records) => {
                self.step(node, Input::Frame { generation, records });
            }
            Frame::Generation(it) => self.step(node, Input::GenerationSeen(it)),
            Frame::Confirmed(position) => {
                self.step(node, Input::Confirmed { position, is_answer: false });
            }
            Frame::Taken { cid, fencing, by } => {
                let is_own = by == of.incarnation;
                let live = of.realm.as_ref().and_then(|realm| realm.lives.get(&cid));
                if live.is_some_and(|live| !is_own && live.fencing <= fencing) {
                    self.tally.met(Case::HalfOpenTaken);
                    self.close(node, cid);
                }
            }
        }
        true
    }

    pub(super) fn step(&mut self, node: usize, input: Input) {
        let (mut effects, now_ms) = (Vec::new(), self.now_ms);
        if let Some(realm) = &mut self.nodes[node].realm {
            let is_range = matches!(input, Input::Range(_));
            realm.course.step(now_ms, input, &mut effects);
            let life = self.nodes[node].life;
            for effect in effects {
                if self.nodes[node].life == life {
                    if !matches!(effect, Effect::Probe) {
                        self.say(|_| format!("n{node} {effect:?}"));
                    }
                    self.perform(node, effect, is_range);
                }
            }
        }
    }

    fn perform(&mut self, node: usize, effect: Effect, is_range: bool) {
        let now_ms = self.now_ms;
        let of = &mut self.nodes[node];
        let Some(realm) = &mut of.realm else { return };
        match effect {
            Effect::Deliver(records) => {
                let followed = realm.course.at().generation.clone();
                let is_old = |record: &Arc<Record>| record.position.generation != followed;
                if is_range && realm.has_adopted && records.iter().any(is_old) {
                    self.tally.met(Case::GapAcrossGenerations);
                }
                self.deliver(node, &records);
            }
            Effect::Read { after, cause } => {
                if cause == Cause::Probe {
                    self.tally.met(Case::FrameLost);
                }
                of.call(Ask::Read(after), now_ms);
            }
            Effect::Probe => of.call(Ask::Probe, now_ms),
            Effect::Confirm => of.call(Ask::Confirm, now_ms),
            Effect::Report { round, highest } => of.call(Ask::Report(round, highest), now_ms),
            Effect::Kick => (of.command, of.feed) = (None, None),
            Effect::Recheck => {
                let rows = realm.lives.iter().map(|(cid, live)| (*cid, live.fencing)).collect();
                of.call(Ask::Holds(rows), now_ms);
            }
            Effect::Adopt(_) => {
                realm.has_adopted = true;
                if !realm.lives.is_empty() {
                    self.tally.met(self.clean_failover());
                }
            }
            Effect::Lost(loss) => self.lose(node, loss),
        }
    }

    fn lose(&mut self, node: usize, loss: Loss) {
        self.tally.met(match loss {
            Loss::Retention => Case::RetentionLost,
            Loss::Generation => self.lost_suffix(),
        });
        if loss == Loss::Generation {
            self.check_reset("a node lost its log");
        }
        let realm = self.nodes[node].realm.take();
        for live in realm.iter().flat_map(|realm| realm.lives.values()) {
            self.send(live.door, Message::Close);
        }
        self.begin_realm(node);
    }

    fn deliver(&mut self, node: usize, records: &[Arc<Record>]) {
        let Some(realm) = &mut self.nodes[node].realm else { return };
        let mut sent = Vec::new();
        for record in records {
            realm.ring.push(record);
            let Position { offset, .. } = record.position;
            for live in realm.lives.values_mut().filter(|live| live.cursor < offset) {
                live.reader.learn(record);
                live.cursor = offset;
                if live.reader.verdict(record) == Verdict::Sent {
                    let serial = record.accepted_at_us;
                    sent.push((live.door, Message::Event { seq: live.seq, serial }));
                    live.seq += 1;
                }
            }
        }
        for (door, message) in sent {
            self.send(door, message);
        }
    }

    /// Writes to a socket that may have ended long ago.
    pub(super) fn send(&mut self, (client, socket): Door, message: Message) {
        let of = &mut self.clients[client];
        if of.socket == socket {
            of.wire.push_back(message);
        }
    }

    /// A node closes a socket.
    pub(super) fn close(&mut self, node: usize, cid: ConnectionId) {
        let Some(realm) = &mut self.nodes[node].realm else { return };
        if let Some(live) = realm.lives.remove(&cid) {
            self.send(live.door, Message::Close);
        }
    }

    /// A node finds out that sockets have ended, and notes how far they came.
    pub(super) fn notice(&mut self, node: usize) {
        let now_ms = self.now_ms;
        let of = &mut self.nodes[node];
        let Some(realm) = of.realm.as_mut().filter(|_| of.is_up && !of.is_paused) else { return };
        let clients = &self.clients;
        let mut rows = Vec::new();
        realm.lives.retain(|cid, live| {
            let is_there = clients[live.door.0].socket == live.door.1;
            if !is_there {
                rows.push((*cid, live.row()));
            }
            is_there
        });
        if !rows.is_empty() {
            of.call(Ask::Save(rows), now_ms);
        }
    }

    /// A node dies. Some of what it has written is still on its way.
    pub(super) fn crash(&mut self, node: usize) {
        let of = &mut self.nodes[node];
        of.is_up = false;
        let realm = of.realm.take();
        let (calls, by) = (std::mem::take(&mut of.calls), (of.incarnation, of.command));
        for call in calls {
            if let Ask::Publish(ids) = &call.ask {
                ids.iter().for_each(|id| self.publications[*id].is_busy = false);
            }
            if let (true, Some(replid)) = (call.is_unheard(), by.1) {
                self.orphans.push((by.0, replid, call.ask));
            }
        }
        for (cid, live) in realm.iter().flat_map(|realm| &realm.lives) {
            if let Some(track) = self.tracks.get_mut(cid) {
                track.kills += u32::from(self.clients[live.door.0].socket == live.door.1);
            }
        }
        for client in 0..self.clients.len() {
            let of = &self.clients[client];
            if of.node == node && of.phase != Phase::Idle {
                self.hang_up(client);
            }
        }
    }

    /// The record at which a node is.
    pub(super) fn place(&self, node: usize) -> Option<Rc<Entry>> {
        let realm = self.nodes[node].realm.as_ref()?;
        let newest = realm.ring.get(realm.ring.fill().last)?;
        self.history.entry(newest.accepted_at_us).map(Rc::clone)
    }
}
