//! What one Redis holds, and the scripts: the same rules as the scripts in Lua, in Rust.
//!
//! Invariants: a script is one step; a script that writes begins with the check of the
//! generation.

use std::{collections::BTreeMap, rc::Rc};

use super::{
    chance::Chance,
    history::{Entry, History, What},
    tally::{Case, Tally},
};
use crate::{
    log::course::{Range, Verdict, counter},
    model::{ConnectionId, Generation, Interval, Memberships, Position, Tag},
};

/// A start of a node. Never the same twice, whatever Redis forgets.
pub(super) type Incarnation = u32;

/// How the log tells that it lost something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// The one that is built.
    Proper,
    /// Tags and generations, and no fence whatever an acknowledgement means.
    TagsOnly,
    /// A replicated epoch and offsets.
    Naive,
}

/// What an acknowledgement means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Profile {
    /// The primary has it.
    Log,
    /// A replica has it, too.
    Ha,
}

/// The rules of one run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) scheme: Scheme,
    pub(super) profile: Profile,
    /// In the HA profile a claim is believed only when a replica has it.
    pub(super) claims_wait: bool,
}

impl Rules {
    fn fences(self) -> bool {
        self.scheme == Scheme::Proper && self.profile == Profile::Log
    }
}

/// The surroundings of a script.
pub(super) struct Context<'a> {
    pub(super) rules: Rules,
    /// The replication id of the server: another one after each start and promotion.
    pub(super) replid: u32,
    pub(super) is_zombie: bool,
    pub(super) now_ms: u64,
    pub(super) history: &'a mut History,
    pub(super) chance: &'a mut Chance,
    pub(super) tally: &'a mut Tally,
    /// What is published.
    pub(super) frames: Vec<Frame>,
}

/// A message of the channel.
#[derive(Debug, Clone)]
pub(super) enum Frame {
    Records(Generation, Vec<std::sync::Arc<crate::model::Record>>),
    Generation(Generation),
    Taken { cid: ConnectionId, fencing: u64, by: Incarnation },
}

/// The hash `m`. Offset and tag are those of [`State::tip`].
#[derive(Debug, Clone)]
pub(super) struct Meta {
    replid: u32,
    pub(super) gid: Generation,
    began_at: (u64, Tag),
    pub(super) is_fenced: bool,
    deadline_ms: u64,
    floor: u64,
    lineage: Vec<Generation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Suspect,
    Clean,
    Dirty,
}

/// The hash `s:<cid>`.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) user: u8,
    gid: Generation,
    pub(super) base: Rc<Entry>,
    pub(super) fencing: u64,
    pub(super) owner: Incarnation,
    pub(super) seq: u64,
    pub(super) cursor: u64,
}

/// Everything in one Redis.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) meta: Option<Meta>,
    pub(super) tip: Rc<Entry>,
    /// Offset of the oldest record in the stream; one more than the tip's when it is empty.
    pub(super) first: u64,
    users: Vec<Memberships>,
    pub(super) sessions: BTreeMap<ConnectionId, Session>,
    checkpoints: BTreeMap<(Incarnation, ConnectionId), Row>,
    ids: BTreeMap<usize, Rc<Entry>>,
    pub(super) leases: BTreeMap<Incarnation, u64>,
    witness: BTreeMap<(Generation2, Incarnation), Mark>,
}

/// Orders generations of one lineage.
type Generation2 = u64;

/// How far a connection has come: seq, cursor, fencing.
pub(super) type Row = (u64, u64, u64);

/// What is told of a session's place.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    pub(super) at: Position,
    pub(super) oldest: u64,
    pub(super) memberships: Memberships,
    pub(super) session: Session,
}

/// The answer to a claim.
#[derive(Debug, Clone)]
pub(super) enum Claimed {
    Granted(Box<Seat>),
    Unknown,
    Stale,
    /// Nodes have yet to report.
    Pending,
}

const FENCE_MS: u64 = 5_000;
const SUSPECT_MS: u64 = 30_000;
const LEASE_MS: u64 = 10_000;
const LINEAGE: usize = 16;
const RANGE: usize = 8;

impl State {
    pub(super) fn new(history: &mut History) -> Self {
        let tip = history.root(|_, _| false);
        let users = history.users.iter().map(|_| Memberships::default()).collect();
        let (sessions, checkpoints, ids) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (leases, witness) = (BTreeMap::new(), BTreeMap::new());
        Self { meta: None, tip, first: 1, users, sessions, checkpoints, ids, leases, witness }
    }

