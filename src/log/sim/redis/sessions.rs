//! The scripts of sessions and nodes.

use std::{rc::Rc, sync::Arc};

use super::{
    Claimed, Context, Frame, Incarnation, LEASE_MS, Mark, Meta, Part, Row, SUSPECT_MS, Seat,
    Session, State,
};
use crate::{
    log::{
        course::{Verdict, counter},
        sim::tally::Case,
    },
    model::{ConnectionId, Position, Record},
};

impl State {
    pub(in crate::log::sim) fn open(
        &mut self,
        (cid, user): (ConnectionId, u8),
        node: Incarnation,
        c: &mut Context<'_>,
    ) -> Option<Seat> {
        self.check(c);
        // What begins behind a fence would not be reset by what is found out there.
        let gid = self
            .meta
            .as_ref()
            .filter(|meta| !meta.is_fenced || !c.rules.keep(Part::FencedOpenings))?
            .gid
            .clone();
        let (base, cursor) = (Rc::clone(&self.tip), self.tip.offset());
        let session = Session { user, gid, base, fencing: 1, owner: node, seq: 1, cursor };
        self.sessions.insert(cid, session);
        self.seat(cid)
    }

    fn seat(&self, cid: ConnectionId) -> Option<Seat> {
        let session = self.sessions.get(&cid)?.clone();
        let memberships = self.users[session.user as usize].clone();
        let at = self.top(self.meta.as_ref()?);
        Some(Seat { at, oldest: self.first, memberships, session })
    }

    pub(in crate::log::sim) fn claim(
        &mut self,
        cid: ConnectionId,
        node: Incarnation,
        c: &mut Context<'_>,
    ) -> Claimed {
        self.check(c);
        let Some(meta) = &self.meta else { return Claimed::Unknown };
        if meta.is_fenced {
            return Claimed::Pending;
        }
        let Some(session) = self.sessions.get(&cid) else { return Claimed::Unknown };
        match self.standing(session, meta, c) {
            Verdict::Clean => {}
            Verdict::Dirty => return Claimed::Stale,
            Verdict::Pending => return Claimed::Pending,
        }
        if session.gid != meta.gid {
            c.tally.met(Case::ResumedAcrossGenerations);
        }
        let gid = meta.gid.clone();
        let row = if c.rules.keep(Part::OwnCheckpoints) {
            self.checkpoints.get(&(session.owner, cid)).copied()
        } else {
            let rows = self.checkpoints.iter().filter(|((_, of), _)| *of == cid);
            rows.map(|(_, row)| *row).max_by_key(|(_, _, fencing)| *fencing)
        };
        let Some(session) = self.sessions.get_mut(&cid) else { return Claimed::Unknown };
        if let Some((seq, cursor, fencing)) = row
            && (fencing == session.fencing || !c.rules.keep(Part::OwnCheckpoints))
            && cursor >= session.cursor
        {
            (session.seq, session.cursor) = (seq, cursor);
        }
        session.fencing += 1;
        (session.owner, session.gid) = (node, gid);
        let fencing = session.fencing;
        c.frames.push(Frame::Taken { cid, fencing, by: node });
        self.seat(cid).map_or(Claimed::Unknown, |seat| Claimed::Granted(Box::new(seat)))
    }

    /// Whether all that a session was sent is in this log.
    fn standing(&self, session: &Session, meta: &Meta, c: &Context<'_>) -> Verdict {
        if session.gid == meta.gid {
            return Verdict::Clean;
        }
        let place = meta.lineage.iter().position(|gid| *gid == session.gid);
        let Some(place) = place.filter(|_| counter(&session.gid) >= meta.floor) else {
            return Verdict::Dirty;
        };
        for gid in &meta.lineage[place + 1..] {
            match self.witness.get(&(counter(gid), session.owner)) {
                None | Some(Mark::Clean) => {}
                Some(Mark::Suspect) if c.rules.holds_back() => {}
                Some(Mark::Suspect) if *gid == meta.gid && c.now_ms <= meta.deadline_ms => {
                    return Verdict::Pending;
                }
                Some(Mark::Suspect | Mark::Dirty) => return Verdict::Dirty,
            }
        }
        match self.has(session.base.offset(), session.base.tag()) {
            Some(false) if c.rules.keep(Part::BaseTag) => Verdict::Dirty,
            Some(_) | None => Verdict::Clean,
        }
    }

    pub(in crate::log::sim) fn checkpoint(
        &mut self,
        node: Incarnation,
        rows: &[(ConnectionId, Row)],
    ) {
        for (cid, row) in rows {
            self.checkpoints.insert((node, *cid), *row);
        }
    }

    /// Which of these sessions `node` still holds.
    pub(in crate::log::sim) fn holds(
        &self,
        node: Incarnation,
        cid: ConnectionId,
        fencing: u64,
    ) -> bool {
        let session = self.sessions.get(&cid);
        session.is_some_and(|session| session.fencing == fencing && session.owner == node)
    }

    /// Registers `node`, and says where a tail of it begins.
    pub(in crate::log::sim) fn attach(
        &mut self,
        node: Incarnation,
        c: &mut Context<'_>,
    ) -> Option<(Position, Vec<Arc<Record>>)> {
        self.check(c);
        self.lease(node, c.now_ms);
        // A tail that begins anew can't tell what an earlier one has sent.
        let generation = counter(&self.meta.as_ref()?.gid);
        if self.witness.get(&(generation, node)) == Some(&Mark::Suspect)
            && c.rules.keep(Part::FreshTails)
            && !c.rules.holds_back()
        {
            self.mark(generation, node, false, c);
            self.try_settle(c);
        }
        let at = self.top(self.meta.as_ref()?);
        let mut backlog = Vec::new();
        let mut entry = Some(&self.tip);
        while let Some(found) = entry.filter(|found| found.offset() >= self.first) {
            backlog.push(Arc::clone(&found.record));
            entry = found.previous.as_ref();
        }
        backlog.reverse();
        Some((at, backlog))
    }

    pub(in crate::log::sim) fn lease(&mut self, node: Incarnation, now_ms: u64) {
        self.leases.insert(node, now_ms + LEASE_MS);
        self.leases.retain(|_, ends| *ends + 2 * SUSPECT_MS > now_ms);
    }
}
