//! Goal: the table of errors fits the documents and the metrics.
//!
//! Method: write the table as the document has it and compare the texts; walk over
//! every fault.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Call,
    fault::{Fault, ROWS},
};
use crate::{
    metrics::{REASONS, ROUTES},
    session::Denial,
};

const DOCUMENT: &str = include_str!("../../../docs/protocols/rest.md");

fn faults() -> Vec<Fault> {
    let denied = |status| {
        let retry_after = (status != 401).then_some(Duration::ZERO);
        Fault::Denied(Denial { status, text: "x", retry_after })
    };
    vec![
        denied(401),
        denied(429),
        denied(503),
        Fault::Csrf,
        Fault::NotYours,
        Fault::NotMember,
        Fault::UrlParam("user_id"),
        Fault::Body { name: "status", reason: "shape" },
        Fault::TooLarge,
        Fault::Media("x"),
        Fault::Method("GET"),
        Fault::TooFast(Duration::from_millis(1)),
        Fault::IdReused,
        Fault::Unavailable(Duration::from_secs(1)),
    ]
}

#[test]
fn the_document_has_the_error_ids() {
    let rows: Vec<String> = ROWS
        .into_iter()
        .map(|row| format!("| `{}` | {} | {} |", row.id, row.status, row.when))
        .collect();
    let table = format!("| id | status | when |\n|---|---|---|\n{}", rows.join("\n"));
    let found = DOCUMENT
        .split_once("<!-- errors: generated from the code -->\n")
        .and_then(|(_, rest)| rest.split_once("\n<!-- end -->"))
        .map(|(table, _)| table);
    assert_eq!(found, Some(&*table), "put this between the markers:\n{table}\n");
}

#[test]
fn every_fault_has_a_row_and_a_known_reason() {
    let mut seen = BTreeSet::new();
    for fault in faults() {
        let response = fault.response("x");
        let row = ROWS.iter().find(|row| row.status == response.status().as_u16());
        assert!(row.is_some(), "{fault:?}");
        seen.insert(response.status().as_u16());
        if let Some((stage, reason)) = fault.counted() {
            let (_, known) = REASONS.iter().find(|(name, _)| *name == stage).unwrap();
            assert!(known.contains(&reason), "{stage} {reason}");
        }
        let is_wait = [429, 503].contains(&response.status().as_u16());
        assert_eq!(response.headers().contains_key("retry-after"), is_wait, "{fault:?}");
    }
    let statuses: BTreeSet<u16> = ROWS.iter().map(|row| row.status).collect();
    assert_eq!(seen, statuses);
}

#[test]
fn a_path_leads_to_one_call() {
    let status = |id: &str| Some(Call::Status(id.to_owned()));
    for (path, call) in [
        ("/api/v4/users/me/status", status("me")),
        ("/api/v4/users/status/status", status("status")),
        ("/api/v4/users/%61/status", status("%61")),
        ("/api/v4/users/a/typing", Some(Call::Typing("a".to_owned()))),
        ("/api/v4/users/status/ids", Some(Call::Statuses)),
        ("/api/v4/users//status", None),
        ("/api/v4/users/a/status/", None),
        ("/api/v4/users/a/b/status", None),
        ("/api/v4/users/a", None),
        ("/api/v4/users/ids", None),
        ("/api/v3/users/me/status", None),
    ] {
        assert_eq!(Call::twin(path), call, "{path}");
    }
}

#[test]
fn every_call_has_a_route_in_the_metrics() {
    let calls = [
        Call::Status("a".to_owned()),
        Call::Statuses,
        Call::Typing("a".to_owned()),
        Call::Session,
        Call::Posts,
    ];
    for call in calls {
        assert!(ROUTES.iter().any(|(route, _)| *route == call.label()), "{call:?}");
    }
}
