//! Pydio's bus in the log: events, workspaces, and where nodes are.
//!
//! Invariants: a store knows of each workspace what the newest record says.

pub(super) mod wire;

use std::time::Duration;

/// How long updates of a task that has ended are nobody's.
pub(super) const AFTER_END: Duration = Duration::from_secs(60);

/// Ended tasks that are remembered, the latest ones.
pub(super) const ENDED_MAX: usize = 100_000;

/// One body of each kind.
#[cfg(test)]
pub(super) fn samples() -> Vec<crate::model::Body> {
    use std::sync::Arc;

    use crate::model::{
        Body, Bus, BusStage, BusTopic, Id, NodePaths, NodePlace, Root, Rule, TaskMark, Who,
        Workspace,
    };

    let id = |text: &str| Id::parse(text).unwrap();
    let text = |text: &str| -> Arc<str> { Arc::from(text) };
    let bus = |topic, stage, node: Option<&str>, path: Option<&str>| {
        Body::Bus(Bus {
            topic,
            stage,
            data: bytes::Bytes::from_static(b"{\"Type\":\"DELETE\"}"),
            node: node.map(text),
            origin: text("a node"),
            place: node.map(|uuid| NodePlace {
                uuid: text(uuid),
                path: path.map(text),
                from: path.map(|_| text("from/here")),
            }),
            task: node.map(|id| TaskMark { id: text(id), is_final: path.is_some() }),
        })
    };
    let rule = |who| Rule { who, path: "a/b".to_owned(), read: true, write: false };
    let workspace = Arc::new(Workspace {
        label: "it \"quotes\"".to_owned(),
        roots: vec![Root { uuid: "r".to_owned(), path: "a".to_owned() }],
        rules: vec![rule(Who::User(id("u"))), rule(Who::Role(id("r")))],
    });
    let (is, was) = (Some(workspace), None);
    vec![
        bus(BusTopic::Tree, BusStage::Whole, Some("n 1"), None),
        bus(BusTopic::Meta, BusStage::Part, Some("n"), Some("a/b")),
        bus(
            BusTopic::Tree,
            BusStage::Merged { first: 3, through: 5, is_last: true },
            Some("n"),
            None,
        ),
        bus(BusTopic::Idm, BusStage::Void, None, None),
        Body::Workspace { id: id("w"), is: is.clone(), was: was.clone() },
        Body::Workspace { id: id("w"), is: was, was: is },
        Body::Nodes(NodePaths {
            set: vec![(text("n"), text("a"))],
            remove: vec![text("m")],
            moved: Vec::new(),
        }),
        Body::Nodes(NodePaths {
            set: vec![(text("n"), text("a"))],
            remove: vec![text("m")],
            moved: vec![(text("b"), Some(text("a"))), (text("c"), None)],
        }),
    ]
}
