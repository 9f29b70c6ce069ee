//! The JSON shapes of a room.

use serde::Deserialize;

/// The data of a room's event, as far as a room shows it.
#[derive(Deserialize)]
pub(super) struct DataWire {
    pub(super) text: String,
    pub(super) user: Option<String>,
}
