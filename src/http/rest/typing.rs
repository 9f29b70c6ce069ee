//! The typing twin.

use super::{Fault, Rest, body::Fields, key};
use crate::{
    config::Limits, dialect::mattermost::typing_data, limits::Rate, model::Topic,
    node::PublishError, session::Caller,
};

/// What a user may type, as over the WebSocket.
pub(super) fn rate(limits: &Limits) -> Rate {
    let per_second = limits.typing_per_second;
    Rate { per_second, burst: per_second.max(1.0) }
}

impl Rest {
    /// Tells the members of the channel in `text` that the caller types.
    pub(super) async fn type_in(&self, caller: &Caller, text: &str) -> Result<String, Fault> {
        const OK: &str = r#"{"status":"OK"}"#;
        let limits = self.context.limits();
        let fields = Fields::parse(text, &limits, "body")?;
        let channel = Topic::Channel(fields.id("channel_id")?);
        let parent = fields.optional_id("parent_id")?;
        if !caller.standing.is_member(&channel) {
            return Err(Fault::NotMember);
        }
        let identity = &caller.identity;
        self.typing.set_rate(rate(&limits));
        if self.typing.take(key(identity), 1.0).is_err() {
            // Typing over the rate is dropped; the client can't tell and need not.
            self.node().metrics().rejected("limit", "typing");
            return Ok(OK.to_owned());
        }
        if !self.context.config.dialects.mattermost.typing {
            return Ok(OK.to_owned());
        }
        let parent = parent.as_ref().map_or("", crate::model::Id::as_str);
        let data = typing_data(parent, &identity.user);
        let published = self.node().typing(&identity.realm, &identity.user, channel, data).await;
        published.map_err(|error| fault(&error))?;
        Ok(OK.to_owned())
    }
}

/// What a publish that failed means for the caller.
pub(super) fn fault(error: &PublishError) -> Fault {
    match *error {
        PublishError::Conflict => Fault::IdReused,
        PublishError::Unavailable { retry_after } => Fault::Unavailable(retry_after),
        // Only events of Pydio wait for others.
        PublishError::Waiting { .. } => Fault::Unavailable(std::time::Duration::from_secs(1)),
        // Only changes of members meet this limit.
        PublishError::TooManyMemberships { .. } => Fault::NotMember,
    }
}
