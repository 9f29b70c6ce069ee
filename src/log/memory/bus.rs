//! Pydio's workspaces in one realm of the embedded log, where its nodes are, and which
//! changes of them wait to be merged.
//!
//! Invariants: what is here is what the newest record of each says.

use std::{collections::HashMap, sync::Arc};

use super::realm::Hasher;
use crate::{
    log::{
        AppendError,
        bus::{NODES_MAX, wire},
    },
    model::{Body, Bus, BusStage, Id, NodePlace, Workspace},
    store::SavedRealm,
};

/// What the bus of a realm needs beside its records.
#[derive(Debug, Default)]
pub(super) struct BusState {
    workspaces: HashMap<Id, Arc<Workspace>, Hasher>,
    nodes: HashMap<Arc<str>, Arc<str>, Hasher>,
    /// Offsets of the parts that wait, by node.
    waiting: HashMap<Arc<str>, Vec<u64>, Hasher>,
}

impl BusState {
    /// What was saved in an earlier life of the log.
    pub(super) fn restored(saved: &SavedRealm) -> Self {
        let read = |(id, text): &(Id, String)| {
            let workspace = wire::workspace(text.as_bytes()).ok()?;
            Some((id.clone(), Arc::new(workspace)))
        };
        let nodes = saved.nodes.iter();
        Self {
            workspaces: saved.workspaces.iter().filter_map(read).collect(),
            nodes: nodes.map(|(uuid, path)| (Arc::clone(uuid), Arc::clone(path))).collect(),
            waiting: HashMap::default(),
        }
    }

    /// Refuses a bus event that parts of its node have to precede.
    pub(super) fn check(&self, body: &Body) -> Result<(), AppendError> {
        let Body::Bus(Bus { node: Some(node), stage, .. }) = body else { return Ok(()) };
        let parts = self.waiting.get(node).map(Vec::as_slice).unwrap_or_default();
        let may_enter = match stage {
            BusStage::Part | BusStage::Void => true,
            BusStage::Whole => parts.is_empty(),
            BusStage::Merged { first, through, is_last } => {
                let is_all = !is_last || parts.last() == Some(through);
                parts.first() == Some(first) && is_all
            }
        };
        if may_enter {
            return Ok(());
        }
        let at = |offset: Option<&u64>| offset.copied().unwrap_or(0);
        Err(AppendError::Waiting { first: at(parts.first()), last: at(parts.last()) })
    }

    /// Adds to a body what only the log knows.
    pub(super) fn complete(&self, body: Body) -> Body {
        let Body::Workspace { id, is, .. } = body else { return body };
        let was = self.workspaces.get(&id).cloned();
        Body::Workspace { id, is, was }
    }

    /// Takes note of a change at `offset`.
    pub(super) fn apply(&mut self, body: &Body, offset: u64) {
        if let Body::Workspace { id, is, .. } = body {
            match is {
                Some(workspace) => self.workspaces.insert(id.clone(), Arc::clone(workspace)),
                None => self.workspaces.remove(id),
            };
        }
        if let Body::Nodes(nodes) = body {
            for (uuid, path) in &nodes.set {
                self.place(uuid, Some(path));
            }
            for uuid in &nodes.remove {
                self.place(uuid, None);
            }
        }
        if let Body::Bus(bus) = body {
            if let Some(NodePlace { uuid, path }) = &bus.place {
                self.place(uuid, path.as_ref());
            }
            self.wait(bus, offset);
        }
    }

    fn place(&mut self, uuid: &Arc<str>, path: Option<&Arc<str>>) {
        match path {
            Some(path) if self.nodes.len() < NODES_MAX || self.nodes.contains_key(uuid) => {
                self.nodes.insert(Arc::clone(uuid), Arc::clone(path));
            }
            Some(_) => {}
            None => {
                self.nodes.remove(uuid);
            }
        }
    }

    fn wait(&mut self, bus: &Bus, offset: u64) {
        let Some(node) = &bus.node else { return };
        match bus.stage {
            BusStage::Part => {
                self.waiting.entry(Arc::clone(node)).or_default().push(offset);
            }
            BusStage::Merged { through, .. } => {
                if let Some(parts) = self.waiting.get_mut(node) {
                    parts.retain(|part| *part > through);
                    if parts.is_empty() {
                        self.waiting.remove(node);
                    }
                }
            }
            BusStage::Whole | BusStage::Void => {}
        }
    }

    /// Where a node is.
    pub(super) fn node_path(&self, uuid: &str) -> Option<Arc<str>> {
        self.nodes.get(uuid).cloned()
    }

    /// All workspaces.
    pub(super) fn workspaces(&self) -> Vec<(Id, Arc<Workspace>)> {
        self.workspaces.iter().map(|(id, one)| (id.clone(), Arc::clone(one))).collect()
    }
}
