//! Members of channels: those of the start, and their churn.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Api, CHANNELS_EACH, Outcome, Phase, Shared, Stats};
use crate::history::Writer;

/// Tasks that change members. A user belongs to one of them.
pub(super) const CHANGERS: usize = 2;

/// Tasks that make the members of the start.
const FILLERS: usize = 16;

/// The channels of a user at the start.
fn channels(shared: &Shared, user: usize) -> impl Iterator<Item = usize> {
    let channels = shared.shape.channels();
    // Spread, and different for a user in each round.
    (0..CHANNELS_EACH.min(channels))
        .map(move |round| (user + round * (channels / 3).max(1)) % channels)
}

/// Puts every user into their channels. `round` makes the ids unique.
pub(super) async fn fill(shared: &Arc<Shared>, round: u64) -> Result<()> {
    let mut filling = JoinSet::new();
    for number in 0..FILLERS {
        let shared = Arc::clone(shared);
        filling.spawn(async move {
            let writer = shared.history.writer(&format!("fill-{round}-{number}"))?;
            let mut api = Api::new(Arc::clone(&shared));
            for user in (number..shared.shape.users()).step_by(FILLERS) {
                for channel in channels(&shared, user) {
                    let id = format!("f{round}-{user}-{channel}");
                    change(&mut api, &writer, &id, &Change { user, channel, add: true }).await?;
                }
            }
            writer.flush()
        });
    }
    while let Some(ended) = filling.join_next().await {
        ended?.context("the members of the start")?;
    }
    Ok(())
}

/// A change of one user in one channel.
struct Change {
    user: usize,
    channel: usize,
    add: bool,
}

/// Adds and removes members until the load ends.
pub(super) async fn churn(shared: &Arc<Shared>, number: usize) -> Result<()> {
    let writer = shared.history.writer(&format!("members-{number}"))?;
    let mut api = Api::new(Arc::clone(shared));
    let mut is_member = HashMap::new();
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let pace = Duration::from_secs_f64(CHANGERS as f64 / shared.shape.churn);
    for count in 0.. {
        tokio::select! {
            biased;
            () = shared.reached(Phase::Quiet) => break,
            () = tokio::time::sleep(pace) => {}
        }
        let mine = (number..shared.shape.users()).step_by(CHANGERS);
        let Some(user) = fastrand::choice(mine.collect::<Vec<_>>()) else { break };
        let channel = fastrand::usize(0..shared.shape.channels());
        let now = is_member
            .entry((user, channel))
            .or_insert_with(|| channels(shared, user).any(|own| own == channel));
        *now = !*now;
        let wanted = Change { user, channel, add: *now };
        // A change without an acknowledgement is in the history; the next one decides.
        change(&mut api, &writer, &format!("m{number}-{count}"), &wanted).await.ok();
    }
    writer.flush()
}

async fn change(api: &mut Api, writer: &Writer, id: &str, wanted: &Change) -> Result<()> {
    let (user, topic) = (format!("u{}", wanted.user), format!("ch{}", wanted.channel));
    let note = |phase: &str, position: Option<&Value>| {
        let mut record = json!({
            "op": "member", "ph": phase, "mid": id, "realm": "default", "user": user,
            "topic": {"channel": topic}, "add": wanted.add,
        });
        if let (Some(fields), Some(position)) = (record.as_object_mut(), position) {
            fields.insert("pos".to_owned(), position.clone());
        }
        writer.write(record);
    };
    note("invoke", None);
    let list = if wanted.add { "add" } else { "remove" };
    let body = json!({"topic": {"channel": topic}, list: [user], "id": id});
    match api.call("/api/v1/members", &body).await {
        Outcome::Ok(answer) => {
            note("ok", answer.get("position"));
            Stats::count(&api.shared.stats.changed);
            Ok(())
        }
        Outcome::Refused(said) => {
            note("fail", None);
            api.shared.stats.violation(format!("change {id} refused: {said}"));
            bail!("{id} was refused: {said}")
        }
        Outcome::Unknown(said) => {
            note("info", None);
            bail!("{id} was given up: {said}")
        }
    }
}
