//! Goal: a body is read once, in one way, up to a limit and for a limited time.
//!
//! Method: malformed, large, compressed and slow bodies against a whole node.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{
    api::{event, server},
    client::{KEY, ask, bearer, production, send},
};

#[tokio::test]
async fn bodies_have_one_reading() {
    let server = server().await;
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    let twice = r#"{"event":"a","event":"b","data":{},"to":{"everyone":true}}"#;
    let inside = r#"{"event":"a","data":{"k":1,"k":2},"to":{"everyone":true}}"#;
    for body in ["", "{", "[]", "null", "{} {}", "{\"event\":\u{0}}", &deep, twice, inside] {
        let reply = server.post("/api/v1/publish", body).await;
        assert_eq!(reply.error().0, 400, "{body}");
    }
    // The fields of a request in order are not a request.
    for (path, body) in [
        ("/api/v1/revoke", r#"["default","alice"]"#),
        ("/api/v1/members", r#"["default",{"channel":"a"},["alice"],[]]"#),
        ("/api/v1/presence", r#"["default",["alice"]]"#),
    ] {
        assert_eq!(server.post(path, body).await.error().0, 400, "{path} {body}");
    }
    let lines = format!("{}Content-Type: application/json\r\n", bearer(KEY));
    let head = format!(
        "POST /api/v1/publish HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}Content-Length: 4\r\n\r\n"
    );
    let broken = [head.as_bytes(), b"\"\xff\xff\""].concat();
    assert_eq!(send(server.internal, &broken).await.status, 400);
}

#[tokio::test]
async fn h09_broken_chunks_get_400() {
    let server = server().await;
    for size in ["FFFFFFFFFFFFFFFF", "FFFFFFFFFFFFFFFE", "-1", "0x5", "zz"] {
        let lines = format!("{}Content-Type: application/json\r\n", bearer(KEY));
        let request = format!(
            "POST /api/v1/publish HTTP/1.1\r\nHost: a\r\n{lines}Transfer-Encoding: chunked\r\n\r\n{size}\r\n{{}}\r\n"
        );
        assert_eq!(send(server.internal, request.as_bytes()).await.status, 400, "{size}");
    }
}

#[tokio::test]
async fn s03_large_and_encoded_bodies_are_refused() {
    let server = server().await;
    let large = format!("{{\"event\":\"{}\"}}", "x".repeat(1024 * 1024));
    let reply = server.post("/api/v1/publish", &large).await;
    assert_eq!(reply.error(), (413, "body_too_large".to_owned(), String::new()));
    let lines = format!("{}Content-Type: application/json\r\n", bearer(KEY));
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let endless = format!(
        "POST /api/v1/publish HTTP/1.1\r\nHost: a\r\n{lines}Transfer-Encoding: chunked\r\n\r\n{}",
        chunk.repeat(20)
    );
    assert_eq!(send(server.internal, endless.as_bytes()).await.status, 413);
    for encoding in ["gzip", "br", "deflate", "gzip, gzip"] {
        let lines = format!("{lines}Content-Encoding: {encoding}\r\n");
        let reply = ask(server.internal, "POST /api/v1/publish", &lines, "{}").await;
        assert_eq!(reply.error().0, 415, "{encoding}");
    }
    for media in ["", "Content-Type: text/plain\r\n", "Content-Type: application/jsonx\r\n"] {
        let lines = format!("{}{media}", bearer(KEY));
        let reply = ask(server.internal, "POST /api/v1/publish", &lines, &event(|_| ())).await;
        assert_eq!(reply.error().0, 415, "{media}");
    }
    let lines = format!("{}Content-Type: Application/JSON; charset=utf-8\r\n", bearer(KEY));
    let reply = ask(server.internal, "POST /api/v1/publish", &lines, &event(|_| ())).await;
    assert_eq!(reply.status, 200);
    let fat = event(|body| body["data"] = json!({"a": "x".repeat(256 * 1024)}));
    let reply = server.post("/api/v1/publish", &fat).await;
    assert_eq!(reply.error(), (413, "event_too_large".to_owned(), "data".to_owned()));
    assert_eq!(server.rejected("api", "event_too_large"), 1);
    assert_eq!(server.rejected("api", "body_too_large"), 2);
}

#[tokio::test]
async fn a_body_that_never_ends_gets_408() {
    let soon = Duration::from_millis(400);
    let server = production(|config| config.limits.message_timeout = soon).await;
    let lines = format!("{}Content-Type: application/json\r\n", bearer(KEY));
    let half =
        format!("POST /api/v1/publish HTTP/1.1\r\nHost: a\r\n{lines}Content-Length: 100\r\n\r\n{{");
    let began = Instant::now();
    assert_eq!(send(server.internal, half.as_bytes()).await.status, 408);
    assert!(began.elapsed() >= soon && began.elapsed() < Duration::from_secs(10));
}
