//! Publishing on Pydio's bus.
//!
//! Invariants: an event is one record, whoever may see it.

use std::sync::Arc;

use super::{Node, PublishError, Published};
use crate::{
    bus::Accepted,
    log::Draft,
    model::{Body, Bus, BusTopic, RealmId},
};

impl Node {
    /// Publishes a bus event.
    ///
    /// # Errors
    ///
    /// [`PublishError`].
    ///
    /// # Cancel safety
    ///
    /// As [`Node::publish`].
    pub async fn publish_bus(
        &self,
        realm: &RealmId,
        topic: BusTopic,
        accepted: Accepted,
        id: Option<Arc<str>>,
    ) -> Result<Published, PublishError> {
        let Accepted { data, stage, node } = accepted;
        let (node, origin) = (node.map(Arc::from), Arc::clone(&self.id));
        let body = Body::Bus(Bus { topic, stage, data, node, origin });
        self.publish_one(realm, Draft { body, id }).await
    }
}
