//! A walk over what a connection received, beside what it must have received.
//!
//! An event whose place is known is a step. Between two steps, and before the first,
//! each event that is expected and did not come must have a number without a body.
//! Numbers that stand for nothing known are allowed: the server has events of its own.
//!
//! Invariants: one pass over the items, one over the expected events.

use crate::{
    events::{Event, Outcome},
    expect::{Expected, View},
    faults::{AUTH_GRACE_MS, Faults},
    history::{At, Name, Names, Place},
    maps::{Map, Set},
    members::Belongs,
    report::{Invariant, Report},
    sessions::{Item, Kind},
};

/// Where an event whose place nobody knows may stand, by all who received it.
#[derive(Debug, Clone, Copy)]
struct Window {
    after: Option<Place>,
    before: Option<Place>,
}

impl Window {
    /// True when a record fits between the two ends.
    fn has_room(self) -> bool {
        match (self.after, self.before) {
            (Some(after), Some(before)) if after.generation == before.generation => {
                after.offset + 1 < before.offset
            }
            (Some(after), Some(before)) => after < before,
            (None, _) | (_, None) => true,
        }
    }
}

/// The windows of all such events.
#[derive(Debug, Default)]
pub(crate) struct Windows(Map<Name, Window>);

/// What is known after the walk over one connection.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    pub(crate) received: Set<Name>,
    /// The place of the last step.
    pub(crate) last: Option<Place>,
}

/// One walk.
pub(crate) struct Walk<'a> {
    pub(crate) view: View<'a>,
    pub(crate) names: &'a Names,
    pub(crate) faults: &'a Faults,
    pub(crate) report: &'a mut Report,
    pub(crate) windows: &'a mut Windows,
}

/// A received event with a place, and the index of its item.
#[derive(Debug, Clone, Copy)]
struct Step {
    place: Place,
    index: usize,
}

