//! Data that is really gone: what cannot be proved must become a reset.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{plain, stage};
use crate::{load::Stats, run::Run};

/// Nodes notice that data is gone in this time.
const NOTICED: Duration = Duration::from_secs(10);

/// The field of the log's state that names its generation.
async fn generation(run: &mut Run) -> Result<u64> {
    let text = run.redis()?.command(&["HGET", "hb:{default}:m", "gid"]).await?.text();
    let counter = text.split('.').next().unwrap_or_default().parse();
    counter.with_context(|| format!("the generation is {text:?}"))
}

/// Demands that every client was reset since it had `before` resets each.
async fn expect_resets(run: &mut Run, before: &[u64], what: &str) -> Result<()> {
    let behind = |run: &Run| -> Result<usize> {
        let clients = run.shared()?.clients.iter().zip(before);
        Ok(clients.filter(|(one, before)| one.lock().resets <= **before).count())
    };
    let began = tokio::time::Instant::now();
    while behind(run)? > 0 && began.elapsed() < NOTICED {
        run.pass(0.2).await;
    }
    let left = behind(run)?;
    run.fact(&format!("{what}_noticed_ms"), began.elapsed().as_millis());
    run.expect(left == 0, format_args!("{what}: {left} clients were not reset in {NOTICED:?}"));
    Ok(())
}

fn resets(run: &Run) -> Result<Vec<u64>> {
    Ok(run.shared()?.clients.iter().map(|one| one.lock().resets).collect())
}

/// Publishing works again after data was lost.
async fn expect_publishing(run: &mut Run, what: &str) -> Result<()> {
    let before = Stats::of(&run.stats()?.published);
    run.pass(3.0).await;
    let after = Stats::of(&run.stats()?.published);
    run.expect(after > before, format_args!("{what}: publishing did not go on"));
    Ok(())
}

pub(super) async fn keys_deleted(run: &mut Run) -> Result<()> {
    stage(run, plain()).await?;
    run.pass(4.0).await;
    for key in ["hb:{default}:m", "hb:{default}:l"] {
        let (before, old) = (resets(run)?, generation(run).await?);
        run.inject("keys_deleted");
        run.redis()?.command(&["DEL", key]).await?;
        if key.ends_with('m') {
            expect_resets(run, &before, "del_m").await?;
            let new = generation(run).await?;
            run.expect(new > old, format_args!("the generation {old} became {new}"));
        }
        expect_publishing(run, key).await?;
        run.heal("keys_deleted");
        run.pass(2.0).await;
    }
    delete_session(run).await?;
    run.settle().await
}

/// A client whose session is gone gets a new numbering when it comes back.
async fn delete_session(run: &mut Run) -> Result<()> {
    let cid = run.shared()?.clients.first().and_then(|one| one.lock().cid.clone());
    let cid = cid.context("the first client has no connection")?;
    let before = resets(run)?.first().copied().unwrap_or(0);
    run.inject("keys_deleted");
    run.redis()?.command(&["DEL", &format!("hb:{{default}}:s:{cid}")]).await?;
    // Closing every socket makes the client come back.
    for index in 0..run.nodes.len() {
        run.kill_node(index).await?;
        run.restart_node(index).await?;
        run.pass(1.0).await;
    }
    let after = resets(run)?.first().copied().unwrap_or(0);
    run.expect(after > before, "a deleted session was resumed");
    run.heal("keys_deleted");
    Ok(())
}

/// The log of a node without Redis ends with the node.
pub(super) async fn embedded_restart(run: &mut Run) -> Result<()> {
    run.start_nodes(1).await?;
    let shape = run.shape();
    run.start_load(shape, false).await?;
    run.pass(4.0).await;
    let before = resets(run)?;
    run.kill_node(0).await?;
    run.pass(1.0).await;
    run.restart_node(0).await?;
    expect_resets(run, &before, "restart").await?;
    after_loss(run, "restart").await
}

pub(super) async fn flushall(run: &mut Run) -> Result<()> {
    stage(run, plain()).await?;
    run.pass(5.0).await;
    let (before, old) = (resets(run)?, generation(run).await?);
    run.inject("redis_flushall");
    run.redis()?.command(&["FLUSHALL"]).await?;
    expect_resets(run, &before, "flushall").await?;
    run.heal("redis_flushall");
    let new = generation(run).await?;
    run.expect(new > old, format_args!("the generation {old} became {new}"));
    after_loss(run, "flushall").await
}

pub(super) async fn restart_empty(run: &mut Run) -> Result<()> {
    stage(run, plain()).await?;
    run.pass(5.0).await;
    let before = resets(run)?;
    run.inject("redis_restart");
    run.redis()?.kill().await?;
    run.pass(1.0).await;
    run.redis()?.restart().await?;
    expect_resets(run, &before, "restart").await?;
    run.heal("redis_restart");
    after_loss(run, "restart").await
}

/// A backend fills the members in again, and everything goes on.
async fn after_loss(run: &mut Run, what: &str) -> Result<()> {
    if let Some(load) = &run.load {
        load.refill().await?;
    }
    expect_publishing(run, what).await?;
    run.pass(4.0).await;
    run.settle().await
}
