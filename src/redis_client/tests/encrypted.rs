//! TLS, with certificates made on the spot.

use redis::Value;

use super::INCREMENT;
use crate::{
    config::Secret,
    redis_client::{
        NO_ARGS, RedisClient, RedisError,
        testing::{Server, free_port, metrics},
    },
};

#[tokio::test]
async fn rediss_trusts_the_certificates_that_are_named_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let names = ["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names.clone()).unwrap();
    let other = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(path("cert"), made.cert.pem()).unwrap();
    std::fs::write(path("key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(path("other"), other.cert.pem()).unwrap();
    std::fs::write(path("none"), "no certificate").unwrap();
    let port = free_port().to_string();
    let (cert, key) = (path("cert"), path("key"));
    let args = ["--tls-port", &port, "--tls-cert-file", &cert, "--tls-key-file", &key];
    let server = Server::start_with(&[&args[..], &["--tls-auth-clients", "no"]].concat()).await;

    let client = |host: &str, ca: Option<&str>| {
        let mut config = server.config();
        config.urls = vec![Secret::new(&format!("rediss://{host}:{port}"))];
        config.tls_ca = ca.map(|name| path(name).into());
        RedisClient::new(&config, &metrics())
    };
    let trusting = client("localhost", Some("cert")).unwrap();
    assert_eq!(trusting.run(&INCREMENT, &["a"], &["1"]).await.unwrap(), Value::Int(1));
    let dedicated = trusting.dedicated("a", "publish");
    dedicated.ready().await;
    let answer = dedicated.run(&INCREMENT, &["a"], &["1"], None).await.unwrap();
    assert_eq!(answer.0, Value::Int(2));

    for (host, ca) in
        [("localhost", Some("other")), ("localhost", None), ("127.0.0.1", Some("cert"))]
    {
        let error = client(host, ca).unwrap().run(&INCREMENT, &["a"], NO_ARGS).await.unwrap_err();
        assert!(matches!(error, RedisError::Unavailable { .. }), "{host} {ca:?} {error:?}");
    }
    for (ca, says) in [("none", "none cannot be used"), ("gone", "gone cannot be used")] {
        let error = client("localhost", Some(ca)).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    assert_eq!(server.command(&["GET", "a"]).await, Value::BulkString(b"2".to_vec()));
}
