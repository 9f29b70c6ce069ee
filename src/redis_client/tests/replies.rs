//! F51 and K06: every word that a server may refuse with, and what no server says.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use redis::{Value, pipe};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    INCREMENT, next,
    stub::{Answer, Stub, bytes},
};
use crate::{
    lifecycle::CancellationToken,
    redis_client::{
        Blame, NO_ARGS, Pushed, REPLIES, Reaction, RedisError, Script,
        testing::{PATIENCE, eventually},
    },
};

fn repeatable() -> Script {
    Script::new("other", &["return 1"], true)
}

fn refusal(code: &str, text: &str) -> String {
    format!("-{code} {}\r\n", if text.is_empty() { "3999 127.0.0.1:1" } else { text })
}

/// A stub that refuses the first `times` scripts.
async fn refusing(line: String, times: usize) -> Stub {
    let seen = AtomicUsize::new(0);
    Stub::start(move |command| {
        let is_script = command[0].starts_with("EVAL");
        if !is_script {
            return None;
        }
        let refuses = seen.fetch_add(1, Ordering::SeqCst) < times;
        Some(bytes(if refuses { &line } else { ":7\r\n" }))
    })
    .await
}

#[test]
fn f51_the_table_has_every_word_once() {
    let codes: Vec<&str> = REPLIES.iter().map(|row| row.code).collect();
    for code in [
        "READONLY",
        "LOADING",
        "BUSY",
        "NOAUTH",
        "WRONGPASS",
        "NOPERM",
        "MISCONF",
        "OOM",
        "CLUSTERDOWN",
        "TRYAGAIN",
        "ASK",
        "MOVED",
        "NOREPLICAS",
        "NOSCRIPT",
        "MASTERDOWN",
        "EXECABORT",
    ] {
        assert_eq!(codes.iter().filter(|known| **known == code).count(), 1, "{code}");
    }
    for (at, row) in REPLIES.iter().enumerate() {
        let hidden =
            REPLIES[..at].iter().any(|other| other.code == row.code && other.text.is_empty());
        assert!(!hidden, "{row:?} is never reached");
    }
}

#[tokio::test]
async fn f51_a_refusal_once_is_healed_where_it_can_be() {
    for row in REPLIES {
        for script in [&*INCREMENT, &repeatable()] {
            let stub = refusing(refusal(row.code, row.text), 1).await;
            let result = stub.client().run(script, &["a"], NO_ARGS).await;
            let is_safe = script.is_repeatable || !row.may_be_applied;
            let heals = match row.reaction {
                Reaction::Resolve | Reaction::Wait => is_safe,
                Reaction::SendText => true,
                Reaction::Later | Reaction::Never => false,
            };
            assert_eq!(result.is_ok(), heals, "{row:?} {result:?}");
            let tries = [stub.count("EVALSHA"), stub.count("EVAL")];
            let expected = match (heals, row.reaction) {
                (true, Reaction::SendText) => [1, 1],
                (true, _) => [2, 0],
                (false, _) => [1, 0],
            };
            assert_eq!(tries, expected, "{row:?}");
            let anew = heals && row.reaction == Reaction::Resolve;
            assert_eq!(stub.connections(), 1 + usize::from(anew), "{row:?}");
        }
    }
}

#[tokio::test]
async fn f51_a_refusal_that_stays_is_told_with_its_meaning() {
    for row in REPLIES {
        let stub = refusing(refusal(row.code, row.text), usize::MAX).await;
        let error = stub.client().run(&INCREMENT, &["a"], NO_ARGS).await.unwrap_err();
        assert!(matches!(&error, RedisError::Server { code, .. } if code == row.code), "{error:?}");
        assert_eq!((error.reaction(), error.blame()), (row.reaction, row.blame), "{row:?}");
        assert_eq!(error.may_be_applied(), row.may_be_applied, "{row:?}");
        assert_eq!(error.is_retryable(), row.reaction != Reaction::Never, "{row:?}");
        assert!(stub.count("EVALSHA") <= 2, "{row:?}");
    }
    let stub = refusing("-ERR user_script:1: oh\r\n".to_owned(), usize::MAX).await;
    let error = stub.client().run(&repeatable(), &["a"], NO_ARGS).await.unwrap_err();
    assert_eq!((error.blame(), error.may_be_applied()), (Blame::Bug, true));
    assert_eq!(stub.count("EVALSHA"), 1);
}

