//! The tail of one realm: it carries records from the log to ring, rooms and hubs.
//!
//! Invariants:
//! - records leave a tail in the order of the log, each once, as the log hands them over;
//! - none leaves while this node may not speak for the realm, or does not know for which
//!   connections;
//! - a tail waits for a full hub, never for a socket.

use std::{collections::VecDeque, future::Future, pin::pin, sync::Arc};

use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Node, RealmEntry, backoff::Backoff};
use crate::{
    hub::{Command, Parcel},
    log::{Hold, Inbound, LogError, Loss, RealmLog as _},
    model::{CloseCode, ConnectionId, RealmId, Record},
};

/// Records that a tail takes at once.
const STEP_RECORDS: usize = 256;

/// What a tail may have heard and not yet done, at most.
const WORDS_MAX: usize = 8_192;

/// Questions of other nodes that are answered at once; more stay unanswered.
const QUESTIONS_MAX: usize = 16;

/// Sessions that the log is asked about at once.
const HOLDS_MAX: usize = 1_000;

/// How a tail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It was told to.
    Stopped,
    /// The log dropped it without a word.
    Gone,
    /// The log can't go on where it was.
    Lost(Loss),
}

/// A life of a realm that has ended.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) id: RealmId,
    pub(super) end: End,
}

/// The tail of one realm.
pub(super) struct Runner {
    node: Arc<Node>,
    entry: RealmEntry,
    inbound: mpsc::Receiver<Inbound>,
    /// What was heard and is not done.
    words: VecDeque<Inbound>,
    /// The gate's lapses that are known here.
    lapses: u64,
    /// Answers to other nodes on their way.
    answers: JoinSet<()>,
}

impl Runner {
    pub(super) fn new(
        node: Arc<Node>,
        entry: RealmEntry,
        inbound: mpsc::Receiver<Inbound>,
    ) -> Self {
        let lapses = entry.realm.claims.sure_after();
        Self { node, entry, inbound, words: VecDeque::new(), lapses, answers: JoinSet::new() }
    }

