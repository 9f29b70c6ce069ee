//! When a revocation ends a token: one rule, for logins, sockets and resumes.
//!
//! Invariants: the rule is pure; a token without a time of issue ends at any
//! revocation of its user or of everyone, because nobody can tell its age.
//!
//! Not here: where revocations are kept (`log`), closing sockets (`hub`).

use super::{Identity, Revocation, RevocationScope, SessionId, UnixSeconds, UserId};

/// What the log knows about revocations that concern one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Revocations {
    /// Last revocation of everyone, in milliseconds since 1970.
    pub everyone_at_ms: Option<u64>,
    /// Last revocation of the token's user, in milliseconds since 1970.
    pub user_at_ms: Option<u64>,
    /// True when the token's login session was revoked.
    pub session_revoked: bool,
}

impl Revocations {
    /// What one revocation means for a token of `user` and `session`.
    #[must_use]
    pub fn of(revocation: &Revocation, user: &UserId, session: Option<&SessionId>) -> Self {
        let at_ms = Some(revocation.at_ms);
        match &revocation.scope {
            RevocationScope::Everyone => Self { everyone_at_ms: at_ms, ..Self::default() },
            RevocationScope::User(of) if of == user => {
                Self { user_at_ms: at_ms, ..Self::default() }
            }
            RevocationScope::Session(of) if Some(of) == session => {
                Self { session_revoked: true, ..Self::default() }
            }
            RevocationScope::User(_) | RevocationScope::Session(_) => Self::default(),
        }
    }

    /// True when the token of `identity` has ended.
    #[must_use]
    pub fn ends(&self, identity: &Identity) -> bool {
        self.ends_token(identity.issued_at, identity.session.as_ref())
    }

    /// True when a token that was issued then, for that login session, has ended.
    #[must_use]
    pub fn ends_token(&self, issued_at: Option<UnixSeconds>, session: Option<&SessionId>) -> bool {
        let session_ended = self.session_revoked && session.is_some();
        session_ended
            || self.everyone_at_ms.is_some_and(|cut| is_before(issued_at, cut))
            || self.user_at_ms.is_some_and(|cut| is_before(issued_at, cut))
    }
}

/// True when a token issued at `issued_at` is older than the moment `cut_ms`.
fn is_before(issued_at: Option<UnixSeconds>, cut_ms: u64) -> bool {
    issued_at.is_none_or(|seconds| seconds.saturating_mul(1_000) < cut_ms)
}

#[cfg(test)]
mod tests {
    use super::Revocations;
    use crate::model::{Id, Identity};

    fn identity(issued_at: Option<u64>, session: Option<&str>) -> Identity {
        Identity {
            realm: Id::parse("default").unwrap(),
            user: Id::parse("alice").unwrap(),
            session: session.map(|text| Id::parse(text).unwrap()),
            issued_at,
            expires_at: u64::MAX,
            roles: Vec::new(),
            name: None,
            profile: None,
            seeds: Vec::new(),
        }
    }

    /// Goal: the rule of revocations, for each scope and each side of the moment.
    #[test]
    fn a_token_ends_when_it_is_older_than_the_cut_or_its_session_was_revoked() {
        let cut = Some(10_500);
        let rows = [
            // (everyone, user, session revoked, issued at, sid, ends)
            (None, None, false, None, None, false),
            (None, None, false, Some(10), None, false),
            (cut, None, false, Some(10), None, true),
            (cut, None, false, Some(11), None, false),
            (cut, None, false, None, None, true),
            (None, cut, false, Some(10), None, true),
            (None, cut, false, Some(11), None, false),
            (None, cut, false, None, None, true),
            (Some(1), cut, false, Some(10), None, true),
            (None, Some(10_000), false, Some(10), None, false),
            (None, None, true, Some(u64::MAX), Some("s1"), true),
            (None, None, true, Some(10), None, false),
            (cut, cut, false, Some(u64::MAX), Some("s1"), false),
        ];
        for (everyone_at_ms, user_at_ms, session_revoked, issued_at, session, ends) in rows {
            let revocations = Revocations { everyone_at_ms, user_at_ms, session_revoked };
            let identity = identity(issued_at, session);
            assert_eq!(revocations.ends(&identity), ends, "{revocations:?} {identity:?}");
        }
    }
}
