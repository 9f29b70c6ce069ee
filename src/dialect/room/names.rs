//! Names of rooms and of those who chat.

use std::sync::Arc;

use crate::model::{Id, IdError};

/// The subprotocol that turns a plain room into a numbered JSON one.
pub const SUBPROTOCOL: &str = "hubbub.room.v1";

/// The room of `/ws`.
pub const DEFAULT_ROOM: &str = "lobby";

/// The name of the events that room messages are in the log.
pub const EVENT_NAME: &str = "message";

/// What a guest's shown name begins with.
const GUEST_MARK: char = '~';

/// What a guest without a name is called.
const GUEST_DEFAULT: &str = "guest";

/// The room that a path names, or the one of `/ws`.
///
/// # Errors
///
/// [`IdError`] when the name is not `^[A-Za-z0-9_.@-]{1,64}$`. The client's fault.
pub fn room_name(named: Option<&str>) -> Result<Id, IdError> {
    Id::parse(named.unwrap_or(DEFAULT_ROOM))
}

/// The name that a guest is shown by: `~` and what the guest chose, or `~guest`.
///
/// # Errors
///
/// [`IdError`] when the chosen name is not `^[A-Za-z0-9_.@-]{1,64}$`. The client's fault.
pub fn guest_name(chosen: Option<&str>) -> Result<Arc<str>, IdError> {
    let name = Id::parse(chosen.unwrap_or(GUEST_DEFAULT))?;
    Ok(format!("{GUEST_MARK}{name}").into())
}
