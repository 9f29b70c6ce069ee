//! Goal: every supported algorithm works with its own key, and with no other; weak
//! keys are not loaded.

use std::path::PathBuf;

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::{
    Pair, SECRET, auth, claims, clock, ed_pair, encode, file_key, hmac_key, p256_pair, p384_pair,
    pem, rsa_pair, sign,
};
use crate::{
    auth::{AuthError, KeyError, KeyProblem, Verifier, key::Key, wire::SetKey},
    config::AuthKey,
};

/// A folder that is removed at the end, with one file for each text.
fn files<const COUNT: usize>(texts: [&str; COUNT]) -> (tempfile::TempDir, [PathBuf; COUNT]) {
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    let paths = texts.map(|text| {
        number += 1;
        let path = folder.path().join(format!("{number}.pem"));
        std::fs::write(&path, text).unwrap();
        path
    });
    (folder, paths)
}

fn token(pair: &Pair, algorithm: Algorithm, kid: Option<&str>) -> String {
    let mut header = json!({"alg": format!("{algorithm:?}")});
    if let Some(kid) = kid {
        header["kid"] = Value::from(kid);
    }
    sign(&header, &claims(), &pair.encoding, algorithm)
}

async fn verdict(keys: Vec<AuthKey>, token: &str) -> Result<(), AuthError> {
    Verifier::new(&auth(keys), clock()).unwrap().verify(token).await.map(drop)
}

#[tokio::test]
async fn every_algorithm_works_with_its_own_key() {
    for (name, algorithm) in
        [("HS256", Algorithm::HS256), ("HS384", Algorithm::HS384), ("HS512", Algorithm::HS512)]
    {
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let token = sign(&json!({"alg": name}), &claims(), &key, algorithm);
        assert_eq!(verdict(vec![hmac_key(None, name, SECRET)], &token).await, Ok(()), "{name}");
    }
    let (rsa, p256, p384, ed) = (rsa_pair(), p256_pair(), p384_pair(), ed_pair());
    let rows = [
        ("RS256", Algorithm::RS256, &rsa),
        ("RS384", Algorithm::RS384, &rsa),
        ("RS512", Algorithm::RS512, &rsa),
        ("PS256", Algorithm::PS256, &rsa),
        ("PS384", Algorithm::PS384, &rsa),
        ("PS512", Algorithm::PS512, &rsa),
        ("ES256", Algorithm::ES256, &p256),
        ("ES384", Algorithm::ES384, &p384),
        ("EdDSA", Algorithm::EdDSA, &ed),
    ];
    for (name, algorithm, pair) in rows {
        let (_folder, [path]) = files([&pair.public_pem]);
        let keys = || vec![file_key(None, name, path.clone())];
        let token = token(pair, algorithm, None);
        assert_eq!(verdict(keys(), &token).await, Ok(()), "{name}");
        let (message, _) = token.rsplit_once('.').unwrap();
        let zeros = format!("{message}.{}", encode([0; 64]));
        assert_eq!(verdict(keys(), &zeros).await, Err(AuthError::Signature), "{name}, zeros");
    }
}

#[tokio::test]
async fn a02_a_public_key_is_never_an_hmac_secret() {
    let rsa = rsa_pair();
    let (_folder, [path]) = files([&rsa.public_pem]);
    for kid in [None, Some("rsa")] {
        for secret in [rsa.public_pem.as_str(), rsa.public_pem.trim_end()] {
            let mut header = json!({"alg": "HS256"});
            if let Some(kid) = kid {
                header["kid"] = Value::from(kid);
            }
            let key = EncodingKey::from_secret(secret.as_bytes());
            let forged = sign(&header, &claims(), &key, Algorithm::HS256);
            let keys = vec![file_key(kid, "RS256", path.clone())];
            let expected = if kid.is_some() { AuthError::Algorithm } else { AuthError::UnknownKey };
            assert_eq!(verdict(keys, &forged).await, Err(expected));
        }
    }
}

#[tokio::test]
async fn a02_an_algorithm_of_the_same_family_is_refused_too() {
    let rsa = rsa_pair();
    let (_folder, [path]) = files([&rsa.public_pem]);
    let keys = || vec![file_key(Some("k"), "RS256", path.clone())];
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
        let token = token(&rsa, algorithm, Some("k"));
        assert_eq!(verdict(keys(), &token).await, Err(AuthError::Algorithm), "{algorithm:?}");
    }
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = sign(&json!({"alg": "HS512"}), &claims(), &key, Algorithm::HS512);
    let keys = vec![hmac_key(None, "HS256", SECRET)];
    assert_eq!(verdict(keys, &token).await, Err(AuthError::UnknownKey));
}

