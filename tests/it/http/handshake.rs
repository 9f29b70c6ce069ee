//! Goal: a malformed request is refused with the right status and a closed
//! connection; a good one loses no byte.
//!
//! Method: one table for each row of bad input, over a real socket.

use hubbub::config::Limits;
use tokio::io::AsyncWriteExt;

use super::raw::{Door, UPGRADE, open, read_until, rest_of, settings, status_of};

async fn door() -> Door {
    open(settings(), Limits::default(), None).await
}

#[tokio::test]
async fn h04_too_many_headers_or_bytes_get_431() {
    let door = door().await;
    for count in [65, 101, 1000] {
        assert_eq!(door.get("/ws", &"A: b\r\n".repeat(count)).await, 431, "{count} lines");
    }
    let long = format!("A: {}\r\n", "b".repeat(20 * 1024));
    assert_eq!(door.get("/ws", &long).await, 431);
    assert_eq!(door.rejected("http", "head_too_large"), 4);
}

#[tokio::test]
async fn h06_long_targets_and_queries_are_refused() {
    let door = door().await;
    assert_eq!(door.get(&format!("/{}", "a".repeat(64 * 1024)), "").await, 414);
    assert_eq!(door.get(&format!("/{}", "a".repeat(4096)), "").await, 414);
    assert_eq!(door.get(&format!("/ws?{}", "a&".repeat(10_000)), "").await, 414);
    let many: Vec<String> = (0..200).map(|index| format!("p{index}=1")).collect();
    assert_eq!(door.get(&format!("/ws?{}", many.join("&")), UPGRADE).await, 400);
    let twice = "/ws?connection_id=&connection_id=&sequence_number=0";
    assert_eq!(door.get(twice, UPGRADE).await, 400);
    assert_eq!(door.rejected("handshake", "query"), 2);
}

#[tokio::test]
async fn h07_length_and_chunks_together_get_400() {
    let door = door().await;
    let both = "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(door.get("/ws", both).await, 400);
}

#[tokio::test]
async fn h08_ambiguous_lengths_get_400() {
    let door = door().await;
    for lines in [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 ,5\r\n",
    ] {
        assert_eq!(door.get("/ws", lines).await, 400, "{lines:?}");
    }
}

#[tokio::test]
async fn h11_malformed_lines_get_400() {
    let door = door().await;
    for head in [
        "GET /ws HTTP/1.1\nHost: a\n\n",
        "GET /ws HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: a\r\nA: \0\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Protocol: caf\u{e9}\r\n\r\n",
    ] {
        assert_eq!(door.status(head.as_bytes()).await, 400, "{head:?}");
    }
}

#[tokio::test]
async fn h12_hosts_are_checked() {
    let door = door().await;
    assert_eq!(door.status(b"GET /ws HTTP/1.1\r\n\r\n").await, 400);
    assert_eq!(door.get("/ws", "Host: b\r\n").await, 400);
    let development =
        open(hubbub::http::PublicSettings { dev: true, ..settings() }, Limits::default(), None)
            .await;
    assert_eq!(development.get("/api/v4/system/ping", "").await, 421);
    let local =
        b"GET /api/v4/system/ping HTTP/1.1\r\nHost: localhost:1\r\nConnection: close\r\n\r\n";
    assert_eq!(development.status(local).await, 200);
    assert_eq!(development.rejected("http", "host"), 1);
}

