//! The tails: each realm that is used here has one, from its first use on.
//!
//! A life of a realm ends when its log can't go on where it was. The next one begins at
//! once, with a new key, a new ring and no connections: they come back by themselves.
//!
//! Invariants:
//! - a realm has at most one tail;
//! - whoever asks for a realm is told soon, also when the log is away;
//! - a tail that ends for another reason than a loss ends the node: a deaf node looks
//!   healthy.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    Node, RealmEntry,
    backoff::Backoff,
    tail::{End, Life, Runner},
};
use crate::{
    log::{LogError, Loss, RealmLog as _, Tail},
    model::RealmId,
};

/// A realm that wants its tail, and who asked.
type Starting = (RealmId, Asker);
type Asker = oneshot::Sender<Result<RealmEntry, LogError>>;

/// The task that owns the tails of all realms.
#[derive(Debug)]
pub struct Tails {
    node: Arc<Node>,
    starting: mpsc::Receiver<Starting>,
    /// Those that run.
    lives: JoinSet<Life>,
    /// Those that are about to; each realm that is wanted has one.
    attempts: JoinSet<(RealmId, Result<Tail, LogError>)>,
    wanted: HashMap<RealmId, Wanted>,
}

/// A realm without a tail.
#[derive(Debug, Default)]
struct Wanted {
    askers: Vec<Asker>,
    /// When it had a life here before: it gets another one, whether somebody asks or not.
    backoff: Option<Backoff>,
}

impl Tails {
    pub(super) fn new(node: Arc<Node>, starting: mpsc::Receiver<Starting>) -> Self {
        let (lives, attempts) = (JoinSet::new(), JoinSet::new());
        Self { node, starting, lives, attempts, wanted: HashMap::new() }
    }

    /// Runs until `stop` is cancelled, or a tail fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future aborts all tails.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            // Every arm is cancel safe; stop comes first.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = self.lives.join_next() => match ended {
                    Ok(Life { id, end: End::Lost(loss) }) => {
                        self.begin_anew(id, loss);
                    }
                    ended @ (Ok(Life { end: End::Stopped | End::Gone, .. }) | Err(_)) => {
                        tracing::error!(?ended, "tail ended");
                        return;
                    }
                },
                Some(attempt) = self.attempts.join_next() => match attempt {
                    Ok((id, tail)) => self.attempted(id, tail, &stop),
                    Err(error) => {
                        tracing::error!(%error, "tail did not start");
                        return;
                    }
                },
                Some((id, asker)) = self.starting.recv() => self.want(id, asker),
            }
        }
        self.attempts.shutdown().await;
        while self.lives.join_next().await.is_some() {}
    }

    fn begin_anew(&mut self, id: RealmId, loss: Loss) {
        tracing::warn!(realm = %id, ?loss, "realm begins anew");
        let cause = match loss {
            Loss::Generation => "generation",
            Loss::Retention => "retention",
        };
        self.node.metrics.realm_losses_total.with_label_values(&[cause]).inc();
        // Somebody may have asked since the old life was taken out.
        if self.node.realms.read().contains_key(&id) {
            return;
        }
        let is_wanted = self.wanted.contains_key(&id);
        self.wanted.entry(id.clone()).or_default().backoff = Some(Backoff::default());
        if !is_wanted {
            self.attempt(id, Duration::ZERO);
        }
    }

    fn want(&mut self, id: RealmId, asker: Asker) {
        // Two may have asked before the first tail ran.
        if let Some(entry) = self.node.realms.read().get(&id) {
            return answer(asker, Ok(entry.clone()));
        }
        match self.wanted.get_mut(&id) {
            Some(wanted) => wanted.askers.push(asker),
            None => {
                self.wanted.insert(id.clone(), Wanted { askers: vec![asker], backoff: None });
                self.attempt(id, Duration::ZERO);
            }
        }
    }

    fn attempt(&mut self, id: RealmId, after: Duration) {
        let node = Arc::clone(&self.node);
        self.attempts.spawn(async move {
            tokio::time::sleep(after).await;
            let tail = node.log.attach(&id).await;
            (id, tail)
        });
    }

    fn attempted(&mut self, id: RealmId, tail: Result<Tail, LogError>, stop: &CancellationToken) {
        let Some(mut wanted) = self.wanted.remove(&id) else { return };
        let started = match tail {
            Ok(tail) => {
                let entry = self.node.adopt(&id, &tail);
                let runner = Runner::new(Arc::clone(&self.node), entry.clone(), tail.inbound);
                self.lives.spawn(runner.run(stop.clone()));
                tracing::info!(realm = %id, "realm started");
                Ok(entry)
            }
            Err(error) => Err(error),
        };
        for asker in wanted.askers.drain(..) {
            answer(asker, started.clone());
        }
        if let (Err(error), Some(backoff)) = (&started, &mut wanted.backoff) {
            tracing::debug!(realm = %id, %error, "realm did not begin anew yet");
            let after = backoff.next();
            self.wanted.insert(id.clone(), wanted);
            self.attempt(id, after);
        }
    }
}

/// Tells an asker, who may have given up.
fn answer(asker: Asker, started: Result<RealmEntry, LogError>) {
    if asker.send(started).is_err() {
        tracing::debug!("who asked for a realm has gone");
    }
}