    /// The place at which the log ends; `None` when the next write begins a generation.
    pub(super) fn end(&self, c: &Context<'_>) -> Option<Position> {
        let meta = self.meta.as_ref()?;
        let is_own = meta.replid == c.replid || c.rules.scheme == Scheme::Naive;
        is_own.then(|| self.top(meta))
    }

    fn top(&self, meta: &Meta) -> Position {
        Position { generation: meta.gid.clone(), offset: self.tip.offset(), tag: self.tip.tag() }
    }

    pub(super) fn read(&self, after: u64, c: &Context<'_>) -> Range {
        let from = (after + 1).max(self.first);
        let mut records = Vec::new();
        let mut entry = Some(&self.tip);
        while let Some(found) = entry.filter(|found| found.offset() >= from) {
            records.push(std::sync::Arc::clone(&found.record));
            entry = found.previous.as_ref();
        }
        records.reverse();
        records.truncate(RANGE);
        let first_kept = if self.first > self.tip.offset() { 0 } else { self.first };
        Range { asked_after: after, end: self.end(c), first_kept, records }
    }

    /// Begins a new log, or a new generation, where the old one can't go on.
    fn check(&mut self, c: &mut Context<'_>) {
        match &self.meta {
            None => self.found(c),
            Some(meta) if meta.replid != c.replid && c.rules.scheme != Scheme::Naive => {
                self.begin(c, false);
            }
            Some(meta) if meta.is_fenced && c.now_ms > meta.deadline_ms => {
                c.tally.met(Case::FenceRanOut);
                self.settle(false, c);
            }
            Some(_) => {}
        }
    }

    fn found(&mut self, c: &mut Context<'_>) {
        let users = &self.users;
        self.tip = c.history.root(|topic, user| users[user].is_open(topic));
        self.first = 1;
        for user in &mut self.users {
            let open: Vec<_> = user.open_topics().cloned().collect();
            *user = Memberships::default();
            for topic in open {
                user.restore(topic, Interval { from: 0, to: 0 });
            }
        }
        let gid = name(c.now_ms.max(1), c.chance);
        let (floor, lineage) = (counter(&gid), vec![gid.clone()]);
        c.frames.push(Frame::Generation(gid.clone()));
        let (began_at, is_fenced, deadline_ms) = ((0, Tag(0)), false, 0);
        let replid = c.replid;
        self.meta = Some(Meta { replid, gid, began_at, is_fenced, deadline_ms, floor, lineage });
    }

    /// The log goes on in another generation. `is_dirty`: and everything older is reset.
    fn begin(&mut self, c: &mut Context<'_>, is_dirty: bool) {
        let Some(meta) = &mut self.meta else { return };
        let old = counter(&meta.gid);
        if c.now_ms <= old {
            c.tally.met(Case::ClockWentBack);
        }
        let gid = name((old + 1).max(c.now_ms), c.chance);
        meta.replid = c.replid;
        meta.gid = gid.clone();
        meta.began_at = (self.tip.offset(), self.tip.tag());
        meta.is_fenced = c.rules.fences() && !is_dirty;
        meta.deadline_ms = c.now_ms + FENCE_MS;
        meta.lineage.push(gid.clone());
        let surplus = meta.lineage.len().saturating_sub(LINEAGE);
        meta.lineage.drain(..surplus);
        let generation = counter(&gid);
        if is_dirty {
            meta.floor = generation;
        }
        let suspects = self.leases.iter().filter(|(_, ends)| **ends + SUSPECT_MS > c.now_ms);
        self.witness.extend(suspects.map(|(node, _)| ((generation, *node), Mark::Suspect)));
        c.frames.push(Frame::Generation(gid));
        if !is_dirty {
            self.try_settle(c);
        }
    }

    /// Opens the fence when all have reported: before, one of them may still be told by
    /// an old primary that something is in the log.
    fn try_settle(&mut self, c: &mut Context<'_>) {
        let Some(meta) = self.meta.as_ref().filter(|meta| meta.is_fenced) else { return };
        let generation = counter(&meta.gid);
        let marks = || self.witness.range((generation, 0)..=(generation, u32::MAX));
        if marks().any(|(_, mark)| *mark == Mark::Suspect) {
            return;
        }
        let is_clean = marks().all(|(_, mark)| *mark == Mark::Clean);
        c.tally.met(if is_clean { Case::CleanFence } else { Case::DirtyFence });
        self.settle(is_clean, c);
    }

