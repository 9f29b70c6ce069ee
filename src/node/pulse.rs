//! Whether the parts of a node still do their work.
//!
//! Invariants: asking never waits for a part that is stuck; a part is suspected
//! only after it has not moved for the whole of the patience.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::oneshot::{self, error::TryRecvError},
    time::{Instant, timeout},
};

use super::{Node, RealmEntry};
use crate::{
    hub::{Command, HubInfo},
    log::RealmLog as _,
};

/// A part that does not move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stuck {
    /// A hub does not answer.
    Hub,
    /// A tail does not carry what the log has.
    Tail,
    /// The log does not answer.
    Log,
}

impl Stuck {
    /// Every part.
    pub const ALL: [Self; 3] = [Self::Hub, Self::Tail, Self::Log];

    /// The part as a reason against being ready; `log` is what the log is called.
    #[must_use]
    pub fn reason(self, log: &'static str) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Tail => "tail",
            Self::Log => log,
        }
    }
}

/// How long the log may take to answer one question, a new connection to it included; a log
/// that has been silent for so long is not asked.
const LOG_PATIENCE: Duration = Duration::from_secs(3);

/// Records that are looked at beyond a tail that does not move.
const NEWER_MAX: usize = 256;

/// Feels the pulse of one node, again and again.
#[derive(Debug)]
pub struct Pulse {
    node: Arc<Node>,
    patience: Duration,
    /// The question that each hub has not answered yet.
    hubs: Vec<Option<Question>>,
    /// For realms whose tail is behind: how far it was, and since when.
    tails: HashMap<usize, (u64, Instant)>,
    /// How far the tails were at the last look.
    seen: HashMap<usize, u64>,
    /// Since when questions to the log fail.
    log_fails_since: Option<Instant>,
}

#[derive(Debug)]
struct Question {
    asked_at: Instant,
    /// `None` when the hub had no room for the question.
    answer: Option<oneshot::Receiver<HubInfo>>,
}

impl Pulse {
    /// A pulse of `node`; a part that does not move for `patience` is stuck.
    #[must_use]
    pub fn new(node: Arc<Node>, patience: Duration) -> Self {
        let hubs = node.hubs.iter().map(|_| None).collect();
        let (tails, seen) = (HashMap::new(), HashMap::new());
        Self { node, patience, hubs, tails, seen, log_fails_since: None }
    }

    /// The hubs and tails that are stuck now. Call it several times within the patience; a
    /// slow log makes it take long.
    ///
    /// # Cancel safety
    ///
    /// Safe: the next call asks again.
    pub async fn feel(&mut self) -> Vec<Stuck> {
        // The lease tells others how many there are.
        self.node.facts();
        let mut stuck = Vec::new();
        if self.has_stuck_hub() {
            stuck.push(Stuck::Hub);
        }
        let entries: Vec<RealmEntry> = self.node.realms.read().values().cloned().collect();
        let is_live = |key: &usize| entries.iter().any(|entry| entry.key == *key);
        self.tails.retain(|key, _| is_live(key));
        self.seen.retain(|key, _| is_live(key));
        let mut has_failed = false;
        for entry in &entries {
            // The other realms are in the same store.
            if has_failed || self.node.log.silent_for().is_some_and(|since| since >= LOG_PATIENCE) {
                break;
            }
            match self.is_tail_stuck(entry).await {
                Some(true) => stuck.push(Stuck::Tail),
                Some(false) => {}
                None => has_failed = true,
            }
        }
        self.log_fails_since = match has_failed {
            true => self.log_fails_since.or(Some(Instant::now())),
            false => None,
        };
        stuck.dedup();
        stuck
    }

    /// Since when questions to the log fail.
    #[must_use]
    pub fn log_fails_since(&self) -> Option<Instant> {
        self.log_fails_since
    }

    fn has_stuck_hub(&mut self) -> bool {
        let now = Instant::now();
        let mut is_stuck = false;
        for (hub, open) in self.node.hubs.iter().zip(&mut self.hubs) {
            if open.as_mut().is_some_and(Question::is_answered) {
                *open = None;
            }
            let question = open.get_or_insert(Question { asked_at: now, answer: None });
            is_stuck |= now.saturating_duration_since(question.asked_at) >= self.patience;
            // A hub that had no room is asked again, and its time runs on.
            if question.answer.is_none() {
                let (answer, answered) = oneshot::channel();
                let sent = hub.commands.try_send(Command::Inspect { answer });
                question.answer = sent.is_ok().then_some(answered);
            }
        }
        is_stuck
    }

