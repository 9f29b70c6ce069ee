//! Goal: the internal listener tells the truth, and only to whom it should.
//!
//! Method: a whole node; one request for each connection.

use std::time::Duration;

use hubbub::{app::App, config::Config, lifecycle::CancellationToken};
use serde_json::json;
use tokio::time::timeout;

use super::client::{KEY, KEY_OF_A, ask, bearer, development, production};

#[tokio::test]
async fn probes_and_metrics_answer_without_a_key() {
    let server = production(|_| ()).await;
    let get = async |path: &str| ask(server.internal, &format!("GET {path}"), "", "").await;
    assert_eq!(get("/live").await.status, 200);
    let ready = get("/ready").await;
    assert_eq!((ready.status, ready.json()), (200, json!({"ready": true, "reasons": []})));
    let page = get("/metrics").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(page.text.contains("\nhubbub_ready 1\n"), "{}", page.text);
    let counted = r#"hubbub_http_requests_total{route="/ready",status="200"} 1"#;
    assert!(page.text.contains(counted), "{}", page.text);
    let post = ask(server.internal, "POST /metrics", "", "").await;
    assert_eq!((post.status, post.header("allow")), (405, Some("GET,HEAD")));
}

#[tokio::test]
async fn s01_a_key_counts_in_its_header_only() {
    let server = production(|_| ()).await;
    let node = async |path: &str, lines: &str| {
        ask(server.internal, &format!("GET {path}"), lines, "").await.status
    };
    assert_eq!(node("/api/v1/node", &bearer(KEY)).await, 200);
    assert_eq!(node("/api/v1/node", &format!("authorization: bearer {KEY}\r\n")).await, 200);
    let shorter = KEY.get(..KEY.len() - 1).unwrap();
    for lines in [
        String::new(),
        bearer("wrong"),
        bearer(&KEY.to_uppercase()),
        bearer(shorter),
        bearer(&format!("{KEY}x")),
        bearer("k"),
        format!("Authorization: {KEY}\r\n"),
        format!("Authorization: Basic {KEY}\r\n"),
        format!("X-Api-Key: {KEY}\r\n"),
        format!("Cookie: key={KEY}\r\n"),
    ] {
        assert_eq!(node("/api/v1/node", &lines).await, 401, "{lines}");
    }
    assert_eq!(node(&format!("/api/v1/node?key={KEY}"), "").await, 401);
    assert_eq!(node("/api/v1/no-such-call", "").await, 401);
    assert_eq!(node("/api/v1/no-such-call", &bearer(KEY)).await, 404);
    let refused = ask(server.internal, "GET /api/v1/node", "", "").await;
    assert_eq!(refused.error(), (401, "unauthorized".to_owned(), String::new()));
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    assert_eq!(server.rejected("auth", "api_key"), 13);
}

#[tokio::test]
async fn s02_a_key_reaches_its_realms_only() {
    let server = production(|_| ()).await;
    let body = |realm: &str| {
        json!({"realm": realm, "event": "e", "data": {}, "to": {"everyone": true}}).to_string()
    };
    let lines = format!("{}Content-Type: application/json\r\n", bearer(KEY_OF_A));
    let publish =
        async |body: &str| ask(server.internal, "POST /api/v1/publish", &lines, body).await;
    assert_eq!(publish(&body("a")).await.status, 200);
    for realm in ["b", "*", "A", "a*", "default", "", "a/b"] {
        let error = publish(&body(realm)).await.error();
        assert_eq!(error, (403, "forbidden".to_owned(), "realm".to_owned()), "{realm}");
    }
    let default = json!({"event": "e", "data": {}, "to": {"everyone": true}}).to_string();
    assert_eq!(publish(&default).await.status, 403);
    let get = async |path: &str| {
        ask(server.internal, &format!("GET {path}"), &bearer(KEY_OF_A), "").await.status
    };
    assert_eq!(get("/api/v1/log?realm=b").await, 403);
    assert_eq!(get("/api/v1/log?realm=a").await, 200);
    assert_eq!(get("/api/v1/members?channel=a").await, 403);
}

#[tokio::test]
async fn pages_of_other_origins_and_names_can_call_nothing() {
    let server = development().await;
    let post = async |lines: &str| ask(server.internal, "POST /drain", lines, "").await.status;
    assert_eq!(post("Origin: http://evil.example\r\n").await, 403);
    assert_eq!(post("Origin: null\r\n").await, 403);
    let renamed = b"GET /api/v1/node HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(super::client::send(server.internal, renamed).await.status, 421);
    assert_eq!(server.rejected("http", "csrf"), 2);
    assert_eq!(server.get("/ready").await.status, 200);
}

#[tokio::test]
async fn a_drain_needs_a_key_and_is_seen_at_once() {
    let server = production(|config| config.shutdown.ready_delay = Duration::from_secs(60)).await;
    assert_eq!(ask(server.internal, "POST /drain", "", "").await.status, 401);
    let refused = ask(server.internal, "GET /drain", &bearer(KEY), "").await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("POST")));
    assert_eq!(ask(server.internal, "POST /drain", &bearer(KEY), "").await.status, 202);
}

/// Goal: probes answer while the node's runtime does nothing at all.
///
/// Method: block the only worker of the node's runtime, and ask from another one.
#[test]
fn the_internal_listener_has_its_own_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(development());
    // From here on nothing polls the node's runtime.
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for path in ["/live", "/ready", "/metrics"] {
        let reply = other.block_on(ask(server.internal, &format!("GET {path}"), "", ""));
        assert_eq!(reply.status, 200, "{path}");
    }
}

#[tokio::test]
async fn the_document_asks_for_a_key_where_one_is_needed() {
    let production = production(|_| ()).await.get("/api/v1/openapi.json").await.json();
    assert_eq!(production["security"], json!([{"key": []}]));
    let development = development().await.get("/api/v1/openapi.json").await.json();
    assert_eq!(development.get("security"), None);
}

/// Goal: readiness is what the parts of the node say, not that a port is open.
///
/// Method: a node that drains but waits before it does anything; ask until it says so.
#[tokio::test]
async fn s16_a_node_that_drains_is_alive_and_not_ready() {
    let mut config = Config::for_tests();
    config.shutdown.ready_delay = Duration::from_secs(3600);
    let app = App::start(config, CancellationToken::new()).await.unwrap();
    let internal = app.internal();
    let asking = async {
        assert_eq!(ask(internal, "POST /drain", "", "").await.status, 202);
        loop {
            let ready = ask(internal, "GET /ready", "", "").await;
            if ready.status == 503 {
                assert_eq!(ready.json(), json!({"ready": false, "reasons": ["draining"]}));
                break;
            }
        }
        assert_eq!(ask(internal, "GET /live", "", "").await.status, 200);
        let node = ask(internal, "GET /api/v1/node", "", "").await.json();
        assert_eq!((&node["ready"], &node["reasons"]), (&json!(false), &json!(["draining"])));
        let page = ask(internal, "GET /metrics", "", "").await.text;
        assert!(page.contains("\nhubbub_ready 0\n"), "{page}");
        assert!(page.contains("\nhubbub_drain_phase 1\n"), "{page}");
    };
    tokio::select! {
        stopped = app.run() => panic!("{stopped:?}: it has an hour"),
        done = timeout(Duration::from_secs(20), asking) => done.unwrap(),
    }
}
