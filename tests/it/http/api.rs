//! Goal: every call of the server API does what its document says, and refuses the
//! rest with the right status, code and field.
//!
//! Method: tables of bodies against a whole node.

use serde_json::{Value, json};

use super::client::{KEY, Server, ask, bearer, production};

pub(super) async fn server() -> Server {
    production(|_| ()).await
}

pub(super) fn event(change: impl FnOnce(&mut Value)) -> String {
    let mut body = json!({"event": "greeted", "data": {"a": 1}, "to": {"channel": "town"}});
    change(&mut body);
    body.to_string()
}

fn field(name: &str) -> (u16, String, String) {
    (400, "invalid_field".to_owned(), name.to_owned())
}

#[tokio::test]
async fn an_event_is_published_once_for_each_id() {
    let server = server().await;
    let with_id = event(|body| body["id"] = json!("one"));
    let first = server.post("/api/v1/publish", &with_id).await;
    assert_eq!(first.status, 200, "{first:?}");
    let first = first.json();
    assert_eq!(first["duplicate"], json!(false));
    assert_eq!(first["position"]["offset"], json!(1));
    assert_eq!(first["position"]["tag"].as_str().map(str::len), Some(16));
    let again = server.post("/api/v1/publish", &with_id).await.json();
    assert_eq!(again["position"], first["position"]);
    assert_eq!(again["duplicate"], json!(true));
    let other = event(|body| {
        body["id"] = json!("one");
        body["data"] = json!({"a": 2});
    });
    let refused = server.post("/api/v1/publish", &other).await;
    assert_eq!(refused.error(), (409, "conflict".to_owned(), "id".to_owned()));
    let log = server.get("/api/v1/log").await.json();
    assert_eq!(log["records"].as_array().map(Vec::len), Some(1));
    assert_eq!(log["records"][0]["event"], json!("greeted"));
    assert_eq!(log["records"][0]["data"], json!({"a": 1}));
    assert_eq!(log["records"][0]["kind"], json!("event"));
}

#[tokio::test]
async fn malformed_events_are_refused_by_field() {
    let server = server().await;
    for (expected, body) in [
        ("event", event(|body| body["event"] = json!(1))),
        (
            "event",
            event(|body| {
                body.as_object_mut().unwrap().remove("event");
            }),
        ),
        (
            "to",
            event(|body| {
                body.as_object_mut().unwrap().remove("to");
            }),
        ),
        ("data", event(|body| body["data"] = json!([1]))),
        ("data", event(|body| body["data"] = json!("x"))),
        ("to", event(|body| body["to"] = json!({}))),
        ("to", event(|body| body["to"] = json!({"channel": "a", "user": "b"}))),
        ("to.nobody", event(|body| body["to"] = json!({"nobody": "a"}))),
        ("to.channel", event(|body| body["to"] = json!({"channel": "a b"}))),
        ("to.channel", event(|body| body["to"] = json!({"channel": ""}))),
        ("to.channel", event(|body| body["to"] = json!({"channel": "a\u{202e}"}))),
        ("to.everyone", event(|body| body["to"] = json!({"everyone": false}))),
        ("to.connection", event(|body| body["to"] = json!({"connection": "x"}))),
        ("realm", event(|body| body["realm"] = json!("a*"))),
        ("realm", event(|body| body["realm"] = Value::Null)),
        ("extra", event(|body| body["extra"] = json!(1))),
        ("ephemeral", event(|body| body["ephemeral"] = json!("yes"))),
        ("omit_users[1]", event(|body| body["omit_users"] = json!(["a", "b c"]))),
        ("omit_connection", event(|body| body["omit_connection"] = json!("short"))),
    ] {
        let reply = server.post("/api/v1/publish", &body).await;
        assert_eq!(reply.error(), field(expected), "{body}");
    }
    assert_eq!(server.get("/api/v1/log").await.json()["records"], json!([]));
}

