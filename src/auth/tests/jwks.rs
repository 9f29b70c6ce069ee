//! Goal: keys come from one address only, at a bounded rate and size, and what goes
//! wrong there costs no key that is known.
//!
//! Method: a small server on the loopback address. Its clock is the real one, apart
//! from jumps over the time between two fetches.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    Pair, auth, claims, clock, ed_pair,
    issuer::{Answer, Issuer, key_set, response},
    p256_pair, rsa_pair, sign,
};
use crate::{
    auth::{AuthError, Verifier},
    config,
};

/// A verifier whose key set is kept fresh until it is dropped.
struct Running {
    verifier: Arc<Verifier>,
    _tasks: JoinSet<()>,
}

fn run(url: &str) -> Running {
    let verifier = Arc::new(Verifier::new(&settings(url), clock()).unwrap());
    let mut tasks = JoinSet::new();
    let jwks = verifier.jwks();
    tasks.spawn(async move { jwks.run(CancellationToken::new()).await });
    Running { verifier, _tasks: tasks }
}

fn settings(url: &str) -> config::Auth {
    let mut auth = auth(Vec::new());
    auth.jwks_url = Some(url.to_owned());
    auth
}

fn named(pair: &Pair, kid: &str) -> Value {
    let mut key = pair.jwk.clone();
    key["kid"] = Value::from(kid);
    key
}

fn token(pair: &Pair, algorithm: Algorithm, kid: &str) -> String {
    let header = json!({"alg": format!("{algorithm:?}"), "kid": kid});
    sign(&header, &claims(), &pair.encoding, algorithm)
}

impl Running {
    async fn verdict(&self, token: &str) -> Result<(), AuthError> {
        self.verifier.verify(token).await.map(drop)
    }
}

/// Lets the shortest time between two fetches pass, without waiting for it.
async fn pass_the_gate() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn keys_of_each_family_are_fetched_and_used() {
    let (rsa, p256, ed) = (rsa_pair(), p256_pair(), ed_pair());
    let mut pss = named(&rsa, "pss");
    pss["alg"] = Value::from("PS256");
    let keys = [named(&rsa, "rsa"), pss, named(&p256, "ec"), named(&ed, "ed")];
    let issuer = Issuer::start(key_set(&keys)).await;
    let running = run(&issuer.url());
    let rows = [
        (&rsa, Algorithm::RS256, "rsa", Ok(())),
        (&rsa, Algorithm::PS256, "pss", Ok(())),
        (&p256, Algorithm::ES256, "ec", Ok(())),
        (&ed, Algorithm::EdDSA, "ed", Ok(())),
        (&rsa, Algorithm::PS256, "rsa", Err(AuthError::Algorithm)),
        (&p256, Algorithm::ES256, "ed", Err(AuthError::Algorithm)),
        (&p256_pair(), Algorithm::ES256, "ec", Err(AuthError::Signature)),
        (&p256, Algorithm::ES256, "unknown", Err(AuthError::UnknownKey)),
    ];
    for (pair, algorithm, kid, expected) in rows {
        let found = running.verdict(&token(pair, algorithm, kid)).await;
        assert_eq!(found, expected, "{kid} {algorithm:?}");
    }
    let nameless = sign(&json!({"alg": "ES256"}), &claims(), &p256.encoding, Algorithm::ES256);
    assert_eq!(running.verdict(&nameless).await, Ok(()));
    assert_eq!(issuer.requests(), 1);
}

#[tokio::test]
async fn a03_unknown_keys_cause_one_fetch_in_ten_seconds() {
    let (known, stranger) = (p256_pair(), p256_pair());
    let issuer = Issuer::start(key_set(&[named(&known, "known")])).await;
    let running = run(&issuer.url());
    assert_eq!(running.verdict(&token(&known, Algorithm::ES256, "known")).await, Ok(()));
    // Signed once: the name of the key is looked at before the signature.
    let forged = token(&stranger, Algorithm::ES256, "unknown");
    for _ in 0..10_000 {
        assert_eq!(running.verdict(&forged).await, Err(AuthError::UnknownKey));
    }
    assert_eq!(issuer.requests(), 1);
    pass_the_gate().await;
    for _ in 0..100 {
        assert_eq!(running.verdict(&forged).await, Err(AuthError::UnknownKey));
    }
    assert_eq!(issuer.requests(), 2);
}

