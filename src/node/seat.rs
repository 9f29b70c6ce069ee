//! The place of a connection on this node, and how it is left.
//!
//! Invariants: whoever leaves has a checkpoint, so that any node can go on from there.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{Node, RealmEntry};
use crate::{
    hub::{Command, HubHandle, Link},
    log::{Checkpoint, RealmLog as _},
    model::{ConnectionId, Identity, View},
};

/// How long a reply may wait for what it follows.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(2);

/// The place of a connection on this node.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Its name.
    pub connection: ConnectionId,
    /// What its token proved.
    pub identity: Arc<Identity>,
    pub(super) entry: RealmEntry,
    pub(super) fencing: u64,
}

impl Seat {
    /// The number of the claim under which its socket holds the connection.
    #[must_use]
    pub fn fencing(&self) -> u64 {
        self.fencing
    }
}

impl Node {
    fn hub_of(&self, seat: &Seat) -> Option<&HubHandle> {
        self.hub(seat.entry.key, &seat.identity.user)
    }

    /// Takes a connection whose socket ended out of its hub and writes its checkpoint,
    /// unless another socket has taken it over.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the checkpoint unwritten: a resume walks farther.
    pub async fn leave(&self, seat: &Seat, link: &Arc<Link>) {
        if let Some(hub) = self.hub_of(seat) {
            let (realm_key, connection) = (seat.entry.key, seat.connection);
            let link = Arc::clone(link);
            Self::ask(hub, |done| Command::Detach { realm_key, connection, link, done }).await;
        }
        let Some((seq, cursor)) = link.left_at() else { return };
        let fencing = seat.fencing;
        let connection = seat.connection;
        let checkpoint = Checkpoint { connection, seq, cursor, fencing, ended: true };
        let written = self.log.checkpoint(&seat.identity.realm, vec![checkpoint]).await;
        if let Err(error) = written {
            tracing::debug!(%error, "checkpoint was not written");
        }
    }

    /// Notes what the client of a connection looks at.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the note unwritten.
    pub async fn look(&self, seat: &Seat, view: View) {
        let Some(hub) = self.hub_of(seat) else { return };
        let (realm_key, connection) = (seat.entry.key, seat.connection);
        let view = Box::new(view);
        if hub.commands.send(Command::View { realm_key, connection, view }).await.is_err() {
            tracing::debug!("hub has stopped");
        }
    }

    /// Waits until this connection's hub has applied everything up to `offset`: what
    /// is sent to it afterwards is newer. Not for long: a hub that keeps records back
    /// must not keep its sockets waiting. False when it has not come so far.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only waits.
    pub async fn caught_up(&self, seat: &Seat, offset: u64) -> bool {
        let Some(hub) = self.hub_of(seat) else { return false };
        let (realm_key, realm) = (seat.entry.key, Arc::clone(&seat.entry.realm));
        let synced = Self::ask(hub, |done| Command::Sync { realm_key, realm, offset, done });
        let is_there = matches!(timeout(CATCH_UP_PATIENCE, synced).await, Ok(Some(())));
        if !is_there {
            tracing::debug!(offset, "hub did not catch up in time");
        }
        is_there
    }
}
