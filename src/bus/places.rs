//! Where the nodes of a realm are.
//!
//! Folders are numbers, so that moving one costs its depth, and not what is in it.
//!
//! Invariants:
//! - a path is what was told of the node last, or follows from what was told of a folder;
//! - what was in a folder that is gone is not known any more, and is forgotten with what is
//!   told next, [`LOOKED_AT`] nodes at a time, so that it counts against the bound no longer;
//! - a folder in which nothing is known is forgotten.

use std::{collections::HashMap, sync::Arc};

use indexmap::IndexMap;

/// Nodes whose paths are kept; those beyond are not known.
const NODES_MAX: usize = 1_000_000;

/// Parts of a path; a longer one is not kept.
const DEPTH_MAX: usize = 128;

/// Folders that were moved onto others; one beyond is forgotten with what is in it.
const TWINS_MAX: usize = 256;

/// Nodes that are looked at whenever one is told of, while there may be some in folders
/// that are gone: so many that a table that grows is through before it has grown a tenth.
const LOOKED_AT: usize = 16;

/// The folder above all.
const TOP: u64 = 0;

type Hasher = foldhash::fast::RandomState;

/// A folder, and the name of something in it.
type Place = (u64, Arc<str>);

/// The places of all nodes of a realm.
#[derive(Debug, Default)]
pub struct Places {
    nodes: IndexMap<Arc<str>, Place, Hasher>,
    /// How many nodes, the first ones, have not been looked at since a folder went.
    unseen: usize,
    /// A folder went since that look began.
    is_again: bool,
    /// Where folders are. One that is gone has no place.
    parents: HashMap<u64, Place, Hasher>,
    /// The folders of a name: several when one was moved onto another.
    named: HashMap<Place, Vec<u64>, Hasher>,
    /// How much is in a folder.
    counts: HashMap<u64, usize, Hasher>,
    twins: usize,
    last: u64,
}

impl Places {
    /// Where a node is.
    #[must_use]
    pub fn path(&self, node: &str) -> Option<Arc<str>> {
        let (folder, name) = self.nodes.get(node)?;
        let mut folder = *folder;
        let mut parts: Vec<&str> = vec![name];
        while folder != TOP {
            let (parent, name) = self.parents.get(&folder)?;
            parts.push(name);
            folder = *parent;
        }
        parts.reverse();
        Some(Arc::from(parts.join("/")))
    }

    /// Says where a node is; without a path it is gone.
    pub fn set(&mut self, node: &Arc<str>, path: Option<&str>) {
        let old = self.nodes.swap_remove(node);
        self.look();
        if let Some(path) = path {
            let parts = parts(path);
            if parts.len() <= DEPTH_MAX && self.nodes.len() < NODES_MAX {
                let place = self.make(&parts);
                self.fill(place.0);
                self.nodes.insert(Arc::clone(node), place);
            }
        }
        if let Some((folder, _)) = old {
            self.release(folder);
        }
    }

    /// A folder has another path, and what is known in it goes along; without one it is
    /// gone, and so is that. True when something was known in it.
    pub fn move_folder(&mut self, from: &str, to: Option<&str>) -> bool {
        if from.is_empty() || to == Some(from) {
            return false;
        }
        let found = self.folders(&parts(from));
        let to = to.filter(|to| !to.is_empty()).map(parts);
        let to = to.filter(|parts| parts.len() <= DEPTH_MAX);
        // All of them first: one may move into another.
        let olds: Vec<_> = found.iter().map(|folder| self.detach(*folder)).collect();
        for (folder, old) in found.iter().zip(olds) {
            let mut is_there = false;
            if let Some(to) = &to {
                let place = self.make(to);
                let parent = place.0;
                is_there = self.attach(*folder, place);
                if !is_there {
                    self.fill(parent);
                    self.release(parent);
                }
            }
            self.is_again |= !is_there;
            if let Some(old) = old {
                self.release(old);
            }
        }
        !found.is_empty()
    }

    /// Forgets nodes in folders that are gone, some of them.
    fn look(&mut self) {
        if self.unseen == 0 && std::mem::take(&mut self.is_again) {
            self.unseen = self.nodes.len();
        }
        // Downwards: what takes the place of one that goes is the last one.
        let end = self.unseen.min(self.nodes.len());
        self.unseen = end.saturating_sub(LOOKED_AT);
        for at in (self.unseen..end).rev() {
            let Some((_, (folder, _))) = self.nodes.get_index(at) else { continue };
            if self.is_gone(*folder)
                && let Some((_, (folder, _))) = self.nodes.swap_remove_index(at)
            {
                self.release(folder);
            }
        }
    }

    /// True for a folder that is in one that is gone, or is it.
    fn is_gone(&self, mut folder: u64) -> bool {
        while folder != TOP {
            match self.parents.get(&folder) {
                Some((parent, _)) => folder = *parent,
                None => return true,
            }
        }
        false
    }

    /// All folders with this path.
    fn folders(&self, parts: &[&str]) -> Vec<u64> {
        let mut found = vec![TOP];
        for part in parts {
            let name: Arc<str> = Arc::from(*part);
            let inner = found.iter().filter_map(|folder| {
                let place = (*folder, Arc::clone(&name));
                self.named.get(&place)
            });
            found = inner.flatten().copied().collect();
        }
        found
    }

