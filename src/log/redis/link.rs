//! What one tail asks of Redis.
//!
//! Invariants: an answer that makes no sense is an error; the gate is moved only by an
//! answer, and from the moment on in which it was asked for.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    super::{ASKED_EVERY, LogError},
    confirmed::Confirmed,
    context::{Context, HOLD, RETRY_AFTER, arg, millis, nonsense, text, unavailable},
    nodes::Asker,
    range::{READ_AT_ONCE, after_of, mend},
    scripts::{BEAT, READ, REPORT, WORKSPACES},
};
use crate::{
    lifecycle::Gate,
    log::{
        bus,
        course::{Range, Verdict},
    },
    model::{Generation, Id, Position, RealmId, Record, Workspace},
};

/// How long an ended lease is remembered: a failover asks what its node had seen.
const LEASE_REMEMBERED: Duration = Duration::from_secs(60);

/// How often it is looked whether the fence has opened.
const PASS: Duration = Duration::from_millis(50);

/// What a question over the pool may take longer than one answer of Redis: a connection is
/// tried before it is used, and a new one logs in and asks for the role.
const POOL_SPARE: Duration = Duration::from_secs(1);

/// What asks Redis on behalf of one tail.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) context: Arc<Context>,
    pub(super) realm: RealmId,
    /// Whose questions these are, as the lease counts silence.
    pub(super) asker: Arc<Asker>,
    pub(super) gate: Gate,
    /// `None` where no replica is waited for.
    pub(super) confirmed: Option<Confirmed>,
}

/// Where a log ends, and what it keeps.
pub(super) struct End {
    pub(super) position: Position,
    pub(super) oldest: u64,
    pub(super) is_fenced: bool,
}

/// The answer to a report.
pub(super) struct Reported {
    pub(super) generation: Generation,
    pub(super) verdict: Verdict,
    /// The offset up to which the log holds what it held before.
    pub(super) began_at: u64,
}

impl Link {
    /// Renews the lease, for so long, and asks where the log ends.
    pub(super) async fn end(&self, lease: Duration) -> Result<End, LogError> {
        self.end_as(lease, b"0").await
    }

    /// The same; `1` when a tail begins.
    pub(super) async fn end_as(
        &self,
        lease: Duration,
        begins: &'static [u8],
    ) -> Result<End, LogError> {
        let asked_at = Instant::now();
        // In a cluster nobody else may ask this server.
        let spare = if self.context.limits.is_sharded { Duration::ZERO } else { POOL_SPARE };
        self.asker.asked(spare);
        let own = [millis(lease), millis(LEASE_REMEMBERED), Bytes::from_static(begins)];
        let counts = self.confirmed.as_ref().map(|_| 0);
        let reply = self.context.run_counting(&self.realm, &BEAT, own, counts).await;
        let reply = reply.map_err(|error| unavailable("beat", &error))?;
        if let (Some(confirmed), Some(follow)) = (&self.confirmed, reply.number(6)) {
            confirmed.raise(follow);
        }
        self.asker.answered();
        let end = || {
            let is_fenced = reply.text(4)? == "fenced";
            Some(End { position: reply.position(1)?, oldest: reply.number(5)?, is_fenced })
        };
        let end = end().ok_or_else(|| nonsense("a beat"))?;
        if !lease.is_zero() {
            self.gate.extend(asked_at + lease);
        }
        Ok(end)
    }

