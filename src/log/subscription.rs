//! Names of what connections subscribed to.
//!
//! Invariants: a name stands for one topic, and the other way round.

use super::wire::{Malformed, address, topic};
use crate::model::{Id, Topic};

/// What a connection subscribed to, by name: the id of a user for the user's status, an
/// address for anything else.
pub(super) fn subscriptions(topics: &[Topic]) -> Vec<String> {
    let name = |topic: &Topic| match topic {
        Topic::Status(user) => user.as_str().to_owned(),
        Topic::User(_)
        | Topic::Channel(_)
        | Topic::Team(_)
        | Topic::Workspace(_)
        | Topic::Room(_)
        | Topic::Chat(_)
        | Topic::Connection(_)
        | Topic::Everyone => address(topic),
    };
    topics.iter().map(name).collect()
}

/// The topic of a name that a connection subscribed to.
pub(super) fn subscription(name: &str) -> Option<Topic> {
    if name.contains(':') { topic(name) } else { Some(Topic::Status(Id::parse(name).ok()?)) }
}

/// The topics of these names.
pub(super) fn subscribed(names: &[String]) -> Result<Vec<Topic>, Malformed> {
    names.iter().map(|name| subscription(name).ok_or(Malformed)).collect()
}
