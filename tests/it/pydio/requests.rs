//! Goal: no request of the server API makes more of itself than a record may hold, and each
//! says what is wrong with it.

use serde_json::{Value, json};

use super::stage::Stage;

#[tokio::test]
async fn requests_that_mean_too_much_or_nothing_are_refused() {
    let stage = Stage::one().await;
    let blame = async |method: &str, path: &str, body: Value| {
        let reply = stage.try_call(method, path, body).await;
        let (status, code, field) = reply.error();
        assert_eq!((status, code.as_str()), (400, "invalid_field"));
        field
    };
    let nodes =
        |path: &str| json!({"nodes": [{"uuid": "a", "path": "a"}, {"uuid": "n", "path": path}]});
    for path in ["", "/", "//"] {
        assert_eq!(blame("POST", "pydio/nodes", nodes(path)).await, "nodes[1].path", "{path:?}");
    }
    stage.call("POST", "pydio/nodes", nodes("n")).await;
    let roots: Vec<Value> =
        (0..501).map(|at| json!({"uuid": format!("r{at}"), "path": format!("{at}/x")})).collect();
    let rule = json!({"user": "bob", "path": "x/secret", "read": false});
    let workspace = |count: usize| json!({"roots": roots, "rules": vec![&rule; count]});
    assert_eq!(blame("PUT", "pydio/workspaces/w", workspace(2)).await, "rules[1].path");
    stage.call("PUT", "pydio/workspaces/w", workspace(1)).await;
    let labelled = |length: usize| json!({"roots": roots, "label": "x".repeat(length)});
    assert_eq!(blame("PUT", "pydio/workspaces/w", labelled(1_025)).await, "label");
    stage.call("PUT", "pydio/workspaces/w", labelled(1_024)).await;
}
