//! One channel, listened to for as long as the node runs.
//!
//! Redis forgets who was not there: whatever may have been missed is a
//! [`Pushed::Gap`], and from [`Pushed::Subscribed`] on everything arrives again.
//!
//! Invariants:
//! - after a gap nothing is delivered before the next `Subscribed`;
//! - at most the agreed number of messages and 64 MiB wait; what does
//!   not fit is a gap, counted, and never a wait of the connection;
//! - a link that is silent for 3 s is dead.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use redis::{PushInfo, PushKind, Value, aio::MultiplexedConnection, cmd};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep},
};

use super::{RedisClient, RedisError, backoff::Backoff, connect, roles::Wanted, settings::Address};
use crate::{config::RedisMode, lifecycle::CancellationToken, metrics::IntCounter};

/// Most bytes that wait for the one who listens.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// How often the connection is tried.
const TRIAL_PERIOD: Duration = Duration::from_secs(1);

/// What a subscription says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// A message.
    Message(Bytes),
    /// What is published from now on arrives; what was before may be missing.
    Subscribed,
    /// Something may be missing. Nothing arrives before the next `Subscribed`.
    Gap(GapCause),
}

/// Why something may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapCause {
    /// The connection broke.
    Disconnected,
    /// The connection did not answer.
    Silent,
    /// The server is no primary any more.
    NoPrimary,
    /// The listener was too slow.
    Overflow,
    /// The server ended the subscription, as when the slot moved.
    Unsubscribed,
    /// Somebody asked for another connection.
    Renewed,
}

/// Makes a subscription connect anew, to the server that is in charge then.
#[derive(Debug, Clone, Default)]
pub struct Kick(Arc<Notify>);

impl Kick {
    /// Asks for another connection; while one is being made, hurries that.
    pub fn renew(&self) {
        self.0.notify_one();
    }
}

/// Where messages wait for the one who listens.
#[derive(Debug)]
pub struct Inbox {
    queue: mpsc::Receiver<Pushed>,
    waiting_bytes: Arc<AtomicUsize>,
}

impl Inbox {
    /// The next one; `None` once the subscription ended and everything was taken.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is lost.
    pub async fn recv(&mut self) -> Option<Pushed> {
        let pushed = self.queue.recv().await;
        pushed.inspect(|pushed| self.taken(pushed))
    }

    /// The next one, if it is there already.
    pub fn try_recv(&mut self) -> Option<Pushed> {
        let pushed = self.queue.try_recv().ok();
        pushed.inspect(|pushed| self.taken(pushed))
    }

    fn taken(&self, pushed: &Pushed) {
        if let Pushed::Message(message) = pushed {
            self.waiting_bytes.fetch_sub(message.len(), Ordering::Relaxed);
        }
    }
}

/// The working half of a subscription.
#[derive(Debug)]
pub struct Subscription {
    client: RedisClient,
    channel: String,
    queue: mpsc::Sender<Pushed>,
    waiting_bytes: Arc<AtomicUsize>,
    kick: Kick,
    wanted: Wanted,
}

impl Subscription {
    pub(super) fn new(client: RedisClient, channel: &str, capacity: usize) -> (Self, Inbox) {
        let (queue, inbox) = mpsc::channel(capacity);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let inbox = Inbox { queue: inbox, waiting_bytes: Arc::clone(&waiting_bytes) };
        let wanted = client.0.roles.want("subscribe");
        let channel = channel.to_owned();
        let kick = Kick::default();
        (Self { client, channel, queue, waiting_bytes, kick, wanted }, inbox)
    }

    /// Makes this subscription connect anew.
    #[must_use]
    pub fn kick(&self) -> Kick {
        self.kick.clone()
    }

