//! Tasks, identities and activities: events that are for some people, not for places.
//!
//! Invariants: each comes to one message at most, for one kind of audience.

use bytes::Bytes;
use serde_json::Value;

use super::{
    Accepted, face_record,
    json::{Object, Refusal, name, prune, text, text_in},
};
use crate::model::{Audience, BusStage, BusTopic, Face, Id, Record, TaskMark, base_name};

/// Who owns the tasks of the system.
const SYSTEM_USER: &str = "pydio.system.user";

/// The types of identity events, by number.
const IDM_TYPES: [&str; 7] = ["CREATE", "READ", "UPDATE", "DELETE", "BIND", "LOGIN", "LOGOUT"];

/// The kinds of owners of activities, by number.
const OWNER_TYPES: [&str; 2] = ["NODE", "USER"];

/// Longest name of a task whose end is remembered, in bytes.
const TASK_ID_BYTES_MAX: usize = 256;

/// The box of activities that is for their owner.
const INBOX: &str = "inbox";

/// An access rule whose action begins so is about no role.
const UNRELATED_ACTIONS: [&str; 2] = ["parameter:", "action:"];

/// Reads a task event.
pub(super) fn accept_task(mut event: Object) -> Result<Accepted, Refusal> {
    if !event.get("TaskUpdated").is_some_and(Value::is_object) {
        return Err(Refusal::new("TaskUpdated", "an object is expected"));
    }
    event.remove("@type");
    let task = |member: &str| text_in(&event, "TaskUpdated", member);
    let is_final = ["Finished", "Error"].contains(&task("Status"));
    let id = task("ID");
    let mark = (!id.is_empty() && id.len() <= TASK_ID_BYTES_MAX)
        .then(|| TaskMark { id: id.into(), is_final });
    Ok(Accepted { task: mark, ..accepted(event) })
}

/// Reads an identity event.
pub(super) fn accept_idm(mut event: Object) -> Result<Accepted, Refusal> {
    put_name(&mut event, "Type", &IDM_TYPES)?;
    event.insert("@type".to_owned(), "idm".into());
    let is_logout = event.get("Type").and_then(Value::as_str) == Some("LOGOUT");
    let logout = match concerned(&event) {
        Some(Audience::User(user)) if is_logout => Some(user),
        Some(_) | None => None,
    };
    Ok(Accepted { logout, ..accepted(event) })
}

/// Reads an activity.
pub(super) fn accept_activity(mut event: Object) -> Result<Accepted, Refusal> {
    put_name(&mut event, "OwnerType", &OWNER_TYPES)?;
    if let Some(Value::Object(activity)) = event.get_mut("Activity") {
        for about in ["object", "origin", "target"] {
            if let Some(Value::Object(about)) = activity.get_mut(about)
                && let Some(Value::String(name)) = about.get_mut("name")
            {
                // A path must not leak.
                *name = base_name(name).to_owned();
            }
        }
    }
    event.insert("@type".to_owned(), "activity".into());
    Ok(accepted(event))
}

/// Writes an enum by its name; the first one is left out.
fn put_name(event: &mut Object, field: &str, names: &[&'static str]) -> Result<(), Refusal> {
    let known = name(event, field, names)?;
    let is_first = names.first().is_some_and(|first| *first == known);
    event.insert(field.to_owned(), if is_first { Value::Null } else { known.into() });
    Ok(())
}

fn accepted(mut event: Object) -> Accepted {
    prune(&mut event);
    let data = Bytes::from(Value::Object(event).to_string());
    let (stage, is_silent) = (BusStage::Whole, false);
    Accepted { data, stage, node: None, place: None, task: None, is_silent, logout: None }
}

/// The message of a task event.
pub(super) fn task_faces(record: &Record, value: &Value) -> Vec<Face> {
    let owner = value.as_object().map_or("", |task| text_in(task, "TaskUpdated", "TriggerOwner"));
    let audience = match owner {
        SYSTEM_USER => Some(Audience::Admins),
        owner => Id::parse(owner).ok().map(Audience::User),
    };
    face(record, BusTopic::Task, value, audience)
}

/// The message of an identity event.
pub(super) fn idm_faces(record: &Record, value: &Value) -> Vec<Face> {
    let audience = value.as_object().and_then(concerned);
    face(record, BusTopic::Idm, value, audience)
}

/// Whom an identity event concerns: the first of its subjects.
fn concerned(event: &Object) -> Option<Audience> {
    let id = |text: &str| Id::parse(text).ok();
    let has = |name: &str| event.get(name).is_some_and(Value::is_object);
    if let Some(rule) = event.get("Acl").and_then(Value::as_object) {
        let action = text_in(rule, "Action", "Name");
        let is_related = !UNRELATED_ACTIONS.iter().any(|start| action.starts_with(start));
        let role = text(rule, "RoleID");
        if is_related && !role.is_empty() {
            return id(role).map(Audience::Role);
        }
    }
    if has("Role") {
        return id(text_in(event, "Role", "Uuid")).map(Audience::Role);
    }
    if has("User") {
        let login = text_in(event, "User", "Login");
        let login = if login.is_empty() { text_in(event, "User", "Uuid") } else { login };
        return id(login).map(Audience::User);
    }
    let uuid = match text_in(event, "Workspace", "UUID") {
        "" => text_in(event, "Workspace", "Uuid"),
        uuid => uuid,
    };
    id(uuid).map(|workspace| Audience::Members { workspace, sight: None })
}

/// The message of an activity: its owner's, when somebody else did it.
pub(super) fn activity_faces(record: &Record, value: &Value) -> Vec<Face> {
    let Some(event) = value.as_object() else { return Vec::new() };
    let is_kept = text(event, "BoxName") == INBOX || text(event, "OwnerType") == "USER";
    let owner = text(event, "OwnerId");
    let activity = event.get("Activity").and_then(Value::as_object);
    let actor = activity.map_or("", |activity| text_in(activity, "actor", "id"));
    let audience = Id::parse(owner).ok().filter(|_| is_kept && actor != owner).map(Audience::User);
    face(record, BusTopic::Activity, value, audience)
}

fn face(record: &Record, topic: BusTopic, value: &Value, audience: Option<Audience>) -> Vec<Face> {
    let Some(audience) = audience else { return Vec::new() };
    let record = face_record(record, topic, audience.topic(), value);
    vec![Face { audience, record }]
}
