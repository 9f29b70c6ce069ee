//! Which records a connection is sent: the pure function behind every `seq`.
//!
//! The hub's index finds the same connections faster; a resume, and the answer to
//! "why did I get this", use this function itself. A test holds both together.
//!
//! Invariants: the verdict depends on the record, the reader's identity and the
//! memberships at the record's offset, and on nothing else.

use std::sync::Arc;

use crate::model::{
    Audience, Body, ConnectionId, Event, Face, Memberships, Record, RoomKind, Scope, Subject,
    Topic, UserId, chat_subject,
};

/// What a connection is told of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is sent, and counts.
    Sent,
    /// It is not sent and does not count, by this rule.
    Skipped(Rule),
}

/// Why a record is not for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// It changes who may see what; it is no event.
    ControlRecord,
    /// It is for another user.
    OtherUser,
    /// It is for another connection.
    OtherConnection,
    /// Its topic is of a kind that this connection does not read.
    OtherScope,
    /// The user was not a member at that offset.
    NotMember,
    /// The connection did not watch that user at that offset.
    NotWatched,
    /// The connection was not in that room at that offset.
    NotJoined,
    /// The event leaves this user out.
    OmittedUser,
    /// The event leaves this connection out.
    OmittedConnection,
    /// Nothing of the bus event is for this connection.
    NotEntitled,
}

impl Rule {
    /// The rule as a sentence, for `explain`.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::ControlRecord => "the record is not an event",
            Self::OtherUser => "the event is addressed to another user",
            Self::OtherConnection => "the event is addressed to another connection",
            Self::OtherScope => "this connection does not read topics of this kind",
            Self::NotMember => "the user was not a member of the topic at this offset",
            Self::NotWatched => "the connection did not watch this user at this offset",
            Self::NotJoined => "the connection was not in the room at this offset",
            Self::OmittedUser => "the event leaves this user out",
            Self::OmittedConnection => "the event leaves this connection out",
            Self::NotEntitled => {
                "no workspace, right, role or login of this connection is concerned by the event"
            }
        }
    }

    /// The rule as one word, for machines.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::ControlRecord => "control_record",
            Self::OtherUser => "other_user",
            Self::OtherConnection => "other_connection",
            Self::OtherScope => "other_scope",
            Self::NotMember => "not_member",
            Self::NotWatched => "not_watched",
            Self::NotJoined => "not_joined",
            Self::OmittedUser => "omitted_user",
            Self::OmittedConnection => "omitted_connection",
            Self::NotEntitled => "not_entitled",
        }
    }
}

/// A connection as the function sees it.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Its name.
    pub connection: ConnectionId,
    /// Whose it is.
    pub user: UserId,
    /// What it reads.
    pub scope: Scope,
    /// Memberships of its user.
    pub memberships: Memberships,
    /// Users that it watches.
    pub watches: Memberships,
    /// Offset from which on the two tell the truth: what ended before it is forgotten.
    pub known_from: u64,
    /// Offset up to which the two are complete.
    pub known_up_to: u64,
}

impl Reader {
    /// Takes note of a control record that is newer than what is known.
    pub fn learn(&mut self, record: &Record) {
        let offset = record.position.offset;
        if offset <= self.known_up_to {
            return;
        }
        self.known_up_to = offset;
        match &record.body {
            Body::Members { topic, add, remove } => {
                if add.contains(&self.user) {
                    self.memberships.open(topic.clone(), offset);
                }
                if remove.contains(&self.user) {
                    self.memberships.close(topic, offset);
                }
            }
            Body::Seeds { user, topics } if *user == self.user => {
                for topic in topics {
                    self.memberships.open(topic.clone(), offset);
                }
            }
            Body::Watch { connection, add, remove } if *connection == self.connection => {
                for topic in add {
                    self.watches.open(topic.clone(), offset);
                }
                for topic in remove {
                    self.watches.close(topic, offset);
                }
            }
            Body::Seeds { .. }
            | Body::Watch { .. }
            | Body::Event(_)
            | Body::Revocation(_)
            | Body::Disconnect { .. }
            | Body::Bus(_)
            | Body::Workspace { .. }
            | Body::Nodes(_)
            | Body::Unknown => {}
        }
    }

    /// What this connection is told of `record`.
    #[must_use]
    pub fn verdict(&self, record: &Record) -> Verdict {
        let refusal = match &record.body {
            Body::Event(event) => self.refusal(event, record.position.offset),
            Body::Bus(_) if matches!(self.scope, Scope::Bus(_)) => {
                self.faces(record).next().is_none().then_some(Rule::NotEntitled)
            }
            Body::Bus(_) => Some(Rule::OtherScope),
            Body::Members { .. }
            | Body::Seeds { .. }
            | Body::Watch { .. }
            | Body::Revocation(_)
            | Body::Disconnect { .. }
            | Body::Workspace { .. }
            | Body::Nodes(_)
            | Body::Unknown => Some(Rule::ControlRecord),
        };
        match refusal {
            Some(rule) => Verdict::Skipped(rule),
            None => Verdict::Sent,
        }
    }

