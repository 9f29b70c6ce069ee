//! `auth.*`: which tokens are believed.
//!
//! Not here: how a token is checked (`auth`).

use std::{path::PathBuf, time::Duration};

use super::Secret;

/// `auth.*`
#[derive(Debug, Clone)]
pub struct Auth {
    /// Keys that sign tokens: `[[auth.keys]]` in the order of the file, then `auth.secret`.
    pub keys: Vec<AuthKey>,
    /// Where to fetch more keys.
    pub jwks_url: Option<String>,
    /// Required issuer.
    pub issuer: Option<String>,
    /// Required audience.
    pub audience: Option<String>,
    /// Name of the cookie that may carry a token; empty turns cookies off.
    pub cookie: String,
    /// Tolerance for clocks.
    pub leeway: Duration,
    /// Farthest `exp` that is accepted.
    pub max_lifetime: Duration,
}

impl Auth {
    /// The key that this node signs tokens with: `auth.secret`, else the first HMAC key
    /// of the list; `None` when others sign.
    #[must_use]
    pub fn signing_key(&self) -> Option<&AuthKey> {
        let is_secret = |key: &&AuthKey| matches!(key.material, KeyMaterial::Secret(_));
        let single = self.keys.last().filter(|key| key.kid.is_none()).filter(is_secret);
        single.or_else(|| self.keys.iter().find(is_secret))
    }
}

/// One key that signs tokens.
#[derive(Debug, Clone)]
pub struct AuthKey {
    /// Tokens that name a `kid` are checked with the key of that name only.
    pub kid: Option<String>,
    /// Pinned algorithm, such as `HS256`.
    pub algorithm: String,
    /// The key.
    pub material: KeyMaterial,
}

/// What a signing key is made of.
#[derive(Debug, Clone)]
pub enum KeyMaterial {
    /// HMAC secret.
    Secret(Secret),
    /// PEM file of a public key.
    PublicKeyFile(PathBuf),
}
