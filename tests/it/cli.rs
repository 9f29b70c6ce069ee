//! The command line, run as a process.
//!
//! Goal: people and scripts get the lines, the exit codes and the errors that the
//! documents promise.
//!
//! Method: the real binary in a clean environment; conditions are polled with a
//! deadline, nothing sleeps.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(30);

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// `hubbub` without an environment.
fn hubbub(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hubbub"));
    command.args(args).env_clear().kill_on_drop(true).stdin(Stdio::null());
    command
}

async fn output(command: &mut Command) -> Output {
    timeout(PATIENCE, command.output()).await.unwrap().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs `args` and expects `code`; gives stdout and stderr.
async fn run(args: &[&str], code: i32) -> (String, String) {
    let output = output(&mut hubbub(args)).await;
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{args:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

/// A node in `--dev` on free ports.
struct Dev {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    public: String,
    internal: String,
}

impl Dev {
    async fn start(args: &[&str]) -> Self {
        let ports = ["--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0"];
        Self::of(hubbub(&[&["serve", "--dev"], args, &ports].concat())).await
    }

    async fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = async |name: &str| {
            let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
            let address = line.strip_prefix(name).unwrap_or_else(|| panic!("{line}"));
            address.trim_start().to_owned()
        };
        let public = address("public    http://").await;
        let internal = address("internal  http://").await;
        Self { child, lines, public, internal }
    }

    async fn line(&mut self) -> String {
        timeout(PATIENCE, self.lines.next_line()).await.unwrap().unwrap().unwrap()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    async fn code(mut self) -> Option<i32> {
        timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap().code()
    }
}

async fn get(address: &str, path: &str) -> String {
    get_with(address, path, "").await
}

async fn get_with(address: &str, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    text(&answer)
}

#[tokio::test]
async fn dev_prints_its_lines_serves_and_stops_cleanly() {
    let mut dev = Dev::start(&[]).await;
    for user in ["alice", "bob"] {
        let line = dev.line().await;
        let token = line.strip_prefix(&format!("token {user} ")).unwrap();
        assert_eq!(token.split('.').count(), 3, "{line}");
    }
    let answer = get(&dev.public, "/").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    dev.signal("TERM");
    assert_eq!(dev.code().await, Some(0));
}

#[tokio::test]
async fn a_newcomers_cargo_run_is_dev() {
    let mut command = hubbub(&["--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0"]);
    command.env("CARGO_PKG_NAME", "hubbub");
    let dev = Dev::of(command).await;
    assert!(dev.public.starts_with("127.0.0.1:"));
    dev.signal("INT");
    assert_eq!(dev.code().await, Some(0));
}

#[tokio::test]
async fn an_installed_node_without_keys_names_them_and_exits_2() {
    for args in [&[][..], &["serve"], &["check-config"]] {
        let (stdout, stderr) = run(args, 2).await;
        assert_eq!(stdout, "");
        for key in ["\nauth.secret: ", "\ninternal.api_key: "] {
            assert!(stderr.contains(key), "{args:?}: {stderr}");
        }
    }
}

#[tokio::test]
async fn c01_every_error_is_named_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hubbub.toml");
    std::fs::write(&file, "[public]\nlissen = 'x'\n[limits]\nping_interval = 30\n").unwrap();
    let file = file.to_str().unwrap();
    for command in ["check-config", "serve"] {
        let args = [command, "--dev", "--config", file, "--set", "hubs.queue=no"];
        let mut command = hubbub(&args);
        command.env("HUBBUB_LOG__NOTHING", "1").env("HUBBUB_SERVICE_HOST", "10.0.0.1");
        let output = output(&mut command).await;
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        for key in
            ["public.lissen: ", "limits.ping_interval: ", "hubs.queue: ", "HUBBUB_LOG__NOTHING: "]
        {
            assert!(stderr.contains(&format!("\n{key}")), "{key}: {stderr}");
        }
        assert!(!stderr.contains("SERVICE_HOST: "), "{stderr}");
    }
}

#[tokio::test]
async fn arguments_that_do_not_exist_exit_2() {
    for args in [
        &["nothing"][..],
        &["--nothing"],
        &["serve", "--listen"],
        &["token"],
        &["token", "--user", "a b"],
        &["token", "--user", "a", "--ttl", "60"],
        &["completions", "cobol"],
    ] {
        let (stdout, stderr) = run(args, 2).await;
        assert!(stdout.is_empty() && !stderr.is_empty(), "{args:?}");
    }
}

#[tokio::test]
async fn c03_dev_refuses_to_be_reached_from_outside() {
    let (_, stderr) = run(&["serve", "--dev", "--listen", "0.0.0.0:0"], 2).await;
    assert!(stderr.contains("\npublic.listen: "), "{stderr}");
}

#[tokio::test]
async fn a_port_that_is_taken_exits_1_and_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (stdout, stderr) = run(&["serve", "--dev", "--listen", &address], 1).await;
    assert!(stdout.is_empty() && stderr.contains(&address), "{stderr}");
}

#[tokio::test]
async fn the_default_configuration_passes_its_own_check() {
    let (config, _) = run(&["config"], 0).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hubbub.toml");
    std::fs::write(&file, config).unwrap();
    let (stdout, stderr) =
        run(&["check-config", "--dev", "--config", file.to_str().unwrap()], 0).await;
    assert_eq!((stdout.as_str(), stderr.as_str()), ("the configuration is good\n", ""));
}

#[tokio::test]
async fn check_config_opens_what_serve_would_open() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("no.pem");
    std::fs::write(&file, "not a key").unwrap();
    let path = file.to_str().unwrap();
    let args = ["check-config", "--dev", "--tls-cert", path, "--tls-key", path];
    let (_, stderr) = run(&args, 2).await;
    assert!(stderr.contains(path), "{stderr}");
    let config = folder.path().join("hubbub.toml");
    let key = format!("[[auth.keys]]\nalgorithm = 'RS256'\npublic_key_file = '{path}'\n");
    std::fs::write(&config, key).unwrap();
    let (_, stderr) =
        run(&["check-config", "--dev", "--config", config.to_str().unwrap()], 2).await;
    assert!(stderr.contains("auth.keys[0]"), "{stderr}");
}

