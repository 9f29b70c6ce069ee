//! One key that tokens are checked with, and what makes a key too weak to load.
//!
//! Invariants: a [`Key`] that exists is pinned to one algorithm that fits it; an
//! HMAC secret has 32 bytes or more, an RSA modulus 2048 to 8192 bits and an odd
//! exponent of 3 or more, an elliptic key is of its algorithm's curve; a key of
//! a fetched set is never an HMAC secret.

use std::{fmt, path::Path};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, crypto,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk},
};

use super::{
    HMAC_SECRET_BYTES_MIN,
    error::{AuthError, KeyError, KeyProblem},
    wire::SetKey,
};
use crate::config::{AuthKey, KeyMaterial};

/// Longest file of a public key in bytes.
const PEM_BYTES_MAX: u64 = 64 * 1024;

/// A key and the one algorithm that it may be used with.
pub(super) struct Key {
    pub kid: Option<String>,
    pub algorithm: Algorithm,
    decoding: DecodingKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl Key {
    /// Checks `signature` (base64url) over `message`, in constant time for HMAC.
    pub(super) fn verify(&self, message: &[u8], signature: &str) -> Result<(), AuthError> {
        match crypto::verify(signature, message, &self.decoding, self.algorithm) {
            Ok(true) => Ok(()),
            Ok(false) => Err(AuthError::Signature),
            // The signature is not base64url: keys were proved usable when loaded.
            Err(_) => Err(AuthError::Malformed),
        }
    }

    /// Loads the key that the settings below `name` describe.
    pub(super) fn from_config(name: &str, key: &AuthKey) -> Result<Self, KeyError> {
        let error = |field: &str, problem| KeyError { key: format!("{name}.{field}"), problem };
        let algorithm: Algorithm =
            key.algorithm.parse().map_err(|_| error("algorithm", KeyProblem::Algorithm))?;
        let decoding = match &key.material {
            KeyMaterial::Secret(secret) => {
                from_secret(algorithm, secret.reveal()).map_err(|problem| error("secret", problem))
            }
            KeyMaterial::PublicKeyFile(path) => {
                from_file(algorithm, path).map_err(|problem| error("public_key_file", problem))
            }
        }?;
        Ok(Self { kid: key.kid.clone(), algorithm, decoding })
    }

    /// Loads a key of a fetched set; `None` when it is of a kind that signs no tokens.
    pub(super) fn from_set(key: SetKey) -> Result<Option<Self>, KeyProblem> {
        let signs = key.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && key.key_ops.as_ref().is_none_or(|all| all.iter().any(|one| one == "verify"));
        if !signs {
            return Ok(None);
        }
        let usual = match (key.kty.as_str(), key.crv.as_deref()) {
            ("RSA", _) => Algorithm::RS256,
            ("EC", Some("P-256")) => Algorithm::ES256,
            ("EC", Some("P-384")) => Algorithm::ES384,
            ("OKP", Some("Ed25519")) => Algorithm::EdDSA,
            // Other curves, and secrets: a secret that everybody can fetch is none.
            _ => return Ok(None),
        };
        let algorithm = match key.alg.as_deref() {
            None => usual,
            Some(name) => name.parse().map_err(|_| KeyProblem::Algorithm)?,
        };
        if algorithm.family() != usual.family() {
            return Err(KeyProblem::Mismatch);
        }
        let part = |text: &Option<String>| text.clone().ok_or(KeyProblem::NotPublicKey);
        let decoding = match algorithm.family() {
            AlgorithmFamily::Rsa => {
                DecodingKey::from_rsa_components(&part(&key.n)?, &part(&key.e)?)
            }
            AlgorithmFamily::Ec => DecodingKey::from_ec_components(&part(&key.x)?, &part(&key.y)?),
            AlgorithmFamily::Ed => DecodingKey::from_ed_components(&part(&key.x)?),
            AlgorithmFamily::Hmac => return Err(KeyProblem::Mismatch),
        }
        .map_err(|_| KeyProblem::NotPublicKey)?;
        check_public(&decoding, algorithm)?;
        Ok(Some(Self { kid: key.kid, algorithm, decoding }))
    }
}

fn from_secret(algorithm: Algorithm, secret: &str) -> Result<DecodingKey, KeyProblem> {
    if algorithm.family() != AlgorithmFamily::Hmac {
        return Err(KeyProblem::Mismatch);
    }
    if secret.len() < HMAC_SECRET_BYTES_MIN {
        return Err(KeyProblem::ShortSecret);
    }
    Ok(DecodingKey::from_secret(secret.as_bytes()))
}

fn from_file(algorithm: Algorithm, path: &Path) -> Result<DecodingKey, KeyProblem> {
    if algorithm.family() == AlgorithmFamily::Hmac {
        return Err(KeyProblem::Mismatch);
    }
    let unreadable = |error: std::io::Error| KeyProblem::Unreadable(error.kind());
    if std::fs::metadata(path).map_err(unreadable)?.len() > PEM_BYTES_MAX {
        return Err(KeyProblem::NotPublicKey);
    }
    let pem = std::fs::read(path).map_err(unreadable)?;
    from_pem(algorithm, &pem)
}

fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<DecodingKey, KeyProblem> {
    let text = std::str::from_utf8(pem).map_err(|_| KeyProblem::NotPublicKey)?;
    if text.contains("PRIVATE KEY-----") {
        return Err(KeyProblem::PrivateKey);
    }
    if text.matches("-----BEGIN ").count() != 1 || !text.contains("PUBLIC KEY-----") {
        return Err(KeyProblem::NotPublicKey);
    }
    let decoding = match algorithm.family() {
        AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem),
        AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem),
        AlgorithmFamily::Ed => DecodingKey::from_ed_pem(pem),
        AlgorithmFamily::Hmac => return Err(KeyProblem::Mismatch),
    }
    .map_err(|_| KeyProblem::NotPublicKey)?;
    check_public(&decoding, algorithm)?;
    Ok(decoding)
}

