//! Guests: people without a token, in rooms and in embedded servers.
//!
//! Invariants: a guest's shown name begins with `~` and a guest's id with `@guest-`,
//! so neither looks like a user's; the same name gives the same id, so that a guest
//! can go on after a drop.

use sha2::{Digest as _, Sha256};

use crate::{
    clock::random_connection_id,
    dialect::room::guest_name,
    model::{Id, Identity, RealmId, UnixSeconds},
};

/// What a guest's id begins with.
const PREFIX: &str = "@guest-";

/// The realm that guests are in.
const REALM: &str = "default";

/// A guest who comes now and wants to be shown as `name`; `None` when the name is
/// malformed.
///
/// Coming counts as a login: a revocation ends the guests of before, not the later ones.
pub(super) fn identity(name: Option<&str>, now: UnixSeconds) -> Option<Identity> {
    let shown = guest_name(name).ok()?;
    let digest: [u8; 32] = Sha256::digest(shown.as_bytes()).into();
    let mark = digest.iter().take(8).fold(0_u64, |mark, byte| mark << 8 | u64::from(*byte));
    Some(Identity {
        realm: Id::parse(REALM).ok()?,
        user: Id::parse(&format!("{PREFIX}{mark:016x}")).ok()?,
        session: None,
        issued_at: Some(now),
        expires_at: u64::MAX,
        roles: Vec::new(),
        name: Some(shown),
        profile: None,
        seeds: Vec::new(),
    })
}

/// Somebody who comes now without a name, whom nobody else is like.
pub(super) fn stranger(realm: &RealmId, now: UnixSeconds) -> Option<Identity> {
    let user = Id::parse(&format!("{PREFIX}{}", random_connection_id().as_str())).ok()?;
    Some(Identity {
        realm: realm.clone(),
        user,
        session: None,
        issued_at: Some(now),
        expires_at: u64::MAX,
        roles: Vec::new(),
        name: None,
        profile: None,
        seeds: Vec::new(),
    })
}

/// True for the identities that this module makes.
pub(super) fn is_guest(identity: &Identity) -> bool {
    identity.user.as_str().starts_with(PREFIX) && identity.expires_at == u64::MAX
}