#[tokio::test]
async fn f51_a_dedicated_connection_is_renewed_where_that_helps() {
    for row in REPLIES {
        let stub = refusing(refusal(row.code, row.text), 1).await;
        let dedicated = stub.client().dedicated("a", "publish");
        timeout(PATIENCE, dedicated.ready()).await.unwrap();
        let wait = Some((1, Duration::from_millis(1)));
        let result = dedicated.run(&INCREMENT, &["a"], NO_ARGS, wait).await;
        let heals = row.reaction == Reaction::SendText;
        assert_eq!(result.is_ok(), heals, "{row:?} {result:?}");
        let renewed = row.reaction == Reaction::Resolve;
        if renewed {
            eventually("another connection", async || (stub.connections() == 2).then_some(()))
                .await;
        }
        let again = eventually("an answer", async || {
            dedicated.run(&INCREMENT, &["a"], NO_ARGS, wait).await.ok()
        });
        assert_eq!(again.await, (Value::Int(7), Some(0)), "{row:?}");
        assert_eq!(stub.connections(), 1 + usize::from(renewed), "{row:?}");
    }
}

#[tokio::test]
async fn f51_a_login_that_is_refused_is_no_connection() {
    for line in ["-WRONGPASS no\r\n", "-NOAUTH no\r\n", "-NOPERM no\r\n", "-NOPROTO no\r\n"] {
        let stub = Stub::start(move |command| (command[0] == "HELLO").then(|| bytes(line))).await;
        let error = stub.client().run(&INCREMENT, &["a"], NO_ARGS).await.unwrap_err();
        assert!(matches!(&error, RedisError::Unavailable { .. }), "{line} {error:?}");
        assert!(error.is_retryable() && !error.may_be_applied(), "{line}");
    }
    let replica = "*5\r\n$5\r\nslave\r\n$1\r\nx\r\n:1\r\n$9\r\nconnected\r\n:0\r\n";
    let stub = Stub::start(move |command| (command[0] == "ROLE").then(|| bytes(replica))).await;
    let error = stub.client().run(&INCREMENT, &["a"], NO_ARGS).await.unwrap_err();
    assert!(matches!(&error, RedisError::Unavailable { .. }), "{error:?}");
    assert_eq!(stub.count("EVALSHA"), 0, "nothing goes to a replica");
}

#[tokio::test]
async fn f53_a_broken_connection_is_repeated_only_where_that_is_harmless() {
    let closing = || async {
        let seen = AtomicUsize::new(0);
        Stub::start(move |command| {
            let first = command[0] == "EVALSHA" && seen.fetch_add(1, Ordering::SeqCst) == 0;
            first.then_some(Answer::Close)
        })
        .await
    };
    let stub = closing().await;
    let error = stub.client().run(&INCREMENT, &["a"], NO_ARGS).await.unwrap_err();
    assert!(error.may_be_applied() && error.label() == "indeterminate", "{error:?}");
    assert_eq!(stub.count("EVALSHA"), 1);
    let stub = closing().await;
    assert_eq!(stub.client().run(&repeatable(), &["a"], NO_ARGS).await.unwrap(), Value::Okay);
    assert_eq!(stub.count("EVALSHA"), 2);
    let stub = Stub::start(|command| (command[0] == "GET").then_some(Answer::Close)).await;
    let reads = pipe().cmd("GET").arg("a").clone();
    let error = stub.client().query("other", "a", &reads).await.unwrap_err();
    assert!(!error.may_be_applied(), "reading changes nothing: {error:?}");
    assert_eq!(stub.count("GET"), 2);
}

