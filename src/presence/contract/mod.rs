//! What every backend of presence must do, as tests that are generic over it.
//!
//! A backend runs them all with `contract!(ItsBackend)`. Time is the manual clock
//! that [`Backend::open`] is given; users turn away after 300 s without activity,
//! and a drop has 5 s of grace.
//!
//! Invariants: no test depends on when a backend sweeps by itself: each calls
//! `sweep` where time must have done its work.

mod choices;
mod devices;
mod reads;

use std::{collections::HashMap, future::Future, time::Duration};

use parking_lot::Mutex;

use super::{Changed, Ending, Presence, Rules, Transition};
use crate::{
    clock::Clock,
    model::{ConnectionId, Id, ManualStatus, Status, StatusRecord},
};

pub(super) use choices::*;
pub(super) use devices::*;
pub(super) use reads::*;

/// The first second of each test, since 1970.
const START_S: u64 = 1_000_000;

/// A way to make an empty presence.
pub(super) trait Backend: Send + Sync + Sized + 'static {
    /// What it makes.
    type Presence: Presence + 'static;

    /// Opens an empty presence of `node`, and what keeps it alive.
    fn open(node: &str, rules: Rules, clock: Clock)
    -> impl Future<Output = (Self::Presence, Self)>;

    /// The changes that the backend published by itself since it was asked last, in their
    /// order.
    fn published(&self) -> impl Future<Output = Vec<(Id, Status)>>;
}

/// Names each test of the suite once, for one backend.
macro_rules! contract {
    ($backend:ty) => {
        contract!($backend: a_user_is_online_while_a_device_is_there);
        contract!($backend: a_drop_counts_until_its_grace_ends);
        contract!($backend: a_resume_within_the_grace_shows_nothing);
        contract!($backend: a_takeover_in_any_order_shows_nothing);
        contract!($backend: users_turn_away_without_activity_on_any_device);
        contract!($backend: an_idle_device_does_not_inherit_activity);
        contract!($backend: activity_is_recorded_in_steps);
        contract!($backend: a_choice_wins_over_devices);
        contract!($backend: online_drops_the_choice_and_counts_as_activity);
        contract!($backend: online_without_a_device_is_offline);
        contract!($backend: a_timed_dnd_ends_on_time);
        contract!($backend: a_timed_dnd_restores_what_was_chosen_before);
        contract!($backend: an_untimed_dnd_clears_an_older_end);
        contract!($backend: unknown_users_and_other_realms_are_offline);
        contract!($backend: statuses_and_counts_tell_who_is_there);
        contract!($backend: explain_names_the_rule_and_the_records);
        contract!($backend: concurrent_calls_tell_one_chain_of_changes);
    };
    ($backend:ty: $name:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $name() {
            $crate::presence::contract::$name::<$backend>().await;
        }
    };
}
pub(super) use contract;

struct Stage<B: Backend> {
    presence: B::Presence,
    backend: B,
    clock: Clock,
    realm: Id,
    /// What was told of each user last.
    shown: Mutex<HashMap<Id, Status>>,
}

/// What was told: who, what they showed before, and what they show now.
type Told = (String, Status, Status);
type Change = Option<(Status, Status)>;

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

fn connection(number: u8) -> ConnectionId {
    ConnectionId::from_random([number; 26])
}

impl<B: Backend> Stage<B> {
    async fn open() -> Self {
        let clock = Clock::manual(Duration::from_secs(START_S));
        let rules = Rules { away_after_ms: 300_000, offline_after_ms: 5_000 };
        let (presence, backend) = B::open("node-a", rules, clock.clone()).await;
        Self { presence, backend, clock, realm: id("default"), shown: Mutex::default() }
    }

    /// What is told after a call that returned `returned`, whichever way. Each change must
    /// begin where the one before ended.
    async fn told(&self, returned: impl IntoIterator<Item = Transition>) -> Vec<Told> {
        let published = self.backend.published().await;
        let mut shown = self.shown.lock();
        let mut told = Vec::new();
        for change in returned {
            let before = shown.insert(change.record.user.clone(), change.record.status);
            assert_eq!(before.unwrap_or(Status::Offline), change.previous);
            told.push((change.record.user, change.previous, change.record.status));
        }
        for (user, status) in published {
            let before = shown.insert(user.clone(), status).unwrap_or(Status::Offline);
            told.push((user, before, status));
        }
        assert!(told.iter().all(|(_, before, now)| before != now), "{told:?}");
        told.into_iter().map(|(user, before, now)| (user.to_string(), before, now)).collect()
    }

    /// What a call told of `user`: nothing else, and once.
    async fn change(&self, user: &str, returned: Changed) -> Change {
        let mut told = self.told(returned.unwrap()).await;
        assert!(told.len() <= 1 && told.iter().all(|(of, ..)| of == user), "{told:?}");
        told.pop().map(|(_, before, now)| (before, now))
    }

    async fn connect(&self, user: &str, number: u8) -> Change {
        let changed = self.presence.connected(&self.realm, &id(user), connection(number)).await;
        self.change(user, changed).await
    }

    async fn act(&self, user: &str, number: u8) -> Change {
        let changed = self.presence.active(&self.realm, &id(user), connection(number)).await;
        self.change(user, changed).await
    }

    async fn end(&self, user: &str, number: u8, ending: Ending) -> Change {
        let connection = connection(number);
        let changed = self.presence.disconnected(&self.realm, &id(user), connection, ending).await;
        self.change(user, changed).await
    }

    async fn choose(&self, user: &str, chosen: ManualStatus) -> Change {
        let changed = self.presence.set_manual(&self.realm, &id(user), chosen).await;
        self.change(user, changed).await
    }

    async fn clear(&self, user: &str) -> Change {
        let changed = self.presence.clear_manual(&self.realm, &id(user)).await;
        self.change(user, changed).await
    }

    /// Lets `ms` pass, sweeps, and says what changed.
    async fn pass(&self, ms: u64) -> Vec<Told> {
        self.clock.advance(Duration::from_millis(ms));
        let returned = self.presence.sweep().await.unwrap();
        self.told(returned).await
    }

    async fn record(&self, user: &str) -> StatusRecord {
        self.presence.status(&self.realm, &[id(user)]).await.unwrap().remove(0)
    }

    async fn shows(&self, user: &str) -> Status {
        self.record(user).await.status
    }
}

fn now_told(user: &str, previous: Status, status: Status) -> Vec<Told> {
    vec![(user.to_owned(), previous, status)]
}
