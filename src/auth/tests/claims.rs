//! Goal: claims are typed, in range, and become the identity that they describe.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{NOW, SECRET, auth, claims_with, clock, hmac_key, hs256, id, verifier};
use crate::{
    auth::{AuthError, MintClaims, Verifier, mint},
    model::{Identity, Topic},
};

async fn verdict(changes: &Value) -> Result<Identity, AuthError> {
    verifier().verify(&hs256(&json!({"alg": "HS256"}), &claims_with(changes))).await
}

#[tokio::test]
async fn a07_required_claims_are_typed() {
    let exp = AuthError::Claim("exp");
    let rows = [
        (json!({"exp": (NOW + 60).to_string()}), exp),
        (json!({"exp": (NOW + 60) as f64 + 0.5}), exp),
        (json!({"exp": -1}), exp),
        (json!({"exp": 1_u64 << 63}), exp),
        (json!({"exp": 1_u64 << 53}), exp),
        (json!({"exp": 1e300}), exp),
        (json!({"exp": true}), exp),
        (json!({"exp": [NOW + 60]}), exp),
        (json!({"exp": null}), AuthError::Missing("exp")),
        (json!({"sub": null}), AuthError::Missing("sub")),
        (json!({"sub": 7}), AuthError::Claim("sub")),
        (json!({"sub": ""}), AuthError::Claim("sub")),
        (json!({"sub": "a b"}), AuthError::Claim("sub")),
        (json!({"sub": "a".repeat(65)}), AuthError::Claim("sub")),
        (json!({"nbf": (NOW + 3_600).to_string()}), AuthError::Claim("nbf")),
        (json!({"nbf": -5}), AuthError::Claim("nbf")),
        (json!({"nbf": NOW + 31}), AuthError::NotYet),
        (json!({"iat": NOW + 31}), AuthError::IssuedInFuture),
        (json!({"iat": "now"}), AuthError::Claim("iat")),
        (json!({"iat": 1_u64 << 53}), AuthError::Claim("iat")),
    ];
    for (changes, expected) in rows {
        assert_eq!(verdict(&changes).await, Err(expected), "{changes}");
    }
    for changes in [json!({"nbf": NOW + 30}), json!({"iat": NOW + 30}), json!({"iat": null})] {
        assert!(verdict(&changes).await.is_ok(), "{changes}");
    }
}

#[tokio::test]
async fn a08_the_lifetime_has_two_ends() {
    let day = 24 * 3_600;
    let rows = [
        (NOW - 31, Err(AuthError::Expired)),
        (NOW - 30, Err(AuthError::Expired)),
        (NOW - 29, Ok(NOW + 1)),
        (NOW - 1, Ok(NOW + 29)),
        (NOW + 30, Ok(NOW + 60)),
        (NOW + day, Ok(NOW + day + 30)),
        (NOW + day + 31, Err(AuthError::Lifetime)),
        (253_402_300_799, Err(AuthError::Lifetime)),
        (0, Err(AuthError::Expired)),
    ];
    for (exp, expected) in rows {
        let found = verdict(&json!({ "exp": exp })).await.map(|identity| identity.expires_at);
        assert_eq!(found, expected, "exp {exp}");
    }
}

#[tokio::test]
async fn a08_a_leeway_over_a_minute_is_refused_at_load() {
    let mut auth = auth(vec![hmac_key(None, "HS256", SECRET)]);
    auth.leeway = Duration::from_secs(61);
    let errors = Verifier::new(&auth, clock()).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].key, "auth.leeway");
}

#[tokio::test]
async fn a08_a_token_ends_when_the_clock_says_so() {
    let clock = clock();
    let auth = auth(vec![hmac_key(None, "HS256", SECRET)]);
    let verifier = Verifier::new(&auth, clock.clone()).unwrap();
    let token = hs256(&json!({"alg": "HS256"}), &claims_with(&json!({"exp": NOW + 10})));
    clock.advance(Duration::from_secs(39));
    assert!(verifier.verify(&token).await.is_ok());
    clock.advance(Duration::from_secs(1));
    assert_eq!(verifier.verify(&token).await, Err(AuthError::Expired));
}

