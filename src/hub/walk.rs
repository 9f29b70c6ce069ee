//! Reading the log between two places for one connection: pure, so that a simulation
//! runs exactly this.
//!
//! A resume walks back from the last known place to the number that the client asks
//! for, and forward to where its hub is, with the memberships of each record's place.
//!
//! Invariants:
//! - what a walk returns begins with exactly the number that was asked for;
//! - what is not known is not guessed: the walk says why it can't go on.

use std::sync::Arc;

use super::{addressed::Reader, ring::Ring};
use crate::model::{Body, Record, Revocation};

/// Records by their offsets, as far as they are kept.
pub(crate) trait Records {
    /// The record at `offset`, when it is kept.
    fn get(&self, offset: u64) -> Option<Arc<Record>>;

    /// Shows `see` the records from `from` to `to`, both included, oldest first; `None` when
    /// one of them is not kept. None are shown when `from` is after `to`.
    fn each(&self, from: u64, to: u64, see: impl FnMut(&Arc<Record>)) -> Option<()>;
}

impl Records for Ring {
    fn get(&self, offset: u64) -> Option<Arc<Record>> {
        Self::get(self, offset)
    }

    fn each(&self, from: u64, to: u64, see: impl FnMut(&Arc<Record>)) -> Option<()> {
        Self::each(self, from, to, see)
    }
}

/// Why a connection can't go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetCause {
    /// The records in between are no longer kept.
    Trimmed,
    /// The client expects a number that was never given.
    Ahead,
    /// There is more to repeat than the limits allow.
    TooMuch,
    /// There is no such session.
    Unknown,
    /// The log began a new life.
    Generation,
}

impl ResetCause {
    /// The cause as one word, for metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Trimmed => "retention",
            Self::Ahead => "ahead",
            Self::TooMuch => "replay_limit",
            Self::Unknown => "unknown",
            Self::Generation => "generation",
        }
    }
}

/// A place in the sequence of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The next number to give.
    pub(crate) seq: u64,
    /// The offset up to which it was counted.
    pub(crate) cursor: u64,
}

/// What an earlier socket of the connection and its client know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The number that the client expects next.
    pub(crate) next: u64,
    /// Offset of the hello, which is number 0 and no record.
    pub(crate) base: u64,
    /// Events that may be repeated, at most.
    pub(crate) events_max: usize,
}

/// The outcome of reading the log between two places for one connection.
#[derive(Debug)]
pub(crate) struct Walk {
    /// Records that are sent, oldest first,
    pub(crate) sent: Vec<Arc<Record>>,
    /// and the number of the first one.
    pub(crate) first_seq: u64,
    /// Revocations on the way.
    pub(crate) revoked: Vec<Arc<Record>>,
}

impl Walk {
    pub(crate) fn revocations(&self) -> impl Iterator<Item = &Revocation> {
        self.revoked.iter().filter_map(|record| match &record.body {
            Body::Revocation(revocation) => Some(revocation),
            Body::Event(_)
            | Body::Members { .. }
            | Body::Seeds { .. }
            | Body::Watch { .. }
            | Body::Disconnect { .. }
            | Body::Bus(_)
            | Body::Workspace { .. }
            | Body::Nodes(_)
            | Body::Unknown => None,
        })
    }
}

/// What a new numbering, which begins at `place`, is sent up to `seen`.
pub(crate) fn begin(
    reader: &mut Reader,
    records: &impl Records,
    place: Place,
    seen: u64,
) -> Result<Walk, ResetCause> {
    forward(reader, records, place, seen)
}

/// What a connection that is known to have been at `place` is sent from the number on
/// that it asks for, up to `seen`, which is not before that place.
pub(crate) fn go_on(
    reader: &mut Reader,
    records: &impl Records,
    place: Place,
    wanted: Wanted,
    seen: u64,
) -> Result<Walk, ResetCause> {
    // A hub that serves the connection already may be beyond what is known of its user.
    let behind = reader.known_up_to + 1;
    let learnt = records.each(behind, place.cursor, |record| reader.learn(record));
    learnt.ok_or(ResetCause::Trimmed)?;
    let earlier = backward(reader, records, place, wanted)?;
    // What ended before is forgotten, so what is known does not reach so far back.
    if place.cursor + 1 < reader.known_from {
        return Err(ResetCause::Trimmed);
    }
    let later = forward(reader, records, place, seen)?;
    join(earlier, later, wanted.next)
}

