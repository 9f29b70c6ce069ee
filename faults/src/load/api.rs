//! Calls of the server API that are repeated under the same id until they have an outcome.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Shared, Stats};
use crate::{http::Http, node::API_KEY};

/// When a call is given up.
const GIVE_UP: Duration = Duration::from_secs(60);

/// What became of a call.
#[derive(Debug)]
pub enum Outcome {
    /// It happened, here.
    Ok(Value),
    /// It was refused and did not happen.
    Refused(String),
    /// Nobody knows.
    Unknown(String),
}

/// A client of the server API of any node.
#[derive(Debug)]
pub struct Api {
    /// What the load shares.
    pub shared: Arc<Shared>,
    http: Http,
}

impl Api {
    /// A client without connections.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, http: Http::new(API_KEY) }
    }

    /// Posts `body`, which has an `id`, until there is an outcome; each attempt goes to
    /// any node that is up.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; whether it happened is open.
    pub async fn call(&mut self, path: &str, body: &Value) -> Outcome {
        let began = Instant::now();
        let mut may_have_happened = false;
        let mut pause = 50;
        loop {
            let said = self.attempt(path, body).await;
            let said = match said {
                Ok(outcome @ (Outcome::Ok(_) | Outcome::Unknown(_))) => return outcome,
                Ok(Outcome::Refused(said)) if !may_have_happened => return Outcome::Refused(said),
                Ok(Outcome::Refused(said)) => return Outcome::Unknown(said),
                Err(said) => said,
            };
            may_have_happened = true;
            Stats::count(&self.shared.stats.attempts_failed);
            if began.elapsed() > GIVE_UP {
                return Outcome::Unknown(said);
            }
            sleep(Duration::from_millis(fastrand::u64(pause / 2..=pause))).await;
            pause = (pause * 2).min(1000);
        }
    }

    /// One attempt. The error says why it is to be repeated.
    async fn attempt(&mut self, path: &str, body: &Value) -> Result<Outcome, String> {
        let Some(address) = self.shared.target().map(|target| target.internal) else {
            return Err("no node".to_owned());
        };
        let reply = self.http.post(address, path, body).await;
        let reply = reply.map_err(|error| format!("{error:#}"))?;
        match reply.status {
            200 => Ok(Outcome::Ok(reply.json())),
            429 | 500.. => Err(format!("{}: {}", reply.status, reply.body)),
            _ => Ok(Outcome::Refused(format!("{}: {}", reply.status, reply.body))),
        }
    }
}
