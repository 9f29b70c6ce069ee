//! What a connection wants to hear of: the status of users, and rooms.
//!
//! Subscriptions are records of the log, like memberships: a resume knows them, and
//! after the reply to an unsubscribe no event of it is on its way.
//!
//! Invariants: a connection never watches more users than the limit; what it once watched
//! is remembered as long as a resume may need it, and bounded, too.
//!
//! Not here: how many rooms it is in (`session`).

use super::{Node, Seat};
use crate::{
    log::{Draft, LogError, RealmLog as _},
    model::{Body, Memberships, Topic, UserId},
};

/// Changes that are remembered for each user or room that may be watched: who makes them
/// faster than the log forgets is refused.
const REMEMBERED: usize = 32;

/// Why subscriptions did not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// The connection would watch too many users. The client's fault.
    #[error("too many users to watch")]
    TooMany,
    /// The log can't be asked now.
    #[error("the log is unavailable")]
    Unavailable,
}

/// How many changes a resume may ask for.
fn remembered(seat: &Seat, mut watches: Memberships) -> usize {
    // What ended before the oldest record decides nothing any more.
    watches.forget_topics_before(seat.entry.realm.ring.fill().first);
    watches.stretches()
}

impl Node {
    /// Whether the connection of `seat` may begin to hear a room, where `max` is how many
    /// it may hear at once: not when it came and went faster than the log forgets.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn may_hear_more(&self, seat: &Seat, max: usize) -> Result<bool, LogError> {
        let session = self.log.session(&seat.identity.realm, seat.connection).await?;
        let watches = session.map(|(_, watches)| watches).unwrap_or_default();
        Ok(remembered(seat, watches) < max.saturating_mul(REMEMBERED))
    }

    /// Changes what the connection of `seat` watches, and waits until it counts.
    ///
    /// # Errors
    ///
    /// [`WatchError`]; then nothing changed, or the change is in the log and counts
    /// soon.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether it changed.
    pub async fn watch(
        &self,
        seat: &Seat,
        add: Vec<UserId>,
        remove: Vec<UserId>,
        max: usize,
    ) -> Result<(), WatchError> {
        let unavailable = |_| WatchError::Unavailable;
        let realm = &seat.identity.realm;
        let session = self.log.session(realm, seat.connection).await.map_err(unavailable)?;
        let (_, watches) = session.ok_or(WatchError::Unavailable)?;
        let is_watched = |user: &UserId| watches.is_open(&Topic::Status(user.clone()));
        let mut add: Vec<UserId> = add.into_iter().filter(|user| !is_watched(user)).collect();
        add.sort_unstable();
        add.dedup();
        let remove: Vec<UserId> = remove.into_iter().filter(is_watched).collect();
        if add.is_empty() && remove.is_empty() {
            return Ok(());
        }
        let is_too_many = watches.open_topics().count() + add.len() > max
            || remembered(seat, watches) + add.len() > max.saturating_mul(REMEMBERED);
        if !add.is_empty() && is_too_many {
            return Err(WatchError::TooMany);
        }
        let topics = |users: Vec<UserId>| users.into_iter().map(Topic::Status).collect();
        let (add, remove) = (topics(add), topics(remove));
        let body = Body::Watch { connection: seat.connection, add, remove };
        let published = self.publish_one(realm, Draft { body, id: None }).await;
        let offset = published.map_err(|_| WatchError::Unavailable)?.position.offset;
        if self.caught_up(seat, offset).await { Ok(()) } else { Err(WatchError::Unavailable) }
    }
}
