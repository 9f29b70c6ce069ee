//! What all sessions of a node share.
//!
//! Invariants: it is built once, by the composition root; limits are read when they
//! are needed, so that a reload counts at once.

use std::sync::Arc;

use parking_lot::RwLock;
use tokio::time::Instant;

use super::writers::Writers;
use crate::{
    auth::Verifier,
    config::{Config, Limits},
    dialect::json::JsonLimits,
    hub::{LinkContext, OutboxLimits},
    lifecycle::{CancellationToken, Sessions},
    node::Node,
};

/// The parts that a session works with.
#[derive(Debug)]
pub struct Context {
    /// The verbs.
    pub node: Arc<Node>,
    /// Who a token stands for.
    pub verifier: Arc<Verifier>,
    /// The configuration that the node started with; for limits ask [`Context::limits`].
    pub config: Arc<Config>,
    /// Cancelled when the node drains: sockets without a user end then.
    pub draining: CancellationToken,
    /// Owns the tasks of sockets.
    pub sessions: Sessions,
    pub(super) writers: Writers,
    current: RwLock<Current>,
    epoch: Instant,
}

/// What a reload replaces.
#[derive(Debug)]
struct Current {
    limits: Arc<Limits>,
    links: Arc<LinkContext>,
}

impl Current {
    fn new(limits: Arc<Limits>, node: &Node, epoch: Instant) -> Self {
        let links = Arc::new(LinkContext {
            outbox: OutboxLimits { events: limits.outbox_events, bytes: limits.outbox_bytes },
            stall: limits.outbox_stall,
            ping_interval: limits.ping_interval,
            pong_timeout: limits.pong_timeout,
            message_timeout: limits.message_timeout,
            epoch,
            metrics: Arc::clone(node.metrics()),
        });
        Self { limits, links }
    }
}

impl Context {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        node: Arc<Node>,
        verifier: Arc<Verifier>,
        config: Arc<Config>,
        draining: CancellationToken,
        sessions: Sessions,
    ) -> Arc<Self> {
        let epoch = Instant::now();
        let current = Current::new(Arc::new(config.limits.clone()), &node, epoch);
        let current = RwLock::new(current);
        let writers = Writers::new(node.metrics(), node.clock().clone());
        Arc::new(Self { node, verifier, config, draining, sessions, writers, current, epoch })
    }

    /// The limits of now.
    #[must_use]
    pub fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.current.read().limits)
    }

    /// Replaces the limits. Sockets that are open keep the bounds of their outbox and
    /// their timers.
    pub fn set_limits(&self, limits: Arc<Limits>) {
        let current = Current::new(limits, &self.node, self.epoch);
        *self.current.write() = current;
    }

    /// Bounds and timers of a new socket.
    pub(super) fn links(&self) -> Arc<LinkContext> {
        Arc::clone(&self.current.read().links)
    }

    /// What one JSON message of a client may hold.
    pub(super) fn json_limits(&self) -> JsonLimits {
        let limits = self.limits();
        JsonLimits {
            depth: limits.json_depth,
            elements: limits.json_elements,
            string_bytes: limits.json_string_bytes,
        }
    }
}
