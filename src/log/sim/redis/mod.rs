//! What one Redis holds, and the scripts: the same rules as the scripts in Lua, in Rust.
//!
//! Invariants: a script is one step; a script that writes begins with the check of the
//! generation.

mod generations;
mod sessions;

use std::{collections::BTreeMap, rc::Rc, sync::Arc};

use super::{
    chance::Chance,
    history::{Entry, History, What},
    tally::{Case, Tally},
};
use crate::{
    log::course::Range,
    model::{ConnectionId, Generation, Memberships, Position, Record, Tag},
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

/// A rule that can be left out, to see what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// In the HA profile a claim is believed only when a replica has it.
    ReplicatedClaims,
    /// A fence opens when all have reported, and not at the first bad news.
    WholeFence,
    /// No session begins behind a fence.
    FencedOpenings,
    /// Bad news that come after the fence begin another generation.
    LateReports,
    /// What a node once reported as dirty stays so.
    LastingDirt,
    /// A tail that begins anew says nothing for the one before it.
    FreshTails,
    /// A node never goes back to an older server.
    NewestServer,
    /// Answers count only if the course vouches for them.
    Vouching,
    /// The id of an earlier life of the log is no duplicate.
    IdsOfThisLife,
    /// A session's beginning must be in the log.
    BaseTag,
    /// A checkpoint counts only from the owner, under its number.
    OwnCheckpoints,
    /// In the HA profile nothing is delivered before a replica has it.
    HoldingBack,
}

impl Part {
    pub(super) const ALL: &'static [Self] = &[
        Self::ReplicatedClaims,
        Self::WholeFence,
        Self::FencedOpenings,
        Self::LateReports,
        Self::LastingDirt,
        Self::FreshTails,
        Self::NewestServer,
        Self::Vouching,
        Self::IdsOfThisLife,
        Self::BaseTag,
        Self::OwnCheckpoints,
        Self::HoldingBack,
    ];
}

/// The rules of one run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) scheme: Scheme,
    pub(super) profile: Profile,
    pub(super) without: Option<Part>,
}

impl Rules {
    pub(super) fn keep(self, part: Part) -> bool {
        self.without != Some(part)
    }

    /// Nothing is shown that no replica has.
    pub(super) fn holds_back(self) -> bool {
        let is_held = self.profile == Profile::Ha && self.keep(Part::HoldingBack);
        is_held && self.scheme == Scheme::Proper
    }

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
    Records(Generation, Vec<Arc<Record>>),
    Generation(Generation),
    Taken { cid: ConnectionId, fencing: u64, by: Incarnation },
    Confirmed(Position),
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
            records.push(Arc::clone(&found.record));
            entry = found.previous.as_ref();
        }
        records.reverse();
        records.truncate(RANGE);
        let first_kept = if self.first > self.tip.offset() { 0 } else { self.first };
        Range { asked_after: after, end: self.end(c), first_kept, records }
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
            if let Some(entry) = known.filter(|entry| self.is_in(entry, c)) {
                c.tally.met(Case::DuplicateAnswered);
                places.push(Rc::clone(entry));
                continue;
            }
            let entry = self.append(*id, *what, &gid, c);
            records.push(Arc::clone(&entry.record));
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
    fn is_in(&self, entry: &Rc<Entry>, c: &Context<'_>) -> bool {
        let generation = &entry.record.position.generation;
        if !c.rules.keep(Part::IdsOfThisLife) {
            return true;
        }
        self.meta.as_ref().is_some_and(|meta| meta.lineage.contains(generation))
            && self.has(entry.offset(), entry.tag()) != Some(false)
    }

    /// Lets go of the oldest records, but `keep`.
    pub(super) fn trim(&mut self, keep: u64) {
        self.first = self.first.max((self.tip.offset() + 1).saturating_sub(keep));
        for user in &mut self.users {
            user.forget_before(self.first);
        }
    }
}