    /// `None` when the log does not answer.
    async fn is_tail_stuck(&mut self, entry: &RealmEntry) -> Option<bool> {
        let now = Instant::now();
        let seen = entry.realm.ring.fill().last;
        // A tail that moves needs no question.
        if self.seen.insert(entry.key, seen).is_some_and(|before| before != seen) {
            self.tails.remove(&entry.key);
            return Some(false);
        }
        let newer = self.node.log.range(&entry.realm.id, seen, NEWER_MAX);
        let newer = timeout(LOG_PATIENCE, newer).await.ok()?.ok()?;
        let Some(newest) = newer.last() else {
            self.tails.remove(&entry.key);
            return Some(false);
        };
        // A tail that hears nothing does not know how far it is behind.
        entry.heard_of(newest.position.offset);
        let (was_at, since) = self.tails.entry(entry.key).or_insert((seen, now));
        if *was_at != seen {
            (*was_at, *since) = (seen, now);
        }
        Some(now.saturating_duration_since(*since) >= self.patience)
    }
}

impl Question {
    fn is_answered(&mut self) -> bool {
        match self.answer.as_mut().map(oneshot::Receiver::try_recv) {
            Some(Ok(_)) => true,
            // A hub that dropped the question has stopped: its task ends the node.
            Some(Err(TryRecvError::Empty | TryRecvError::Closed)) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    //! Goal: a part that stands still is found after the patience, not before.
    //! Method: paused time; tasks are aborted while their queues stay.

    use super::*;
    use crate::{
        clock::Clock,
        config::Config,
        lifecycle::{CancellationToken, Tasks},
        log::{AnyLog, ChatLimits, Draft, MemoryLimits, MemoryLog},
        metrics::Metrics,
        model::{Body, Id, Topic},
        node::{NodeLimits, Parts},
        presence::{AnyPresence, MemoryPresence, Rules},
    };

    const PATIENCE: Duration = Duration::from_secs(3);

    fn node(tasks: &mut Tasks) -> (Arc<Node>, AnyLog) {
        let limits = MemoryLimits {
            retention_events: 100,
            retention_bytes: 1 << 20,
            idempotency_window: Duration::from_secs(60),
            idempotency_ids: 100,
            memberships_per_user: 100,
            session_ttl: Duration::from_secs(60),
            ended_sessions: 100,
            chat: ChatLimits { history: 100, silence: Duration::from_secs(20) },
        };
        let clock = Clock::system();
        let log = AnyLog::Memory(Arc::new(MemoryLog::new(limits, clock.clone())));
        let rules = Rules::new(&Config::for_tests().status);
        let presence = MemoryPresence::new("n", rules, clock.clone());
        let parts = Parts {
            id: Arc::from("n"),
            log: log.clone(),
            presence: AnyPresence::Memory(Arc::new(presence)),
            hubs: (2, 16),
            limits: NodeLimits {
                ring_events: 100,
                ring_bytes: 1 << 20,
                replay_events: 100,
                replay_bytes: 1 << 20,
                session_ttl: Duration::from_secs(60),
            },
            facts: Arc::default(),
            metrics: Metrics::new("n", 2),
            clock,
        };
        (Node::start(parts, tasks), log)
    }

    fn disconnect() -> Draft {
        let target = Topic::User(Id::parse("u").unwrap());
        Draft { body: Body::Disconnect { target, code: 1000, reason: "".into() }, id: None }
    }

    #[tokio::test(start_paused = true)]
    async fn parts_that_stand_still_are_found_after_the_patience() {
        let mut tasks = Tasks::new(CancellationToken::new());
        let (node, log) = node(&mut tasks);
        let realm = Id::parse("default").unwrap();
        node.publish_one(&realm, disconnect()).await.unwrap();
        let mut pulse = Pulse::new(node, PATIENCE);
        for _ in 0..20 {
            assert_eq!(pulse.feel().await, []);
            tokio::time::advance(Duration::from_millis(500)).await;
        }
        drop(tasks);
        tokio::task::yield_now().await;
        // An aborted tail is forgotten by the log, and carries nothing any more.
        let appended = log.append(&realm, vec![disconnect()]).await;
        assert!(appended[0].is_ok());
        assert_eq!(pulse.feel().await, []);
        tokio::time::advance(PATIENCE - Duration::from_millis(1)).await;
        assert_eq!(pulse.feel().await, []);
        tokio::time::advance(Duration::from_millis(501)).await;
        assert_eq!(pulse.feel().await, [Stuck::Hub, Stuck::Tail]);
    }
}
