//! The opening handshake, row by row.

use super::{
    client::{Client, KEY, frame, request},
    echo::{Rules, Server},
};

async fn server() -> Server {
    Server::start(Rules::echo(), None).await
}

/// Sends one request and compares the status line and header lines of the answer.
async fn check(request: &str, status: &str, lines: &[&str]) {
    let server = server().await;
    let request = request.replace("{host}", &server.address.to_string());
    let mut client = Client::connect(server.address).await;
    client.send(request.as_bytes()).await;
    let head = client.head().await;
    assert!(head.starts_with(&format!("http/1.1 {status} ")), "{request}\n{head}");
    for line in lines {
        assert!(head.lines().any(|found| found == *line), "{request}\n{head}\nlacks {line}");
    }
    if status != "101" {
        assert!(head.contains("connection: close"), "{head}");
        client.rest().await;
        assert_eq!(server.sessions.len(), 0);
    }
}

/// A request that is right but for one line: `from` is replaced by `to`.
async fn check_but(from: &str, to: &str, status: &str, lines: &[&str]) {
    let good = "GET /echo HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert!(good.contains(from), "{from}");
    check(&good.replacen(from, to, 1), status, lines).await;
}

/// A right request with one line more.
async fn check_with(line: &str, status: &str, lines: &[&str]) {
    check_but("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"), status, lines).await;
}

const ACCEPT: &str = "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=";
const NEEDS_13: &str = "sec-websocket-version: 13";

#[tokio::test]
async fn h00_a_right_request_is_answered_with_101() {
    let lines = [ACCEPT, "upgrade: websocket", "connection: upgrade"];
    check_but("GET", "GET", "101", &lines).await;
    check_but("Upgrade: websocket", "upgrade: foo, WebSocket", "101", &lines).await;
    check_but("Connection: Upgrade", "connection: keep-alive, upgrade", "101", &lines).await;
    check_but("Connection: Upgrade", "Connection: a\r\nConnection: UPGRADE", "101", &lines).await;
    check_with("Content-Length: 0", "101", &lines).await;

    let server = server().await;
    let mut client = Client::connect(server.address).await;
    client.send(request(server.address, &[]).as_bytes()).await;
    let head = client.head().await;
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    assert!(!head.contains("sec-websocket-protocol"), "{head}");
}

#[tokio::test]
async fn h01_h19_only_get_opens_a_socket() {
    for method in ["POST", "PUT", "OPTIONS", "HEAD", "DELETE"] {
        check_but("GET", method, "405", &["allow: get"]).await;
    }
}

#[tokio::test]
async fn h01_h19_http_1_0_is_505() {
    let server = server().await;
    let mut client = Client::connect(server.address).await;
    let text = request(server.address, &[]).replace("HTTP/1.1", "HTTP/1.0");
    client.send(text.as_bytes()).await;
    let head = client.head().await;
    assert!(head.contains(" 505 "), "{head}");
}

#[tokio::test]
async fn h04_h12_host_comes_once_and_is_valid() {
    check_but("Host: {host}\r\n", "", "400", &[]).await;
    check_but("Host: {host}", "Host: {host}\r\nHost: {host}", "400", &[]).await;
    for bad in ["", "a b", "user@host", "host:port", "a/b", "[::1"] {
        check_but("Host: {host}", &format!("Host: {bad}"), "400", &[]).await;
    }
    check_but("GET /echo", "GET http://other.example/echo", "400", &[]).await;
    check_but("GET /echo", "GET http://{host}/echo", "101", &[]).await;
}

#[tokio::test]
async fn h05_without_upgrade_to_websocket_it_is_426() {
    let lines = ["upgrade: websocket", NEEDS_13];
    check_but("Upgrade: websocket\r\n", "", "426", &lines).await;
    check_but("Upgrade: websocket", "Upgrade: h2c", "426", &lines).await;
    check_but("Upgrade: websocket", "Upgrade: websockets", "426", &lines).await;
}

#[tokio::test]
async fn h06_without_connection_upgrade_it_is_400() {
    check_but("Connection: Upgrade\r\n", "", "400", &[]).await;
    check_but("Connection: Upgrade", "Connection: keep-alive", "400", &[]).await;
}