#[tokio::test]
async fn a_kid_selects_exactly_one_key() {
    let (old, new) = (p256_pair(), p256_pair());
    let (_folder, [old_path, new_path]) = files([&old.public_pem, &new.public_pem]);
    let keys = || {
        vec![
            file_key(Some("old"), "ES256", old_path.clone()),
            file_key(Some("new"), "ES256", new_path.clone()),
            hmac_key(None, "HS256", SECRET),
        ]
    };
    let rows = [
        (&old, Some("old"), Ok(())),
        (&new, Some("new"), Ok(())),
        (&old, Some("new"), Err(AuthError::Signature)),
        (&old, Some("OLD"), Err(AuthError::UnknownKey)),
        // Without a name every key of the algorithm is tried.
        (&old, None, Ok(())),
        (&new, None, Ok(())),
        (&p256_pair(), None, Err(AuthError::Signature)),
    ];
    for (pair, kid, expected) in rows {
        let token = token(pair, Algorithm::ES256, kid);
        assert_eq!(verdict(keys(), &token).await, expected, "{kid:?}");
    }
}

fn load_errors(keys: Vec<AuthKey>) -> Vec<(String, KeyProblem)> {
    let errors = Verifier::new(&auth(keys), clock()).unwrap_err();
    errors.into_iter().map(|KeyError { key, problem }| (key, problem)).collect()
}

#[test]
fn a12_short_secrets_are_not_loaded() {
    for secret in ["", "short", "31-bytes-are-one-byte-too-short"] {
        let found = load_errors(vec![hmac_key(None, "HS256", secret)]);
        assert_eq!(found, [("auth.secret".to_owned(), KeyProblem::ShortSecret)], "{secret:?}");
    }
    let keys = vec![hmac_key(None, "HS256", "32-bytes-are-just-long-enough-ok")];
    assert!(Verifier::new(&auth(keys), clock()).is_ok());
}

#[test]
fn a13_public_keys_that_do_not_fit_are_not_loaded() {
    let (rsa, p256, ed) = (rsa_pair(), p256_pair(), ed_pair());
    let certificate = pem("CERTIFICATE", b"x");
    let two = format!("{}{}", p256.public_pem, p256.public_pem);
    let (folder, [rsa_path, p256_path, private, garbage, certificate, two, weak]) = files([
        &rsa.public_pem,
        &p256.public_pem,
        &rsa.private_pem,
        "not a key",
        &certificate,
        &two,
        &pem("RSA PUBLIC KEY", &rsa_der(1_024, &[1, 0, 1])),
    ]);
    let (_ed_folder, [ed_path, ec_private]) = files([&ed.public_pem, &p256.private_pem]);
    let missing = KeyProblem::Unreadable(std::io::ErrorKind::NotFound);
    let rows = [
        ("RS256", private, KeyProblem::PrivateKey),
        ("ES256", ec_private, KeyProblem::PrivateKey),
        ("RS256", garbage, KeyProblem::NotPublicKey),
        ("RS256", certificate, KeyProblem::NotPublicKey),
        ("ES256", two, KeyProblem::NotPublicKey),
        ("RS256", folder.path().join("absent.pem"), missing),
        ("ES384", p256_path.clone(), KeyProblem::Curve),
        ("ES256", rsa_path.clone(), KeyProblem::NotPublicKey),
        ("RS256", p256_path.clone(), KeyProblem::NotPublicKey),
        ("EdDSA", p256_path, KeyProblem::NotPublicKey),
        ("RS256", ed_path, KeyProblem::NotPublicKey),
        ("HS256", rsa_path, KeyProblem::Mismatch),
        ("RS256", weak, KeyProblem::WeakRsa),
    ];
    for (algorithm, path, problem) in rows {
        let found = load_errors(vec![file_key(None, algorithm, path.clone())]);
        let expected = [("auth.keys[0].public_key_file".to_owned(), problem)];
        assert_eq!(found, expected, "{algorithm} {path:?}");
    }
}

/// PKCS#1: a sequence of modulus and exponent.
fn rsa_der(bits: usize, exponent: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let mut der = vec![2, 0x82];
        der.extend(u16::try_from(bytes.len() + 1).unwrap().to_be_bytes());
        der.push(0);
        der.extend(bytes);
        der
    };
    let body = [integer(&vec![0xff; bits / 8]), integer(exponent)].concat();
    let mut der = vec![0x30, 0x82];
    der.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    der.extend(body);
    der
}