    /// Listens until `stop` is cancelled or the [`Inbox`] is dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the subscription.
    pub async fn run(self, stop: CancellationToken) {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.queue.closed() => {}
            () = self.listen() => {}
        }
    }

    async fn listen(&self) {
        let mut backoff = Backoff::new();
        loop {
            match self.session().await {
                Ok(session) => {
                    if self.wanted.up() {
                        tracing::info!(address = %session.address, "redis subscribed again");
                    }
                    let began = Instant::now();
                    let cause = self.end_of(session).await;
                    backoff.lasted(began.elapsed());
                    self.wanted.down();
                    tracing::warn!(?cause, "redis subscription ended");
                    if self.queue.send(Pushed::Gap(cause)).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    if backoff.is_first() {
                        tracing::warn!(error, channel = self.channel, "no redis subscription");
                    } else {
                        tracing::debug!(error, channel = self.channel, "still no subscription");
                    }
                }
            }
            tokio::select! {
                biased;
                () = self.kick.0.notified() => {}
                () = sleep(backoff.next()) => {}
            }
        }
    }

    /// Connects and subscribes. On an error nothing was delivered after the last gap,
    /// or the gap was.
    async fn session(&self) -> Result<Session, RedisError> {
        let client = &self.client.0;
        let address = client.topology.primary(&self.channel).await?;
        let (ends, ended) = mpsc::channel(1);
        let listener = Arc::new(Listener {
            channel: self.channel.clone(),
            queue: self.queue.clone(),
            waiting_bytes: Arc::clone(&self.waiting_bytes),
            overflows: client.metrics.redis_overflows_total.clone(),
            heard: AtomicU64::new(0),
            is_deaf: AtomicBool::new(false),
            ends,
        });
        let ear = Arc::clone(&listener);
        let opened =
            connect::open(&client.settings, &address, Box::new(move |info| ear.hear(info))).await;
        let verb = match client.settings.mode {
            RedisMode::Cluster => "SSUBSCRIBE",
            RedisMode::Standalone | RedisMode::Sentinel => "SUBSCRIBE",
        };
        let subscribed = match opened {
            Ok(mut connection) => {
                let command = cmd(verb).arg(&self.channel).take();
                connect::send(&mut connection, &command).await.map(|_| connection)
            }
            Err(error) => Err(error),
        };
        match subscribed {
            Ok(connection) => Ok(Session { connection, address, listener, ended }),
            Err(error) => {
                self.client.learn_from(&address, &error);
                self.close(&listener).await;
                Err(error)
            }
        }
    }

    /// Ends what a session that failed may have begun.
    async fn close(&self, listener: &Listener) {
        let was_open = listener.heard.load(Ordering::Acquire) > 0;
        listener.is_deaf.store(true, Ordering::Release);
        if was_open {
            drop(self.queue.send(Pushed::Gap(GapCause::Disconnected)).await);
        }
    }

    async fn end_of(&self, session: Session) -> GapCause {
        let Session { connection, address, listener, mut ended } = session;
        let cause = tokio::select! {
            biased;
            () = self.kick.0.notified() => GapCause::Renewed,
            cause = ended.recv() => cause.unwrap_or(GapCause::Disconnected),
            cause = self.silence(connection, &address, &listener) => cause,
        };
        listener.is_deaf.store(true, Ordering::Release);
        self.client.0.topology.forget(&address, None);
        cause
    }

    /// Ends when the server neither answers nor sends anything, or is no primary any more.
    async fn silence(
        &self,
        mut connection: MultiplexedConnection,
        address: &Address,
        listener: &Listener,
    ) -> GapCause {
        loop {
            sleep(TRIAL_PERIOD).await;
            if !self.client.is_in_charge(address).await {
                return GapCause::NoPrimary;
            }
            let heard = listener.heard.load(Ordering::Relaxed);
            match connect::require_primary(&mut connection).await {
                Ok(()) => {}
                Err(error) if error.is_no_primary() => return GapCause::NoPrimary,
                // The answer waits behind messages that are on their way: while they come,
                // the link lives.
                Err(_) if listener.heard.load(Ordering::Relaxed) != heard => {}
                Err(_) => return GapCause::Silent,
            }
        }
    }
}

/// An open subscription.
struct Session {
    connection: MultiplexedConnection,
    address: Address,
    listener: Arc<Listener>,
    ended: mpsc::Receiver<GapCause>,
}

/// Hears what the server sends, on the connection's own task: it never waits.
struct Listener {
    channel: String,
    queue: mpsc::Sender<Pushed>,
    waiting_bytes: Arc<AtomicUsize>,
    overflows: IntCounter,
    /// What came so far.
    heard: AtomicU64,
    /// The session ended; what still comes belongs to the gap.
    is_deaf: AtomicBool,
    /// Tells the first reason why the session is over.
    ends: mpsc::Sender<GapCause>,
}

