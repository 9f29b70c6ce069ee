//! What one turn of a hub delivered, counted without touching shared memory.
//!
//! Invariants: every frame of an event is counted once, when it is handed to the
//! socket; the shared metrics are touched once per turn, not per delivery.

/// The class of a delivered frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// An event whose body the log keeps.
    Durable,
    /// An event that only live connections see.
    Ephemeral,
    /// The number of a withheld event.
    Noop,
}
