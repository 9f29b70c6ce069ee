//! Goal: minted tokens say what was asked, and only sound HMAC keys mint.

use std::{path::PathBuf, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{NOW, SECRET, clock, hmac_key, id};
use crate::{
    auth::{MintClaims, MintError, mint},
    config::{AuthKey, KeyMaterial},
};

fn part(token: &str, index: usize) -> serde_json::Value {
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn a_minted_token_says_what_was_asked() {
    let mut claims = MintClaims::new(id("alice"), Duration::from_secs(3_600));
    claims.session = Some(id("s1"));
    claims.channels = vec![id("town-square"), id("random")];
    claims.roles = vec![id("admin")];
    claims.name = Some("Alice".into());
    let token = mint(&hmac_key(Some("k1"), "HS384", SECRET), &claims, &clock()).unwrap();
    let header = serde_json::json!({"typ": "JWT", "alg": "HS384", "kid": "k1"});
    assert_eq!(part(&token, 0), header);
    let payload = serde_json::json!({
        "sub": "alice", "realm": "default", "iat": NOW, "exp": NOW + 3_600, "sid": "s1",
        "channels": ["town-square", "random"], "roles": ["admin"], "name": "Alice",
    });
    assert_eq!(part(&token, 1), payload);
}

#[test]
fn only_sound_hmac_keys_mint() {
    let public_key = |algorithm: &str| AuthKey {
        kid: None,
        algorithm: algorithm.to_owned(),
        material: KeyMaterial::PublicKeyFile(PathBuf::from("key.pem")),
    };
    let claims = MintClaims::new(id("alice"), Duration::from_secs(60));
    let rows = [
        (hmac_key(None, "RS256", SECRET), MintError::NotHmac),
        (hmac_key(None, "none", SECRET), MintError::NotHmac),
        (public_key("HS256"), MintError::NotHmac),
        (public_key("ES256"), MintError::NotHmac),
        (hmac_key(None, "HS256", "31-bytes-are-one-byte-too-short"), MintError::WeakSecret),
    ];
    for (key, expected) in rows {
        assert_eq!(mint(&key, &claims, &clock()), Err(expected), "{key:?}");
    }
}

#[test]
fn a_token_that_no_node_would_take_is_not_minted() {
    let mut claims = MintClaims::new(id("alice"), Duration::from_secs(60));
    claims.channels = (0..2_000).map(|number| id(&format!("channel-{number}"))).collect();
    let minted = mint(&hmac_key(None, "HS256", SECRET), &claims, &clock());
    assert_eq!(minted, Err(MintError::TooLong));
}
