//! What every run must show at its end.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::{Instant, timeout};

use super::Run;
use crate::{
    check::check,
    load::{Load, Stats, agrees, percentile},
};

/// After the last fault everything must be right again in this time.
const LIVE: Duration = Duration::from_secs(10);
/// Presence must be right after this time.
const PRESENCE: Duration = Duration::from_secs(20);

impl Run {
    /// Ends the load and makes the demands that every scenario makes.
    ///
    /// # Errors
    ///
    /// When a task of the load failed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn settle(&mut self) -> Result<()> {
        let mut load = self.load.take().context("this scenario has no load")?;
        let quiet = timeout(Duration::from_secs(90), load.quiet()).await;
        let settled = match quiet {
            Err(_) => Err(anyhow::anyhow!("publishers do not end")),
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) => self.converge(&load).await,
        };
        self.expect(settled.is_ok(), format_args!("the end of the load: {settled:?}"));
        timeout(Duration::from_secs(20), load.end()).await.context("clients do not end")??;
        self.faults.flush()?;
        self.node_history.flush()?;
        self.load = Some(load);
        self.judge_nodes();
        self.judge_load()?;
        self.judge_history().await
    }

    /// Waits until clients, log and presence are as they should be.
    async fn converge(&mut self, load: &Load) -> Result<()> {
        load.connected(Duration::from_secs(30)).await?;
        let (took, missing) = load.barrier(LIVE).await?;
        self.fact("barrier_ms", took.as_millis());
        let some: Vec<&String> = missing.iter().take(3).collect();
        self.expect(missing.is_empty(), format_args!("I-LIVE: {} behind: {some:?}", missing.len()));
        let began = Instant::now();
        let mut wrong = agrees(&load.shared).await;
        while !wrong.is_empty() && began.elapsed() < PRESENCE {
            self.pass(0.5).await;
            wrong = agrees(&load.shared).await;
        }
        self.fact("presence_ms", began.elapsed().as_millis());
        let some: Vec<&String> = wrong.iter().take(3).collect();
        self.expect(wrong.is_empty(), format_args!("I-PRE: {} wrong: {some:?}", wrong.len()));
        Ok(())
    }

    /// Demands that no node has ended by itself or panicked.
    pub fn judge_nodes(&mut self) {
        let mut found = Vec::new();
        let mut peak = (0, 0);
        for node in &mut self.nodes {
            found
                .extend(node.panics().into_iter().take(3).map(|line| format!("I-NOPANIC: {line}")));
            if !node.is_running() {
                found.push(format!("{} has ended by itself:\n{}", node.id, node.tail(8)));
            }
            peak = (peak.0.max(node.peak.0), peak.1.max(node.peak.1));
        }
        self.failures.extend(found);
        self.fact("rss_mib", peak.0 / 1024 / 1024);
        self.fact("files", peak.1);
    }

    fn judge_load(&mut self) -> Result<()> {
        let stats = self.stats()?;
        let of = Stats::of;
        let violations = stats.violations.lock().clone();
        let (resets, lossy) = (of(&stats.resets), self.lossy);
        let delivery: Vec<f64> = stats.delivery_ms.lock().iter().map(|(_, took)| *took).collect();
        let resume = stats.resume_ms.lock().clone();
        let closes = format!("{:?}", stats.closes.lock()).replace(' ', "");
        let reasons = format!("{:?}", stats.reasons.lock()).replace(' ', "");
        let dials = format!("{:?}", stats.dials_failed.lock()).replace(' ', "_");
        let facts = [
            ("published", of(&stats.published)),
            ("retried", of(&stats.attempts_failed)),
            ("duplicates", of(&stats.duplicates)),
            ("given_up", of(&stats.given_up)),
            ("changed", of(&stats.changed)),
            ("delivered", of(&stats.delivered)),
            ("resumes", of(&stats.resumes)),
            ("resets", resets),
        ];
        for (name, value) in facts {
            self.fact(name, value);
        }
        self.fact("closes", closes);
        for (name, told) in [("reasons", reasons), ("dials_failed", dials)] {
            if told != "{}" {
                self.fact(name, told);
            }
        }
        self.fact("machine_late_ms", percentile(&self.late_ms, 0.99).round());
        for (name, samples) in [("resume", &resume), ("delivery", &delivery)] {
            for (share, label) in [(0.5, "p50"), (0.99, "p99"), (1.0, "max")] {
                self.fact(&format!("{name}_{label}_ms"), percentile(samples, share).round());
            }
        }
        let some: Vec<&String> = violations.iter().take(5).collect();
        self.expect(
            violations.is_empty(),
            format_args!("{} violations: {some:#?}", violations.len()),
        );
        self.expect(lossy || resets == 0, format_args!("{resets} resets, though nothing was lost"));
        Ok(())
    }

    async fn judge_history(&mut self) -> Result<()> {
        let verdict = check(self.history.folder(), self.lossy).await?;
        let Some(verdict) = verdict else {
            self.fact("check", "absent");
            return Ok(());
        };
        self.fact("check", if verdict.holds { "holds" } else { "FAILED" });
        std::fs::write(self.folder.join("verdict"), &verdict.text)?;
        let lines: Vec<&str> = verdict.text.lines().take(12).collect();
        self.expect(verdict.holds, format_args!("hubbub-check: {}", lines.join("\n  ")));
        Ok(())
    }
}
