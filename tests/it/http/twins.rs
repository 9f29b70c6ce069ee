//! Goal: the REST twins answer in Mattermost's shapes, to the right user only.
//!
//! Method: the tokens of a development node, one request for each connection.

use serde_json::{Value, json};

use super::client::{Reply, Server, ask, bearer as key_line, development};

/// The lines of a request with a token and a JSON body.
fn bearer(token: &str) -> String {
    format!("{}Content-Type: application/json\r\n", key_line(token))
}

/// The token that the demo page would use for `user`.
async fn token(server: &Server, user: &str) -> String {
    let session = ask(server.public, "GET /demo/session.json", "", "").await.json();
    let users = session["users"].as_array().unwrap();
    let own = users.iter().find(|entry| entry["user"] == user).unwrap();
    own["token"].as_str().unwrap().to_owned()
}

fn error(reply: &Reply) -> (u16, String) {
    let body = reply.json();
    assert_eq!(body["status_code"], json!(reply.status), "{reply:?}");
    assert_eq!(body["detailed_error"], json!(""), "{reply:?}");
    assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{reply:?}");
    assert_eq!(reply.header("x-request-id"), body["request_id"].as_str(), "{reply:?}");
    (reply.status, body["id"].as_str().unwrap().to_owned())
}

const SESSION: &str = "api.context.session_expired.app_error";
const PERMISSION: &str = "api.context.permissions.app_error";
const BODY: &str = "api.context.invalid_body_param.app_error";

/// Makes `users` members of the channel `town`.
async fn settle(server: &Server, users: &[&str]) {
    let body = json!({"topic": {"channel": "town"}, "add": users}).to_string();
    assert_eq!(server.post("/api/v1/members", &body).await.status, 200);
}

#[tokio::test]
async fn statuses_have_mattermosts_shape() {
    let server = development().await;
    let alice = bearer(&token(&server, "alice").await);
    let me = ask(server.public, "GET /api/v4/users/me/status", &alice, "").await;
    let offline = json!({"user_id": "alice", "status": "offline", "manual": false, "last_activity_at": 0, "dnd_end_time": 0});
    assert_eq!((me.status, me.json()), (200, offline));
    let body = json!({"user_id": "alice", "status": "dnd", "dnd_end_time": 4_102_444_859_u64});
    let put = ask(server.public, "PUT /api/v4/users/me/status", &alice, &body.to_string()).await;
    assert_eq!(put.status, 200, "{put:?}");
    assert_eq!(put.json()["status"], json!("dnd"));
    assert_eq!(put.json()["dnd_end_time"], json!(4_102_444_800_u64), "whole minutes");
    let bob = bearer(&token(&server, "bob").await);
    let seen = ask(server.public, "GET /api/v4/users/alice/status", &bob, "").await.json();
    assert_eq!((&seen["status"], &seen["manual"]), (&json!("dnd"), &json!(true)));
    let ids = json!(["bob", "alice", "nobody"]).to_string();
    let all = ask(server.public, "POST /api/v4/users/status/ids", &bob, &ids).await.json();
    let words: Vec<&Value> =
        all.as_array().unwrap().iter().map(|record| &record["status"]).collect();
    assert_eq!(words, ["offline", "dnd", "offline"]);
}

