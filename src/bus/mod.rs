//! Pydio's bus, as pure functions: what an event says, which messages it comes to and
//! for whom, and how many events about one node become one.
//!
//! Invariants:
//! - the faces of a record depend on the record and on the workspaces at its offset;
//! - a path outside of a workspace never gets into a message for its members;
//! - who may see what happens in a room depends on the same, and on the path that its
//!   record names;
//! - what is accepted is normal: enums by name, 64-bit numbers as texts, paths without a
//!   slash at either end.
//!
//! Not here: who is a member (`hub`), where workspaces are kept (`log`).

mod book;
mod change;
mod json;
mod merge;
mod notice;
mod places;
mod rooms;
mod workspace;

#[cfg(test)]
mod tests;

pub use book::Book;
pub use json::Refusal;
pub use merge::{Merged, Waiting};
pub use places::Places;
pub use workspace::{RuleDraft, clean_path, workspace};

use bytes::Bytes;
use serde_json::Value;

use crate::model::{
    BusStage, BusTopic, Event, Face, NodePlace, Record, Renderings, TaskMark, Topic, UserId,
};

/// A bus event that can be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The event in its normal form.
    pub data: Bytes,
    /// Whether it is delivered by itself.
    pub stage: BusStage,
    /// The node that it changes, when it is a part or must come after all parts.
    pub node: Option<String>,
    /// What it says of the place of a node.
    pub place: Option<NodePlace>,
    /// The task that it is about.
    pub task: Option<TaskMark>,
    /// Whether nobody waits for it: such events have a pace of their own.
    pub is_silent: bool,
    /// The user who has logged out by it.
    pub logout: Option<UserId>,
}

/// Reads what is to be published on `topic`.
///
/// # Errors
///
/// [`Refusal`] names the member of the event that is to blame.
pub fn accept(topic: BusTopic, text: &str) -> Result<Accepted, Refusal> {
    let value = json::object(text)?;
    match topic {
        BusTopic::Tree | BusTopic::Meta => change::accept(topic, value),
        BusTopic::Task => notice::accept_task(value),
        BusTopic::Idm => notice::accept_idm(value),
        BusTopic::Activity => notice::accept_activity(value),
    }
}

/// The message `value` at the place of `record`.
fn face_record(
    record: &Record,
    topic: BusTopic,
    to: Topic,
    value: &Value,
) -> std::sync::Arc<Record> {
    let event = Event {
        name: name(topic),
        data: Bytes::from(value.to_string()),
        to,
        omit_users: Vec::new(),
        omit_connection: None,
        ephemeral: false,
        binary: false,
        id: std::sync::Arc::from(""),
        sender: None,
    };
    std::sync::Arc::new(Record {
        position: record.position.clone(),
        previous_tag: record.previous_tag,
        accepted_at_us: record.accepted_at_us,
        body: crate::model::Body::Event(event),
        renderings: Renderings::default(),
        kept: None,
    })
}

fn name(topic: BusTopic) -> std::sync::Arc<str> {
    use crate::model::SharedText;
    static NAMES: [SharedText; 5] = [
        SharedText::new("pydio.tree"),
        SharedText::new("pydio.meta"),
        SharedText::new("pydio.task"),
        SharedText::new("pydio.idm"),
        SharedText::new("pydio.activity"),
    ];
    let [tree, meta, task, idm, activity] = &NAMES;
    match topic {
        BusTopic::Tree => tree,
        BusTopic::Meta => meta,
        BusTopic::Task => task,
        BusTopic::Idm => idm,
        BusTopic::Activity => activity,
    }
    .get()
}

/// The faces that a record of its own stage has with these workspaces.
fn faces(book: &Book, record: &Record, bus: &crate::model::Bus) -> Vec<Face> {
    if matches!(bus.stage, BusStage::Part | BusStage::Void) {
        return Vec::new();
    }
    let Ok(value) = serde_json::from_slice::<Value>(&bus.data) else { return Vec::new() };
    match bus.topic {
        BusTopic::Tree | BusTopic::Meta => change::faces(book, record, bus.topic, &value),
        BusTopic::Task => notice::task_faces(record, &value),
        BusTopic::Idm => notice::idm_faces(record, &value),
        BusTopic::Activity => notice::activity_faces(record, &value),
    }
}
