//! Sessions of Pydio's events that have to go on while nodes are killed.
//!
//! Invariants: an event has one name until it is acknowledged, and every client is in the
//! workspace of every event, so that each has to see all of them, in the order of the log.

mod client;
mod events;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use parking_lot::Mutex;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use self::client::Seen;
use super::{any_node, plain};
use crate::{run::Run, system::until};

/// After the last fault every client has everything in this time.
const LIVE: Duration = Duration::from_secs(10);

/// What clients and publishers share.
#[derive(Debug)]
struct Stage {
    /// The public and the internal listener of each node, dead or alive.
    nodes: Vec<(SocketAddr, SocketAddr)>,
    clients: Vec<Mutex<Seen>>,
    /// Where each acknowledged event is in the log, and its name.
    acknowledged: Mutex<Vec<(u64, String)>>,
    /// Attempts to publish that had no answer.
    retried: AtomicU64,
    is_quiet: AtomicBool,
}

pub(super) async fn node_kill(run: &mut Run) -> Result<()> {
    run.set("dialects.pydio.enabled", "true");
    run.standalone(plain()).await?;
    run.start_nodes(3).await?;
    let stage = Arc::new(Stage {
        nodes: run.nodes.iter().map(|node| (node.public, node.internal)).collect(),
        clients: (0..run.params.clients).map(|_| Mutex::default()).collect(),
        acknowledged: Mutex::default(),
        retried: AtomicU64::new(0),
        is_quiet: AtomicBool::new(false),
    });
    events::make_workspace(&stage).await?;
    let mut clients = JoinSet::new();
    for number in 0..run.params.clients {
        clients.spawn(client::run(Arc::clone(&stage), number));
    }
    let begun = async || stage.clients.iter().all(|one| one.lock().has_begun());
    until("every session has begun", Duration::from_secs(30), begun).await?;
    let mut publishers = JoinSet::new();
    for number in 0..events::PUBLISHERS {
        publishers.spawn(events::publish(Arc::clone(&stage), number, run.params.rate));
    }
    let kills = (run.params.seconds / 8).max(1);
    for _ in 0..kills {
        run.pass(6.0).await;
        let victim = any_node(run);
        run.kill_node(victim).await?;
        run.pass(2.0).await;
        run.restart_node(victim).await?;
    }
    run.fact("kills", kills);
    stage.is_quiet.store(true, Ordering::Relaxed);
    let ended = timeout(Duration::from_secs(90), async {
        while let Some(ended) = publishers.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    });
    ended.await??;
    judge(run, &stage).await;
    clients.shutdown().await;
    run.judge_nodes();
    Ok(())
}

/// Every client has seen what was acknowledged, once, in its order, in one numbering.
async fn judge(run: &mut Run, stage: &Stage) {
    let mut log = stage.acknowledged.lock().clone();
    log.sort();
    let expected: Vec<&String> = log.iter().map(|(_, name)| name).collect();
    let began = Instant::now();
    let all = async || stage.clients.iter().all(|one| one.lock().names.len() >= expected.len());
    let came = until("every client has everything", LIVE, all).await;
    run.expect(came.is_ok(), format_args!("I-LIVE: {came:?}"));
    run.fact("complete_ms", began.elapsed().as_millis());
    run.fact("published", expected.len());
    run.fact("retried", stage.retried.load(Ordering::Relaxed));
    let (mut resumes, mut resets) = (0, 0);
    for (number, seen) in stage.clients.iter().enumerate() {
        let seen = seen.lock();
        (resumes, resets) = (resumes + seen.resumes, resets + seen.resets);
        let some: Vec<&String> = seen.violations.iter().take(3).collect();
        run.expect(some.is_empty(), format_args!("client {number}: {some:?}"));
        let differs = expected.iter().zip(&seen.names).position(|(is, saw)| *is != saw);
        let told = format_args!(
            "client {number} saw {} of {}, and another one first at {differs:?}",
            seen.names.len(),
            expected.len(),
        );
        run.expect(differs.is_none() && seen.names.len() == expected.len(), told);
    }
    run.fact("resumes", resumes);
    run.fact("resets", resets);
    run.expect(resets == 0, format_args!("{resets} resets, though nothing was lost"));
    run.expect(resumes > 0 && !expected.is_empty(), "nobody has resumed: nothing was tested");
}