/// Reads from `place` to `seen`, learning memberships on the way.
fn forward(
    reader: &mut Reader,
    records: &impl Records,
    place: Place,
    seen: u64,
) -> Result<Walk, ResetCause> {
    let mut walk = Walk { sent: Vec::new(), first_seq: place.seq, revoked: Vec::new() };
    let read = records.each(place.cursor + 1, seen, |record| {
        reader.learn(record);
        walk.sent.extend(reader.sent(record));
        if matches!(record.body, Body::Revocation(_)) {
            walk.revoked.push(Arc::clone(record));
        }
    });
    read.map(|()| walk).ok_or(ResetCause::Trimmed)
}

/// Finds the events with the wanted numbers that are before `place`.
fn backward(
    reader: &Reader,
    records: &impl Records,
    Place { seq, cursor }: Place,
    Wanted { next, base, events_max }: Wanted,
) -> Result<Walk, ResetCause> {
    // The hello is number 0 and no record: the first record has number 1.
    let wanted = usize::try_from(seq.saturating_sub(next.max(1))).unwrap_or(usize::MAX);
    let mut walk = Walk { sent: Vec::new(), first_seq: seq, revoked: Vec::new() };
    let mut offset = cursor;
    while walk.sent.len() < wanted {
        if offset <= base || walk.sent.len() > events_max {
            return Err(if offset <= base { ResetCause::Trimmed } else { ResetCause::TooMuch });
        }
        if offset < reader.known_from {
            return Err(ResetCause::Trimmed);
        }
        let record = records.get(offset).ok_or(ResetCause::Trimmed)?;
        let faces: Vec<_> = reader.sent(&record).collect();
        walk.sent.extend(faces.into_iter().rev());
        offset -= 1;
    }
    walk.sent.reverse();
    walk.first_seq = seq - u64::try_from(walk.sent.len()).unwrap_or(0);
    Ok(walk)
}

/// Puts both halves together and drops what the client has already.
fn join(earlier: Walk, later: Walk, next: u64) -> Result<Walk, ResetCause> {
    let mut sent = earlier.sent;
    sent.extend(later.sent);
    let first = earlier.first_seq;
    let next = next.max(1);
    let skip = usize::try_from(next.saturating_sub(first)).unwrap_or(usize::MAX);
    if skip > sent.len() {
        return Err(ResetCause::Ahead);
    }
    sent.drain(..skip);
    Ok(Walk { sent, first_seq: next, revoked: later.revoked })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Place, Ring, Wanted, go_on};
    use crate::{
        hub::Reader,
        model::{
            Body, ConnectionId, Event, Generation, Id, Memberships, Position, Record, Renderings,
            Scope, Tag, Topic,
        },
    };

    fn record(offset: u64, body: Body) -> Arc<Record> {
        let generation = Generation::new("1.a");
        Arc::new(Record {
            position: Position { generation, offset, tag: Tag(offset) },
            previous_tag: Tag(offset - 1),
            accepted_at_us: 0,
            body,
            renderings: Renderings::default(),
            kept: None,
        })
    }

    /// Goal: a resume at a hub that has gone on since the snapshot knows what has changed.
    ///
    /// Method: the snapshot is of offset 1; the hub has applied a joining at 2 and an
    /// event to its topic at 3, which the connection was sent as number 1.
    #[test]
    fn a_snapshot_that_is_older_than_the_hub_is_brought_up_to_it() {
        let (topic, user) = (Topic::Channel(Id::parse("c").unwrap()), Id::parse("u").unwrap());
        let event = Event {
            name: Arc::from("posted"),
            data: bytes::Bytes::from_static(b"{}"),
            to: topic.clone(),
            omit_users: Vec::new(),
            omit_connection: None,
            ephemeral: false,
            binary: false,
            id: Arc::from("e"),
            sender: None,
        };
        let joins = Body::Members { topic: topic.clone(), add: vec![user.clone()], remove: vec![] };
        let nothing = Body::Members { topic: topic.clone(), add: vec![], remove: vec![] };
        let ring = Ring::new(0, 8, 1 << 16);
        for (offset, body) in [(1, nothing), (2, joins), (3, Body::Event(event))] {
            ring.push(&record(offset, body));
        }
        let mut reader = Reader {
            connection: ConnectionId::from_random([1; 26]),
            user,
            scope: Scope::Member,
            memberships: Memberships::default(),
            watches: Memberships::default(),
            known_from: 1,
            known_up_to: 1,
        };
        let place = Place { seq: 2, cursor: 3 };
        let wanted = Wanted { next: 1, base: 1, events_max: 8 };
        let walk = go_on(&mut reader, &ring, place, wanted, 3).unwrap();
        assert_eq!((walk.first_seq, walk.sent.len()), (1, 1));
        assert!(reader.memberships.is_open(&topic));
    }
}
