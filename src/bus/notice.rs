//! Tasks, identities and activities: events that are for some people, not for places.
//!
//! Invariants: each comes to one message at most, for one kind of audience.

use bytes::Bytes;
use serde_json::{Number, Value};

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

/// The states of tasks, by number.
const TASK_STATES: [&str; 9] =
    ["Unknown", "Idle", "Running", "Finished", "Interrupted", "Paused", "Any", "Error", "Queued"];

/// Numbers of a task.
const TASK_NUMBERS: [&str; 3] = ["StartTime", "EndTime", "Progress"];

/// Longest name of a task whose end is remembered, in bytes.
const TASK_ID_BYTES_MAX: usize = 256;

/// The box of activities that is for their owner.
const INBOX: &str = "inbox";

/// An access rule whose action begins so is about no role.
const UNRELATED_ACTIONS: [&str; 2] = ["parameter:", "action:"];

/// Reads a task event.
pub(super) fn accept_task(mut event: Object) -> Result<Accepted, Refusal> {
    let Some(Value::Object(task)) = event.get_mut("TaskUpdated") else {
        return Err(Refusal::new("TaskUpdated", "an object is expected"));
    };
    put_name(task, "Status", &TASK_STATES).map_err(|refusal| refusal.inside("TaskUpdated"))?;
    for field in TASK_NUMBERS {
        put_number(task, field).map_err(|refusal| refusal.inside("TaskUpdated"))?;
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
    if is_logout && logout.is_none() {
        return Err(Refusal::new("User.Login", "a logout says whose"));
    }
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
                *name = base_name(name.trim_end_matches('/')).to_owned();
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

/// Writes a number as one that came as a text.
fn put_number(event: &mut Object, field: &str) -> Result<(), Refusal> {
    let number = match event.get(field) {
        None | Some(Value::Null | Value::Number(_)) => return Ok(()),
        Some(Value::String(text)) => serde_json::from_str::<Number>(text).ok(),
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => None,
    };
    let number = number.ok_or_else(|| Refusal::new(field, "a number is expected"))?;
    event.insert(field.to_owned(), Value::Number(number));
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        if let Value::Object(object) = value { object } else { panic!("{value}") }
    }

    /// Goal: states are names, the first one is left out, and an end is one however it is
    /// written.
    #[test]
    fn a_state_of_a_task_is_a_name_and_numbers_are_numbers() {
        for (status, expected, is_final) in [
            (json!("Running"), Some("Running"), false),
            (json!(2), Some("Running"), false),
            (json!("Finished"), Some("Finished"), true),
            (json!(3), Some("Finished"), true),
            (json!(7), Some("Error"), true),
            (json!("Unknown"), None, false),
            (json!(0), None, false),
        ] {
            let task =
                json!({"ID": "t", "Status": status, "StartTime": "1530612000", "Progress": "0.5"});
            let accepted = accept_task(object(json!({"TaskUpdated": task}))).unwrap();
            assert_eq!(accepted.task.unwrap().is_final, is_final, "{status}");
            let told: Value = serde_json::from_slice(&accepted.data).unwrap();
            let task = &told["TaskUpdated"];
            assert_eq!(task.get("Status").and_then(Value::as_str), expected, "{status}");
            assert_eq!(
                (&task["StartTime"], &task["Progress"]),
                (&json!(1_530_612_000), &json!(0.5))
            );
        }
        for (field, value) in [
            ("Status", json!("Bogus")),
            ("Status", json!(99)),
            ("Status", json!(-1)),
            ("Status", json!(2.5)),
            ("Status", json!(true)),
            ("Status", json!([1])),
            ("StartTime", json!("noon")),
        ] {
            let task = json!({"TaskUpdated": {"ID": "t", field: value}});
            let refusal = accept_task(object(task)).unwrap_err();
            assert_eq!(refusal.field, format!("TaskUpdated.{field}"), "{value}");
        }
    }

    #[test]
    fn a_logout_says_whose() {
        for user in [json!({}), json!({"Login": 5}), json!("bob"), json!(null)] {
            let event = object(json!({"Type": "LOGOUT", "User": user}));
            assert_eq!(accept_idm(event).unwrap_err().field, "User.Login");
        }
        let event = object(json!({"Type": "LOGOUT", "User": {"Login": "bob"}}));
        assert_eq!(accept_idm(event).unwrap().logout, Some(Id::parse("bob").unwrap()));
    }

    #[test]
    fn the_name_of_a_folder_is_its_last_part() {
        let activity = json!({"object": {"name": "x/y/"}, "origin": {"name": "a/b"}});
        let accepted = accept_activity(object(json!({"Activity": activity}))).unwrap();
        let told: Value = serde_json::from_slice(&accepted.data).unwrap();
        let name = |about: &str| told["Activity"][about]["name"].clone();
        assert_eq!((name("object"), name("origin")), (json!("y"), json!("b")));
    }
}