    fn settle(&mut self, is_clean: bool, c: &mut Context<'_>) {
        let Some(meta) = &mut self.meta else { return };
        meta.is_fenced = false;
        if !is_clean {
            meta.floor = counter(&meta.gid);
        }
        c.frames.push(Frame::Generation(meta.gid.clone()));
    }

    /// Whether the log holds this record; `None` when it is not kept any more.
    fn has(&self, offset: u64, tag: Tag) -> Option<bool> {
        let meta = self.meta.as_ref()?;
        if offset == 0 {
            return Some(true);
        }
        if (offset, tag) == meta.began_at || (offset, tag) == (self.tip.offset(), self.tip.tag()) {
            return Some(true);
        }
        if offset >= self.tip.offset() || offset == meta.began_at.0 {
            return Some(false);
        }
        (offset >= self.first).then(|| self.tip.at(offset).is_some_and(|entry| entry.tag() == tag))
    }

    pub(super) fn report(
        &mut self,
        node: Incarnation,
        highest: &Position,
        c: &mut Context<'_>,
    ) -> (Generation, Verdict) {
        self.check(c);
        let is_there = self.has(highest.offset, highest.tag);
        let Some(meta) = &self.meta else { return (highest.generation.clone(), Verdict::Dirty) };
        if c.rules.scheme == Scheme::Naive {
            return (meta.gid.clone(), Verdict::Clean);
        }
        let generation = counter(&meta.gid);
        let is_kin = meta.lineage.contains(&highest.generation);
        let is_clean = is_there == Some(true) && is_kin;
        let mark = self.witness.get(&(generation, node));
        let is_first = matches!(mark, None | Some(Mark::Suspect));
        if meta.is_fenced {
            self.mark(generation, node, is_clean);
            self.try_settle(c);
        } else if c.rules.fences() && is_first && is_kin && is_there == Some(false) {
            // Too late for the fence: others have gone on without what this node was told.
            c.tally.met(Case::LateDirtyReport);
            self.begin(c, true);
        }
        let Some(meta) = &self.meta else { return (highest.generation.clone(), Verdict::Dirty) };
        let generation = counter(&meta.gid);
        let is_kept = counter(&highest.generation) >= meta.floor;
        let verdict = match (is_clean && is_kept, meta.is_fenced) {
            (false, _) => Verdict::Dirty,
            (true, true) => Verdict::Pending,
            (true, false) => Verdict::Clean,
        };
        let gid = meta.gid.clone();
        self.mark(generation, node, verdict != Verdict::Dirty);
        (gid, verdict)
    }

    /// Notes what a node reported. What was dirty once stays so: the sessions that a node
    /// served before it began anew were not in this log.
    fn mark(&mut self, generation: u64, node: Incarnation, is_clean: bool) {
        let mark = self.witness.entry((generation, node)).or_insert(Mark::Suspect);
        if *mark != Mark::Dirty {
            *mark = if is_clean { Mark::Clean } else { Mark::Dirty };
        }
    }

    /// Appends; `None` while the log is fenced. An id that is known names its record.
    pub(super) fn publish(
        &mut self,
        drafts: &[(usize, What)],
        c: &mut Context<'_>,
    ) -> Option<(Generation, Vec<Rc<Entry>>)> {
        self.check(c);
        let gid = self.meta.as_ref().filter(|meta| !meta.is_fenced)?.gid.clone();
        let (mut places, mut records) = (Vec::new(), Vec::new());
        for (id, what) in drafts {
            let known = self.ids.get(id);
            if let Some(entry) = known.filter(|entry| self.is_in(entry)) {
                c.tally.met(Case::DuplicateAnswered);
                places.push(Rc::clone(entry));
                continue;
            }
            let entry = self.append(*id, *what, &gid, c);
            records.push(std::sync::Arc::clone(&entry.record));
            places.push(entry);
        }
        if !records.is_empty() {
            c.frames.push(Frame::Records(gid.clone(), records));
        }
        Some((gid, places))
    }