    /// Runs until `stop` is cancelled or the log says that this life is over. Then
    /// nothing of it is left on this node.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Life {
        // On the heap: a future of the log is large.
        let Err(end) = Box::pin(self.serve(&stop)).await;
        if let End::Lost(_) = end {
            self.node.end_life(&self.entry).await;
        }
        Life { id: self.entry.realm.id.clone(), end }
    }

    async fn serve(&mut self, stop: &CancellationToken) -> Result<std::convert::Infallible, End> {
        loop {
            if self.words.is_empty() {
                self.listen(stop).await?;
            }
            if self.entry.realm.gate.lapses() != self.lapses {
                self.recheck(stop).await?;
            }
            match self.words.pop_front() {
                Some(Inbound::Record(first)) => {
                    let records = self.records(first);
                    self.carry(records, stop).await?;
                }
                Some(Inbound::Taken { connection, fencing }) => {
                    let taken = self.taken((connection, fencing));
                    self.node.dismiss_taken(&self.entry, taken).await;
                }
                Some(Inbound::Recheck) => self.recheck(stop).await?,
                Some(Inbound::Question(question)) => {
                    while self.answers.try_join_next().is_some() {}
                    if self.answers.len() < QUESTIONS_MAX {
                        let (node, entry) = (Arc::clone(&self.node), self.entry.clone());
                        self.answers.spawn(async move { node.reply(&entry, &question).await });
                    } else {
                        tracing::debug!("too many questions at once");
                    }
                }
                Some(Inbound::Lost(loss)) => return Err(End::Lost(loss)),
                None => {}
            }
        }
    }

    /// Waits for words, or for a lapse of the gate.
    async fn listen(&mut self, stop: &CancellationToken) -> Result<(), End> {
        let mut step = Vec::with_capacity(STEP_RECORDS);
        // Cancel safe: words are taken only in the poll that returns them. On stop, what
        // the log handed over is still delivered.
        let count = tokio::select! {
            biased;
            () = stop.cancelled() => {
                self.inbound.close();
                self.inbound.recv_many(&mut step, STEP_RECORDS).await
            }
            count = self.inbound.recv_many(&mut step, STEP_RECORDS) => count,
            () = self.entry.realm.gate.lapsed_since(self.lapses) => return Ok(()),
        };
        self.words.extend(step);
        match count {
            0 if stop.is_cancelled() => Err(End::Stopped),
            0 => Err(End::Gone),
            _ => Ok(()),
        }
    }

    /// The records at the beginning of the words, after `first`.
    fn records(&mut self, first: Arc<Record>) -> Vec<Arc<Record>> {
        let mut records = Vec::with_capacity(self.words.len().min(STEP_RECORDS) + 1);
        records.push(first);
        while records.len() < STEP_RECORDS
            && let Some(Inbound::Record(next)) = self.words.front()
        {
            records.push(Arc::clone(next));
            self.words.pop_front();
        }
        records
    }

    /// The claims at the beginning of the words, after `first`.
    fn taken(&mut self, first: (ConnectionId, u64)) -> Arc<[(ConnectionId, u64)]> {
        let mut taken = vec![first];
        while let Some(Inbound::Taken { connection, fencing }) = self.words.front() {
            taken.push((*connection, *fencing));
            self.words.pop_front();
        }
        taken.into()
    }

    /// Into the ring first, so that a resume finds whatever a hub has applied.
    async fn carry(
        &mut self,
        records: Vec<Arc<Record>>,
        stop: &CancellationToken,
    ) -> Result<(), End> {
        while !self.entry.realm.is_spoken_for() {
            // Rare and large.
            Box::pin(self.recheck(stop)).await?;
        }
        let node = Arc::clone(&self.node);
        let (Some(oldest), Some(newest)) = (records.first(), records.last()) else { return Ok(()) };
        self.entry.progress.carrying(oldest);
        node.metrics.events_tailed_total.inc_by(records.len() as u64);
        for record in &records {
            // Before anybody sees it, so that all see the same.
            self.entry.bus.lock().take(record);
            self.entry.waiting.lock().note(record);
            self.entry.stays.note(record);
            self.entry.realm.ring.push(record);
            node.rooms.note(self.entry.key, record);
        }
        for hub in &node.hubs {
            for some in records.chunks(STEP_RECORDS.min(hub.records.max_capacity())) {
                self.hand_over(&hub.records, some, stop).await?;
            }
        }
        self.entry.progress.carried(newest.position.offset, node.clock.now_us());
        Ok(())
    }

    /// A full hub makes the tail wait; the hub never waits for a socket, but for this
    /// task, when it has to be found out for which connections this node may speak.
    async fn hand_over(
        &mut self,
        hub: &mpsc::Sender<Parcel>,
        records: &[Arc<Record>],
        stop: &CancellationToken,
    ) -> Result<(), End> {
        loop {
            let permits = match hub.try_reserve_many(records.len()) {
                Ok(permits) => Some(permits),
                // Both are cancel safe; a lapse is more urgent.
                Err(_full) => tokio::select! {
                    biased;
                    () = self.entry.realm.gate.lapsed_since(self.lapses) => None,
                    permits = hub.reserve_many(records.len()) => match permits {
                        Ok(permits) => Some(permits),
                        Err(_stopped) => return Ok(()),
                    },
                },
            };
            let Some(permits) = permits else {
                Box::pin(self.recheck(stop)).await?;
                continue;
            };
            for (permit, record) in permits.zip(records) {
                permit.send(Parcel {
                    realm_key: self.entry.key,
                    realm: Arc::clone(&self.entry.realm),
                    record: Arc::clone(record),
                });
            }
            return Ok(());
        }
    }

    /// Finds out which connections this node still holds, and lets the others go. Until
    /// then no hub speaks for any: if the log can't be asked, it is asked again.
    async fn recheck(&mut self, stop: &CancellationToken) -> Result<(), End> {
        let realm = Arc::clone(&self.entry.realm);
        let (node, entry) = (Arc::clone(&self.node), self.entry.clone());
        let mut backoff = Backoff::default();
        loop {
            realm.claims.doubt();
            if !realm.gate.is_open() {
                self.listening(realm.gate.lapsed_since(self.lapses), stop).await?;
            }
            // Read before the log is asked: a lapse meanwhile makes it ask again.
            let lapses = realm.gate.lapses();
            node.metrics.lease_lapses_total.inc_by(lapses.saturating_sub(self.lapses));
            self.lapses = lapses;
            match self.listening(node.dismiss_lost(&entry), stop).await? {
                Ok(lost) => {
                    if realm.gate.is_open() && realm.gate.lapses() == self.lapses {
                        realm.claims.settle(self.lapses);
                        tracing::info!(realm = %realm.id, lost, "connections were rechecked");
                        return Ok(());
                    }
                }
                Err(error) => {
                    tracing::debug!(realm = %realm.id, %error, "connections were not rechecked");
                    self.listening(tokio::time::sleep(backoff.next()), stop).await?;
                }
            }
        }
    }

    /// Waits for `what`, and listens meanwhile: a life that is over needs no waiting.
    async fn listening<T>(
        &mut self,
        what: impl Future<Output = T>,
        stop: &CancellationToken,
    ) -> Result<T, End> {
        let mut what = pin!(what);
        loop {
            // Cancel safe but for `what`, which is polled until it is done or not needed.
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(End::Stopped),
                word = self.inbound.recv(), if self.words.len() < WORDS_MAX => match word {
                    Some(Inbound::Lost(loss)) => return Err(End::Lost(loss)),
                    Some(word) => self.words.push_back(word),
                    None => return Err(End::Gone),
                },
                done = &mut what => return Ok(done),
            }
        }
    }
}