#[tokio::test]
async fn f33_a_late_answer_is_not_waited_for_twice() {
    let stub = Stub::start(|command| (command[0] == "EVALSHA").then_some(Answer::Nothing)).await;
    let began = Instant::now();
    let error = stub.client().run(&repeatable(), &["a"], NO_ARGS).await.unwrap_err();
    assert!(error.may_be_applied() && began.elapsed() < Duration::from_millis(3_500), "{error:?}");
    assert_eq!(stub.count("EVALSHA"), 1);
}

#[tokio::test]
async fn k06_what_no_server_says_costs_the_connection_and_nothing_more() {
    let deep = "*1\r\n".repeat(10_000) + ":1\r\n";
    let mut cases = JoinSet::new();
    for garbage in [
        "*2147483647\r\n",
        "*9223372036854775807\r\n",
        "%9223372036854775807\r\n",
        "$1073741824\r\nabc",
        "$9223372036854775807\r\n",
        "$x\r\n",
        "hello, I am no redis\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        ">1\r\n:1\r\n",
        "~3\r\n+a\r\n",
        &deep,
    ] {
        cases.spawn(says_once(garbage.to_owned()));
    }
    while let Some(case) = cases.join_next().await {
        case.unwrap();
    }
}

async fn says_once(garbage: String) {
    let (line, seen) = (garbage.clone(), AtomicUsize::new(0));
    let stub = Stub::start(move |command| {
        let first = command[0] == "EVALSHA" && seen.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| bytes(&line))
    })
    .await;
    let dedicated = stub.client().dedicated("a", "publish");
    timeout(PATIENCE, dedicated.ready()).await.unwrap();
    let name = garbage.get(..20).unwrap_or(&garbage);
    let error = dedicated.run(&INCREMENT, &["a"], NO_ARGS, None).await.unwrap_err();
    assert!(error.may_be_applied(), "{name} {error:?}");
    let mut again = Err(error);
    let end = Instant::now() + PATIENCE;
    while again.is_err() && Instant::now() < end {
        tokio::task::yield_now().await;
        again = dedicated.run(&INCREMENT, &["a"], NO_ARGS, None).await;
    }
    assert_eq!(again.unwrap().0, Value::Okay, "{name}");
    assert_eq!(stub.connections(), 2, "{name}");
}

#[tokio::test]
async fn k06_a_subscription_survives_garbage() {
    let seen = AtomicUsize::new(0);
    let stub = Stub::start(move |command| {
        let push = ">3\r\n$9\r\nsubscribe\r\n$1\r\nt\r\n:1\r\n";
        let message = ">3\r\n$7\r\nmessage\r\n$1\r\nt\r\n$2\r\nhi\r\n";
        let other = ">3\r\n$7\r\nmessage\r\n$1\r\nu\r\n$2\r\nno\r\n";
        let odd = ">2\r\n$7\r\nmessage\r\n$1\r\nt\r\n>1\r\n$5\r\nodder\r\n";
        (command[0] == "SUBSCRIBE").then(|| match seen.fetch_add(1, Ordering::SeqCst) {
            0 => bytes(&format!("{push}{other}{odd}{message}>garbage\r\n")),
            1 => bytes("-NOPERM not this channel\r\n"),
            2 => bytes(&format!("{push}{message}")),
            _ => Answer::Close,
        })
    })
    .await;
    let (subscription, mut inbox) = stub.client().subscribe("t", 16);
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(subscription.run(stop.clone()));
    for _ in 0..2 {
        assert_eq!(next(&mut inbox).await, Pushed::Subscribed);
        assert_eq!(next(&mut inbox).await, Pushed::Message("hi".into()));
        if seen_gap(&mut inbox, stub.count("SUBSCRIBE")).await {
            break;
        }
    }
    assert_eq!(stub.count("SUBSCRIBE"), 3);
}

/// After the first session there is a gap; the second is the last one.
async fn seen_gap(inbox: &mut crate::redis_client::Inbox, sessions: usize) -> bool {
    if sessions >= 3 {
        return true;
    }
    assert!(matches!(next(inbox).await, Pushed::Gap(_)));
    false
}
