//! Who a token or an API key stands for.
//!
//! Invariants: an algorithm is pinned by its key and never taken from a token;
//! nothing that a token says makes this node connect anywhere; no error, log line
//! or `Debug` output holds a token or a secret.
//!
//! Not here: what an identity may do (`node`), limits on failures (`limits`).

mod api_keys;
mod claims;
mod error;
mod jwks;
mod key;
mod mint;
mod token;
mod verifier;
mod wire;

pub use api_keys::{ApiCaller, ApiKeys};
pub use error::{AuthError, KeyError, KeyProblem};
pub use jwks::Jwks;
pub use mint::{MintClaims, MintError, mint};
pub use token::{TokenSource, api_key_from_headers, token_from_headers};
pub use verifier::Verifier;

/// Longest token in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Shortest HMAC secret in bytes.
pub const HMAC_SECRET_BYTES_MIN: usize = 32;

/// The realm of tokens that name none.
pub const DEFAULT_REALM: &str = "default";

#[cfg(test)]
mod tests;
