//! What the holder of a token may do, when no connection says it.
//!
//! Invariants: a token that a revocation ended has no standing; a seed of the token
//! counts only where the realm holds no record about it, as for a connection.

use super::Node;
use crate::{
    log::{LogError, RealmLog as _},
    model::{Identity, Memberships, Topic},
};

/// What a user may do.
#[derive(Debug, Clone)]
pub struct Standing {
    memberships: Memberships,
    seeds: Vec<Topic>,
}

impl Standing {
    /// True when the user is a member of `topic`.
    #[must_use]
    pub fn is_member(&self, topic: &Topic) -> bool {
        let is_seeded = !self.memberships.knows(topic) && self.seeds.contains(topic);
        is_seeded || self.memberships.is_open(topic)
    }
}

impl Node {
    /// What the holder of the token of `identity` may do now; `None` when a revocation
    /// has ended the token.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn standing(&self, identity: &Identity) -> Result<Option<Standing>, LogError> {
        if self.is_revoked(identity).await? {
            return Ok(None);
        }
        let (_, memberships) = self.log.memberships(&identity.realm, &identity.user).await?;
        Ok(Some(Standing { memberships, seeds: identity.seeds.clone() }))
    }
}
