//! Goal: what is not exactly a signed token of a configured key is refused.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;

use super::{SECRET, claims, encode, good_token, hs256, id, sign_raw, verifier};
use crate::auth::AuthError;

async fn refused(token: &str) -> AuthError {
    verifier().verify(token).await.unwrap_err()
}

#[tokio::test]
async fn a_good_token_names_its_user() {
    let identity = verifier().verify(&good_token()).await.unwrap();
    assert_eq!(identity.user, id("alice"));
}

#[tokio::test]
async fn a01_unsigned_tokens_are_refused() {
    let signature = good_token().rsplit_once('.').unwrap().1.to_owned();
    for alg in ["none", "None", "nOnE", "NONE", "", "hs256", "HS256 ", "ES512", "RSA-OAEP"] {
        let message =
            format!("{}.{}", encode(json!({"alg": alg}).to_string()), encode(claims().to_string()));
        for signature in ["", "AA", &signature] {
            let error = refused(&format!("{message}.{signature}")).await;
            assert_eq!(error, AuthError::Algorithm, "alg {alg:?}, signature {signature:?}");
        }
    }
    let (message, _) = good_token().rsplit_once('.').map(|(a, b)| (a.to_owned(), b.len())).unwrap();
    assert_eq!(refused(&format!("{message}.")).await, AuthError::Signature);
    assert_eq!(refused(&message).await, AuthError::Malformed);
}

#[tokio::test]
async fn a03_hostile_key_names_select_nothing() {
    let long = "k".repeat(6_000);
    let names =
        ["../../dev/null", "' OR 1=1 --", "http://127.0.0.1/key", "a\u{0}b", "", "unknown", &long];
    for kid in names {
        let token = hs256(&json!({"alg": "HS256", "kid": kid}), &claims());
        assert_eq!(refused(&token).await, AuthError::UnknownKey, "kid {kid:?}");
    }
    let huge = hs256(&json!({"alg": "HS256", "kid": "k".repeat(1 << 20)}), &claims());
    assert_eq!(refused(&huge).await, AuthError::TooLong);
    for kid in [json!(1), json!(["k"]), json!({"kid": "k"})] {
        let token = hs256(&json!({"alg": "HS256", "kid": kid}), &claims());
        assert_eq!(refused(&token).await, AuthError::Malformed, "kid {kid}");
    }
}

#[tokio::test]
async fn a04_keys_inside_of_a_header_are_ignored() {
    let own = EncodingKey::from_secret(b"a-secret-of-an-attacker-0123456789-abc");
    let header = json!({
        "alg": "HS256", "jku": "http://127.0.0.1:1/jwks", "x5u": "http://127.0.0.1:1/x5u",
        "x5c": ["AAAA"], "x5t": "AAAA",
        "jwk": {"kty": "oct", "k": encode("a-secret-of-an-attacker-0123456789-abc")},
    });
    let forged =
        sign_raw(&header.to_string(), claims().to_string().as_bytes(), &own, Algorithm::HS256);
    assert_eq!(refused(&forged).await, AuthError::Signature);
    assert!(verifier().verify(&hs256(&header, &claims())).await.is_ok());
}

/// Signs `header` and `payload` as they are with the right key.
fn signed(header: &str, payload: impl AsRef<[u8]>) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    sign_raw(header, payload.as_ref(), &key, Algorithm::HS256)
}

/// Good claims with one more that nests `levels` deep inside of them.
fn deep(levels: usize) -> String {
    let mut claims = claims().to_string();
    claims.pop();
    format!("{claims},\"x\":{}1{}}}", "[".repeat(levels), "]".repeat(levels))
}

const PLAIN: &str = r#"{"alg":"HS256"}"#;

