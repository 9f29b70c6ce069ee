//! Pydio's workspaces in one realm of the embedded log, where its nodes are, and which
//! changes of them wait to be merged.
//!
//! Invariants: what is here is what the newest record of each says.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::realm::Hasher;
use crate::{
    bus::Places,
    log::{
        AppendError,
        bus::{AFTER_END, ENDED_MAX, wire},
    },
    model::{Body, Bus, BusStage, Id, NodePlace, TaskMark, Workspace},
    store::SavedRealm,
};

/// What the bus of a realm needs beside its records.
#[derive(Debug, Default)]
pub(super) struct BusState {
    workspaces: HashMap<Id, Arc<Workspace>, Hasher>,
    nodes: Places,
    /// Offsets of the parts that wait, by node.
    waiting: HashMap<Arc<str>, Vec<u64>, Hasher>,
    /// When tasks ended, in microseconds since 1970.
    ended: HashMap<Arc<str>, u64, Hasher>,
    /// The same in their order; an entry is stale when the task ended again.
    endings: VecDeque<(u64, Arc<str>)>,
}

impl BusState {
    /// What was saved in an earlier life of the log.
    pub(super) fn restored(saved: &SavedRealm) -> Self {
        let read = |(id, text): &(Id, String)| {
            let workspace = wire::workspace(text.as_bytes()).ok()?;
            Some((id.clone(), Arc::new(workspace)))
        };
        let mut nodes = Places::default();
        for (uuid, path) in &saved.nodes {
            nodes.set(uuid, Some(path));
        }
        Self {
            workspaces: saved.workspaces.iter().filter_map(read).collect(),
            nodes,
            waiting: HashMap::default(),
            ended: HashMap::default(),
            endings: VecDeque::new(),
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

    /// Adds to a body that is accepted now what only the log knows. Folders move here.
    pub(super) fn complete(&mut self, mut body: Body, now_us: u64) -> Body {
        if let Body::Bus(Bus { task: Some(task), stage, .. }) = &mut body
            && self.is_late(task, now_us)
        {
            *stage = BusStage::Void;
        }
        if let Body::Workspace { id, was, .. } = &mut body {
            *was = self.workspaces.get(id).cloned();
        }
        if let Body::Nodes(nodes) = &mut body {
            nodes.moved.clear();
            let set = nodes.set.iter().map(|(uuid, path)| (uuid, Some(path)));
            for (uuid, path) in set.chain(nodes.remove.iter().map(|uuid| (uuid, None))) {
                let Some(old) = self.nodes.path(uuid) else { continue };
                if self.nodes.move_folder(&old, path.map(|path| &**path)) {
                    nodes.moved.push((old, path.cloned()));
                }
            }
        }
        body
    }

    /// True for an update of a task that has ended a while ago. An end is noted.
    fn is_late(&mut self, task: &TaskMark, now_us: u64) -> bool {
        let after_end = u64::try_from(AFTER_END.as_micros()).unwrap_or(u64::MAX);
        while let Some((at, id)) = self.endings.front()
            && (at.saturating_add(after_end) <= now_us || self.endings.len() > ENDED_MAX)
        {
            if self.ended.get(id) == Some(at) {
                self.ended.remove(id);
            }
            self.endings.pop_front();
        }
        if task.is_final {
            self.ended.insert(Arc::clone(&task.id), now_us);
            self.endings.push_back((now_us, Arc::clone(&task.id)));
        }
        !task.is_final && self.ended.contains_key(&task.id)
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
                self.nodes.set(uuid, Some(path));
            }
            for uuid in &nodes.remove {
                self.nodes.set(uuid, None);
            }
        }
        if let Body::Bus(bus) = body {
            if let Some(NodePlace { uuid, path, from }) = &bus.place {
                if let Some(from) = from {
                    self.nodes.move_folder(from, path.as_deref());
                }
                self.nodes.set(uuid, path.as_deref());
            }
            self.wait(bus, offset);
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
        self.nodes.path(uuid)
    }

    /// All workspaces.
    pub(super) fn workspaces(&self) -> Vec<(Id, Arc<Workspace>)> {
        self.workspaces.iter().map(|(id, one)| (id.clone(), Arc::clone(one))).collect()
    }
}
