//! The numbers of a connection over all its sockets: 0, 1, 2 and so on.
//!
//! Invariants: a number is expected once; a socket that was replaced says nothing more.

use crate::{
    history::Names,
    report::{Invariant, Report},
    sessions::{Connection, Kind},
};

/// Checks the numbers of one connection.
pub(crate) fn check(connection: &Connection, names: &Names, report: &mut Report) {
    let mut next = None;
    let mut current = None;
    for item in &connection.items {
        let mut wrong = |text: String| {
            report.add(Invariant::Seq, names, Some(item.at), || text);
        };
        match item.kind {
            Kind::Hello => {
                if let Some(next) = next {
                    wrong(format!("a hello where {next} is expected"));
                }
                current = Some(item.sock);
                next = Some(1);
            }
            Kind::Resumed(n) => {
                if next != Some(n) {
                    wrong(format!("goes on with {n} where {} is expected", next.unwrap_or(0)));
                }
                current = Some(item.sock);
                next = Some(n);
            }
            Kind::Event(seq, _) | Kind::Noop(seq) => {
                if current != Some(item.sock) {
                    wrong(format!("number {seq} on a socket that is not the connection's"));
                }
                let expected = next.unwrap_or(0);
                if seq != expected {
                    wrong(format!("number {seq} where {expected} is expected"));
                }
                next = Some(expected.max(seq.saturating_add(1)));
            }
        }
    }
}
