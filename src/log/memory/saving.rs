//! Which records outlive the process, and as what.
//!
//! Invariants: every record that changes people is saved; events and subscriptions
//! are not.

use std::sync::Arc;

use crate::{
    model::{Body, RealmId, Record, Topic, UserId},
    store::Change,
};

/// True for the bodies that [`changes`] saves.
pub(super) fn is_saved(body: &Body) -> bool {
    match body {
        Body::Members { .. } | Body::Seeds { .. } | Body::Revocation(_) => true,
        Body::Event(_)
        | Body::Watch { .. }
        | Body::Disconnect { .. }
        | Body::Bus(_)
        | Body::Workspace { .. }
        | Body::Nodes(_)
        | Body::Unknown => false,
    }
}

/// What `records` change, in their order.
pub(super) fn changes(realm: &RealmId, records: &[Arc<Record>]) -> Vec<Change> {
    let member = |user: &UserId, topic: &Topic, open| Change::Member {
        realm: realm.clone(),
        user: user.clone(),
        topic: topic.clone(),
        open,
    };
    let mut changes = Vec::new();
    for record in records {
        match &record.body {
            Body::Members { topic, add, remove } => {
                changes.extend(add.iter().map(|user| member(user, topic, true)));
                changes.extend(remove.iter().map(|user| member(user, topic, false)));
            }
            Body::Seeds { user, topics } => {
                changes.extend(topics.iter().map(|topic| member(user, topic, true)));
            }
            Body::Revocation(revocation) => changes
                .push(Change::Revoked { realm: realm.clone(), revocation: revocation.clone() }),
            Body::Event(_)
            | Body::Watch { .. }
            | Body::Disconnect { .. }
            | Body::Bus(_)
            | Body::Workspace { .. }
            | Body::Nodes(_)
            | Body::Unknown => {}
        }
    }
    changes
}
