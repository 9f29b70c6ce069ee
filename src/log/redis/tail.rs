//! The tail of one realm: it hears the realm's channel, asks the log, and does what the
//! course wants done.
//!
//! Invariants:
//! - what it hands over is what the course delivers, in that order;
//! - the lease is renewed also while the node is slow to take records;
//! - before a report is made, nobody is told any more what may be lost.
//!
//! Not here: the decisions (`course`).

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{
    super::{Draft, Inbound, LogError, Loss, Tail},
    context::{Context, HOLD, RETRY_AFTER, arg, millis, nonsense, text, unavailable},
    faith::Faith,
    nodes::Lease,
    publisher::Job,
    range::{READ_AT_ONCE, record},
    scripts::{BEAT, READ, REPORT},
};
use crate::{
    lifecycle::{CancellationToken, Gate},
    log::{
        course::{Course, Effect, Input, Range, Request, Verdict},
        frame::{self, Frame},
    },
    model::{Body, Generation, Position, RealmId, Record},
    redis_client::{Inbox, Kick, Pushed},
};

/// Messages that may wait in front of the tail; more are a gap.
const INBOX: usize = 8_192;

/// Words that may wait in front of the node; more make the tail wait.
const INBOUND: usize = 8_192;

/// Changes of memberships and revocations that are kept in case a failover loses them.
const CONTROLS_MAX: usize = 4_096;

/// How often the course is told the time.
const TICK: Duration = Duration::from_millis(50);

/// How long an ended lease is remembered: a failover asks what its node had seen.
const LEASE_REMEMBERED: Duration = Duration::from_secs(60);

/// A tail that is to begin.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) context: Arc<Context>,
    pub(super) lease: Arc<Lease>,
    pub(super) realm: RealmId,
    pub(super) faith: Arc<Faith>,
    pub(super) jobs: mpsc::Sender<Job>,
}

/// A tail that has begun.
#[derive(Debug)]
pub(super) struct Running {
    link: Link,
    course: Course,
    inbox: Inbox,
    kick: Kick,
    /// The subscription and the heartbeat.
    helpers: JoinSet<()>,
    requests: JoinSet<Input>,
    inbound: mpsc::Sender<Inbound>,
    faith: Arc<Faith>,
    /// The publisher of the realm.
    jobs: mpsc::Sender<Job>,
    /// The newest changes of memberships and revocations that came this way.
    controls: VecDeque<Arc<Record>>,
    /// Up to where the log held what it held before, by its last answer to a report.
    kept_up_to: Arc<AtomicU64>,
    began_at: Instant,
}

/// What asks Redis on behalf of one tail.
#[derive(Debug, Clone)]
struct Link {
    context: Arc<Context>,
    lease: Arc<Lease>,
    realm: RealmId,
    /// The realm's name, as the lease counts its silence.
    name: Arc<str>,
    gate: Gate,
}

/// Where a log ends, and what it keeps.
struct End {
    position: Position,
    oldest: u64,
    is_fenced: bool,
}

impl Beginning {
    /// Subscribes, and reads everything that is kept.
    pub(super) async fn begin(self) -> Result<(Tail, Running), LogError> {
        let Self { context, lease, realm, faith, jobs } = self;
        let began_at = Instant::now();
        let (subscription, mut inbox) = context.client.subscribe(&context.key(&realm, "t"), INBOX);
        let kick = subscription.kick();
        let mut helpers = JoinSet::new();
        helpers.spawn(subscription.run(CancellationToken::new()));
        subscribed(&mut inbox).await?;
        let name = Arc::from(format!("realm {realm}"));
        let gate = Gate::until(Instant::now());
        let link = Link { context, lease, realm, name, gate: gate.clone() };
        // Everything that is published from here on is heard; what was before is read.
        let end = link.unfenced().await?;
        let backlog = link.backlog(&end).await?;
        let position = match backlog.last() {
            Some(last) => {
                Position { offset: last.position.offset, tag: last.position.tag, ..end.position }
            }
            None => end.position,
        };
        faith.follow(&position.generation);
        helpers.spawn(link.clone().beat());
        let (inbound, inbound_out) = mpsc::channel(INBOUND);
        let running = Running {
            link,
            course: Course::new(position.clone(), 0),
            inbox,
            kick,
            helpers,
            requests: JoinSet::new(),
            inbound,
            faith,
            jobs,
            controls: VecDeque::new(),
            kept_up_to: Arc::new(AtomicU64::new(u64::MAX)),
            began_at,
        };
        Ok((Tail { position, backlog, inbound: inbound_out, gate }, running))
    }
}

/// Waits until the channel is heard.
async fn subscribed(inbox: &mut Inbox) -> Result<(), LogError> {
    let heard = async {
        loop {
            match inbox.recv().await {
                Some(Pushed::Subscribed) => return true,
                Some(Pushed::Message(_) | Pushed::Gap(_)) => {}
                None => return false,
            }
        }
    };
    match timeout(HOLD, heard).await {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(LogError { retry_after: RETRY_AFTER }),
    }
}

