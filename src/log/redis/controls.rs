//! The newest changes of memberships, revocations and workspaces of a realm, in case a failover loses
//! them.
//!
//! Invariants: bounded; what was removed or revoked stays so, whoever lost it; of what is
//! made again, nothing undoes a later change that this node knows.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{super::Draft, context::Context, publisher::Job};
use crate::model::{Body, Id, Position, Record, Topic};

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
    /// does, and the first one counts; none brings back what a later change undid.
    pub(super) fn publish_again(
        &mut self,
        kept_up_to: u64,
        (context, jobs): (&Context, &mpsc::Sender<Job>),
    ) {
        let lost = self.0.drain(..).filter(|record| record.position.offset > kept_up_to);
        for (position, body) in last_words(&lost.collect::<Vec<_>>()) {
            let Position { generation, offset, tag } = &position;
            let id = Arc::from(format!("again.{}.{offset}.{tag}", generation.as_str()));
            let draft = Draft { body, id: Some(id) };
            let (answer, _nobody_waits) = oneshot::channel();
            let job = Job { parcels: vec![context.parcel(draft)], answer, came_at: Instant::now() };
            match jobs.try_send(job) {
                Ok(()) => tracing::warn!(offset, "a lost change is published again"),
                Err(_full) => tracing::error!(offset, "a lost change was not published again"),
            }
        }
    }
}

/// The same changes in the same order, none of which undoes a later one: another node may
/// know, and publish, the later ones alone. Each stays a record of its own, so that a node
/// that knows only the earlier ones can't publish them after these.
fn last_words(changes: &[Arc<Record>]) -> Vec<(Position, Body)> {
    let mut members: HashSet<(Topic, Id)> = HashSet::new();
    let mut workspaces: HashMap<Id, Body> = HashMap::new();
    let mut nodes: HashSet<Arc<str>> = HashSet::new();
    let mut words: Vec<(Position, Body)> = Vec::with_capacity(changes.len());
    for record in changes.iter().rev() {
        let mut body = record.body.clone();
        match &mut body {
            Body::Members { topic, add, remove } => {
                // Within one record, removing comes last.
                let mut is_last = |user: &Id| members.insert((topic.clone(), user.clone()));
                remove.retain(&mut is_last);
                add.retain(&mut is_last);
            }
            Body::Workspace { id, .. } => {
                let id = id.clone();
                body = workspaces.entry(id).or_insert(body).clone();
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
        words.push((record.position.clone(), body));
    }
    words.reverse();
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        log::contract::{channel, id, members},
        model::{Generation, Renderings, Tag, Workspace},
    };

    fn record(offset: u64, body: Body) -> Arc<Record> {
        let position = Position { generation: Generation::new("1.a"), offset, tag: Tag(offset) };
        let (previous_tag, renderings) = (Tag(offset - 1), Renderings::default());
        Arc::new(Record { position, previous_tag, accepted_at_us: 0, body, renderings, kept: None })
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
            record(1, members(&town, &["alice", "bob"], &[])),
            record(2, workspace("w", Some("a"))),
            record(3, members(&town, &["carol"], &["alice"])),
            record(4, workspace("w", None)),
            record(5, members(&channel("port"), &["alice"], &[])),
        ];
        let words = last_words(&changes);
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