impl Node {
    /// Ends a life of a realm: its connections are closed, and nothing is left of it.
    async fn end_life(&self, entry: &RealmEntry) {
        let realm_key = entry.key;
        // Before the hubs are told, so that whatever comes to them later finds it over.
        entry.realm.end();
        self.realms.write().retain(|_, other| other.key != realm_key);
        for hub in &self.hubs {
            Self::ask(hub, |done| Command::End { realm_key, done }).await;
        }
        self.rooms.forget(realm_key);
    }

    /// Closes the sockets here of connections that were claimed again.
    async fn dismiss_taken(&self, entry: &RealmEntry, taken: Arc<[(ConnectionId, u64)]>) {
        // Noted first: a connection may be on its way to its hub.
        for (connection, fencing) in taken.iter() {
            entry.realm.claims.note(*connection, *fencing);
        }
        for hub in &self.hubs {
            let (realm_key, taken) = (entry.key, Arc::clone(&taken));
            if hub.commands.send(Command::Taken { realm_key, taken }).await.is_err() {
                tracing::debug!("hub has stopped");
            }
        }
    }

    /// Asks the log which connections this node still holds, and closes the sockets of
    /// the others. Returns how many those are.
    async fn dismiss_lost(&self, entry: &RealmEntry) -> Result<usize, LogError> {
        let realm_key = entry.key;
        let mut lost_count = 0;
        for hub in &self.hubs {
            let holders = Self::ask(hub, |answer| Command::Holders { realm_key, answer }).await;
            let (mut taken, mut gone) = (Vec::new(), Vec::new());
            for claims in holders.unwrap_or_default().chunks(HOLDS_MAX) {
                let held = self.log.holds(&entry.realm.id, claims.to_vec()).await?;
                for (claim, hold) in claims.iter().zip(held) {
                    match hold {
                        Hold::Held => {}
                        Hold::Taken => taken.push(*claim),
                        Hold::Gone => gone.push(*claim),
                    }
                }
            }
            // Nobody has what is gone: its client has to come again, and begins anew.
            let ends = [(CloseCode::ResumedElsewhere, taken), (CloseCode::Restart, gone)];
            for (code, lost) in ends {
                if !lost.is_empty() {
                    lost_count += lost.len();
                    Self::ask(hub, |done| Command::Dismiss { realm_key, lost, code, done }).await;
                }
            }
        }
        Ok(lost_count)
    }
}
