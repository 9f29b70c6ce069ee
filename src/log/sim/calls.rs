//! What nodes ask of Redis: sent, executed, answered, each at some moment.
//!
//! An answer may be lost after the script ran, and a script may run after the node that
//! sent it was paused or has died.

use std::{rc::Rc, sync::Arc};

use super::{
    client::{Ack, Message, Phase, Track},
    history::Entry,
    node::Live,
    redis::{Claimed, Context, Incarnation, Profile, Row, Seat, State},
    tally::Case,
    world::World,
};
use crate::{
    hub::{
        Reader,
        walk::{self, Place, ResetCause, Wanted},
    },
    log::course::{Input, Range, Request, Verdict, Vouched},
    model::{ConnectionId, Generation, Memberships, Position, Record, Scope},
};

/// A socket of a client: client and number.
pub(super) type Door = (usize, u64);

#[derive(Debug, Clone)]
pub(super) enum Ask {
    Attach,
    Lease,
    Read(u64),
    Probe,
    Report(u64, Position),
    Publish(Vec<usize>),
    Open(Door, ConnectionId),
    /// A client wants to go on from this number.
    Claim(Door, ConnectionId, u64),
    Forget(ConnectionId),
    Save(Vec<(ConnectionId, Row)>),
    Holds(Vec<(ConnectionId, u64)>),
}

#[derive(Debug)]
enum Answer {
    Attached(Position, Vec<Arc<Record>>),
    Range(Range),
    End(Option<Position>),
    Verdict(Generation, Verdict),
    Published(Option<(Generation, Vec<Rc<Entry>>)>),
    Opened(Box<Seat>),
    Claimed(Claimed),
    Held(Vec<(ConnectionId, u64, bool)>),
    Nothing,
}

#[derive(Debug)]
enum Progress {
    Sent,
    /// Executed there, and waits for a replica.
    Waits(u32, Answer),
    /// `None`: nobody answers.
    Answered(Option<Answer>),
}

/// A request of a node.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) ask: Ask,
    progress: Progress,
    life: u32,
    since_ms: u64,
    is_vouched: bool,
}

/// How long a node keeps an answer that it may not use yet.
const PATIENCE_MS: u64 = 3_000;
/// Events that a resume repeats at most.
const REPLAY_MAX: usize = 64;

impl Call {
    pub(super) fn new(ask: Ask, life: u32, since_ms: u64) -> Self {
        Self { ask, progress: Progress::Sent, life, since_ms, is_vouched: false }
    }

    pub(super) fn is_unheard(&self) -> bool {
        matches!(self.progress, Progress::Sent)
    }
}

impl World {
    /// A client has come to a node.
    pub(super) fn arrive(&mut self, node: usize, door: Door, resume: Option<(ConnectionId, u64)>) {
        let ask = match resume {
            Some((cid, next)) => Ask::Claim(door, cid, next),
            None => Ask::Open(door, self.cid()),
        };
        self.nodes[node].call(ask, self.now_ms);
    }

    fn cid(&mut self) -> ConnectionId {
        let numbers = [self.chance.next(), self.chance.next(), self.chance.next(), 0];
        let mut bytes = [0; 26];
        for (byte, number) in bytes.iter_mut().zip(numbers.iter().flat_map(|n| n.to_le_bytes())) {
            *byte = number;
        }
        ConnectionId::from_random(bytes)
    }

