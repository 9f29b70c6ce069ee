//! The end of a run: everyone who is still there has reached the last event.
//!
//! Invariants: a client is judged by its last connection; one that went away before
//! the barrier is not judged.

use crate::{
    events::{Event, Outcome},
    expect::{View, Withheld},
    faults::Faults,
    history::{At, Entry, History, Name, Names, Place},
    maps::Map,
    members::Belongs,
    report::{Invariant, Report},
    sessions::Client,
    walk::Walked,
};

/// A barrier.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Barrier {
    at: At,
    time: f64,
    pid: Name,
}

/// The barriers of each realm.
pub(crate) fn barriers(history: &History) -> Map<Name, Vec<Barrier>> {
    let mut found: Map<Name, Vec<Barrier>> = Map::default();
    for (at, line) in history.lines() {
        if let Entry::Barrier { realm, pid } = line.entry {
            found.entry(realm).or_default().push(Barrier { at, time: line.at, pid });
        }
    }
    found
}

/// What is needed to judge a client.
pub(crate) struct Ends<'a> {
    pub(crate) barriers: &'a [Barrier],
    pub(crate) faults: &'a Faults,
    pub(crate) names: &'a Names,
    pub(crate) report: &'a mut Report,
}

/// A barrier that is in the log, or may be.
type Known<'a> = (&'a Event<'a>, Option<Place>);

impl Ends<'_> {
    /// True when the client has to be at the end.
    pub(crate) fn must_arrive(&self, client: &Client) -> bool {
        let first = self.barriers.iter().map(|barrier| barrier.time).reduce(f64::min);
        first.is_some_and(|first| client.gone_at.is_none_or(|gone_at| gone_at >= first))
    }

    /// A client that has to be there and has no connection.
    pub(crate) fn is_absent(&mut self, client: &Client) {
        self.add(client.last, |_| "was never connected".to_owned());
    }

    /// Judges a client by its last connection.
    pub(crate) fn check(&mut self, client: &Client, view: View<'_>, walked: &Walked) {
        let mut top = None;
        let mut is_addressed = false;
        for barrier in self.barriers {
            let Some((event, place)) = known(view, barrier) else {
                is_addressed = true;
                if !walked.received.contains(&barrier.pid) {
                    self.missed(client, barrier.pid);
                }
                continue;
            };
            top = top.max(place);
            let Some(place) = place else { continue };
            if !view.is_behind_base(event, place) || self.is_revoked(view, place) {
                is_addressed = true;
            } else if view.entitled(event, place) == Belongs::Yes {
                is_addressed = true;
                if !walked.received.contains(&barrier.pid) {
                    self.missed(client, barrier.pid);
                }
            }
        }
        if !is_addressed {
            self.check_tail(client, view, (walked, top));
        }
    }

    /// No barrier is for this client: then it has all that was for it before them.
    fn check_tail(
        &mut self,
        client: &Client,
        view: View<'_>,
        (walked, top): (&Walked, Option<Place>),
    ) {
        let Some(top) = top else { return };
        let expected = view.expected(Some(top), |event, place| {
            place > walked.last.unwrap_or(place) || view.is_behind_base(event, place)
        });
        let missing = expected.iter().find(|expected| {
            Some(expected.place) > walked.last
                && expected.withheld == Withheld::Never
                && !walked.received.contains(&expected.pid)
                && !self.is_revoked(view, expected.place)
        });
        if let Some(missing) = missing {
            self.missed(client, missing.pid);
        }
    }

    fn is_revoked(&self, view: View<'_>, place: Place) -> bool {
        let connection = view.connection;
        let revocations = self.faults.revocations(connection.realm, connection.user);
        let is_after = |acked_at: f64| acked_at >= connection.opened_at;
        revocations.iter().any(|one| {
            one.acked.is_none_or(|(revoked, acked_at)| revoked < place && is_after(acked_at))
        })
    }

    fn missed(&mut self, client: &Client, pid: Name) {
        self.add(client.last, |names| format!("ends without {}", names.text(pid)));
    }

    fn add(&mut self, at: At, text: impl FnOnce(&Names) -> String) {
        let names = self.names;
        self.report.add(Invariant::Live, names, Some(at), || text(names));
    }
}

/// What the publisher's history says about a barrier; nothing when it is not there.
fn known<'a>(view: View<'a>, barrier: &Barrier) -> Option<Known<'a>> {
    let event = view.events.by_id.get(&barrier.pid)?;
    match event.outcome {
        Outcome::Acked(place) => Some((event, Some(place))),
        Outcome::Refused | Outcome::Unknown { .. } => Some((event, None)),
    }
}

/// Barriers that were not published for good make the run say nothing.
pub(crate) fn check_barriers(
    barriers: &[Barrier],
    events: &Map<Name, Event<'_>>,
    names: &Names,
    report: &mut Report,
) {
    for barrier in barriers {
        let outcome = events.get(&barrier.pid).map(|event| event.outcome);
        if matches!(outcome, Some(Outcome::Refused | Outcome::Unknown { .. })) {
            report.add(Invariant::Format, names, Some(barrier.at), || {
                format!("the barrier {} was not acknowledged", names.text(barrier.pid))
            });
        }
    }
}
