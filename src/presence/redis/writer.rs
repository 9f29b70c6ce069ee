//! The task that writes what happened on this node, one part of it for each realm.
//!
//! A realm has one writing on its way at a time; what happens meanwhile goes into the
//! next one. What can't be written waits, and whoever waits for it gives up first.
//!
//! Invariants:
//! - a record in Redis is that of the node's own table, or a newer one is on its way;
//! - when Redis does not hold what this node wrote, everything is written again, and what
//!   was left of the time before goes after that.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use redis::Value;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};

use super::{
    Newcomers,
    context::{Context, Refusal},
    queue::{Pending, Written},
    realm::Realm,
    scripts::{KEEP, Own, WRITE},
    wire,
};
use crate::{
    clock::{random_below, random_bytes},
    lifecycle::CancellationToken,
    model::{ManualStatus, UserId},
    presence::merge::Choice,
};

/// Users in one writing: a script holds up all others while it runs.
const BATCH: usize = 100;

/// Writings that follow each other before something else has its turn.
const BATCHES: usize = 64;

/// How often it is looked whether Redis still holds what this node wrote.
const LOOK: Duration = Duration::from_secs(3);

/// How long the last writing may take.
const GOODBYE: Duration = Duration::from_millis(1_500);

/// The first pause after a failure; it doubles up to 32 times this.
const PAUSE_MS: u64 = 50;

/// Writes presence. It must run for as long as anything calls presence.
#[derive(Debug)]
pub struct RedisWriter {
    context: Arc<Context>,
    newcomers: Arc<Newcomers>,
}

impl RedisWriter {
    pub(super) fn new(context: Arc<Context>, newcomers: Arc<Newcomers>) -> Self {
        Self { context, newcomers }
    }

    /// Runs until `stop` is cancelled. Then what waits is written, and the node says
    /// goodbye: its devices in their grace count until that ends.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves unwritten what waits.
    pub async fn run(self, stop: CancellationToken) {
        let mut realms = JoinSet::new();
        loop {
            for realm in self.newcomers.take() {
                let writing = Writing::new(Arc::clone(&self.context), realm);
                realms.spawn(writing.run(stop.clone()));
            }
            // Every arm is cancel safe. Stop, then realms that ended, then new ones.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = realms.join_next(), if !realms.is_empty() => {
                    tracing::error!(?ended, "a realm's presence is not written any more");
                    return;
                }
                () = self.newcomers.wait() => {}
            }
        }
        while realms.join_next().await.is_some() {}
    }
}

/// The writing of one realm.
#[derive(Debug)]
struct Writing {
    context: Arc<Context>,
    realm: Arc<Realm>,
    /// Marks what is written since Redis held nothing of this node, or the wrong things.
    epoch: String,
    /// Whether the next writing begins an epoch.
    begins: bool,
    /// Whether that is due even if no user waits.
    announces: bool,
    /// Users of the beginning who are not written yet.
    rewriting: Option<usize>,
    /// How far the cleaning after it is.
    cleaning: Option<String>,
    failures: u32,
}

impl Writing {
    fn new(context: Arc<Context>, realm: Arc<Realm>) -> Self {
        Self {
            context,
            realm,
            epoch: new_epoch(),
            begins: true,
            announces: false,
            rewriting: None,
            cleaning: None,
            failures: 0,
        }
    }

