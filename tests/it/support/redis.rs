//! A redis-server on a free port, ended when dropped. Nodes log in as the user of
//! `docs/operations.md`, with the rights that stand there and no others.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{PATIENCE, until};

/// Who sets the rights, the default user being off.
const OPERATOR: &str = "AUTH operator PASSWORD\r\n";

/// One server, without data.
pub(crate) struct Redis {
    child: Child,
    port: u16,
    /// A replica keeps there what it is sent first.
    _folder: tempfile::TempDir,
}

impl Redis {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With more arguments.
    pub(crate) async fn start_with(args: &[&str]) -> Self {
        // Kept for no longer than it takes to know which port is free.
        let port = {
            let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
            free.local_addr().unwrap().port()
        };
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        let folder = tempfile::tempdir().unwrap();
        command.arg("--dir").arg(folder.path()).args(args);
        command.args(["--user", "operator", "on", ">PASSWORD", "~*", "&*", "+@all"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("redis is installed (Debian package redis)");
        let redis = Self { child, port, _folder: folder };
        until("redis answers", || redis.answers()).await;
        for kind in ["every server", "also with redis.mode=standalone or sentinel"] {
            redis.allow(kind).await;
        }
        assert_eq!(redis.command("ACL SETUSER default off").await, "+OK");
        redis
    }

    /// Gives the user the rights that stand below `# <kind>` in the document.
    pub(crate) async fn allow(&self, kind: &str) {
        let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
        let text = std::fs::read_to_string(document).unwrap();
        let mut lines = text.lines().skip_while(|line| *line != format!("# {kind}"));
        assert_eq!(self.command(lines.nth(1).unwrap()).await, "+OK", "{kind}");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://hubbub:PASSWORD@127.0.0.1:{}", self.port)
    }

    /// The first line of the answer to a command whose words have no blanks.
    pub(crate) async fn command(&self, words: &str) -> String {
        let mut stream = self.operator().await;
        stream.write_all(format!("{words}\r\n").as_bytes()).await.unwrap();
        let mut line = String::new();
        timeout(PATIENCE, stream.read_line(&mut line)).await.unwrap().unwrap();
        line.trim_end().to_owned()
    }

    async fn operator(&self) -> BufReader<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.write_all(OPERATOR.as_bytes()).await.unwrap();
        let mut line = String::new();
        timeout(PATIENCE, stream.read_line(&mut line)).await.unwrap().unwrap();
        assert_eq!(line, "+OK\r\n");
        stream
    }

    /// Sees every command from now on, also those of scripts.
    pub(crate) async fn monitor(&self) -> Monitor {
        let mut lines = self.operator().await;
        lines.write_all(b"MONITOR\r\n").await.unwrap();
        let mut line = String::new();
        timeout(PATIENCE, lines.read_line(&mut line)).await.unwrap().unwrap();
        assert_eq!(line, "+OK\r\n");
        Monitor { lines, asking: self.operator().await }
    }

    async fn answers(&self) -> bool {
        let asking = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
            stream.write_all(b"PING\r\n").await.ok()?;
            let mut pong = [0; 7];
            stream.read_exact(&mut pong).await.ok()?;
            (&pong == b"+PONG\r\n").then_some(())
        };
        matches!(timeout(Duration::from_secs(1), asking).await, Ok(Some(())))
    }
}

/// What a server is asked for.
pub(crate) struct Monitor {
    lines: BufReader<TcpStream>,
    asking: BufReader<TcpStream>,
}

impl Monitor {
    /// The words of each command up to now.
    pub(crate) async fn stop(mut self) -> Vec<Vec<String>> {
        const END: &str = "the-end-of-what-is-monitored";
        self.asking.write_all(format!("PING {END}\r\n").as_bytes()).await.unwrap();
        let mut commands = Vec::new();
        loop {
            let mut line = String::new();
            timeout(PATIENCE, self.lines.read_line(&mut line)).await.unwrap().unwrap();
            if line.contains(END) {
                return commands;
            }
            // +<time> [<database> <who>] "<word>" "<word>" …
            let (_, words) = line.trim_end().split_once("] ").unwrap();
            let words = words.trim_matches('"').split("\" \"").map(str::to_owned);
            commands.push(words.collect());
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
