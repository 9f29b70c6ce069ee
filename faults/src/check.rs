//! Runs `hubbub-check` over the histories of a run.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{process::Command, time::timeout};

use crate::system::binary;

/// A verdict.
#[derive(Debug)]
pub struct Verdict {
    /// Whether everything that must hold held.
    pub holds: bool,
    /// What the checker printed.
    pub text: String,
}

/// Judges the histories in `folder`; `None` when there is no checker. Unless the run is
/// `lossy`, no reset is excused.
///
/// # Errors
///
/// When the checker can't be run, or takes minutes.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn check(folder: &Path, lossy: bool) -> Result<Option<Verdict>> {
    let Ok(checker) = binary("HUBBUB_CHECK", "hubbub-check") else { return Ok(None) };
    let mut command = Command::new(checker);
    command.args((!lossy).then_some("--no-resets")).arg(folder).kill_on_drop(true);
    let run = timeout(Duration::from_secs(300), command.output()).await;
    let output = run.context("the checker runs for five minutes")??;
    let both = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&both).into_owned();
    Ok(Some(Verdict { holds: output.status.success(), text }))
}
