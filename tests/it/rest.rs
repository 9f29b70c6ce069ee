//! Goal: what the public listener is asked beside sockets has one reading, is paced,
//! and does what a socket of the same user could do.
//!
//! Method: tables of requests against a whole node, one connection for each.

use std::time::Duration;

use hubbub::config::Config;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::http::client::{
    KEY, Reply, Server, ask, bearer, development, development_with, production, send,
};

const BODY: &str = "api.context.invalid_body_param.app_error";
const PERMISSIONS: &str = "api.context.permissions.app_error";
const JSON: &str = "Content-Type: application/json\r\n";

/// A token as the demo page gets it.
async fn token(server: &Server, user: &str) -> String {
    let session = ask(server.public, "GET /demo/session.json", "", "").await.json();
    let users = session["users"].as_array().unwrap();
    let own = users.iter().find(|entry| entry["user"] == user).unwrap();
    own["token"].as_str().unwrap().to_owned()
}

/// The lines of a request of `user` with a JSON body.
async fn lines(server: &Server, user: &str) -> String {
    format!("{}{JSON}", bearer(&token(server, user).await))
}

/// Status and id of an answer; a good one has no id.
fn outcome(reply: &Reply) -> (u16, String) {
    let id = serde_json::from_str::<Value>(&reply.text).ok();
    let id = id.and_then(|body| body["id"].as_str().map(str::to_owned)).unwrap_or_default();
    (reply.status, if reply.status == 200 { String::new() } else { id })
}

async fn put(server: &Server, lines: &str, body: &str) -> Reply {
    ask(server.public, "PUT /api/v4/users/me/status", lines, body).await
}

