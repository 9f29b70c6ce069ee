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
    addressed::Reader,
    connection::Connection,
    index::Key,
    link::Link,
    outbox::Pushed,
    realm::Realm,
    shard::{Shard, session_ended},
    turn::Chain,
    walk::{self, Place, ResetCause, Walk, Wanted},
};
use crate::model::{Body, CloseCode, Identity, Position, Record, Revocation, Revocations, Topic};

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
    /// What had been heard of claims before this one was made ([`Claims::mark`]).
    ///
    /// [`Claims::mark`]: super::Claims::mark
    pub claimed_after: u64,
    /// The log's end at the snapshot.
    pub at: Position,
    /// The offset after which a new numbering begins: the snapshot's, or an earlier one.
    pub begins_after: u64,
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
    /// This hub has not come so far.
    Behind,
    /// A socket that claimed the connection later is served already, here or elsewhere.
    Superseded,
    /// Somebody may have claimed the connection meanwhile, or the realm begins a new
    /// life here: claim again later.
    Doubtful,
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
                (_, Start::Fresh) => (1, attach.begins_after),
            };
        if let Some(key) = old {
            self.dismiss(key, |link| {
                link.abandon(CloseCode::ResumedElsewhere, "another socket took over");
            });
        }
        let (place, ring) = (Place { seq, cursor }, &attach.realm.ring);
        let walk = match attach.start {
            Start::Fresh => walk::begin(&mut attach.reader, ring, place, seen),
            Start::Resume { .. } if cursor > seen => return Attached::Behind,
            Start::Resume { next, base, .. } => {
                let wanted = Wanted { next, base, events_max: attach.replay_max.0 };
                walk::go_on(&mut attach.reader, ring, place, wanted, seen)
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
            // A replayed body of an ephemeral event, or of a message that was deleted, is
            // gone, and one of a topic that the user has left is not theirs any more;
            // their numbers are.
            let is_ephemeral = matches!(&record.body, Body::Event(event) if event.ephemeral);
            let is_gone = is_ephemeral || attach.realm.ring.was_deleted(record);
            let is_theirs = attach.reader.still_reads(record) && attach.reader.may_see(record);
            if is_gone || !is_theirs {
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
        let watched: Vec<Topic> = reader.watches.open_topics_at(seen).cloned().collect();
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
            listed_at: attach.at.offset,
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
            for topic in &watched {
                index.watch(key, topic);
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

/// What the records weigh in an outbox.
fn weight(records: &[Arc<Record>], link: &Link) -> usize {
    records.iter().map(|record| link.encoding().shared(record).payload.len() + 64).sum()
}
