//! What every backend of the realm log must do, as tests that are generic over it.
//!
//! A backend runs them all with `contract!(ItsBackend)`. Each test opens an empty
//! log with bounds of its own.
//!
//! Invariants: no test depends on how exactly a backend trims, only on what it must
//! keep and must let go.

#![expect(
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    reason = "numbers of tests are small, and their matches need not stay total"
)]

mod bus;
mod ids;
mod members;
mod order;
mod revocations;
mod sessions;

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{
    AppendError, Appended, ChatLimits, Claim, Draft, Inbound, MemoryLimits, Opening, RealmLog,
    Snapshot,
};
use crate::{
    clock::{Clock, random_connection_id},
    model::{Body, ConnectionId, Event, Id, Identity, Memberships, Record, Scope, Topic, UserId},
};

pub(super) use bus::*;
pub(super) use ids::*;
pub(super) use members::*;
pub(super) use order::*;
pub(super) use revocations::*;
pub(super) use sessions::*;

/// The first second of each test, since 1970.
pub(super) const START_S: u64 = 1_000_000;

/// A way to make an empty log.
pub(super) trait Backend {
    /// What it makes.
    type Log: RealmLog + 'static;

    /// Opens an empty log.
    fn open(limits: MemoryLimits, clock: Clock) -> impl Future<Output = Self::Log>;

    /// Lets time pass. A backend that reads another clock moves that one, too.
    fn pass(_log: &Self::Log, clock: &Clock, by: Duration) -> impl Future<Output = ()> {
        clock.advance(by);
        std::future::ready(())
    }
}

/// Names each test of the suite once, for one backend.
macro_rules! contract {
    ($backend:ty) => {
        contract!($backend: offsets_are_dense_and_tags_chain_under_concurrent_publishers);
        contract!($backend: answers_name_the_places_of_their_records);
        contract!($backend: a_batch_stays_together_and_in_order);
        contract!($backend: a_tail_that_attaches_during_publishing_misses_nothing);
        contract!($backend: a_range_is_what_the_tail_told);
        contract!($backend: realms_do_not_see_each_other);
        contract!($backend: a_batch_is_read_from_any_place);
        contract!($backend: the_newest_records_are_kept_and_the_oldest_let_go);
        contract!($backend: large_records_are_let_go_by_bytes);
        contract!($backend: a_repeated_id_names_the_first_place);
        contract!($backend: an_id_stands_for_one_body);
        contract!($backend: an_id_is_forgotten_when_its_window_ends);
        contract!($backend: a_failed_append_does_not_use_its_id);
        contract!($backend: concurrent_repeats_append_once);
        contract!($backend: a_late_repeat_does_not_undo_a_newer_change);
        contract!($backend: memberships_are_exact_at_every_offset);
        contract!($backend: an_interval_that_a_kept_record_needs_is_kept);
        contract!($backend: members_are_listed_in_the_order_of_joining);
        contract!($backend: a_tail_begins_with_the_workspaces);
        contract!($backend: places_of_nodes_are_what_was_told_last);
        contract!($backend: a_folder_moves_with_what_is_in_it);
        contract!($backend: updates_of_a_task_that_has_ended_are_nobodys);
        contract!($backend: parts_are_merged_once_and_before_the_last_word);
        contract!($backend: seeds_are_planted_only_where_nothing_is_known);
        contract!($backend: a_user_has_a_limited_number_of_memberships);
        contract!($backend: a_snapshot_and_its_place_belong_together);
        contract!($backend: revocations_are_told_to_whom_they_concern);
        contract!($backend: an_older_revocation_does_not_weaken_a_newer_one);
        contract!($backend: a_revoked_token_plants_no_seeds);
        contract!($backend: only_the_owner_claims_a_session);
        contract!($backend: an_older_holder_changes_nothing);
        contract!($backend: an_ended_session_lives_as_long_as_configured);
        contract!($backend: a_held_session_never_ends);
        contract!($backend: a_forgotten_session_is_unknown);
        contract!($backend: only_the_newest_claim_forgets_a_session);
        contract!($backend: watches_belong_to_their_session);
    };
    ($backend:ty: $name:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $name() {
            $crate::log::contract::$name::<$backend>().await;
        }
    };
}
pub(super) use contract;

/// Bounds that most tests never reach.
pub(super) fn limits() -> MemoryLimits {
    MemoryLimits {
        retention_events: 10_000,
        retention_bytes: 16 << 20,
        idempotency_window: Duration::from_secs(300),
        idempotency_ids: 1_000,
        memberships_per_user: 8,
        session_ttl: Duration::from_secs(900),
        ended_sessions: 1_000,
        chat: ChatLimits { history: 100, silence: Duration::from_secs(20) },
    }
}

pub(super) fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

pub(super) fn channel(name: &str) -> Topic {
    Topic::Channel(id(name))
}

/// An event to a channel, with so many bytes of data.
pub(super) fn event_of(to: Topic, data: String) -> Body {
    Body::Event(Event {
        name: Arc::from("posted"),
        data: Bytes::from(data),
        to,
        omit_users: Vec::new(),
        omit_connection: None,
        ephemeral: false,
        binary: false,
        id: Arc::from(""),
        sender: None,
    })
}

