//! Records of the bus as a store holds them.
//!
//! Invariants: what was encoded decodes to the same; the body of a workspace begins and
//! ends so that a script can take out what the workspace is, and put in what it was.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::super::wire::{Entry, Malformed, address};
use crate::model::{
    Body, Bus, BusStage, BusTopic, Id, NodePaths, NodePlace, Root, Rule, TaskMark, Topic, Who,
    Workspace,
};

/// The header of a bus event. A script reads `s`, `u`, `f`, `g`, `x`, `q`, `o` and
/// `t`, and changes `s`, which is the first of that name.
#[derive(Debug, Serialize, Deserialize)]
struct BusHeader {
    /// Microseconds since 1970.
    at: u64,
    /// Topic.
    b: String,
    /// Stage: `w` whole, `p` part, `m` merged, `v` void.
    s: char,
    /// The node that it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    u: Option<String>,
    /// The server that accepted it.
    n: String,
    /// First part of a merged one,
    #[serde(default, skip_serializing_if = "is_zero")]
    f: u64,
    /// and the last one.
    #[serde(default, skip_serializing_if = "is_zero")]
    g: u64,
    /// True when no later part may wait.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    x: bool,
    /// A node and its path; an empty one when it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    q: Option<(String, String)>,
    /// Where a folder was that moved, or is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    o: Option<String>,
    /// A task, and whether it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<(String, bool)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Debug, Serialize, Deserialize)]
struct WorkspaceWire {
    l: String,
    /// Unique names and paths.
    r: Vec<(String, String)>,
    /// `u` or `r`, id, path, read, write.
    x: Vec<(char, String, String, bool, bool)>,
}

#[derive(Debug, Deserialize)]
struct ChangeWire {
    is: Option<WorkspaceWire>,
    was: Option<WorkspaceWire>,
}

#[derive(Debug, Serialize, Deserialize)]
struct NodesWire {
    set: Vec<(String, String)>,
    rm: Vec<String>,
    /// Folders that moved with what is in them; an empty path for one that is gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mv: Vec<(String, String)>,
}

/// Plain shapes always have a text; an empty one is refused when it is read.
fn text(shape: &impl Serialize) -> String {
    serde_json::to_string(shape).unwrap_or_default()
}

/// A header that has nothing but its moment.
#[derive(Debug, Serialize, Deserialize)]
struct Moment {
    /// Microseconds since 1970.
    at: u64,
}

/// The entry of a body of the bus.
pub(in crate::log) fn encode(body: &Body, at: u64) -> Entry {
    let header = text(&Moment { at });
    let everyone = address(&Topic::Everyone);
    match body {
        Body::Bus(bus) => {
            let (header, body) = (bus_header(bus, at), bus.data.clone());
            Entry { kind: 'b', address: everyone, header, body }
        }
        Body::Workspace { id, is, was } => {
            let address = address(&Topic::Workspace(id.clone()));
            Entry { kind: 'p', address, header, body: change_text(is.as_deref(), was.as_deref()) }
        }
        Body::Nodes(nodes) => {
            Entry { kind: 'n', address: everyone, header, body: nodes_text(nodes) }
        }
        // Not of the bus: written out, it is what nobody can read.
        Body::Event(_)
        | Body::Members { .. }
        | Body::Seeds { .. }
        | Body::Watch { .. }
        | Body::Revocation(_)
        | Body::Disconnect { .. }
        | Body::Unknown => Entry { kind: '?', address: everyone, header, body: Bytes::new() },
    }
}

/// What an entry of the bus says, and when it was accepted.
pub(in crate::log) fn decode(
    kind: &[u8],
    to: Topic,
    header: &[u8],
    body: Bytes,
) -> Result<(Body, u64), Malformed> {
    if kind == b"b" {
        return bus(header, body).map(|(event, at)| (Body::Bus(event), at));
    }
    let Moment { at } = serde_json::from_slice(header).map_err(|_| Malformed)?;
    let body = match (kind, to) {
        (b"p", Topic::Workspace(id)) => {
            let (is, was) = change(&body)?;
            Body::Workspace { id, is, was }
        }
        (b"n", _) => Body::Nodes(nodes(&body)?),
        _ => return Err(Malformed),
    };
    Ok((body, at))
}

/// The header of a bus event.
fn bus_header(bus: &Bus, at_us: u64) -> String {
    let (stage, first, last) = match bus.stage {
        BusStage::Whole => ('w', 0, 0),
        BusStage::Part => ('p', 0, 0),
        BusStage::Void => ('v', 0, 0),
        BusStage::Merged { first, through, .. } => ('m', first, through),
    };
    text(&BusHeader {
        at: at_us,
        b: bus.topic.label().to_owned(),
        s: stage,
        u: bus.node.as_deref().map(str::to_owned),
        n: (*bus.origin).to_owned(),
        f: first,
        g: last,
        x: matches!(bus.stage, BusStage::Merged { is_last: true, .. }),
        q: bus.place.as_ref().map(|NodePlace { uuid, path, .. }| {
            ((**uuid).to_owned(), path.as_deref().unwrap_or_default().to_owned())
        }),
        t: bus.task.as_ref().map(|task| ((*task.id).to_owned(), task.is_final)),
        o: bus.place.as_ref().and_then(|place| place.from.as_deref().map(str::to_owned)),
    })
}

/// The bus event with this header and body, and when it was accepted.
fn bus(header: &[u8], data: Bytes) -> Result<(Bus, u64), Malformed> {
    let header: BusHeader = serde_json::from_slice(header).map_err(|_| Malformed)?;
    let is_object =
        data.first() == Some(&b'{') && serde_json::from_slice::<IgnoredAny>(&data).is_ok();
    if !is_object {
        return Err(Malformed);
    }
    let stage = match header.s {
        'w' => BusStage::Whole,
        'p' => BusStage::Part,
        'v' => BusStage::Void,
        'm' => BusStage::Merged { first: header.f, through: header.g, is_last: header.x },
        _ => return Err(Malformed),
    };
    let from = header.o.map(Arc::from);
    let bus = Bus {
        topic: BusTopic::parse(&header.b).ok_or(Malformed)?,
        stage,
        data,
        node: header.u.map(Arc::from),
        origin: Arc::from(header.n),
        place: header.q.map(|(uuid, path)| NodePlace {
            uuid: Arc::from(uuid),
            path: (!path.is_empty()).then(|| Arc::from(path)),
            from,
        }),
        task: header.t.map(|(id, is_final)| TaskMark { id: Arc::from(id), is_final }),
    };
    Ok((bus, header.at))
}

/// A workspace as it is kept.
pub(in crate::log) fn workspace_text(workspace: &Workspace) -> String {
    let root = |root: &Root| (root.uuid.clone(), root.path.clone());
    let rule = |rule: &Rule| {
        let (letter, id) = match &rule.who {
            Who::User(id) => ('u', id),
            Who::Role(id) => ('r', id),
        };
        (letter, id.as_str().to_owned(), rule.path.clone(), rule.read, rule.write)
    };
    text(&WorkspaceWire {
        l: workspace.label.clone(),
        r: workspace.roots.iter().map(root).collect(),
        x: workspace.rules.iter().map(rule).collect(),
    })
}

/// The workspace that [`workspace_text`] wrote.
pub(in crate::log) fn workspace(text: &[u8]) -> Result<Workspace, Malformed> {
    serde_json::from_slice(text).map_err(|_| Malformed).and_then(read)
}

fn read(wire: WorkspaceWire) -> Result<Workspace, Malformed> {
    let rule = |(letter, id, path, read, write): (char, String, String, bool, bool)| {
        let id = Id::parse(&id).map_err(|_| Malformed)?;
        let who = match letter {
            'u' => Who::User(id),
            'r' => Who::Role(id),
            _ => return Err(Malformed),
        };
        Ok(Rule { who, path, read, write })
    };
    Ok(Workspace {
        label: wire.l,
        roots: wire.r.into_iter().map(|(uuid, path)| Root { uuid, path }).collect(),
        rules: wire.x.into_iter().map(rule).collect::<Result<_, _>>()?,
    })
}

/// The body of a change of a workspace.
fn change_text(is: Option<&Workspace>, was: Option<&Workspace>) -> Bytes {
    let one = |one: Option<&Workspace>| one.map_or_else(|| "null".to_owned(), workspace_text);
    format!(r#"{{"is":{},"was":{}}}"#, one(is), one(was)).into()
}

type Change = (Option<Arc<Workspace>>, Option<Arc<Workspace>>);

/// The change that [`change_text`] wrote.
fn change(text: &[u8]) -> Result<Change, Malformed> {
    let wire: ChangeWire = serde_json::from_slice(text).map_err(|_| Malformed)?;
    let one = |one: Option<WorkspaceWire>| one.map(|one| read(one).map(Arc::new)).transpose();
    Ok((one(wire.is)?, one(wire.was)?))
}

/// The body of a record that says where nodes are.
pub(in crate::log) fn nodes_text(nodes: &NodePaths) -> Bytes {
    let pair = |(uuid, path): &(Arc<str>, Arc<str>)| ((**uuid).to_owned(), (**path).to_owned());
    let set = nodes.set.iter().map(pair).collect();
    let rm = nodes.remove.iter().map(|uuid| (**uuid).to_owned()).collect();
    let path = |path: Option<&str>| path.unwrap_or_default().to_owned();
    let mv = nodes.moved.iter().map(|(from, to)| (path(Some(from)), path(to.as_deref())));
    text(&NodesWire { set, rm, mv: mv.collect() }).into()
}

/// What [`nodes_text`] wrote.
fn nodes(text: &[u8]) -> Result<NodePaths, Malformed> {
    let wire: NodesWire = serde_json::from_slice(text).map_err(|_| Malformed)?;
    let pair = |(uuid, path): (String, String)| (Arc::from(uuid), Arc::from(path));
    let moved =
        |(from, to): (String, String)| (Arc::from(from), (!to.is_empty()).then(|| Arc::from(to)));
    Ok(NodePaths {
        set: wire.set.into_iter().map(pair).collect(),
        remove: wire.rm.into_iter().map(Arc::from).collect(),
        moved: wire.mv.into_iter().map(moved).collect(),
    })
}
