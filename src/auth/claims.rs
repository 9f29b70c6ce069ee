//! From the claims of a signed token to an identity.
//!
//! Invariants: every claim that is read is typed, none is guessed from another
//! type; every id was parsed; the date comes from the caller.
//!
//! Not here: signatures (`key`), revocation (`model::Revocations`).

use std::sync::Arc;

use indexmap::IndexSet;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    DEFAULT_REALM,
    error::AuthError,
    verifier::Rules,
    wire::{OneOrMany, RawClaims, read_object},
};
use crate::model::{Id, Identity, Topic, UnixSeconds};

/// Largest number that every JSON reader holds exactly.
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// Most values of `aud`.
const AUDIENCES_MAX: usize = 16;

/// Longest `name` and `profile` in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// Deepest nesting of a token's JSON.
const DEPTH_MAX: usize = 32;

/// Checks the claims in `payload` at the date `now`.
pub(super) fn identity(
    payload: &[u8],
    rules: &Rules,
    now: UnixSeconds,
) -> Result<Identity, AuthError> {
    let text = std::str::from_utf8(payload).map_err(|_| AuthError::Malformed)?;
    if is_too_deep(payload) {
        return Err(AuthError::Malformed);
    }
    let claims: RawClaims<'_> = read_object(text).map_err(|_| AuthError::Malformed)?;
    let (issued_at, expires_at) = check_times(&claims, rules, now)?;
    check_origin(&claims, rules)?;
    let user = id(claims.sub, "sub")?.ok_or(AuthError::Missing("sub"))?;
    let realm = match id(claims.realm, "realm")? {
        Some(realm) => realm,
        None => Id::parse(DEFAULT_REALM).map_err(|_| AuthError::Claim("realm"))?,
    };
    Ok(Identity {
        realm,
        user,
        session: id(claims.sid, "sid")?,
        issued_at,
        expires_at,
        roles: roles(claims.roles)?,
        name: label(claims.name, "name")?,
        profile: label(claims.profile, "profile")?,
        seeds: seeds(&claims)?,
    })
}

/// The time of issue, and the end with the leeway included.
fn check_times(
    claims: &RawClaims<'_>,
    rules: &Rules,
    now: UnixSeconds,
) -> Result<(Option<UnixSeconds>, UnixSeconds), AuthError> {
    let exp = date(claims.exp, "exp")?.ok_or(AuthError::Missing("exp"))?;
    let nbf = date(claims.nbf, "nbf")?;
    let iat = date(claims.iat, "iat")?;
    let expires_at = exp.saturating_add(rules.leeway_seconds);
    let latest_now = now.saturating_add(rules.leeway_seconds);
    if now >= expires_at {
        return Err(AuthError::Expired);
    }
    // The issuer's clock may be ahead of ours by the leeway.
    if exp > latest_now.saturating_add(rules.max_lifetime_seconds) {
        return Err(AuthError::Lifetime);
    }
    if nbf.is_some_and(|begin| begin > latest_now) {
        return Err(AuthError::NotYet);
    }
    if iat.is_some_and(|issued| issued > latest_now) {
        return Err(AuthError::IssuedInFuture);
    }
    Ok((iat, expires_at))
}

fn check_origin(claims: &RawClaims<'_>, rules: &Rules) -> Result<(), AuthError> {
    let issuer: Option<String> = typed(claims.iss, "iss")?;
    let audience: Option<OneOrMany> = typed(claims.aud, "aud")?;
    if let Some(required) = &rules.issuer {
        let issuer = issuer.ok_or(AuthError::Missing("iss"))?;
        if issuer != *required {
            return Err(AuthError::Issuer);
        }
    }
    if let Some(required) = &rules.audience {
        let audiences = match audience.ok_or(AuthError::Missing("aud"))? {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        };
        if audiences.len() > AUDIENCES_MAX {
            return Err(AuthError::Claim("aud"));
        }
        if !audiences.contains(required) {
            return Err(AuthError::Audience);
        }
    }
    Ok(())
}

fn seeds(claims: &RawClaims<'_>) -> Result<Vec<Topic>, AuthError> {
    let mut seeds = IndexSet::<Topic, foldhash::fast::FixedState>::default();
    for id in ids(claims.channels, "channels")? {
        seeds.insert(Topic::Channel(id));
    }
    for id in ids(claims.teams, "teams")? {
        seeds.insert(Topic::Team(id));
    }
    for id in ids(claims.workspaces, "workspaces")? {
        seeds.insert(Topic::Workspace(id));
    }
    Ok(seeds.into_iter().collect())
}

fn ids(raw: Option<&RawValue>, name: &'static str) -> Result<Vec<Id>, AuthError> {
    let texts: Vec<String> = typed(raw, name)?.unwrap_or_default();
    texts.iter().map(|text| parse(text, name)).collect()
}

fn roles(raw: Option<&RawValue>) -> Result<Vec<Id>, AuthError> {
    let texts = match typed(raw, "roles")? {
        None => Vec::new(),
        Some(OneOrMany::Many(many)) => many,
        Some(OneOrMany::One(one)) => {
            let parts = one.split(',').map(str::trim);
            parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
        }
    };
    texts.iter().map(|text| parse(text, "roles")).collect()
}

/// A text for people: bounded and on one line. Empty means none.
fn label(raw: Option<&RawValue>, name: &'static str) -> Result<Option<Arc<str>>, AuthError> {
    let Some(text) = typed::<String>(raw, name)? else {
        return Ok(None);
    };
    if text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(AuthError::Claim(name));
    }
    Ok((!text.is_empty()).then(|| Arc::from(text)))
}

fn date(raw: Option<&RawValue>, name: &'static str) -> Result<Option<UnixSeconds>, AuthError> {
    let seconds: Option<u64> = typed(raw, name)?;
    if seconds.is_some_and(|seconds| seconds > NUMBER_MAX) {
        return Err(AuthError::Claim(name));
    }
    Ok(seconds)
}

fn id(raw: Option<&RawValue>, name: &'static str) -> Result<Option<Id>, AuthError> {
    typed::<String>(raw, name)?.map(|text| parse(&text, name)).transpose()
}

fn parse(text: &str, name: &'static str) -> Result<Id, AuthError> {
    Id::parse(text).map_err(|_| AuthError::Claim(name))
}

fn typed<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    name: &'static str,
) -> Result<Option<T>, AuthError> {
    // The library's message would quote the value: it stays here.
    raw.map(|raw| serde_json::from_str(raw.get())).transpose().map_err(|_| AuthError::Claim(name))
}

/// True when `json` nests deeper than [`DEPTH_MAX`]. It looks at brackets outside
/// of strings only: whether they match is the parser's business.
pub(super) fn is_too_deep(json: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in json {
        if in_string {
            in_string = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}
