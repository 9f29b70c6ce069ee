//! Who belongs to what in one realm, and whose tokens have ended.
//!
//! Invariants: both tables of memberships say the same; a topic that a user was ever
//! in, or was put out of, stays known.

use std::collections::HashMap;

use indexmap::{IndexMap, IndexSet};

use super::realm::Hasher;
use crate::{
    model::{
        Identity, Interval, Memberships, Revocation, RevocationScope, Revocations, SessionId,
        Topic, UserId,
    },
    store::SavedRealm,
};

/// Revoked login sessions that are remembered; the oldest go first.
const REVOKED_SESSIONS_MAX: usize = 1_000_000;

/// A membership that ended before this life of the log: it covers no offset.
const ENDED_BEFORE: Interval = Interval { from: 1, to: 1 };

/// The people of one realm.
#[derive(Debug, Default)]
pub(super) struct People {
    memberships: HashMap<UserId, Memberships, Hasher>,
    members: HashMap<Topic, IndexSet<UserId, Hasher>, Hasher>,
    everyone_revoked_at_ms: Option<u64>,
    users_revoked_at_ms: HashMap<UserId, u64, Hasher>,
    sessions_revoked: IndexMap<SessionId, (), Hasher>,
}

impl People {
    /// Those that were saved in an earlier life of the log.
    pub(super) fn restored(saved: &SavedRealm) -> Self {
        let mut people = Self::default();
        for (user, topic, open) in &saved.members {
            if *open {
                people.join(user, topic, 0, 0);
            } else {
                let memberships = people.memberships.entry(user.clone()).or_default();
                memberships.restore(topic.clone(), ENDED_BEFORE);
            }
        }
        for revocation in &saved.revocations {
            people.revoke(revocation);
        }
        people
    }

    /// Makes `user` a member at `offset`; what ended before `oldest` may be forgotten.
    pub(super) fn join(&mut self, user: &UserId, topic: &Topic, offset: u64, oldest: u64) {
        let memberships = self.memberships.entry(user.clone()).or_default();
        memberships.forget_before(oldest);
        if memberships.open(topic.clone(), offset) {
            self.members.entry(topic.clone()).or_default().insert(user.clone());
        }
    }

    pub(super) fn leave(&mut self, user: &UserId, topic: &Topic, offset: u64) {
        let was_member = self.memberships.entry(user.clone()).or_default().close(topic, offset);
        if was_member && let Some(members) = self.members.get_mut(topic) {
            members.shift_remove(user);
            if members.is_empty() {
                self.members.remove(topic);
            }
        }
    }

    pub(super) fn revoke(&mut self, revocation: &Revocation) {
        match &revocation.scope {
            RevocationScope::User(user) => {
                // Moments come from the clocks of nodes: the latest counts, not the last.
                let at_ms = self.users_revoked_at_ms.entry(user.clone()).or_default();
                *at_ms = revocation.at_ms.max(*at_ms);
            }
            RevocationScope::Session(session) => {
                self.sessions_revoked.insert(session.clone(), ());
                if self.sessions_revoked.len() > REVOKED_SESSIONS_MAX {
                    self.sessions_revoked.shift_remove_index(0);
                }
            }
            RevocationScope::Everyone => {
                let at_ms = Some(revocation.at_ms);
                self.everyone_revoked_at_ms = at_ms.max(self.everyone_revoked_at_ms);
            }
        }
    }

    pub(super) fn memberships(&self, user: &UserId) -> Option<&Memberships> {
        self.memberships.get(user)
    }

    pub(super) fn members(&self, topic: &Topic) -> Vec<UserId> {
        self.members.get(topic).map(|all| all.iter().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn revocations(&self, identity: &Identity) -> Revocations {
        let is_revoked = |session: &SessionId| self.sessions_revoked.contains_key(session);
        Revocations {
            everyone_at_ms: self.everyone_revoked_at_ms,
            user_at_ms: self.users_revoked_at_ms.get(&identity.user).copied(),
            session_revoked: identity.session.as_ref().is_some_and(is_revoked),
        }
    }
}