    /// The place for something with this path, in folders that are made when there are
    /// none.
    fn make(&mut self, parts: &[&str]) -> Place {
        let Some((name, above)) = parts.split_last() else { return (TOP, Arc::from("")) };
        let mut folder = TOP;
        for part in above {
            let place = (folder, Arc::from(*part));
            folder = match self.named.get(&place).and_then(|all| all.first()) {
                Some(known) => *known,
                None => {
                    self.last += 1;
                    self.attach(self.last, place);
                    self.last
                }
            };
        }
        (folder, Arc::from(*name))
    }

    /// False when the folder is one too many.
    fn attach(&mut self, folder: u64, place: Place) -> bool {
        let others = self.named.entry(place.clone()).or_default();
        if !others.is_empty() {
            if self.twins >= TWINS_MAX {
                return false;
            }
            self.twins += 1;
        }
        others.push(folder);
        self.fill(place.0);
        self.parents.insert(folder, place);
        true
    }

    /// Takes a folder out of its parent, which comes back.
    fn detach(&mut self, folder: u64) -> Option<u64> {
        let place = self.parents.remove(&folder)?;
        if let Some(others) = self.named.get_mut(&place) {
            others.retain(|other| *other != folder);
            if others.is_empty() {
                self.named.remove(&place);
            } else {
                self.twins = self.twins.saturating_sub(1);
            }
        }
        Some(place.0)
    }

    fn fill(&mut self, folder: u64) {
        if folder != TOP {
            *self.counts.entry(folder).or_default() += 1;
        }
    }

    /// One thing less is in a folder. Whatever is empty then is forgotten, upwards.
    fn release(&mut self, mut folder: u64) {
        while let Some(count) = self.counts.get_mut(&folder) {
            *count = count.saturating_sub(1);
            if *count > 0 {
                return;
            }
            self.counts.remove(&folder);
            match self.detach(folder) {
                Some(parent) => folder = parent,
                None => return,
            }
        }
    }
}

fn parts(path: &str) -> Vec<&str> {
    if path.is_empty() { Vec::new() } else { path.split('/').collect() }
}

#[cfg(test)]
mod tests {
    //! Goal: a move is as if each node had been told anew, and leaves nothing behind.
    //!
    //! Method: the same steps on a plain table of paths.

    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Set(u8, Option<String>),
        Move(String, Option<String>),
    }

    fn path() -> impl Strategy<Value = String> {
        prop::collection::vec(prop_oneof!["a", "b", "c"], 1..5).prop_map(|parts| parts.join("/"))
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..6_u8, prop::option::weighted(0.8, path())).prop_map(|(n, path)| Step::Set(n, path)),
            2 => (path(), prop::option::weighted(0.8, path())).prop_map(|(from, to)| Step::Move(from, to)),
        ]
    }

    /// Goal: who tells of folders, and deletes them, can go on for ever.
    #[test]
    fn nodes_in_folders_that_went_make_room() {
        let mut places = Places::default();
        let kept: Arc<str> = Arc::from("kept");
        places.set(&kept, Some("kept/x"));
        for round in 0..20 {
            for node in 0..200 {
                let path = format!("a/{}/{node}", node % 7);
                places.set(&Arc::from(format!("n{round}-{node}")), Some(&path));
            }
            assert!(places.move_folder("a", None));
            assert!(places.nodes.len() <= 401, "{} in round {round}", places.nodes.len());
        }
        for _ in 0..2 * 401 / LOOKED_AT + 2 {
            places.set(&kept, Some("kept/x"));
        }
        assert_eq!((places.nodes.len(), places.parents.len(), places.counts.len()), (1, 1, 1));
        assert_eq!(places.path("kept").as_deref(), Some("kept/x"));
    }

    proptest! {
        #[test]
        fn a_move_is_as_if_each_node_had_been_told(steps in prop::collection::vec(step(), 1..60)) {
            let (mut places, mut plain) = (Places::default(), BTreeMap::<u8, String>::new());
            for step in steps {
                match step {
                    Step::Set(node, path) => {
                        places.set(&Arc::from(node.to_string()), path.as_deref());
                        match path {
                            Some(path) => plain.insert(node, path),
                            None => plain.remove(&node),
                        };
                    }
                    Step::Move(from, to) => {
                        let below = format!("{from}/");
                        let is_known = plain.values().any(|path| path.starts_with(&below));
                        let moved = places.move_folder(&from, to.as_deref());
                        prop_assert_eq!(moved, is_known && to.as_deref() != Some(&*from));
                        match to {
                            Some(to) => for path in plain.values_mut() {
                                if let Some(rest) = path.strip_prefix(&below) {
                                    *path = format!("{to}/{rest}");
                                }
                            },
                            None => plain.retain(|_, path| !path.starts_with(&below)),
                        }
                    }
                }
                for node in 0..6_u8 {
                    let path = places.path(&node.to_string());
                    prop_assert_eq!(path.as_deref(), plain.get(&node).map(String::as_str));
                }
            }
            for node in 0..6_u8 {
                places.set(&Arc::from(node.to_string()), None);
            }
            prop_assert_eq!(places.twins, 0);
            prop_assert!(places.parents.is_empty() && places.named.is_empty() && places.counts.is_empty());
        }
    }
}
