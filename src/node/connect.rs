//! A connection comes, or goes on here where it was, on this node or another one.
//!
//! Invariants:
//! - a resume continues the numbering exactly, or becomes a new numbering under
//!   another name, before any event;
//! - one that fails for want of the log, or because this node is behind it, leaves the
//!   session as it was: the client may come again, to any node;
//! - a token that a revocation ended gets no seat, at whatever moment it came.
//!
//! Not here: leaving (`seat`).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::oneshot, time::timeout};

use super::{Node, RealmEntry, Seat};
use crate::{
    clock::random_connection_id,
    hub::{Attach, Attached, Command, Link, Reader, ResetCause, Start},
    log::{Checkpoint, Claim, LogError, Opening, RealmLog as _, Snapshot},
    model::{CloseCode, ConnectionId, Identity, RealmId, Record, Scope, SessionRecord},
};

/// How long an arrival may wait for its hub to come as far as the log.
const BEHIND_PATIENCE: Duration = Duration::from_secs(2);

/// When a client should come back that could not be served.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a client wants to go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// The connection.
    pub connection: ConnectionId,
    /// The number that it expects next.
    pub next: u64,
}

/// What a dialect needs to write its first frame.
#[derive(Debug)]
pub struct Greeting<'a> {
    /// The name of the connection.
    pub connection: ConnectionId,
    /// Its user.
    pub identity: &'a Identity,
    /// What it reads.
    pub scope: &'a Scope,
    /// The name of this node.
    pub node: &'a str,
    /// The last messages, when the connection reads a room.
    pub history: &'a [Arc<Record>],
}

