//! The JSON of tokens and key sets, as it stands on the wire.
//!
//! Invariants: a repeated member is an error; members that this server does not
//! use are ignored; claims stay raw here, so that the one that is wrong can be
//! named without quoting it.
//!
//! Not here: what the values must be (`claims`, `key`).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Reads a JSON object. A list is refused: serde would take its elements for the
/// members in order. The error is empty because the library's would quote the text.
pub(super) fn read_object<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, NotThatObject> {
    if !json.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
        return Err(NotThatObject);
    }
    serde_json::from_str(json).map_err(|_| NotThatObject)
}

/// The text is not JSON, not an object, or has members of the wrong types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotThatObject;

/// The claims of a token that this server issues.
#[derive(Debug, Serialize)]
pub(super) struct IssuedClaims<'a> {
    pub sub: &'a str,
    pub realm: &'a str,
    pub iat: u64,
    pub exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workspaces: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
}

/// The members of a token's header that decide. `jku`, `jwk`, `x5u` and `x5c` are
/// left out on purpose: a token never says where its key is.
#[derive(Deserialize)]
pub(super) struct TokenHeader<'a> {
    #[serde(borrow)]
    pub alg: Cow<'a, str>,
    #[serde(borrow, default)]
    pub kid: Option<Cow<'a, str>>,
    /// Present in encrypted tokens only.
    #[serde(borrow, default)]
    pub enc: Option<&'a RawValue>,
    /// Extensions that the reader must understand; this server knows none.
    #[serde(borrow, default)]
    pub crit: Option<&'a RawValue>,
}

/// The claims that this server reads.
#[derive(Deserialize)]
pub(super) struct RawClaims<'a> {
    #[serde(borrow, default)]
    pub sub: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub exp: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub nbf: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub iat: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub iss: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub aud: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub realm: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub sid: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub channels: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub teams: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub workspaces: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub roles: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub profile: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub name: Option<&'a RawValue>,
}

/// A text or a list of texts.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// A key set (RFC 7517 §5). Its keys stay raw, so that one bad key costs itself only.
#[derive(Deserialize)]
pub(super) struct KeySet<'a> {
    #[serde(borrow)]
    pub keys: Vec<&'a RawValue>,
}

/// The members of one public key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
#[derive(Deserialize)]
pub(super) struct SetKey {
    pub kty: String,
    #[serde(default)]
    pub kid: Option<String>,
    #[serde(default)]
    pub alg: Option<String>,
    #[serde(default, rename = "use")]
    pub purpose: Option<String>,
    #[serde(default)]
    pub key_ops: Option<Vec<String>>,
    #[serde(default)]
    pub crv: Option<String>,
    #[serde(default)]
    pub n: Option<String>,
    #[serde(default)]
    pub e: Option<String>,
    #[serde(default)]
    pub x: Option<String>,
    #[serde(default)]
    pub y: Option<String>,
}