#[tokio::test]
async fn a11_tokens_of_a_wrong_size_or_shape_are_refused() {
    let good = good_token();
    let parts: Vec<&str> = good.split('.').collect();
    let fits = claims().to_string();
    let broken = format!("{}.{}\n.{}", parts[0], parts[1], parts[2]);
    let rows = [
        ("3 MB payload", signed(PLAIN, "x".repeat(3 << 20)), AuthError::TooLong),
        ("8 KiB and one byte", "x".repeat(8 * 1024 + 1), AuthError::TooLong),
        ("no part", String::new(), AuthError::Malformed),
        ("one part", "x".repeat(8 * 1024), AuthError::Malformed),
        ("four parts", format!("{good}.x"), AuthError::Malformed),
        ("five dots", format!("{good}..."), AuthError::Malformed),
        ("dots only", "..".to_owned(), AuthError::Malformed),
        ("encrypted, five parts", format!("{good}.x.x"), AuthError::Encrypted),
        ("encrypted", signed(r#"{"alg":"HS256","enc":"A256GCM"}"#, &fits), AuthError::Encrypted),
        ("critical", signed(r#"{"alg":"HS256","crit":["b64"]}"#, &fits), AuthError::Critical),
        ("padding", format!("{good}="), AuthError::Malformed),
        ("line break in the payload", broken, AuthError::Signature),
        ("line break in the header", format!("\n{good}"), AuthError::Malformed),
        ("line break at the end", format!("{good}\n"), AuthError::Malformed),
        ("other base64 alphabet", format!("{}+", &good[..good.len() - 1]), AuthError::Malformed),
    ];
    for (name, token, expected) in rows {
        assert_eq!(refused(&token).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a11_tokens_whose_json_is_not_what_it_must_be_are_refused() {
    let fits = claims().to_string();
    let twice = r#"{"sub":"alice","sub":"bob","exp":1767229200}"#;
    let rows = [
        ("deep claims", signed(PLAIN, deep(2_000))),
        ("claims one too deep", signed(PLAIN, deep(32))),
        ("deep header", signed(&deep(2_000), &fits)),
        ("header is a list", signed("[]", &fits)),
        ("header as a list of values", signed(r#"["HS256"]"#, &fits)),
        ("header without alg", signed("{}", &fits)),
        ("alg twice", signed(r#"{"alg":"HS256","alg":"HS256"}"#, &fits)),
        ("claims are no JSON", signed(PLAIN, "not json")),
        ("claims are empty", signed(PLAIN, "")),
        ("claims are a list", signed(PLAIN, "[1]")),
        ("claims as a list of values", signed(PLAIN, r#"["alice",1767229200]"#)),
        ("claims are not UTF-8", signed(PLAIN, b"{\"sub\":\"\xff\"}")),
        ("sub twice", signed(PLAIN, twice)),
        ("text after the claims", signed(PLAIN, format!("{fits}x"))),
    ];
    for (name, token) in rows {
        assert_eq!(refused(&token).await, AuthError::Malformed, "{name}");
    }
    assert!(verifier().verify(&signed(PLAIN, deep(31))).await.is_ok());
}

#[tokio::test]
async fn a14_signatures_of_another_length_or_with_one_changed_bit_are_refused() {
    let good = good_token();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    for length in [0, 1, 16, 31] {
        let token = format!("{message}.{}", encode(&bytes[..length]));
        assert_eq!(refused(&token).await, AuthError::Signature, "{length} bytes");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(refused(&format!("{message}.{}", encode(&longer))).await, AuthError::Signature);
    for index in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] ^= 1;
        let token = format!("{message}.{}", encode(&changed));
        assert_eq!(refused(&token).await, AuthError::Signature, "byte {index}");
    }
}

#[tokio::test]
async fn a_changed_claim_breaks_the_signature() {
    let good = good_token();
    let parts: Vec<&str> = good.split('.').collect();
    let other = encode(json!({"sub": "bob", "exp": super::NOW + 60}).to_string());
    let token = format!("{}.{other}.{}", parts[0], parts[2]);
    assert_eq!(refused(&token).await, AuthError::Signature);
}

proptest::proptest! {
    /// Whatever is sent, or done to a good token, is refused without a panic.
    #[test]
    fn a11_any_text_is_refused(
        text in "[A-Za-z0-9_.=-]{0,80}|.{0,80}",
        at in 0_usize..120,
        byte in 0x20_u8..0x7f,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let verifier = verifier();
        proptest::prop_assert!(runtime.block_on(verifier.verify(&text)).is_err());
        let good = good_token();
        let mut bytes = good.clone().into_bytes();
        bytes[at] = byte;
        let changed = String::from_utf8(bytes).unwrap();
        let verdict = runtime.block_on(verifier.verify(&changed));
        proptest::prop_assert_eq!(verdict.is_ok(), changed == good);
    }

    /// Claims of any form never panic, and prove nobody unless the required ones are there.
    #[test]
    fn a07_any_claims_are_judged(
        name in "sub|exp|nbf|iat|aud|roles|channels|name",
        value in "[0-9eE+.-]{1,24}|\"[^\"\\\\]{0,70}\"|\\[(null|1|\"a\")\\]|\\{\\}|null|true",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let token = signed(PLAIN, format!("{{\"{name}\":{value}}}"));
        proptest::prop_assert!(runtime.block_on(verifier().verify(&token)).is_err());
    }
}
