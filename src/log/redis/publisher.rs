//! The publisher of one realm: it puts drafts into the log, many with one call.
//!
//! What arrives while a call is on its way goes into the next one, so batches grow with
//! the load by themselves. A call costs Redis as much as several records, so while many
//! publish at once calls keep a distance, until as many wait as came with the last one; who
//! publishes alone never waits.
//!
//! Invariants:
//! - one call is on its way at a time, so drafts enter the log in the order in which they
//!   came;
//! - what is acknowledged is in the log, with the `ha` profile on the replicas, too; what
//!   can't be known is never acknowledged;
//! - a draft is tried again only when it can't have been appended, or when it has an id.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{sync::oneshot, time::Instant};

use super::{
    super::{AppendError, Appended, Draft, digest::Digest, wire},
    confirmed::Confirmed,
    context::{Context, HOLD, RETRY_AFTER, arg, millis, text},
    controls::{Controls, is_change},
    faith::Faith,
    queue::Waiting,
    replicas::{Confirming, Until},
    reply::{Reply, unexpected},
    scripts::PUBLISH,
};
use crate::{
    clock::{random_below, random_tag},
    lifecycle::CancellationToken,
    log::frame,
    model::{Body, Position, RealmId, Tag},
    redis_client::RedisError,
};

/// Records of one call; more than that wait for the next one.
const BATCH_RECORDS: usize = 512;

/// Bytes of one call, about.
const BATCH_BYTES: usize = 1 << 20;

/// Records, and bytes of them, that travel as one: what fits into one entry of the stream.
const RUN_RECORDS: usize = 64;
const RUN_BYTES: usize = 4_096;

/// Publishers in one call that are a crowd.
const CROWD: usize = 4;

/// Time between the beginnings of two calls in a crowd, unless as many wait before.
const PACE: Duration = Duration::from_millis(1);

/// A draft, ready to travel.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) id: Option<Arc<str>>,
    pub(super) digest: String,
    pub(super) tag: Tag,
    kind: char,
    /// The change, when it has to be made again should it be lost.
    change: Option<Box<Body>>,
    /// The record as it travels.
    told: Bytes,
    /// The record as it is kept; empty when that is the same.
    kept: Bytes,
}

impl Context {
    /// A draft as it travels.
    pub(super) fn parcel(&self, draft: Draft) -> Parcel {
        let ttl = u64::try_from(self.limits.session_ttl.as_millis()).unwrap_or(u64::MAX);
        // What a workspace was, and what moved with a folder, is for the log to say.
        let mut body = draft.body;
        if let Body::Workspace { was, .. } = &mut body {
            *was = None;
        }
        if let Body::Nodes(nodes) = &mut body {
            nodes.moved.clear();
        }
        let entry = wire::encode(&body, self.clock.now_us(), ttl);
        // Only an id asks for the mark of the body.
        let digest = draft.id.as_ref().map(|_| Digest::of(&body).hex());
        let tag = random_tag();
        Parcel {
            digest: digest.unwrap_or_default(),
            id: draft.id,
            tag,
            kind: entry.kind,
            change: is_change(&body).then(|| Box::new(body)),
            told: frame::write_piece(tag, &entry, true),
            kept: if entry.kind == 'f' {
                frame::write_piece(tag, &entry, false)
            } else {
                Bytes::new()
            },
        }
    }
}

impl Parcel {
    /// True for one about which the script has nothing to decide.
    fn is_plain(&self) -> bool {
        self.id.is_none() && matches!(self.kind, 'e' | 'f')
    }
}

/// How many of the first parcels travel as one: 1, or several plain ones.
fn run_length(parcels: &[&Parcel]) -> usize {
    let mut bytes = 0;
    let is_more = |parcel: &&&Parcel| {
        bytes += parcel.told.len();
        parcel.is_plain() && bytes <= RUN_BYTES
    };
    parcels.iter().take(RUN_RECORDS).take_while(is_more).count().max(1)
}

/// Parcels that travel as one.
fn runs<'a, 'p>(mut parcels: &'a [&'p Parcel]) -> impl Iterator<Item = &'a [&'p Parcel]> {
    std::iter::from_fn(move || {
        let (run, rest) = parcels.split_at_checked(run_length(parcels))?;
        parcels = rest;
        Some(run)
    })
}

/// One after the other; a single one is not copied.
fn joined(mut parts: impl Iterator<Item = Bytes>) -> Bytes {
    let first = parts.next().unwrap_or_default();
    let Some(second) = parts.next() else { return first };
    let mut all = BytesMut::from(&first[..]);
    all.extend_from_slice(&second);
    parts.for_each(|part| all.extend_from_slice(&part));
    all.freeze()
}