impl Running {
    /// Runs until it is lost, until nobody hears it, or until `stop` is cancelled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the tail: nothing more is heard.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut effects = Vec::new();
        loop {
            // Every arm is cancel safe. Stop, answers, then what is pushed, then the clock.
            let input = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.inbound.closed() => break,
                Some(answer) = self.requests.join_next() => match answer {
                    Ok(input) => Some(input),
                    Err(error) => {
                        tracing::error!(%error, "a request of the tail failed");
                        break;
                    }
                },
                pushed = self.inbox.recv() => match pushed {
                    Some(pushed) => match self.hear(pushed).await {
                        Ok(input) => input,
                        Err(Gone) => break,
                    },
                    None => break,
                },
                _ = ticks.tick() => Some(Input::Tick),
            };
            let Some(input) = input else { continue };
            self.course.step(self.now_ms(), input, &mut effects);
            let mut is_over = false;
            for effect in std::mem::take(&mut effects) {
                is_over |= self.act(effect).await.is_err();
            }
            if is_over {
                break;
            }
        }
        self.faith.end();
        self.helpers.shutdown().await;
        self.link.lease.health().forget(&self.link.name);
        if stop.is_cancelled() {
            self.link.give_up().await;
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began_at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What a message means for the course; some are for the node alone.
    async fn hear(&mut self, pushed: Pushed) -> Result<Option<Input>, Gone> {
        let message = match pushed {
            Pushed::Message(message) => message,
            Pushed::Subscribed => return Ok(Some(Input::Subscribed)),
            Pushed::Gap(cause) => {
                tracing::info!(?cause, realm = %self.link.realm, "the tail may have missed something");
                return Ok(Some(Input::Gap));
            }
        };
        match frame::parse(&message) {
            Ok(Frame::Records { generation, records }) => {
                Ok(Some(Input::Frame { generation, records }))
            }
            Ok(Frame::Generation(generation)) => Ok(Some(Input::GenerationSeen(generation))),
            Ok(Frame::Taken { connection, fencing, owner }) => {
                // Whoever else has claimed it, a socket here is stale, whatever its number.
                let is_own = *owner == *self.link.context.me;
                let fencing = if is_own { fencing } else { fencing.saturating_add(1) };
                self.tell(Inbound::Taken { connection, fencing }).await.map(|()| None)
            }
            Ok(Frame::Question { question, asker }) => {
                if *asker == *self.link.context.me {
                    return Ok(None);
                }
                self.tell(Inbound::Question(question)).await.map(|()| None)
            }
            Err(_malformed) => {
                self.link.context.metrics.frames_refused_total.inc();
                tracing::warn!(bytes = message.len(), "somebody else wrote on the realm's channel");
                Ok(Some(Input::Gap))
            }
        }
    }

    async fn tell(&self, inbound: Inbound) -> Result<(), Gone> {
        self.inbound.send(inbound).await.map_err(|_| Gone)
    }

    /// Does what the course wants done.
    async fn act(&mut self, effect: Effect) -> Result<(), Gone> {
        let link = self.link.clone();
        match effect {
            Effect::Deliver(records) => {
                for record in records {
                    self.remember(&record);
                    self.tell(Inbound::Record(record)).await?;
                }
            }
            Effect::Read { after, cause } => {
                let catchups = &link.context.metrics.tail_catchups_total;
                catchups.with_label_values(&[cause.label()]).inc();
                self.requests.spawn(async move {
                    match link.read(after).await {
                        Ok(range) => Input::Range(range),
                        Err(_error) => Input::Failed(Request::Read),
                    }
                });
            }
            Effect::Probe => {
                self.requests.spawn(async move {
                    match link.end(link.context.limits.lease).await {
                        Ok(end) => Input::Meta(Some(end.position)),
                        Err(_error) => Input::Failed(Request::Probe),
                    }
                });
            }
            Effect::Report { round, highest } => {
                let told = self.faith.doubt();
                let kept_up_to = Arc::clone(&self.kept_up_to);
                self.requests.spawn(async move {
                    match link.report(highest, told).await {
                        Ok(Reported { generation, verdict, began_at }) => {
                            kept_up_to.store(began_at, Ordering::Relaxed);
                            Input::Verdict { round, generation, verdict }
                        }
                        Err(_error) => Input::Failed(Request::Report),
                    }
                });
            }
            Effect::Kick => self.kick.renew(),
            Effect::Recheck => self.tell(Inbound::Recheck).await?,
            Effect::Adopt(generation) => {
                tracing::warn!(realm = %link.realm, ?generation, "the log goes on in a new life");
                self.faith.follow(&generation);
            }
            Effect::Lost(loss) => {
                tracing::error!(realm = %link.realm, ?loss, "the tail is lost");
                self.faith.end();
                if loss == Loss::Generation {
                    self.restore();
                }
                self.tell(Inbound::Lost(loss)).await?;
                return Err(Gone);
            }
        }
        if self.course.is_following() {
            self.faith.follow(&self.course.at().generation);
        }
        Ok(())
    }
}