impl Listener {
    fn hear(&self, info: PushInfo) {
        if self.is_deaf.load(Ordering::Acquire) {
            return;
        }
        let is = |kinds: &[PushKind]| kinds.contains(&info.kind);
        if is(&[PushKind::Disconnection]) {
            self.end(GapCause::Disconnected);
        } else if is(&[PushKind::Unsubscribe, PushKind::SUnsubscribe]) {
            self.end(GapCause::Unsubscribed);
        } else if is(&[PushKind::Subscribe, PushKind::SSubscribe]) {
            self.offer(Pushed::Subscribed, 0);
        } else if is(&[PushKind::Message, PushKind::SMessage])
            && let Some(message) = self.message(info.data)
        {
            let length = message.len();
            self.offer(Pushed::Message(message), length);
        }
    }

    /// The message in `[channel, message]`, when it is of our channel.
    fn message(&self, data: Vec<Value>) -> Option<Bytes> {
        let [Value::BulkString(channel), Value::BulkString(message)] =
            <[Value; 2]>::try_from(data).ok()?
        else {
            return None;
        };
        (channel == self.channel.as_bytes()).then(|| message.into())
    }

    fn offer(&self, pushed: Pushed, bytes: usize) {
        self.heard.fetch_add(1, Ordering::AcqRel);
        // Before the message is there to be taken, so that the sum never goes below 0.
        let waiting = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = waiting.saturating_add(bytes) <= BYTES_MAX;
        if fits && self.queue.try_send(pushed).is_ok() {
            return;
        }
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        if !self.queue.is_closed() {
            self.overflows.inc();
        }
        self.end(GapCause::Overflow);
    }

    fn end(&self, cause: GapCause) {
        self.is_deaf.store(true, Ordering::Release);
        // A second reason changes nothing.
        self.ends.try_send(cause).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis_client::testing;

    fn ear(capacity: usize) -> (Listener, Inbox, mpsc::Receiver<GapCause>) {
        let (queue, inbox) = mpsc::channel(capacity);
        let (ends, ended) = mpsc::channel(1);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let inbox = Inbox { queue: inbox, waiting_bytes: Arc::clone(&waiting_bytes) };
        let listener = Listener {
            channel: "t".to_owned(),
            queue,
            waiting_bytes,
            overflows: testing::metrics().redis_overflows_total.clone(),
            heard: AtomicU64::new(0),
            is_deaf: AtomicBool::new(false),
            ends,
        };
        (listener, inbox, ended)
    }

    fn message(bytes: usize) -> PushInfo {
        let data = vec![Value::BulkString(b"t".to_vec()), Value::BulkString(vec![7; bytes])];
        PushInfo { kind: PushKind::SMessage, data }
    }

    /// Goal: K07: what comes all at once is bounded in bytes, too, and what was taken
    /// makes room.
    #[test]
    fn k07_bytes_are_bounded_and_room_comes_back() {
        let (listener, mut inbox, mut ended) = ear(100);
        for _ in 0..3 {
            listener.hear(message(BYTES_MAX / 2));
            listener.hear(message(BYTES_MAX / 2));
            assert!(ended.try_recv().is_err());
            for _ in 0..2 {
                assert!(matches!(inbox.try_recv(), Some(Pushed::Message(_))));
            }
        }
        listener.hear(message(BYTES_MAX));
        listener.hear(message(1));
        assert_eq!(ended.try_recv(), Ok(GapCause::Overflow));
        assert_eq!(listener.overflows.get(), 1);
        listener.hear(message(0));
        assert!(matches!(inbox.try_recv(), Some(Pushed::Message(_))));
        assert_eq!(inbox.try_recv(), None, "nothing follows what was lost");
        assert_eq!(inbox.waiting_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_listener_that_left_is_no_overflow() {
        let (listener, inbox, mut ended) = ear(1);
        drop(inbox);
        listener.hear(message(1));
        assert!(ended.try_recv().is_ok());
        assert_eq!(listener.overflows.get(), 0);
    }
}