    async fn run(mut self, stop: CancellationToken) {
        let first = Instant::now() + LOOK.mul_f64(0.5) + Duration::from_millis(random_below(1_500));
        let mut looks = interval_at(first, LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let pause = self.pause();
            // Every arm is cancel safe. Stop, then the clocks, then users.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = looks.tick() => self.look().await,
                () = sleep(pause), if self.failures > 0 => {}
                () = self.realm.wake.notified(), if self.failures == 0 => {}
            }
            self.write_all().await;
        }
        if timeout(GOODBYE, self.leave()).await.is_err() {
            tracing::warn!("presence was not written to its end");
        }
    }

    /// How long to wait after failures.
    fn pause(&self) -> Duration {
        let pause_ms = PAUSE_MS << self.failures.min(6).saturating_sub(1);
        Duration::from_millis(pause_ms / 2 + random_below(pause_ms))
    }

    /// Writes until nothing is urgent, or it can't, or it is the turn of something else.
    async fn write_all(&mut self) {
        for _ in 0..BATCHES {
            let is_urgent = self.realm.queue.lock().is_urgent();
            let done = if is_urgent || self.announces {
                self.write().await
            } else if let Some(cursor) = self.cleaning.take() {
                self.clean(cursor).await
            } else {
                return;
            };
            if done && self.failures > 0 {
                tracing::info!(realm = %self.realm.id, "presence is written again");
            } else if !done && self.failures == 0 {
                tracing::warn!(realm = %self.realm.id, "presence can't be written for now");
            }
            self.failures = if done { 0 } else { self.failures.saturating_add(1) };
            self.realm.is_failing.store(!done, Relaxed);
            if !done {
                return;
            }
        }
        self.realm.wake.notify_one();
    }

    /// Writes one batch.
    async fn write(&mut self) -> bool {
        let mut batch = self.realm.queue.lock().take(BATCH);
        let now_ms = self.context.clock.now_ms();
        let own = self.arguments(&mut batch, now_ms);
        match self.context.write(&self.realm, &WRITE, own).await {
            Ok(answer) => {
                self.count("written");
                if self.announces || batch.iter().any(|(_, pending)| pending.has_record) {
                    self.begins = false;
                    self.announces = false;
                }
                self.rewrote(batch.len());
                self.finish(batch, &answer, now_ms);
                true
            }
            Err(refusal) => {
                self.realm.queue.lock().put_back(batch);
                self.refused(&refusal)
            }
        }
    }

    fn arguments(&self, batch: &mut [(UserId, Pending)], now_ms: u64) -> Own {
        let has_records = batch.iter().any(|(_, pending)| pending.has_record);
        let begins = self.begins && (has_records || self.announces);
        let mut own = Own::settling(&self.context, now_ms)
            .with(&self.epoch)
            .with(&u8::from(begins))
            .with(&u8::from(has_records));
        let rules = self.context.settings.rules;
        for (user, pending) in batch {
            // Who gave up was told that nothing changed.
            pending.choices.retain(|choosing| !choosing.done.is_closed());
            own.push(user.as_str().to_owned());
            if pending.has_record {
                let facts = self.context.local(user).facts(&self.realm.id, user, now_ms);
                let fresh = &pending.fresh;
                own.push(wire::encode(&facts.devices, fresh, &self.epoch, (now_ms, rules)));
                own.push(facts.past_ms.to_string());
            } else {
                own.push("=");
                own.push("0");
            }
            let (letter, ends) = match pending.choices.front() {
                Some(choosing) => wire::choice_args(choosing.chosen),
                None => ("", String::new()),
            };
            own.push(letter);
            own.push(ends);
        }
        own
    }

    /// Passes on what the script answered.
    fn finish(&self, batch: Vec<(UserId, Pending)>, answer: &[Value], now_ms: u64) {
        let (context, realm) = (&self.context, &self.realm.id);
        let empty = Value::Nil;
        let part = |place| answer.get(place).unwrap_or(&empty);
        self.noted(answer);
        // Lua counts from 1.
        for (place, connection, (since_ms, active_ms)) in
            wire::texts(part(4)).filter_map(wire::parse_inherited)
        {
            if let Some((user, _)) = batch.get(place.saturating_sub(1)) {
                let device = (connection, since_ms, active_ms);
                context.local(user).inherit(realm, user, device, now_ms);
            }
        }
        let refused: HashSet<_> = wire::list(part(5)).iter().filter_map(wire::number).collect();
        let chosen: HashMap<_, _> = wire::texts(part(6)).filter_map(wire::parse_chosen).collect();
        let mut left = Vec::new();
        for (place, (user, mut pending)) in (1_usize..).zip(batch) {
            let choice = chosen.get(&place).copied().unwrap_or(Choice::Devices);
            let choosing = pending.choices.pop_front();
            let says_online = choosing
                .as_ref()
                .is_some_and(|choosing| choosing.chosen == Some(ManualStatus::Online));
            context.local(&user).copy_choice(realm, &user, (choice, says_online), now_ms);
            for waiting in pending.waiting.drain(..) {
                tell(waiting, Written::Done);
            }
            if let Some(choosing) = choosing {
                let is_full = u64::try_from(place).is_ok_and(|place| refused.contains(&place));
                tell(choosing.done, if is_full { Written::Full } else { Written::Done });
            }
            if !pending.choices.is_empty() {
                pending.has_record = false;
                left.push((user, pending));
            }
        }
        self.realm.queue.lock().put_back(left);
    }

    /// What every answer tells: when the next user is due, and how much was published.
    fn noted(&self, answer: &[Value]) {
        self.realm.due_at(answer.get(2).and_then(wire::number));
        self.context.published(answer.get(3));
    }

    /// Whether the next writing may follow at once.
    fn refused(&mut self, refusal: &Refusal) -> bool {
        match refusal {
            Refusal::Anew => {
                self.count("anew");
                self.begin_anew();
                true
            }
            Refusal::Fenced => {
                self.count("fenced");
                // It opens by itself soon: no longer pauses.
                self.failures = self.failures.min(1);
                false
            }
            Refusal::Failed(error) => {
                self.count("failed");
                tracing::debug!(%error, "presence is not written");
                false
            }
        }
    }

    fn count(&self, result: &str) {
        self.context.metrics.presence_writes_total.with_label_values(&[result]).inc();
    }

    /// Writes every user of this node again.
    fn begin_anew(&mut self) {
        tracing::info!(realm = %self.realm.id, "presence of this node is written anew");
        self.epoch = new_epoch();
        self.begins = true;
        self.announces = true;
        self.cleaning = None;
        let users = self.context.present(&self.realm.id);
        let mut queue = self.realm.queue.lock();
        for user in &users {
            queue.hurry(user);
        }
        self.rewriting = Some(queue.urgent());
    }

    /// Of the users of the beginning, so many are written.
    fn rewrote(&mut self, count: usize) {
        if let Some(left) = self.rewriting {
            let left = left.saturating_sub(count);
            self.rewriting = (left > 0).then_some(left);
            if left == 0 {
                self.cleaning = Some("0".to_owned());
            }
        }
    }

    /// Removes some of what earlier epochs left.
    async fn clean(&mut self, cursor: String) -> bool {
        match self.keep("clean", &cursor).await {
            Ok(answer) => {
                let next = answer.get(4).and_then(wire::text).unwrap_or("0");
                self.cleaning = (next != "0").then(|| next.to_owned());
                true
            }
            Err(refusal) => {
                self.cleaning = Some(cursor);
                self.refused(&refusal)
            }
        }
    }

    /// Looks whether Redis holds what this node wrote.
    async fn look(&mut self) {
        if self.begins {
            // Nothing is written yet, or everything is about to be.
            return;
        }
        if let Err(refusal) = self.keep("look", "0").await {
            self.refused(&refusal);
        }
    }

    /// Writes what waits, and says goodbye.
    async fn leave(&mut self) {
        self.realm.queue.lock().promote_all();
        while self.realm.queue.lock().is_urgent() {
            self.write_all().await;
            if self.failures > 0 {
                sleep(self.pause()).await;
            }
        }
        if !self.begins
            && let Err(refusal) = self.keep("leave", "0").await
        {
            self.refused(&refusal);
        }
    }

    async fn keep(&self, verb: &str, cursor: &str) -> Result<Vec<Value>, Refusal> {
        let own = Own::settling(&self.context, self.context.clock.now_ms());
        let own = own.with(&self.epoch).with(&verb).with(&cursor);
        let answer = self.context.write(&self.realm, &KEEP, own).await?;
        self.noted(&answer);
        Ok(answer)
    }
}

/// Who waited may have given up.
fn tell(waiting: tokio::sync::oneshot::Sender<Written>, written: Written) {
    if waiting.send(written).is_err() {
        tracing::trace!("nobody waits for this writing any more");
    }
}

/// A word that this node has not used before.
fn new_epoch() -> String {
    format!("{:08x}", u32::from_le_bytes(random_bytes()))
}
