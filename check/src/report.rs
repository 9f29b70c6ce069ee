//! What was found: a tally for each invariant, and the first violations of each.
//!
//! Invariants: every violation is counted, also where it is not kept; the text of one
//! that is not kept is never made.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::history::{At, Names};

/// What a run must keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Invariant {
    /// An acknowledged event reaches each who is entitled, or a reset comes first.
    #[serde(rename = "I-ACK")]
    Ack,
    /// Offsets rise.
    #[serde(rename = "I-ORD")]
    Order,
    /// Numbers of a connection are 0, 1, 2 and so on.
    #[serde(rename = "I-SEQ")]
    Seq,
    /// No event twice in a connection.
    #[serde(rename = "I-DUP")]
    Dup,
    /// No event for whom it is not.
    #[serde(rename = "I-ENT")]
    Entitled,
    /// No event of another realm.
    #[serde(rename = "I-TEN")]
    Tenant,
    /// No reset without a cause.
    #[serde(rename = "I-RST")]
    Reset,
    /// Presence is the truth within a time.
    #[serde(rename = "I-PRE")]
    Presence,
    /// Nothing after a token's end or a revocation.
    #[serde(rename = "I-AUTH")]
    Auth,
    /// Everyone arrives at the end.
    #[serde(rename = "I-LIVE")]
    Live,
    /// A publish is in the log once.
    #[serde(rename = "DEDUPE")]
    Dedupe,
    /// The history itself makes sense. Broken, the run says nothing.
    #[serde(rename = "FORMAT")]
    Format,
}

impl Invariant {
    /// All, in the order of the report.
    pub const ALL: [Self; 12] = [
        Self::Ack,
        Self::Order,
        Self::Seq,
        Self::Dup,
        Self::Entitled,
        Self::Tenant,
        Self::Reset,
        Self::Presence,
        Self::Auth,
        Self::Live,
        Self::Dedupe,
        Self::Format,
    ];

    /// Its name in reports.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Ack => "I-ACK",
            Self::Order => "I-ORD",
            Self::Seq => "I-SEQ",
            Self::Dup => "I-DUP",
            Self::Entitled => "I-ENT",
            Self::Tenant => "I-TEN",
            Self::Reset => "I-RST",
            Self::Presence => "I-PRE",
            Self::Auth => "I-AUTH",
            Self::Live => "I-LIVE",
            Self::Dedupe => "DEDUPE",
            Self::Format => "FORMAT",
        }
    }
}

/// One violation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// `file:line`, or empty when it is about the run as a whole.
    pub at: String,
    /// What is wrong.
    pub text: String,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Publishes that were begun.
    pub events: u64,
    /// Of these, acknowledged ones.
    pub acked: u64,
    /// Events of the harness that clients received.
    pub deliveries: u64,
    /// Clients.
    pub clients: u64,
    /// Connect attempts.
    pub sockets: u64,
    /// Sockets that went on with a connection.
    pub resumes: u64,
    /// Numberings that began anew.
    pub resets: u64,
    /// Numbers without a body.
    pub noops: u64,
    /// Statuses that nodes were asked for.
    pub polls: u64,
    /// Barriers.
    pub barriers: u64,
}

#[derive(Debug, Clone, Default)]
struct Tally {
    count: u64,
    first: Vec<Violation>,
}

/// The verdict on a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// How much was looked at.
    pub counts: Counts,
    kept_max: usize,
    found: BTreeMap<Invariant, Tally>,
}

/// The verdict in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every invariant holds.
    Clean,
    /// At least one does not.
    Violated,
    /// The history cannot be judged, or it says nothing.
    Unreadable,
}

impl Report {
    /// An empty report that keeps the first `kept_max` violations of each invariant.
    #[must_use]
    pub fn new(kept_max: usize) -> Self {
        Self { counts: Counts::default(), kept_max, found: BTreeMap::new() }
    }

    /// Counts a violation; `text` is asked for when it is kept.
    pub fn add(
        &mut self,
        invariant: Invariant,
        names: &Names,
        at: Option<At>,
        text: impl FnOnce() -> String,
    ) {
        let tally = self.found.entry(invariant).or_default();
        tally.count += 1;
        if tally.first.len() < self.kept_max {
            let at = at.map(|at| format!("{}:{}", names.text(at.file), at.line));
            tally.first.push(Violation { at: at.unwrap_or_default(), text: text() });
        }
    }

    /// How often `invariant` is violated.
    #[must_use]
    pub fn count(&self, invariant: Invariant) -> u64 {
        self.found.get(&invariant).map_or(0, |tally| tally.count)
    }

    /// The first violations of `invariant`.
    #[must_use]
    pub fn first(&self, invariant: Invariant) -> &[Violation] {
        self.found.get(&invariant).map_or(&[], |tally| &tally.first)
    }

    /// The verdict on everything.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.count(Invariant::Format) > 0 {
            Verdict::Unreadable
        } else if self.found.is_empty() {
            Verdict::Clean
        } else {
            Verdict::Violated
        }
    }

    /// The report for people.
    #[must_use]
    pub fn text(&self) -> String {
        let counts = &self.counts;
        let mut lines = vec![
            format!("events {} (acknowledged {})", counts.events, counts.acked),
            format!("deliveries {}, noops {}", counts.deliveries, counts.noops),
            format!("clients {}, sockets {}", counts.clients, counts.sockets),
            format!("resumes {}, resets {}", counts.resumes, counts.resets),
            format!("statuses asked {}, barriers {}", counts.polls, counts.barriers),
        ];
        for invariant in Invariant::ALL {
            let count = self.count(invariant);
            let verdict = if count == 0 { "ok".to_owned() } else { format!("VIOLATED {count}") };
            lines.push(format!("{:<6}  {verdict}", invariant.label()));
            let first = self.first(invariant);
            lines.extend(first.iter().map(|one| match one.at.as_str() {
                "" => format!("    {}", one.text),
                at => format!("    {at}: {}", one.text),
            }));
            if count > first.len() as u64 {
                lines.push(format!("    and {} more", count - first.len() as u64));
            }
        }
        lines.push(match self.verdict() {
            Verdict::Clean => "clean".to_owned(),
            Verdict::Violated => "violated".to_owned(),
            Verdict::Unreadable => "cannot be judged".to_owned(),
        });
        lines.join("\n")
    }

    /// The report for machines.
    #[must_use]
    pub fn json(&self) -> Value {
        let verdict = match self.verdict() {
            Verdict::Clean => "clean",
            Verdict::Violated => "violated",
            Verdict::Unreadable => "unreadable",
        };
        let invariants: serde_json::Map<String, Value> = Invariant::ALL
            .into_iter()
            .map(|invariant| {
                let found = json!({
                    "violations": self.count(invariant),
                    "first": self.first(invariant),
                });
                (invariant.label().to_owned(), found)
            })
            .collect();
        json!({ "verdict": verdict, "counts": self.counts, "invariants": invariants })
    }
}
