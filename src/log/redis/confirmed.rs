//! Up to where the replicas have a realm's log, and how all tails come to know it.
//!
//! Invariants:
//! - what is told is the newest place of which a call of this node knows it;
//! - who publishes never waits until it is told; what is not told is asked for;
//! - one question is under way at a time; it answers everybody who asked before it began.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::{
    super::LogError,
    context::{Context, RETRY_AFTER, text},
    replicas::{Confirming, Until},
    scripts::{CONFIRM, TELL},
};
use crate::{
    lifecycle::CancellationToken,
    log::{course::counter, frame},
    model::{Position, RealmId},
    redis_client::Dedicated,
};

/// Who may wait for one question; more wait until it has begun.
const ASKERS: usize = 1_024;

type Answer = oneshot::Sender<Option<Position>>;

/// What this node knows of the replicas of a realm. Clones share everything.
#[derive(Debug, Clone)]
pub(super) struct Confirmed {
    newest: Arc<watch::Sender<Option<Position>>>,
    /// Every connection that waits for replicas.
    all: [Confirming; 2],
    askers: mpsc::Sender<Answer>,
}

/// The task that tells all tails.
#[derive(Debug)]
pub(super) struct Teller {
    context: Arc<Context>,
    channel: String,
    connection: Dedicated,
    newest: watch::Receiver<Option<Position>>,
}

/// The task that asks the replicas.
#[derive(Debug)]
pub(super) struct Asking {
    context: Arc<Context>,
    realm: RealmId,
    all: [Confirming; 2],
    askers: mpsc::Receiver<Answer>,
}

impl Confirmed {
    /// `all` wait for replicas, and questions go over the last one; what is told goes over
    /// `connection`. Both tasks must be run.
    pub(super) fn new(
        context: &Arc<Context>,
        realm: &RealmId,
        all: [Confirming; 2],
        connection: Dedicated,
    ) -> (Self, Teller, Asking) {
        let (newest, newest_out) = watch::channel(None);
        let (askers, askers_out) = mpsc::channel(ASKERS);
        let channel = context.key(realm, "t");
        let teller =
            Teller { context: Arc::clone(context), channel, connection, newest: newest_out };
        let (context, realm) = (Arc::clone(context), realm.clone());
        let asking = Asking { context, realm, all: all.clone(), askers: askers_out };
        (Self { newest: Arc::new(newest), all, askers }, teller, asking)
    }

    /// So many replicas follow the server that is in charge.
    pub(super) fn raise(&self, follow: u64) {
        self.all.iter().for_each(|one| one.raise(follow));
    }

    /// The replicas have everything up to `position`.
    pub(super) fn note(&self, position: &Position) {
        self.newest.send_if_modified(|known| {
            let place = |of: &Position| (counter(&of.generation), of.offset);
            let is_newer = known.as_ref().is_none_or(|known| place(known) < place(position));
            if is_newer {
                *known = Some(position.clone());
            }
            is_newer
        });
    }

    /// Waits until the replicas have everything that was written before; where the log
    /// ended then.
    ///
    /// # Errors
    ///
    /// [`LogError`] when they did not within some seconds.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub(super) async fn ask(&self) -> Result<Position, LogError> {
        let (answer, answered) = oneshot::channel();
        let unknown = LogError { retry_after: RETRY_AFTER };
        if self.askers.send(answer).await.is_err() {
            return Err(unknown);
        }
        let position = answered.await.ok().flatten().ok_or(unknown)?;
        self.note(&position);
        Ok(position)
    }
}

impl Teller {
    /// Runs until `stop` is cancelled, or until nothing can be noted any more.
    ///
    /// # Cancel safety
    ///
    /// Safe: tails ask for what they are not told.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let verb = text(if self.context.limits.is_sharded { "SPUBLISH" } else { "PUBLISH" });
        while let Some(Ok(())) = stop.run_until_cancelled(self.newest.changed()).await {
            let newest = self.newest.borrow_and_update().clone();
            let Some(newest) = newest else { continue };
            let args = [verb.clone(), frame::write_confirmed(&newest)];
            let told = self.connection.run(&TELL, &[&self.channel], &args, None).await;
            if let Err(error) = told {
                tracing::debug!(%error, "a confirmed place was not told");
            }
        }
    }
}

impl Asking {
    /// Runs until `stop` is cancelled, or until nobody can ask any more.
    ///
    /// # Cancel safety
    ///
    /// Safe: who waits is told that nothing is known.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut waiting: Vec<Answer> = Vec::new();
        // Each connection learns how many replicas follow before it is needed: where nobody
        // can tell that this is right, that takes a while.
        let [publish, claims] = &self.all;
        let first = async { tokio::join!(self.question(publish), self.question(claims)) };
        if stop.run_until_cancelled(first).await.is_none() {
            return;
        }
        loop {
            let asked = self.askers.recv_many(&mut waiting, ASKERS);
            if stop.run_until_cancelled(asked).await.is_none_or(|count| count == 0) {
                return;
            }
            let [_, claims] = &self.all;
            let Some(end) = stop.run_until_cancelled(self.question(claims)).await else { return };
            for answer in waiting.drain(..) {
                if answer.send(end.clone()).is_err() {
                    tracing::trace!("who asked has gone");
                }
            }
        }
    }

    /// Where the log ended when the replicas had all of it.
    async fn question(&self, over: &Confirming) -> Option<Position> {
        let over = (over, Until::Confirmed);
        let reply = self.context.write(&self.realm, &CONFIRM, Vec::new(), over).await;
        reply.ok().and_then(|reply| reply.position(1))
    }
}
