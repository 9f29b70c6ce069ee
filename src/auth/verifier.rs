//! Tokens in, identities out.
//!
//! A token is cut into its parts once; its header selects a key, the key's own
//! algorithm checks the signature, and only then are the claims read.
//!
//! Invariants:
//! - nothing is believed before the signature held, except which key to try;
//! - the date comes from the clock, so tests set it;
//! - a reload either takes effect as a whole or changes nothing.
//!
//! Not here: revocation (`model::Revocations` on what the log knows), limits on
//! failures (`limits`).

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use parking_lot::RwLock;

use super::{
    Jwks, TOKEN_BYTES_MAX, claims,
    error::{AuthError, KeyError, KeyProblem},
    key::Key,
    wire::{TokenHeader, read_object},
};
use crate::{clock::Clock, config, model::Identity};

/// Largest tolerance for clocks.
const LEEWAY_MAX: Duration = Duration::from_secs(60);

/// Longest name of a key that is worth a question to the key set, in bytes.
const KID_BYTES_MAX: usize = 256;

/// What tokens are checked against.
#[derive(Debug)]
pub(super) struct Rules {
    pub keys: Vec<Key>,
    pub issuer: Option<String>,
    pub audience: Option<String>,
    pub leeway_seconds: u64,
    pub max_lifetime_seconds: u64,
}

/// Checks tokens. One for a node, shared by all doors.
pub struct Verifier {
    rules: RwLock<Arc<Rules>>,
    jwks: Arc<Jwks>,
    clock: Clock,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Verifier")
            .field("rules", &*self.rules.read())
            .field("jwks", &self.jwks)
            .finish_non_exhaustive()
    }
}

/// A refusal, and whether a fresh key set could change it.
struct Refused {
    error: AuthError,
    may_be_new_key: bool,
}

impl From<AuthError> for Refused {
    fn from(error: AuthError) -> Self {
        Self { error, may_be_new_key: false }
    }
}

impl Verifier {
    /// Loads the keys of `auth`, reading the files of public keys.
    ///
    /// Without any key every token is refused.
    ///
    /// # Errors
    ///
    /// Every setting that cannot be used, each with its name.
    pub fn new(auth: &config::Auth, clock: Clock) -> Result<Self, Vec<KeyError>> {
        let (rules, source) = load(auth)?;
        let jwks = Arc::new(Jwks::new(source));
        Ok(Self { rules: RwLock::new(Arc::new(rules)), jwks, clock })
    }

    /// Replaces keys and rules. Tokens that are being checked see either the old or
    /// the new ones.
    ///
    /// # Errors
    ///
    /// As for [`Verifier::new`]; nothing has changed then.
    pub fn reload(&self, auth: &config::Auth) -> Result<(), Vec<KeyError>> {
        let (rules, source) = load(auth)?;
        *self.rules.write() = Arc::new(rules);
        self.jwks.replace_source(source);
        Ok(())
    }

    /// The fetched key set; its owner must drive [`Jwks::run`].
    #[must_use]
    pub fn jwks(&self) -> Arc<Jwks> {
        Arc::clone(&self.jwks)
    }

    /// Checks `token` and returns whom it proves.
    ///
    /// It waits only for a token whose key is unknown while a key set is configured:
    /// until a fresh set was fetched, less than 2 s, and not at all when the last
    /// fetch began less than 10 s ago.
    ///
    /// # Errors
    ///
    /// [`AuthError`] names the first rule that the token breaks.
    ///
    /// # Cancel safety
    ///
    /// Safe: a fetch that was asked for goes on for others.
    pub async fn verify(&self, token: &str) -> Result<Identity, AuthError> {
        match self.check(token) {
            Ok(identity) => Ok(identity),
            // Boxed, so that the usual way carries no room for the rare one.
            Err(Refused { may_be_new_key: true, .. }) if self.jwks.is_configured() => {
                Box::pin(self.verify_with_fresh_keys(token)).await
            }
            Err(refused) => Err(refused.error),
        }
    }

    async fn verify_with_fresh_keys(&self, token: &str) -> Result<Identity, AuthError> {
        self.jwks.refresh().await;
        self.check(token).map_err(|refused| refused.error)
    }

    fn check(&self, token: &str) -> Result<Identity, Refused> {
        let parts = Parts::split(token)?;
        let header = decode(parts.header)?;
        let (algorithm, kid) = read_header(&header)?;
        let rules = Arc::clone(&self.rules.read());
        let fetched = self.jwks.keys();
        check_signature(&parts, algorithm, kid.as_deref(), &[&rules.keys, &fetched])?;
        let payload = decode(parts.payload)?;
        Ok(claims::identity(&payload, &rules, self.clock.now_seconds())?)
    }
}

