//! What tests make go wrong with the embedded log, so that it behaves like a shared one.

use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::MemoryLog;
use crate::{
    lifecycle::Gate,
    log::{Inbound, LogError},
    model::RealmId,
};

/// What goes wrong now.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    away_since: Option<Instant>,
    gate: Option<Gate>,
    others: Vec<Bytes>,
    answers: Vec<Bytes>,
}

impl Faults {
    /// The log does not answer any more, or again.
    pub(crate) fn be_away(&self, is_away: bool) {
        self.0.lock().away_since = is_away.then(Instant::now);
    }

    /// Tails that start from now on have this gate.
    pub(crate) fn set_gate(&self, gate: &Gate) {
        self.0.lock().gate = Some(gate.clone());
    }

    /// What other nodes answer to each question.
    pub(crate) fn set_others_answers(&self, answers: Vec<Bytes>) {
        self.0.lock().others = answers;
    }

    /// What this node has answered.
    pub(crate) fn answers(&self) -> Vec<Bytes> {
        self.0.lock().answers.clone()
    }

    pub(super) fn check(&self) -> Result<(), LogError> {
        match self.0.lock().away_since {
            Some(_) => Err(LogError { retry_after: Duration::from_secs(1) }),
            None => Ok(()),
        }
    }

    pub(super) fn gate(&self) -> Option<Gate> {
        self.0.lock().gate.clone()
    }

    pub(super) fn silent_for(&self) -> Option<Duration> {
        self.0.lock().away_since.map(|since| since.elapsed())
    }

    pub(super) fn others_answers(&self) -> Vec<Bytes> {
        self.0.lock().others.clone()
    }

    pub(super) fn answered(&self, answer: Bytes) {
        self.0.lock().answers.push(answer);
    }
}

impl MemoryLog {
    /// Says a word to every tail of a realm.
    pub(crate) async fn tell(&self, realm: &RealmId, mut word: impl FnMut() -> Inbound) {
        let (_, tails) = self.realm(realm).state.lock().tails();
        for tail in tails {
            // A tail that has ended hears nothing.
            tail.send(word()).await.ok();
        }
    }
}
