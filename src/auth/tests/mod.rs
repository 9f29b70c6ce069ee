//! Goal: a token proves an identity only when every rule holds, and nothing that
//! is said about it later gives it away.
//!
//! Method: tables whose names begin with the row of the catalogue of bad input.
//! Tokens are put together by hand, so that they can be wrong in every way.

mod claims;
mod doors;
mod issuer;
mod jwks;
mod keys;
mod mint;
mod secrecy;
mod shape;

use std::{path::PathBuf, time::Duration};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    signature::KeyPair as _,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

use super::Verifier;
use crate::{
    clock::Clock,
    config::{Auth, AuthKey, KeyMaterial, Secret},
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

fn file_key(kid: Option<&str>, algorithm: &str, path: PathBuf) -> AuthKey {
    AuthKey {
        kid: kid.map(str::to_owned),
        algorithm: algorithm.to_owned(),
        material: KeyMaterial::PublicKeyFile(path),
    }
}

fn auth(keys: Vec<AuthKey>) -> Auth {
    Auth {
        keys,
        jwks_url: None,
        issuer: None,
        audience: None,
        cookie: "MMAUTHTOKEN".to_owned(),
        leeway: Duration::from_secs(30),
        max_lifetime: Duration::from_secs(24 * 3_600),
    }
}

/// A verifier with the one HMAC key [`SECRET`].
fn verifier() -> Verifier {
    Verifier::new(&auth(vec![hmac_key(None, "HS256", SECRET)]), clock()).unwrap()
}

fn claims() -> Value {
    json!({"sub": "alice", "iat": NOW, "exp": NOW + 3_600})
}

/// `claims` with `changes` on top; a null takes a claim away.
fn claims_with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn encode(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

/// Signs header and payload as they are: neither need be what a library would make.
fn sign_raw(header: &str, payload: &[u8], key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", encode(header), encode(payload));
    let signature = crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn sign(header: &Value, claims: &Value, key: &EncodingKey, algorithm: Algorithm) -> String {
    sign_raw(&header.to_string(), claims.to_string().as_bytes(), key, algorithm)
}

/// A token of [`SECRET`].
fn hs256(header: &Value, claims: &Value) -> String {
    sign(header, claims, &EncodingKey::from_secret(SECRET.as_bytes()), Algorithm::HS256)
}

fn good_token() -> String {
    hs256(&json!({"alg": "HS256", "typ": "JWT"}), &claims())
}

/// A key pair of one of the public-key families.
struct Pair {
    encoding: EncodingKey,
    public_pem: String,
    private_pem: String,
    /// Public part for a key set, without `kid` and `alg`.
    jwk: Value,
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

fn rsa_pair() -> Pair {
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let private_pem = pem("PRIVATE KEY", pkcs8.as_ref());
    let public = pair.public_key();
    let n = encode(public.modulus().big_endian_without_leading_zero());
    let e = encode(public.exponent().big_endian_without_leading_zero());
    Pair {
        encoding: EncodingKey::from_rsa_pem(private_pem.as_bytes()).unwrap(),
        public_pem: pem("RSA PUBLIC KEY", public.as_ref()),
        private_pem,
        jwk: json!({"kty": "RSA", "n": n, "e": e}),
    }
}

fn ec_pair(kind: &'static rcgen::SignatureAlgorithm, curve: &str) -> Pair {
    let pair = rcgen::KeyPair::generate_for(kind).unwrap();
    let private_pem = pair.serialize_pem();
    let point = pair.public_key_raw();
    let (x, y) = point[1..].split_at(point.len() / 2);
    Pair {
        encoding: EncodingKey::from_ec_pem(private_pem.as_bytes()).unwrap(),
        public_pem: pair.public_key_pem(),
        private_pem,
        jwk: json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)}),
    }
}

fn p256_pair() -> Pair {
    ec_pair(&rcgen::PKCS_ECDSA_P256_SHA256, "P-256")
}

fn p384_pair() -> Pair {
    ec_pair(&rcgen::PKCS_ECDSA_P384_SHA384, "P-384")
}

fn ed_pair() -> Pair {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let private_pem = pair.serialize_pem();
    Pair {
        encoding: EncodingKey::from_ed_pem(private_pem.as_bytes()).unwrap(),
        public_pem: pair.public_key_pem(),
        private_pem,
        jwk: json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key_raw())}),
    }
}
