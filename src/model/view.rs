//! What a client says it is looking at.
//!
//! Invariants: a place that was never reported counts as "maybe here"; the empty
//! text means "nowhere".

use super::Topic;

/// The places on a client's screen, as it reported them (Mattermost's `presence`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// The channel in the middle.
    pub channel: Option<Box<str>>,
    /// The channel of the thread at the side.
    pub thread_at_side: Option<Box<str>>,
    /// The channel of the thread in the threads view.
    pub thread_in_view: Option<Box<str>>,
}

impl View {
    /// True when nothing of `topic` can be on the screen.
    ///
    /// Only channels have a place on it. All three kinds of place must have been
    /// reported, and none of them be this channel.
    #[must_use]
    pub fn hides(&self, topic: &Topic) -> bool {
        let Topic::Channel(channel) = topic else { return false };
        let is_elsewhere =
            |place: &Option<Box<str>>| place.as_deref().is_some_and(|id| id != channel.as_str());
        is_elsewhere(&self.channel)
            && is_elsewhere(&self.thread_at_side)
            && is_elsewhere(&self.thread_in_view)
    }
}