/// Drafts that are appended together, and who waits for the answers.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) parcels: Vec<Parcel>,
    pub(super) answer: oneshot::Sender<Vec<Result<Appended, AppendError>>>,
    pub(super) came_at: Instant,
}

/// The task.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) context: Arc<Context>,
    pub(super) realm: RealmId,
    pub(super) connection: Confirming,
    pub(super) jobs: Waiting,
    pub(super) faith: Arc<Faith>,
    pub(super) controls: Arc<Controls>,
    /// `None` where no replica is waited for.
    pub(super) confirmed: Option<Confirmed>,
    /// The first and the last of the failures since a call succeeded.
    pub(super) away: Option<(Instant, Instant)>,
}

impl Publisher {
    /// Runs until `stop` is cancelled and what waits is done.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open what of the current batch was appended.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut waiting: VecDeque<Job> = VecDeque::new();
        // How many came last time, and until when it is waited for as many.
        let mut crowd: Option<(usize, Instant)> = None;
        loop {
            let first = match waiting.pop_front() {
                Some(job) => job,
                // Cancel safe. On stop, what was handed over is still done.
                None => tokio::select! {
                    biased;
                    () = stop.cancelled() => {
                        self.jobs.close();
                        match self.jobs.recv().await {
                            Some(job) => job,
                            None => return,
                        }
                    }
                    job = self.jobs.recv() => match job {
                        Some(job) => job,
                        None => return,
                    },
                },
            };
            if let Some((enough, deadline)) = crowd {
                let others = enough.saturating_sub(1 + waiting.len());
                self.jobs.gather(others, deadline).await;
            }
            let mut batch = vec![first];
            let (mut records, mut bytes) = size(&batch);
            while records < BATCH_RECORDS && bytes < BATCH_BYTES {
                let Some(job) = self.jobs.try_recv() else { break };
                let (more_records, more_bytes) = size(std::slice::from_ref(&job));
                if records + more_records > BATCH_RECORDS {
                    waiting.push_back(job);
                    break;
                }
                batch.push(job);
                (records, bytes) = (records + more_records, bytes + more_bytes);
            }
            let began = Instant::now();
            crowd = (batch.len() >= CROWD).then(|| (batch.len(), began + PACE));
            self.append(batch).await;
        }
    }

    /// Appends a batch and tells everybody.
    async fn append(&mut self, batch: Vec<Job>) {
        let parcels: Vec<&Parcel> = batch.iter().flat_map(|job| &job.parcels).collect();
        let oldest = batch.iter().map(|job| job.came_at).min();
        let deadline = oldest.unwrap_or_else(Instant::now) + HOLD;
        let mut answers = self.answers(&parcels, deadline).await.into_iter();
        for job in batch {
            let some: Vec<_> = answers.by_ref().take(job.parcels.len()).collect();
            if job.answer.send(some).is_err() {
                tracing::trace!("a publisher has gone");
            }
        }
    }

    async fn answers(
        &mut self,
        parcels: &[&Parcel],
        deadline: Instant,
    ) -> Vec<Result<Appended, AppendError>> {
        let unavailable = || Err(AppendError::Unavailable { retry_after: RETRY_AFTER });
        let mut answers = vec![unavailable(); parcels.len()];
        // Those that are still to be appended, by their places in the batch.
        let mut open: Vec<(usize, &Parcel)> = parcels.iter().copied().enumerate().collect();
        while !open.is_empty() {
            let some: Vec<&Parcel> = open.iter().map(|(_, parcel)| *parcel).collect();
            match self.call(&some, deadline).await {
                Ok(Some(known)) => {
                    self.away = None;
                    for ((place, _), answer) in open.iter().zip(known) {
                        if let Some(slot) = answers.get_mut(*place) {
                            *slot = answer;
                        }
                    }
                    return answers;
                }
                Ok(None) => {}
                Err(error) => {
                    if !error.is_retryable() || self.is_away() {
                        tracing::debug!(%error, records = open.len(), "not appended");
                        return answers;
                    }
                    if error.may_be_applied() {
                        // What has no id might be there twice after another try.
                        open.retain(|(_, parcel)| parcel.id.is_some());
                    }
                }
            }
            let wait = Duration::from_millis(30 + random_below(40));
            if Instant::now() + wait >= deadline {
                return answers;
            }
            tokio::time::sleep(wait).await;
        }
        answers
    }

    /// Notes a failure. True when all have failed for so long that who comes now need not
    /// wait; after a silence it begins anew.
    fn is_away(&mut self) -> bool {
        let now = Instant::now();
        let since = match self.away {
            Some((since, last)) if now.duration_since(last) < HOLD => since,
            Some(_) | None => now,
        };
        self.away = Some((since, now));
        now.duration_since(since) >= HOLD
    }

    /// One call; `None` when nothing may be written now.
    async fn call(
        &mut self,
        parcels: &[&Parcel],
        deadline: Instant,
    ) -> Result<Option<Vec<Result<Appended, AppendError>>>, RedisError> {
        let context = &self.context;
        let needed = self.connection.needed();
        let mut args = context.args(needed);
        args.reserve(2 + parcels.len() * 7);
        args.push(millis(context.limits.idempotency_window));
        args.push(arg(context.limits.memberships_per_user));
        for run in runs(parcels) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let is_kept_otherwise = run.iter().any(|parcel| !parcel.kept.is_empty());
            let as_kept = |parcel: &&Parcel| {
                let kept = if parcel.kept.is_empty() { &parcel.told } else { &parcel.kept };
                kept.clone()
            };
            args.extend([
                first.id.as_deref().map(text).unwrap_or_default(),
                text(&first.digest),
                arg(last.tag),
                arg(first.kind),
                arg(run.len()),
                joined(run.iter().map(|parcel| parcel.told.clone())),
                if is_kept_otherwise { joined(run.iter().map(as_kept)) } else { Bytes::new() },
            ]);
        }
        let head = context.key(&self.realm, "m");
        let until = (needed, Until::Confirmed);
        let Some(reply) = self.connection.run(&PUBLISH, &head, &args, until).await? else {
            return Ok(None);
        };
        let answers = self.read(&reply, parcels).ok_or_else(|| unexpected("places"))?;
        // The last place stands for all, repeated ones included: all of them are in the
        // log of this generation.
        let generation = reply.generation(1).ok_or_else(|| unexpected("a generation"))?;
        let last = answers.iter().flatten().max_by_key(|one| one.position.offset);
        let last = last.map(|one| Position { generation, ..one.position.clone() });
        if let (Some(confirmed), Some(last)) = (&self.confirmed, &last) {
            confirmed.note(last);
        }
        if let Some(last) = last
            && !self.faith.vouch(&last, deadline).await
        {
            let reason = "the log began a new life meanwhile";
            return Err(RedisError::Indeterminate { reason, source: None });
        }
        for (parcel, answer) in parcels.iter().zip(&answers) {
            if let (Some(change), Ok(Appended { position, duplicate: false })) =
                (&parcel.change, answer)
            {
                // The tail may not have heard of it when the log is lost.
                self.controls.note(position, change);
            }
        }
        Ok(Some(answers))
    }

    fn read(
        &self,
        reply: &Reply,
        parcels: &[&Parcel],
    ) -> Option<Vec<Result<Appended, AppendError>>> {
        let generation = reply.generation(1)?;
        let limit = self.context.limits.memberships_per_user;
        let mut answers = Vec::with_capacity(parcels.len());
        for (index, run) in runs(parcels).enumerate() {
            if let Some(first) = reply.integer(index + 2) {
                answers.extend((first..).zip(run).map(|(offset, parcel)| {
                    let position =
                        Position { generation: generation.clone(), offset, tag: parcel.tag };
                    Ok(Appended { position, duplicate: false })
                }));
                continue;
            }
            answers.push(match reply.text(index + 2)? {
                "C" => Err(AppendError::Conflict),
                "L" => Err(AppendError::TooManyMemberships { limit }),
                text if text.starts_with("W ") => Err(waiting(text)?),
                text => Ok(known(text)?),
            });
        }
        Some(answers)
    }
}

/// `W <first> <last>`: parts that have to be merged first.
fn waiting(text: &str) -> Option<AppendError> {
    let (first, last) = text.strip_prefix("W ")?.split_once(' ')?;
    let (first, last) = (frame::number(first).ok()?, frame::number(last).ok()?);
    Some(AppendError::Waiting { first, last })
}

/// `D <offset> <generation> <tag>` for what was there already.
fn known(text: &str) -> Option<Appended> {
    let mut words = text.strip_prefix("D ")?.split(' ');
    let position = Position {
        offset: frame::number(words.next()?).ok()?,
        generation: frame::generation(words.next()?).ok()?,
        tag: frame::tag(words.next()?).ok()?,
    };
    Some(Appended { position, duplicate: true })
}

fn size(jobs: &[Job]) -> (usize, usize) {
    let parcels = || jobs.iter().flat_map(|job| &job.parcels);
    let bytes = |parcel: &Parcel| parcel.told.len() + parcel.kept.len() + 64;
    (parcels().count(), parcels().map(bytes).sum())
}
