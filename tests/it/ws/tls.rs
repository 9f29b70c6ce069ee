//! TLS: what is accepted, readable errors, and renewal while sockets are open.

use std::{path::Path, sync::Arc};

use hubbub::{
    config::TlsFiles,
    ws::{Tls, TlsError},
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore, SupportedProtocolVersion,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName},
        version::{TLS12, TLS13},
    },
};

use super::{
    client::{Client, frame, request},
    echo::{Rules, Server},
};

/// A certificate and its key, as PEM and for a client to trust.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
    trusted: CertificateDer<'static>,
}

pub(crate) fn pair() -> Pair {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    Pair {
        certificate: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
        trusted: made.cert.der().clone(),
    }
}

pub(crate) fn files(folder: &TempDir) -> TlsFiles {
    TlsFiles {
        certificate: folder.path().join("certificate.pem"),
        key: folder.path().join("key.pem"),
    }
}

pub(crate) fn write(files: &TlsFiles, certificate: &str, key: &str) {
    std::fs::write(&files.certificate, certificate).unwrap();
    std::fs::write(&files.key, key).unwrap();
}

pub(crate) fn trust(
    pair: &Pair,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(pair.trusted.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn connect(
    server: &Server,
    connector: &TlsConnector,
) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(server.address).await.unwrap();
    connector.connect(ServerName::try_from("localhost").unwrap(), socket).await
}

async fn open(server: &Server, connector: &TlsConnector) -> Client<TlsStream<TcpStream>> {
    let mut client = Client::over(connect(server, connector).await.unwrap());
    client.send(request(server.address, &[]).as_bytes()).await;
    let head = client.head().await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    client
}

async fn echoes(client: &mut Client<TlsStream<TcpStream>>) {
    client.send(&frame(0x81, b"hello")).await;
    assert_eq!(client.frame().await.unwrap().payload, b"hello");
}

#[tokio::test]
async fn sockets_work_over_tls_1_2_and_1_3_and_end_cleanly() {
    let folder = TempDir::new().unwrap();
    let (files, pair) = (files(&folder), pair());
    write(&files, &pair.certificate, &pair.key);
    let server = Server::start(Rules::echo(), Some(Tls::open(&files).unwrap())).await;
    for version in [&TLS12, &TLS13] {
        for alpn in [&[][..], &["http/1.1"], &["h2", "http/1.1"]] {
            let connector = trust(&pair, &[version], alpn);
            let mut client = open(&server, &connector).await;
            echoes(&mut client).await;
            client.send(&frame(0x88, b"\x03\xe8")).await;
            // A missing close_notify would be an error of the read, not its end.
            assert_eq!(client.closed().await.0, 1000);
        }
    }
}

#[tokio::test]
async fn h23_a_peer_without_tls_or_with_http_2_only_is_refused() {
    let folder = TempDir::new().unwrap();
    let (files, pair) = (files(&folder), pair());
    write(&files, &pair.certificate, &pair.key);
    let server = Server::start(Rules::echo(), Some(Tls::open(&files).unwrap())).await;

    assert!(connect(&server, &trust(&pair, &[&TLS13], &["h2"])).await.is_err());

    let mut plain = Client::connect(server.address).await;
    plain.send(request(server.address, &[]).as_bytes()).await;
    let rest = plain.rest().await;
    assert!(!rest.starts_with(b"HTTP"), "{rest:?}");

    let mut client = open(&server, &trust(&pair, &[&TLS13], &[])).await;
    echoes(&mut client).await;
}

#[tokio::test]
async fn a_renewed_certificate_serves_new_sockets_and_open_ones_go_on() {
    let folder = TempDir::new().unwrap();
    let (files, old, new) = (files(&folder), pair(), pair());
    write(&files, &old.certificate, &old.key);
    let tls = Tls::open(&files).unwrap();
    let server = Server::start(Rules::echo(), Some(tls.clone())).await;
    let trusts_old = trust(&old, &[&TLS13], &[]);
    let trusts_new = trust(&new, &[&TLS13], &[]);
    let mut before = open(&server, &trusts_old).await;
    assert!(!tls.reload().unwrap(), "nothing changed yet");

    write(&files, "not a certificate", &new.key);
    tls.reload().unwrap_err();
    echoes(&mut open(&server, &trusts_old).await).await;

    write(&files, &new.certificate, &new.key);
    assert!(tls.reload().unwrap());
    echoes(&mut open(&server, &trusts_new).await).await;
    assert!(connect(&server, &trusts_old).await.is_err());
    echoes(&mut before).await;
}

#[test]
fn errors_name_the_file_and_never_quote_the_key() {
    let folder = TempDir::new().unwrap();
    let (files, good, other) = (files(&folder), pair(), pair());
    let name = |path: &Path| path.display().to_string();
    let check = |expected: &str| {
        let error = Tls::open(&files).unwrap_err();
        assert_eq!(error.to_string(), expected);
        error
    };
    let certificate = name(&files.certificate);
    let key = name(&files.key);

    let error = check(&format!("cannot read {certificate}"));
    assert!(matches!(error, TlsError::Read { .. }));
    write(&files, "", &good.key);
    check(&format!("{certificate} has no certificate"));
    write(&files, &good.key, &good.key);
    check(&format!("{certificate} has no certificate"));
    write(&files, &good.certificate, &good.certificate);
    check(&format!("{key} has no private key"));
    let cut = good.key.lines().take(2).collect::<Vec<_>>().join("\n");
    write(&files, &good.certificate, &cut);
    check(&format!("{key} is not a PEM file: a section has no end"));
    let broken = good.key.replacen('M', "?", 2);
    write(&files, &good.certificate, &broken);
    let text = check(&format!("{key} is not a PEM file: a section cannot be decoded")).to_string();
    assert!(!text.contains('?'));
    write(&files, &good.certificate, &other.key);
    let text = Tls::open(&files).unwrap_err().to_string();
    assert!(text.contains(&certificate) && text.contains(&key), "{text}");
    assert!(text.contains("cannot be used"), "{text}");
}
