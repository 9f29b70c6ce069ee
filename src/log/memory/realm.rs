//! One realm of the embedded log: records, memberships, revocations, sessions.
//!
//! A plain data structure: its owner holds the lock and delivers what it appends.
//!
//! Invariants: each record's tag follows its predecessor's; the membership tables
//! are what the records say, at every offset.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use indexmap::IndexSet;
use tokio::sync::mpsc;

use super::{
    super::{
        AppendError, Appended, Draft, Inbound, Snapshot,
        digest::Digest,
        kept::{weight, without_body},
    },
    bus::BusState,
    chat::Rooms,
    limits::MemoryLimits,
    people::People,
    recent_ids::{RecentIds, Remembered},
    sessions::Session,
};
use crate::{
    clock::{random_bytes, random_tag},
    model::{
        Body, ConnectionId, Generation, Id, Identity, Memberships, Position, Record, Renderings,
        Revocations, Tag, Topic, UserId, Workspace,
    },
};

pub(super) type Hasher = foldhash::fast::RandomState;

/// The records that one step appended, for the tails.
#[derive(Debug, Default)]
pub(super) struct Sequel(Vec<Arc<Record>>);

impl Sequel {
    pub(super) fn records(&self) -> &[Arc<Record>] {
        &self.0
    }
}

/// What a tail begins with.
pub(super) struct Attached {
    pub(super) position: Position,
    pub(super) backlog: Vec<Arc<Record>>,
    pub(super) workspaces: Vec<(Id, Arc<Workspace>)>,
}

/// Everything that one realm knows.
#[derive(Debug)]
pub(super) struct RealmState {
    pub(super) limits: MemoryLimits,
    pub(super) end: Position,
    records: VecDeque<Arc<Record>>,
    records_bytes: usize,
    people: People,
    pub(super) rooms: Rooms,
    /// What happened in rooms and is being saved, in its order: only then is it told.
    pub(super) telling: VecDeque<(u64, Vec<Body>)>,
    /// The number of what happened in rooms last.
    pub(super) steps: u64,
    bus: BusState,
    pub(super) sessions: HashMap<ConnectionId, Box<Session>, Hasher>,
    /// Ended sessions, oldest first; an entry is stale when the session went on.
    pub(super) ended: VecDeque<(u64, ConnectionId)>,
    ids: RecentIds,
    tails: Vec<mpsc::Sender<Inbound>>,
    tails_version: u64,
}

impl RealmState {
    /// An empty log with these people, workspaces and rooms.
    ///
    /// Its generation is numbered by `now_ms`, so that a later life has a higher number.
    pub(super) fn new(
        limits: MemoryLimits,
        (people, bus, rooms): (People, BusState, Rooms),
        now_ms: u64,
    ) -> Self {
        let nonce = u64::from_le_bytes(random_bytes());
        let generation = Generation::new(&format!("{now_ms}.{nonce:016x}"));
        Self {
            ids: RecentIds::new(limits.idempotency_window, limits.idempotency_ids),
            limits,
            end: Position { generation, offset: 0, tag: Tag::default() },
            records: VecDeque::new(),
            records_bytes: 0,
            people,
            rooms,
            telling: VecDeque::new(),
            steps: 0,
            bus,
            sessions: HashMap::default(),
            ended: VecDeque::new(),
            tails: Vec::new(),
            tails_version: 0,
        }
    }

    pub(super) fn apply_limits(&mut self, limits: MemoryLimits) {
        self.ids.apply_limits(limits.idempotency_window, limits.idempotency_ids);
        self.limits = limits;
    }

    pub(super) fn tails(&self) -> (u64, Vec<mpsc::Sender<Inbound>>) {
        (self.tails_version, self.tails.clone())
    }

    pub(super) fn tails_version(&self) -> u64 {
        self.tails_version
    }

    pub(super) fn attach(&mut self, tail: mpsc::Sender<Inbound>) -> Attached {
        self.tails.push(tail);
        self.tails_version += 1;
        Attached {
            position: self.end.clone(),
            backlog: self.records.iter().cloned().collect(),
            workspaces: self.bus.workspaces(),
        }
    }

    pub(super) fn forget_closed_tails(&mut self) {
        self.tails.retain(|tail| !tail.is_closed());
        self.tails_version += 1;
    }

    pub(super) fn append(
        &mut self,
        draft: Draft,
        now_us: u64,
        sequel: &mut Sequel,
    ) -> Result<Appended, AppendError> {
        let now_ms = now_us / 1_000;
        let Draft { body, id } = draft;
        let id = id.map(|id| (id, Digest::of(&body)));
        if let Some((id, digest)) = &id {
            match self.ids.recall(id, *digest, now_ms) {
                Remembered::Same(position) => return Ok(Appended { position, duplicate: true }),
                Remembered::Other => return Err(AppendError::Conflict),
                Remembered::Nothing => {}
            }
        }
        self.check_memberships(&body)?;
        self.bus.check(&body)?;
        let body = self.bus.complete(body, now_us);
        let position = self.enter(body, now_us, sequel);
        if let Some((id, digest)) = id {
            self.ids.remember(id, digest, position.clone(), now_ms);
        }
        Ok(Appended { position, duplicate: false })
    }

