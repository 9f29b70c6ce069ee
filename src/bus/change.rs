//! Changes of nodes: topics `tree` and `meta`.
//!
//! Each workspace that shows the node before or after the change has a message of its
//! own, with paths as its members see them.
//!
//! Invariants: a hidden node (a name that begins with a dot) is told to nobody; of a
//! side that a member may not see nothing is sent.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{
    Accepted, Book, clean_path, face_record,
    json::{self, Object, Refusal, member, name, text},
};
use crate::model::{
    Audience, BusStage, BusTopic, Face, Id, NodePlace, Policy, Record, Sight, Workspace, base_name,
};

/// The types of changes, by number.
const TYPES: [&str; 7] = [
    "CREATE",
    "READ",
    "UPDATE_PATH",
    "UPDATE_CONTENT",
    "UPDATE_META",
    "DELETE",
    "UPDATE_USER_META",
];

/// The types of nodes, by number.
const NODE_TYPES: [&str; 3] = ["UNKNOWN", "LEAF", "COLLECTION"];

/// Meta data with this beginning is not for clients.
const RESERVED: &str = "pydio:";

/// Meta data that says who may read other meta data.
const POLICIES: &str = "pydio:meta-policies";

/// Meta data that names the workspace of a message.
const WORKSPACE: &str = "EventWorkspaceId";

/// Reads a change.
pub(super) fn accept(topic: BusTopic, mut change: Object) -> Result<Accepted, Refusal> {
    let kind = name(&change, "Type", &TYPES)?;
    let source = node(&mut change, "Source")?;
    let target = node(&mut change, "Target")?;
    if source.is_none() && target.is_none() {
        return Err(Refusal::new("", "a change has a Source or a Target"));
    }
    let is_last_word = matches!(kind, "DELETE" | "UPDATE_PATH");
    let has_path =
        |node: &Option<Object>| node.as_ref().is_some_and(|node| !text(node, "Path").is_empty());
    // Of others a later part may tell it.
    if is_last_word && !has_path(&source) && !has_path(&target) {
        return Err(Refusal::new("Source.Path", "it is missing: nobody can be told"));
    }
    let uuid_of = |node: &Option<Object>| {
        node.as_ref()
            .map(|node| text(node, "Uuid"))
            .filter(|uuid| !uuid.is_empty())
            .map(str::to_owned)
    };
    let node = uuid_of(&target).or_else(|| uuid_of(&source));
    let is_batched = matches!(kind, "CREATE" | "UPDATE_CONTENT" | "UPDATE_META");
    let stage = match kind {
        "READ" => BusStage::Void,
        _ if is_batched && uuid_of(&target).is_some() => BusStage::Part,
        _ => BusStage::Whole,
    };
    let place = place(topic, kind, source.as_ref(), target.as_ref());
    // The last words come after everything that waits for the same node.
    let node = node.filter(|_| is_last_word || stage == BusStage::Part);
    let mut normal = Object::new();
    normal.insert("Type".to_owned(), kind.into());
    for (side, node) in [("Source", source), ("Target", target)] {
        normal.extend(node.map(|node| (side.to_owned(), Value::Object(node))));
    }
    for flag in ["Optimistic", "Silent"] {
        if change.get(flag) == Some(&Value::Bool(true)) {
            normal.insert(flag.to_owned(), true.into());
        }
    }
    let is_silent = normal.contains_key("Silent");
    let data = Bytes::from(Value::Object(normal).to_string());
    Ok(Accepted { data, stage, node, place, task: None, is_silent, logout: None })
}

