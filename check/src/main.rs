//! The command: a folder of histories in, a verdict out.
//!
//! Invariants: 0 says that everything was read and every promise holds; 1 that one is
//! broken; 2 that the run cannot be judged.

use std::{
    env,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use hubbub_check::{
    Options, check, read,
    report::{Invariant, Report, Verdict},
};

const USAGE: &str = "\
usage: hubbub-check [OPTIONS] FOLDER

Reads every *.jsonl of FOLDER as one run and says which promise was broken.

  --json                 the verdict as JSON
  --no-resets            no data was lost in this run: every reset is a violation
  --presence-within MS   how late presence may be (20000)
  --first N              how many violations of each promise are told (10)
  --allow-empty          a run without deliveries or without a barrier is fine
  -h, --help             this text

Ends with 0 when every promise holds, 1 when one is broken, 2 when the run cannot be
judged: unreadable lines, nothing received, no barrier.
";

struct Arguments {
    folder: PathBuf,
    json: bool,
    options: Options,
}

#[derive(Debug, thiserror::Error)]
enum UsageError {
    #[error("one folder is needed")]
    Folder,
    #[error("{0} needs a number")]
    Number(String),
    #[error("unknown option {0}")]
    Unknown(String),
}

/// The arguments; none when help is asked for.
fn parse(given: impl Iterator<Item = String>) -> Result<Option<Arguments>, UsageError> {
    let mut options = Options::default();
    let mut folder = None;
    let mut json = false;
    let mut given = given;
    while let Some(word) = given.next() {
        match word.as_str() {
            "-h" | "--help" => return Ok(None),
            "--json" => json = true,
            "--no-resets" => options.no_resets = true,
            "--allow-empty" => options.allow_empty = true,
            "--presence-within" => {
                let number: Option<u32> = given.next().and_then(|text| text.parse().ok());
                options.presence_within_ms = number.ok_or(UsageError::Number(word))?.into();
            }
            "--first" => {
                let number = given.next().and_then(|text| text.parse().ok());
                options.kept_max = number.ok_or(UsageError::Number(word))?;
            }
            option if option.starts_with('-') => return Err(UsageError::Unknown(word)),
            _ if folder.is_some() => return Err(UsageError::Folder),
            _ => folder = Some(PathBuf::from(word)),
        }
    }
    let folder = folder.ok_or(UsageError::Folder)?;
    Ok(Some(Arguments { folder, json, options }))
}

fn judge(arguments: &Arguments) -> Result<Report, read::ReadError> {
    let read = read::folder(&arguments.folder)?;
    let mut report = check(&read.history, &arguments.options);
    for bad in &read.bad {
        report.add(Invariant::Format, &read.history.names, None, || {
            let cause = std::error::Error::source(&bad.error);
            let cause = cause.map_or(String::new(), |cause| format!(": {cause}"));
            format!("{}:{}: {}{cause}", bad.file, bad.line, bad.error)
        });
    }
    Ok(report)
}

fn main() -> ExitCode {
    let mut stdout = io::stdout().lock();
    let mut stderr = io::stderr().lock();
    let (code, written) = match parse(env::args().skip(1)) {
        Ok(None) => (0, stdout.write_all(USAGE.as_bytes())),
        Err(error) => (2, write!(stderr, "error: {error}\n\n{USAGE}")),
        Ok(Some(arguments)) => match judge(&arguments) {
            Ok(report) => {
                let text = if arguments.json { report.json().to_string() } else { report.text() };
                let code = match report.verdict() {
                    Verdict::Clean => 0,
                    Verdict::Violated => 1,
                    Verdict::Unreadable => 2,
                };
                (code, writeln!(stdout, "{text}"))
            }
            Err(error) => {
                let cause = std::error::Error::source(&error);
                let cause = cause.map_or(String::new(), |cause| format!(": {cause}"));
                (2, writeln!(stderr, "error: {error}{cause}"))
            }
        },
    };
    // A verdict that nobody could read is none.
    ExitCode::from(if written.is_ok() { code } else { 2 })
}
