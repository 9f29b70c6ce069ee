//! Goal: s17, nothing that may be printed holds a token or a secret.
//!
//! Method: canaries in secret, key and token; then every error and every `Debug`.

use serde_json::json;

use super::{SECRET, auth, claims_with, clock, good_token, hmac_key, hs256, rsa_pair, verifier};
use crate::{
    auth::{
        ApiKeys, AuthError, MintClaims, Verifier, api_key_from_headers, mint, token_from_headers,
    },
    config::{ApiKey, Secret},
};

const CANARY: &str = "canary";

fn check(shown: &str) {
    assert!(!shown.contains(CANARY), "{shown}");
    let token = good_token();
    for part in token.split('.') {
        assert!(!shown.contains(part), "{shown}");
    }
}

#[tokio::test]
async fn s17_errors_of_tokens_quote_nothing() {
    let header = json!({"alg": "HS256"});
    let mut tokens = vec![
        good_token().replace('.', "canary"),
        format!("{}canary", good_token()),
        hs256(&json!({"alg": "canary"}), &claims_with(&json!({}))),
        hs256(&json!({"alg": "HS256", "kid": "canary"}), &claims_with(&json!({}))),
        hs256(&json!({"canary": "HS256"}), &claims_with(&json!({}))),
    ];
    for name in [
        "sub",
        "exp",
        "nbf",
        "iat",
        "aud",
        "iss",
        "realm",
        "sid",
        "channels",
        "teams",
        "workspaces",
        "roles",
        "profile",
        "name",
    ] {
        for value in [json!("canary \u{7}"), json!({"canary": "canary"}), json!([["canary"]])] {
            tokens.push(hs256(&header, &claims_with(&json!({ name: value }))));
        }
    }
    let mut refused = 0;
    for token in tokens {
        if let Err(error) = verifier().verify(&token).await {
            refused += 1;
            check(&format!("{error} {error:?} {}", error.label()));
            assert!(AuthError::LABELS.contains(&error.label()), "{error:?}");
        }
    }
    assert!(refused > 40, "{refused}");
}

#[test]
fn s17_debug_output_shows_no_secret() {
    let keys = [ApiKey { name: "a".into(), key: Secret::new("canary-key"), realms: vec![] }];
    let api_keys = ApiKeys::new(&keys);
    check(&format!("{:?} {api_keys:?} {:?}", keys, api_keys.find("canary-key")));
    check(&format!("{:?}", verifier()));
    let token = good_token();
    let line = format!("Bearer {token}");
    let lines = [("authorization", line.as_bytes())];
    let found = token_from_headers(lines, "MMAUTHTOKEN").unwrap();
    assert_eq!(found.token, token);
    check(&format!("{found:?}"));
    assert_eq!(api_key_from_headers(lines), Some(token.as_str()));
}

#[test]
fn s17_errors_of_keys_quote_no_key() {
    let pair = rsa_pair();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    std::fs::write(&path, &pair.private_pem).unwrap();
    let mut auth = auth(vec![
        hmac_key(Some("a"), "HS256", "canary"),
        hmac_key(Some("b"), "canary", SECRET),
        hmac_key(Some("c"), "RS256", SECRET),
        super::file_key(Some("d"), "RS256", path),
    ]);
    auth.jwks_url = Some("https://user:canary@keys.example/".to_owned());
    let errors = Verifier::new(&auth, clock()).unwrap_err();
    assert_eq!(errors.len(), 5);
    for error in errors {
        let shown = format!("{error} {error:?}");
        check(&shown);
        assert!(!pair.private_pem.lines().any(|line| shown.contains(line)), "{shown}");
    }
    let claims = MintClaims::new(super::id("alice"), std::time::Duration::from_secs(60));
    let error = mint(&hmac_key(None, "HS256", "canary"), &claims, &clock()).unwrap_err();
    check(&format!("{error} {error:?}"));
}
