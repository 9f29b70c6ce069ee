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

use std::{future::Future, time::Duration};

use super::{Ending, Presence, Rules, Transition};
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
pub(super) trait Backend {
    /// What it makes.
    type Presence: Presence + 'static;

    /// Opens an empty presence of `node`.
    fn open(node: &str, rules: Rules, clock: Clock) -> impl Future<Output = Self::Presence>;
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
        contract!($backend: an_older_change_is_not_current);
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

struct Stage<P> {
    presence: P,
    clock: Clock,
    realm: Id,
}

type Change = Option<(Status, Status)>;

fn change(transition: Option<Transition>) -> Change {
    transition.map(|told| (told.previous, told.record.status))
}

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

fn connection(number: u8) -> ConnectionId {
    ConnectionId::from_random([number; 26])
}

impl<P: Presence> Stage<P> {
    async fn open<B: Backend<Presence = P>>() -> Self {
        let clock = Clock::manual(Duration::from_secs(START_S));
        let rules = Rules { away_after_ms: 300_000, offline_after_ms: 5_000 };
        let presence = B::open("node-a", rules, clock.clone()).await;
        Self { presence, clock, realm: id("default") }
    }

    async fn connect(&self, user: &str, number: u8) -> Change {
        change(self.presence.connected(&self.realm, &id(user), connection(number)).await.unwrap())
    }

    async fn act(&self, user: &str, number: u8) -> Change {
        change(self.presence.active(&self.realm, &id(user), connection(number)).await.unwrap())
    }

    async fn end(&self, user: &str, number: u8, ending: Ending) -> Change {
        let connection = connection(number);
        let told = self.presence.disconnected(&self.realm, &id(user), connection, ending).await;
        change(told.unwrap())
    }

    async fn choose(&self, user: &str, chosen: ManualStatus) -> Change {
        change(self.presence.set_manual(&self.realm, &id(user), chosen).await.unwrap())
    }

    async fn clear(&self, user: &str) -> Change {
        change(self.presence.clear_manual(&self.realm, &id(user)).await.unwrap())
    }

    /// Lets `ms` pass, sweeps, and says what changed.
    async fn pass(&self, ms: u64) -> Vec<(String, Status, Status)> {
        self.clock.advance(Duration::from_millis(ms));
        let told = self.presence.sweep().await.unwrap().into_iter();
        told.map(|told| (told.record.user.to_string(), told.previous, told.record.status)).collect()
    }

    async fn record(&self, user: &str) -> StatusRecord {
        self.presence.status(&self.realm, &[id(user)]).await.unwrap().remove(0)
    }

    async fn shows(&self, user: &str) -> Status {
        self.record(user).await.status
    }
}

fn now_told(user: &str, previous: Status, status: Status) -> Vec<(String, Status, Status)> {
    vec![(user.to_owned(), previous, status)]
}