#[tokio::test]
async fn only_good_tokens_and_own_things() {
    let server = development().await;
    let alice = bearer(&token(&server, "alice").await);
    let own = json!({"user_id": "alice", "status": "away"}).to_string();
    let other = json!({"user_id": "bob", "status": "away"}).to_string();
    for (request, lines, body, expected) in [
        ("GET /api/v4/users/me/status", "", "", (401, SESSION)),
        ("GET /api/v4/users/me/status", "Authorization: Bearer x\r\n", "", (401, SESSION)),
        ("PUT /api/v4/users/bob/status", alice.as_str(), other.as_str(), (403, PERMISSION)),
        ("PUT /api/v4/users/me/status", &alice, &other, (400, BODY)),
        ("PUT /api/v4/users/me/status", &alice, "{", (400, BODY)),
        (
            "PUT /api/v4/users/me/status",
            &alice,
            r#"{"user_id":"alice","status":"busy"}"#,
            (400, BODY),
        ),
        (
            "PUT /api/v4/users/me/status",
            &alice,
            r#"{"user_id":"alice","status":"ooo"}"#,
            (400, BODY),
        ),
        ("POST /api/v4/users/status/ids", &alice, r#"["a b"]"#, (400, BODY)),
        ("POST /api/v4/users/status/ids", &alice, "{}", (400, BODY)),
        (
            "GET /api/v4/users/a%20b/status",
            &alice,
            "",
            (400, "api.context.invalid_url_param.app_error"),
        ),
        ("POST /api/v4/users/bob/typing", &alice, r#"{"channel_id":"town"}"#, (403, PERMISSION)),
        ("POST /api/v4/users/me/typing", &alice, r#"{"channel_id":"no-such"}"#, (403, PERMISSION)),
        (
            "DELETE /api/v4/users/me/status",
            &alice,
            "",
            (405, "api.context.method_not_allowed.app_error"),
        ),
    ] {
        let reply = ask(server.public, request, lines, body).await;
        assert_eq!(error(&reply), (expected.0, expected.1.to_owned()), "{request} {body}");
    }
    assert_eq!(
        ask(server.public, "PUT /api/v4/users/alice/status", &alice, &own).await.status,
        200
    );
    assert_eq!(ask(server.public, "GET /api/v4/users/me/nothing", &alice, "").await.status, 404);
}

#[tokio::test]
async fn a19_revoked_tokens_end_for_requests_too() {
    let server = development().await;
    let alice = bearer(&token(&server, "alice").await);
    let status =
        async || ask(server.public, "GET /api/v4/users/me/status", &alice, "").await.status;
    assert_eq!(status().await, 200);
    server.post("/api/v1/revoke", r#"{"user":"alice"}"#).await;
    // A token issued in the very second of the revocation may count as later.
    let again = server.post("/api/v1/revoke", r#"{"everyone":true}"#).await;
    assert_eq!(again.status, 200);
    assert_eq!(status().await, 401);
    assert_eq!(server.rejected("auth", "revoked"), 1);
}

#[tokio::test]
async fn a22_a_cookie_changes_nothing_for_another_page() {
    let server = development().await;
    let cookie = format!(
        "Content-Type: application/json\r\nCookie: MMAUTHTOKEN={}\r\n",
        token(&server, "alice").await
    );
    let body = json!({"user_id": "alice", "status": "away"}).to_string();
    let own = format!("Origin: http://{}\r\n", server.public);
    for (lines, expected) in [
        ("", 403),
        ("Origin: http://evil.example\r\n", 403),
        ("Origin: null\r\n", 403),
        (own.as_str(), 200),
        ("X-Requested-With: XMLHttpRequest\r\n", 200),
    ] {
        let lines = format!("{cookie}{lines}");
        let reply = ask(server.public, "PUT /api/v4/users/me/status", &lines, &body).await;
        assert_eq!(reply.status, expected, "{lines}");
    }
    let read = ask(server.public, "GET /api/v4/users/me/status", &cookie, "").await;
    assert_eq!(read.status, 200, "reading is harmless");
}

#[tokio::test]
async fn typing_is_published_to_the_channel() {
    let server = development().await;
    settle(&server, &["alice"]).await;
    let alice = bearer(&token(&server, "alice").await);
    let body = json!({"channel_id": "town", "parent_id": "p1"}).to_string();
    let reply = ask(server.public, "POST /api/v4/users/me/typing", &alice, &body).await;
    assert_eq!((reply.status, reply.json()), (200, json!({"status": "OK"})));
    let log = server.get("/api/v1/log?from=2").await.json();
    let event = &log["records"][0];
    assert_eq!((&event["event"], &event["ephemeral"]), (&json!("typing"), &json!(true)));
    assert_eq!(event.get("data"), None, "the log keeps no body of an ephemeral event");
    assert_eq!(event["omit_users"], json!(["alice"]));
}

#[tokio::test]
async fn a_post_of_the_demo_page_is_posted_once() {
    let server = development().await;
    settle(&server, &["alice"]).await;
    let alice = bearer(&token(&server, "alice").await);
    let post = async |lines: &str, body: Value| {
        ask(server.public, "POST /demo/posts", lines, &body.to_string()).await
    };
    let body = json!({"channel_id": "town", "message": " hi ", "id": "post1"});
    assert_eq!(post(&alice, body.clone()).await.status, 200);
    assert_eq!(post(&alice, body).await.status, 200);
    let log = server.get("/api/v1/log?from=2").await.json();
    assert_eq!(log["records"].as_array().map(Vec::len), Some(1), "{log}");
    let data = &log["records"][0]["data"];
    let inner: Value = serde_json::from_str(data["post"].as_str().unwrap()).unwrap();
    assert_eq!((&inner["message"], &inner["user_id"]), (&json!("hi"), &json!("alice")));
    assert_eq!(data["sender_name"], json!("@alice"));
    let bob = bearer(&token(&server, "bob").await);
    let stranger = post(&bob, json!({"channel_id": "town", "message": "hi", "id": "post2"})).await;
    assert_eq!(error(&stranger), (403, PERMISSION.to_owned()));
    let empty = post(&alice, json!({"channel_id": "town", "message": " ", "id": "post3"})).await;
    assert_eq!(error(&empty), (400, BODY.to_owned()));
}
