//! A connection comes, goes on elsewhere, or leaves.
//!
//! Invariants:
//! - a resume continues the numbering exactly, or becomes a new numbering under
//!   another name, before any event;
//! - a token that a revocation ended gets no seat, at whatever moment it came;
//! - whoever leaves has a checkpoint, so that any node can go on from there.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Node, RealmEntry};
use crate::{
    clock::random_connection_id,
    hub::{Attach, Attached, Command, HubHandle, Link, Reader, ResetCause, Start},
    log::{Checkpoint, Claim, LogError, Opening, RealmLog as _, Snapshot},
    model::{CloseCode, ConnectionId, Identity, RealmId, Record, Scope, SessionRecord},
};

/// How long a resume may wait for its hub to come as far as the log.
const BEHIND_RETRY: Duration = Duration::from_millis(20);

/// How often it looks again.
const BEHIND_TRIES: usize = 100;

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
    /// later; `None` when its first frame tells where it begins. Rooms only: in them
    /// no membership decides.
    pub since: Option<u64>,
    /// Writes the complete first frame; `None` when the dialect has none.
    pub greet: Greet,
}

impl std::fmt::Debug for Arrival {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Arrival").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// The place of a connection on this node.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Its name.
    pub connection: ConnectionId,
    /// What its token proved.
    pub identity: Arc<Identity>,
    pub(super) entry: RealmEntry,
    fencing: u64,
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
        let (record, snapshot) = match self.log.claim(identity, resume.connection).await? {
            Claim::Granted { record, snapshot } => (record, snapshot),
            Claim::Unknown => return Ok(self.reset(ResetCause::Unknown)),
            Claim::Stale => {
                self.log.forget(&identity.realm, resume.connection).await?;
                return Ok(self.reset(ResetCause::Generation));
            }
            Claim::Forbidden => {
                self.metrics.resumes_total.with_label_values(&["forbidden"]).inc();
                self.metrics.resets_total.with_label_values(&["forbidden"]).inc();
                return Ok(Outcome::Reset);
            }
        };
        if snapshot.revocations.ends(identity) {
            self.log.forget(&identity.realm, resume.connection).await?;
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
            match self.attach(&seat, arrival, &snapshot, start).await {
                Some(Attached::Resumed { replayed }) => {
                    let result = if replayed == 0 { "lossless" } else { "replayed" };
                    self.metrics.resumes_total.with_label_values(&[result]).inc();
                    return Ok(Outcome::Seated(seat));
                }
                Some(Attached::Ended) => {
                    self.log.forget(&identity.realm, resume.connection).await?;
                    return Ok(Outcome::Ended);
                }
                Some(Attached::Reset(cause)) => cause,
                Some(Attached::Superseded) => {
                    arrival.link.abandon(CloseCode::ResumedElsewhere, "another socket took over");
                    return Err(LogError { retry_after: Duration::from_secs(1) });
                }
                Some(Attached::Fresh | Attached::Behind) | None => {
                    self.give_back(&record, &identity.realm).await?;
                    return Err(LogError { retry_after: Duration::from_secs(1) });
                }
            }
        };
        self.log.forget(&identity.realm, resume.connection).await?;
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
            self.attach(&seat, &arrival, &snapshot, Start::Fresh).await
        };
        match attached {
            Some(Attached::Fresh) => Ok(Welcome::Fresh(seat)),
            Some(Attached::Ended) => {
                self.log.forget(&realm, connection).await?;
                Ok(Welcome::Ended)
            }
            Some(
                Attached::Resumed { .. }
                | Attached::Reset(_)
                | Attached::Behind
                | Attached::Superseded,
            )
            | None => {
                self.log.forget(&realm, connection).await?;
                Ok(Welcome::Unavailable)
            }
        }
    }

    /// Hands a connection to its hub, which may have to come as far as the log first.
    async fn attach(
        &self,
        seat: &Seat,
        arrival: &Arrival,
        snapshot: &Snapshot,
        start: Start,
    ) -> Option<Attached> {
        let hub = self.hub(seat.entry.key, &arrival.identity.user)?;
        // A hello belongs where the numbering began, whenever it is asked for.
        let hello = match start {
            Start::Fresh => self.greet(seat, arrival, snapshot.position.offset).await,
            Start::Resume { next: 0, base, .. } => self.greet(seat, arrival, base).await,
            Start::Resume { .. } => None,
        };
        for _ in 0..BEHIND_TRIES {
            let attach = self.draft(seat, arrival, snapshot, start);
            let hello = hello.clone();
            let attached =
                Self::ask(hub, |answer| Command::Attach(Box::new(attach(hello, answer)))).await?;
            if attached != Attached::Behind {
                return Some(attached);
            }
            tokio::time::sleep(BEHIND_RETRY).await;
        }
        Some(Attached::Behind)
    }

    fn draft(
        &self,
        seat: &Seat,
        arrival: &Arrival,
        snapshot: &Snapshot,
        start: Start,
    ) -> impl FnOnce(Option<Bytes>, tokio::sync::oneshot::Sender<Attached>) -> Attach {
        let reader = Reader {
            connection: seat.connection,
            user: arrival.identity.user.clone(),
            scope: arrival.scope.clone(),
            memberships: snapshot.memberships.clone(),
            watches: snapshot.watches.clone(),
            known_from: snapshot.oldest,
            known_up_to: snapshot.position.offset.min(arrival.since.unwrap_or(u64::MAX)),
        };
        let limits = *self.limits.read();
        let replay_max = (limits.replay_events, limits.replay_bytes);
        let (realm_key, realm) = (seat.entry.key, Arc::clone(&seat.entry.realm));
        let (identity, link) = (Arc::clone(&seat.identity), Arc::clone(&arrival.link));
        let fencing = seat.fencing;
        move |hello, answer| Attach {
            realm_key,
            realm,
            identity,
            fencing,
            reader,
            link,
            start,
            hello,
            replay_max,
            answer,
        }
    }

    /// The first frame. A room's history ends exactly where its numbering begins.
    async fn greet(&self, seat: &Seat, arrival: &Arrival, base: u64) -> Option<Bytes> {
        let history = match &arrival.scope {
            Scope::Member => Vec::new(),
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

    fn hub_of(&self, seat: &Seat) -> Option<&HubHandle> {
        self.hub(seat.entry.key, &seat.identity.user)
    }

    /// Takes a connection whose socket ended out of its hub and writes its checkpoint,
    /// unless another socket has taken it over.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the checkpoint unwritten: a resume walks farther.
    pub async fn leave(&self, seat: &Seat, link: &Arc<Link>) {
        if let Some(hub) = self.hub_of(seat) {
            let (realm_key, connection) = (seat.entry.key, seat.connection);
            let link = Arc::clone(link);
            Self::ask(hub, |done| Command::Detach { realm_key, connection, link, done }).await;
        }
        let Some((seq, cursor)) = link.left_at() else { return };
        let fencing = seat.fencing;
        let connection = seat.connection;
        let checkpoint = Checkpoint { connection, seq, cursor, fencing, ended: true };
        let written = self.log.checkpoint(&seat.identity.realm, vec![checkpoint]).await;
        if let Err(error) = written {
            tracing::debug!(%error, "checkpoint was not written");
        }
    }

    /// Notes what the client of a connection looks at.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the note unwritten.
    pub async fn look(&self, seat: &Seat, view: crate::model::View) {
        let Some(hub) = self.hub_of(seat) else { return };
        let (realm_key, connection) = (seat.entry.key, seat.connection);
        let view = Box::new(view);
        if hub.commands.send(Command::View { realm_key, connection, view }).await.is_err() {
            tracing::debug!("hub has stopped");
        }
    }

    /// Waits until this connection's hub has applied everything up to `offset`: what
    /// is sent to it afterwards is newer.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only waits.
    pub async fn caught_up(&self, seat: &Seat, offset: u64) {
        let Some(hub) = self.hub_of(seat) else { return };
        let (realm_key, realm) = (seat.entry.key, Arc::clone(&seat.entry.realm));
        Self::ask(hub, |done| Command::Sync { realm_key, realm, offset, done }).await;
    }
}