impl Running {
    /// Keeps what must not be undone by a failover.
    fn remember(&mut self, record: &Arc<Record>) {
        if matches!(record.body, Body::Members { .. } | Body::Revocation(_)) {
            if self.controls.len() >= CONTROLS_MAX {
                self.controls.pop_front();
            }
            self.controls.push_back(Arc::clone(record));
        }
    }

    /// Publishes again the changes of membership and the revocations that the log has
    /// lost: whoever was removed or revoked must stay so. Every node that knows them does,
    /// and the first one counts.
    fn restore(&mut self) {
        let kept_up_to = self.kept_up_to.load(Ordering::Relaxed);
        for record in self.controls.drain(..) {
            let Position { generation, offset, tag } = &record.position;
            if *offset <= kept_up_to {
                continue;
            }
            let id = Arc::from(format!("again.{}.{offset}.{tag}", generation.as_str()));
            let draft = Draft { body: record.body.clone(), id: Some(id) };
            let parcels = vec![self.link.context.parcel(draft)];
            let (answer, _nobody_waits) = oneshot::channel();
            let job = Job { parcels, answer, came_at: Instant::now() };
            match self.jobs.try_send(job) {
                Ok(()) => tracing::warn!(offset, "a lost change is published again"),
                Err(_full) => tracing::error!(offset, "a lost change could not be published again"),
            }
        }
    }
}

/// Nobody hears the tail any more.
struct Gone;

/// The answer to a report.
struct Reported {
    generation: Generation,
    verdict: Verdict,
    /// The offset up to which the log holds what it held before.
    began_at: u64,
}

impl Link {
    /// Renews the lease, for so long, and asks where the log ends.
    async fn end(&self, lease: Duration) -> Result<End, LogError> {
        self.end_as(lease, b"0").await
    }

    /// The same; `1` when a tail begins.
    async fn end_as(&self, lease: Duration, begins: &'static [u8]) -> Result<End, LogError> {
        let asked_at = Instant::now();
        self.lease.health().asked(&self.name);
        let own = [millis(lease), millis(LEASE_REMEMBERED), Bytes::from_static(begins)];
        let reply = self.context.run(&self.realm, &BEAT, own).await;
        let reply = reply.map_err(|error| unavailable("beat", &error))?;
        self.lease.health().answered(&self.name);
        let end = || {
            let is_fenced = reply.text(4)? == "fenced";
            Some(End { position: reply.position(1)?, oldest: reply.number(6)?, is_fenced })
        };
        let end = end().ok_or_else(|| nonsense("a beat"))?;
        if !lease.is_zero() {
            self.gate.extend(asked_at + lease);
        }
        Ok(end)
    }

    /// Renews the lease for ever.
    async fn beat(self) {
        let mut beats = interval(self.context.limits.heartbeat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            if let Err(LogError { .. }) = self.end(self.context.limits.lease).await {
                tracing::debug!(realm = %self.realm, "the lease was not renewed");
            }
        }
    }

    /// Ends the lease now.
    async fn give_up(&self) {
        if let Err(LogError { .. }) = self.end(Duration::ZERO).await {
            tracing::debug!(realm = %self.realm, "the lease was not given up");
        }
    }

    /// Where the log ends, once it may be written.
    async fn unfenced(&self) -> Result<End, LogError> {
        let deadline = Instant::now() + HOLD;
        loop {
            let end = self.end_as(self.context.limits.lease, b"1").await?;
            if !end.is_fenced {
                return Ok(end);
            }
            if Instant::now() >= deadline {
                return Err(LogError { retry_after: RETRY_AFTER });
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Everything that is kept up to `end`, or what of it is without a hole.
    async fn backlog(&self, end: &End) -> Result<Vec<Arc<Record>>, LogError> {
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

    async fn read(&self, after: u64) -> Result<Range, LogError> {
        let reply = self.context.run(&self.realm, &READ, [arg(after), arg(READ_AT_ONCE)]).await;
        let reply = reply.map_err(|error| unavailable("range", &error))?;
        let range = || {
            let entries = reply.part(5)?;
            let records = entries.parts()?.iter().cloned().map(record).collect::<Option<_>>()?;
            let (end, first_kept) = (Some(reply.position(1)?), reply.number(4)?);
            Some(Range { asked_after: after, end, first_kept, records })
        };
        range().ok_or_else(|| nonsense("records"))
    }

    /// Says what this node has seen and passed on.
    async fn report(
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
