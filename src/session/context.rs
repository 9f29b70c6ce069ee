//! What all sessions of a node share.
//!
//! Invariants: it is built once, by the composition root; limits are read when they
//! are needed, so that a reload counts at once.

use std::sync::Arc;

use super::writers::Writers;
use crate::{
    auth::Verifier,
    config::Config,
    dialect::json::JsonLimits,
    hub::{LinkContext, OutboxLimits},
    lifecycle::CancellationToken,
    node::Node,
};

/// The parts that a session works with.
#[derive(Debug)]
pub struct Context {
    /// The verbs.
    pub node: Arc<Node>,
    /// Who a token stands for.
    pub verifier: Arc<Verifier>,
    /// The configuration.
    pub config: Arc<Config>,
    /// Cancelled when the node drains: sockets without a user end then.
    pub draining: CancellationToken,
    pub(super) links: Arc<LinkContext>,
    pub(super) writers: Writers,
}

impl Context {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        node: Arc<Node>,
        verifier: Arc<Verifier>,
        config: Arc<Config>,
        draining: CancellationToken,
    ) -> Arc<Self> {
        let limits = &config.limits;
        let links = Arc::new(LinkContext {
            outbox: OutboxLimits { events: limits.outbox_events, bytes: limits.outbox_bytes },
            stall: limits.outbox_stall,
            ping_interval: limits.ping_interval,
            pong_timeout: limits.pong_timeout,
            message_timeout: limits.message_timeout,
            epoch: tokio::time::Instant::now(),
            metrics: Arc::clone(node.metrics()),
        });
        let writers = Writers::new(node.metrics(), node.clock().clone());
        Arc::new(Self { node, verifier, config, draining, links, writers })
    }

    /// What one JSON message of a client may hold.
    pub(super) fn json_limits(&self) -> JsonLimits {
        let limits = &self.config.limits;
        JsonLimits {
            depth: limits.json_depth,
            elements: limits.json_elements,
            string_bytes: limits.json_string_bytes,
        }
    }
}
