//! The newest changes of memberships, revocations and workspaces of a realm, in case a failover loses
//! them.
//!
//! Invariants: bounded; what was removed or revoked stays so, whoever lost it.

use std::{collections::VecDeque, sync::Arc};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{super::Draft, context::Context, publisher::Job};
use crate::model::{Body, Position, Record};

/// Changes that are kept; the oldest go first.
const CONTROLS_MAX: usize = 4_096;

/// The changes that came through one tail, oldest first.
#[derive(Debug, Default)]
pub(super) struct Controls(VecDeque<Arc<Record>>);

impl Controls {
    /// Keeps the record when it is such a change.
    pub(super) fn note(&mut self, record: &Arc<Record>) {
        let is_change = matches!(
            record.body,
            Body::Members { .. } | Body::Revocation(_) | Body::Workspace { .. } | Body::Nodes(_)
        );
        if is_change {
            if self.0.len() >= CONTROLS_MAX {
                self.0.pop_front();
            }
            self.0.push_back(Arc::clone(record));
        }
    }

    /// Publishes again what the log does not hold any more. Every node that knows of it
    /// does, and the first one counts.
    pub(super) fn publish_again(
        &mut self,
        kept_up_to: u64,
        (context, jobs): (&Context, &mpsc::Sender<Job>),
    ) {
        for record in self.0.drain(..) {
            let Position { generation, offset, tag } = &record.position;
            if *offset <= kept_up_to {
                continue;
            }
            let id = Arc::from(format!("again.{}.{offset}.{tag}", generation.as_str()));
            let draft = Draft { body: record.body.clone(), id: Some(id) };
            let (answer, _nobody_waits) = oneshot::channel();
            let job = Job { parcels: vec![context.parcel(draft)], answer, came_at: Instant::now() };
            match jobs.try_send(job) {
                Ok(()) => tracing::warn!(offset, "a lost change is published again"),
                Err(_full) => tracing::error!(offset, "a lost change was not published again"),
            }
        }
    }
}
