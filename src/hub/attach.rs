//! A connection arrives: fresh, or as the continuation of an earlier socket.
//!
//! The log's snapshot and the hub's own place in the log rarely agree. What lies
//! between them is read from the ring and sent, so that nothing falls into a gap
//! and nothing is sent twice. A resume is the same walk from an earlier place.
//!
//! Invariants:
//! - a resume that succeeds continues with exactly the number that was asked for;
//! - one that can't be proved intact changes nothing but the old socket, and says why;
//! - the old socket of a resumed connection is closed, whether it lives or not.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    addressed::{Reader, Verdict},
    connection::Connection,
    index::{Key, Realm},
    link::Link,
    outbox::Pushed,
    shard::{Shard, session_ended},
    turn::Chain,
};
use crate::model::{Body, CloseCode, Identity, Record, Revocation, Revocations, Topic};

/// A connection that wants to be served.
#[derive(Debug)]
pub struct Attach {
    /// Key of its realm on this node.
    pub realm_key: usize,
    /// Its realm.
    pub realm: Arc<Realm>,
    /// What its token proved.
    pub identity: Arc<Identity>,
    /// The fencing number of its claim: of two sockets, the higher one stays.
    pub fencing: u64,
    /// What it reads, as known at the snapshot.
    pub reader: Reader,
    /// Its socket.
    pub link: Arc<Link>,
    /// Where it begins.
    pub start: Start,
    /// The complete first frame of a new numbering, when the dialect has one.
    pub hello: Option<Bytes>,
    /// The bounds of a replay: events and bytes.
    pub replay_max: (usize, usize),
    /// Where the outcome goes.
    pub answer: oneshot::Sender<Attached>,
}

/// Where a connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the snapshot, with `seq` 0 for the hello.
    Fresh,
    /// Where an earlier socket ended.
    Resume {
        /// The number that the client expects next.
        next: u64,
        /// The last known next number,
        seq: u64,
        /// and the offset up to which it was counted.
        cursor: u64,
        /// Offset of the hello.
        base: u64,
    },
}

/// What became of a connection that wanted to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attached {
    /// It is served from its beginning.
    Fresh,
    /// It goes on; so many events were repeated.
    Resumed {
        /// Events that were written again or for the first time.
        replayed: usize,
    },
    /// It can't go on from there: it needs a new numbering.
    Reset(ResetCause),
    /// Its token has ended.
    Ended,
    /// This hub has not come so far yet: ask again.
    Behind,
    /// A socket that claimed the connection later is served already.
    Superseded,
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

/// The outcome of reading the log between two places for one connection.
struct Walk {
    /// Records that are sent, oldest first, and the number of the first one.
    sent: Vec<Arc<Record>>,
    first_seq: u64,
    /// Revocations on the way.
    revoked: Vec<Arc<Record>>,
}

impl Walk {
    fn revocations(&self) -> impl Iterator<Item = &Revocation> {
        self.revoked.iter().filter_map(|record| match &record.body {
            Body::Revocation(revocation) => Some(revocation),
            Body::Event(_)
            | Body::Members { .. }
            | Body::Seeds { .. }
            | Body::Watch { .. }
            | Body::Disconnect { .. }
            | Body::Unknown => None,
        })
    }
}

impl Shard {
    /// Serves a connection, or says why not.
    ///
    /// When nobody waits for the answer any more, the connection is forgotten again.
    pub(super) fn attach(&mut self, mut attach: Attach) {
        let attached = self.try_attach(&mut attach);
        let Attach { realm_key, reader, link, answer, .. } = attach;
        if answer.send(attached).is_err() {
            self.detach(realm_key, reader.connection, &link);
        }
    }

    fn try_attach(&mut self, attach: &mut Attach) -> Attached {
        let Some(index) = self.realm(attach.realm_key, &attach.realm) else {
            return Attached::Behind;
        };
        let seen = index.seen;
        let old = index.key(attach.reader.connection);
        let is_newer = |live: &Connection| live.fencing > attach.fencing;
        if old.and_then(|key| self.connections.get(key as usize)).is_some_and(is_newer) {
            return Attached::Superseded;
        }
        let (seq, cursor) =
            match (old.and_then(|key| self.connections.get(key as usize)), attach.start) {
                (Some(live), Start::Resume { .. }) => (live.seq, live.cursor.max(seen)),
                (None, Start::Resume { seq, cursor, .. }) => (seq, cursor),
                (_, Start::Fresh) => (1, attach.reader.known_up_to),
            };
        if let Some(key) = old {
            self.dismiss(key, |link| {
                link.abandon(CloseCode::ResumedElsewhere, "another socket took over");
            });
        }
        let walk = match attach.start {
            Start::Fresh => forward(attach, seen, cursor, seq),
            Start::Resume { .. } if cursor > seen => return Attached::Behind,
            Start::Resume { next, base, .. } => {
                backward(attach, cursor, base, seq, next).and_then(|earlier| {
                    let later = forward(attach, seen, cursor, seq)?;
                    join(earlier, later, next)
                })
            }
        };
        match walk {
            Ok(walk) => self.serve(attach, &walk, cursor.max(seen)),
            Err(cause) => Attached::Reset(cause),
        }
    }

