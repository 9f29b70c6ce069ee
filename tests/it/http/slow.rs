//! Goal: a peer that takes its time costs the server a bounded time.
//!
//! Method: send less than a request, or send it drop by drop, and see when the
//! server closes and what it says.

use std::time::Duration;

use hubbub::{
    config::{Limits, TlsFiles},
    ws::Tls,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, interval, timeout},
};

use super::raw::{PATIENCE, open, quick, read_until, rest_of, settings, status_of};

/// Twice the head timeout of these tests, and what a busy machine adds.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn h01_silent_tcp_is_closed() {
    let door = open(settings(), quick(), None).await;
    let mut socket = door.connect().await;
    let began = Instant::now();
    assert_eq!(rest_of(&mut socket).await, "");
    assert!(began.elapsed() >= quick().head_timeout && began.elapsed() < SOON);
    assert_eq!(door.rejected("http", "head_timeout"), 1);
}

#[tokio::test]
async fn h02_a_partial_head_is_answered_and_closed() {
    let door = open(settings(), quick(), None).await;
    let began = Instant::now();
    assert_eq!(door.status(b"GET /ws HTTP/1.1\r\nHost: a\r\n").await, 408);
    assert!(began.elapsed() >= quick().head_timeout && began.elapsed() < SOON);
    assert_eq!(door.rejected("http", "head_timeout"), 1);
}

#[tokio::test]
async fn h03_a_dripping_head_has_one_deadline() {
    let door = open(settings(), quick(), None).await;
    let (mut reads, mut writes) = door.connect().await.into_split();
    let began = Instant::now();
    let mut drops = interval(Duration::from_millis(50));
    let mut answer = Vec::new();
    let drip = async {
        writes.write_all(b"GET /ws HTTP/1.1\r\nHost: a\r\n").await.unwrap();
        loop {
            drops.tick().await;
            if writes.write_all(b"A: b\r\n").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = drip => {}
        read = timeout(PATIENCE, reads.read_to_end(&mut answer)) => drop(read.unwrap()),
    }
    assert_eq!(status_of(&String::from_utf8_lossy(&answer)), 408);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_idle_kept_connection_is_closed_without_a_word() {
    let door = open(settings(), quick(), None).await;
    let mut socket = door.connect().await;
    let request = b"GET /api/v4/system/ping HTTP/1.1\r\nHost: a\r\n\r\n";
    socket.write_all(&[request.as_slice(), request.as_slice()].concat()).await.unwrap();
    let answers = rest_of(&mut socket).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    assert_eq!(answers.matches(r#"{"status":"OK"}"#).count(), 2, "{answers}");
    assert_eq!(door.rejected("http", "head_timeout"), 0);
}

/// Goal: a client with a pool knows when a connection is too old for the next request.
#[tokio::test]
async fn a_kept_connection_is_told_for_how_long() {
    let door = open(settings(), Limits::default(), None).await;
    let mut socket = door.connect().await;
    for connection in ["Connection: keep-alive\r\n", "", "Connection: close\r\n"] {
        let request = format!("GET /api/v4/system/ping HTTP/1.1\r\nHost: a\r\n{connection}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let answer = read_until(&mut socket, "}").await;
        let is_kept = !connection.contains("close");
        assert_eq!(answer.contains("keep-alive: timeout=9\r\n"), is_kept, "{answer}");
    }
}

#[tokio::test]
async fn a_half_closed_client_gets_its_answer() {
    let door = open(settings(), quick(), None).await;
    let mut socket = door.connect().await;
    socket.write_all(b"GET /api/v4/system/ping HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    socket.shutdown().await.unwrap();
    assert_eq!(status_of(&rest_of(&mut socket).await), 200);
}

#[tokio::test]
async fn stopping_closes_what_is_idle_and_ends_what_is_not() {
    let door = open(settings(), hubbub::config::Limits::default(), None).await;
    let mut idle = door.connect().await;
    let mut kept = door.connect().await;
    kept.write_all(b"GET /api/v4/system/ping HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    timeout(PATIENCE, kept.read_exact(&mut first)).await.unwrap().unwrap();
    door.stop.cancel();
    let began = Instant::now();
    rest_of(&mut kept).await;
    rest_of(&mut idle).await;
    assert_eq!(door.sessions.drain(PATIENCE).await, 0);
    assert!(began.elapsed() < Duration::from_secs(8), "sooner than the head timeout");
}

fn certificate(folder: &tempfile::TempDir) -> Tls {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = folder.path().join("cert.pem");
    let key = folder.path().join("key.pem");
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    Tls::open(&TlsFiles { certificate, key }).unwrap()
}

#[tokio::test]
async fn h23_tls_that_never_completes_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let door = open(settings(), quick(), Some(certificate(&folder))).await;
    let began = Instant::now();
    // The first bytes of a ClientHello, and then nothing.
    let mut socket = door.connect().await;
    socket.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).await.unwrap();
    assert_eq!(rest_of(&mut socket).await, "");
    let mut silent = door.connect().await;
    assert_eq!(rest_of(&mut silent).await, "");
    assert!(began.elapsed() < SOON * 2);
    assert_eq!(door.rejected("http", "head_timeout"), 2);
}

#[tokio::test]
async fn h23_plain_http_on_the_tls_port_is_closed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let limits = hubbub::config::Limits::default();
    let door = open(settings(), limits, Some(certificate(&folder))).await;
    let answer = door.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(!answer.contains("HTTP"), "{answer:?}");
    assert_eq!(door.rejected("http", "tls"), 1);
}

#[tokio::test]
async fn h22_one_address_holds_a_bounded_number_of_connections() {
    let limits = hubbub::config::Limits { connections_per_ip: 3, ..Default::default() };
    let door = open(settings(), limits, None).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut socket = door.connect().await;
        socket.write_all(b"GET /api/v4/system/ping HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        timeout(PATIENCE, socket.read_exact(&mut first)).await.unwrap().unwrap();
        held.push(socket);
    }
    assert_eq!(status_of(&rest_of(&mut door.connect().await).await), 429);
    assert_eq!(door.rejected("limit", "connections_per_ip"), 1);
    held.clear();
    // The server notices the closed ones in its own time.
    let again = async {
        loop {
            let answer = door
                .ask(b"GET /api/v4/system/ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                .await;
            if status_of(&answer) == 200 {
                break;
            }
        }
    };
    timeout(PATIENCE, again).await.expect("places are given back");
}
