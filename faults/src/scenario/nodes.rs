//! Nodes that are killed, drained, restarted and paused.

use std::time::Duration;

use anyhow::Result;

use super::{any_node, plain, stage};
use crate::{
    load::{Stats, percentile},
    process::Signal,
    run::Run,
};

/// The 99th percentile from TCP connect to the first missed event.
const RESUME_P99_MS: f64 = 500.0;

pub(super) async fn node_kill(run: &mut Run) -> Result<()> {
    stage(run, plain()).await?;
    for _ in 0..(run.params.seconds / 8).max(1) {
        run.pass(6.0).await;
        let victim = any_node(run);
        run.kill_node(victim).await?;
        run.pass(2.0).await;
        run.restart_node(victim).await?;
    }
    run.settle().await?;
    expect_quick_resumes(run)
}

fn expect_quick_resumes(run: &mut Run) -> Result<()> {
    let took = run.stats()?.resume_ms.lock().clone();
    // A hundred samples have a 99th percentile; of fewer it would be the worst one.
    let (share, name) = if took.len() < 100 { (0.9, "p90") } else { (0.99, "p99") };
    let took = percentile(&took, share);
    run.expect(took <= RESUME_P99_MS, format_args!("{name} of resume is {took:.0} ms"));
    let resumes = Stats::of(&run.stats()?.resumes);
    run.expect(resumes > 0, "nobody has resumed: nothing was tested");
    Ok(())
}

pub(super) async fn two_kills(run: &mut Run) -> Result<()> {
    stage(run, plain()).await?;
    for _ in 0..(run.params.seconds / 12).max(1) {
        run.pass(6.0).await;
        let spared = any_node(run);
        let victims: Vec<usize> = (0..3).filter(|index| *index != spared).collect();
        for victim in &victims {
            run.kill_node(*victim).await?;
            run.pass(0.4).await;
        }
        run.pass(2.0).await;
        for victim in victims {
            run.restart_node(victim).await?;
        }
    }
    run.settle().await
}

pub(super) async fn drain(run: &mut Run) -> Result<()> {
    run.set("shutdown.drain", "28s");
    // A client that reads nothing answers no ping either.
    run.set("limits.ping_interval", "25s");
    run.standalone(plain()).await?;
    run.start_nodes(3).await?;
    let mut shape = run.shape();
    // They read nothing while the node drains.
    shape.stalling = (shape.clients.div_ceil(100), Duration::from_secs(40));
    run.start_load(shape, false).await?;
    run.pass(3.0).await;
    let id = run.node(0)?.id.clone();
    let there = run.shared()?.on(&id);
    let before = run.stats()?.opened_at.lock().len();
    run.inject("drain");
    run.set_up(0, false)?;
    let began = tokio::time::Instant::now();
    run.signal_node(0, Signal::TERM, "stop")?;
    let code = run.node(0)?.ended(Duration::from_secs(45)).await?;
    let took = began.elapsed();
    run.fact("drain_s", took.as_secs());
    run.expect(code == Some(0), format_args!("the drained node ended with {code:?}"));
    run.expect(took.as_secs_f64() <= 30.0, format_args!("the drain took {took:?}"));
    run.heal("drain");
    run.pass(2.0).await;
    let closed = run.stats()?.closed(1012);
    run.fact("drained", format_args!("{closed}/{there}"));
    let opened = run.stats()?.opened_at.lock().get(before..).unwrap_or_default().to_vec();
    let busiest = busiest_second(&opened);
    run.fact("reconnects_1s", busiest);
    // Two of a hundred. While this machine slept, more of them came together.
    let slept = percentile(&run.late_ms, 1.0) / 1000.0;
    let share = f64::from(u32::try_from(run.params.clients)?) / 50.0 * (1.0 + slept);
    let allowed = (4..).find(|whole| f64::from(*whole) >= share).map_or(Ok(0), usize::try_from)?;
    run.expect(
        busiest <= allowed,
        format_args!("{busiest} reconnects in a second, at most {allowed}"),
    );
    run.restart_node(0).await?;
    run.pass(12.0).await;
    run.settle().await
}

/// The most of these times (ms) within one second.
fn busiest_second(times: &[f64]) -> usize {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let from = |at: usize, time: f64| {
        sorted.iter().skip(at).take_while(|later| **later < time + 1000.0).count()
    };
    sorted.iter().enumerate().map(|(at, time)| from(at, *time)).max().unwrap_or(0)
}

pub(super) async fn drain_cut_short(run: &mut Run) -> Result<()> {
    run.set("shutdown.drain", "30s");
    stage(run, plain()).await?;
    for _ in 0..(run.params.seconds / 10).max(1) {
        run.pass(5.0).await;
        let victim = any_node(run);
        run.set_up(victim, false)?;
        run.signal_node(victim, Signal::TERM, "stop")?;
        run.pass(1.0).await;
        run.kill_node(victim).await?;
        run.pass(1.0).await;
        run.restart_node(victim).await?;
    }
    run.settle().await
}

pub(super) async fn rolling_restart(run: &mut Run) -> Result<()> {
    stage(run, plain()).await?;
    let passes = (run.params.seconds / 30).max(1);
    for index in (0..3).cycle().take(usize::try_from(passes)? * 3) {
        run.pass(3.0).await;
        run.inject("rolling_restart");
        run.set_up(index, false)?;
        run.signal_node(index, Signal::TERM, "stop")?;
        let code = run.node(index)?.ended(Duration::from_secs(20)).await?;
        run.expect(code == Some(0), format_args!("node {index} ended with {code:?}"));
        run.restart_node(index).await?;
        run.heal("rolling_restart");
    }
    run.settle().await?;
    let stats = run.stats()?;
    let failed = Stats::of(&stats.refused) + Stats::of(&stats.given_up);
    let all = failed + Stats::of(&stats.published);
    run.expect(failed * 1000 <= all, format_args!("{failed} of {all} publishes failed"));
    Ok(())
}

pub(super) async fn paused(run: &mut Run, seconds: u32) -> Result<()> {
    stage(run, plain()).await?;
    run.pass(4.0).await;
    let victim = any_node(run);
    run.inject("node_pause");
    let id = run.node(victim)?.id.clone();
    run.shared()?.set_paused(&id, true);
    run.signal_node(victim, Signal::STOP, "pause")?;
    run.set_up(victim, false)?;
    run.pass(f64::from(seconds)).await;
    run.signal_node(victim, Signal::CONT, "cont")?;
    let recovered = run.node(victim)?.ready(Duration::from_secs(30)).await?;
    run.heal("node_pause");
    run.shared()?.set_paused(&id, false);
    run.set_up(victim, true)?;
    run.fact("recovered_ms", recovered.as_millis());
    run.expect(recovered.as_secs_f64() <= 5.0, format_args!("recovered only after {recovered:?}"));
    run.pass(6.0).await;
    run.settle().await
}