    fn serve(&mut self, attach: &mut Attach, walk: &Walk, cursor: u64) -> Attached {
        // Before anything is sent: what follows the end of a token is not for its holder.
        if walk.revocations().any(|revocation| ends(revocation, &attach.identity)) {
            session_ended(&attach.link);
            return Attached::Ended;
        }
        let bytes = weight(&walk.sent, &attach.link);
        let (events_max, bytes_max) = attach.replay_max;
        let is_resume = attach.start != Start::Fresh;
        if is_resume && (walk.sent.len() > events_max || bytes > bytes_max) {
            return Attached::Reset(ResetCause::TooMuch);
        }
        let hello_bytes = attach.hello.as_ref().map_or(0, Bytes::len);
        attach.link.grant(walk.sent.len() + 1, bytes + hello_bytes);
        let wants_hello = match attach.start {
            Start::Fresh => true,
            Start::Resume { next, .. } => next == 0,
        };
        if let (true, Some(hello)) = (wants_hello, attach.hello.take()) {
            if let (Some(names), "mattermost") =
                (&self.metrics.mattermost, attach.link.encoding().name)
            {
                names.written("hello");
            }
            // Written with the replay: what was granted lasts until all has left.
            let fits = attach.link.push_frame(hello);
            debug_assert!(fits, "a hello and its replay fit into what was granted");
        }
        let key = self.insert(attach, walk, cursor);
        self.touch(key);
        match attach.start {
            Start::Fresh => Attached::Fresh,
            Start::Resume { .. } => Attached::Resumed { replayed: walk.sent.len() },
        }
    }

    /// Indexes the connection and queues what the walk found.
    fn insert(&mut self, attach: &mut Attach, walk: &Walk, cursor: u64) -> Key {
        let mut seq = walk.first_seq;
        for record in &walk.sent {
            // A replayed body of an ephemeral event is gone, and one of a topic that the
            // user has left is not theirs any more; their numbers are.
            let is_ephemeral = matches!(&record.body, Body::Event(event) if event.ephemeral);
            if is_ephemeral || !attach.reader.still_reads(record) {
                self.metrics.bodies_withheld_total.with_label_values(&["replayed"]).inc();
                attach.link.push_noop(seq);
            } else {
                let pushed = attach.link.push_event(record, seq);
                debug_assert_ne!(pushed, Pushed::Full, "a replay fits into what was granted");
            }
            seq += 1;
        }
        let reader = &attach.reader;
        // The index is what was true at the hub's own place, which may be before the
        // snapshot's: what lies between them is yet to be applied.
        let seen = self.known_realm(attach.realm_key).map_or(0, |index| index.seen);
        let watched: Vec<_> = reader
            .watches
            .open_topics_at(seen)
            .filter_map(
                |topic| if let Topic::Status(user) = topic { Some(user.clone()) } else { None },
            )
            .collect();
        let key = self.connections.insert(Connection {
            id: reader.connection,
            realm: attach.realm_key,
            identity: Arc::clone(&attach.identity),
            scope: reader.scope.clone(),
            link: Arc::clone(&attach.link),
            seq,
            cursor,
            view: None,
            watches: Vec::new(),
            pinged_at: 0,
            opened_at_ms: self.clock.now_ms(),
            fencing: attach.fencing,
            chain: Chain::default(),
            is_touched: false,
            behind_at: None,
        });
        let key = Key::try_from(key).unwrap_or(Key::MAX);
        let mut open: Vec<Topic> = reader.memberships.open_topics_at(seen).cloned().collect();
        open.shrink_to_fit();
        if let Some(Some(index)) = self.realms.get_mut(attach.realm_key) {
            let who = (&reader.user, &reader.scope);
            index.add(key, reader.connection, who, open);
            for user in &watched {
                index.watch(key, user);
            }
        }
        if !watched.is_empty()
            && let Some(connection) = self.connections.get_mut(key as usize)
        {
            connection.watches = watched;
        }
        self.hub_metrics.connections.inc();
        key
    }
}

fn ends(revocation: &Revocation, identity: &Identity) -> bool {
    Revocations::of(revocation, &identity.user, identity.session.as_ref()).ends(identity)
}

/// Reads from `cursor` to `seen`, learning memberships on the way.
fn forward(attach: &mut Attach, seen: u64, cursor: u64, seq: u64) -> Result<Walk, ResetCause> {
    let begins_too_early = cursor + 1 < attach.reader.known_from;
    if begins_too_early && attach.start != Start::Fresh {
        return Err(ResetCause::Trimmed);
    }
    let records = attach.realm.ring.slice(cursor + 1, seen).ok_or(ResetCause::Trimmed)?;
    let mut walk = Walk { sent: Vec::new(), first_seq: seq, revoked: Vec::new() };
    for record in records {
        attach.reader.learn(&record);
        if attach.reader.verdict(&record) == Verdict::Sent {
            walk.sent.push(record);
        } else if matches!(record.body, Body::Revocation(_)) {
            walk.revoked.push(record);
        }
    }
    Ok(walk)
}

/// Finds the events with numbers from `next` up to `seq`, all at or before `cursor`.
fn backward(
    attach: &Attach,
    cursor: u64,
    base: u64,
    seq: u64,
    next: u64,
) -> Result<Walk, ResetCause> {
    // The hello is number 0 and no record: the first record has number 1.
    let wanted = usize::try_from(seq.saturating_sub(next.max(1))).unwrap_or(usize::MAX);
    let mut walk = Walk { sent: Vec::new(), first_seq: seq, revoked: Vec::new() };
    let mut offset = cursor;
    while walk.sent.len() < wanted {
        if offset <= base || walk.sent.len() > attach.replay_max.0 {
            return Err(if offset <= base { ResetCause::Trimmed } else { ResetCause::TooMuch });
        }
        if offset < attach.reader.known_from {
            return Err(ResetCause::Trimmed);
        }
        let record = attach.realm.ring.get(offset).ok_or(ResetCause::Trimmed)?;
        if attach.reader.verdict(&record) == Verdict::Sent {
            walk.sent.push(record);
        }
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

/// What the records weigh in an outbox.
fn weight(records: &[Arc<Record>], link: &Link) -> usize {
    records.iter().map(|record| link.encoding().shared(record).payload.len() + 64).sum()
}
