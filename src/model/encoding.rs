//! How records become frames: a table of pure functions that a dialect fills in.
//!
//! The hub sends records without knowing dialects: it asks the encoding for the
//! shared rendering and adds what differs per connection, the `seq`, at the end.
//!
//! Invariants: encodings with different output have different slots; a rendering
//! depends on the record alone.

use super::{Event, Record, Rendering, RenderingSlot, View};

/// One way to write records on a socket.
#[derive(Debug)]
pub struct Encoding {
    /// Which cell of a record keeps its rendering.
    pub slot: RenderingSlot,
    /// Name of the dialect, for metrics.
    pub name: &'static str,
    /// Writes an event's shared part.
    pub render: fn(&Record) -> Rendering,
    /// What follows the shared part.
    pub tail: Tail,
    /// The shared part of a withheld event.
    pub noop: &'static [u8],
    /// True for an event that a client with this view need not see.
    pub withheld: fn(&Event, &View) -> bool,
    /// What a client gets instead that asks for numbers.
    pub numbered: Option<&'static Self>,
}

/// What follows the shared part of a frame's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// `,"seq":N}`: the shared part is a JSON object without its closing brace.
    Seq,
    /// `,"@seq":N}`: as [`Tail::Seq`].
    AtSeq,
    /// `}`: the same shared part without a number; withheld events are not sent.
    Brace,
    /// Nothing: the connection has no numbering, and withheld events are not sent.
    None,
}

impl Tail {
    /// The member that a number comes in; `None` when there are no numbers.
    #[must_use]
    pub fn key(self) -> Option<&'static [u8]> {
        match self {
            Self::Seq => Some(br#","seq":"#),
            Self::AtSeq => Some(br#","@seq":"#),
            Self::Brace | Self::None => None,
        }
    }
}

impl Encoding {
    /// The shared part of `record`, made on first use.
    #[must_use]
    pub fn shared<'a>(&self, record: &'a Record) -> &'a Rendering {
        record.renderings.get(self.slot, || (self.render)(record))
    }
}