pub(super) fn event(text: &str) -> Body {
    event_of(channel("town"), format!(r#"{{"text":"{text}"}}"#))
}

pub(super) fn members(topic: &Topic, add: &[&str], remove: &[&str]) -> Body {
    let ids = |names: &[&str]| names.iter().map(|name| id(name)).collect();
    Body::Members { topic: topic.clone(), add: ids(add), remove: ids(remove) }
}

pub(super) fn identity(user: &str, session: Option<&str>) -> Identity {
    Identity {
        realm: id("default"),
        user: id(user),
        session: session.map(id),
        issued_at: Some(START_S),
        expires_at: u64::MAX,
        roles: Vec::new(),
        name: None,
        profile: None,
        seeds: Vec::new(),
    }
}

/// The text of an event, as [`event`] made it; a word for what is no event.
pub(super) fn said(record: &Record) -> String {
    match &record.body {
        Body::Event(event) => String::from_utf8(event.data.to_vec()).unwrap(),
        Body::Members { .. } => "members".to_owned(),
        Body::Seeds { .. } => "seeds".to_owned(),
        Body::Watch { .. } => "watch".to_owned(),
        Body::Revocation(_) => "revocation".to_owned(),
        Body::Disconnect { .. } => "disconnect".to_owned(),
        Body::Bus(bus) => String::from_utf8(bus.data.to_vec()).unwrap(),
        Body::Workspace { id, .. } => format!("workspace {id}"),
        Body::Nodes(_) => "nodes".to_owned(),
        Body::Unknown => "unknown".to_owned(),
    }
}

/// A log, and shorthands for what tests ask of it.
pub(super) struct Stage<L> {
    pub(super) log: Arc<L>,
    pub(super) clock: Clock,
    pub(super) realm: Id,
}

impl<L: RealmLog + 'static> Stage<L> {
    pub(super) async fn open<B: Backend<Log = L>>(limits: MemoryLimits) -> Self {
        let clock = Clock::manual(Duration::from_secs(START_S));
        let log = Arc::new(B::open(limits, clock.clone()).await);
        Self { log, clock, realm: id("default") }
    }

    pub(super) async fn append_all(
        &self,
        drafts: Vec<Draft>,
    ) -> Vec<Result<Appended, AppendError>> {
        self.log.append(&self.realm, drafts).await
    }

    pub(super) async fn try_append(
        &self,
        body: Body,
        id: Option<&str>,
    ) -> Result<Appended, AppendError> {
        let drafts = vec![Draft { body, id: id.map(Arc::from) }];
        self.append_all(drafts).await.remove(0)
    }

    /// Appends one record and returns its offset.
    pub(super) async fn append(&self, body: Body) -> u64 {
        self.try_append(body, None).await.unwrap().position.offset
    }

    pub(super) async fn begin(&self, identity: &Identity) -> (ConnectionId, Snapshot) {
        let connection = random_connection_id();
        let opening = Opening { connection, scope: Scope::Member };
        (connection, self.log.open(identity, opening).await.unwrap())
    }

    pub(super) async fn claim(&self, identity: &Identity, connection: ConnectionId) -> Claim {
        self.log.claim(identity, connection).await.unwrap()
    }

    pub(super) async fn memberships(&self, user: &UserId) -> Memberships {
        self.log.memberships(&self.realm, user).await.unwrap().1
    }

    /// Everything that the log keeps, read in small pieces.
    pub(super) async fn everything(&self) -> Vec<Arc<Record>> {
        let mut all: Vec<Arc<Record>> = Vec::new();
        loop {
            let after = all.last().map_or(0, |record| record.position.offset);
            let some = self.log.range(&self.realm, after, 100).await.unwrap();
            if some.is_empty() {
                return all;
            }
            all.extend(some);
        }
    }
}

/// The next `count` records of a tail; a gap fails the test.
pub(super) async fn hear(inbound: &mut mpsc::Receiver<Inbound>, count: usize) -> Vec<Arc<Record>> {
    let mut records = Vec::with_capacity(count);
    while records.len() < count {
        match inbound.recv().await.unwrap() {
            Inbound::Record(record) => records.push(record),
            Inbound::Taken { .. } | Inbound::Question(_) => {}
            Inbound::Recheck | Inbound::Lost(_) => panic!("lost something without cause"),
        }
    }
    records
}

/// Fails unless offsets are dense and tags chain, from `first` on.
pub(super) fn assert_chained(records: &[Arc<Record>], first: u64) {
    for (expected, record) in (first..).zip(records) {
        assert_eq!(record.position.offset, expected, "offsets are dense");
    }
    for pair in records.windows(2) {
        assert_eq!(pair[0].position.tag, pair[1].previous_tag, "tags chain");
        assert_ne!(pair[0].position.tag, pair[1].position.tag, "tags differ");
        assert_eq!(pair[0].position.generation, pair[1].position.generation);
    }
}
