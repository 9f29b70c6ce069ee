//! A child process: its output in a file, signals by its id, dead when dropped.

use std::{
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

/// A running or ended child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    pid: Option<Pid>,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, with both outputs appended to `log`.
    ///
    /// # Errors
    ///
    /// When the program can't be started.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let output = |path: &Path| -> Result<File> {
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.with_context(|| format!("the log {}", path.display()))
        };
        command.stdin(Stdio::null()).stdout(output(log)?).stderr(output(log)?).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("starting {name}"))?;
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Self { name: name.to_owned(), child, pid, log: log.to_owned() })
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// When the process has gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let Some(pid) = self.pid.filter(|_| self.child.id().is_some()) else {
            bail!("{} has ended", self.name);
        };
        kill_process(pid, signal).with_context(|| format!("signal to {}", self.name))
    }

    /// Waits for the end; `None` when a signal ended it.
    ///
    /// # Errors
    ///
    /// When it does not end within `patience`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn code(&mut self, patience: Duration) -> Result<Option<i32>> {
        let ended = timeout(patience, self.child.wait()).await;
        let ended = ended.with_context(|| format!("{} runs after {patience:?}", self.name))?;
        Ok(ended?.code())
    }

    /// Kills it at once and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When it has ended before by itself.
    ///
    /// # Cancel safety
    ///
    /// It may be killed though nobody waited for it.
    pub async fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.code(Duration::from_secs(10)).await?;
        Ok(())
    }

    /// How it ended, when it has.
    pub fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| status.to_string())
    }

    /// Resident memory in bytes, and open files.
    #[must_use]
    pub fn sample(&self) -> Option<(u64, u64)> {
        let folder = format!("/proc/{}", self.pid?.as_raw_nonzero());
        let status = fs::read_to_string(format!("{folder}/status")).ok()?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = rss.split_whitespace().next()?.parse().ok()?;
        let files = fs::read_dir(format!("{folder}/fd")).ok()?.count();
        Some((kib * 1024, u64::try_from(files).ok()?))
    }

    /// What it has written.
    #[must_use]
    pub fn output(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
