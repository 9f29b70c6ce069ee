//! What a course is told, and what it wants done.

use std::sync::Arc;

use crate::{
    log::Loss,
    model::{Generation, Position, Record},
};

/// What the driver of a course has heard.
#[derive(Debug)]
pub enum Input {
    /// A frame of the feed. Each record knows the tag of the one before it.
    Frame {
        /// The generation that the frame names.
        generation: Generation,
        /// Its records, in order.
        records: Vec<Arc<Record>>,
    },
    /// The feed was subscribed, or subscribed again.
    Subscribed,
    /// The feed may have missed something.
    Gap,
    /// Something other than a frame of records named this generation.
    GenerationSeen(Generation),
    /// The answer to [`Effect::Read`].
    Range(Range),
    /// The answer to [`Effect::Probe`]: where the log ends. `None` when the next write
    /// will begin a new generation: there is no log, or its history is another one.
    Meta(Option<Position>),
    /// The answer to [`Effect::Report`].
    Verdict {
        /// The round of the report.
        round: u64,
        /// The generation of the log now.
        generation: Generation,
        /// What it says.
        verdict: Verdict,
    },
    /// The replicas have everything up to this place, where they are waited for.
    Confirmed {
        /// The place.
        position: Position,
        /// True for the answer to [`Effect::Confirm`], false for what the feed says.
        is_answer: bool,
    },
    /// A request was not answered.
    Failed(Request),
    /// Nothing but time has passed.
    Tick,
}

/// Records that were read from the log, together with where it ended at that moment.
#[derive(Debug)]
pub struct Range {
    /// The offset after which they were wanted.
    pub asked_after: u64,
    /// The end of the log, as in [`Input::Meta`].
    pub end: Option<Position>,
    /// The offset of the oldest record that is kept; 0 when none is.
    pub first_kept: u64,
    /// The records, in order; some may still follow.
    pub records: Vec<Arc<Record>>,
}

/// What the log says to what a node has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The log holds all of it, and nothing that anybody was promised is lost.
    Clean,
    /// It does not, or something is.
    Dirty,
    /// Not all nodes have reported yet.
    Pending,
}

/// What can be under way. At most one of each kind is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// [`Effect::Read`]
    Read,
    /// [`Effect::Probe`]
    Probe,
    /// [`Effect::Report`]
    Report,
    /// [`Effect::Confirm`]
    Confirm,
}

/// What a driver has to do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Hand these records over: they are the next ones.
    Deliver(Vec<Arc<Record>>),
    /// Read the records after this offset, and where the log ends, in one step.
    Read {
        /// The last offset that is known.
        after: u64,
        /// Why, for the metric.
        cause: Cause,
    },
    /// Ask where the log ends.
    Probe,
    /// Find out where the log ends, and wait until the replicas have that, too.
    Confirm,
    /// Report the highest place that this node has seen or vouched for. The log begins a
    /// new generation first, when it has to. The same round may be reported again.
    Report {
        /// Comes back with the verdict.
        round: u64,
        /// The generation that this course follows, with the highest offset and its tag.
        highest: Position,
    },
    /// The feed is starving, or what answers is not the primary: resolve the topology
    /// again and subscribe again.
    Kick,
    /// Claims may have gone unheard: look which sessions this node still holds.
    Recheck,
    /// The log goes on in this generation, and holds all that was handed over.
    Adopt(Generation),
    /// The course has ended: it wants nothing more and takes nothing more.
    Lost(Loss),
}

/// Why records are read from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A frame did not follow the one before it, or the feed said that it had a gap.
    Gap,
    /// A probe found the log ahead of the feed.
    Probe,
    /// The feed was subscribed again, or the log began a new generation.
    Reconnect,
}

impl Cause {
    /// The cause as one word, for the metric.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Probe => "probe",
            Self::Reconnect => "reconnect",
        }
    }
}

/// Whether an answer of the log may be believed that named a generation and a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vouched {
    /// It may. The place counts for the next report.
    Yes,
    /// Not yet: the course has to come to that generation first, or to know that this
    /// one goes on. Ask again when it adopted one.
    NotYet,
    /// Never: the generation has passed, or the course has ended. What was written may
    /// be lost.
    Never,
}

/// The number in front of a generation's nonce. Later generations of one log have
/// higher ones.
#[must_use]
pub fn counter(generation: &Generation) -> u64 {
    let text = generation.as_str();
    let digits = text.split_once('.').map_or(text, |(digits, _)| digits);
    digits.parse().unwrap_or(0)
}
