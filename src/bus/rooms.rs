//! Who may see what happens in a chat room about a workspace or about a node.
//!
//! The record of a room about a node names the path that the node had at its place in
//! the log. So a right that changes counts from its own record on, on every server.
//!
//! Invariants: a node without a path is shown to nobody.

use std::sync::Arc;

use super::Book;
use crate::model::{Audience, Event, Id, RoomKind, Sight, Workspace, chat_rest, chat_subject};

/// True for what happens in rooms whose rights can change.
pub(super) fn is_guarded(event: &Event) -> bool {
    matches!(chat_subject(&event.data), Some((RoomKind::Workspace | RoomKind::Node, _)))
}

/// Members of which workspaces may see what happened: any of them is enough.
pub(super) fn readers(book: &Book, event: &Event) -> Vec<Audience> {
    match chat_subject(&event.data) {
        Some((RoomKind::Workspace, object)) => {
            Id::parse(object).map(|id| members(book, id)).unwrap_or_default()
        }
        Some((RoomKind::Node, _)) => {
            let path = chat_rest(&event.data).and_then(path);
            path.map(|path| viewers(book, &path)).unwrap_or_default()
        }
        Some((RoomKind::Global | RoomKind::User, _)) | None => Vec::new(),
    }
}

/// Of a workspace, what holds for any of its folders. One that nobody defined has members
/// all the same.
fn members(book: &Book, id: Id) -> Vec<Audience> {
    match book.workspace(&id) {
        Some(workspace) if !workspace.rules.is_empty() => {
            let folders = workspace.roots.iter();
            folders.map(|root| audience(&id, workspace, &root.path)).collect()
        }
        Some(_) | None => vec![Audience::Members { workspace: id, sight: None }],
    }
}

/// Members of the workspaces that show `path`, as far as they may read it.
fn viewers(book: &Book, path: &str) -> Vec<Audience> {
    let shown = book.showing(path).into_iter();
    shown.filter_map(|id| Some(audience(id, book.workspace(id)?, path))).collect()
}

fn audience(id: &Id, workspace: &Arc<Workspace>, path: &str) -> Audience {
    let sight = (!workspace.rules.is_empty()).then(|| {
        let (seen, hidden) = (vec![path.to_owned()], Vec::new());
        Box::new(Sight { workspace: Arc::clone(workspace), seen, hidden, policies: None })
    });
    Audience::Members { workspace: id.clone(), sight }
}

/// The path that the data of an event goes on with.
fn path(rest: &[u8]) -> Option<String> {
    let rest = rest.strip_prefix(br#","path":"#)?;
    serde_json::Deserializer::from_slice(rest).into_iter().next()?.ok()
}
