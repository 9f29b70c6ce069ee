//! hubbub-check: reads what the writers and the clients of a run saw, and says which
//! promise was broken.
//!
//! It shares no code with the server: neither how it reads JSON, nor how it decides
//! who may see what. Publishes and membership changes are acknowledged with their
//! position in the log, so the truth is exact and needs no windows of time; where
//! nobody can know (an outcome that was lost, an event under way while a client
//! connects), both answers are accepted, and only there.

mod events;
mod expect;
mod faults;
pub mod history;
mod live;
mod log;
mod maps;
mod members;
mod numbers;
mod presence;
pub mod read;
pub mod report;
mod sessions;
mod walk;
pub mod wire;

use crate::{
    events::Events,
    expect::View,
    faults::Faults,
    history::{History, Name},
    live::{Barrier, Ends},
    log::Log,
    maps::Map,
    members::Members,
    report::{Invariant, Report},
    sessions::{Reading, Sessions},
    walk::{Walk, Walked, Windows},
};

/// What a run is held to.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// True when no data was lost, so that no reset is excused.
    pub no_resets: bool,
    /// True when a run in which nothing happened, or that has no end, is fine.
    pub allow_empty: bool,
    /// How late presence may be, in milliseconds.
    pub presence_within_ms: f64,
    /// How many violations of each invariant are told.
    pub kept_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { no_resets: false, allow_empty: false, presence_within_ms: 20_000.0, kept_max: 10 }
    }
}

/// Judges a history.
#[must_use]
pub fn check(history: &History, options: &Options) -> Report {
    let mut report = Report::new(options.kept_max);
    let names = &history.names;
    let faults = Faults::of(history);
    let events = Events::of(history, &faults, &mut report);
    let members = Members::of(history, &events);
    let mut reading = Reading { history, faults: &faults, options, report: &mut report };
    let sessions = Sessions::of(&mut reading);

    let empty = Log::default();
    let mut windows = Windows::default();
    let mut walked: Map<Name, Walked> = Map::default();
    for connection in sessions.connections.values() {
        numbers::check(connection, names, &mut report);
        let view = View::new(connection, &events, &members, &empty);
        let (faults, report, windows) = (&faults, &mut report, &mut windows);
        walked.insert(connection.cid, Walk { view, names, faults, report, windows }.run());
    }

    let barriers = live::barriers(history);
    let nothing = Walked::default();
    for client in &sessions.clients {
        let of_realm = barriers.get(&client.realm).map_or(&[][..], Vec::as_slice);
        let mut ends = Ends { barriers: of_realm, faults: &faults, names, report: &mut report };
        if !ends.must_arrive(client) {
            continue;
        }
        let connection = client.connection(&sessions);
        let Some(connection) = connection else {
            ends.is_absent(client);
            continue;
        };
        let view = View::new(connection, &events, &members, &empty);
        ends.check(client, view, walked.get(&connection.cid).unwrap_or(&nothing));
    }
    presence::check(history, &sessions.clients, options.presence_within_ms, &mut report);

    for barriers in barriers.values() {
        report.counts.barriers += barriers.len() as u64;
        live::check_barriers(barriers, &events.by_id, names, &mut report);
    }
    if !options.allow_empty {
        check_reach(history, &sessions, &barriers, &mut report);
    }
    report
}

/// A run that says nothing must not look like one in which all was well.
fn check_reach(
    history: &History,
    sessions: &Sessions,
    barriers: &Map<Name, Vec<Barrier>>,
    report: &mut Report,
) {
    let names = &history.names;
    if report.counts.deliveries == 0 {
        report.add(Invariant::Format, names, None, || {
            "nothing was checked: no event was received".to_owned()
        });
    }
    let mut realms: Vec<Name> = sessions.clients.iter().map(|client| client.realm).collect();
    realms.sort_unstable();
    realms.dedup();
    if realms.is_empty() {
        report.add(Invariant::Format, names, None, || "no client".to_owned());
    }
    for realm in realms.into_iter().filter(|realm| !barriers.contains_key(realm)) {
        report.add(Invariant::Format, names, None, || {
            format!("nothing was checked at the end: {} has no barrier", names.text(realm))
        });
    }
}
