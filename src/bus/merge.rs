//! Changes of one node that come close together become one.
//!
//! A change that batches is a record that is not delivered by itself. After a second of
//! silence for its node, or two at most, a record follows that merges what waits. Every
//! server computes the same from the log, and whoever is first writes it.
//!
//! Invariants: what waits is a function of the log; a merged record says which parts it
//! stands for, so a part that came meanwhile waits on.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use serde_json::Value;

use super::json::{Object, text};
use crate::model::{Body, BusStage, BusTopic, Record};

/// Silence after which what waits is merged.
const SILENCE_US: u64 = 1_000_000;

/// Time after which it is merged without silence.
const AGE_MAX_US: u64 = 2_000_000;

/// Parts that are merged without waiting.
const PARTS_MAX: usize = 256;

/// Time for which the server that took the last part is left to merge.
const COURTESY_US: u64 = 300_000;

/// Time after which merging is tried again.
const RETRY_US: u64 = 1_000_000;

/// An etag that stands for none.
const TEMPORARY: &str = "temporary";

/// The changes of a realm that wait.
#[derive(Debug, Default)]
pub struct Waiting(HashMap<Arc<str>, Batch, foldhash::fast::RandomState>);

/// The changes of one node that wait.
#[derive(Debug)]
struct Batch {
    /// In the order of the log; never empty.
    parts: VecDeque<Part>,
    /// When merging was tried last.
    tried_at_us: u64,
}

#[derive(Debug)]
struct Part {
    offset: u64,
    at_us: u64,
    topic: BusTopic,
    data: Bytes,
    origin: Arc<str>,
}

/// What is to be written for the parts of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Which node.
    pub node: Arc<str>,
    /// Offset of the first part.
    pub first: u64,
    /// Offset of the last part.
    pub through: u64,
    /// What the merged change is about.
    pub topic: BusTopic,
    /// The merged change.
    pub data: Bytes,
}

impl Merged {
    /// Stands for parts that nobody has any more: nothing comes of them.
    #[must_use]
    pub fn nothing(node: &Arc<str>, topic: BusTopic, first: u64, through: u64) -> Self {
        let data = Bytes::from_static(b"{}");
        Self { node: Arc::clone(node), first, through, topic, data }
    }
}

impl Waiting {
    /// Takes note of a record of the log.
    pub fn note(&mut self, record: &Record) {
        let Body::Bus(bus) = &record.body else { return };
        let Some(node) = &bus.node else { return };
        match bus.stage {
            BusStage::Part => {
                let part = Part {
                    offset: record.position.offset,
                    at_us: record.accepted_at_us,
                    topic: bus.topic,
                    data: bus.data.clone(),
                    origin: Arc::clone(&bus.origin),
                };
                let new = || Batch { parts: VecDeque::new(), tried_at_us: 0 };
                self.0.entry(Arc::clone(node)).or_insert_with(new).parts.push_back(part);
            }
            BusStage::Merged { through, .. } => {
                let Some(batch) = self.0.get_mut(node) else { return };
                batch.parts.retain(|part| part.offset > through);
                batch.tried_at_us = 0;
                if batch.parts.is_empty() {
                    self.0.remove(node);
                }
            }
            BusStage::Whole | BusStage::Void => {}
        }
    }

    /// True when nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What waits for one node.
    #[must_use]
    pub fn of(&self, node: &Arc<str>) -> Option<Merged> {
        self.0.get(node).and_then(|batch| batch.merged(node))
    }

    /// What is to be merged by the server `me` now, at most `max` of it. It is not told
    /// again soon.
    pub fn due(&mut self, me: &str, now_us: u64, max: usize) -> Vec<Merged> {
        let is_due = |batch: &Batch| batch.due_at_us(me) <= now_us;
        let due = self.0.iter_mut().filter(|(_, batch)| is_due(batch)).take(max);
        due.filter_map(|(node, batch)| {
            batch.tried_at_us = now_us;
            batch.merged(node)
        })
        .collect()
    }
}

impl Batch {
    fn due_at_us(&self, me: &str) -> u64 {
        let (Some(first), Some(last)) = (self.parts.front(), self.parts.back()) else {
            return u64::MAX;
        };
        let due = if self.parts.len() >= PARTS_MAX {
            last.at_us
        } else {
            (first.at_us + AGE_MAX_US).min(last.at_us + SILENCE_US)
        };
        let courtesy = if *last.origin == *me { 0 } else { COURTESY_US };
        (due + courtesy).max(if self.tried_at_us == 0 { 0 } else { self.tried_at_us + RETRY_US })
    }

    fn merged(&self, node: &Arc<str>) -> Option<Merged> {
        let (first, last) = (self.parts.front()?, self.parts.back()?);
        let parts: Vec<Object> =
            self.parts.iter().filter_map(|part| serde_json::from_slice(&part.data).ok()).collect();
        Some(Merged {
            node: Arc::clone(node),
            first: first.offset,
            through: last.offset,
            topic: first.topic,
            data: Value::Object(merge(parts)).to_string().into(),
        })
    }
}

/// One change that stands for `parts`, which are in their order.
///
/// The last source counts; the first target, with content and meta data of the later
/// ones. It is a creation when one of them was, else a change of content when one was.
pub(super) fn merge(parts: Vec<Object>) -> Object {
    let kinds: Vec<String> = parts.iter().map(|part| text(part, "Type").to_owned()).collect();
    let kind = ["CREATE", "UPDATE_CONTENT"]
        .into_iter()
        .find(|strong| kinds.iter().any(|kind| kind == strong))
        .or(kinds.last().map(String::as_str))
        .unwrap_or_default()
        .to_owned();
    let mut merged = Object::new();
    for mut part in parts {
        let target = part.remove("Target");
        part.remove("Type");
        merged.extend(part);
        if let Some(Value::Object(target)) = target {
            match merged.get_mut("Target") {
                Some(Value::Object(first)) => overlay(first, target),
                Some(_) | None => {
                    merged.insert("Target".to_owned(), Value::Object(target));
                }
            }
        }
    }
    merged.insert("Type".to_owned(), kind.into());
    merged
}

/// Lays what a later event says of a node over what earlier ones said.
fn overlay(first: &mut Object, later: Object) {
    for (name, value) in later {
        match (name.as_str(), value) {
            ("Etag", value) if value == TEMPORARY && first.contains_key("Etag") => {}
            ("Etag" | "Type" | "MTime" | "Size", value) => {
                first.insert(name, value);
            }
            ("MetaStore", Value::Object(later)) => match first.get_mut("MetaStore") {
                Some(Value::Object(meta)) => meta.extend(later),
                Some(_) | None => {
                    first.insert(name, Value::Object(later));
                }
            },
            ("Path", value) if text(first, "Path").is_empty() => {
                first.insert(name, value);
            }
            _ => {}
        }
    }
}
