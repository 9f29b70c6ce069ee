//! What all sessions of a node share.
//!
//! Invariants: it is built once, by the composition root; limits are read when they
//! are needed, so that a reload counts at once.

use std::sync::Arc;

use tokio::sync::watch;

use super::writers::Writers;
use crate::{
    auth::Verifier,
    config::{Config, Limits},
    dialect::json::JsonLimits,
    hub::{LinkContext, LinkLimits, OutboxLimits},
    lifecycle::{CancellationToken, Sessions},
    node::Node,
    ws::FrameLimits,
};

/// The parts that a session works with.
#[derive(Debug)]
pub struct Context {
    /// The verbs.
    pub node: Arc<Node>,
    /// Who a token stands for.
    pub verifier: Arc<Verifier>,
    /// The configuration that the node was started with; `limits` has newer limits.
    pub config: Arc<Config>,
    /// Cancelled when the node drains: sockets without a user end then.
    pub draining: CancellationToken,
    /// Owns the tasks of sockets.
    pub sessions: Sessions,
    limits: watch::Receiver<Arc<Limits>>,
    pub(super) links: Arc<LinkContext>,
    pub(super) writers: Writers,
}

impl Context {
    /// Puts the parts together: the configuration of the start, and the limits of now.
    #[must_use]
    pub fn new(
        node: Arc<Node>,
        verifier: Arc<Verifier>,
        (config, limits): (Arc<Config>, watch::Receiver<Arc<Limits>>),
        draining: CancellationToken,
        sessions: Sessions,
    ) -> Arc<Self> {
        let metrics = Arc::clone(node.metrics());
        let links = Arc::new(LinkContext::new(link_limits(&limits.borrow()), metrics));
        let writers = Writers::new(node.metrics(), node.clock().clone());
        Arc::new(Self { node, verifier, config, draining, sessions, limits, links, writers })
    }

    /// The limits of now.
    #[must_use]
    pub fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits.borrow())
    }

    /// Bounds all links anew, open ones included.
    pub(super) fn apply_limits(&self, limits: &Limits) {
        self.links.apply_limits(link_limits(limits));
    }

    /// What the next message of a client with a seat may hold.
    pub(super) fn frame_limits(&self) -> FrameLimits {
        FrameLimits::authenticated(&self.limits.borrow())
    }

    /// What one JSON message of a client may hold.
    pub(super) fn json_limits(&self) -> JsonLimits {
        let limits = self.limits.borrow();
        JsonLimits {
            depth: limits.json_depth,
            elements: limits.json_elements,
            string_bytes: limits.json_string_bytes,
        }
    }
}

fn link_limits(limits: &Limits) -> LinkLimits {
    LinkLimits {
        outbox: OutboxLimits { events: limits.outbox_events, bytes: limits.outbox_bytes },
        stall: limits.outbox_stall,
        ping_interval: limits.ping_interval,
        pong_timeout: limits.pong_timeout,
        message_timeout: limits.message_timeout,
    }
}
