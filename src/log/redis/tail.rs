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
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{
    super::{Inbound, LogError, Loss, Tail},
    confirmed::Confirmed,
    context::{Context, HOLD, RETRY_AFTER},
    controls::Controls,
    faith::Faith,
    link::{Link, Reported},
    nodes::{Asker, Lease},
    queue::Jobs,
};
use crate::{
    lifecycle::{CancellationToken, Gate},
    log::{
        course::{Course, Effect, Input, Request, Verdict},
        frame::{self, Frame},
    },
    model::{Position, RealmId, Record},
    redis_client::{Inbox, Kick, Pushed},
};

/// Messages that may wait in front of the tail; more are a gap.
const INBOX: usize = 8_192;

/// Words that may wait in front of the node; more make the tail wait.
const INBOUND: usize = 8_192;

/// Records that are handed over together.
const DELIVERED_AT_ONCE: usize = 256;

/// How often the course is told the time.
const TICK: Duration = Duration::from_millis(50);

/// A tail that is to begin.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) context: Arc<Context>,
    pub(super) lease: Arc<Lease>,
    pub(super) realm: RealmId,
    pub(super) faith: Arc<Faith>,
    pub(super) controls: Arc<Controls>,
    pub(super) jobs: Jobs,
    pub(super) confirmed: Option<Confirmed>,
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
    jobs: Jobs,
    controls: Arc<Controls>,
    /// Up to where the log held what it held before, by its last answer to a report.
    kept_up_to: Arc<AtomicU64>,
    began_at: Instant,
}

impl Beginning {
    /// Subscribes, and reads everything that is kept.
    pub(super) async fn begin(self) -> Result<(Tail, Running), LogError> {
        let Self { context, lease, realm, faith, controls, jobs, confirmed } = self;
        let began_at = Instant::now();
        let (subscription, mut inbox) = context.client.subscribe(&context.key(&realm, "t"), INBOX);
        let kick = subscription.kick();
        let mut helpers = JoinSet::new();
        helpers.spawn(subscription.run(CancellationToken::new()));
        subscribed(&mut inbox).await?;
        let gate = Gate::until(Instant::now());
        let asker = Arc::new(Asker::new(&lease));
        let link = Link { context, realm, asker, gate: gate.clone(), confirmed };
        // Everything that is published from here on is heard; what was before is read.
        // First: what was changed after it is read, too.
        link.unfenced().await?;
        let workspaces = link.workspaces().await?;
        let end = link.unfenced().await?;
        let backlog = link.backlog(&end).await?;
        let position = match backlog.last() {
            Some(last) => {
                Position { offset: last.position.offset, tag: last.position.tag, ..end.position }
            }
            None => end.position,
        };
        let first = backlog.first().map_or(u64::MAX, |first| first.position.offset);
        if workspaces.0 != position.offset && workspaces.0.saturating_add(1) < first {
            return Err(LogError { retry_after: RETRY_AFTER });
        }
        let mut course = Course::new(position.clone(), 0);
        if let Some(confirmed) = &link.confirmed {
            // What was read is handed over as what will be delivered.
            let Position { generation, .. } = confirmed.ask().await?;
            if generation != position.generation {
                return Err(LogError { retry_after: RETRY_AFTER });
            }
            course = course.held_back();
        }
        faith.follow(&position.generation);
        helpers.spawn(link.clone().beat());
        let (inbound, inbound_out) = mpsc::channel(INBOUND);
        let running = Running {
            link,
            course,
            inbox,
            kick,
            helpers,
            requests: JoinSet::new(),
            inbound,
            faith,
            jobs,
            controls,
            kept_up_to: Arc::new(AtomicU64::new(u64::MAX)),
            began_at,
        };
        Ok((Tail { position, backlog, workspaces, inbound: inbound_out, gate }, running))
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
            Ok(Frame::Confirmed(position)) => {
                Ok(Some(Input::Confirmed { position, is_answer: false }))
            }
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

    async fn deliver(&self, records: &[Arc<Record>]) -> Result<(), Gone> {
        // Many with one look at the queue, so that the node takes them together.
        for some in records.chunks(DELIVERED_AT_ONCE) {
            let permits = self.inbound.reserve_many(some.len()).await.map_err(|_| Gone)?;
            for (permit, record) in permits.zip(some) {
                self.controls.note(&record.position, &record.body);
                permit.send(Inbound::Record(Arc::clone(record)));
            }
        }
        Ok(())
    }

    fn report(&mut self, round: u64, highest: Position) {
        // Of what the tail has seen, the newest place proves all before it; an older one may be
        // trimmed by now, and would look like a loss.
        let told = self.faith.doubt().filter(|told| told.offset > highest.offset);
        let kept_up_to = Arc::clone(&self.kept_up_to);
        let link = self.link.clone();
        self.requests.spawn(async move {
            match reported(&link, highest, told).await {
                Ok(Reported { generation, verdict, began_at }) => {
                    kept_up_to.store(began_at, Ordering::Relaxed);
                    Input::Verdict { round, generation, verdict }
                }
                Err(_error) => Input::Failed(Request::Report),
            }
        });
    }

    /// Does what the course wants done.
    async fn act(&mut self, effect: Effect) -> Result<(), Gone> {
        let link = self.link.clone();
        match effect {
            Effect::Deliver(records) => self.deliver(&records).await?,
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
            Effect::Confirm => {
                if let Some(confirmed) = link.confirmed {
                    self.requests.spawn(async move {
                        match confirmed.ask().await {
                            Ok(position) => Input::Confirmed { position, is_answer: true },
                            Err(_error) => Input::Failed(Request::Confirm),
                        }
                    });
                }
            }
            Effect::Report { round, highest } => self.report(round, highest),
            Effect::Kick => self.kick.renew(),
            Effect::Recheck => self.tell(Inbound::Recheck).await?,
            Effect::Adopt(generation) => {
                tracing::warn!(realm = %link.realm, ?generation, "the log goes on in a new life");
                link.context.metrics.generations_adopted_total.inc();
                self.faith.follow(&generation);
            }
            Effect::Lost(loss) => {
                tracing::error!(realm = %link.realm, ?loss, "the tail is lost");
                self.faith.end();
                if loss == Loss::Generation {
                    let kept_up_to = self.kept_up_to.load(Ordering::Relaxed);
                    self.controls.publish_again(kept_up_to, (&link.context, &self.jobs));
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

/// Reports what was seen and passed on; where replicas are waited for, they know what it led to.
async fn reported(
    link: &Link,
    highest: Position,
    told: Option<Position>,
) -> Result<Reported, LogError> {
    let reported = link.report(highest, told).await?;
    // A generation that no replica knows of is lost with the next failover.
    if let Some(confirmed) = &link.confirmed
        && reported.verdict == Verdict::Clean
        && confirmed.ask().await?.generation != reported.generation
    {
        return Err(LogError { retry_after: RETRY_AFTER });
    }
    Ok(reported)
}

/// Nobody hears the tail any more.
struct Gone;
