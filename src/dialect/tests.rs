//! Goal: the tables of the dialects fit the metrics, the hub and the documents.
//!
//! Method: write each table as the documents have it and compare the texts; a
//! failing test prints the table to put there.

use crate::{
    metrics::{DIALECTS, REASONS},
    model::CloseCode,
};

use super::{json::JsonError, mattermost, pydio, room};

const MATTERMOST: &str = include_str!("../../docs/protocols/mattermost.md");
const ROOM: &str = include_str!("../../docs/protocols/room.md");
const PYDIO: &str = include_str!("../../docs/protocols/pydio.md");

/// Compares the table between the markers of `name` with `rows`.
fn check(document: &str, name: &str, head: &str, rows: Vec<String>) {
    let columns = head.matches('|').count() - 1;
    let mut table = vec![head.to_owned(), format!("|{}", "---|".repeat(columns))];
    table.extend(rows);
    let table = table.join("\n");
    let begin = format!("<!-- {name}: generated from the code -->\n");
    let found = document
        .split_once(&begin)
        .and_then(|(_, rest)| rest.split_once("\n<!-- end -->"))
        .map(|(table, _)| table);
    assert_eq!(found, Some(&*table), "put this between the markers of {name}:\n{table}\n");
}

#[test]
fn the_document_has_the_actions() {
    let row = |row: mattermost::ActionRow| {
        format!("| `{}` | {} | {} | {} |", row.name, row.data, row.reply, row.meaning)
    };
    let rows = mattermost::ACTIONS.into_iter().map(row).collect();
    check(MATTERMOST, "actions", "| action | `data` | `data` of the reply | what |", rows);
}

#[test]
fn the_document_has_the_error_ids() {
    let row =
        |row: mattermost::ErrorRow| format!("| `{}` | {} | {} |", row.id, row.status, row.when);
    let rows = mattermost::Refusal::ROWS.into_iter().map(row).collect();
    check(MATTERMOST, "errors", "| id | status | when |", rows);
}

#[test]
fn the_documents_have_the_close_codes() {
    for document in [MATTERMOST, ROOM, PYDIO] {
        let rows = CloseCode::ALL.into_iter().map(|row| {
            format!("| {} | `{}` | {} | {} |", row.number, row.name, row.meaning, row.reconnect)
        });
        let head = "| code | name | meaning | connect again? |";
        check(document, "close codes", head, rows.collect());
    }
}

#[test]
fn the_document_has_the_errors_of_a_room() {
    let rows = room::Refusal::all(512).into_iter().map(|refusal| format!("| {refusal} |"));
    check(ROOM, "errors", "| `message` |", rows.collect());
}

#[test]
fn every_label_is_a_known_reason() {
    let (_, known) = REASONS.iter().find(|(stage, _)| *stage == "message").unwrap();
    let mut labels: Vec<&str> = JsonError::ALL.into_iter().map(JsonError::label).collect();
    labels.extend(room::Refusal::all(1).map(room::Refusal::label));
    labels.extend([
        mattermost::DecodeError::Seq.label(),
        mattermost::Refusal::NoAction.label(),
        mattermost::Refusal::InvalidParam("x").label(),
        mattermost::Refusal::Busy.label(),
        room::DecodeError::TooBig.label(),
    ]);
    for label in labels {
        assert!(known.contains(&label), "{label}");
    }
}

#[test]
fn encodings_have_slots_of_their_own_and_known_names() {
    let all = [&mattermost::ENCODING, &room::ROOM_PLAIN, &room::ROOM_JSON, &pydio::ENCODING];
    for (at, encoding) in all.iter().enumerate() {
        assert!(DIALECTS.contains(&encoding.name), "{}", encoding.name);
        assert!(all[..at].iter().all(|other| other.slot != encoding.slot), "{}", encoding.name);
    }
}