    /// What a connection subscribed to, as long as it is known.
    fn check_memberships(&self, body: &Body) -> Result<(), AppendError> {
        let Body::Members { topic, add, .. } = body else { return Ok(()) };
        let limit = self.limits.memberships_per_user;
        let is_full = |user: &UserId| {
            self.people.memberships(user).is_some_and(|memberships| {
                !memberships.is_open(topic) && memberships.open_topics().count() >= limit
            })
        };
        if add.iter().any(is_full) {
            return Err(AppendError::TooManyMemberships { limit });
        }
        Ok(())
    }

    /// Numbers a record, applies what it changes, and trims the log.
    pub(super) fn enter(
        &mut self,
        body: Body,
        accepted_at_us: u64,
        sequel: &mut Sequel,
    ) -> Position {
        let previous_tag = self.end.tag;
        self.end.offset += 1;
        self.end.tag = random_tag();
        let position = self.end.clone();
        self.apply(&body, position.offset);
        let kept = without_body(&body).map(|body| {
            let position = position.clone();
            let renderings = Renderings::default();
            Arc::new(Record {
                position,
                previous_tag,
                accepted_at_us,
                body,
                renderings,
                kept: None,
            })
        });
        let record = Arc::new(Record {
            position: position.clone(),
            previous_tag,
            accepted_at_us,
            body,
            renderings: Renderings::default(),
            kept,
        });
        self.records_bytes += weight(&record.kept());
        self.records.push_back(record.kept());
        self.trim();
        sequel.0.push(record);
        position
    }

    fn trim(&mut self) {
        while self.records.len() > self.limits.retention_events
            || self.records_bytes > self.limits.retention_bytes
        {
            let Some(oldest) = self.records.pop_front() else { return };
            self.records_bytes -= weight(&oldest);
        }
    }

    fn apply(&mut self, body: &Body, offset: u64) {
        let oldest = self.oldest_offset();
        match body {
            Body::Event(_) | Body::Disconnect { .. } | Body::Unknown => {}
            Body::Bus(_) | Body::Workspace { .. } | Body::Nodes(_) => self.bus.apply(body, offset),
            Body::Members { topic, add, remove } => {
                for user in add {
                    self.people.join(user, topic, offset, oldest);
                }
                for user in remove {
                    self.people.leave(user, topic, offset);
                }
            }
            Body::Seeds { user, topics } => {
                for topic in topics {
                    self.people.join(user, topic, offset, oldest);
                }
            }
            Body::Watch { connection, add, remove } => {
                let oldest = self.oldest_offset();
                let Some(session) = self.sessions.get_mut(connection) else { return };
                let watches = session.watches.get_or_insert_default();
                watches.forget_topics_before(oldest);
                for topic in add {
                    watches.open(topic.clone(), offset);
                }
                for topic in remove {
                    watches.close(topic, offset);
                }
            }
            Body::Revocation(revocation) => self.people.revoke(revocation),
        }
    }

    /// Offset of the oldest record that is kept; the next one when none is.
    fn oldest_offset(&self) -> u64 {
        self.records.front().map_or(self.end.offset + 1, |record| record.position.offset)
    }

    /// Makes records of the identity's seeds that the realm knows nothing about.
    pub(super) fn plant_seeds(&mut self, identity: &Identity, now_us: u64, sequel: &mut Sequel) {
        if self.revocations(identity).ends(identity) {
            return;
        }
        let memberships = self.people.memberships(&identity.user);
        let open = memberships.map_or(0, |all| all.open_topics().count());
        let room = self.limits.memberships_per_user.saturating_sub(open);
        let is_news =
            |topic: &&Topic| !memberships.is_some_and(|memberships| memberships.knows(topic));
        let news: IndexSet<&Topic> = identity.seeds.iter().filter(is_news).take(room).collect();
        let topics: Vec<Topic> = news.into_iter().cloned().collect();
        if !topics.is_empty() {
            let user = identity.user.clone();
            self.enter(Body::Seeds { user, topics }, now_us, sequel);
        }
    }

    pub(super) fn range(&self, after: u64, limit: usize) -> Vec<Arc<Record>> {
        let skip = after.saturating_add(1).saturating_sub(self.oldest_offset());
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        self.records.iter().skip(skip).take(limit).cloned().collect()
    }

    pub(super) fn memberships(&self, user: &UserId) -> (Position, Memberships) {
        (self.end.clone(), self.people.memberships(user).cloned().unwrap_or_default())
    }

    pub(super) fn node_path(&self, uuid: &str) -> Option<Arc<str>> {
        self.bus.node_path(uuid)
    }

    pub(super) fn members(&self, topic: &Topic) -> Vec<UserId> {
        self.people.members(topic)
    }

    pub(super) fn snapshot(&self, identity: &Identity, watches: Memberships) -> Snapshot {
        let (position, memberships) = self.memberships(&identity.user);
        let oldest = self.oldest_offset();
        Snapshot { position, oldest, memberships, watches, revocations: self.revocations(identity) }
    }

    pub(super) fn revocations(&self, identity: &Identity) -> Revocations {
        self.people.revocations(identity)
    }
}
