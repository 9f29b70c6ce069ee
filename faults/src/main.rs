//! `hubbub-faults`: runs scenarios by name.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use hubbub_faults::{
    run::{Outcome, Params, Run},
    scenario::{SCENARIOS, Scenario},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, timeout},
};

const USAGE: &str = "usage: hubbub-faults list
       hubbub-faults run NAME… [--clients N] [--rate R] [--seconds S] [--seed X] [--keep DIR]

Runs the scenario NAME, or where there is none all whose names begin with NAME and `_`, one
after the other, and prints one line for each. The files of a failed run are kept (below DIR, or where the line says).
HUBBUB_BINARY is the server, HUBBUB_CHECK the checker: both default to what lies beside this
program.";

/// What was asked for.
#[derive(Default)]
struct Asked {
    names: Vec<String>,
    clients: Option<usize>,
    rate: Option<f64>,
    seconds: Option<u64>,
    seed: Option<u64>,
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let result = match words.split_first() {
        Some((first, _)) if first == "list" => list(),
        Some((first, rest)) if first == "run" => parse(rest).and_then(|asked| run(&asked)),
        Some((first, _)) if first == "--help" || first == "-h" => say(USAGE).map(|()| true),
        _ => Err(anyhow::anyhow!("{USAGE}")),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            writeln!(io::stderr(), "error: {error:#}").ok();
            ExitCode::from(2)
        }
    }
}

fn say(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).context("the output is closed")
}

fn list() -> Result<bool> {
    for one in SCENARIOS {
        let lossy = if one.lossy { "lossy" } else { "" };
        say(&format!("{:32} {lossy:6} {}", one.name, one.about))?;
    }
    Ok(true)
}

fn parse(words: &[String]) -> Result<Asked> {
    let mut asked = Asked::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if !word.starts_with("--") {
            asked.names.push(word.clone());
            continue;
        }
        let value = words.next().with_context(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--clients" => asked.clients = Some(value.parse()?),
            "--rate" => asked.rate = Some(value.parse()?),
            "--seconds" => asked.seconds = Some(value.parse()?),
            "--seed" => asked.seed = Some(value.parse()?),
            "--keep" => asked.keep = Some(PathBuf::from(value)),
            _ => bail!("{word} is unknown\n{USAGE}"),
        }
    }
    Ok(asked)
}

fn run(asked: &Asked) -> Result<bool> {
    let mut chosen = Vec::new();
    for name in &asked.names {
        let begins = |one: &&Scenario| {
            one.name.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('_'))
        };
        let exact: Vec<&Scenario> = SCENARIOS.iter().filter(|one| one.name == name).collect();
        let found = match exact.is_empty() {
            true => SCENARIOS.iter().filter(begins).collect(),
            false => exact,
        };
        if found.is_empty() {
            bail!("there is no scenario {name}");
        }
        chosen.extend(found);
    }
    if chosen.is_empty() {
        bail!("{USAGE}");
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut passed = true;
    for one in chosen {
        passed &= runtime.block_on(interruptible(one, asked))?;
    }
    Ok(passed)
}

/// A signal ends the run in order, so that no child is left.
async fn interruptible(scenario: &Scenario, asked: &Asked) -> Result<bool> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        biased;
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
        passed = Box::pin(play(scenario, asked)) => passed,
    }
}

async fn play(scenario: &Scenario, asked: &Asked) -> Result<bool> {
    let seed = asked.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    fastrand::seed(seed);
    let folder = folder(scenario, asked.keep.as_deref())?;
    let params = Params {
        clients: asked.clients.unwrap_or(scenario.clients),
        rate: asked.rate.unwrap_or(scenario.rate),
        seconds: asked.seconds.unwrap_or(scenario.seconds),
    };
    let began = Instant::now();
    let clients = params.clients;
    let limit = Duration::from_secs(params.seconds * 2 + 240);
    let mut run = Run::new(params, folder.path(), scenario.lossy)?;
    let played = timeout(limit, (scenario.play)(&mut run)).await;
    let played = played.unwrap_or_else(|_| Err(anyhow::anyhow!("not over after {limit:?}")));
    if let Err(error) = played {
        run.expect(false, format_args!("{error:#}"));
    }
    let Outcome { failures, facts } = run.outcome();
    let passed = failures.is_empty();
    let result = if passed { "passed" } else { "FAILED" };
    let facts: String = facts.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    let took = began.elapsed().as_secs();
    let name = scenario.name;
    let mut line = format!("{name} {result} took_s={took} clients={clients} seed={seed}{facts}");
    if !passed || asked.keep.is_some() {
        line.push_str(&format!(" folder={}", folder.keep().display()));
    }
    for failure in failures {
        line.push_str(&format!("\n  {failure}"));
    }
    say(&line)?;
    Ok(passed)
}

fn folder(scenario: &Scenario, keep: Option<&Path>) -> Result<tempfile::TempDir> {
    let prefix = format!("hubbub-faults-{}-", scenario.name);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix);
    let made = match keep {
        Some(below) => {
            std::fs::create_dir_all(below)?;
            builder.tempdir_in(below)
        }
        None => builder.tempdir(),
    };
    made.context("a folder for the run")
}
