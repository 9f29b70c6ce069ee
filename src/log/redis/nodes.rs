//! The name of this node in the cluster, and who else is there.
//!
//! Invariants:
//! - of two nodes with one name, the one that came later stays, and only after the lease
//!   of the earlier one ended;
//! - how long Redis has been silent is known without asking it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use redis::{Pipeline, Value};
use tokio::time::{Instant, sleep, timeout};

use super::{
    super::{ClusterNode, LogError, ThisNode},
    context::{Context, arg, millis, nonsense, text, unavailable},
    reply::{Reply, unexpected},
    scripts::NODE,
    wire,
};
use crate::redis_client::{RedisClient, RedisError};

/// How long the connection of the lease may take to open before the first beat.
const READY: Duration = Duration::from_secs(1);

/// Since when questions wait for their answer, by who asks them.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<HashMap<u64, Instant>>);

/// One who asks. Dropping it means that nobody waits for an answer.
#[derive(Debug)]
pub(super) struct Asker {
    lease: Arc<Lease>,
    number: u64,
}

impl Health {
    fn asked(&self, number: u64, spare: Duration) {
        self.0.lock().entry(number).or_insert_with(|| Instant::now() + spare);
    }

    fn answered(&self, number: u64) {
        self.0.lock().remove(&number);
    }

    fn silent_for(&self) -> Option<Duration> {
        self.0.lock().values().map(Instant::elapsed).max()
    }
}

impl Asker {
    pub(super) fn new(lease: &Arc<Lease>) -> Self {
        let number = lease.askers.fetch_add(1, Ordering::Relaxed);
        Self { lease: Arc::clone(lease), number }
    }

    /// Something is asked, if it is not yet; the first `spare` of the wait is no silence.
    pub(super) fn asked(&self, spare: Duration) {
        self.lease.health.asked(self.number, spare);
    }

    /// It was answered.
    pub(super) fn answered(&self) {
        self.lease.health.answered(self.number);
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.answered();
    }
}

/// The lease of this node.
#[derive(Debug)]
pub(super) struct Lease {
    node: ThisNode,
    me: Arc<str>,
    incarnation: u64,
    health: Health,
    askers: AtomicU64,
}

/// Another node has this one's name.
#[derive(Debug)]
pub(super) struct Taken;

impl Lease {
    /// Waits until nobody has the name, and takes it.
    pub(super) async fn take(client: &RedisClient, node: ThisNode) -> Result<Self, RedisError> {
        let mut held_by: Option<(u64, Instant)> = None;
        loop {
            let reply = call(client, &node, "take", 0).await?;
            match reply.word() {
                Some("OK") => {
                    let incarnation = reply.number(1).ok_or_else(|| unexpected("a lease"))?;
                    let me = Arc::from(format!("{}#{incarnation}", node.id));
                    let (health, askers) = (Health::default(), AtomicU64::new(0));
                    return Ok(Self { node, me, incarnation, health, askers });
                }
                Some("HELD") => {
                    let left = reply.number(1).ok_or_else(|| unexpected("a lease"))?;
                    let by = reply.number(2).ok_or_else(|| unexpected("a lease"))?;
                    let ends_at = Instant::now() + Duration::from_millis(left);
                    let is_renewed = held_by.is_some_and(|(earlier, ended_at)| {
                        earlier == by && ends_at > ended_at + Duration::from_millis(500)
                    });
                    if is_renewed {
                        let message = format!("another live node is called {}", node.id);
                        return Err(RedisError::Server { code: "NAMETAKEN".to_owned(), message });
                    }
                    tracing::warn!(node = %node.id, left_ms = left, "waits for an earlier start of this node");
                    held_by = Some((by, ends_at));
                    // Looks again before the end, so that a renewal is seen soon.
                    let longest = node.lease / 4;
                    sleep(Duration::from_millis(left + 20).min(longest)).await;
                }
                Some(_) | None => return Err(unexpected("a lease")),
            }
        }
    }

    /// `<node>#<incarnation>`
    pub(super) fn me(&self) -> &Arc<str> {
        &self.me
    }