    /// Renews the lease for ever; in a cluster often enough that a silence of the realm's
    /// server is known soon, and where replicas are waited for, that another one is.
    pub(super) async fn beat(self) {
        let limits = &self.context.limits;
        let every = limits.heartbeat;
        let is_often = limits.is_sharded || self.confirmed.is_some();
        let every = if is_often { every.min(ASKED_EVERY) } else { every };
        let mut beats = interval(every);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            if let Err(LogError { .. }) = self.end(self.context.limits.lease).await {
                tracing::debug!(realm = %self.realm, "the lease was not renewed");
            }
        }
    }

    /// Ends the lease now.
    pub(super) async fn give_up(&self) {
        if let Err(LogError { .. }) = self.end(Duration::ZERO).await {
            tracing::debug!(realm = %self.realm, "the lease was not given up");
        }
    }

    /// Where the log ends, once it may be written.
    pub(super) async fn unfenced(&self) -> Result<End, LogError> {
        let deadline = Instant::now() + HOLD;
        loop {
            let end = self.end_as(self.context.limits.lease, b"1").await?;
            if !end.is_fenced {
                return Ok(end);
            }
            if Instant::now() >= deadline {
                return Err(LogError { retry_after: RETRY_AFTER });
            }
            tokio::time::sleep(PASS).await;
        }
    }

    /// Everything that is kept up to `end`, or what of it is without a hole.
    pub(super) async fn backlog(&self, end: &End) -> Result<Vec<Arc<Record>>, LogError> {
        let mut kept: Vec<Arc<Record>> = Vec::new();
        let mut after = end.oldest.saturating_sub(1);
        while after < end.position.offset {
            let range = self.read(after).await?;
            if range.end.as_ref().is_none_or(|now| now.generation != end.position.generation) {
                return Err(LogError { retry_after: RETRY_AFTER });
            }
            let Some(last) = range.records.last() else { break };
            after = last.position.offset;
            for record in range.records {
                let follows = kept.last().is_none_or(|before| {
                    before.position.offset + 1 == record.position.offset
                        && before.position.tag == record.previous_tag
                });
                if !follows {
                    tracing::error!(offset = record.position.offset, "the log has a hole");
                    kept.clear();
                }
                kept.push(record);
            }
        }
        // Without its end it proves nothing.
        if kept.last().is_some_and(|last| last.position.offset < end.position.offset) {
            kept.clear();
        }
        Ok(kept)
    }

    /// The workspaces of the bus, and the offset at which they were read.
    pub(super) async fn workspaces(&self) -> Result<(u64, Vec<(Id, Arc<Workspace>)>), LogError> {
        let reply = self.context.run(&self.realm, &WORKSPACES, []).await;
        let reply = reply.map_err(|error| unavailable("workspaces", &error))?;
        let known = || {
            let rows = reply.part(4)?;
            let one = |(id, text): (&str, &str)| {
                let workspace = bus::wire::workspace(text.as_bytes()).ok()?;
                Some((Id::parse(id).ok()?, Arc::new(workspace)))
            };
            let all = rows.pairs()?.into_iter().map(one).collect::<Option<_>>()?;
            Some((reply.position(1)?.offset, all))
        };
        known().ok_or_else(|| nonsense("workspaces"))
    }

    pub(super) async fn read(&self, after: u64) -> Result<Range, LogError> {
        let reply = self.context.run(&self.realm, &READ, [arg(after), arg(READ_AT_ONCE)]).await;
        let reply = reply.map_err(|error| unavailable("range", &error))?;
        let range = || {
            let records = after_of(reply.part(5)?.parts()?.to_vec(), after)?;
            let (end, first_kept) = (Some(reply.position(1)?), reply.number(4)?);
            Some(Range { asked_after: after, end, first_kept, records })
        };
        let range = range();
        // Of what is kept something follows, up to the end.
        let is_in_order = range.as_ref().is_some_and(|range| {
            let end = range.end.as_ref().map_or(0, |end| end.offset);
            range.first_kept == 0 || end <= after || !range.records.is_empty()
        });
        // Rare, and large.
        if !is_in_order && Box::pin(mend(&self.context, &self.realm, after)).await? > 0 {
            return Err(LogError { retry_after: RETRY_AFTER });
        }
        range.ok_or_else(|| nonsense("records"))
    }

    /// Says what this node has seen and passed on.
    pub(super) async fn report(
        &self,
        highest: Position,
        told: Option<Position>,
    ) -> Result<Reported, LogError> {
        let mut own: Vec<Bytes> = vec![
            text(highest.generation.as_str()),
            arg(highest.offset),
            text(&highest.tag.to_string()),
        ];
        if let Some(told) = told {
            own.extend([arg(told.offset), text(&told.tag.to_string())]);
        }
        let reply = self.context.run(&self.realm, &REPORT, own).await;
        let reply = reply.map_err(|error| unavailable("report", &error))?;
        let verdict = match reply.text(2) {
            Some("c") => Verdict::Clean,
            Some("d") => Verdict::Dirty,
            Some("p") => Verdict::Pending,
            Some(_) | None => return Err(nonsense("a report")),
        };
        let generation = reply.generation(1).ok_or_else(|| nonsense("a report"))?;
        let began_at = reply.number(3).ok_or_else(|| nonsense("a report"))?;
        tracing::info!(realm = %self.realm, ?generation, ?verdict, "reported what was seen");
        Ok(Reported { generation, verdict, began_at })
    }
}