#[tokio::test]
async fn h13_other_versions_get_426_and_the_right_one() {
    let door = door().await;
    let good = "Sec-WebSocket-Version: 13\r\n";
    for bad in ["Sec-WebSocket-Version: 12\r\n", "", "Sec-WebSocket-Version: 13, 8\r\n"] {
        let head = format!("GET /ws HTTP/1.1\r\nHost: a\r\n{}\r\n", UPGRADE.replace(good, bad));
        let answer = door.ask(head.as_bytes()).await;
        assert_eq!(status_of(&answer), 426, "{bad:?}");
        assert!(answer.to_lowercase().contains("sec-websocket-version: 13\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn h14_bad_keys_get_400() {
    let door = door().await;
    let good = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let twice = good.repeat(2);
    for bad in [
        "",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n",
        "Sec-WebSocket-Key: ************************\r\n",
        &twice,
    ] {
        assert_eq!(door.get("/ws", &UPGRADE.replace(good, bad)).await, 400, "{bad:?}");
    }
}

#[tokio::test]
async fn h16_offered_subprotocols_are_never_echoed() {
    let door = door().await;
    let offers: Vec<String> = (0..300).map(|index| format!("token-{index}")).collect();
    let head = format!(
        "GET /ws HTTP/1.1\r\nHost: a\r\n{UPGRADE}Sec-WebSocket-Protocol: {}\r\n\r\n",
        offers.join(", ")
    );
    let mut socket = door.connect().await;
    socket.write_all(head.as_bytes()).await.unwrap();
    let answer = read_until(&mut socket, "\r\n\r\n").await;
    assert_eq!(status_of(&answer), 101);
    assert!(!answer.to_lowercase().contains("sec-websocket-protocol"), "{answer}");
}

#[tokio::test]
async fn h18_foreign_origins_get_403() {
    let door = door().await;
    for origin in ["https://evil.example", "null", "http://a.evil.example", "http://a:81"] {
        let lines = format!("{UPGRADE}Origin: {origin}\r\nCookie: MMAUTHTOKEN=x\r\n");
        assert_eq!(door.get("/ws", &lines).await, 403, "{origin}");
    }
    assert_eq!(door.rejected("handshake", "origin"), 4);
}

#[tokio::test]
async fn h19_only_get_and_http_11_upgrade() {
    let door = door().await;
    for method in ["POST", "PUT", "OPTIONS", "DELETE"] {
        let head = format!("{method} /ws HTTP/1.1\r\nHost: a\r\n{UPGRADE}\r\n");
        let answer = door.ask(head.as_bytes()).await;
        assert_eq!(status_of(&answer), 405, "{method}");
        assert!(answer.to_lowercase().contains("allow: get\r\n"), "{answer}");
    }
    let old = format!("GET /ws HTTP/1.0\r\nHost: a\r\n{UPGRADE}\r\n");
    assert_eq!(door.status(old.as_bytes()).await, 505);
    assert_eq!(door.status(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await, 505);
    assert_eq!(door.status(b"CONNECT /ws HTTP/1.1\r\nHost: a\r\n\r\n").await, 405);
}

#[tokio::test]
async fn h21_a_proxy_header_of_a_stranger_gets_400() {
    let door = door().await;
    let first = b"PROXY TCP4 9.9.9.9 5.6.7.8 1 2\r\nGET /ws HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(door.status(first).await, 400);
    assert_eq!(door.status(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c").await, 400);
}

#[tokio::test]
async fn a_trusted_proxy_speaks_for_its_client() {
    let mut settings = settings();
    settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let door = open(settings, Limits::default(), None).await;
    let check = async |front: &str, lines: &str, client: &str| {
        let mut socket = door.connect().await;
        let head = format!("{front}GET /ws HTTP/1.1\r\nHost: a\r\n{UPGRADE}{lines}\r\nping");
        socket.write_all(head.as_bytes()).await.unwrap();
        read_until(&mut socket, "ping").await;
        socket.write_all(b"pong").await.unwrap();
        assert_eq!(rest_of(&mut socket).await, format!("pong{client}"));
    };
    check("", "", "127.0.0.1").await;
    check("", "X-Forwarded-For: 8.8.8.8, 9.9.9.9\r\n", "9.9.9.9").await;
    check("PROXY TCP4 9.9.9.9 5.6.7.8 1 2\r\n", "", "9.9.9.9").await;
    check("PROXY TCP4 9.9.9.9 5.6.7.8 1 2\r\n", "X-Forwarded-For: 8.8.8.8\r\n", "9.9.9.9").await;
}

#[tokio::test]
async fn h24_a_path_has_one_spelling() {
    let door = door().await;
    for path in [
        "//ws",
        "/ws/",
        "/%77s",
        "/ws;x",
        "/ws/../admin",
        "/WS",
        "/ws/room/",
        "/ws/room/a/b",
        "/ws/room/%61",
        "/ws/room/a%2fb",
        "/api/v4/websocket//",
        "/api/v4//websocket",
        "/demo/../",
    ] {
        assert_eq!(door.get(path, UPGRADE).await, 404, "{path}");
    }
}

#[tokio::test]
async fn s14_internal_routes_do_not_exist_on_the_public_listener() {
    let door = door().await;
    for path in ["/metrics", "/live", "/ready", "/drain", "/api/v1/node", "/debug/pprof", "/admin"]
    {
        assert_eq!(door.get(path, "").await, 404, "{path}");
    }
    assert_eq!(door.rejected("http", "not_found"), 7);
}

#[tokio::test]
async fn bytes_behind_the_request_are_not_lost() {
    let door = door().await;
    for path in ["/api/v4/websocket", "/api/v4/websocket/", "/ws", "/ws/room/kitchen"] {
        let mut socket = door.connect().await;
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{UPGRADE}\r\nfirst");
        socket.write_all(head.as_bytes()).await.unwrap();
        let head = read_until(&mut socket, "\r\n\r\nfirst").await;
        assert_eq!(status_of(&head), 101, "{path}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        socket.write_all(b"next").await.unwrap();
        assert_eq!(rest_of(&mut socket).await, "next127.0.0.1");
    }
    assert_eq!(door.metrics.http_connections.with_label_values(&["public"]).get(), 0);
}

#[tokio::test]
async fn pages_have_an_etag_and_a_strict_policy() {
    let door = door().await;
    let close = "Host: a\r\nConnection: close\r\n";
    let answer = door.ask(format!("GET / HTTP/1.1\r\n{close}\r\n").as_bytes()).await;
    assert_eq!(status_of(&answer), 200);
    let tag = answer.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    assert!(answer.contains("content-security-policy: default-src 'none'"), "{answer}");
    let again = format!("GET / HTTP/1.1\r\n{close}If-None-Match: {tag}\r\n\r\n");
    assert_eq!(door.status(again.as_bytes()).await, 304);
    let moved = door.ask(format!("GET /demo HTTP/1.1\r\n{close}\r\n").as_bytes()).await;
    assert_eq!(status_of(&moved), 308);
    assert!(moved.contains("location: demo/\r\n"), "{moved}");
    assert_eq!(door.status(format!("POST / HTTP/1.1\r\n{close}\r\n").as_bytes()).await, 405);
}

#[tokio::test]
async fn a_base_path_moves_every_route() {
    let mut settings = settings();
    settings.base_path = "/chat/".to_owned();
    let door = open(settings, Limits::default(), None).await;
    assert_eq!(door.get("/chat/api/v4/system/ping", "").await, 200);
    assert_eq!(door.get("/chat/", "").await, 200);
    for path in ["/api/v4/system/ping", "/", "/chatapi/v4/system/ping", "/chat"] {
        assert_eq!(door.get(path, "").await, 404, "{path}");
    }
}

#[tokio::test]
async fn h17_extensions_are_declined_or_refused_never_answered() {
    let door = door().await;
    let offers: Vec<String> = (0..500).map(|index| format!("x{index}")).collect();
    for (offer, status) in [
        (offers.join(", "), 101),
        ("permessage-deflate; server_max_window_bits=7".to_owned(), 101),
        ("permessage-deflate; server_max_window_bits=x; server_max_window_bits=x".to_owned(), 101),
        ("permessage-deflate; =".to_owned(), 400),
        (",,;".to_owned(), 400),
    ] {
        let mut socket = door.connect().await;
        let head = format!(
            "GET /ws HTTP/1.1\r\nHost: a\r\n{UPGRADE}Sec-WebSocket-Extensions: {offer}\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let answer = read_until(&mut socket, "\r\n\r\n").await;
        assert_eq!(status_of(&answer), status, "{offer}");
        assert!(!answer.to_lowercase().contains("sec-websocket-extensions"), "{answer}");
    }
}
