//! Publishing on Pydio's bus, and merging what waits there.
//!
//! Invariants:
//! - an event is one record, whoever may see it;
//! - what must come after the parts of its node enters the log right behind the record
//!   that merges them, in one step;
//! - parts are merged exactly once, whoever writes it.

use std::{sync::Arc, time::Duration};

use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Node, PublishError, Published, RealmEntry};
use crate::{
    bus::{Accepted, Merged},
    log::{Draft, LogError, RealmLog as _},
    model::{Body, Bus, BusStage, BusTopic, RealmId, Revocation, RevocationScope, UserId},
};

/// How often it is looked what has to be merged.
const LOOK: Duration = Duration::from_millis(50);

/// Merged records that are written with one call.
const MERGED_AT_ONCE: usize = 256;

/// How long an event may wait for what has to come before it.
const PATIENCE: Duration = Duration::from_secs(3);

/// When who could not be served should come again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How often it is looked whether the tail has come far enough.
const STEP: Duration = Duration::from_millis(2);

impl Node {
    /// Publishes a bus event.
    ///
    /// # Errors
    ///
    /// [`PublishError`].
    ///
    /// # Cancel safety
    ///
    /// As [`Node::publish`].
    pub async fn publish_bus(
        &self,
        realm: &RealmId,
        topic: BusTopic,
        accepted: Accepted,
        id: Option<Arc<str>>,
    ) -> Result<Published, PublishError> {
        let Accepted { data, stage, node, place, task, logout, .. } = accepted;
        let (node, origin): (Option<Arc<str>>, _) = (node.map(Arc::from), Arc::clone(&self.id));
        let body = Body::Bus(Bus { topic, stage, data, node: node.clone(), origin, place, task });
        let event = Draft { body, id };
        let Some(node) = node.filter(|_| stage == BusStage::Whole) else {
            let logout = logout.map(|user| self.logout(user, event.id.as_deref()));
            let drafts = std::iter::once(event).chain(logout).collect();
            return all(self.publish(realm, drafts).await);
        };
        let deadline = Instant::now() + PATIENCE;
        // What the log says that waits, when that is not what this node knows.
        let mut told: Option<(u64, u64)> = None;
        loop {
            // Anew in each round: the one before may belong to a life that has ended.
            let entry = self.realm(realm).await?;
            let known = entry.waiting.lock().of(&node);
            let merged = match (known, told) {
                (Some(merged), _) => Some(self.draft_of(merged, true)),
                (None, Some((first, through))) if first > 0 => {
                    if entry.progress.carried_offset() < through {
                        // They may be on their way: others can have them already.
                        return Err(PublishError::Unavailable { retry_after: RETRY_AFTER });
                    }
                    // Nobody has these parts any more: nothing stands for them.
                    Some(self.draft_of(Merged::nothing(&node, topic, first, through), true))
                }
                (None, _) => None,
            };
            let drafts = merged.into_iter().chain([event.clone()]).collect();
            match self.publish(realm, drafts).await.pop() {
                Some(Err(PublishError::Waiting { first, last })) if Instant::now() < deadline => {
                    if told.replace((first, last)) == Some((first, last)) {
                        // Nothing has changed since, so what changes it takes its time.
                        tokio::time::sleep(LOOK).await;
                    }
                    self.carried_up_to(&entry, last, deadline).await;
                }
                Some(answer) => return answer,
                None => return all(Vec::new()),
            }
        }
    }

    /// Where a node of Pydio is: its full path.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn node_path(
        &self,
        realm: &RealmId,
        uuid: &str,
    ) -> Result<Option<Arc<str>>, LogError> {
        self.log.node_path(realm, uuid).await
    }

    /// Waits until the tail of this node has carried the record at `offset`.
    async fn carried_up_to(&self, entry: &RealmEntry, offset: u64, deadline: Instant) {
        while entry.progress.carried_offset() < offset && Instant::now() < deadline {
            tokio::time::sleep(STEP).await;
        }
    }

    /// The end of all logins of `user` so far. With the id of the event that says so: a
    /// repeated one ends no login that came after the first.
    fn logout(&self, user: UserId, event: Option<&str>) -> Draft {
        let at_ms = self.clock.now_ms();
        let scope = RevocationScope::User(user);
        let id = event.map(|event| Arc::from(format!(" logout.{event}")));
        Draft { body: Body::Revocation(Revocation { scope, at_ms }), id }
    }

    /// The record that stands for parts; `is_last` when no later part may wait.
    fn draft_of(&self, merged: Merged, is_last: bool) -> Draft {
        let Merged { node, first, through, topic, data } = merged;
        let digest: [u8; 32] = Sha256::digest(node.as_bytes()).into();
        let mark = digest.iter().take(8).fold(0_u64, |mark, byte| mark << 8 | u64::from(*byte));
        let id = Some(Arc::from(format!(" merge.{mark:016x}.{first}")));
        let stage = BusStage::Merged { first, through, is_last };
        let (node, origin) = (Some(node), Arc::clone(&self.id));
        Draft {
            body: Body::Bus(Bus { topic, stage, data, node, origin, place: None, task: None }),
            id,
        }
    }

    /// Merges what is due, in all realms.
    async fn merge_due(&self) {
        let entries: Vec<RealmEntry> = self.realms.read().values().cloned().collect();
        for entry in entries {
            let due = {
                let mut waiting = entry.waiting.lock();
                if waiting.is_empty() {
                    continue;
                }
                waiting.due(&self.id, self.clock.now_us(), MERGED_AT_ONCE)
            };
            if due.is_empty() {
                continue;
            }
            let drafts = due.iter().cloned().map(|merged| self.draft_of(merged, false)).collect();
            let answers = self.publish(&entry.realm.id, drafts).await;
            let mut gone = Vec::new();
            for (merged, answer) in due.iter().zip(answers) {
                match answer {
                    Ok(_published) => {}
                    // Parts from before this node's memory: nobody has them any more.
                    Err(PublishError::Waiting { first, .. })
                        if first > 0 && first < merged.first =>
                    {
                        let Merged { node, topic, .. } = merged;
                        let through = merged.first - 1;
                        let nothing = Merged::nothing(node, *topic, first, through);
                        gone.push(self.draft_of(nothing, false));
                    }
                    // Somebody else was faster, or it is tried again.
                    Err(error) => tracing::debug!(%error, "changes were not merged"),
                }
            }
            if !gone.is_empty() {
                tracing::warn!(realm = %entry.realm.id, count = gone.len(), "parts are gone");
                self.publish(&entry.realm.id, gone).await;
            }
        }
    }
}

/// The first answer, when all of them are good.
fn all(answers: Vec<Result<Published, PublishError>>) -> Result<Published, PublishError> {
    let mut published = answers.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter();
    published.next().ok_or(PublishError::Unavailable { retry_after: RETRY_AFTER })
}

/// The task that merges what waits on the bus.
#[derive(Debug)]
pub(super) struct Merging {
    node: Arc<Node>,
}

impl Merging {
    pub(super) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// Runs until `stop` is cancelled. What waits then is merged by another node, or by
    /// the next start of this one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open what was merged.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Both are cancel safe.
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            self.node.merge_due().await;
        }
    }
}
