//! What was published, and how each publish ended.
//!
//! Invariants: an event has one invocation and one outcome; only an acknowledged one
//! has a place.

use crate::{
    faults::Faults,
    history::{At, Entry, History, Name, Phase, Place, Position, Publish, Topic},
    log::{Acked, Log},
    maps::Map,
    report::{Invariant, Report},
};

/// How a publish ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Outcome {
    /// At this place of the log.
    Acked(Place),
    /// It must not exist.
    Refused,
    /// It may exist. `torn` when data may have gone while it was under way, so that
    /// it may exist twice.
    Unknown { torn: bool },
}

/// An event of the harness.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    pub(crate) publish: &'a Publish,
    pub(crate) to: Topic,
    pub(crate) invoked_at: f64,
    pub(crate) outcome: Outcome,
}

/// All events, and the logs of the realms.
#[derive(Debug, Default)]
pub(crate) struct Events<'a> {
    pub(crate) by_id: Map<Name, Event<'a>>,
    pub(crate) logs: Map<Name, Log>,
}

/// The end of a request, while lines are read.
#[derive(Debug, Clone, Copy)]
struct End {
    at: At,
    time: f64,
    phase: Phase,
}

impl<'a> Events<'a> {
    /// Collects events and every other acknowledged record of the logs.
    pub(crate) fn of(history: &'a History, faults: &Faults, report: &mut Report) -> Self {
        let mut found = Self::default();
        let mut ends: Map<Name, End> = Map::default();
        for (at, line) in history.lines() {
            if let Entry::Publish(publish) = &line.entry {
                if publish.phase == Phase::Invoke {
                    report.counts.events += 1;
                    let torn = faults.may_tear(line.at, f64::INFINITY);
                    found.begin(history, publish, (at, line.at, torn), report);
                } else {
                    let end = End { at, time: line.at, phase: publish.phase };
                    match ends.get(&publish.pid) {
                        None => {
                            ends.insert(publish.pid, end);
                        }
                        Some(first) => {
                            repeated(history, publish.pid, (first, &end), report);
                        }
                    }
                }
            }
        }
        for (pid, end) in &ends {
            found.end(history, (*pid, end), faults, report);
        }
        found.other_records(history);
        for log in found.logs.values_mut() {
            log.close(faults, &history.names, report);
        }
        found.place(&ends, faults);
        found
    }

    fn begin(
        &mut self,
        history: &History,
        publish: &'a Publish,
        (at, invoked_at, torn): (At, f64, bool),
        report: &mut Report,
    ) {
        let Some(to) = publish.to else { return };
        let outcome = Outcome::Unknown { torn };
        let event = Event { publish, to, invoked_at, outcome };
        if self.by_id.insert(publish.pid, event).is_some() {
            report.add(Invariant::Format, &history.names, Some(at), || {
                format!("{} begins twice", history.names.text(publish.pid))
            });
        }
    }

    fn end(
        &mut self,
        history: &History,
        (pid, end): (Name, &End),
        faults: &Faults,
        report: &mut Report,
    ) {
        let Some(event) = self.by_id.get_mut(&pid) else {
            report.add(Invariant::Format, &history.names, Some(end.at), || {
                format!("{} ends without a begin", history.names.text(pid))
            });
            return;
        };
        match end.phase {
            Phase::Fail => event.outcome = Outcome::Refused,
            Phase::Invoke | Phase::Info => {
                let torn = faults.may_tear(event.invoked_at, end.time);
                event.outcome = Outcome::Unknown { torn };
            }
            Phase::Ok(position) => {
                report.counts.acked += 1;
                self.logs.entry(event.publish.realm).or_default().add(Acked {
                    at: end.at,
                    position,
                    invoked_at: event.invoked_at,
                    acked_at: end.time,
                    pid: Some(pid),
                });
            }
        }
    }

    /// Gives acknowledged events their places, once the order is known.
    fn place(&mut self, ends: &Map<Name, End>, faults: &Faults) {
        for (pid, end) in ends {
            let Phase::Ok(position) = end.phase else { continue };
            let Some(event) = self.by_id.get_mut(pid) else { continue };
            let Some(log) = self.logs.get_mut(&event.publish.realm) else { continue };
            let place = position.place;
            if log.is_torn(place, event.invoked_at) && faults.log_shaken(event.invoked_at, end.time)
            {
                event.outcome = Outcome::Unknown { torn: true };
            } else {
                event.outcome = Outcome::Acked(place);
                log.post(event.to, place, *pid);
            }
        }
        self.logs.values_mut().for_each(Log::close_topics);
    }

    /// Memberships and revocations stand in the same order.
    fn other_records(&mut self, history: &History) {
        let mut begins: Map<Name, f64> = Map::default();
        let mut revokes: Map<Name, f64> = Map::default();
        for (at, line) in history.lines() {
            let (begun, realm, phase) = match &line.entry {
                Entry::Member(member) => (begins.entry(member.mid), member.realm, member.phase),
                Entry::Revoke { user, realm, phase } => (revokes.entry(*user), *realm, *phase),
                Entry::Publish(_)
                | Entry::Token { .. }
                | Entry::Open(_)
                | Entry::Hello { .. }
                | Entry::Resumed { .. }
                | Entry::Received { .. }
                | Entry::Noop { .. }
                | Entry::Close { .. }
                | Entry::End
                | Entry::Node
                | Entry::Fault { .. }
                | Entry::Poll(_)
                | Entry::Barrier { .. } => continue,
            };
            let invoked_at = match phase {
                Phase::Invoke => *begun.insert_entry(line.at).get(),
                Phase::Ok(_) | Phase::Fail | Phase::Info => *begun.or_insert(line.at),
            };
            if let Phase::Ok(position) = phase {
                let log = self.logs.entry(realm).or_default();
                log.add(Acked { at, position, invoked_at, acked_at: line.at, pid: None });
            }
        }
    }
}

/// A publish that ends a second time.
fn repeated(history: &History, pid: Name, (first, second): (&End, &End), report: &mut Report) {
    let names = &history.names;
    let two_places = |left: Position, right: Position| left.place != right.place;
    match (first.phase, second.phase) {
        (Phase::Ok(left), Phase::Ok(right)) if two_places(left, right) => {
            report.add(Invariant::Dedupe, names, Some(second.at), || {
                let (one, other) = (left.place.offset, right.place.offset);
                format!("{} was acknowledged at {one} and at {other}", names.text(pid))
            });
        }
        _ => report.add(Invariant::Format, names, Some(second.at), || {
            format!("{} ends twice", names.text(pid))
        }),
    }
}
