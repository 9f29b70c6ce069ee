//! A node whose log is away, and what a node says of itself to the others.
//!
//! Invariants: sockets are kept while the log may come back soon; a node that gave them
//! up takes no new ones before it is back.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::Node;
use crate::{
    hub::{Command, HubHandle},
    log::{ClusterNode, LogError, NodeFacts, RealmLog as _},
};

impl Node {
    /// Closes every connection with 1013 and takes no new ones, until
    /// [`Node::reconnected`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave some hubs without the order.
    pub async fn cut_off(&self) {
        self.is_cut_off.store(true, Ordering::Relaxed);
        for hub in &self.hubs {
            if hub.commands.send(Command::Shed).await.is_err() {
                tracing::warn!("hub has stopped");
            }
        }
    }

    /// The log is back: new connections are served.
    pub fn reconnected(&self) {
        self.is_cut_off.store(false, Ordering::Relaxed);
    }

    /// True while the log has been away for so long that nobody is served.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.is_cut_off.load(Ordering::Relaxed)
    }

    /// What an operator calls the log, as a reason against being ready.
    #[must_use]
    pub fn log_name(&self) -> &'static str {
        self.log.name()
    }

    /// How long the log has not answered, by its own account. Asks nobody.
    #[must_use]
    pub fn log_silent_for(&self) -> Option<Duration> {
        self.log.silent_for()
    }

    /// What the log tells other nodes of this one; its numbers are those of now.
    pub fn facts(&self) -> &Arc<NodeFacts> {
        let connections = self.hubs.iter().map(HubHandle::connections).sum();
        self.facts.connections.store(connections, Ordering::Relaxed);
        &self.facts
    }

    /// The live nodes of the cluster, this one included.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn nodes(&self) -> Result<Vec<ClusterNode>, LogError> {
        self.facts();
        self.log.nodes().await
    }
}