/// What a change says of the place of a node.
fn place(
    topic: BusTopic,
    kind: &str,
    source: Option<&Object>,
    target: Option<&Object>,
) -> Option<NodePlace> {
    if topic != BusTopic::Tree || kind == "READ" {
        return None;
    }
    let is_gone = kind == "DELETE";
    let node = if is_gone { source.or(target) } else { target }?;
    let (uuid, path) = (text(node, "Uuid"), text(node, "Path"));
    let is_known = !uuid.is_empty() && (is_gone || !path.is_empty());
    // Nothing is in a file.
    let was = source.filter(|_| kind == "UPDATE_PATH" || is_gone).filter(|was| !is_file(was));
    let was = was.filter(|_| !is_file(node)).map(|was| text(was, "Path"));
    is_known.then(|| NodePlace {
        uuid: Arc::from(uuid),
        path: (!is_gone).then(|| Arc::from(path)),
        from: was.filter(|was| !was.is_empty()).map(Arc::from),
    })
}

fn is_file(node: &Object) -> bool {
    text(node, "Type") == "LEAF"
}

/// One side of a change in its normal form.
fn node(change: &mut Object, side: &str) -> Result<Option<Object>, Refusal> {
    let Some(mut node) = member(change, side)? else { return Ok(None) };
    let refuse = |field: &str, message: &str| Refusal::new(field, message).inside(side);
    for field in ["Uuid", "Path", "Etag"] {
        if !matches!(node.get(field), None | Some(Value::Null | Value::String(_))) {
            return Err(refuse(field, "a string is expected"));
        }
    }
    let path = clean_path(text(&node, "Path"));
    let path = path.ok_or_else(|| refuse("Path", "a path has no .. in it"))?;
    node.insert("Path".to_owned(), path.into());
    let kind = name(&node, "Type", &NODE_TYPES).map_err(|refusal| refusal.inside(side))?;
    node.insert("Type".to_owned(), if kind == "UNKNOWN" { Value::Null } else { kind.into() });
    for field in ["Size", "MTime"] {
        match node.get(field).and_then(json::long) {
            Some(Ok(number)) => node.insert(field.to_owned(), number.into()),
            Some(Err(())) => return Err(refuse(field, "a whole number is expected")),
            None => node.remove(field),
        };
    }
    match node.get("MetaStore") {
        None | Some(Value::Null) => {}
        Some(Value::Object(meta)) if meta.values().all(Value::is_string) => {}
        Some(_) => return Err(refuse("MetaStore", "an object of strings is expected")),
    }
    json::prune(&mut node);
    Ok(Some(node))
}

/// One side of a change as a workspace shows it.
struct Side<'a> {
    node: &'a Object,
    path: &'a str,
}

/// The sides of a change that go into one message.
type Sides<'a> = (Option<&'a Side<'a>>, Option<&'a Side<'a>>);

/// The messages of a change.
pub(super) fn faces(book: &Book, record: &Record, topic: BusTopic, value: &Value) -> Vec<Face> {
    let Some(change) = value.as_object() else { return Vec::new() };
    let kind = text(change, "Type");
    let side = |name: &str| {
        let node = change.get(name)?.as_object()?;
        let path = text(node, "Path");
        (!base_name(path).starts_with('.') && !path.is_empty()).then_some(Side { node, path })
    };
    let (mut source, target) = (side("Source"), side("Target"));
    let mut policies = None;
    if kind == "UPDATE_USER_META" {
        let Some(known) = change.get("Source").and_then(Value::as_object).and_then(read_policies)
        else {
            return Vec::new();
        };
        (source, policies) = (None, Some(known));
    }
    let sides = [&source, &target];
    let ids: BTreeSet<&Id> =
        sides.iter().copied().flatten().flat_map(|side| book.showing(side.path)).collect();
    let mut faces = Vec::new();
    for id in ids {
        let Some(workspace) = book.workspace(id) else { continue };
        let is_inside = |side: &&Side<'_>| workspace.root_of(side.path).is_some();
        let sides = (source.as_ref().filter(is_inside), target.as_ref().filter(is_inside));
        for (seen, hidden) in variants(workspace, sides) {
            let audience = Audience::Members {
                workspace: id.clone(),
                sight: sight(workspace, seen, hidden, policies.as_ref()),
            };
            let message = message(change, kind, (id, workspace), seen);
            let record = face_record(record, topic, audience.topic(), &message);
            faces.push(Face { audience, record });
        }
    }
    faces
}