    /// What this connection is sent of `record`: nothing, itself, or some of its faces.
    pub(super) fn sent<'a>(&'a self, record: &'a Arc<Record>) -> impl Iterator<Item = Arc<Record>> {
        let itself = matches!(record.body, Body::Event(_)) && self.verdict(record) == Verdict::Sent;
        let faces = self.faces(record).map(|face| Arc::clone(&face.record));
        itself.then(|| Arc::clone(record)).into_iter().chain(faces)
    }

    fn faces<'a>(&'a self, record: &'a Record) -> impl DoubleEndedIterator<Item = &'a Face> {
        let offset = record.position.offset;
        record.faces().iter().filter(move |face| match (&self.scope, &face.audience) {
            (Scope::Bus(subject), audience) => {
                let is_member = match audience {
                    Audience::Members { .. } => self.memberships.covers(&audience.topic(), offset),
                    Audience::User(_) | Audience::Role(_) | Audience::Admins => true,
                };
                is_member && audience.admits(&self.user, subject)
            }
            (Scope::Member | Scope::Room(_) | Scope::Chat(_), _) => false,
        })
    }

    /// False when what happens in a room is not for this user: then its number is, and its
    /// body is not. Asked for the offset of the record, and for what is known last.
    pub(super) fn may_see(&self, record: &Record) -> bool {
        let Body::Event(event) = &record.body else { return true };
        let Topic::Chat(_) = event.to else { return true };
        let Scope::Chat(subject) = &self.scope else { return false };
        let covers = |workspace: &Topic, offset| self.memberships.covers(workspace, offset);
        admits(record, event, (&self.user, subject), |workspace| {
            covers(workspace, record.position.offset) && covers(workspace, u64::MAX)
        })
    }

    /// False when the user has left the topic of `record` since, as far as is known.
    pub(super) fn still_reads(&self, record: &Record) -> bool {
        let Body::Event(event) = &record.body else { return true };
        self.refusal_by_topic(&event.to, u64::MAX).is_none()
    }

    fn refusal(&self, event: &Event, offset: u64) -> Option<Rule> {
        let reads_events = matches!(self.scope, Scope::Member | Scope::Room(_) | Scope::Chat(_));
        if !reads_events && !matches!(event.to, Topic::Connection(_)) {
            return Some(Rule::OtherScope);
        }
        if let Some(rule) = self.refusal_by_topic(&event.to, offset) {
            return Some(rule);
        }
        omission(event, self.connection, &self.user)
    }

    fn refusal_by_topic(&self, topic: &Topic, offset: u64) -> Option<Rule> {
        let unless = |fits: bool, rule: Rule| if fits { None } else { Some(rule) };
        match (&self.scope, topic) {
            (_, Topic::Connection(id)) => unless(*id == self.connection, Rule::OtherConnection),
            (Scope::Room(room), Topic::Room(id)) => unless(room == id, Rule::OtherScope),
            (Scope::Chat(_), Topic::Chat(_)) => {
                unless(self.watches.covers(topic, offset), Rule::NotJoined)
            }
            (Scope::Room(_) | Scope::Chat(_), _)
            | (Scope::Member, Topic::Room(_) | Topic::Chat(_)) => Some(Rule::OtherScope),
            // What else of the bus was for this connection stays so.
            (Scope::Member, Topic::Everyone) => None,
            (Scope::Bus(_), topic) if !topic.has_members() => None,
            (Scope::Member, Topic::User(user)) => unless(*user == self.user, Rule::OtherUser),
            (Scope::Member, Topic::Status(user)) => {
                let own = *user == self.user;
                unless(own || self.watches.covers(topic, offset), Rule::NotWatched)
            }
            (Scope::Member, Topic::Channel(_) | Topic::Team(_) | Topic::Workspace(_))
            | (Scope::Bus(_), _) => unless(self.memberships.covers(topic, offset), Rule::NotMember),
        }
    }
}

/// True when what happened in a room is for `user`: by the rights at the place of the
/// record, which the tail has found out.
pub(super) fn admits(
    record: &Record,
    event: &Event,
    (user, subject): (&UserId, &Subject),
    is_member: impl Fn(&Topic) -> bool,
) -> bool {
    match chat_subject(&event.data) {
        Some((RoomKind::Global, _)) => true,
        Some((RoomKind::User, object)) => object == user.as_str(),
        Some((RoomKind::Workspace | RoomKind::Node, _)) => {
            let mut readers = record.readers().unwrap_or_default().iter();
            readers.any(|reader| is_member(&reader.topic()) && reader.admits(user, subject))
        }
        None => false,
    }
}

/// The rule by which `event` leaves a connection out that its topic includes.
///
/// An event to one connection, or to one user, leaves nobody of it out but by name
/// of the connection (Mattermost's order of rules).
pub(super) fn omission(event: &Event, connection: ConnectionId, user: &UserId) -> Option<Rule> {
    if matches!(event.to, Topic::Connection(_)) {
        return None;
    }
    if event.omit_connection == Some(connection) {
        return Some(Rule::OmittedConnection);
    }
    let is_to_one = matches!(event.to, Topic::User(_) | Topic::Status(_));
    if !is_to_one && event.omit_users.contains(user) {
        return Some(Rule::OmittedUser);
    }
    None
}
