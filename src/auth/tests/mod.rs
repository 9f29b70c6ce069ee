//! Goal: a token proves an identity only when every rule holds, and nothing that
//! is said about it later gives it away.
//!
//! Method: tables whose names begin with the row of the catalogue of bad input.

mod mint;

use std::time::Duration;

use crate::{
    clock::Clock,
    config::{AuthKey, KeyMaterial, Secret},
    model::Id,
};

/// The date of every test: 2026-01-01.
const NOW: u64 = 1_767_225_600;

/// A secret that must never be seen in any output.
const SECRET: &str = "canary-secret-0123456789-abcdefghijkl";

fn clock() -> Clock {
    Clock::manual(Duration::from_secs(NOW))
}

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

fn hmac_key(kid: Option<&str>, algorithm: &str, secret: &str) -> AuthKey {
    AuthKey {
        kid: kid.map(str::to_owned),
        algorithm: algorithm.to_owned(),
        material: KeyMaterial::Secret(Secret::new(secret)),
    }
}