#[test]
fn a13_weak_and_foreign_keys_of_a_set_are_not_loaded() {
    let modulus = |bits: usize| encode(vec![0xff; bits / 8]);
    let three = encode([3]);
    let rsa = |n: String, e: &str| json!({"kty": "RSA", "kid": "k", "n": n, "e": e});
    let with = |mut key: Value, name: &str, value: &str| {
        key[name] = Value::from(value);
        key
    };
    let p256 = p256_pair().jwk;
    let even = encode([vec![0xff; 255], vec![0xfe]].concat());
    let weak = Err(KeyProblem::WeakRsa);
    let rows = [
        ("sound RSA", rsa(modulus(2_048), &three), Ok(true)),
        ("512 bits", rsa(modulus(512), &three), weak.clone()),
        ("2040 bits", rsa(modulus(2_040), &three), weak.clone()),
        (
            "2048 bits, 1536 of them zero",
            { rsa(encode([vec![0; 192], vec![0xff; 64]].concat()), &three) },
            weak.clone(),
        ),
        ("16384 bits", rsa(modulus(16_384), &three), weak.clone()),
        ("even modulus", rsa(even, &three), weak.clone()),
        ("e = 1", rsa(modulus(2_048), &encode([1])), weak.clone()),
        ("e = 0", rsa(modulus(2_048), &encode([0])), weak.clone()),
        ("e = 01 with zeros", rsa(modulus(2_048), &encode([0, 0, 1])), weak.clone()),
        ("even e", rsa(modulus(2_048), &encode([2])), weak.clone()),
        ("huge e", rsa(modulus(2_048), &encode([3; 64])), weak),
        ("no n", json!({"kty": "RSA", "e": "AQAB"}), Err(KeyProblem::NotPublicKey)),
        ("n is no base64", rsa("!".to_owned(), &three), Err(KeyProblem::NotPublicKey)),
        ("RSA as HS256", with(rsa(modulus(2_048), &three), "alg", "HS256"), {
            Err(KeyProblem::Mismatch)
        }),
        ("RSA as ES256", with(rsa(modulus(2_048), &three), "alg", "ES256"), {
            Err(KeyProblem::Mismatch)
        }),
        ("unknown alg", with(p256.clone(), "alg", "ES512"), Err(KeyProblem::Algorithm)),
        ("P-256", p256.clone(), Ok(true)),
        ("P-256 as ES384", with(p256.clone(), "alg", "ES384"), Err(KeyProblem::Curve)),
        ("short point", with(p256.clone(), "y", "AAAA"), Err(KeyProblem::NotPublicKey)),
        ("P-256 point called P-384", with(p256.clone(), "crv", "P-384"), Err(KeyProblem::Curve)),
        ("unknown curve", with(p256.clone(), "crv", "P-521"), Ok(false)),
        ("for encryption", with(p256.clone(), "use", "enc"), Ok(false)),
        ("P-384", p384_pair().jwk, Ok(true)),
        ("Ed25519", ed_pair().jwk, Ok(true)),
        ("short Ed25519", with(ed_pair().jwk, "x", "AAAA"), Err(KeyProblem::Curve)),
        ("a secret", json!({"kty": "oct", "alg": "HS256", "k": encode(SECRET)}), Ok(false)),
    ];
    for (name, key, expected) in rows {
        let key: SetKey = serde_json::from_value(key).unwrap();
        assert_eq!(Key::from_set(key).map(|key| key.is_some()), expected, "{name}");
    }
}

#[test]
fn every_wrong_setting_is_named_at_once() {
    let mut auth = auth(vec![
        hmac_key(Some("a"), "HS256", SECRET),
        hmac_key(Some("b"), "HS999", SECRET),
        hmac_key(Some("a"), "HS512", SECRET),
        hmac_key(Some("c"), "RS256", SECRET),
        hmac_key(Some("d"), "HS256", "short"),
    ]);
    auth.leeway = std::time::Duration::from_secs(61);
    auth.jwks_url = Some("http://keys.example/jwks".to_owned());
    let errors = Verifier::new(&auth, clock()).unwrap_err();
    let names: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
    let expected = [
        "auth.keys[1].algorithm",
        "auth.keys[2].kid",
        "auth.keys[3].secret",
        "auth.keys[4].secret",
        "auth.leeway",
        "auth.jwks_url",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn a_reload_takes_effect_as_a_whole_or_changes_nothing() {
    let verifier = super::verifier();
    let old = super::good_token();
    let bad = auth(vec![hmac_key(None, "HS256", "short")]);
    assert!(verifier.reload(&bad).is_err());
    assert!(verifier.verify(&old).await.is_ok());
    let other = "another-secret-0123456789-abcdefghijkl";
    verifier.reload(&auth(vec![hmac_key(None, "HS256", other)])).unwrap();
    assert_eq!(verifier.verify(&old).await, Err(AuthError::Signature));
    let key = EncodingKey::from_secret(other.as_bytes());
    let new = sign(&json!({"alg": "HS256"}), &claims(), &key, Algorithm::HS256);
    assert!(verifier.verify(&new).await.is_ok());
}
