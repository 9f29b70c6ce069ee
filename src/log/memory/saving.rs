//! Which records outlive the process, and as what.
//!
//! Invariants: every record that changes people is saved; events and subscriptions
//! are not.

use std::sync::Arc;

use crate::{
    log::bus::wire::workspace_text,
    model::{Body, RealmId, Record, Topic, UserId},
    store::Change,
};

/// True for the bodies that [`changes`] saves.
pub(super) fn is_saved(body: &Body) -> bool {
    match body {
        Body::Bus(bus) => bus.place.is_some(),
        Body::Members { .. }
        | Body::Seeds { .. }
        | Body::Revocation(_)
        | Body::Workspace { .. }
        | Body::Nodes(_) => true,
        Body::Event(_) | Body::Watch { .. } | Body::Disconnect { .. } | Body::Unknown => false,
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
    let node = |uuid: &Arc<str>, path: Option<&Arc<str>>| Change::Node {
        realm: realm.clone(),
        uuid: Arc::clone(uuid),
        path: path.cloned(),
    };
    let folder = |from: &Arc<str>, to: Option<&Arc<str>>| Change::Folder {
        realm: realm.clone(),
        from: Arc::clone(from),
        to: to.cloned(),
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
            Body::Workspace { id, is, .. } => changes.push(Change::Workspace {
                realm: realm.clone(),
                id: id.clone(),
                text: is.as_deref().map(workspace_text),
            }),
            Body::Nodes(nodes) => {
                changes.extend(nodes.moved.iter().map(|(from, to)| folder(from, to.as_ref())));
                changes.extend(nodes.set.iter().map(|(uuid, path)| node(uuid, Some(path))));
                changes.extend(nodes.remove.iter().map(|uuid| node(uuid, None)));
            }
            Body::Bus(bus) => {
                let place = bus.place.iter();
                let moved = place.clone().filter_map(|place| Some((place.from.as_ref()?, place)));
                changes.extend(moved.map(|(from, place)| folder(from, place.path.as_ref())));
                changes.extend(place.map(|place| node(&place.uuid, place.path.as_ref())));
            }
            Body::Revocation(revocation) => changes
                .push(Change::Revoked { realm: realm.clone(), revocation: revocation.clone() }),
            Body::Event(_) | Body::Watch { .. } | Body::Disconnect { .. } | Body::Unknown => {}
        }
    }
    changes
}