#[tokio::test]
async fn a09_issuer_and_audience_match_exactly() {
    let mut auth = auth(vec![hmac_key(None, "HS256", SECRET)]);
    auth.issuer = Some("https://issuer.example".to_owned());
    auth.audience = Some("hubbub".to_owned());
    let verifier = Verifier::new(&auth, clock()).unwrap();
    let iss = "https://issuer.example";
    let among = |count: usize| {
        let mut all: Vec<String> = (1..count).map(|number| format!("other-{number}")).collect();
        all.push("hubbub".to_owned());
        json!(all)
    };
    let rows = [
        (json!({"iss": iss, "aud": "hubbub"}), Ok(())),
        (json!({"iss": iss, "aud": ["hubbub"]}), Ok(())),
        (json!({"iss": iss, "aud": among(16)}), Ok(())),
        (json!({"iss": iss, "aud": among(17)}), Err(AuthError::Claim("aud"))),
        (json!({"iss": iss, "aud": among(300)}), Err(AuthError::Claim("aud"))),
        (json!({"iss": iss, "aud": []}), Err(AuthError::Audience)),
        (json!({"iss": iss, "aud": "hubbub2"}), Err(AuthError::Audience)),
        (json!({"iss": iss, "aud": "Hubbub"}), Err(AuthError::Audience)),
        (json!({"iss": iss}), Err(AuthError::Missing("aud"))),
        (json!({"iss": iss, "aud": 7}), Err(AuthError::Claim("aud"))),
        (json!({"iss": iss, "aud": ["hubbub", 7]}), Err(AuthError::Claim("aud"))),
        (json!({"iss": iss, "aud": {"hubbub": true}}), Err(AuthError::Claim("aud"))),
        (json!({"aud": "hubbub"}), Err(AuthError::Missing("iss"))),
        (json!({"iss": 7, "aud": "hubbub"}), Err(AuthError::Claim("iss"))),
        (json!({"iss": format!("{iss}.evil"), "aud": "hubbub"}), Err(AuthError::Issuer)),
        (json!({"iss": format!("{iss}/"), "aud": "hubbub"}), Err(AuthError::Issuer)),
        (json!({"iss": "https://issuer", "aud": "hubbub"}), Err(AuthError::Issuer)),
    ];
    for (changes, expected) in rows {
        let token = hs256(&json!({"alg": "HS256"}), &claims_with(&changes));
        assert_eq!(verifier.verify(&token).await.map(drop), expected, "{changes}");
    }
}

#[tokio::test]
async fn claims_become_an_identity() {
    let changes = json!({
        "realm": "acme", "sid": "s1", "roles": ["admin", "guest"], "name": "Alice Ä.",
        "profile": "standard", "channels": ["town-square", "random", "town-square"],
        "teams": ["main"], "workspaces": ["ws-common"], "email": "ignored@example.org",
    });
    let expected = Identity {
        realm: id("acme"),
        user: id("alice"),
        session: Some(id("s1")),
        issued_at: Some(NOW),
        expires_at: NOW + 3_630,
        roles: vec![id("admin"), id("guest")],
        name: Some(Arc::from("Alice Ä.")),
        profile: Some(Arc::from("standard")),
        seeds: vec![
            Topic::Channel(id("town-square")),
            Topic::Channel(id("random")),
            Topic::Team(id("main")),
            Topic::Workspace(id("ws-common")),
        ],
    };
    assert_eq!(verdict(&changes).await, Ok(expected));
    let bare = verdict(&json!({"iat": null, "name": ""})).await.unwrap();
    assert_eq!(bare.realm, id("default"));
    assert_eq!((bare.session, bare.issued_at, bare.name), (None, None, None));
    assert_eq!((bare.roles, bare.seeds), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn roles_are_a_list_or_separated_by_commas() {
    let both = vec![id("admin"), id("guest")];
    let rows = [
        (json!(["admin", "guest"]), Ok(both.clone())),
        (json!("admin,guest"), Ok(both.clone())),
        (json!(" admin , guest ,"), Ok(both)),
        (json!(""), Ok(Vec::new())),
        (json!([]), Ok(Vec::new())),
        (json!("system admin"), Err(AuthError::Claim("roles"))),
        (json!(["admin", ""]), Err(AuthError::Claim("roles"))),
        (json!(7), Err(AuthError::Claim("roles"))),
    ];
    for (roles, expected) in rows {
        let found = verdict(&json!({ "roles": roles })).await.map(|identity| identity.roles);
        assert_eq!(found, expected, "{roles}");
    }
}

#[tokio::test]
async fn optional_claims_are_typed_too() {
    let rows = [
        ("realm", json!("../other")),
        ("realm", json!("")),
        ("realm", json!(7)),
        ("sid", json!("a\nb")),
        ("sid", json!(["s1"])),
        ("channels", json!("town-square")),
        ("channels", json!(["ok", "not ok"])),
        ("channels", json!(["ok", 7])),
        ("channels", json!({"town-square": true})),
        ("teams", json!([""])),
        ("workspaces", json!([null])),
        ("name", json!("a\u{7}b")),
        ("name", json!("n".repeat(257))),
        ("name", json!(["Alice"])),
        ("profile", json!(7)),
    ];
    for (name, value) in rows {
        let found = verdict(&json!({ name: value })).await;
        assert_eq!(found, Err(AuthError::Claim(name)), "{name}: {value}");
    }
}

#[tokio::test]
async fn a_minted_token_is_taken() {
    let key = hmac_key(Some("own"), "HS512", SECRET);
    let mut auth = auth(vec![key.clone()]);
    auth.issuer = Some("https://issuer.example".to_owned());
    auth.audience = Some("hubbub".to_owned());
    let mut claims = MintClaims::new(id("bob"), auth.max_lifetime);
    claims.issuer.clone_from(&auth.issuer);
    claims.audience.clone_from(&auth.audience);
    claims.realm = Some(id("acme"));
    claims.workspaces = vec![id("ws-common")];
    let token = mint(&key, &claims, &clock()).unwrap();
    let identity = Verifier::new(&auth, clock()).unwrap().verify(&token).await.unwrap();
    assert_eq!((identity.user, identity.realm), (id("bob"), id("acme")));
    assert_eq!(identity.issued_at, Some(NOW));
    assert_eq!(identity.seeds, [Topic::Workspace(id("ws-common"))]);
}
