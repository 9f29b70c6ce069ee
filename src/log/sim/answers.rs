//! What nodes do with the answers of Redis.

use std::rc::Rc;

use super::{
    calls::{Answer, Ask, Call, Door},
    client::{Ack, Message, Phase},
    history::Entry,
    node::Live,
    redis::{Claimed, Part, Seat},
    tally::Case,
    world::World,
};
use crate::{
    hub::{
        Reader,
        walk::{self, Place, ResetCause, Wanted},
    },
    log::course::{Input, Request, Vouched},
    model::{ConnectionId, Generation, Memberships, Scope},
};

/// How long a node keeps an answer that it may not use yet.
const PATIENCE_MS: u64 = 3_000;
/// Events that a resume repeats at most.
const REPLAY_MAX: usize = 64;

impl World {
    /// Uses an answer, or gives it back when it may not be used yet.
    pub(super) fn finish(
        &mut self,
        node: usize,
        call: &mut Call,
        answer: Option<Answer>,
    ) -> Option<Answer> {
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
            (Ask::Confirm, Some(Answer::Confirmed(position))) if is_own => {
                self.step(node, Input::Confirmed { position, is_answer: true });
            }
            (Ask::Confirm, None) if is_own => self.step(node, Input::Failed(Request::Confirm)),
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
                _ if !self.rules.keep(Part::Vouching) => {}
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
                _ if !self.rules.keep(Part::Vouching) => call.is_vouched = true,
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
            Claimed::Unknown => {
                self.check_reset(&format!("{cid} is unknown"));
                self.reset(node, door, None);
            }
            Claimed::Stale => {
                self.tally.met(Case::ResetByGeneration);
                self.check_reset(&format!("{cid} is stale"));
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