#[tokio::test]
async fn a_token_is_signed_with_the_configured_secret() {
    let mut command = hubbub(&[
        "token",
        "--user",
        "alice",
        "--channels",
        "a,b",
        "--teams",
        "t",
        "--roles",
        "r",
        "--ttl",
        "5m",
    ]);
    command.env("HUBBUB_AUTH__SECRET", SECRET);
    let signed = output(&mut command).await;
    assert!(signed.status.success(), "{}", text(&signed.stderr));
    let token = text(&signed.stdout);
    let mut config = hubbub::config::Config::for_tests().auth;
    config.keys[0].material =
        hubbub::config::KeyMaterial::Secret(hubbub::config::Secret::new(SECRET));
    let clock = hubbub::clock::Clock::system();
    let verifier = hubbub::auth::Verifier::new(&config, clock).unwrap();
    let identity = verifier.verify(token.trim_end()).await.unwrap();
    assert_eq!((identity.user.as_str(), identity.realm.as_str()), ("alice", "default"));
    assert_eq!((identity.seeds.len(), identity.roles.len()), (3, 1));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let path = file.to_str().unwrap();
    let (from_file, stderr) = run(&["token", "--user", "bob", "--secret-file", path], 0).await;
    assert!(verifier.verify(from_file.trim_end()).await.is_ok());
    assert!(stderr.contains("every user can read"), "{stderr}");
}

#[tokio::test]
async fn a_token_that_no_node_would_take_is_refused() {
    let (_, stderr) = run(&["token", "--user", "alice"], 2).await;
    assert!(stderr.contains("\nauth.secret: is missing"), "{stderr}");
    let mut command = hubbub(&["token", "--user", "alice", "--ttl", "25h"]);
    let refused = output(command.env("HUBBUB_AUTH__SECRET", SECRET)).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("auth.max_lifetime"));
}

#[tokio::test]
async fn healthcheck_tells_ready_from_not() {
    let dev = Dev::start(&[]).await;
    let set = format!("internal.listen={}", dev.internal);
    run(&["healthcheck", "--set", &set], 0).await;
    run(&["healthcheck", "--url", &format!("http://{}/ready", dev.internal)], 0).await;
    let wrong = format!("http://{}/no-such-page", dev.public);
    let (_, stderr) = run(&["healthcheck", "--url", &wrong], 1).await;
    assert!(stderr.contains("answered 404"), "{stderr}");
    dev.signal("TERM");
    assert_eq!(dev.code().await, Some(0));
    let (_, stderr) = run(&["healthcheck", "--set", &set], 1).await;
    assert!(stderr.contains("no answer from"), "{stderr}");
    run(&["healthcheck", "--url", "ftp://node/"], 2).await;
}

