//! Pydio's workspaces in one realm of the embedded log, and where its nodes are.
//!
//! Invariants: what is here is what the newest record of each says.

use std::{collections::HashMap, sync::Arc};

use super::realm::Hasher;
use crate::model::{Body, Id, Workspace};

/// What the bus of a realm needs beside its records.
#[derive(Debug, Default)]
pub(super) struct BusState {
    workspaces: HashMap<Id, Arc<Workspace>, Hasher>,
    nodes: HashMap<Arc<str>, Arc<str>, Hasher>,
}

impl BusState {
    /// Adds to a body what only the log knows.
    pub(super) fn complete(&self, body: Body) -> Body {
        match body {
            Body::Workspace { id, is, .. } => {
                let was = self.workspaces.get(&id).cloned();
                Body::Workspace { id, is, was }
            }
            other => other,
        }
    }

    /// Takes note of a change.
    pub(super) fn apply(&mut self, body: &Body) {
        if let Body::Workspace { id, is, .. } = body {
            match is {
                Some(workspace) => self.workspaces.insert(id.clone(), Arc::clone(workspace)),
                None => self.workspaces.remove(id),
            };
        }
        if let Body::Nodes(nodes) = body {
            for (uuid, path) in &nodes.set {
                self.nodes.insert(Arc::clone(uuid), Arc::clone(path));
            }
            for uuid in &nodes.remove {
                self.nodes.remove(uuid);
            }
        }
    }

    /// All workspaces.
    pub(super) fn workspaces(&self) -> Vec<(Id, Arc<Workspace>)> {
        self.workspaces.iter().map(|(id, one)| (id.clone(), Arc::clone(one))).collect()
    }
}
