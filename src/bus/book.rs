//! The workspaces of a realm at one place of its log.
//!
//! Invariants: both tables say the same; taking a record and then rewinding it leaves
//! the book as it was.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::model::{Body, Id, Record, Topic, Workspace};

/// The workspaces of a realm.
#[derive(Debug, Default)]
pub struct Book {
    workspaces: BTreeMap<Id, Arc<Workspace>>,
    /// Folder, then the workspaces that have it.
    by_root: HashMap<String, BTreeSet<Id>>,
}

impl Book {
    /// These workspaces.
    #[must_use]
    pub fn new(all: impl IntoIterator<Item = (Id, Arc<Workspace>)>) -> Self {
        let mut book = Self::default();
        for (id, workspace) in all {
            book.set(&id, Some(&workspace));
        }
        book
    }

    /// A workspace.
    #[must_use]
    pub fn workspace(&self, id: &Id) -> Option<&Arc<Workspace>> {
        self.workspaces.get(id)
    }

    /// The workspaces that show `path`, in the order of their ids.
    #[must_use]
    pub fn showing(&self, path: &str) -> BTreeSet<&Id> {
        let mut found = BTreeSet::new();
        let mut add = |folder: &str| found.extend(self.by_root.get(folder).into_iter().flatten());
        add("");
        for (at, _) in path.match_indices('/') {
            add(path.get(..at).unwrap_or_default());
        }
        add(path);
        found
    }

    /// Takes note of a record of the log, and says what it comes to.
    pub fn take(&mut self, record: &Record) {
        match &record.body {
            Body::Workspace { id, is, .. } => self.set(id, is.as_ref()),
            Body::Bus(bus) => record.set_faces(|| super::faces(self, record, bus).into()),
            Body::Event(event) => {
                if matches!(event.to, Topic::Chat(_)) && super::rooms::is_guarded(event) {
                    record.set_readers(|| super::rooms::readers(self, event).into());
                }
            }
            Body::Members { .. }
            | Body::Seeds { .. }
            | Body::Watch { .. }
            | Body::Revocation(_)
            | Body::Disconnect { .. }
            | Body::Nodes(_)
            | Body::Unknown => {}
        }
    }

    /// Goes back to the place before a record.
    pub fn rewind(&mut self, record: &Record) {
        if let Body::Workspace { id, was, .. } = &record.body {
            self.set(id, was.as_ref());
        }
    }

    fn set(&mut self, id: &Id, workspace: Option<&Arc<Workspace>>) {
        let old = match workspace {
            Some(new) => self.workspaces.insert(id.clone(), Arc::clone(new)),
            None => self.workspaces.remove(id),
        };
        for root in old.iter().flat_map(|old| &old.roots) {
            if let Some(ids) = self.by_root.get_mut(&root.path) {
                ids.remove(id);
                if ids.is_empty() {
                    self.by_root.remove(&root.path);
                }
            }
        }
        for root in workspace.into_iter().flat_map(|new| &new.roots) {
            self.by_root.entry(root.path.clone()).or_default().insert(id.clone());
        }
    }
}