    /// Runs `script` on a server that still answers.
    fn script<R>(
        &mut self,
        replid: u32,
        script: impl FnOnce(&mut State, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let is_zombie = self.servers.is_zombie(replid);
        let server = self.servers.get_mut(replid)?;
        let mut context = Context {
            rules: self.rules,
            replid,
            is_zombie,
            now_ms: self.now_ms + server.skew_ms,
            history: &mut self.history,
            chance: &mut self.chance,
            tally: &mut self.tally,
            frames: Vec::new(),
        };
        let answer = script(&mut server.state, &mut context);
        let frames = context.frames;
        self.overhear(replid, &frames);
        Some(answer)
    }

    /// A call comes one step further. False when there was nothing to do.
    pub(super) fn advance(&mut self, node: usize, index: usize) -> bool {
        let of = &mut self.nodes[node];
        let mut call = of.calls.swap_remove(index);
        let (by, command, runs) = (of.incarnation, of.command, of.runs());
        let life = of.life;
        let is_done = match std::mem::replace(&mut call.progress, Progress::Sent) {
            Progress::Sent => {
                let answer = command.and_then(|replid| self.execute(by, replid, &call.ask));
                call.progress = match (answer, command) {
                    (Some(answer), Some(replid)) if self.waits(&call.ask) => {
                        Progress::Waits(replid, answer)
                    }
                    (answer, _) => {
                        let is_lost = self.loses_answers && self.chance.one_in(12);
                        Progress::Answered(answer.filter(|_| !is_lost))
                    }
                };
                self.say(|_| {
                    format!("n{node}#{by} {:?}@{command:?}: {:?}", call.ask, call.progress)
                });
                false
            }
            Progress::Waits(replid, answer) => {
                let has_replica = self.servers.wait(replid);
                if !has_replica {
                    self.note_unreplicated(replid, &call.ask);
                }
                call.progress = Progress::Answered(Some(answer).filter(|_| has_replica));
                false
            }
            Progress::Answered(answer) if runs => match self.finish(node, &mut call, answer) {
                None => true,
                Some(answer) => {
                    call.progress = Progress::Answered(Some(answer));
                    self.nodes[node].calls.push(call);
                    return false;
                }
            },
            progress @ Progress::Answered(_) => {
                call.progress = progress;
                self.nodes[node].calls.push(call);
                return false;
            }
        };
        if !is_done {
            self.nodes[node].calls.push(call);
        }
        debug_assert!(self.nodes[node].life >= life);
        true
    }

    fn waits(&self, ask: &Ask) -> bool {
        self.rules.profile == Profile::Ha
            && match ask {
                Ask::Publish(_) => true,
                Ask::Claim(..) => self.rules.claims_wait,
                Ask::Attach
                | Ask::Lease
                | Ask::Read(_)
                | Ask::Probe
                | Ask::Report(..)
                | Ask::Open(..)
                | Ask::Forget(_)
                | Ask::Save(_)
                | Ask::Holds(_) => false,
            }
    }

    fn note_unreplicated(&mut self, replid: u32, ask: &Ask) {
        self.tally.met(Case::WaitFailed);
        let is_zombie = self.servers.is_zombie(replid);
        match ask {
            Ask::Publish(_) if is_zombie => self.tally.met(Case::ZombieRefused),
            Ask::Claim(..) => self.tally.met(Case::ClaimNotReplicated),
            _ => {}
        }
    }

    pub(super) fn run_orphan(&mut self, index: usize) {
        let (by, replid, ask) = self.orphans.swap_remove(index);
        self.execute(by, replid, &ask);
    }

    fn execute(&mut self, by: Incarnation, replid: u32, ask: &Ask) -> Option<Answer> {
        match ask {
            Ask::Attach => self
                .script(replid, |state, c| state.attach(by, c))?
                .map(|(at, backlog)| Answer::Attached(at, backlog)),
            Ask::Lease => self.script(replid, |state, c| {
                state.lease(by, c.now_ms);
                Answer::Nothing
            }),
            Ask::Read(after) => {
                self.script(replid, |state, c| Answer::Range(state.read(*after, c)))
            }
            Ask::Probe => self.script(replid, |state, c| Answer::End(state.end(c))),
            Ask::Report(_, highest) => self.script(replid, |state, c| {
                let (generation, verdict) = state.report(by, highest, c);
                Answer::Verdict(generation, verdict)
            }),
            Ask::Publish(ids) => {
                let what = |id: &usize| (*id, self.publications[*id].what);
                let drafts: Vec<_> = ids.iter().map(what).collect();
                self.script(replid, |state, c| Answer::Published(state.publish(&drafts, c)))
            }
            Ask::Open(door, cid) => {
                let user = self.clients[door.0].user;
                let seat = self.script(replid, |state, c| state.open((*cid, user), by, c))??;
                let track = Track::new(user, Rc::clone(&seat.session.base), self.now_ms, by);
                self.tracks.insert(*cid, track);
                Some(Answer::Opened(Box::new(seat)))
            }
            Ask::Claim(_, cid, _) => {
                let claimed = self.script(replid, |state, c| state.claim(*cid, by, c))?;
                if let Claimed::Granted(seat) = &claimed {
                    self.check_claim(replid, *cid, &seat.session);
                }
                Some(Answer::Claimed(claimed))
            }
            Ask::Forget(cid) => self.script(replid, |state, _| {
                state.sessions.remove(cid);
                Answer::Nothing
            }),
            Ask::Save(rows) => {
                let is_late = |state: &State| {
                    rows.iter().any(|(cid, row)| {
                        state.sessions.get(cid).is_some_and(|s| s.fencing != row.2 || s.owner != by)
                    })
                };
                let late = self.script(replid, |state, _| {
                    state.checkpoint(by, rows);
                    is_late(state)
                })?;
                if late {
                    self.tally.met(Case::LateCheckpoint);
                }
                Some(Answer::Nothing)
            }
            Ask::Holds(rows) => self.script(replid, |state, _| {
                let held = |(cid, fencing): &(ConnectionId, u64)| {
                    (*cid, *fencing, state.holds(by, *cid, *fencing))
                };
                Answer::Held(rows.iter().map(held).collect())
            }),
        }
    }

    /// The place from which a claim goes on must be a true one, and its number a new one.
    fn check_claim(&mut self, replid: u32, cid: ConnectionId, session: &super::redis::Session) {
        if !self.holders.insert((replid, cid, session.fencing)) {
            let text = format!("{cid} was claimed twice as {}", session.fencing);
            return self.fail("S3", text);
        }
        let Some(server) = self.servers.get(replid) else { return };
        let place = server.state.tip.at(session.cursor);
        let count = place.and_then(|place| place.count_for(session.user, &session.base));
        if count != Some(session.seq - 1) {
            let text =
                format!("{cid} is said to be at {:?}: {count:?}", (session.seq, session.cursor));
            self.fail("S3", text);
        }
    }

    /// Uses an answer, or gives it back when it may not be used yet.
    fn finish(&mut self, node: usize, call: &mut Call, answer: Option<Answer>) -> Option<Answer> {
        let is_own = self.nodes[node].life == call.life;
        match (&call.ask, answer) {
            (Ask::Attach, Some(Answer::Attached(at, backlog))) if is_own => {
                self.attached(node, at, &backlog);
            }
            (Ask::Read(_), Some(Answer::Range(range))) if is_own => {
                self.step(node, Input::Range(range));
            }
            (Ask::Probe, Some(Answer::End(end))) if is_own => self.step(node, Input::Meta(end)),
            (Ask::Report(round, _), Some(Answer::Verdict(generation, verdict))) if is_own => {
                self.step(node, Input::Verdict { round: *round, generation, verdict });
            }
            (Ask::Read(_), None) if is_own => self.step(node, Input::Failed(Request::Read)),
            (Ask::Probe, None) if is_own => self.step(node, Input::Failed(Request::Probe)),
            (Ask::Report(..), None) if is_own => self.step(node, Input::Failed(Request::Report)),
            (Ask::Publish(ids), answer) => {
                let places = match answer {
                    Some(Answer::Published(places)) => places,
                    _ => None,
                };
                let ids = ids.clone();
                return self.published(node, call, &ids, places);
            }
            (Ask::Open(door, cid), answer) => {
                let (door, cid) = (*door, *cid);
                let Some(Answer::Opened(seat)) = answer else {
                    self.refuse(door);
                    return None;
                };
                return self.opened(node, call, (door, cid), seat);
            }
            (Ask::Claim(door, cid, next), answer) => {
                let (door, cid, next) = (*door, *cid, *next);
                return self.claimed(node, call, (door, cid, next), answer);
            }
            (Ask::Holds(_), Some(Answer::Held(rows))) if is_own => {
                for (cid, fencing, is_held) in rows {
                    let realm = self.nodes[node].realm.as_ref();
                    let live = realm.and_then(|realm| realm.lives.get(&cid));
                    if !is_held && live.is_some_and(|live| live.fencing == fencing) {
                        self.tally.met(Case::HalfOpenRechecked);
                        self.close(node, cid);
                    }
                }
            }
            _ => {}
        }
        None
    }

    /// Whether an answer that names these places may be told on.
    fn vouch(&mut self, node: usize, generation: &Generation, places: &[Rc<Entry>]) -> Vouched {
        let Some(realm) = &mut self.nodes[node].realm else { return Vouched::Never };
        for place in places {
            match realm.course.vouch(generation, place.offset(), place.tag()) {
                Vouched::Yes => {}
                other => return other,
            }
        }
        Vouched::Yes
    }

    fn published(
        &mut self,
        node: usize,
        call: &Call,
        ids: &[usize],
        places: Option<(Generation, Vec<Rc<Entry>>)>,
    ) -> Option<Answer> {
        let vouched = match &places {
            Some((generation, places)) => self.vouch(node, generation, places),
            None => Vouched::Never,
        };
        if vouched == Vouched::NotYet && self.now_ms - call.since_ms < PATIENCE_MS {
            return Some(Answer::Published(places));
        }
        for id in ids {
            self.publications[*id].is_busy = false;
        }
        match (vouched, places) {
            (Vouched::Yes, Some((_, places))) => {
                for (id, entry) in ids.iter().zip(places) {
                    if entry.by_zombie {
                        self.tally.met(Case::ZombieAcked);
                    }
                    let of = &mut self.publications[*id];
                    of.is_acked = true;
                    let (attempted_ms, switches) = (of.attempted_ms, of.switches);
                    self.say(|_| format!("n{node} acked {id}: {}", entry.serial));
                    let node = self.nodes[node].incarnation;
                    self.acks.push(Ack { entry, attempted_ms, node, switches });
                }
            }
            (_, Some(_)) => self.tally.met(Case::AnswerNotVouched),
            (_, None) => {}
        }
        None
    }

    /// Whether a node may serve from `at`: `None` when not now.
    fn is_ready(&mut self, node: usize, call: &mut Call, seat: &Seat) -> Option<bool> {
        let at = &seat.at;
        if self.nodes[node].life != call.life {
            return Some(false);
        }
        let realm = self.nodes[node].realm.as_mut()?;
        if !call.is_vouched {
            match realm.course.vouch(&at.generation, at.offset, at.tag) {
                Vouched::Yes => call.is_vouched = true,
                Vouched::Never => {
                    self.tally.met(Case::AnswerNotVouched);
                    return Some(false);
                }
                Vouched::NotYet => {}
            }
        }
        let seen = realm.course.at().offset;
        let is_behind = seen < at.offset || seen < seat.session.cursor;
        if call.is_vouched && !is_behind {
            return Some(true);
        }
        (self.now_ms - call.since_ms >= PATIENCE_MS).then_some(false)
    }

    fn opened(
        &mut self,
        node: usize,
        call: &mut Call,
        (door, cid): (Door, ConnectionId),
        seat: Box<Seat>,
    ) -> Option<Answer> {
        match self.is_ready(node, call, &seat) {
            None => return Some(Answer::Opened(seat)),
            Some(false) => self.refuse(door),
            Some(true) => {
                let mut reader = self.reader(cid, &seat);
                let Some(realm) = &self.nodes[node].realm else { return None };
                let place = Place { seq: 1, cursor: seat.at.offset };
                let seen = realm.ring.fill().last;
                match walk::begin(&mut reader, &realm.ring, place, seen) {
                    Ok(walk) => {
                        self.send(door, Message::Hello(cid));
                        self.serve(node, door, (reader, seat.session.fencing), &walk);
                    }
                    Err(_) => self.refuse(door),
                }
            }
        }
        None
    }

    fn reader(&self, connection: ConnectionId, seat: &Seat) -> Reader {
        Reader {
            connection,
            user: self.history.users[seat.session.user as usize].clone(),
            scope: Scope::Member,
            memberships: seat.memberships.clone(),
            watches: Memberships::default(),
            known_from: seat.oldest,
            known_up_to: seat.at.offset,
        }
    }

    fn claimed(
        &mut self,
        node: usize,
        call: &mut Call,
        (door, cid, next): (Door, ConnectionId, u64),
        answer: Option<Answer>,
    ) -> Option<Answer> {
        let Some(Answer::Claimed(claimed)) = answer else {
            self.refuse(door);
            return None;
        };
        match claimed {
            Claimed::Pending => {
                self.tally.met(Case::ClaimPending);
                self.refuse(door);
            }
            Claimed::Unknown => self.reset(node, door, None),
            Claimed::Stale => {
                self.tally.met(Case::ResetByGeneration);
                self.reset(node, door, Some(cid));
            }
            Claimed::Granted(seat) => match self.is_ready(node, call, &seat) {
                None => return Some(Answer::Claimed(Claimed::Granted(seat))),
                Some(false) => self.refuse(door),
                Some(true) => self.go_on(node, (door, cid, next), &seat),
            },
        }
        None
    }

    /// The resume: as a hub does it.
    fn go_on(&mut self, node: usize, (door, cid, next): (Door, ConnectionId, u64), seat: &Seat) {
        let mut reader = self.reader(cid, seat);
        let seen = self.place(node);
        let incarnation = self.nodes[node].incarnation;
        let Some(realm) = &mut self.nodes[node].realm else { return };
        let last = realm.ring.fill().last;
        let mut old = None;
        let place = match realm.lives.remove(&cid) {
            Some(live) if live.fencing > seat.session.fencing => {
                realm.lives.insert(cid, live);
                return self.refuse(door);
            }
            Some(live) => {
                old = Some(live.door);
                Place { seq: live.seq, cursor: live.cursor.max(last) }
            }
            None => Place { seq: seat.session.seq, cursor: seat.session.cursor },
        };
        let base = seat.session.base.offset();
        let wanted = Wanted { next, base, events_max: REPLAY_MAX };
        let walk = walk::go_on(&mut reader, &realm.ring, place, wanted, last);
        if let Some(old) = old {
            self.send(old, Message::Close);
        }
        match walk {
            Ok(walk) => {
                if let Some(seen) = seen {
                    self.check_resume(cid, next, &seen);
                }
                self.note_resume(cid, incarnation, walk.sent.len());
                self.serve(node, door, (reader, seat.session.fencing), &walk);
            }
            Err(cause) => {
                if let (ResetCause::Ahead, Some(seen)) = (cause, seen) {
                    self.check_ahead(cid, next, &seen);
                }
                self.tally.met(Case::ResetByTrimming);
                self.reset(node, door, Some(cid));
            }
        }
    }

    /// The client begins anew under another name.
    fn reset(&mut self, node: usize, door: Door, old: Option<ConnectionId>) {
        if let Some(old) = old {
            self.nodes[node].call(Ask::Forget(old), self.now_ms);
        }
        self.arrive(node, door, None);
    }

    /// Sends what was missed, and serves on.
    fn serve(
        &mut self,
        node: usize,
        door: Door,
        (reader, fencing): (Reader, u64),
        walk: &walk::Walk,
    ) {
        for (seq, record) in (walk.first_seq..).zip(&walk.sent) {
            self.send(door, Message::Event { seq, serial: record.accepted_at_us });
        }
        let has_crossed = self.servers.zombie.is_some()
            && self.nodes[node].command == Some(self.servers.primary.replid);
        let of = &mut self.clients[door.0];
        if of.socket == door.1 {
            of.phase = Phase::Open;
            of.has_crossed |= has_crossed;
        }
        let Some(realm) = &mut self.nodes[node].realm else { return };
        let seq = walk.first_seq + walk.sent.len() as u64;
        let cursor = realm.ring.fill().last;
        realm.lives.insert(reader.connection, Live { door, reader, seq, cursor, fencing });
    }

    /// The client may try again.
    fn refuse(&mut self, (client, socket): Door) {
        if self.clients[client].socket == socket {
            self.hang_up(client);
        }
    }
}