#[tokio::test]
async fn help_version_and_completions_are_there() {
    let (version, _) = run(&["--version"], 0).await;
    assert_eq!(version, concat!("hubbub ", env!("CARGO_PKG_VERSION"), "\n"));
    let (help, _) = run(&["--help"], 0).await;
    for command in ["serve", "token", "check-config", "config", "healthcheck", "completions"] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
    }
    for flag in ["--dev", "--listen", "--internal-listen", "--redis-url", "--tls-cert", "--set"] {
        assert!(help.contains(flag), "{flag}: {help}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let (script, _) = run(&["completions", shell], 0).await;
        assert!(script.contains("check-config"), "{shell}");
    }
}

#[tokio::test]
async fn a_reload_changes_what_may_change_and_survives_a_bad_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hubbub.toml");
    std::fs::write(&file, "").unwrap();
    let ports = ["--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0"];
    let start = ["serve", "--dev", "--config", file.to_str().unwrap()];
    let mut command = hubbub(&[&start[..], &ports].concat());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut wait_for = async |text: &str| loop {
        let line = timeout(PATIENCE, log.next_line()).await.unwrap().unwrap().unwrap();
        if line.contains(text) {
            return line;
        }
    };
    wait_for("starting").await;
    let dev = |name: &str| {
        let pid = child.id().unwrap().to_string();
        assert!(
            std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap().success()
        );
    };
    // The signal is understood once the node listens; both listeners log it.
    wait_for("ready").await;
    std::fs::write(&file, "limits.outbox_events = 0").unwrap();
    dev("HUP");
    let line = wait_for("configuration not reloaded").await;
    assert!(line.contains("limits.outbox_events: must be from 8"), "{line}");
    std::fs::write(&file, "hubs.queue = 99\ntelemetry.log_level = 'debug'").unwrap();
    dev("HUP");
    let line = wait_for("changed key waits for a restart").await;
    assert!(line.contains("hubs.queue"), "{line}");
    wait_for("configuration reloaded").await;
    dev("TERM");
    assert_eq!(timeout(PATIENCE, child.wait()).await.unwrap().unwrap().code(), Some(0));
}

#[tokio::test]
async fn nobody_at_stdout_or_stderr_stops_a_node() {
    let ports = ["--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0"];
    let mut command = hubbub(&[&["serve", "--dev"][..], &ports].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stderr.take());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    let public = line.strip_prefix("public    http://").unwrap().to_owned();
    drop(lines);
    assert!(get(&public, "/").await.starts_with("HTTP/1.1 200 "));
    let pid = child.id().unwrap().to_string();
    assert!(
        std::process::Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success()
    );
    assert_eq!(timeout(PATIENCE, child.wait()).await.unwrap().unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_reload_replaces_keys_and_limits_of_the_running_node() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hubbub.toml");
    let write = |key: &str, headers: u32| {
        let text = format!(
            "auth.secret = '{SECRET}'\ninternal.api_key = '{key}'\nlimits.headers = {headers}\n\
             dialects.room.enabled = true"
        );
        std::fs::write(&file, text).unwrap();
    };
    write("first-first-first", 64);
    let ports = ["--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0"];
    let start = ["serve", "--config", file.to_str().unwrap()];
    let node = Dev::of(hubbub(&[&start[..], &ports].concat())).await;
    let status = async |address: &str, path: &str, headers: &str| {
        let answer = get_with(address, path, headers).await;
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let call = async |key: &str| {
        status(&node.internal, "/api/v1/node", &format!("Authorization: Bearer {key}\r\n")).await
    };
    let headers = "X: 1\r\n".repeat(20);
    assert_eq!(call("first-first-first").await, "200");
    assert_eq!(call("second-second-second").await, "401");
    assert_eq!(status(&node.public, "/api/v4/system/ping", &headers).await, "200");
    write("second-second-second", 16);
    node.signal("HUP");
    timeout(PATIENCE, async { while call("second-second-second").await != "200" {} })
        .await
        .unwrap();
    assert_eq!(call("first-first-first").await, "401");
    assert_eq!(status(&node.public, "/api/v4/system/ping", &headers).await, "431");
    node.signal("TERM");
    assert_eq!(node.code().await, Some(0));
}
