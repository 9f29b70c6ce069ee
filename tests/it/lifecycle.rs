//! How a node stops, and what it changes while it runs.
//!
//! Goal: a stop loses nobody: every client is told to come back, spread over the
//! window, and supervisors get the exit code that says so. A reload changes what it
//! may, for open sockets, too, or nothing at all.
//!
//! Method: the real binary with real signals; conditions are polled with a deadline.

use std::time::Duration;

use hubbub::{app::App, config::Config, lifecycle::CancellationToken};
use rustix::process::Signal;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{pki_types::ServerName, version::TLS13},
};

use crate::{
    http::client::{ask, bearer},
    support::{PATIENCE, process::Process, socket::Socket, until},
    ws::tls,
};

/// No limit stands in the way of many sockets of few users from one address.
const ROOMY: [&str; 4] =
    ["--set", "limits.connections_per_user=0", "--set", "limits.connections_per_ip=0"];

async fn roomy(more: &[&str]) -> Process {
    Process::dev(&[&ROOMY[..], more].concat()).await
}

/// The number of a metric without labels, or with the given ones.
async fn metric(node: &Process, name: &str) -> f64 {
    let page = ask(node.internal, "GET /metrics", "", "").await.text;
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("{name}: {page}")).parse().unwrap()
}

#[tokio::test]
async fn sigterm_closes_200_sockets_with_1012_spread_over_the_window() {
    const READERS: usize = 180;
    const WINDOW: Duration = Duration::from_secs(3);
    let mut node = roomy(&["--set", "shutdown.drain=3s"]).await;
    let mut readers = JoinSet::new();
    let mut deaf = Vec::new();
    for number in 0..200 {
        let user = if number % 2 == 0 { "alice" } else { "bob" };
        let mut socket = Socket::mattermost(node.public, &node.tokens[user]).await;
        if number < READERS {
            readers.spawn(async move {
                let code = socket.closed().await;
                (code, Instant::now())
            });
        } else {
            deaf.push(socket);
        }
    }
    assert_eq!(metric(&node, r#"hubbub_connections{dialect="mattermost"}"#).await, 200.0);
    let told_at = Instant::now();
    node.signal(Signal::TERM);
    node.logged("draining").await;

    let knock = Socket::open(node.public, "/api/v4/websocket", "").await;
    let refused = knock.err().expect("no new sockets while draining");
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.to_ascii_lowercase().contains("\r\nretry-after: "), "{refused}");
    let ready = ask(node.internal, "GET /ready", "", "").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text.contains(r#""draining""#), "{}", ready.text);
    assert_eq!(metric(&node, "hubbub_ready").await, 0.0);
    assert_eq!(metric(&node, "hubbub_drain_phase").await, 2.0);

    let mut moments = Vec::new();
    while let Some(closed) = readers.join_next().await {
        let (code, at) = closed.unwrap();
        assert_eq!(code, 1012);
        moments.push(at - told_at);
    }
    assert_eq!(moments.len(), READERS);
    assert_eq!(node.code().await, Some(0));
    let took = told_at.elapsed();
    assert!(took < WINDOW + Duration::from_secs(8), "{took:?}");
    // Evenly means: each third of the window has its share, give or take a slow machine.
    for third in 0..3_u32 {
        let from = WINDOW / 3 * third;
        let count = moments.iter().filter(|at| **at >= from && **at < from + WINDOW / 3).count();
        assert!(count >= READERS / 10, "third {third}: {count} of {READERS}: {moments:?}");
    }
}

#[tokio::test]
async fn sockets_without_a_user_are_told_at_once() {
    let mut node = roomy(&["--set", "shutdown.drain=30s"]).await;
    let mut sockets = vec![
        Socket::open(node.public, "/api/v4/websocket", "").await.unwrap(),
        Socket::open(node.public, "/echo", "").await.unwrap(),
    ];
    let told_at = Instant::now();
    let drain = ask(node.internal, "POST /drain", "", "").await;
    assert_eq!((drain.status, drain.text.as_str()), (202, r#"{"draining":true}"#));
    for socket in &mut sockets {
        assert_eq!(socket.closed().await, 1012);
    }
    // Nobody is left, so the window is not waited for.
    assert_eq!(node.code().await, Some(0));
    assert!(told_at.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn a_room_is_drained_too_and_ready_delay_keeps_serving() {
    let settings = ["--set", "shutdown.drain=500ms", "--set", "shutdown.ready_delay=1s"];
    let mut node = roomy(&settings).await;
    let mut before = Socket::open(node.public, "/ws?name=ann", "").await.unwrap();
    node.signal(Signal::INT);
    until("not ready", || async { ask(node.internal, "GET /ready", "", "").await.status == 503 })
        .await;
    let nodes = ask(node.internal, "GET /api/v1/nodes", "", "").await.json();
    assert_eq!(nodes["nodes"][0]["draining"], true, "{nodes}");
    assert_eq!(nodes["nodes"][0]["connections"], 1, "{nodes}");
    // Not ready, but it serves: a balancer may need that long to notice.
    let mut late = Socket::open(node.public, "/ws?name=ben", "").await.unwrap();
    before.send("still here").await;
    assert!(late.text().await.contains("still here"));
    assert_eq!((before.closed().await, late.closed().await), (1012, 1012));
    assert_eq!(node.code().await, Some(0));
}

#[tokio::test]
async fn a_second_interrupt_ends_the_process_at_once() {
    let mut node = roomy(&["--set", "shutdown.drain=60s"]).await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(Socket::mattermost(node.public, &node.tokens["alice"]).await);
    }
    node.signal(Signal::INT);
    node.logged("draining").await;
    let told_at = Instant::now();
    node.signal(Signal::INT);
    assert_eq!(node.code().await, Some(1), "a stop that was cut short is no clean one");
    assert!(told_at.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_reload_reaches_open_sockets_and_a_bad_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hubbub.toml");
    std::fs::write(&file, "").unwrap();
    let node = Process::dev(&["--config", file.to_str().unwrap()]).await;
    let mut open = Socket::mattermost(node.public, &node.tokens["alice"]).await;
    let long = format!(r#"{{"action":"ping","seq":1,"data":{{"x":"{}"}}}}"#, "y".repeat(5_000));

    // Several mistakes: each is named, and the good value among them does not count.
    let bad = "limits.message_bytes = '2KiB'\nlimits.outbox_events = 0\nnothing = 1";
    std::fs::write(&file, bad).unwrap();
    node.signal(Signal::HUP);
    for key in ["limits.outbox_events: ", "nothing: "] {
        let line = node.logged(key).await;
        assert!(line.contains("configuration not reloaded"), "{line}");
    }
    open.send(&long).await;
    let reply = async { while !open.text().await.contains("seq_reply") {} };
    timeout(PATIENCE, reply).await.expect("the old limit holds");

    let good = "limits.message_bytes = '2KiB'";
    std::fs::write(&file, good).unwrap();
    node.signal(Signal::HUP);
    node.logged("configuration reloaded").await;
    open.send(&long).await;
    assert_eq!(open.closed().await, 1009, "the new limit holds for a socket that was open");
}

#[tokio::test]
async fn a_reload_replaces_the_secret_that_signs_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hubbub.toml");
    std::fs::write(&file, "").unwrap();
    let node = Process::dev(&["--config", file.to_str().unwrap()]).await;
    let status = async || {
        let line = bearer(&node.tokens["alice"]);
        ask(node.public, "GET /api/v4/users/me/status", &line, "").await.status
    };
    assert_eq!(status().await, 200);
    std::fs::write(&file, "auth.secret = 'another-secret-another-secret-1234'").unwrap();
    node.signal(Signal::HUP);
    until("the old token ends", || async { status().await == 401 }).await;
}

#[test]
fn a_runtime_that_is_stuck_is_not_ready_and_recovers() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let busy = builder.worker_threads(1).enable_all().build().unwrap();
    let app = busy.block_on(App::start(Config::for_tests(), CancellationToken::new())).unwrap();
    let internal = app.internal();
    let asking = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ready = async || ask(internal, "GET /ready", "", "").await;
    asking.block_on(until("ready", || async { ready().await.status == 200 }));
    // The only worker waits here for as long as we like.
    let (release, held) = std::sync::mpsc::sync_channel::<()>(0);
    let mut blocked = JoinSet::new();
    blocked.spawn_on(async move { held.recv_timeout(PATIENCE).is_ok() }, busy.handle());
    asking.block_on(until("stuck", || async { ready().await.text.contains(r#"["stuck"]"#) }));
    release.send(()).unwrap();
    asking.block_on(until("ready again", || async { ready().await.status == 200 }));
    assert!(asking.block_on(blocked.join_next()).unwrap().unwrap());
}

#[tokio::test]
async fn a_new_certificate_is_served_without_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let (files, old, new) = (tls::files(&folder), tls::pair(), tls::pair());
    tls::write(&files, &old.certificate, &old.key);
    let paths = [files.certificate.to_str().unwrap(), files.key.to_str().unwrap()];
    let node = Process::dev(&["--tls-cert", paths[0], "--tls-key", paths[1]]).await;
    let (trusts_old, trusts_new) =
        (tls::trust(&old, &[&TLS13], &[]), tls::trust(&new, &[&TLS13], &[]));
    let accepts = async |connector: &TlsConnector| {
        let socket = TcpStream::connect(node.public).await.unwrap();
        connector.connect(ServerName::try_from("localhost").unwrap(), socket).await.is_ok()
    };
    assert!(accepts(&trusts_old).await && !accepts(&trusts_new).await);
    // Half a renewal fits nothing, so it changes nothing, and is said once.
    std::fs::write(&files.certificate, &new.certificate).unwrap();
    let line = node.logged("certificate not reloaded").await;
    assert!(line.contains("public.tls_cert"), "{line}");
    assert!(accepts(&trusts_old).await);
    std::fs::write(&files.key, &new.key).unwrap();
    until("the new certificate", || accepts(&trusts_new)).await;
    assert!(!accepts(&trusts_old).await);
}