/// A token, cut at its dots.
struct Parts<'a> {
    /// Header and payload with the dot between them: what is signed.
    signed: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self, AuthError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::TooLong);
        }
        match token.bytes().filter(|byte| *byte == b'.').count() {
            2 => {}
            4 => return Err(AuthError::Encrypted),
            _ => return Err(AuthError::Malformed),
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(AuthError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(AuthError::Malformed)?;
        Ok(Self { signed, header, payload, signature })
    }
}

/// Strict base64url: no padding, no line breaks, no stray bits.
fn decode(part: &str) -> Result<Vec<u8>, AuthError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| AuthError::Malformed)
}

fn read_header(json: &[u8]) -> Result<(Algorithm, Option<String>), AuthError> {
    let text = std::str::from_utf8(json).map_err(|_| AuthError::Malformed)?;
    if claims::is_too_deep(json) {
        return Err(AuthError::Malformed);
    }
    let header: TokenHeader<'_> = read_object(text).map_err(|_| AuthError::Malformed)?;
    if header.enc.is_some() {
        return Err(AuthError::Encrypted);
    }
    if header.crit.is_some() {
        return Err(AuthError::Critical);
    }
    let algorithm = header.alg.parse().map_err(|_| AuthError::Algorithm)?;
    Ok((algorithm, header.kid.map(std::borrow::Cow::into_owned)))
}

fn check_signature(
    parts: &Parts<'_>,
    algorithm: Algorithm,
    kid: Option<&str>,
    sets: &[&[Key]; 2],
) -> Result<(), Refused> {
    // Secrets are never fetched, so no fresh set can help an HMAC token.
    let fetchable = algorithm.family() != AlgorithmFamily::Hmac;
    let mut keys = sets.iter().flat_map(|set| set.iter());
    let verify = |key: &Key| key.verify(parts.signed.as_bytes(), parts.signature);
    let Some(kid) = kid else {
        let mut refused = Refused { error: AuthError::UnknownKey, may_be_new_key: fetchable };
        for key in keys.filter(|key| key.algorithm == algorithm) {
            match verify(key) {
                Ok(()) => return Ok(()),
                Err(error) => refused = error.into(),
            }
        }
        return Err(refused);
    };
    match keys.find(|key| key.kid.as_deref() == Some(kid)) {
        Some(key) if key.algorithm == algorithm => Ok(verify(key)?),
        Some(_) => Err(AuthError::Algorithm.into()),
        None => {
            let is_name = kid.len() <= KID_BYTES_MAX && !kid.chars().any(char::is_control);
            let may_be_new_key = fetchable && is_name;
            Err(Refused { error: AuthError::UnknownKey, may_be_new_key })
        }
    }
}

fn load(auth: &config::Auth) -> Result<(Rules, Option<super::jwks::Source>), Vec<KeyError>> {
    let mut errors = Vec::new();
    let mut keys: Vec<Key> = Vec::with_capacity(auth.keys.len());
    let is_secret = |key: &config::AuthKey| {
        key.kid.is_none() && matches!(key.material, config::KeyMaterial::Secret(_))
    };
    let is_single = auth.keys.len() == 1 && auth.keys.iter().all(is_secret);
    for (index, key) in auth.keys.iter().enumerate() {
        // One nameless secret is `auth.secret`, all else is in the list.
        let name = if is_single { "auth".to_owned() } else { format!("auth.keys[{index}]") };
        match Key::from_config(&name, key) {
            Ok(key) if key.kid.is_some() && keys.iter().any(|other| other.kid == key.kid) => errors
                .push(KeyError { key: format!("{name}.kid"), problem: KeyProblem::DuplicateKid }),
            Ok(key) => keys.push(key),
            Err(error) => errors.push(error),
        }
    }
    if auth.leeway > LEEWAY_MAX {
        errors.push(KeyError { key: "auth.leeway".to_owned(), problem: KeyProblem::Leeway });
    }
    let source = auth.jwks_url.as_deref().map(super::jwks::Source::new).transpose();
    let source = source.unwrap_or_else(|problem| {
        errors.push(KeyError { key: "auth.jwks_url".to_owned(), problem });
        None
    });
    if !errors.is_empty() {
        return Err(errors);
    }
    let rules = Rules {
        keys,
        issuer: auth.issuer.clone(),
        audience: auth.audience.clone(),
        leeway_seconds: auth.leeway.as_secs(),
        max_lifetime_seconds: auth.max_lifetime.as_secs(),
    };
    Ok((rules, source))
}
