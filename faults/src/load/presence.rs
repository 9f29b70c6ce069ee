//! The poll of presence, and its comparison with who is connected.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::{Phase, Shared, Target};
use crate::{http::Http, node::API_KEY};

/// Asks any node about every user once a second until the load ends.
pub(super) async fn poll(shared: &Arc<Shared>) -> Result<()> {
    let writer = shared.history.writer("presence")?;
    let mut http = Http::new(API_KEY);
    loop {
        tokio::select! {
            biased;
            () = shared.reached(Phase::Quiet) => break,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        let Some(target) = shared.target() else { continue };
        let Some(statuses) = ask(&mut http, target, shared).await else { continue };
        let open = undecided(shared);
        let users: Map<String, Value> = statuses
            .into_iter()
            .filter(|(user, _)| !open.contains(user))
            .map(|(user, status)| (user, status.into()))
            .collect();
        writer.write(json!({"op": "poll", "node": target.node, "users": users}));
    }
    writer.flush()
}

/// Users with a socket on a node that is stopped or cut from Redis.
fn undecided(shared: &Shared) -> BTreeSet<String> {
    let is_paused = |node: &str| {
        let mut targets = shared.targets.iter();
        targets.any(|target| target.node == node && target.paused.load(Ordering::Relaxed))
    };
    let states = shared.clients.iter().map(|one| one.lock().clone());
    let there = states.filter(|state| state.node.as_deref().is_some_and(is_paused));
    there.map(|state| state.user).collect()
}

/// The statuses that a node knows.
async fn ask(
    http: &mut Http,
    target: &Target,
    shared: &Shared,
) -> Option<BTreeMap<String, String>> {
    let users: Vec<String> = (0..shared.shape.users()).map(|user| format!("u{user}")).collect();
    let mut found = BTreeMap::new();
    for some in users.chunks(500) {
        let asked = http.post(target.internal, "/api/v1/presence", &json!({"users": some})).await;
        let reply = asked.ok().filter(|reply| reply.status == 200)?.json();
        for user in reply.get("users")?.as_array()? {
            let text = |name: &str| user.get(name).and_then(Value::as_str).map(str::to_owned);
            found.insert(text("user")?, text("status")?);
        }
    }
    Some(found)
}

/// Compares what each node that is up says with who is connected; returns differences.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn agrees(shared: &Shared) -> Vec<String> {
    let mut http = Http::new(API_KEY);
    let mut wrong = Vec::new();
    let is_up = |target: &&Target| target.up.load(Ordering::Relaxed);
    for target in shared.targets.iter().filter(is_up) {
        let there: BTreeSet<String> = shared
            .clients
            .iter()
            .map(|one| one.lock().clone())
            .filter(|state| state.node.is_some())
            .map(|state| state.user)
            .collect();
        let Some(statuses) = ask(&mut http, target, shared).await else {
            wrong.push(format!("{} does not say", target.node));
            continue;
        };
        for (user, status) in statuses {
            if (status == "online") != there.contains(&user) {
                let truth = if there.contains(&user) { "connected" } else { "away" };
                wrong.push(format!("{} says {user} is {status}, but it is {truth}", target.node));
            }
        }
    }
    wrong
}
