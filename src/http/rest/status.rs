//! The status twins: asking for statuses, and choosing one's own.

use std::{collections::HashSet, time::Duration};

use super::{
    Fault, Rest,
    body::{Fields, json_limits},
};
use crate::{
    dialect::{
        json::{self, JsonError},
        mattermost::{status_record, status_records},
    },
    model::{Id, ManualStatus, Status, UserId},
    session::Caller,
};

/// Users of one question.
const USERS_MAX: usize = 1_000;

/// The last second that a timed `dnd` may end in: the end of the year 9999.
const DND_END_MAX: u64 = 253_402_300_799;

/// Timed statuses end at whole minutes, as Mattermost's do.
const MINUTE: u64 = 60;

/// When to ask again after presence could not be asked.
const BUSY: Duration = Duration::from_secs(1);

impl Rest {
    /// The status of one user; who is unknown is offline.
    pub(super) async fn status(&self, caller: &Caller, user: &UserId) -> Result<String, Fault> {
        let record = self.node().status_of(&caller.identity.realm, user).await;
        record.map(|record| status_record(&record)).map_err(|error| unavailable(&error))
    }

    /// The statuses of the users whose ids are listed in `text`, each once.
    pub(super) async fn statuses(&self, caller: &Caller, text: &str) -> Result<String, Fault> {
        const NAME: &str = "user_ids";
        let limits = json_limits(&self.context.limits(), USERS_MAX);
        let fault = |reason| Fault::Body { name: NAME, reason };
        let ids: Vec<String> = json::parse(text, &limits).map_err(|error| fault(error.label()))?;
        if ids.is_empty() || ids.len() > USERS_MAX {
            return Err(fault(JsonError::Elements.label()));
        }
        let users: Result<Vec<UserId>, _> = ids.iter().map(|id| Id::parse(id)).collect();
        let mut users = users.map_err(|_malformed| fault("id"))?;
        let mut seen = HashSet::new();
        users.retain(|user| seen.insert(user.clone()));
        let records = self.node().statuses(&caller.identity.realm, &users).await;
        records.map(|records| status_records(&records)).map_err(|error| unavailable(&error))
    }

    /// Makes the status in `text` the caller's, and answers what shows then.
    pub(super) async fn choose(&self, caller: &Caller, text: &str) -> Result<String, Fault> {
        let fields = Fields::parse(text, &self.context.limits(), "status")?;
        let identity = &caller.identity;
        let user = fields.id("user_id")?;
        if user != identity.user && user.as_str() != "me" {
            return Err(Fault::Body { name: "user_id", reason: "id" });
        }
        let unknown = Fault::Body { name: "status", reason: JsonError::Shape.label() };
        // Out of office is said by an automatic reply, not chosen by its user.
        let status = Status::parse(fields.text("status")?).filter(|one| *one != Status::Ooo);
        let status = status.ok_or(unknown)?;
        let dnd_ends_at = fields.number("dnd_end_time", DND_END_MAX)?;
        // 0 would mean that it does not end.
        let whole = (dnd_ends_at - dnd_ends_at % MINUTE).max(dnd_ends_at.min(1));
        let chosen = ManualStatus::new(status, whole);
        let record = self.node().choose_status(&identity.realm, &identity.user, chosen).await;
        record.map(|record| status_record(&record)).map_err(|error| unavailable(&error))
    }
}

fn unavailable(error: &dyn std::error::Error) -> Fault {
    tracing::debug!(%error, "presence can't be asked");
    Fault::Unavailable(BUSY)
}
