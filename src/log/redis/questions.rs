//! What nodes ask each other: over the realm's channel, answered through a list.
//!
//! Invariants: an answer that nobody waits for is gone after five seconds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use redis::{Pipeline, Value};
use tokio::time::Instant;

use super::{
    super::{LogError, Question},
    context::{Context, nonsense, unavailable},
    reply::{Reply, as_bytes, as_text},
};
use crate::model::RealmId;

/// How long answers are waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it is looked for them.
const PASS: Duration = Duration::from_millis(10);

/// How long an answer lives, in milliseconds.
const ANSWER_LIVES_MS: usize = 5_000;

/// Names the questions of this node.
#[derive(Debug, Default)]
pub(super) struct Questions(AtomicU64);

impl Questions {
    /// Asks every other node that hears the realm.
    pub(super) async fn ask(
        &self,
        context: &Context,
        realm: &RealmId,
        question: Bytes,
    ) -> Result<Vec<Bytes>, LogError> {
        let others = others(context, realm).await?;
        if others == 0 {
            return Ok(Vec::new());
        }
        let id = format!("{}.{}", context.me, self.0.fetch_add(1, Ordering::Relaxed));
        let mut text = format!("Q {id} {}\n", context.me).into_bytes();
        text.extend_from_slice(&question);
        let channel = context.key(realm, "t");
        let mut command = Pipeline::new();
        command.cmd(if context.limits.is_sharded { "SPUBLISH" } else { "PUBLISH" });
        command.arg(&channel).arg(text);
        let asked = context.client.change("question", &channel, &command, false).await;
        asked.map_err(|error| unavailable("question", &error))?;
        let key = context.key(realm, &format!("a:{id}"));
        let mut look = Pipeline::new();
        look.cmd("LRANGE").arg(&key).arg("0").arg("-1");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = context.client.query("question", &key, &look).await;
            let found = found.map_err(|error| unavailable("question", &error))?.pop();
            let Some(Value::Array(answers)) = found else { return Ok(Vec::new()) };
            if answers.len() >= others || Instant::now() >= deadline {
                return Ok(answers.into_iter().filter_map(as_bytes).collect());
            }
            tokio::time::sleep(PASS).await;
        }
    }
}

/// How many other nodes have a lease in the realm.
async fn others(context: &Context, realm: &RealmId) -> Result<usize, LogError> {
    let key = context.key(realm, "n");
    let ask = async |command: &Pipeline| {
        let replies = context.client.query("question", &key, command).await;
        let mut replies = replies.map_err(|error| unavailable("question", &error))?;
        replies.pop().map(Reply::new).ok_or_else(|| nonsense("leases"))
    };
    let time = ask(Pipeline::new().cmd("TIME")).await?;
    let now_ms = time.number(0).ok_or_else(|| nonsense("a time"))? * 1_000;
    let mut live = Pipeline::new();
    live.cmd("ZRANGEBYSCORE").arg(&key).arg(now_ms).arg("+inf");
    let names = ask(&live).await?;
    let names = names.parts().ok_or_else(|| nonsense("leases"))?;
    Ok(names.iter().filter(|name| as_text(name) != Some(&context.me)).count())
}

/// Answers a question of another node.
pub(super) async fn answer(
    context: &Context,
    realm: &RealmId,
    question: &Question,
    answer: Bytes,
) -> Result<(), LogError> {
    let id: &Arc<str> = &question.id;
    let key = context.key(realm, &format!("a:{id}"));
    let mut both = Pipeline::new();
    both.cmd("RPUSH").arg(&key).arg(&answer[..]);
    both.cmd("PEXPIRE").arg(&key).arg(ANSWER_LIVES_MS);
    let done = context.client.change("question", &key, &both, false).await;
    done.map(drop).map_err(|error| unavailable("question", &error))
}