    fn append(
        &mut self,
        id: usize,
        what: What,
        gid: &Generation,
        c: &mut Context<'_>,
    ) -> Rc<Entry> {
        let is_naive = c.rules.scheme == Scheme::Naive;
        let tag = Tag(if is_naive { 0 } else { c.chance.next() });
        let mut entry = c.history.append(&self.tip, what, gid, tag);
        if c.is_zombie {
            c.history.disown(&mut entry);
        }
        if let What::Member { channel, user, is_added } = what {
            let topic = c.history.channels[channel as usize].clone();
            let of = &mut self.users[user as usize];
            if is_added {
                of.open(topic, entry.offset());
            } else {
                of.close(&topic, entry.offset());
            }
        }
        self.tip = Rc::clone(&entry);
        self.ids.insert(id, Rc::clone(&entry));
        entry
    }

    /// True when the record of a remembered id belongs to this life of the log.
    fn is_in(&self, entry: &Rc<Entry>) -> bool {
        let generation = &entry.record.position.generation;
        self.meta.as_ref().is_some_and(|meta| meta.lineage.contains(generation))
            && self.has(entry.offset(), entry.tag()) != Some(false)
    }

    pub(super) fn open(
        &mut self,
        (cid, user): (ConnectionId, u8),
        node: Incarnation,
        c: &mut Context<'_>,
    ) -> Option<Seat> {
        self.check(c);
        // What begins behind a fence would not be reset by what is found out there.
        let gid = self.meta.as_ref().filter(|meta| !meta.is_fenced)?.gid.clone();
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

    pub(super) fn claim(
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
        let row = self.checkpoints.get(&(session.owner, cid)).copied();
        let Some(session) = self.sessions.get_mut(&cid) else { return Claimed::Unknown };
        if let Some((seq, cursor, fencing)) = row
            && fencing == session.fencing
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
                Some(Mark::Dirty) => return Verdict::Dirty,
                Some(Mark::Suspect) if *gid == meta.gid && c.now_ms <= meta.deadline_ms => {
                    return Verdict::Pending;
                }
                Some(Mark::Suspect) => return Verdict::Dirty,
            }
        }
        match self.has(session.base.offset(), session.base.tag()) {
            Some(false) => Verdict::Dirty,
            Some(true) | None => Verdict::Clean,
        }
    }

    pub(super) fn checkpoint(&mut self, node: Incarnation, rows: &[(ConnectionId, Row)]) {
        for (cid, row) in rows {
            self.checkpoints.insert((node, *cid), *row);
        }
    }

    /// Which of these sessions `node` still holds.
    pub(super) fn holds(&self, node: Incarnation, cid: ConnectionId, fencing: u64) -> bool {
        let session = self.sessions.get(&cid);
        session.is_some_and(|session| session.fencing == fencing && session.owner == node)
    }

    /// Registers `node`, and says where a tail of it begins.
    pub(super) fn attach(
        &mut self,
        node: Incarnation,
        c: &mut Context<'_>,
    ) -> Option<(Position, Vec<std::sync::Arc<crate::model::Record>>)> {
        self.check(c);
        self.lease(node, c.now_ms);
        // A tail that begins anew can't tell what an earlier one has sent.
        let generation = counter(&self.meta.as_ref()?.gid);
        if self.witness.get(&(generation, node)) == Some(&Mark::Suspect) {
            self.mark(generation, node, false);
            self.try_settle(c);
        }
        let at = self.top(self.meta.as_ref()?);
        let mut backlog = Vec::new();
        let mut entry = Some(&self.tip);
        while let Some(found) = entry.filter(|found| found.offset() >= self.first) {
            backlog.push(std::sync::Arc::clone(&found.record));
            entry = found.previous.as_ref();
        }
        backlog.reverse();
        Some((at, backlog))
    }

    pub(super) fn lease(&mut self, node: Incarnation, now_ms: u64) {
        self.leases.insert(node, now_ms + LEASE_MS);
        self.leases.retain(|_, ends| *ends + 2 * SUSPECT_MS > now_ms);
    }

    /// Lets go of the oldest records, but `keep`.
    pub(super) fn trim(&mut self, keep: u64) {
        self.first = self.first.max((self.tip.offset() + 1).saturating_sub(keep));
        for user in &mut self.users {
            user.forget_before(self.first);
        }
    }
}

fn name(count: u64, chance: &mut Chance) -> Generation {
    Generation::new(&format!("{count}.{:x}", chance.below(1 << 32)))
}