/// Writes the complete first frame of a numbering.
pub type Greet = Box<dyn Fn(&Greeting<'_>) -> Option<Bytes> + Send + Sync>;

/// A socket whose user was proved.
pub struct Arrival {
    /// What its token proved.
    pub identity: Arc<Identity>,
    /// What it will read.
    pub scope: Scope,
    /// The socket.
    pub link: Arc<Link>,
    /// Where it wants to go on.
    pub resume: Option<Resume>,
    /// What was written after this offset is its own, though it takes its seat a moment
    /// later; `None` when its first frame tells where it begins.
    pub since: Option<u64>,
    /// Writes the complete first frame; `None` when the dialect has none.
    pub greet: Greet,
}

impl std::fmt::Debug for Arrival {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Arrival").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// What became of an arrival.
#[derive(Debug)]
pub enum Welcome {
    /// It is served; the first frame is on its way.
    Fresh(Seat),
    /// It goes on where it was.
    Resumed(Seat),
    /// Its token has ended.
    Ended,
    /// The log can't be asked now.
    Unavailable,
}

/// What became of an attempt to go on.
enum Outcome {
    Seated(Seat),
    Reset,
    Ended,
}

impl Node {
    /// How far this node has read the log of `realm`, for [`Arrival::since`]; `None` when
    /// the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: the realm may be started, and stays.
    pub async fn place(&self, realm: &RealmId) -> Option<u64> {
        let entry = self.realm(realm).await.ok()?;
        Some(entry.realm.ring.fill().last)
    }

    /// Gives a socket its place: where it was, or a new one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a session record that ends by its lifetime; the
    /// hub forgets the connection by itself.
    pub async fn connect(&self, arrival: Arrival) -> Welcome {
        match self.try_connect(arrival).await {
            Ok(welcome) => welcome,
            Err(LogError { .. }) => Welcome::Unavailable,
        }
    }

    async fn try_connect(&self, arrival: Arrival) -> Result<Welcome, LogError> {
        let entry = self.realm(&arrival.identity.realm).await?;
        if let Some(resume) = arrival.resume {
            match self.resume(&entry, &arrival, resume).await? {
                Outcome::Seated(seat) => return Ok(Welcome::Resumed(seat)),
                Outcome::Ended => return Ok(Welcome::Ended),
                Outcome::Reset => {}
            }
        }
        self.begin(entry, arrival).await
    }

    async fn resume(
        &self,
        entry: &RealmEntry,
        arrival: &Arrival,
        resume: Resume,
    ) -> Result<Outcome, LogError> {
        let identity = &arrival.identity;
        // Before the claim: what is heard of others' claims from now on is newer.
        let claimed_after = entry.realm.claims.mark();
        let (record, snapshot) = match self.log.claim(identity, resume.connection).await? {
            Claim::Granted { record, snapshot } => (record, snapshot),
            Claim::Unknown => return Ok(self.reset(ResetCause::Unknown)),
            Claim::Stale => {
                self.log.forget(&identity.realm, resume.connection, None).await?;
                return Ok(self.reset(ResetCause::Generation));
            }
            Claim::Forbidden => {
                self.metrics.resumes_total.with_label_values(&["forbidden"]).inc();
                self.metrics.resets_total.with_label_values(&["forbidden"]).inc();
                return Ok(Outcome::Reset);
            }
        };
        // Whoever claims it from now on is not to suffer from what is found out here.
        let claim = Some(record.fencing);
        if snapshot.revocations.ends(identity) {
            self.log.forget(&identity.realm, resume.connection, claim).await?;
            return Ok(Outcome::Ended);
        }
        let cause = if record.scope != arrival.scope {
            ResetCause::Unknown
        } else {
            let start = Start::Resume {
                next: resume.next,
                seq: record.seq,
                cursor: record.cursor,
                base: record.base.offset,
            };
            let seat = Seat {
                connection: resume.connection,
                identity: Arc::clone(identity),
                entry: entry.clone(),
                fencing: record.fencing,
            };
            match self.attach((&seat, claimed_after), arrival, &snapshot, start).await {
                Some(Attached::Resumed { replayed }) => {
                    let result = if replayed == 0 { "lossless" } else { "replayed" };
                    self.metrics.resumes_total.with_label_values(&[result]).inc();
                    return Ok(Outcome::Seated(seat));
                }
                Some(Attached::Ended) => {
                    self.log.forget(&identity.realm, resume.connection, claim).await?;
                    return Ok(Outcome::Ended);
                }
                Some(Attached::Reset(cause)) => cause,
                Some(Attached::Superseded) => {
                    arrival.link.abandon(CloseCode::ResumedElsewhere, "another socket took over");
                    return Err(LogError { retry_after: RETRY_AFTER });
                }
                // Nothing is wrong with the session: whoever asks next gets it.
                Some(Attached::Fresh | Attached::Behind | Attached::Doubtful) | None => {
                    self.give_back(&record, &identity.realm).await?;
                    return Err(LogError { retry_after: RETRY_AFTER });
                }
            }
        };
        self.log.forget(&identity.realm, resume.connection, claim).await?;
        Ok(self.reset(cause))
    }

    /// Lets the lifetime of a claimed session begin anew: nobody holds it.
    async fn give_back(&self, record: &SessionRecord, realm: &RealmId) -> Result<(), LogError> {
        let SessionRecord { connection, seq, cursor, fencing, .. } = *record;
        let checkpoint = Checkpoint { connection, seq, cursor, fencing, ended: true };
        self.log.checkpoint(realm, vec![checkpoint]).await
    }

    /// Counts a reset: the client gets a new numbering and fetches anew.
    fn reset(&self, cause: ResetCause) -> Outcome {
        self.metrics.resumes_total.with_label_values(&["reset"]).inc();
        self.metrics.resets_total.with_label_values(&[cause.label()]).inc();
        Outcome::Reset
    }

    async fn begin(&self, entry: RealmEntry, arrival: Arrival) -> Result<Welcome, LogError> {
        let connection = random_connection_id();
        let opening = Opening { connection, scope: arrival.scope.clone() };
        let snapshot = self.log.open(&arrival.identity, opening).await?;
        // The seeds are in the log now; a seat lives long and does not need them.
        let identity = match arrival.identity.seeds.is_empty() {
            true => Arc::clone(&arrival.identity),
            false => Arc::new(Identity { seeds: Vec::new(), ..(*arrival.identity).clone() }),
        };
        let realm = identity.realm.clone();
        let seat = Seat { connection, identity, entry, fencing: 1 };
        let attached = if snapshot.revocations.ends(&arrival.identity) {
            Some(Attached::Ended)
        } else {
            self.attach((&seat, 0), &arrival, &snapshot, Start::Fresh).await
        };
        match attached {
            Some(Attached::Fresh) => Ok(Welcome::Fresh(seat)),
            Some(Attached::Ended) => {
                self.log.forget(&realm, connection, Some(1)).await?;
                Ok(Welcome::Ended)
            }
            Some(
                Attached::Resumed { .. }
                | Attached::Reset(_)
                | Attached::Behind
                | Attached::Doubtful
                | Attached::Superseded,
            )
            | None => {
                self.log.forget(&realm, connection, Some(1)).await?;
                Ok(Welcome::Unavailable)
            }
        }
    }

    /// Hands a connection to its hub, which may have to come as far as the log first.
    /// `None` when it does not in time.
    pub(super) async fn attach(
        &self,
        (seat, claimed_after): (&Seat, u64),
        arrival: &Arrival,
        snapshot: &Snapshot,
        start: Start,
    ) -> Option<Attached> {
        let hub = self.hub(seat.entry.key, &arrival.identity.user)?;
        // A hello belongs where the numbering began, whenever it is asked for.
        let base = match start {
            Start::Fresh => Some(snapshot.position.offset),
            Start::Resume { next: 0, base, .. } => Some(base),
            Start::Resume { .. } => None,
        };
        let hello = match base {
            Some(base) => timeout(BEHIND_PATIENCE, self.greet(seat, arrival, base)).await.ok()?,
            None => None,
        };
        let (answer, mut answered) = oneshot::channel();
        let attach = self.draft((seat, claimed_after), arrival, snapshot, (start, hello, answer));
        hub.commands.send(Command::Attach(Box::new(attach))).await.ok()?;
        if let Ok(attached) = timeout(BEHIND_PATIENCE, &mut answered).await {
            return attached.ok();
        }
        // From here on the hub can't answer; if it has, the connection has its place.
        answered.close();
        answered.try_recv().ok()
    }

    fn draft(
        &self,
        (seat, claimed_after): (&Seat, u64),
        arrival: &Arrival,
        snapshot: &Snapshot,
        (start, hello, answer): (Start, Option<Bytes>, oneshot::Sender<Attached>),
    ) -> Attach {
        let reader = Reader {
            connection: seat.connection,
            user: arrival.identity.user.clone(),
            scope: arrival.scope.clone(),
            memberships: snapshot.memberships.clone(),
            watches: snapshot.watches.clone(),
            known_from: snapshot.oldest,
            known_up_to: snapshot.position.offset,
        };
        let limits = *self.limits.read();
        Attach {
            realm_key: seat.entry.key,
            realm: Arc::clone(&seat.entry.realm),
            identity: Arc::clone(&seat.identity),
            fencing: seat.fencing,
            claimed_after,
            at: snapshot.position.clone(),
            begins_after: snapshot.position.offset.min(arrival.since.unwrap_or(u64::MAX)),
            reader,
            link: Arc::clone(&arrival.link),
            start,
            hello,
            replay_max: (limits.replay_events, limits.replay_bytes),
            answer,
        }
    }

    /// The first frame. A room's history ends exactly where its numbering begins.
    async fn greet(&self, seat: &Seat, arrival: &Arrival, base: u64) -> Option<Bytes> {
        let history = match &arrival.scope {
            Scope::Member | Scope::Bus(_) | Scope::Chat(_) => Vec::new(),
            Scope::Room(room) => {
                self.synced(&seat.entry, base).await;
                self.rooms.history(seat.entry.key, room, base)
            }
        };
        (arrival.greet)(&Greeting {
            connection: seat.connection,
            identity: &arrival.identity,
            scope: &arrival.scope,
            node: &self.id,
            history: &history,
        })
    }
}