/// Which sides a member may be shown, and which are hidden then; each member sees one
/// of these at most.
fn variants<'a>(workspace: &Workspace, both: Sides<'a>) -> Vec<(Sides<'a>, Sides<'a>)> {
    let is_ruled = |side: &&Side<'_>| has_rule(workspace, side.path);
    let mut all = vec![(both, (None, None))];
    if let (Some(_), Some(_)) = both {
        if both.1.as_ref().is_some_and(is_ruled) {
            all.push(((both.0, None), (None, both.1)));
        }
        if both.0.as_ref().is_some_and(is_ruled) {
            all.push(((None, both.1), (both.0, None)));
        }
    }
    all
}

/// True when some rule of the workspace is about `path`.
fn has_rule(workspace: &Workspace, path: &str) -> bool {
    workspace.rules.iter().any(|rule| crate::model::is_within(path, &rule.path))
}

/// What a member must see, and must not see; `None` when every member qualifies.
fn sight(
    workspace: &Arc<Workspace>,
    seen: Sides<'_>,
    hidden: Sides<'_>,
    policies: Option<&Vec<Policy>>,
) -> Option<Box<Sight>> {
    let ruled = |sides: Sides<'_>| -> Vec<String> {
        let both = [sides.0, sides.1].into_iter().flatten();
        both.filter(|side| has_rule(workspace, side.path))
            .map(|side| side.path.to_owned())
            .collect()
    };
    let (seen, hidden) = (ruled(seen), ruled(hidden));
    let is_for_all = seen.is_empty() && hidden.is_empty() && policies.is_none();
    (!is_for_all).then(|| {
        Box::new(Sight {
            workspace: Arc::clone(workspace),
            seen,
            hidden,
            policies: policies.cloned(),
        })
    })
}

/// The message about these sides of a change.
fn message(
    change: &Object,
    kind: &str,
    (id, workspace): (&Id, &Workspace),
    (source, target): Sides<'_>,
) -> Value {
    let kind = match (kind, source, target) {
        ("UPDATE_PATH", None, Some(_)) => "CREATE",
        ("UPDATE_PATH", Some(_), None) => "DELETE",
        (kind, _, _) => kind,
    };
    let mut message = Map::new();
    if kind != "CREATE" {
        message.insert("Type".to_owned(), kind.into());
    }
    for (name, side) in [("Source", source), ("Target", target)] {
        if let Some(side) = side {
            message.insert(name.to_owned(), shown(side, id, workspace));
        }
    }
    if change.contains_key("Optimistic") {
        message.insert("Optimistic".to_owned(), true.into());
    }
    Value::Object(message)
}

/// A node as members of a workspace see it.
fn shown(side: &Side<'_>, id: &Id, workspace: &Workspace) -> Value {
    let mut node = side.node.clone();
    match workspace.relative(side.path) {
        Some(path) if !path.is_empty() => node.insert("Path".to_owned(), path.into()),
        Some(_) | None => node.remove("Path"),
    };
    let mut meta = match node.remove("MetaStore") {
        Some(Value::Object(meta)) => meta,
        Some(_) | None => Map::new(),
    };
    meta.retain(|name, _| !name.starts_with(RESERVED));
    // A value of the meta store is a text that holds JSON.
    meta.insert(WORKSPACE.to_owned(), format!("\"{id}\"").into());
    node.insert("MetaStore".to_owned(), Value::Object(meta));
    Value::Object(node)
}

/// The policies for reading that a node carries; `None` when it carries none.
fn read_policies(node: &Object) -> Option<Vec<Policy>> {
    let list = node.get("MetaStore")?.get(POLICIES)?.as_str()?;
    let list: Vec<Object> = serde_json::from_str(list).ok()?;
    let policy = |policy: &Object| {
        (text(policy, "Action") == "READ").then(|| Policy {
            subject: text(policy, "Subject").to_owned(),
            allows: text(policy, "Effect") == "allow",
        })
    };
    Some(list.iter().filter_map(policy).collect())
}
