//! One real server.

use std::time::Duration;

use redis::{Value, pipe};
use tokio::{task::JoinSet, time::timeout};

use super::{INCREMENT, next, text_of};
use crate::{
    lifecycle::CancellationToken,
    redis_client::{
        Blame, GapCause, NO_ARGS, Pushed, RedisClient, RedisError, Script,
        testing::{PATIENCE, Server, config, eventually, metrics},
    },
};

#[tokio::test]
async fn f50_a_script_runs_and_survives_that_the_server_forgets_it() {
    let server = Server::start().await;
    let client = server.client();
    assert_eq!(client.run(&INCREMENT, &["{a}:n"], &[b"2"]).await.unwrap(), Value::Int(2));
    assert_eq!(server.command(&["SCRIPT", "FLUSH"]).await, Value::Okay);
    assert_eq!(client.run(&INCREMENT, &["{a}:n"], &["3"]).await.unwrap(), Value::Int(5));

    let dedicated = client.dedicated("{a}:n", "publish");
    dedicated.ready().await;
    assert_eq!(server.command(&["SCRIPT", "FLUSH"]).await, Value::Okay);
    let wait = Some((1, Duration::from_millis(20)));
    let (value, replicas) = dedicated.run(&INCREMENT, &["{a}:n"], &["1"], wait).await.unwrap();
    assert_eq!((value, replicas), (Value::Int(6), Some(0)), "there is no replica");
    let (value, replicas) = dedicated.run(&INCREMENT, &["{a}:n"], &["1"], None).await.unwrap();
    assert_eq!((value, replicas), (Value::Int(7), None));
}

#[tokio::test]
async fn commands_that_read_are_answered_in_order_and_errors_are_told() {
    let server = Server::start().await;
    let client = server.client();
    server.command(&["RPUSH", "list", "x"]).await;
    let reads = pipe().cmd("LRANGE").arg("list").arg(0).arg(-1).cmd("EXISTS").arg("no").clone();
    let values = client.query("range", "list", &reads).await.unwrap();
    let list = Value::Array(vec![Value::BulkString(b"x".to_vec())]);
    assert_eq!(values, [list, Value::Int(0)]);

    let wrong = pipe().cmd("EXISTS").arg("no").cmd("GET").arg("list").clone();
    let error = client.query("range", "list", &wrong).await.unwrap_err();
    assert!(matches!(&error, RedisError::Server { code, .. } if code == "WRONGTYPE"), "{error}");
    let broken = Script::new("other", &["return redis.call('NO')"], true);
    let error = client.run(&broken, &["a"], NO_ARGS).await.unwrap_err();
    assert_eq!(
        (error.blame(), error.is_retryable(), error.label()),
        (Blame::Bug, false, "refused")
    );
}

#[tokio::test]
async fn f31_a_killed_connection_costs_its_call_and_is_made_anew() {
    let server = Server::start().await;
    let metrics = metrics();
    let client = RedisClient::new(&server.config(), &metrics).unwrap();
    let dedicated = client.dedicated("a", "publish");
    dedicated.ready().await;
    let up = metrics.redis_up.with_label_values(&["publish"]);
    assert_eq!(up.get(), 1);
    for round in 1..=3 {
        server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        let value = eventually("a new connection", async || {
            dedicated.run(&INCREMENT, &["a"], &["1"], None).await.ok()
        });
        assert_eq!(value.await.0, Value::Int(round));
    }
    let reconnects = metrics.redis_reconnects_total.with_label_values(&["publish"]);
    assert_eq!(reconnects.get(), 3);
    // A pooled connection that was killed while it was idle is not noticed by anyone.
    client.run(&INCREMENT, &["a"], &["1"]).await.unwrap();
    server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    assert_eq!(client.run(&INCREMENT, &["a"], &["1"]).await.unwrap(), Value::Int(5));
    drop(dedicated);
    eventually("nobody wants it", async || (up.get() == 0).then_some(())).await;
}

#[tokio::test]
async fn while_the_server_is_away_calls_fail_at_once_and_then_work_again() {
    let mut server = Server::start().await;
    let client = server.client();
    let dedicated = client.dedicated("a", "publish");
    dedicated.ready().await;
    dedicated.run(&INCREMENT, &["a"], &["1"], None).await.unwrap();
    server.kill();
    let down = eventually("a clear answer", async || {
        let error = dedicated.run(&INCREMENT, &["a"], &["1"], None).await.unwrap_err();
        (!error.may_be_applied()).then_some(error)
    });
    assert!(matches!(down.await, RedisError::Unavailable { .. }));
    let error = client.run(&INCREMENT, &["a"], &["1"]).await.unwrap_err();
    assert!(error.is_retryable() && !error.may_be_applied(), "{error:?}");

    server.restart().await;
    timeout(PATIENCE, dedicated.ready()).await.unwrap();
    let (value, _) = dedicated.run(&INCREMENT, &["a"], &["1"], None).await.unwrap();
    assert_eq!(value, Value::Int(2), "data is kept");
}

