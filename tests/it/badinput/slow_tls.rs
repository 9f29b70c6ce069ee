//! Goal: a client that does not read is given up behind TLS as well, where bytes wait
//! in more places.
//!
//! Method: as in `slow`, over TLS, with so few events that only the clock can tell.

use std::time::Duration;

use hubbub::config::Config;
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    net::TcpSocket,
    time::{Instant, interval},
};
use tokio_rustls::rustls::{pki_types::ServerName, version::TLS13};

use super::{PATIENCE, SMALL_BUFFER, SOCKET};
use crate::{
    http::client::start,
    ws::{
        client::{Client, request_of},
        tls::{files, pair, trust, write},
    },
};

#[tokio::test]
async fn w21_a_client_that_never_reads_is_given_up_behind_tls() {
    let folder = TempDir::new().unwrap();
    let (pair, files) = (pair(), files(&folder));
    write(&files, &pair.certificate, &pair.key);
    let mut config = Config::for_tests();
    config.public.tls = Some(files);
    config.limits.outbox_events = 100_000;
    config.limits.outbox_bytes = 256 * 1024 * 1024;
    config.limits.outbox_stall = Duration::from_secs(1);
    let server = start(config).await;
    let metrics = server.node.metrics();

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(SMALL_BUFFER).unwrap();
    let stream = socket.connect(server.public).await.unwrap();
    let connector = trust(&pair, &[&TLS13], &["http/1.1"]);
    let name = ServerName::try_from("localhost").unwrap();
    let mut alice = Client::over(connector.connect(name, stream).await.unwrap());
    let line = format!("Authorization: Bearer {}", server.token("alice"));
    alice.send(request_of(server.public, SOCKET, &[&line]).as_bytes()).await;
    let head = alice.head().await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");

    let text = "x".repeat(64 * 1024);
    let event = json!({"event": "big", "to": {"user": "alice"}, "data": {"text": text}});
    let event = event.to_string();
    let mut count = 0;
    while metrics.outbox_bytes.get() < 200_000 {
        assert_eq!(server.post("/api/v1/publish", &event).await.status, 200);
        count += 1;
        assert!(count < 400, "nothing ever waits");
    }
    // Nothing comes any more, so only the clock ends it.
    let slow = metrics.slow_consumers_total.with_label_values(&["mattermost"]);
    let deadline = Instant::now() + PATIENCE;
    let mut looks = interval(Duration::from_millis(50));
    while slow.get() == 0 {
        assert!(Instant::now() < deadline, "alice is never given up");
        looks.tick().await;
    }
    let mut frame = alice.frame().await.expect("a close frame before the end");
    while frame.first != 0x88 {
        frame = alice.frame().await.expect("a close frame before the end");
    }
    assert_eq!(super::code_of(&frame), Some(4431));
}
