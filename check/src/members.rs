//! Who belonged to what, at each place of the log.
//!
//! A change is in force after its own place. One whose outcome is unknown may be in
//! force from the moment it was asked for, until a change that was asked for later.
//!
//! Invariants: without any change a user belongs to nothing; doubt is said, never
//! decided.

use crate::{
    events::Events,
    history::{Entry, History, Member, Name, Phase, Place, Topic},
    log::Log,
    maps::Map,
};

/// Whether a user belongs to a topic at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Belongs {
    /// Surely.
    Yes,
    /// Surely not.
    No,
    /// Both may be true.
    Maybe,
}

#[derive(Debug, Clone, Copy)]
struct Change {
    /// From here on; nothing before it when it is none.
    after: Option<Place>,
    invoked_at: f64,
    effect: Belongs,
}

/// The changes of one user, by topic.
pub(crate) type OfUser = Map<Topic, Changes>;

/// The changes of one user and topic, in order.
#[derive(Debug, Default)]
pub(crate) struct Changes(Vec<Change>);

/// All changes, by realm and user.
#[derive(Debug, Default)]
pub(crate) struct Members(Map<(Name, Name), OfUser>);

/// A request whose outcome is unknown, or became known.
#[derive(Debug, Clone, Copy)]
struct Request<'a> {
    member: &'a Member,
    invoked_at: f64,
    ended: Option<(f64, Phase)>,
}

impl Members {
    /// Collects all changes.
    pub(crate) fn of(history: &History, events: &Events<'_>) -> Self {
        let mut grouped: Map<(Name, Name, Topic), Vec<Request<'_>>> = Map::default();
        for request in requests(history).values() {
            let Member { realm, user, topic, .. } = request.member;
            grouped.entry((*realm, *user, *topic)).or_default().push(*request);
        }
        let nothing = Log::default();
        let mut found = Self::default();
        for ((realm, user, topic), requests) in grouped {
            let log = events.logs.get(&realm).unwrap_or(&nothing);
            let topics = found.0.entry((realm, user)).or_default();
            topics.insert(topic, changes(&requests, log));
        }
        found
    }

    /// The topics of a user.
    pub(crate) fn of_user(&self, realm: Name, user: Name) -> Option<&OfUser> {
        self.0.get(&(realm, user))
    }
}

fn requests(history: &History) -> Map<Name, Request<'_>> {
    let mut found: Map<Name, Request<'_>> = Map::default();
    for (_, line) in history.lines() {
        let Entry::Member(member) = &line.entry else { continue };
        let begun = Request { member, invoked_at: line.at, ended: None };
        let request = found.entry(member.mid).or_insert(begun);
        match member.phase {
            Phase::Invoke => request.invoked_at = request.invoked_at.min(line.at),
            Phase::Ok(_) | Phase::Fail | Phase::Info => {
                request.ended = Some((line.at, member.phase));
            }
        }
    }
    found
}

fn changes(requests: &[Request<'_>], log: &Log) -> Changes {
    let mut all = Vec::new();
    let mut doubts = Vec::new();
    for request in requests {
        let effect = if request.member.add { Belongs::Yes } else { Belongs::No };
        let invoked_at = request.invoked_at;
        match request.ended {
            Some((_, Phase::Fail)) => {}
            Some((_, Phase::Ok(position))) => {
                all.push(Change { after: Some(position.place), invoked_at, effect });
            }
            Some((at, Phase::Info | Phase::Invoke)) => doubts.push((invoked_at, at)),
            None => doubts.push((invoked_at, f64::INFINITY)),
        }
    }
    for change in &mut all {
        let in_doubt = |doubt: &(f64, f64)| {
            doubt.1 >= change.invoked_at && log.acked_before(doubt.0) < change.after
        };
        if doubts.iter().any(in_doubt) {
            change.effect = Belongs::Maybe;
        }
    }
    all.extend(doubts.iter().map(|(invoked_at, _)| Change {
        after: log.acked_before(*invoked_at),
        invoked_at: *invoked_at,
        effect: Belongs::Maybe,
    }));
    all.sort_by_key(|change| change.after);
    Changes(all)
}

impl Changes {
    /// Whether the user belongs at `place`, where an event stands.
    pub(crate) fn at(&self, place: Place, log: &Log) -> Belongs {
        let end = self.0.partition_point(|change| change.after < Some(place));
        let Some(change) = end.checked_sub(1).and_then(|last| self.0.get(last)) else {
            return Belongs::No;
        };
        let from = change.after.map_or(place.generation, |after| after.generation);
        if log.is_doubtful(from, place.generation) { Belongs::Maybe } else { change.effect }
    }

    /// Whether the user may belong anywhere between two places.
    pub(crate) fn within(&self, after: Option<Place>, before: Option<Place>, log: &Log) -> bool {
        let at_begin = match after {
            // Just behind `after` what stands at it is in force.
            Some(Place { generation, offset }) => {
                self.at(Place { generation, offset: offset + 1 }, log) != Belongs::No
            }
            None => false,
        };
        let is_doubtful = match (after, before) {
            (Some(after), Some(before)) => log.is_doubtful(after.generation, before.generation),
            (None, _) | (_, None) => false,
        };
        if is_doubtful && !self.0.is_empty() {
            return true;
        }
        let is_inside = |change: &&Change| {
            change.after >= after && before.is_none_or(|before| change.after < Some(before))
        };
        at_begin || self.0.iter().filter(is_inside).any(|change| change.effect != Belongs::No)
    }

    /// True when the user may have left behind `place`, by a change that was asked for
    /// until `time`.
    pub(crate) fn left(&self, place: Place, time: f64) -> bool {
        self.0.iter().any(|change| {
            change.effect != Belongs::Yes
                && change.after >= Some(place)
                && change.invoked_at <= time
        })
    }
}