impl Walk<'_> {
    /// Walks over the whole connection.
    pub(crate) fn run(mut self) -> Walked {
        let mut walked = Walked::default();
        let mut steps: Vec<Step> = Vec::new();
        let mut unknown: Vec<(usize, Name, Option<Place>)> = Vec::new();
        let items = &self.view.connection.items;
        for (index, item) in items.iter().enumerate() {
            self.check_auth(item);
            let eid = match item.kind {
                Kind::Noop(_) => {
                    self.report.counts.noops += 1;
                    continue;
                }
                Kind::Event(_, Some(eid)) => eid,
                Kind::Event(_, None) | Kind::Hello | Kind::Resumed(_) => continue,
            };
            self.report.counts.deliveries += 1;
            if !walked.received.insert(eid) {
                self.add(Invariant::Dup, item.at, |names| {
                    format!("{} comes twice", names.text(eid))
                });
                continue;
            }
            let Some(event) = self.view.events.by_id.get(&eid) else {
                self.add(Invariant::Entitled, item.at, |names| {
                    format!("{}, which nobody published", names.text(eid))
                });
                continue;
            };
            match event.outcome {
                Outcome::Acked(place) => {
                    self.check_known(event, place, item, steps.last());
                    if steps.last().is_none_or(|last| last.place < place) {
                        steps.push(Step { place, index });
                    }
                }
                Outcome::Refused => self.add(Invariant::Ack, item.at, |names| {
                    format!("{}, which was refused", names.text(eid))
                }),
                Outcome::Unknown { .. } => {
                    unknown.push((index, eid, steps.last().map(|last| last.place)));
                }
            }
        }
        self.check_gaps(&walked.received, &steps);
        self.place_unknown(&unknown, &steps);
        walked.last = steps.last().map(|last| last.place);
        walked
    }

    fn add(&mut self, invariant: Invariant, at: At, text: impl FnOnce(&Names) -> String) {
        let names = self.names;
        self.report.add(invariant, names, Some(at), || text(names));
    }

    /// Nothing comes long after a token's end or a revocation.
    fn check_auth(&mut self, item: &Item) {
        let connection = self.view.connection;
        if self.faults.token_end(connection.user).is_some_and(|end| item.time > end + AUTH_GRACE_MS)
        {
            self.add(Invariant::Auth, item.at, |_| "comes after the end of the token".to_owned());
        }
        for one in self.faults.revocations(connection.realm, connection.user) {
            let Some((_, acked_at)) = one.acked else { continue };
            if one.invoked_at > connection.hello_at
                && item.time > acked_at + AUTH_GRACE_MS
                && !self.faults.token_given(connection.user, one.invoked_at, item.time)
            {
                self.add(Invariant::Auth, item.at, |_| "comes after a revocation".to_owned());
            }
        }
    }

    /// An event whose place is known: whom it is for, and whether it is in order.
    fn check_known(&mut self, event: &Event<'_>, place: Place, item: &Item, last: Option<&Step>) {
        let connection = self.view.connection;
        let pid = event.publish.pid;
        if event.publish.realm != connection.realm {
            return self.add(Invariant::Tenant, item.at, |names| {
                let realm = names.text(event.publish.realm);
                format!("{} is of the realm {realm}", names.text(pid))
            });
        }
        if self.view.entitled(event, place) == Belongs::No {
            self.add(Invariant::Entitled, item.at, |names| {
                let user = names.text(connection.user);
                format!("{} is not for {user} at {}", names.text(pid), place.offset)
            });
        }
        for one in self.faults.revocations(connection.realm, connection.user) {
            if one.invoked_at > connection.hello_at
                && one.acked.is_some_and(|(revoked, _)| place > revoked)
                && !self.faults.token_given(connection.user, one.invoked_at, item.time)
            {
                self.add(Invariant::Entitled, item.at, |names| {
                    format!("{} is behind the user's revocation", names.text(pid))
                });
            }
        }
        if self.view.base_min().is_some_and(|base| place <= base) {
            self.add(Invariant::Order, item.at, |names| {
                format!("{} is older than the connection", names.text(pid))
            });
        }
        let Some(last) = last.map(|last| last.place) else { return };
        if place <= last || place.offset <= last.offset {
            self.add(Invariant::Order, item.at, |names| {
                format!("{} at {} comes after {}", names.text(pid), place.offset, last.offset)
            });
        } else if self.view.log.is_lost(last, place.generation) {
            self.add(Invariant::Ack, item.at, |names| {
                let lost = last.offset;
                format!("{} comes though {lost} before it was lost", names.text(pid))
            });
        }
    }

    /// Between two steps nothing that is expected may be missing.
    fn check_gaps(&mut self, received: &Set<Name>, steps: &[Step]) {
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return };
        let view = self.view;
        let missing: Vec<Expected> = view
            .expected(Some(last.place), |event, place| {
                place > first.place || view.is_behind_base(event, place)
            })
            .into_iter()
            .filter(|expected| !received.contains(&expected.pid))
            .collect();
        let mut rest = missing.as_slice();
        let mut from = 0;
        for step in steps {
            let count = rest.partition_point(|expected| expected.place < step.place);
            let (here, later) = rest.split_at(count);
            if !here.is_empty() {
                self.check_gap(here, (from, step.index));
            }
            rest = later;
            from = step.index + 1;
        }
    }

    /// Pairs what is missing with numbers without a body, the last with the last, so
    /// that each gets the latest that it can have.
    fn check_gap(&mut self, missing: &[Expected], (from, to): (usize, usize)) {
        let view = self.view;
        let items = view.connection.items.get(from..=to).unwrap_or_default();
        let Some(step) = items.last() else { return };
        let mut noops = items.iter().rev().filter(|item| matches!(item.kind, Kind::Noop(_)));
        let mut spare = noops.next();
        for expected in missing.iter().rev() {
            match spare {
                Some(noop) if view.may_withhold(expected, noop.time) => spare = noops.next(),
                _ => self.add(Invariant::Ack, step.at, |names| {
                    let (pid, offset) = (names.text(expected.pid), expected.place.offset);
                    format!("{pid} at {offset} is missing before this")
                }),
            }
        }
    }

    /// Events without a known place: for whom they are, and whether there can be one
    /// place that suits everybody.
    fn place_unknown(&mut self, unknown: &[(usize, Name, Option<Place>)], steps: &[Step]) {
        for (index, eid, after) in unknown {
            let Some(event) = self.view.events.by_id.get(eid) else { continue };
            let Some(item) = self.view.connection.items.get(*index) else { continue };
            let next = steps.partition_point(|step| step.index < *index);
            let before = steps.get(next).map(|step| step.place);
            let after = after.or(self.view.base_min());
            if event.publish.realm != self.view.connection.realm {
                self.add(Invariant::Tenant, item.at, |names| {
                    format!("{} is of another realm", names.text(*eid))
                });
            } else if !self.view.may_be_entitled(event, after, before) {
                self.add(Invariant::Entitled, item.at, |names| {
                    format!("{} cannot be for this user here", names.text(*eid))
                });
            } else if event.outcome == (Outcome::Unknown { torn: false }) {
                self.narrow(*eid, Window { after, before }, item.at);
            }
        }
    }

    fn narrow(&mut self, eid: Name, window: Window, at: At) {
        let all = self.windows.0.entry(eid).or_insert(window);
        all.after = all.after.max(window.after);
        all.before = match (all.before, window.before) {
            (Some(left), Some(right)) => Some(left.min(right)),
            (left, right) => left.or(right),
        };
        let all = *all;
        if !window.has_room() {
            self.add(Invariant::Order, at, |names| {
                format!("{} comes where the log has no place for it", names.text(eid))
            });
        } else if !all.has_room() {
            self.add(Invariant::Dedupe, at, |names| {
                format!("{} stands at two places of the log", names.text(eid))
            });
        }
    }
}
