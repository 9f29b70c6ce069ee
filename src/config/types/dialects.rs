//! `dialects.*`: which protocols the public listener speaks.
//!
//! Not here: the protocols (`dialect`).

/// `dialects.*`
#[derive(Debug, Clone)]
pub struct Dialects {
    /// `dialects.mattermost.*`
    pub mattermost: Mattermost,
    /// `dialects.pydio.*`
    pub pydio: Pydio,
    /// `dialects.room.*`
    pub room: Room,
    /// `dialects.echo.enabled`
    pub echo: bool,
}

/// `dialects.mattermost.*`
#[derive(Debug, Clone)]
pub struct Mattermost {
    /// Whether its routes exist.
    pub enabled: bool,
    /// `server_version` in hello.
    pub server_version: String,
    /// Whether typing events are published.
    pub typing: bool,
}

/// `dialects.pydio.*`
#[derive(Debug, Clone)]
pub struct Pydio {
    /// Whether its routes exist.
    pub enabled: bool,
    /// Route of bus events.
    pub event_path: String,
    /// Route of chat.
    pub chat_path: String,
    /// Second route of chat.
    pub chat_alias: String,
    /// Messages that a chat room keeps.
    pub history: usize,
}

/// `dialects.room.*`
#[derive(Debug, Clone)]
pub struct Room {
    /// Whether its routes exist.
    pub enabled: bool,
    /// Whether guests without a token may enter.
    pub anonymous: bool,
    /// Longest message in bytes.
    pub max_message_bytes: usize,
}
