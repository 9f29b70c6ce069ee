//! Which primary the sentinels name.
//!
//! All are asked at once: one that was cut off may still name a primary that the others
//! have replaced, and that primary may still answer.
//!
//! Invariants: what more than half of them say is the answer of the newest failover; fewer
//! can't bring back an older one.

use std::sync::Arc;

use redis::{Value, cmd};
use tokio::task::JoinSet;

use super::{
    connect::ask,
    error::RedisError,
    reply::{field, number, text},
    settings::{Address, Peer, Settings},
};

/// What a sentinel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// Counts the failovers.
    pub(super) epoch: u64,
    pub(super) primary: Address,
    /// True while this sentinel puts another one in its place.
    is_replacing: bool,
}

/// Asks all of `sentinels`; `known` is the epoch of the newest answer so far.
///
/// # Cancel safety
///
/// Safe: nothing is changed by it.
pub(super) async fn primary(
    settings: &Arc<Settings>,
    sentinels: &[Address],
    known: u64,
) -> Result<Named, RedisError> {
    let mut questions = ask_all(settings, sentinels);
    let enough = sentinels.len() / 2 + 1;
    let mut answers: Vec<Named> = Vec::with_capacity(enough);
    let mut failure = RedisError::unavailable("there is nobody to ask");
    while answers.len() < enough
        && let Some(answer) = questions.join_next().await
    {
        match answer {
            Ok(Ok(named)) => answers.push(named),
            Ok(Err(error)) => failure = error,
            Err(error) => tracing::error!(%error, "a question to a sentinel panicked"),
        }
    }
    let is_enough = answers.len() >= enough;
    let newest = answers.into_iter().max_by_key(|named| named.epoch).ok_or(failure)?;
    if is_enough || newest.epoch >= known {
        return Ok(newest);
    }
    Err(RedisError::unavailable("too few sentinels answer, and those know an older primary only"))
}

/// The primary, as long as none of `sentinels` that answer is about to replace it, and those
/// are more than half of them.
///
/// # Cancel safety
///
/// Safe: nothing is changed by it.
pub(super) async fn settled(
    settings: &Arc<Settings>,
    sentinels: &[Address],
    known: u64,
) -> Option<Address> {
    // Only the one that replaces it knows, so each is waited for.
    let mut questions = ask_all(settings, sentinels);
    let mut answers: Vec<Named> = Vec::new();
    while let Some(answer) = questions.join_next().await {
        answers.extend(answer.into_iter().flatten());
    }
    let is_enough = answers.len() > sentinels.len() / 2;
    let is_replaced = answers.iter().any(|named| named.is_replacing);
    let newest = answers.into_iter().max_by_key(|named| named.epoch)?;
    (is_enough && !is_replaced && newest.epoch >= known).then_some(newest.primary)
}

fn ask_all(settings: &Arc<Settings>, sentinels: &[Address]) -> JoinSet<Result<Named, RedisError>> {
    let mut questions = JoinSet::new();
    for sentinel in sentinels {
        let (settings, sentinel) = (Arc::clone(settings), sentinel.clone());
        questions.spawn(async move {
            let answer = named_by(&settings, &sentinel).await;
            answer
                .inspect_err(|error| tracing::debug!(%sentinel, %error, "a sentinel is of no use"))
        });
    }
    questions
}

async fn named_by(settings: &Settings, sentinel: &Address) -> Result<Named, RedisError> {
    let question = cmd("SENTINEL").arg("MASTER").arg(&settings.master_name).take();
    let answer = match ask(settings, sentinel, Peer::Sentinel, &question).await {
        Err(RedisError::Server { code, .. }) if code == "ERR" => {
            return Err(RedisError::unavailable("the sentinel does not know the primary"));
        }
        other => other?,
    };
    read(&answer).ok_or(RedisError::Unexpected { expected: "a primary" })
}

fn read(answer: &Value) -> Option<Named> {
    let number_of = |name| field(answer, name).and_then(number);
    let host = field(answer, "ip").and_then(text)?.into();
    let port = u16::try_from(number_of("port")?).ok()?;
    let epoch = u64::try_from(number_of("config-epoch")?).ok()?;
    let flags = field(answer, "flags").and_then(text).unwrap_or_default();
    let is_replacing = flags.split(',').any(|flag| flag == "failover_in_progress");
    Some(Named { epoch, primary: Address { host, port }, is_replacing })
}
