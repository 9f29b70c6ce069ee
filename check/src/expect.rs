//! What a connection must be sent: the function of the log, computed anew.
//!
//! Invariants: nothing here knows what was received, except where it is told to.

use crate::{
    events::{Event, Events, Outcome},
    history::{Name, Place, Topic},
    log::Log,
    members::{Belongs, Members, OfUser},
    sessions::Connection,
};

/// When a number without a body may stand for an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Withheld {
    /// Never.
    Never,
    /// Always: it was published as one that may be withheld.
    Always,
    /// When its receiver may have left its topic before.
    Left(Topic),
}

/// An event that must come, with a body or, where that is allowed, without.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) place: Place,
    pub(crate) pid: Name,
    pub(crate) withheld: Withheld,
}

/// One connection and what decides about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) events: &'a Events<'a>,
    pub(crate) log: &'a Log,
    pub(crate) topics: Option<&'a OfUser>,
}

impl<'a> View<'a> {
    /// The view of `connection`; `empty` stands in for a realm without a log.
    pub(crate) fn new(
        connection: &'a Connection,
        events: &'a Events<'a>,
        members: &'a Members,
        empty: &'a Log,
    ) -> Self {
        let log = events.logs.get(&connection.realm).unwrap_or(empty);
        let topics = members.of_user(connection.realm, connection.user);
        Self { connection, events, log, topics }
    }

    /// The highest place that is surely before the beginning of the connection.
    pub(crate) fn base_min(&self) -> Option<Place> {
        self.log.acked_before(self.connection.opened_at)
    }

    /// True when an event of the log is surely behind the beginning.
    pub(crate) fn is_behind_base(&self, event: &Event<'_>, place: Place) -> bool {
        let hello_at = self.connection.hello_at;
        event.invoked_at > hello_at
            || self.log.invoked_after(hello_at).is_some_and(|lowest| place >= lowest)
    }

    /// True when the event leaves this connection or its user out.
    pub(crate) fn is_omitted(&self, event: &Event<'_>) -> bool {
        event.publish.omit_users.contains(&self.connection.user)
            || event.publish.omit_connection == Some(self.connection.cid)
    }

    /// Whether an event that stands at `place` is for this connection.
    pub(crate) fn entitled(&self, event: &Event<'_>, place: Place) -> Belongs {
        if event.publish.realm != self.connection.realm || self.is_omitted(event) {
            return Belongs::No;
        }
        let is = |is: bool| if is { Belongs::Yes } else { Belongs::No };
        match event.to {
            Topic::Everyone => Belongs::Yes,
            Topic::User(user) => is(user == self.connection.user),
            Topic::Connection(cid) => is(cid == self.connection.cid),
            Topic::Group(..) => {
                let changes = self.topics.and_then(|topics| topics.get(&event.to));
                changes.map_or(Belongs::No, |changes| changes.at(place, self.log))
            }
        }
    }

    /// Whether an event that stands somewhere between two places may be for this
    /// connection.
    pub(crate) fn may_be_entitled(
        &self,
        event: &Event<'_>,
        after: Option<Place>,
        before: Option<Place>,
    ) -> bool {
        if let Topic::Group(..) = event.to {
            let changes = self.topics.and_then(|topics| topics.get(&event.to));
            return event.publish.realm == self.connection.realm
                && !self.is_omitted(event)
                && changes.is_some_and(|changes| changes.within(after, before, self.log));
        }
        self.entitled(event, Place { generation: 0, offset: 0 }) != Belongs::No
    }

    /// Every event between two places (ends left out) that must come, by place.
    /// `is_required` says whether one behind no other received event must.
    pub(crate) fn expected(
        &self,
        before: Option<Place>,
        is_required: impl Fn(&Event<'_>, Place) -> bool,
    ) -> Vec<Expected> {
        let own = [
            Topic::Everyone,
            Topic::User(self.connection.user),
            Topic::Connection(self.connection.cid),
        ];
        let groups = self.topics.into_iter().flat_map(|topics| topics.keys().copied());
        let after = self.base_min();
        let mut found = Vec::new();
        for topic in own.into_iter().chain(groups) {
            for (place, pid) in self.log.between(topic, after, before) {
                let Some(event) = self.events.by_id.get(pid) else { continue };
                if event.outcome != Outcome::Acked(*place)
                    || self.entitled(event, *place) != Belongs::Yes
                    || !is_required(event, *place)
                {
                    continue;
                }
                let withheld = match event.to {
                    _ if event.publish.ephemeral => Withheld::Always,
                    Topic::Group(..) => Withheld::Left(event.to),
                    Topic::Everyone | Topic::User(_) | Topic::Connection(_) => Withheld::Never,
                };
                found.push(Expected { place: *place, pid: *pid, withheld });
            }
        }
        found.sort_unstable_by_key(|expected| expected.place);
        found
    }

    /// True when a number without a body, seen at `time`, may stand for `expected`.
    pub(crate) fn may_withhold(&self, expected: &Expected, time: f64) -> bool {
        match expected.withheld {
            Withheld::Never => false,
            Withheld::Always => true,
            Withheld::Left(topic) => {
                let changes = self.topics.and_then(|topics| topics.get(&topic));
                changes.is_some_and(|changes| changes.left(expected.place, time))
            }
        }
    }
}
