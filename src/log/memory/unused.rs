//! Rooms in which nothing was ever said: they go when nobody hears them any more.
//!
//! Invariants: a room in which something was said stays; one that a session still hears,
//! or may hear again by a resume, stays, too.

use super::{
    super::chat::SWEPT_MAX,
    chat::{Rooms, Step},
};
use crate::model::{ConnectionId, Id};

/// Tells whether the session of a connection hears a room, or will after a resume.
pub(super) type Hears<'a> = &'a dyn Fn(ConnectionId, &Id) -> bool;

impl Rooms {
    /// Looks again at rooms that were empty of words a while ago. True when there are more
    /// of them.
    pub(super) fn sweep_unused(&mut self, step: Step<'_>, hears: Hears<'_>) -> bool {
        let due = self.looks.iter().take_while(|(at, _)| *at <= step.now_ms);
        let due: Vec<_> = due.take(SWEPT_MAX).cloned().collect();
        for (at, uuid) in &due {
            if !self.forget_unused(uuid, hears) {
                self.looks.remove(&(*at, uuid.clone()));
                self.look_later(step, uuid);
            }
        }
        due.len() == SWEPT_MAX
    }

    /// Notes when to look at a room in which nothing was said.
    pub(super) fn look_later(&mut self, step: Step<'_>, uuid: &Id) {
        let at = step.now_ms.saturating_add(step.session_ttl_ms);
        if let Some(room) = self.rooms.get_mut(uuid) {
            room.look_at = at;
            self.looks.insert((at, uuid.clone()));
        }
    }

    /// Something is said in a room: it stays.
    pub(super) fn keep(&mut self, uuid: &Id) {
        let Some(room) = self.rooms.get_mut(uuid) else { return };
        room.hearers.clear();
        self.looks.remove(&(room.look_at, uuid.clone()));
    }

    /// Forgets a room that nobody needs. False when somebody does.
    pub(super) fn forget_unused(&mut self, uuid: &Id, hears: Hears<'_>) -> bool {
        let Some(room) = self.rooms.get_mut(uuid) else { return true };
        if room.last_number > 0 || !room.sockets.is_empty() {
            return false;
        }
        room.hearers.retain(|connection| hears(*connection, uuid));
        if !room.hearers.is_empty() {
            return false;
        }
        let Some(room) = self.rooms.remove(uuid) else { return true };
        self.looks.remove(&(room.look_at, uuid.clone()));
        self.by_key.remove(&room.key);
        if let Some(maker) = room.maker
            && let Some(count) = self.made.get_mut(&maker)
        {
            *count -= 1;
            if *count == 0 {
                self.made.remove(&maker);
            }
        }
        true
    }
}
