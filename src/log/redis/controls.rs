//! The newest changes of memberships, revocations and workspaces of a realm, in case a
//! failover loses them.
//!
//! Invariants: bounded; what was removed or revoked stays so, whoever lost it; of what is
//! made again, nothing undoes a later change that this node knows.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::{sync::oneshot, time::Instant};

use super::{
    super::Draft,
    context::Context,
    publisher::Job,
    queue::{Jobs, Refused},
};
use crate::model::{Body, Id, Position, Topic};

/// Changes that are kept; the oldest go first.
const CONTROLS_MAX: usize = 4_096;

/// The changes that came through the tails of a realm, and those that its publisher has
/// acknowledged: each may know of some first.
#[derive(Debug, Default)]
pub(super) struct Controls(Mutex<BTreeMap<u64, (Position, Body)>>);

/// True for what is kept here.
pub(super) fn is_change(body: &Body) -> bool {
    matches!(
        body,
        Body::Members { .. } | Body::Revocation(_) | Body::Workspace { .. } | Body::Nodes(_)
    )
}

impl Controls {
    /// Keeps the record when it is such a change.
    pub(super) fn note(&self, position: &Position, body: &Body) {
        if !is_change(body) {
            return;
        }
        let mut known = self.0.lock();
        known.insert(position.offset, (position.clone(), body.clone()));
        if known.len() > CONTROLS_MAX {
            known.pop_first();
        }
    }

    /// Publishes again what the log does not hold any more. Every node that knows of it
    /// does, and the first one counts; none brings back what a later change undid.
    pub(super) fn publish_again(&self, kept_up_to: u64, (context, jobs): (&Context, &Jobs)) {
        let mut lost = std::mem::take(&mut *self.0.lock());
        let lost = lost.split_off(&kept_up_to.saturating_add(1)).into_values().collect();
        for (position, body) in last_words(lost) {
            let Position { generation, offset, tag } = &position;
            let id = Arc::from(format!(" again.{}.{offset}.{tag}", generation.as_str()));
            let draft = Draft { body, id: Some(id) };
            let (answer, _nobody_waits) = oneshot::channel();
            let job = Job { parcels: vec![context.parcel(draft)], answer, came_at: Instant::now() };
            match jobs.offer(job) {
                Ok(()) => tracing::warn!(offset, "a lost change is published again"),
                Err(Refused) => tracing::error!(offset, "a lost change was not published again"),
            }
        }
    }
}

/// The same changes in the same order, none of which undoes a later one: another node may
/// know, and publish, the later ones alone. Each stays a record of its own, so that a node
/// that knows only the earlier ones can't publish them after these.
fn last_words(mut changes: Vec<(Position, Body)>) -> Vec<(Position, Body)> {
    let mut members: HashSet<(Topic, Id)> = HashSet::new();
    let mut workspaces: HashMap<Id, Body> = HashMap::new();
    let mut nodes: HashSet<Arc<str>> = HashSet::new();
    for (_, body) in changes.iter_mut().rev() {
        match body {
            Body::Members { topic, add, remove } => {
                // Within one record, removing comes last.
                let mut is_last = |user: &Id| members.insert((topic.clone(), user.clone()));
                remove.retain(&mut is_last);
                add.retain(&mut is_last);
            }
            Body::Workspace { id, .. } => {
                let id = id.clone();
                *body = workspaces.entry(id).or_insert_with(|| body.clone()).clone();
            }
            Body::Nodes(paths) => {
                paths.remove.retain(|node| nodes.insert(Arc::clone(node)));
                paths.set.retain(|(node, _)| nodes.insert(Arc::clone(node)));
            }
            Body::Event(_)
            | Body::Seeds { .. }
            | Body::Watch { .. }
            | Body::Revocation(_)
            | Body::Disconnect { .. }
            | Body::Bus(_)
            | Body::Unknown => {}
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        log::contract::{channel, id, members},
        model::{Generation, Tag, Workspace},
    };

    fn change(offset: u64, body: Body) -> (Position, Body) {
        (Position { generation: Generation::new("1.a"), offset, tag: Tag(offset) }, body)
    }

    fn workspace(name: &str, label: Option<&str>) -> Body {
        let label = label.map(str::to_owned);
        let is = label.map(|label| Arc::new(Workspace { label, ..Workspace::default() }));
        Body::Workspace { id: id(name), is, was: None }
    }

    /// Goal: whichever of these another node has published already, the last word counts.
    #[test]
    fn a_later_change_is_never_undone() {
        let town = channel("town");
        let changes = vec![
            change(1, members(&town, &["alice", "bob"], &[])),
            change(2, workspace("w", Some("a"))),
            change(3, members(&town, &["carol"], &["alice"])),
            change(4, workspace("w", None)),
            change(5, members(&channel("port"), &["alice"], &[])),
        ];
        let words = last_words(changes);
        let expected = [
            (1, members(&town, &["bob"], &[])),
            (2, workspace("w", None)),
            (3, members(&town, &["carol"], &["alice"])),
            (4, workspace("w", None)),
            (5, members(&channel("port"), &["alice"], &[])),
        ];
        let offsets = words.into_iter().map(|(position, body)| (position.offset, body));
        assert_eq!(offsets.collect::<Vec<_>>(), expected);
    }
}