#[tokio::test]
async fn h07_h14_the_key_comes_once_and_is_16_bytes() {
    let key = format!("Sec-WebSocket-Key: {KEY}");
    check_but(&format!("{key}\r\n"), "", "400", &[]).await;
    check_but(&key, &format!("{key}\r\n{key}"), "400", &[]).await;
    let bad = [
        "",
        "AAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAA",
        "not base64 at all!!!!==",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhl IHNhbXBsZSBub25jZQ=",
    ];
    for key in bad {
        check_but(KEY, key, "400", &[]).await;
    }
}

#[tokio::test]
async fn h08_h13_the_version_comes_once_and_is_13() {
    let version = "Sec-WebSocket-Version: 13";
    let lines = [NEEDS_13, "upgrade: websocket"];
    check_but(&format!("{version}\r\n"), "", "426", &lines).await;
    for bad in ["12", "8", "13, 8", "013", "", "13x"] {
        check_but(version, &format!("Sec-WebSocket-Version: {bad}"), "426", &lines).await;
    }
    check_but(version, &format!("{version}\r\n{version}"), "426", &lines).await;
}

#[tokio::test]
async fn h09_h07_a_body_is_400() {
    check_with("Content-Length: 3", "400", &[]).await;
    check_with("Transfer-Encoding: chunked", "400", &[]).await;
}

#[tokio::test]
async fn h11_a_header_value_outside_ascii_is_400() {
    check_with("Sec-WebSocket-Protocol: \u{e9}", "400", &[]).await;
    check_with("X-Anything: \u{fc}", "400", &[]).await;
}

#[tokio::test]
async fn h10_h18_a_foreign_origin_is_403() {
    check_with("Origin: http://{host}", "101", &[]).await;
    let foreign = [
        "null",
        "",
        "http://evil.example",
        "https://{host}.evil.example",
        "https://evil.example/http://{host}",
        "HTTP://{host}",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://{host}, http://{host}",
    ];
    for origin in foreign {
        check_with(&format!("Origin: {origin}"), "403", &[]).await;
    }
    check_with("Origin: http://{host}\r\nOrigin: http://{host}", "403", &[]).await;
}

#[tokio::test]
async fn h14_h16_one_offered_subprotocol_is_chosen() {
    let check = async |offers: &str, chosen: Option<&str>| {
        let server = server().await;
        let mut client = Client::connect(server.address).await;
        let lines: Vec<String> =
            offers.split('|').map(|line| format!("Sec-WebSocket-Protocol: {line}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        client.send(request(server.address, &lines).as_bytes()).await;
        let head = client.head().await;
        assert!(head.starts_with("http/1.1 101 "), "{offers}: {head}");
        let found = head.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(found, chosen, "{offers}");
    };
    check("hubbub.echo.v1", Some("hubbub.echo.v1")).await;
    check("unknown, other,hubbub.echo.v1", Some("other")).await;
    check("unknown|hubbub.echo.v1", Some("hubbub.echo.v1")).await;
    check("unknown", None).await;
    check("bearer, eyJhbGciOi", None).await;
    check("HUBBUB.ECHO.V1", None).await;
    check("", None).await;
    check(&vec!["p"; 1_000].join(", "), None).await;
}

#[tokio::test]
async fn h15_h17_extensions_are_never_negotiated() {
    let server = server().await;
    for offer in [
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=x; server_max_window_bits=x",
        &vec!["x"; 500].join(","),
    ] {
        let mut client = Client::connect(server.address).await;
        let line = format!("Sec-WebSocket-Extensions: {offer}");
        client.send(request(server.address, &[&line]).as_bytes()).await;
        let head = client.head().await;
        assert!(head.starts_with("http/1.1 101 "), "{offer}: {head}");
        assert!(!head.contains("extensions"), "{head}");
    }
    for bad in ["permessage-deflate;", "a b", "x; =1", "x=\"", "{}"] {
        check_with(&format!("Sec-WebSocket-Extensions: {bad}"), "400", &[]).await;
    }
}

#[tokio::test]
async fn h16_frames_behind_the_head_are_not_lost() {
    let server = server().await;
    for cut in [0, 1, 5, 9] {
        let mut client = Client::connect(server.address).await;
        let frames = [frame(0x81, b"one"), frame(0x81, b"two"), frame(0x88, b"\x03\xe8")].concat();
        let (early, late) = frames.split_at(frames.len() - cut);
        client.send(&[request(server.address, &[]).as_bytes(), early].concat()).await;
        client.head().await;
        client.send(late).await;
        assert_eq!(client.frame().await.unwrap().payload, b"one");
        assert_eq!(client.frame().await.unwrap().payload, b"two");
        assert_eq!(client.closed().await, (1000, String::new()));
    }
}
