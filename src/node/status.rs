//! Status: asking for it, choosing it, and publishing each change once.
//!
//! Invariants: changes are published by one task, and only while they are current,
//! so that the last one that anybody hears is the truth. A presence that is shared with
//! other nodes publishes by itself and leaves nothing to do here.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{Node, Seat};
use crate::{
    log::Draft,
    model::{Body, Event, ManualStatus, RealmId, SharedText, Status, StatusRecord, Topic, UserId},
    presence::{
        Changed, Ending, Explanation, Presence as _, PresenceError, Transition, UserPresence,
    },
};

/// How often it is looked for users who turn away and graces that end.
const SWEEP: Duration = Duration::from_millis(250);

/// The name of the events that are made here.
static NAME: SharedText = SharedText::new("status_change");
/// They have no id: nobody repeats them.
static NO_ID: SharedText = SharedText::new("");

impl Node {
    /// A socket carries the connection of `seat` now.
    ///
    /// # Cancel safety
    ///
    /// Not to be dropped: a change of status would stay unpublished.
    pub async fn came(&self, seat: &Seat) {
        let (realm, user) = (&seat.identity.realm, &seat.identity.user);
        self.pass_on(self.presence.connected(realm, user, seat.connection).await).await;
    }

    /// The user of `seat` did something.
    ///
    /// # Cancel safety
    ///
    /// As [`Node::came`].
    pub async fn acted(&self, seat: &Seat) {
        let (realm, user) = (&seat.identity.realm, &seat.identity.user);
        self.pass_on(self.presence.active(realm, user, seat.connection).await).await;
    }

    /// The socket of `seat` is gone.
    ///
    /// # Cancel safety
    ///
    /// As [`Node::came`].
    pub async fn went(&self, seat: &Seat, ending: Ending) {
        let (realm, user) = (&seat.identity.realm, &seat.identity.user);
        self.pass_on(self.presence.disconnected(realm, user, seat.connection, ending).await).await;
    }

    /// `user` chooses a status.
    ///
    /// # Errors
    ///
    /// [`PresenceError`].
    ///
    /// # Cancel safety
    ///
    /// As [`Node::came`].
    pub async fn choose_status(
        &self,
        realm: &RealmId,
        user: &UserId,
        chosen: ManualStatus,
    ) -> Result<StatusRecord, PresenceError> {
        // The change goes through the publishing task; its realm must have a tail.
        if let Err(error) = self.realm(realm).await {
            tracing::debug!(%error, "realm is not ready");
        }
        let transition = self.presence.set_manual(realm, user, chosen).await?;
        self.pass_on(Ok(transition)).await;
        self.status_of(realm, user).await
    }

    /// `user` no longer chooses a status.
    ///
    /// # Errors
    ///
    /// [`PresenceError`].
    ///
    /// # Cancel safety
    ///
    /// As [`Node::came`].
    pub async fn unchoose_status(
        &self,
        realm: &RealmId,
        user: &UserId,
    ) -> Result<StatusRecord, PresenceError> {
        let transition = self.presence.clear_manual(realm, user).await?;
        self.pass_on(Ok(transition)).await;
        self.status_of(realm, user).await
    }

    /// The status of one user.
    ///
    /// # Errors
    ///
    /// [`PresenceError`].
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn status_of(
        &self,
        realm: &RealmId,
        user: &UserId,
    ) -> Result<StatusRecord, PresenceError> {
        let mut records = self.presence.status(realm, std::slice::from_ref(user)).await?;
        Ok(records.pop().unwrap_or(StatusRecord {
            user: user.clone(),
            status: Status::Offline,
            manual: false,
            last_activity_at_ms: 0,
            dnd_ends_at: 0,
        }))
    }

    /// The statuses of `users`, in their order.
    ///
    /// # Errors
    ///
    /// [`PresenceError`].
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn statuses(
        &self,
        realm: &RealmId,
        users: &[UserId],
    ) -> Result<Vec<StatusRecord>, PresenceError> {
        self.presence.status(realm, users).await
    }

    /// The statuses and devices of `users`, in their order.
    ///
    /// # Errors
    ///
    /// [`PresenceError`].
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn devices(
        &self,
        realm: &RealmId,
        users: &[UserId],
    ) -> Result<Vec<UserPresence>, PresenceError> {
        self.presence.devices(realm, users).await
    }

    /// Up to `limit` users of the realm who are not offline.
    ///
    /// # Errors
    ///
    /// [`PresenceError`].
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn all_statuses(
        &self,
        realm: &RealmId,
        limit: usize,
    ) -> Result<Vec<StatusRecord>, PresenceError> {
        self.presence.all_statuses(realm, limit).await
    }

    /// A status, and what it was decided from.
    ///
    /// # Errors
    ///
    /// [`PresenceError`].
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn explain_status(
        &self,
        realm: &RealmId,
        user: &UserId,
    ) -> Result<Explanation, PresenceError> {
        self.presence.explain(realm, user).await
    }

    async fn pass_on(&self, changed: Changed) {
        match changed {
            Ok(Some(transition)) => {
                if self.transitions.send(transition).await.is_err() {
                    tracing::debug!("a status change came after the end");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "presence was not written in time"),
        }
    }
}

/// The task that publishes changes of status and notices those that time makes.
#[derive(Debug)]
pub struct StatusTask {
    node: Arc<Node>,
    transitions: mpsc::Receiver<Transition>,
    /// Whether the last sweep failed: that is said once.
    is_failing: bool,
}

impl StatusTask {
    pub(super) fn new(node: Arc<Node>, transitions: mpsc::Receiver<Transition>) -> Self {
        Self { node, transitions, is_failing: false }
    }

    /// Runs until `stop` is cancelled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave changes unpublished.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(SWEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Every arm is cancel safe. Stop, then the clock, then changes.
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.sweep().await,
                Some(transition) = self.transitions.recv() => self.publish(transition).await,
            }
        }
    }

    async fn sweep(&mut self) {
        let swept = self.node.presence.sweep().await;
        let was_failing = std::mem::replace(&mut self.is_failing, swept.is_err());
        match swept {
            Ok(transitions) => {
                for transition in transitions {
                    self.publish(transition).await;
                }
            }
            // If presence can't be asked, nobody is set offline.
            Err(error) if was_failing => tracing::debug!(%error, "presence was not swept"),
            Err(error) => tracing::warn!(%error, "presence can't be swept for now"),
        }
        let counts = self.node.presence.counts();
        for (status, count) in Status::ALL.into_iter().zip(counts) {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.node.metrics.users.with_label_values(&[status.as_str()]).set(count);
        }
    }

    async fn publish(&self, transition: Transition) {
        // What is not current has a successor that tells the truth.
        if !self.node.presence.is_current(&transition).await.unwrap_or(true) {
            return;
        }
        let StatusRecord { user, status, .. } = transition.record;
        // Ids and statuses need no escaping in JSON.
        let data = format!(r#"{{"status":"{}","user_id":"{user}"}}"#, status.as_str());
        let event = Event {
            name: NAME.get(),
            data: Bytes::from(data),
            to: Topic::Status(user),
            omit_users: Vec::new(),
            omit_connection: None,
            ephemeral: true,
            binary: false,
            id: NO_ID.get(),
            sender: None,
        };
        let draft = Draft { body: Body::Event(event), id: None };
        if let Err(error) = self.node.publish_one(&transition.realm, draft).await {
            tracing::warn!(%error, "status change was not published");
        }
    }
}
