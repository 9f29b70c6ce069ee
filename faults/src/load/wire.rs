//! What the mattermost dialect sends, as far as the harness reads it.

use serde::Deserialize;

/// A message of the server: an event, or a reply.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    #[serde(default)]
    pub(super) event: String,
    pub(super) seq: Option<u64>,
    #[serde(default)]
    pub(super) data: Data,
}

/// The data of an event; everything else in it is ignored.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Data {
    /// The id that the harness published it under.
    pub(super) pid: Option<String>,
    /// When the harness published it, in ms since 1970.
    pub(super) at: Option<f64>,
    /// Of hello.
    pub(super) connection_id: Option<String>,
}
