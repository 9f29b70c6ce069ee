//! `hubbub serve --dev` as a process of its own.

use std::{collections::HashMap, net::SocketAddr, process::Stdio, sync::Arc};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    task::JoinSet,
    time::timeout,
};

use super::{PATIENCE, until};

/// A node on free ports. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    /// The public listener.
    pub(crate) public: SocketAddr,
    /// The internal listener.
    pub(crate) internal: SocketAddr,
    /// The printed tokens by user.
    pub(crate) tokens: HashMap<String, String>,
    log: Arc<Mutex<Vec<String>>>,
    _reader: JoinSet<()>,
}

impl Process {
    /// Starts a development node with more arguments and waits until it is ready.
    pub(crate) async fn dev(args: &[&str]) -> Self {
        let mut all = vec!["serve", "--dev"];
        all.extend(["--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0"]);
        all.extend(args);
        let mut command = Command::new(env!("CARGO_BIN_EXE_hubbub"));
        command.args(all).env_clear().kill_on_drop(true).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut reader = JoinSet::new();
        let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
        let lines = Arc::clone(&log);
        reader.spawn(async move {
            while let Ok(Some(line)) = errors.next_line().await {
                lines.lock().push(line);
            }
        });
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut next = async || {
            let line = timeout(PATIENCE, output.next_line()).await.unwrap().unwrap();
            line.unwrap_or_else(|| panic!("ended: {:?}", log.lock()))
        };
        let address = |line: &str| {
            let (_, address) = line.split_once("://").unwrap_or_else(|| panic!("{line}"));
            address.parse().unwrap()
        };
        let (public, internal) = (address(&next().await), address(&next().await));
        let mut tokens = HashMap::new();
        for _ in ["alice", "bob"] {
            let line = next().await;
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!((words[0], words.len()), ("token", 3), "{line}");
            tokens.insert(words[1].to_owned(), words[2].to_owned());
        }
        Self { child, public, internal, tokens, log, _reader: reader }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Waits for the end and returns the exit code; `None` when a signal ended it.
    pub(crate) async fn code(&mut self) -> Option<i32> {
        timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap().code()
    }

    /// Waits until a line of the log contains `text`, and returns the first such line.
    pub(crate) async fn logged(&self, text: &str) -> String {
        let find = || self.log.lock().iter().find(|line| line.contains(text)).cloned();
        until(text, || std::future::ready(find().is_some())).await;
        find().unwrap()
    }
}