#[tokio::test]
async fn f33_a_frozen_server_is_noticed_within_three_seconds() {
    let server = Server::start().await;
    let client = server.client();
    let (subscription, mut inbox) = client.subscribe("t", 16);
    let mut tasks = JoinSet::new();
    tasks.spawn(subscription.run(CancellationToken::new()));
    assert_eq!(next(&mut inbox).await, Pushed::Subscribed);
    let dedicated = client.dedicated("a", "publish");
    dedicated.ready().await;
    dedicated.run(&INCREMENT, &["a"], &["1"], None).await.unwrap();

    server.freeze();
    let began = tokio::time::Instant::now();
    let (late, gap) =
        tokio::join!(dedicated.run(&INCREMENT, &["a"], &["1"], None), next(&mut inbox),);
    let took = began.elapsed();
    assert!(late.unwrap_err().may_be_applied());
    assert_eq!(gap, Pushed::Gap(GapCause::Silent));
    assert!(took < Duration::from_millis(3_500), "{took:?}");

    server.thaw();
    assert_eq!(next(&mut inbox).await, Pushed::Subscribed);
    timeout(PATIENCE, dedicated.ready()).await.unwrap();
    let (value, _) = dedicated.run(&INCREMENT, &["a"], &["1"], None).await.unwrap();
    assert_eq!(value, Value::Int(3), "what timed out was done afterwards");
}

#[tokio::test]
async fn f30_a_killed_subscription_says_gap_and_subscribes_again() {
    let server = Server::start().await;
    let client = server.client();
    let (subscription, mut inbox) = client.subscribe("t", 16);
    let kick = subscription.kick();
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(subscription.run(stop.clone()));
    assert_eq!(next(&mut inbox).await, Pushed::Subscribed);
    for round in 0..3 {
        let text = format!("message {round}");
        assert_eq!(server.command(&["PUBLISH", "t", &text]).await, Value::Int(1));
        assert_eq!(text_of(next(&mut inbox).await), text);
        server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        assert_eq!(next(&mut inbox).await, Pushed::Gap(GapCause::Disconnected));
        assert_eq!(next(&mut inbox).await, Pushed::Subscribed);
    }
    kick.renew();
    assert_eq!(next(&mut inbox).await, Pushed::Gap(GapCause::Renewed));
    assert_eq!(next(&mut inbox).await, Pushed::Subscribed);
    stop.cancel();
    timeout(PATIENCE, tasks.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(inbox.recv().await, None);
}

#[tokio::test]
async fn f32_a_slow_listener_gets_a_gap_and_not_a_queue_without_end() {
    let server = Server::start().await;
    let metrics = metrics();
    let client = RedisClient::new(&server.config(), &metrics).unwrap();
    let (subscription, mut inbox) = client.subscribe("t", 8);
    let mut tasks = JoinSet::new();
    tasks.spawn(subscription.run(CancellationToken::new()));
    assert_eq!(next(&mut inbox).await, Pushed::Subscribed);
    let flood = "for i = 1, 1000 do redis.call('PUBLISH', 't', tostring(i)) end";
    server.command(&["EVAL", flood, "0"]).await;
    eventually("an overflow", async || (metrics.redis_overflows_total.get() == 1).then_some(()))
        .await;
    for expected in 1..=8 {
        assert_eq!(text_of(next(&mut inbox).await), expected.to_string());
    }
    assert_eq!(next(&mut inbox).await, Pushed::Gap(GapCause::Overflow));
    assert_eq!(next(&mut inbox).await, Pushed::Subscribed);
    server.command(&["PUBLISH", "t", "again"]).await;
    assert_eq!(text_of(next(&mut inbox).await), "again");
}

#[tokio::test]
async fn passwords_and_acl_users_log_in() {
    let server = Server::start_with(&["--requirepass", "pass word"]).await;
    let acl = ["ACL", "SETUSER", "hub", "on", ">s:c/r@t", "~*", "&*", "+@all"];
    assert_eq!(server.command(&acl).await, Value::Okay);
    let run = async |change: &dyn Fn(&mut crate::config::Redis)| {
        let mut config = server.config();
        config.urls =
            vec![crate::config::Secret::new(&format!("redis://127.0.0.1:{}", server.port()))];
        change(&mut config);
        let client = RedisClient::new(&config, &metrics()).unwrap();
        client.run(&INCREMENT, &["a"], &["1"]).await
    };
    let secret = crate::config::Secret::new;
    let error = run(&|_| {}).await.unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("NOAUTH"));
    assert!(error.is_retryable(), "the password may be on its way");
    run(&|config| config.password = Some(secret("pass word"))).await.unwrap();
    run(&|config| {
        config.username = Some("hub".to_owned());
        config.password = Some(secret("s:c/r@t"));
    })
    .await
    .unwrap();
    let url = format!("redis://hub:s%3Ac%2Fr%40t@127.0.0.1:{}/3", server.port());
    run(&|config| config.urls = vec![secret(&url)]).await.unwrap();
    let error = run(&|config| config.password = Some(secret("wrong"))).await.unwrap_err();
    assert!(!format!("{error:?}").contains("wrong"), "{error:?}");
}

#[tokio::test]
async fn k04_what_an_acl_forbids_is_told() {
    let server = Server::start().await;
    let acl = ["ACL", "SETUSER", "hub", "on", ">x", "~hb:*", "&hb:*", "+@all", "-@admin", "-role"];
    server.command(&acl).await;
    let mut config = config(crate::config::RedisMode::Standalone, &[&server]);
    config.username = Some("hub".to_owned());
    config.password = Some(crate::config::Secret::new("x"));
    let client = RedisClient::new(&config, &metrics()).unwrap();
    client.run(&INCREMENT, &["hb:{r}:m"], &["1"]).await.unwrap();
    let error = client.run(&INCREMENT, &["other"], &["1"]).await.unwrap_err();
    assert!(matches!(&error, RedisError::Server { code, .. } if code == "NOPERM"), "{error}");
    assert_eq!((error.blame(), error.is_retryable()), (Blame::Operator, false));
    client.check(false).await.unwrap();
}
