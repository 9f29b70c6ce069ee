//! A program that embeds a server.
//!
//! Goal: the examples do what they say, and the library keeps its promises: order,
//! one or all, exactly one close for each connect, a panic costs one connection.
//!
//! Method: the example binaries that `cargo test` built, and servers in this process,
//! under a client that shows every frame.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, OnceLock},
};

use hubbub::embed::{Config, Connection, Handle, Handler, Message, SendError, Server, Stopped};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    task::JoinSet,
    time::timeout,
};

use crate::support::{
    PATIENCE,
    socket::{Frame, Socket},
    until,
};

/// The folder of the built examples.
///
/// Cargo gives no variable for them, and builds them only for a test of everything.
fn examples() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // <target>/<profile>/deps/it-…
        let this = std::env::current_exe().unwrap();
        let profile = this.parent().and_then(Path::parent).unwrap();
        let mut build = std::process::Command::new(env!("CARGO"));
        build.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--examples", "--offline"]);
        build.arg("--target-dir").arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let built = build.output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        profile.join("examples")
    })
}

/// An example that runs.
struct Example {
    child: Child,
    address: SocketAddr,
}

impl Example {
    async fn start(name: &str) -> Self {
        let mut command = Command::new(examples().join(name));
        command.arg("127.0.0.1:0").env_clear().kill_on_drop(true).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
        let address =
            line.strip_prefix("listening on ws://").and_then(|rest| rest.strip_suffix('/'));
        Self { child, address: address.unwrap().parse().unwrap() }
    }

    async fn connect(&self) -> Socket {
        Socket::open(self.address, "/", "").await.unwrap()
    }

    /// Tells it to stop and returns its exit code.
    async fn stop(mut self) -> Option<i32> {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
        timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap().code()
    }
}

#[tokio::test]
async fn echo_all_tells_everybody_everything_in_one_order() {
    let example = Example::start("echo_all").await;
    let mut ann = example.connect().await;
    let came = ann.text().await;
    assert!(came.ends_with(" came"), "{came}");
    let mut ben = example.connect().await;
    let ben_came = ben.text().await;
    assert_eq!(ann.text().await, ben_came);
    let mut said = Vec::new();
    for number in 0..50 {
        ann.send(&format!("ann {number}")).await;
        ben.send(&format!("ben {number}")).await;
        said.extend([format!("ann {number}"), format!("ben {number}")]);
    }
    let (mut to_ann, mut to_ben) = (Vec::new(), Vec::new());
    for _ in 0..said.len() {
        to_ann.push(ann.text().await);
        to_ben.push(ben.text().await);
    }
    assert_eq!(to_ann, to_ben, "one order for all");
    to_ann.sort();
    said.sort();
    assert_eq!(to_ann, said, "nothing is lost or doubled");
    ann.send_frame(0x82, &[0, 255, 7]).await;
    assert_eq!(ben.next().await, Frame::Binary(vec![0, 255, 7]));
    assert_eq!(ann.next().await, Frame::Binary(vec![0, 255, 7]));
    ann.send_frame(0x88, &1000_u16.to_be_bytes()).await;
    assert_eq!(ann.closed().await, 1000);
    let left = ben.text().await;
    assert!(left.ends_with(" left (1000)"), "{left}");
    let stopping = example.stop();
    let (code, closed) = tokio::join!(stopping, ben.closed());
    assert_eq!((code, closed), (Some(0), 1012));
}

#[tokio::test]
async fn send_to_one_reaches_that_one_alone() {
    let example = Example::start("send_to_one").await;
    let (mut ann, mut ben) = (example.connect().await, example.connect().await);
    let name = |text: String| text.strip_prefix("you are ").unwrap().to_owned();
    let (ann_is, ben_is) = (name(ann.text().await), name(ben.text().await));
    ann.send(&format!("{ben_is} hello ben")).await;
    assert_eq!(ben.text().await, format!("{ann_is} says hello ben"));
    ann.send("aaaaaaaaaaaaaaaaaaaaaaaaaa hello nobody").await;
    assert_eq!(ann.text().await, "not sent: there is no such connection");
    ben.send_frame(0x82, b"bytes").await;
    assert_eq!(ben.closed().await, 4000);
    ann.send(&format!("{ann_is} still here")).await;
    assert_eq!(ann.text().await, format!("{ann_is} says still here"));
    assert_eq!(example.stop().await, Some(0));
}

