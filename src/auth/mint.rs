//! Issues tokens with the node's own HMAC key: for the command line, the
//! development banner, the demo page and tests.
//!
//! Invariants: a minted token passes the verifier that holds the same key and the
//! same issuer and audience; errors never hold the key.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, Header};

use super::{HMAC_SECRET_BYTES_MIN, TOKEN_BYTES_MAX, wire::IssuedClaims};
use crate::{
    clock::Clock,
    config::{AuthKey, KeyMaterial},
    model::{Id, RealmId, SessionId, UserId},
};

/// What a minted token says.
#[derive(Debug, Clone)]
pub struct MintClaims {
    /// `sub`
    pub user: UserId,
    /// `realm`; the verifier's default realm when absent.
    pub realm: Option<RealmId>,
    /// `sid`
    pub session: Option<SessionId>,
    /// `channels`
    pub channels: Vec<Id>,
    /// `teams`
    pub teams: Vec<Id>,
    /// `workspaces`
    pub workspaces: Vec<Id>,
    /// `roles`
    pub roles: Vec<Id>,
    /// `profile`
    pub profile: Option<Arc<str>>,
    /// `name`
    pub name: Option<Arc<str>>,
    /// `iss`: give what `auth.issuer` says.
    pub issuer: Option<String>,
    /// `aud`: give what `auth.audience` says.
    pub audience: Option<String>,
    /// `exp` = now + this, in whole seconds.
    pub ttl: Duration,
}

impl MintClaims {
    /// Claims with nothing but a user and a lifetime.
    #[must_use]
    pub fn new(user: UserId, ttl: Duration) -> Self {
        Self {
            user,
            realm: None,
            session: None,
            channels: Vec::new(),
            teams: Vec::new(),
            workspaces: Vec::new(),
            roles: Vec::new(),
            profile: None,
            name: None,
            issuer: None,
            audience: None,
            ttl,
        }
    }
}

/// Why no token was made. The caller's fault, except for [`MintError::Signing`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// The key's algorithm is unknown, or not one of HMAC.
    #[error("only a key with an HMAC secret (HS256, HS384, HS512) can sign tokens")]
    NotHmac,
    /// The secret is too short to sign with.
    #[error("the secret has less than 32 bytes")]
    WeakSecret,
    /// The claims do not fit into a token.
    #[error("the token would be longer than 8 KiB")]
    TooLong,
    /// The library refused.
    #[error("the token could not be signed")]
    Signing,
}

/// Signs a token with an HMAC key; `iat` is the date of `clock`.
///
/// # Errors
///
/// [`MintError`] says what is wrong; no token exists then.
pub fn mint(key: &AuthKey, claims: &MintClaims, clock: &Clock) -> Result<String, MintError> {
    let algorithm: Algorithm = key.algorithm.parse().map_err(|_| MintError::NotHmac)?;
    let KeyMaterial::Secret(secret) = &key.material else {
        return Err(MintError::NotHmac);
    };
    if algorithm.family() != AlgorithmFamily::Hmac {
        return Err(MintError::NotHmac);
    }
    if secret.reveal().len() < HMAC_SECRET_BYTES_MIN {
        return Err(MintError::WeakSecret);
    }
    let mut header = Header::new(algorithm);
    header.kid.clone_from(&key.kid);
    let now = clock.now_seconds();
    let issued = IssuedClaims {
        sub: claims.user.as_str(),
        realm: claims.realm.as_ref().map_or(super::DEFAULT_REALM, Id::as_str),
        iat: now,
        exp: now.saturating_add(claims.ttl.as_secs()),
        iss: claims.issuer.as_deref(),
        aud: claims.audience.as_deref(),
        sid: claims.session.as_ref().map(Id::as_str),
        channels: texts(&claims.channels),
        teams: texts(&claims.teams),
        workspaces: texts(&claims.workspaces),
        roles: texts(&claims.roles),
        profile: claims.profile.as_deref(),
        name: claims.name.as_deref(),
    };
    let signing = EncodingKey::from_secret(secret.reveal().as_bytes());
    let token = jsonwebtoken::encode(&header, &issued, &signing).map_err(|_| MintError::Signing)?;
    if token.len() > TOKEN_BYTES_MAX { Err(MintError::TooLong) } else { Ok(token) }
}

fn texts(ids: &[Id]) -> Vec<&str> {
    ids.iter().map(Id::as_str).collect()
}
