//! The link between nodes and Redis: silent, cut, slow, or losing answers.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::plain;
use crate::{http::Http, load::Stats, node::API_KEY, proxy::Proxy, run::Run};

/// A node notices that it can't ask Redis in this time.
const NOTICED: Duration = Duration::from_secs(3);

/// Three nodes, each with a proxy before Redis, and the load.
async fn stage(run: &mut Run) -> Result<()> {
    run.standalone(plain()).await?;
    run.proxy_redis();
    run.start_nodes(3).await?;
    let shape = run.shape();
    run.start_load(shape, false).await
}

fn proxy(run: &Run, index: usize) -> Result<&Proxy> {
    run.redis_proxies.get(index).context("a proxy before Redis")
}

pub(super) async fn reply_lost(run: &mut Run) -> Result<()> {
    stage(run).await?;
    let mut wanted = 0;
    for _ in 0..(run.params.seconds / 2).max(1) {
        run.inject("reply_lost");
        for proxy in &run.redis_proxies {
            proxy.lose_answers("EVALSHA", 2);
            wanted += 2;
        }
        run.pass(2.0).await;
        run.heal("reply_lost");
    }
    let lost: u64 = run.redis_proxies.iter().map(Proxy::lost).sum();
    run.fact("lost", format_args!("{lost}/{wanted}"));
    run.expect(lost > 0, "no answer was lost: nothing was tested");
    answer_of_the_api_lost(run).await?;
    run.settle().await
}

/// The server API's answer is lost: the same id gets the same position from another node.
async fn answer_of_the_api_lost(run: &mut Run) -> Result<()> {
    let proxy = Proxy::start(run.node(0)?.internal).await?;
    let other = run.node(1)?.internal;
    let mut http = Http::new(API_KEY);
    let mut wrong = Vec::new();
    for trial in 0..20 {
        let body = json!({
            "event": "probe", "to": {"user": "nobody"}, "id": format!("probe-{trial}"), "data": {},
        });
        proxy.lose_answers("/api/v1/publish", 1);
        let first = http.post(proxy.address, "/api/v1/publish", &body).await;
        let second = http.post(other, "/api/v1/publish", &body).await?.json();
        let third = http.post(other, "/api/v1/publish", &body).await?.json();
        let same = second.get("position") == third.get("position");
        let is_duplicate = second.get("duplicate") == Some(&Value::Bool(true));
        if first.is_ok() || !same || !is_duplicate {
            wrong.push(format!("{second} {third}"));
        }
    }
    run.expect(wrong.is_empty(), format_args!("retries of lost answers: {wrong:?}"));
    Ok(())
}

pub(super) async fn half_open(run: &mut Run) -> Result<()> {
    stage(run).await?;
    run.pass(4.0).await;
    let id = run.node(0)?.id.clone();
    let sockets = run.shared()?.on(&id);
    run.shared()?.set_paused(&id, true);
    run.inject("half_open_redis");
    proxy(run, 0)?.stall(true);
    let (took, reasons) = run.node(0)?.not_ready(Duration::from_secs(10)).await?;
    run.fact("not_ready_ms", took.as_millis());
    run.fact("reasons", reasons.to_string().replace(' ', "_"));
    run.expect(took <= NOTICED, format_args!("not ready only after {took:?}"));
    run.set_up(0, false)?;
    run.pass(10.0 - took.as_secs_f64()).await;
    let kept = run.shared()?.on(&id);
    run.expect(kept == sockets, format_args!("{kept} of {sockets} sockets were kept"));
    proxy(run, 0)?.heal();
    run.heal("half_open_redis");
    let ready = run.node(0)?.ready(Duration::from_secs(20)).await?;
    run.shared()?.set_paused(&id, false);
    run.fact("ready_ms", ready.as_millis());
    run.set_up(0, true)?;
    run.pass(6.0).await;
    run.settle().await
}

pub(super) async fn cut_off(run: &mut Run) -> Result<()> {
    stage(run).await?;
    run.pass(4.0).await;
    let id = run.node(0)?.id.clone();
    let sockets = run.shared()?.on(&id);
    let closed = run.stats()?.closed(1013);
    run.shared()?.set_paused(&id, true);
    run.inject("node_cut_from_redis");
    let began = tokio::time::Instant::now();
    proxy(run, 0)?.stall(true);
    let (took, reasons) = run.node(0)?.not_ready(Duration::from_secs(10)).await?;
    run.fact("not_ready_ms", took.as_millis());
    run.fact("reasons", reasons.to_string().replace(' ', "_"));
    run.expect(took <= NOTICED, format_args!("not ready only after {took:?}"));
    let says_why = reasons.as_array().is_some_and(|reasons| !reasons.is_empty());
    run.expect(says_why, "it does not say why it is not ready");
    run.set_up(0, false)?;
    run.pass(55.0 - began.elapsed().as_secs_f64()).await;
    let kept = run.shared()?.on(&id);
    run.expect(kept == sockets, format_args!("{kept} of {sockets} sockets were kept for 55 s"));
    run.pass(70.0 - began.elapsed().as_secs_f64()).await;
    let now = usize::try_from(run.stats()?.closed(1013) - closed)?;
    let left = run.shared()?.on(&id);
    run.expect(left == 0, format_args!("{left} sockets are open after 70 s"));
    run.expect(now >= sockets, format_args!("{now} of {sockets} sockets were closed with 1013"));
    proxy(run, 0)?.heal();
    run.heal("node_cut_from_redis");
    let ready = run.node(0)?.ready(Duration::from_secs(20)).await?;
    run.shared()?.set_paused(&id, false);
    run.fact("ready_ms", ready.as_millis());
    run.set_up(0, true)?;
    run.pass(4.0).await;
    run.settle().await
}

pub(super) async fn slow(run: &mut Run) -> Result<()> {
    stage(run).await?;
    run.pass(2.0).await;
    let failed = Stats::of(&run.stats()?.attempts_failed);
    let published = Stats::of(&run.stats()?.published);
    run.inject("redis_slow");
    for proxy in &run.redis_proxies {
        proxy.rule(|rules| rules.delay = Duration::from_millis(50));
    }
    run.pass(15.0).await;
    let failed = Stats::of(&run.stats()?.attempts_failed) - failed;
    let published = Stats::of(&run.stats()?.published) - published;
    let unready = (0..3).map(|index| run.nodes.get(index).map(|node| node.internal));
    let mut down = 0;
    for address in unready.flatten() {
        down += usize::from(!matches!(crate::node::ready(address).await, Some((true, _))));
    }
    run.redis_proxies.iter().for_each(Proxy::heal);
    run.heal("redis_slow");
    run.fact("published_slow", published);
    run.expect(failed == 0, format_args!("{failed} publishes were answered with an error"));
    run.expect(down == 0, format_args!("{down} nodes are not ready at 50 ms"));
    // The publishers wait for their answers: what they offer can be kept up with.
    run.expect(published > 0, "nothing was published");
    run.settle().await
}