/// Writes down what it hears; panics when it is told to.
#[derive(Clone, Default)]
struct Witness(Arc<Mutex<Vec<String>>>);

impl Witness {
    fn heard(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

impl Handler for Witness {
    async fn on_connect(&self, connection: &Connection) {
        self.0.lock().push("connect".to_owned());
        connection.send("welcome").await.unwrap();
    }

    async fn on_message(&self, connection: &Connection, message: Message) {
        let text = String::from_utf8_lossy(message.as_bytes()).into_owned();
        self.0.lock().push(text.clone());
        assert_ne!(text, "panic");
        connection.send(text).await.unwrap();
    }

    async fn on_close(&self, connection: &Connection, code: u16) {
        self.0.lock().push(format!("close {code}"));
        assert_eq!(connection.send("too late").await, Err(SendError::NotConnected));
    }
}

/// A server that runs until its handle stops it.
struct Running {
    address: SocketAddr,
    handle: Handle,
    ended: JoinSet<Stopped>,
}

async fn start(config: Config, witness: &Witness) -> Running {
    let server = Server::start(config, witness.clone()).await.unwrap();
    let (address, handle) = (server.address(), server.handle());
    let mut ended = JoinSet::new();
    ended.spawn(server.run());
    Running { address, handle, ended }
}

fn anywhere() -> Config {
    Config::embedded("127.0.0.1:0".parse().unwrap())
}

#[tokio::test]
async fn a_panic_costs_its_own_connection_and_says_1011() {
    let witness = Witness::default();
    let mut server = start(anywhere(), &witness).await;
    let mut other = Socket::open(server.address, "/", "").await.unwrap();
    let mut unlucky = Socket::open(server.address, "/", "").await.unwrap();
    assert_eq!((other.text().await, unlucky.text().await), ("welcome".into(), "welcome".into()));
    unlucky.send("panic").await;
    assert_eq!(unlucky.closed().await, 1011);
    until("one close", || async { witness.heard().contains(&"close 1011".to_owned()) }).await;
    other.send("fine").await;
    assert_eq!(other.text().await, "fine");
    assert_eq!(server.handle.connections().len(), 1);
    server.handle.stop();
    assert_eq!(other.closed().await, 1012);
    assert_eq!(server.ended.join_next().await.unwrap().unwrap(), Stopped::Clean);
    let heard = witness.heard();
    let count = |what: &str| heard.iter().filter(|line| line.starts_with(what)).count();
    assert_eq!((count("connect"), count("close")), (2, 2), "{heard:?}");
}

#[tokio::test]
async fn what_can_not_be_sent_is_an_error() {
    let witness = Witness::default();
    let mut config = anywhere();
    config.limits.event_bytes = 10;
    let server = start(config, &witness).await;
    let mut client = Socket::open(server.address, "/", "").await.unwrap();
    assert_eq!(client.text().await, "welcome");
    let id = server.handle.connections()[0];
    let long = server.handle.send_to(id, "eleven long").await;
    assert_eq!(long, Err(SendError::TooLong { limit: 10 }));
    assert_eq!(server.handle.close(id, 1006, "").await, Err(SendError::Code));
    server.handle.send_all(vec![1, 2, 3]).await.unwrap();
    server.handle.close(id, 4001, "enough").await.unwrap();
    assert_eq!(client.next().await, Frame::Binary(vec![1, 2, 3]), "what was sent still leaves");
    assert_eq!(client.closed().await, 4001);
    until("it is gone", || async { server.handle.connections().is_empty() }).await;
    assert_eq!(server.handle.send_to(id, "x").await, Err(SendError::NotConnected));
}

#[tokio::test]
async fn only_its_own_path_is_there_and_the_doors_checks_hold() {
    let server = start(anywhere(), &Witness::default()).await;
    for path in ["/api/v4/websocket", "/ws", "/echo", "/metrics", "/demo/"] {
        let refused = Socket::open(server.address, path, "").await.err().expect(path);
        assert!(refused.starts_with("HTTP/1.1 404 "), "{path}: {refused}");
    }
    let foreign = Socket::open(server.address, "/", "Origin: https://evil.example\r\n").await;
    assert!(foreign.err().expect("another origin").starts_with("HTTP/1.1 403 "));
    let mut client = Socket::open(server.address, "/?any=query", "").await.unwrap();
    assert_eq!(client.text().await, "welcome");
    client.send_frame(0x81, &[0xff]).await;
    assert_eq!(client.closed().await, 1007);
}