#[tokio::test]
async fn s04_batches_are_capped_and_judged_one_by_one() {
    let server = server().await;
    let good = json!({"event": "a", "data": {}, "to": {"user": "alice"}});
    let batch = |events: Vec<Value>| json!({ "events": events }).to_string();
    let reply = server.post("/api/v1/publish/batch", &batch(vec![good.clone(); 257])).await;
    assert_eq!(reply.error(), field("events"));
    let mut bad = good.clone();
    bad["event"] = json!("hello");
    let mut other_realm = good.clone();
    other_realm["realm"] = json!("b");
    let reply = server
        .post("/api/v1/publish/batch", &batch(vec![good.clone(), bad, other_realm, good.clone()]))
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let results = reply.json()["results"].clone();
    assert_eq!(results[0]["position"]["offset"], json!(1));
    assert_eq!(results[1]["error"]["field"], json!("event"));
    assert_eq!(results[2]["error"]["field"], json!("realm"));
    assert_eq!(results[3]["position"]["offset"], json!(2));
    let reply = server.post("/api/v1/publish/batch", r#"{"events":[1]}"#).await;
    assert_eq!(reply.error(), field("events[0]"));
    let most = server.post("/api/v1/publish/batch", &batch(vec![good; 256])).await.json();
    assert_eq!(most["results"][255]["position"]["offset"], json!(258));
    let none = server.post("/api/v1/publish/batch", r#"{"events":[]}"#).await;
    assert_eq!((none.status, none.json()), (200, json!({"results": []})));
}

#[tokio::test]
async fn s06_ids_are_short_and_printable() {
    let server = server().await;
    for id in [
        String::new(),
        "x".repeat(129),
        "a\nb".to_owned(),
        "a b".to_owned(),
        "\u{e9}".to_owned(),
        "x".repeat(900_000),
    ] {
        let reply = server.post("/api/v1/publish", &event(|body| body["id"] = json!(id))).await;
        assert_eq!(reply.error(), field("id"), "{} bytes", id.len());
    }
    let longest = event(|body| body["id"] = json!("x".repeat(128)));
    assert_eq!(server.post("/api/v1/publish", &longest).await.status, 200);
}

#[tokio::test]
async fn s07_a_foreign_connection_is_no_oracle() {
    let server = server().await;
    let connection = "abcdefghijklmnopqrstuvwxyz";
    let body = event(|body| body["to"] = json!({ "connection": connection }));
    let reply = server.post("/api/v1/publish", &body).await;
    assert_eq!((reply.status, reply.json()["duplicate"].clone()), (200, json!(false)));
    let reply = server.get(&format!("/api/v1/connections/{connection}")).await;
    assert_eq!(reply.error().0, 404);
    let path = format!("/api/v1/explain/delivery?connection={connection}&offset=1");
    assert_eq!(server.get(&path).await.error().0, 404);
}

#[tokio::test]
async fn s08_at_most_a_thousand_users_are_left_out() {
    let server = server().await;
    let omit = |count: usize| {
        let users: Vec<String> = (0..count).map(|index| format!("u{index}")).collect();
        event(|body| body["omit_users"] = json!(users))
    };
    assert_eq!(server.post("/api/v1/publish", &omit(1000)).await.status, 200);
    assert_eq!(server.post("/api/v1/publish", &omit(1001)).await.error(), field("omit_users"));
    assert_eq!(server.post("/api/v1/publish", &omit(50_000)).await.error(), field("omit_users"));
}

#[tokio::test]
async fn s09_event_names_are_short_and_not_reserved() {
    let server = server().await;
    for name in [
        "",
        "a\nb",
        "hello",
        "hb_noop",
        "hb_",
        "a b",
        "a\u{1b}[1m",
        "caf\u{e9}",
        &"x".repeat(129),
        &"x".repeat(10_240),
    ] {
        let reply =
            server.post("/api/v1/publish", &event(|body| body["event"] = json!(name))).await;
        assert_eq!(reply.error(), field("event"), "{name:?}");
    }
    for name in ["hello_world", "custom_com.example.plugin-x_Done", "a"] {
        let reply =
            server.post("/api/v1/publish", &event(|body| body["event"] = json!(name))).await;
        assert_eq!(reply.status, 200, "{name}");
    }
}

#[tokio::test]
async fn s12_presence_is_capped() {
    let server = server().await;
    let users = |count: usize| {
        let users: Vec<String> = (0..count).map(|index| format!("u{index}")).collect();
        json!({ "users": users }).to_string()
    };
    assert_eq!(server.post("/api/v1/presence", &users(1001)).await.error(), field("users"));
    let reply = server.post("/api/v1/presence", &users(1000)).await.json();
    assert_eq!(reply["users"].as_array().map(Vec::len), Some(1000));
    assert_eq!(
        reply["users"][7],
        json!({"user": "u7", "status": "offline", "last_activity_at": 0, "devices": []})
    );
}

#[tokio::test]
async fn members_come_and_go() {
    let server = server().await;
    let change = |add: &[&str], remove: &[&str]| {
        json!({"topic": {"channel": "town"}, "add": add, "remove": remove}).to_string()
    };
    let reply = server.post("/api/v1/members", &change(&["alice", "bob"], &[])).await;
    assert_eq!((reply.status, reply.json()["position"]["offset"].clone()), (200, json!(1)));
    let list = server.get("/api/v1/members?channel=town").await.json();
    assert_eq!(list, json!({"users": ["alice", "bob"]}));
    server.post("/api/v1/members", &change(&[], &["alice"])).await;
    let list = server.get("/api/v1/members?channel=town").await.json();
    assert_eq!(list, json!({"users": ["bob"]}));
    let bob = server.get("/api/v1/users/bob/memberships").await.json();
    assert_eq!((&bob["channels"], &bob["teams"]), (&json!(["town"]), &json!([])));
    assert_eq!(bob["position"]["offset"], json!(2));
    let presence = server.get("/api/v1/presence?channel=town").await.json();
    assert_eq!(presence["users"][0]["user"], json!("bob"));
    for (path, name) in [
        ("/api/v1/members", "channel"),
        ("/api/v1/members?channel=a&team=b", "channel"),
        ("/api/v1/members?channel=a%20b", "channel"),
        ("/api/v1/members?channel=a&channel=b", "channel"),
        ("/api/v1/members?chanel=a", "chanel"),
        ("/api/v1/users/a%20b/memberships", "id"),
        ("/api/v1/presence?user=a", "user"),
        ("/api/v1/log?limit=0", "limit"),
        ("/api/v1/log?limit=1001", "limit"),
        ("/api/v1/log?from=x", "from"),
        ("/api/v1/log?from=-1", "from"),
        ("/api/v1/connections/short", "id"),
        ("/api/v1/explain/delivery?offset=1", "connection"),
    ] {
        assert_eq!(server.get(path).await.error(), field(name), "{path}");
    }
    for body in [
        json!({"topic": {"user": "a"}, "add": ["b"]}),
        json!({"topic": {"channel": "a"}, "add": ["b c"]}),
        json!({"topic": {"channel": "a"}, "add": vec!["b"; 1001]}),
        json!({"add": ["b"]}),
    ] {
        assert_eq!(server.post("/api/v1/members", &body.to_string()).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn revocations_and_disconnects_are_records() {
    let server = server().await;
    for (path, body, status) in [
        ("/api/v1/revoke", json!({"user": "alice"}), 200),
        ("/api/v1/revoke", json!({"session": "s1", "id": "r1"}), 200),
        ("/api/v1/revoke", json!({"everyone": true}), 200),
        ("/api/v1/revoke", json!({"everyone": false}), 400),
        ("/api/v1/revoke", json!({"user": "a", "session": "b"}), 400),
        ("/api/v1/revoke", json!({}), 400),
        ("/api/v1/disconnect", json!({"user": "alice"}), 200),
        (
            "/api/v1/disconnect",
            json!({"connection": "abcdefghijklmnopqrstuvwxyz", "code": 4403, "reason": "out"}),
            200,
        ),
        ("/api/v1/disconnect", json!({"user": "alice", "code": 1005}), 400),
        ("/api/v1/disconnect", json!({"user": "alice", "code": 70000}), 400),
        ("/api/v1/disconnect", json!({"user": "alice", "reason": "x".repeat(124)}), 400),
        ("/api/v1/disconnect", json!({}), 400),
    ] {
        let reply = server.post(path, &body.to_string()).await;
        assert_eq!(reply.status, status, "{path} {body} {reply:?}");
    }
    let log = server.get("/api/v1/log?from=2&limit=2").await.json();
    let kinds: Vec<&Value> =
        log["records"].as_array().unwrap().iter().map(|record| &record["kind"]).collect();
    assert_eq!(kinds, ["revocation", "revocation"]);
    assert_eq!(log["records"][0]["position"]["offset"], json!(2));
}

#[tokio::test]
async fn a_status_is_chosen_and_explained() {
    let server = server().await;
    let lines = format!("{}Content-Type: application/json\r\n", bearer(KEY));
    let put = async |body: Value| {
        ask(server.internal, "PUT /api/v1/users/alice/status", &lines, &body.to_string()).await
    };
    let reply = put(json!({"status": "dnd"})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!((&reply.json()["status"], &reply.json()["manual"]), (&json!("dnd"), &json!(true)));
    let told = server.get("/api/v1/users/alice/status?explain=true").await.json();
    assert_eq!(told["status"], json!("dnd"));
    assert!(told["explanation"]["rule"].is_string(), "{told}");
    let plain = server.get("/api/v1/users/alice/status").await.json();
    assert_eq!(plain.get("explanation"), None);
    assert_eq!(put(json!({"status": "busy"})).await.error(), field("status.busy"));
    assert_eq!(server.get("/api/v1/users/alice/status?explain=maybe").await.error().0, 400);
}

#[tokio::test]
async fn a_key_publishes_only_as_fast_as_it_may() {
    let server = production(|config| config.limits.api_events_per_second = 2.0).await;
    let mut statuses = Vec::new();
    for _ in 0..11 {
        statuses.push(server.post("/api/v1/publish", &event(|_| ())).await);
    }
    assert!(statuses.iter().take(10).all(|reply| reply.status == 200), "{statuses:?}");
    let last = statuses.pop().unwrap();
    assert_eq!(last.error(), (429, "rate_limited".to_owned(), String::new()));
    assert!(last.header("retry-after").is_some_and(|wait| wait.parse::<u64>().unwrap() >= 1));
    assert_eq!(server.rejected("limit", "api_events"), 1);
}

#[tokio::test]
async fn other_methods_get_405_and_the_right_ones() {
    let server = server().await;
    let reply = ask(server.internal, "DELETE /api/v1/members", &bearer(KEY), "").await;
    assert_eq!(reply.error(), (405, "method_not_allowed".to_owned(), String::new()));
    assert_eq!(reply.header("allow"), Some("POST,GET,HEAD"));
}

#[tokio::test]
async fn the_node_describes_itself() {
    let server = server().await;
    server.post("/api/v1/publish", &event(|_| ())).await;
    let node = server.get("/api/v1/node").await.json();
    assert_eq!(node["realms"][0]["realm"], json!("default"));
    assert_eq!(node["hubs"][0]["hub"], json!(0));
    assert_eq!(node["ready"], json!(true));
    let nodes = server.get("/api/v1/nodes").await.json();
    assert_eq!(nodes["nodes"].as_array().map(Vec::len), Some(1));
    assert_eq!(nodes["nodes"][0]["id"], node["id"]);
    assert_eq!(nodes["nodes"][0]["draining"], json!(false));
}