/// Refuses public keys that are weak or that `algorithm` cannot use.
fn check_public(key: &DecodingKey, algorithm: Algorithm) -> Result<(), KeyProblem> {
    if key.family() == AlgorithmFamily::Ed {
        let bytes = key.try_get_as_bytes().map_err(|_| KeyProblem::NotPublicKey)?;
        return if bytes.len() == 32 { Ok(()) } else { Err(KeyProblem::Curve) };
    }
    // The library reads no RSA key that is too small, and does not say why.
    let is_rsa = key.family() == AlgorithmFamily::Rsa;
    let problem = if is_rsa { KeyProblem::WeakRsa } else { KeyProblem::NotPublicKey };
    let parts = Jwk::from_decoding_key(key, Some(algorithm)).map_err(|_| problem)?;
    if let AlgorithmParameters::RSA(rsa) = &parts.algorithm {
        return check_rsa(&rsa.n, &rsa.e);
    }
    let AlgorithmParameters::EllipticCurve(point) = &parts.algorithm else {
        return Err(KeyProblem::NotPublicKey);
    };
    let fits = (point.curve == EllipticCurve::P256 && algorithm == Algorithm::ES256)
        || (point.curve == EllipticCurve::P384 && algorithm == Algorithm::ES384);
    if fits { Ok(()) } else { Err(KeyProblem::Curve) }
}

/// Both numbers are base64url of big-endian bytes.
fn check_rsa(modulus: &str, exponent: &str) -> Result<(), KeyProblem> {
    let number = |text: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyProblem::NotPublicKey)?;
        let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
        Ok(bytes.get(start..).unwrap_or_default().to_vec())
    };
    let modulus = number(modulus)?;
    let exponent = number(exponent)?;
    let leading = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = (modulus.len() * 8).saturating_sub(leading);
    let is_odd = |bytes: &[u8]| bytes.last().is_some_and(|byte| byte & 1 == 1);
    let sound = (2_048..=8_192).contains(&bits)
        && is_odd(&modulus)
        && is_odd(&exponent)
        && exponent != [1]
        && exponent.len() <= 4;
    if sound { Ok(()) } else { Err(KeyProblem::WeakRsa) }
}
