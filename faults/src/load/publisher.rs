//! Publishers: one event after the other, each under its own id.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{Api, Outcome, Phase, Shared, Stats};
use crate::{history::Writer, system::now_ms};

/// Publishes one event each `pace`, as fast as answers come, until the load ends.
pub(super) async fn run(shared: &Arc<Shared>, number: i32, pace: Duration) -> Result<()> {
    let writer = shared.history.writer(&format!("publisher-{number}"))?;
    let mut api = Api::new(Arc::clone(shared));
    let mut ticks = interval_at(Instant::now() + pace.mul_f64(fastrand::f64()), pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for count in 0.. {
        tokio::select! {
            biased;
            () = shared.reached(Phase::Quiet) => break,
            _ = ticks.tick() => {}
        }
        let to = address(shared);
        // A refusal is counted there and judged at the end of the run.
        publish(&mut api, &writer, &format!("p{number}-{count}"), &to).await.ok();
    }
    writer.flush()
}

/// Mostly a channel, sometimes a user, rarely everyone.
fn address(shared: &Shared) -> Value {
    match fastrand::u32(0..1000) {
        0 => json!({"everyone": true}),
        1..100 => json!({"user": format!("u{}", fastrand::usize(0..shared.shape.users()))}),
        _ => json!({"channel": format!("ch{}", fastrand::usize(0..shared.shape.channels()))}),
    }
}

/// Publishes one event until there is an outcome, and writes both down.
///
/// # Errors
///
/// When it is not acknowledged.
pub(super) async fn publish(api: &mut Api, writer: &Writer, pid: &str, to: &Value) -> Result<()> {
    let at = now_ms();
    let padding = "x".repeat(api.shared.shape.padding);
    let body = json!({
        "event": "faults", "to": to, "id": pid,
        "data": {"pid": pid, "at": at, "padding": padding},
    });
    writer.write(json!({
        "op": "pub", "ph": "invoke", "pid": pid, "realm": "default", "to": to,
        "ephemeral": false, "omit_users": [], "omit_connection": "",
    }));
    let outcome = api.call("/api/v1/publish", &body).await;
    let stats = &api.shared.stats;
    let note =
        |phase: &str| json!({"op": "pub", "ph": phase, "pid": pid, "realm": "default", "to": to});
    match outcome {
        Outcome::Ok(answer) => {
            let mut record = note("ok");
            if let Some(fields) = record.as_object_mut() {
                fields
                    .insert("pos".to_owned(), answer.get("position").cloned().unwrap_or_default());
            }
            writer.write(record);
            Stats::count(&stats.published);
            if answer.get("duplicate") == Some(&Value::Bool(true)) {
                Stats::count(&stats.duplicates);
            }
            stats.publish_ms.lock().push((at, now_ms() - at));
            Ok(())
        }
        Outcome::Refused(said) => {
            writer.write(note("fail"));
            Stats::count(&stats.refused);
            stats.violation(format!("publish of {pid} refused: {said}"));
            bail!("{pid} was refused: {said}")
        }
        Outcome::Unknown(said) => {
            writer.write(note("info"));
            Stats::count(&stats.given_up);
            bail!("{pid} was given up: {said}")
        }
    }
}
