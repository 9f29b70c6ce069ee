//! The JSON of tokens and key sets, as it stands on the wire.
//!
//! Invariants: a repeated member is an error; members that this server does not
//! use are ignored; claims stay raw here, so that the one that is wrong can be
//! named without quoting it.
//!
//! Not here: what the values must be (`claims`, `key`).

use serde::Serialize;

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