#[tokio::test]
async fn a03_names_that_no_key_can_have_cause_no_fetch() {
    let known = p256_pair();
    let issuer = Issuer::start(key_set(&[named(&known, "known")])).await;
    let running = run(&issuer.url());
    assert_eq!(running.verdict(&token(&known, Algorithm::ES256, "known")).await, Ok(()));
    pass_the_gate().await;
    for kid in ["a\u{0}b", &"k".repeat(257)] {
        let found = running.verdict(&token(&known, Algorithm::ES256, kid)).await;
        assert_eq!(found, Err(AuthError::UnknownKey), "{kid:?}");
    }
    assert_eq!(running.verdict(&super::good_token()).await, Err(AuthError::UnknownKey));
    assert_eq!(issuer.requests(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_and_a_withdrawn_one_ends() {
    let (old, new) = (p256_pair(), p256_pair());
    let issuer = Issuer::start(key_set(&[named(&old, "old")])).await;
    let running = run(&issuer.url());
    assert_eq!(running.verdict(&token(&old, Algorithm::ES256, "old")).await, Ok(()));
    issuer.answer_with(key_set(&[named(&new, "new")]));
    pass_the_gate().await;
    assert_eq!(running.verdict(&token(&new, Algorithm::ES256, "new")).await, Ok(()));
    let found = running.verdict(&token(&old, Algorithm::ES256, "old")).await;
    assert_eq!(found, Err(AuthError::UnknownKey));
}

#[tokio::test]
async fn a06_nothing_in_a_token_makes_the_node_connect() {
    let known = p256_pair();
    let trap = Issuer::start(key_set(&[named(&known, "trap")])).await;
    let issuer = Issuer::start(key_set(&[named(&known, "known")])).await;
    let running = run(&issuer.url());
    assert_eq!(running.verdict(&token(&known, Algorithm::ES256, "known")).await, Ok(()));
    pass_the_gate().await;
    let address = trap.url();
    for kid in ["known", "trap", &address] {
        let header = json!({"alg": "ES256", "kid": kid, "jku": address, "x5u": address});
        let claims = json!({
            "iss": address, "aud": address, "sub": "alice", "exp": super::NOW + 60,
        });
        let forged = sign(&header, &claims, &p256_pair().encoding, Algorithm::ES256);
        assert!(running.verdict(&forged).await.is_err());
    }
    assert_eq!(trap.requests(), 0);
    assert!(issuer.requests() <= 2);
}

#[tokio::test]
async fn a24_answers_that_break_a_rule_change_nothing() {
    let (known, other) = (p256_pair(), p256_pair());
    let elsewhere = Issuer::start(key_set(&[named(&other, "other")])).await;
    let many: Vec<Value> = (0..65).map(|n| named(&other, &format!("other-{n}"))).collect();
    let set = json!({"keys": [named(&other, "other")]}).to_string();
    let redirect = |target: &str| response("302 Found", &format!("Location: {target}\r\n"), "");
    let rows = [
        ("50 MB", Answer::Flood(50 << 20)),
        ("257 KiB", response("200 OK", "", &format!("{set}{}", " ".repeat(257 * 1024)))),
        ("65 keys", key_set(&many)),
        ("redirect to another host", redirect(&elsewhere.url())),
        ("redirect to a file", redirect("file:///etc/passwd")),
        ("error", response("500 Internal Server Error", "", &set)),
        ("no JSON", response("200 OK", "", "<html>")),
        ("no keys member", response("200 OK", "", "{}")),
        ("no keys", response("200 OK", "", r#"{"keys":[]}"#)),
        ("no usable key", key_set(&[json!({"kty": "oct", "kid": "other", "k": "AAAA"})])),
        ("no HTTP", Answer::Bytes(b"SSH-2.0-x\r\n".to_vec())),
        ("nothing", Answer::Bytes(Vec::new())),
    ];
    let issuer = Issuer::start(key_set(&[named(&known, "known")])).await;
    let running = run(&issuer.url());
    let good = token(&known, Algorithm::ES256, "known");
    assert_eq!(running.verdict(&good).await, Ok(()));
    let unknown = token(&other, Algorithm::ES256, "other");
    for (count, (name, answer)) in rows.into_iter().enumerate() {
        issuer.answer_with(answer);
        pass_the_gate().await;
        assert_eq!(running.verdict(&unknown).await, Err(AuthError::UnknownKey), "{name}");
        assert_eq!(issuer.requests(), count + 2, "{name}");
        assert_eq!(running.verdict(&good).await, Ok(()), "{name}");
    }
    assert_eq!(elsewhere.requests(), 0);
    issuer.answer_with(key_set(&[named(&other, "other")]));
    pass_the_gate().await;
    assert_eq!(running.verdict(&unknown).await, Ok(()));
}

#[tokio::test]
async fn a24_sixty_four_keys_and_weak_ones_among_them_are_taken() {
    let known = p256_pair();
    let mut keys: Vec<Value> = (0..61).map(|n| named(&known, &format!("key-{n}"))).collect();
    keys.push(json!({"kty": "RSA", "kid": "weak", "n": "AQAB", "e": "AQ"}));
    keys.push(json!({"kty": 7}));
    keys.push(named(&known, "last"));
    let issuer = Issuer::start(key_set(&keys)).await;
    let running = run(&issuer.url());
    assert_eq!(running.verdict(&token(&known, Algorithm::ES256, "last")).await, Ok(()));
    let weak = running.verdict(&token(&rsa_pair(), Algorithm::RS256, "weak")).await;
    assert_eq!(weak, Err(AuthError::UnknownKey));
}

/// Method: with paused time, the clock jumps to the next timer whenever all wait.
#[tokio::test(start_paused = true)]
async fn a24_a_silent_issuer_delays_a_login_by_less_than_two_seconds() {
    let issuer = Issuer::start(Answer::Silence).await;
    let running = run(&issuer.url());
    let begin = tokio::time::Instant::now();
    let found = running.verdict(&token(&p256_pair(), Algorithm::ES256, "unknown")).await;
    assert_eq!(found, Err(AuthError::UnknownKey));
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a24_a_certificate_that_nobody_vouches_for_is_refused() {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key =
        tokio_rustls::rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der())
            .unwrap();
    let tls = tokio_rustls::rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    let (seen, mut handshakes) = tokio::sync::mpsc::channel(8);
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            seen.send(acceptor.accept(stream).await.is_ok()).await.unwrap();
        }
    });
    let running = run(&format!("https://localhost:{port}/jwks.json"));
    let found = running.verdict(&token(&p256_pair(), Algorithm::ES256, "unknown")).await;
    assert_eq!(found, Err(AuthError::UnknownKey));
    assert_eq!(handshakes.recv().await, Some(false));
}

#[tokio::test]
async fn a24_only_safe_addresses_are_taken() {
    let rows = [
        ("https://issuer.example/jwks", true),
        ("https://issuer.example:8443/jwks?x=1", true),
        ("http://127.0.0.1:9/jwks", true),
        ("http://[::1]:9/jwks", true),
        ("http://localhost:9/jwks", true),
        ("http://issuer.example/jwks", false),
        ("http://169.254.169.254/latest", false),
        ("http://127.0.0.1.evil.example/jwks", false),
        ("http://10.0.0.1/jwks", false),
        ("https://user:password@issuer.example/jwks", false),
        ("https://user@issuer.example/jwks", false),
        ("file:///etc/passwd", false),
        ("ftp://issuer.example/jwks", false),
        ("issuer.example/jwks", false),
        ("", false),
    ];
    for (url, expected) in rows {
        let loaded = Verifier::new(&settings(url), clock());
        assert_eq!(loaded.is_ok(), expected, "{url}");
        if let Err(errors) = loaded {
            assert_eq!(errors[0].key, "auth.jwks_url", "{url}");
        }
    }
}

#[tokio::test]
async fn another_address_brings_other_keys() {
    let (first, second) = (p256_pair(), p256_pair());
    let old = Issuer::start(key_set(&[named(&first, "first")])).await;
    let new = Issuer::start(key_set(&[named(&second, "second")])).await;
    let running = run(&old.url());
    assert_eq!(running.verdict(&token(&first, Algorithm::ES256, "first")).await, Ok(()));
    running.verifier.reload(&settings(&old.url())).unwrap();
    assert_eq!(running.verdict(&token(&first, Algorithm::ES256, "first")).await, Ok(()));
    assert_eq!(old.requests(), 1);
    running.verifier.reload(&settings(&new.url())).unwrap();
    assert_eq!(running.verdict(&token(&second, Algorithm::ES256, "second")).await, Ok(()));
    let found = running.verdict(&token(&first, Algorithm::ES256, "first")).await;
    assert_eq!(found, Err(AuthError::UnknownKey));
    assert_eq!(old.requests(), 1);
}

#[tokio::test]
async fn the_usual_way_is_a_small_future() {
    let verifier = super::verifier();
    let token = super::good_token();
    let future = verifier.verify(&token);
    assert!(size_of_val(&future) <= 256, "{}", size_of_val(&future));
    assert!(future.await.is_ok());
}
