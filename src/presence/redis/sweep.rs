//! What time does: users turn away, graces and timed `dnd` end, nodes are dead.
//!
//! Any node may do it, at any moment: a script decides and publishes at once, so nothing
//! happens twice.

use std::{sync::Arc, sync::atomic::Ordering::Relaxed};

use super::{
    context::{Context, Refusal},
    realm::Realm,
    scripts::{Own, SWEEP},
    wire,
};
use crate::presence::PresenceError;

/// Users that one script looks at: it holds up all others while it runs.
const CHUNK: usize = 128;

/// Scripts that follow each other in one realm before it is the turn of another.
const CHUNKS: usize = 80;

/// How often it is looked for what happened to users elsewhere.
const LOOK_MS: u64 = 1_000;

/// Does what is due in `realms`.
///
/// # Errors
///
/// [`PresenceError::Unavailable`]: the rest is not done either.
pub(super) async fn sweep(context: &Context, realms: &[Arc<Realm>]) -> Result<(), PresenceError> {
    context.age();
    let mut waiting = 0;
    let mut result = Ok(());
    for realm in realms {
        waiting += realm.queue.lock().len();
        if result.is_ok() {
            result = sweep_realm(context, realm).await;
        }
    }
    context.metrics.presence_waiting_users.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    result
}

async fn sweep_realm(context: &Context, realm: &Realm) -> Result<(), PresenceError> {
    let now_ms = context.clock.now_ms();
    // What this node knows is written before anybody is judged by what is written.
    let written = realm.queue.lock().promote(now_ms);
    if let Some(written) = written {
        realm.wake.notify_one();
        realm.written(written).await?;
    }
    let is_asleep = || !context.knows(&realm.id) && realm.is_asleep(now_ms);
    if realm.is_failing.load(Relaxed) || !realm.is_due(now_ms, is_asleep) {
        return Ok(());
    }
    let lease_ms = u64::try_from(context.settings.lease.as_millis()).unwrap_or(u64::MAX);
    for _ in 0..CHUNKS {
        let own = Own::settling(context, now_ms).with(&CHUNK).with(&lease_ms);
        let answer = match context.write(realm, &SWEEP, own).await {
            Ok(answer) => answer,
            // It opens within seconds.
            Err(Refusal::Fenced) => return Ok(()),
            Err(refusal) => return Err(refusal.into()),
        };
        realm.due_at(answer.get(2).and_then(wire::number));
        context.published(answer.get(3));
        if answer.get(4).and_then(wire::text) != Some("1") {
            // A realm without users here has other nodes, or nobody who is in a hurry.
            let every_ms = if context.knows(&realm.id) { LOOK_MS } else { lease_ms / 3 };
            realm.look_after(now_ms, every_ms);
            return Ok(());
        }
    }
    realm.look_at_once();
    Ok(())
}