    pub(super) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Renews the lease again and again; returns when another node has the name.
    pub(super) async fn keep(self: Arc<Self>, context: &Context, every: Duration) -> Taken {
        let asker = Asker::new(&self);
        let key = key(&context.client);
        // Of its own: who waits for a connection of the pool knows nothing of Redis.
        let connection = context.client.dedicated(&key, "lease");
        if timeout(READY, connection.ready()).await.is_err() {
            tracing::debug!("the connection of the lease is not open");
        }
        let count = |result| {
            context.metrics.lease_renewals_total.with_label_values(&[result]).inc();
        };
        loop {
            asker.asked(Duration::ZERO);
            let args = args(&self.node, "beat", self.incarnation);
            let answer = connection.run(&NODE, &[&key], &args, None).await;
            match answer.map(|(value, _)| Reply::new(value)) {
                Ok(reply) if reply.word() == Some("TAKEN") => {
                    count("taken");
                    return Taken;
                }
                Ok(_) => {
                    count("renewed");
                    asker.answered();
                }
                Err(error) => {
                    count("failed");
                    tracing::debug!(%error, "the lease was not renewed");
                }
            }
            sleep(every).await;
        }
    }

    /// Ends the lease, so that a next start of this node need not wait.
    pub(super) async fn give_up(&self, client: &RedisClient) {
        if let Err(error) = call(client, &self.node, "leave", self.incarnation).await {
            tracing::debug!(%error, "the lease was not given up");
        }
    }

    /// The live nodes.
    pub(super) async fn nodes(&self, context: &Context) -> Result<Vec<ClusterNode>, LogError> {
        let key = key(&context.client);
        let mut command = Pipeline::new();
        command.cmd("HGETALL").arg(&key);
        command.cmd("TIME");
        let replies = context.client.query("nodes", &key, &command).await;
        let replies = replies.map_err(|error| unavailable("nodes", &error))?;
        let mut replies = replies.into_iter().map(Reply::new);
        let (rows, time) = (replies.next(), replies.next());
        let seconds = time.and_then(|time| time.number(0)).ok_or_else(|| nonsense("nodes"))?;
        let rows = rows.unwrap_or_else(|| Reply::new(Value::Nil));
        let rows = rows.pairs().ok_or_else(|| nonsense("nodes"))?;
        let nodes = rows.into_iter().filter_map(|(id, text)| wire::node(id, text));
        Ok(nodes.filter(|node| node.lease_expires_at_ms >= seconds * 1_000).collect())
    }

    /// How long Redis has not answered.
    pub(super) fn silent_for(&self) -> Option<Duration> {
        self.health.silent_for()
    }
}

async fn call(
    client: &RedisClient,
    node: &ThisNode,
    what: &'static str,
    incarnation: u64,
) -> Result<Reply, RedisError> {
    let args = args(node, what, incarnation);
    Ok(Reply::new(client.run(&NODE, &[&key(client)], &args).await?))
}

fn key(client: &RedisClient) -> String {
    format!("{}:nodes", client.prefix())
}

fn args(node: &ThisNode, what: &'static str, incarnation: u64) -> [Bytes; 6] {
    let is_draining = node.facts.is_draining.load(Ordering::Relaxed);
    [
        Bytes::from_static(what.as_bytes()),
        text(&node.id),
        arg(incarnation),
        millis(node.lease),
        arg(node.facts.connections.load(Ordering::Relaxed)),
        Bytes::from_static(if is_draining { b"1" } else { b"0" }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: silence counts from the question that has waited longest, less what it may take
    /// to ask; an answer ends that of its asker only, and so does the end of the asker.
    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_the_oldest_question_without_an_answer() {
        let facts = Arc::default();
        let lease = Duration::from_secs(10);
        let node = ThisNode { id: Arc::from("n"), lease, facts };
        let (health, askers) = (Health::default(), AtomicU64::new(0));
        let lease = Arc::new(Lease { node, me: Arc::from("n#1"), incarnation: 1, health, askers });
        let (one, other) = (Asker::new(&lease), Asker::new(&lease));
        let second = Duration::from_secs(1);
        assert_eq!(lease.silent_for(), None);
        one.asked(Duration::ZERO);
        sleep(second).await;
        other.asked(second);
        one.asked(Duration::ZERO);
        assert_eq!(lease.silent_for(), Some(second), "asking again changes nothing");
        one.answered();
        assert_eq!(lease.silent_for(), Some(Duration::ZERO));
        sleep(second * 3).await;
        assert_eq!(lease.silent_for(), Some(second * 2));
        one.asked(Duration::ZERO);
        drop(other);
        assert_eq!(lease.silent_for(), Some(Duration::ZERO));
        one.answered();
        assert_eq!(lease.silent_for(), None);
    }
}