#[tokio::test]
async fn a_body_has_one_reading() {
    let server = development().await;
    let alice = lines(&server, "alice").await;
    let deep = format!(r#"{{"user_id":"alice","status":"away","x":{}}}"#, "[".repeat(40));
    for (body, named) in [
        ("", "status"),
        ("{", "status"),
        ("null", "status"),
        (r#"["alice","away"]"#, "status"),
        (r#"[{"user_id":"alice","status":"away"}]"#, "status"),
        (r#"{"user_id":"alice","status":"away"} {}"#, "status"),
        (r#"{"user_id":"alice","status":"dnd","status":"away"}"#, "status"),
        (&deep, "status"),
        (r#"{"status":"away"}"#, "user_id"),
        (r#"{"user_id":7,"status":"away"}"#, "user_id"),
        (r#"{"user_id":"bob","status":"away"}"#, "user_id"),
        (r#"{"user_id":"alice"}"#, "status"),
        (r#"{"user_id":"alice","status":"Away"}"#, "status"),
        (r#"{"user_id":"alice","status":"dnd","dnd_end_time":-60}"#, "dnd_end_time"),
        (r#"{"user_id":"alice","status":"dnd","dnd_end_time":60.5}"#, "dnd_end_time"),
        (r#"{"user_id":"alice","status":"dnd","dnd_end_time":"60"}"#, "dnd_end_time"),
        (r#"{"user_id":"alice","status":"dnd","dnd_end_time":1e300}"#, "dnd_end_time"),
        (r#"{"user_id":"alice","status":"dnd","dnd_end_time":253402300800}"#, "dnd_end_time"),
    ] {
        let reply = put(&server, &alice, body).await;
        assert_eq!(outcome(&reply), (400, BODY.to_owned()), "{body}");
        let message = reply.json()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(&format!("{named} ")), "{body}: {message}");
    }
    let seen = ask(server.public, "GET /api/v4/users/me/status", &alice, "").await.json();
    assert_eq!(seen["manual"], json!(false), "nothing was chosen");
    for body in [
        r#" {"user_id":"me","status":"away","more":{"x":[1]}} "#,
        r#"{"user_id":"alice","status":"dnd","dnd_end_time":null}"#,
        r#"{"user_id":"alice","status":"online","dnd_end_time":5}"#,
    ] {
        assert_eq!(put(&server, &alice, body).await.status, 200, "{body}");
    }
    let past = put(&server, &alice, r#"{"user_id":"me","status":"dnd","dnd_end_time":59}"#).await;
    assert_ne!(past.json()["status"], json!("dnd"), "it has ended long ago");
    assert_eq!(server.rejected("message", "duplicate_key"), 1);
    assert_eq!(server.rejected("message", "depth"), 1);
}

#[tokio::test]
async fn a_body_is_json_by_its_headers_and_short() {
    let server = development().await;
    let alice = bearer(&token(&server, "alice").await);
    let good = r#"{"user_id":"alice","status":"away"}"#;
    for (more, status) in [
        ("", 415),
        ("Content-Type: text/plain\r\n", 415),
        ("Content-Type: application/jsonx\r\n", 415),
        ("Content-Type: application/x-www-form-urlencoded\r\n", 415),
        ("Content-Type: application/json\r\nContent-Type: text/plain\r\n", 415),
        ("Content-Type: application/json\r\nContent-Encoding: gzip\r\n", 415),
        ("Content-Type: Application/JSON ; charset=utf-8\r\n", 200),
        ("Content-Type: application/json\r\nContent-Encoding: identity\r\n", 200),
    ] {
        let reply = put(&server, &format!("{alice}{more}"), good).await;
        assert_eq!(reply.status, status, "{more:?} {reply:?}");
    }
    let padded = |bytes: usize| format!("{good}{}", " ".repeat(bytes - good.len()));
    let json = format!("{alice}{JSON}");
    assert_eq!(put(&server, &json, &padded(64 * 1024)).await.status, 200);
    let declared = put(&server, &json, &padded(64 * 1024 + 1)).await;
    assert_eq!(declared.json()["id"], json!("api.context.request_body_too_large.app_error"));
    let head = format!(
        "PUT /api/v4/users/me/status HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{json}\
         Transfer-Encoding: chunked\r\n\r\n",
        server.public
    );
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(4096));
    let chunked = send(server.public, format!("{head}{}", chunk.repeat(17)).as_bytes()).await;
    assert_eq!(chunked.status, 413);
    assert_eq!(server.rejected("http", "body_too_large"), 2);
    assert_eq!(server.rejected("http", "media_type"), 6);
}

#[tokio::test]
async fn ids_are_listed_once_and_not_without_end() {
    let server = development().await;
    let alice = lines(&server, "alice").await;
    let many = |count: usize| {
        let ids: Vec<String> = (0..count).map(|index| format!("u{index}")).collect();
        serde_json::to_string(&ids).unwrap()
    };
    let question =
        async |body: &str| ask(server.public, "POST /api/v4/users/status/ids", &alice, body).await;
    for body in ["[]", "{}", r#"{"0":"a"}"#, "[1]", r#"["a",null]"#, r#"["a/b"]"#, &many(1_001)] {
        assert_eq!(outcome(&question(body).await), (400, BODY.to_owned()), "{body:.40}");
    }
    assert_eq!(question(&many(1_000)).await.json().as_array().map(Vec::len), Some(1_000));
    let some = question(r#"["b","a","b"]"#).await.json();
    let users: Vec<&Value> = some.as_array().unwrap().iter().map(|one| &one["user_id"]).collect();
    assert_eq!(users, ["b", "a"]);
}

#[tokio::test]
async fn a_path_takes_its_methods_and_has_one_spelling() {
    let server = development().await;
    let alice = lines(&server, "alice").await;
    for (path, allow) in [
        ("/api/v4/users/me/status", "GET, HEAD, PUT"),
        ("/api/v4/users/status/ids", "POST"),
        ("/api/v4/users/me/typing", "POST"),
        ("/demo/session.json", "GET, HEAD"),
        ("/demo/posts", "POST"),
    ] {
        for method in ["DELETE", "OPTIONS", "PATCH"] {
            let reply = ask(server.public, &format!("{method} {path}"), &alice, "").await;
            assert_eq!(
                (reply.status, reply.header("allow")),
                (405, Some(allow)),
                "{method} {path}"
            );
        }
    }
    for path in [
        "/api/v4/users/me/status/",
        "/api/v4//users/me/status",
        "/api/v4/users//status",
        "/api/v4/users/me/me/status",
        "/API/v4/users/me/status",
        "/api/v4/users/me",
        "/demo/posts/",
        "/api/v1/publish",
    ] {
        assert_eq!(
            ask(server.public, &format!("GET {path}"), &alice, "").await.status,
            404,
            "{path}"
        );
    }
    let long = "x".repeat(65);
    for id in ["%61lice", "a%2Fb", "~guest", &long] {
        let path = format!("GET /api/v4/users/{id}/status");
        let expected = (400, "api.context.invalid_url_param.app_error".to_owned());
        assert_eq!(outcome(&ask(server.public, &path, &alice, "").await), expected, "{id}");
    }
    let head = ask(server.public, "HEAD /api/v4/users/me/status", &alice, "").await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

#[tokio::test]
async fn who_fails_to_log_in_too_often_waits() {
    let server = development_with(|config| {
        config.limits.auth_failures_burst = 3;
        config.limits.auth_failures_per_second = 0.001;
    })
    .await;
    let alice = lines(&server, "alice").await;
    for _ in 0..3 {
        let reply = ask(server.public, "GET /api/v4/users/me/status", &bearer("a.b.c"), "").await;
        let expected = (401, "api.context.session_expired.app_error".to_owned());
        assert_eq!(outcome(&reply), expected);
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
    let reply = ask(server.public, "GET /api/v4/users/me/status", &alice, "").await;
    assert_eq!(outcome(&reply), (429, "api.context.rate_limited.app_error".to_owned()));
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=11).contains(&wait), "{wait}");
    assert_eq!(server.rejected("limit", "auth_failures"), 1);
    assert!(server.rejected("auth", "token_malformed") == 3);
}

#[tokio::test]
async fn a_user_is_paced_over_all_calls() {
    let server = development_with(|config| {
        config.limits.commands_burst = 3;
        config.limits.commands_per_second = 0.001;
    })
    .await;
    let (alice, bob) = (lines(&server, "alice").await, lines(&server, "bob").await);
    let own = r#"{"user_id":"alice","status":"away"}"#;
    assert_eq!(put(&server, &alice, own).await.status, 200);
    let ids = ask(server.public, "POST /api/v4/users/status/ids", &alice, r#"["bob"]"#).await;
    assert_eq!(ids.status, 200);
    assert_eq!(put(&server, &alice, "{").await.status, 400, "what is refused counts, too");
    let reply = ask(server.public, "GET /api/v4/users/me/status", &alice, "").await;
    assert_eq!(outcome(&reply), (429, "api.context.rate_limited.app_error".to_owned()));
    assert!(reply.header("retry-after").is_some());
    assert_eq!(ask(server.public, "GET /api/v4/users/me/status", &bob, "").await.status, 200);
    assert_eq!(server.rejected("limit", "commands"), 1);
}

#[tokio::test]
async fn typing_over_the_rate_is_dropped_and_counted() {
    let server = development_with(|config| config.limits.typing_per_second = 0.001).await;
    let alice = lines(&server, "alice").await;
    let typing =
        async |body: &str| ask(server.public, "POST /api/v4/users/me/typing", &alice, body).await;
    for _ in 0..3 {
        let reply = typing(r#"{"channel_id":"town-square","parent_id":null}"#).await;
        assert_eq!((reply.status, reply.text.as_str()), (200, r#"{"status":"OK"}"#));
    }
    assert_eq!(server.rejected("limit", "typing"), 2);
    assert_eq!(published(&server, "ephemeral", "accepted"), 1);
    for body in ["{}", r#"{"channel_id":7}"#, r#"{"channel_id":"a b"}"#, r#"["town-square"]"#] {
        assert_eq!(outcome(&typing(body).await), (400, BODY.to_owned()), "{body}");
    }
    for parent in [r#""a/b""#, "7", "{}"] {
        let body = format!(r#"{{"channel_id":"town-square","parent_id":{parent}}}"#);
        assert_eq!(outcome(&typing(&body).await), (400, BODY.to_owned()), "{body}");
    }
}

fn published(server: &Server, kind: &str, result: &str) -> u64 {
    server.node.metrics().events_published_total.with_label_values(&[kind, result]).get()
}

/// A token's channels count without a socket, but never against what the realm knows.
#[tokio::test]
async fn a_seed_counts_until_the_realm_knows_better() {
    let server = development().await;
    let alice = lines(&server, "alice").await;
    let typing = async |channel: &str| {
        let body = json!({ "channel_id": channel }).to_string();
        outcome(&ask(server.public, "POST /api/v4/users/me/typing", &alice, &body).await)
    };
    let member = (200, String::new());
    let stranger = (403, PERMISSIONS.to_owned());
    assert_eq!(typing("town-square").await, member);
    assert_eq!(typing("main").await, stranger, "a team is no channel");
    let change = async |part: &str| {
        let body = format!(r#"{{"topic":{{"channel":"town-square"}},"{part}":["alice"]}}"#);
        assert_eq!(server.post("/api/v1/members", &body).await.status, 200);
    };
    change("remove").await;
    assert_eq!(typing("town-square").await, stranger);
    change("add").await;
    assert_eq!(typing("town-square").await, member);
    assert_eq!(server.rejected("message", "not_member"), 2);
}

#[tokio::test]
async fn a_post_is_posted_once() {
    let server = development().await;
    let (alice, bob) = (lines(&server, "alice").await, lines(&server, "bob").await);
    let post = async |lines: &str, channel: &str, message: &str| {
        let body = json!({"id": "p1", "channel_id": channel, "message": message}).to_string();
        ask(server.public, "POST /demo/posts", lines, &body).await
    };
    let first = post(&alice, "town-square", "hi").await;
    assert_eq!(first.status, 200);
    let first = first.json();
    assert_eq!((&first["id"], &first["root_id"]), (&json!("p1"), &json!("")));
    // A retry of another millisecond would be another post for the log.
    let deadline = Instant::now() + Duration::from_secs(20);
    while published(&server, "durable", "conflict") == 0 {
        assert!(Instant::now() < deadline, "time does not pass");
        assert_eq!(post(&alice, "town-square", "hi").await.json(), first);
    }
    let reused = (409, "api.post.create_post.id_reused.app_error".to_owned());
    assert_eq!(outcome(&post(&alice, "town-square", "hello").await), reused);
    assert_eq!(outcome(&post(&alice, "random", "hi").await), reused);
    assert_eq!(post(&bob, "town-square", "hi").await.status, 200, "an id is its user's");
    assert_eq!(published(&server, "durable", "accepted"), 2);
    for (message, status) in [
        (" \n".to_owned(), 400),
        ("é".repeat(4_001), 400),
        ("😀".repeat(4_000), 200),
        ("\"<b>\\u0000\u{0}".to_owned(), 200),
    ] {
        let id = format!("p{}", message.len());
        let body = json!({"id": id, "channel_id": "random", "message": message}).to_string();
        let reply = ask(server.public, "POST /demo/posts", &alice, &body).await;
        assert_eq!(reply.status, status, "{message:.10}");
        if status == 200 {
            assert_eq!(reply.json()["message"], json!(message));
        }
    }
}

#[tokio::test]
async fn everything_is_below_the_base_path() {
    let server = development_with(|config| config.public.base_path = "/chat".to_owned()).await;
    for path in ["/api/v4/users/me/status", "/demo/session.json", "/demo/posts"] {
        let outside = ask(server.public, &format!("GET {path}"), "", "").await.status;
        let inside = ask(server.public, &format!("GET /chat{path}"), "", "").await.status;
        assert_eq!(outside, 404, "{path}");
        assert_ne!(inside, 404, "{path}");
    }
}

#[tokio::test]
async fn another_name_for_the_loopback_gets_no_token() {
    let server = development().await;
    for path in ["/demo/session.json", "/api/v4/users/me/status"] {
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
        assert_eq!(send(server.public, head.as_bytes()).await.status, 421, "{path}");
    }
    let session = ask(server.public, "GET /demo/session.json", "", "").await;
    assert_eq!(session.header("cache-control"), Some("no-store"));
    assert_eq!(session.json()["channels"], json!(["town-square", "random"]));
    assert_eq!(session.json()["team"], json!("main"));
}

#[tokio::test]
async fn what_is_switched_off_does_not_exist() {
    let statuses = async |change: fn(&mut Config)| {
        let server = production(change).await;
        let mut found = Vec::new();
        for path in ["/api/v4/users/me/status", "/demo/session.json", "/demo/posts"] {
            found.push(ask(server.public, &format!("GET {path}"), "", "").await.status);
        }
        let session = ask(server.public, "GET /demo/session.json", "", "").await;
        (found, (session.status == 200).then(|| session.json()))
    };
    let nobody = json!({"users": [], "channels": [], "team": ""});
    let all = statuses(|config| config.demo = true).await;
    assert_eq!(
        all,
        (vec![401, 200, 405], Some(nobody.clone())),
        "no tokens outside of development"
    );
    let no_demo = statuses(|config| config.demo = false).await;
    assert_eq!(no_demo, (vec![401, 404, 404], None));
    let no_mattermost = statuses(|config| {
        config.demo = true;
        config.dialects.mattermost.enabled = false;
    });
    assert_eq!(no_mattermost.await, (vec![404, 200, 405], Some(nobody)));
}

/// A key of the server API is no token, and the other way round.
#[tokio::test]
async fn keys_and_tokens_are_not_mixed_up() {
    let server = development().await;
    let key = ask(server.public, "GET /api/v4/users/me/status", &bearer(KEY), "").await;
    assert_eq!(key.status, 401);
    let server = production(|config| config.demo = true).await;
    let asked = ask(server.internal, "GET /api/v1/node", &bearer("a.b.c"), "").await;
    assert_eq!(asked.status, 401);
}
