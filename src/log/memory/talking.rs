//! Rooms of the embedded log, with the file behind them when there is one.
//!
//! Invariants:
//! - what happened in a room is told when it is saved, never before;
//! - it is told in the order in which it happened, which is that of the history.

use super::{
    super::{
        ChatDone, ChatError, ChatOp, ChatOutcome, ChatRefusal, ChatStore, Hold, LogError, Page,
        PageQuery, chat::events, kept::millis,
    },
    MemoryLog, RETRY_AFTER, Realm, STEP_DRAFTS_MAX,
    chat::Step,
    realm::{RealmState, Sequel},
    steps::Wait,
};
use crate::{
    model::{ChatRoom, ConnectionId, Id, RealmId, RoomKey, Topic},
    store::{Change, StoreError},
};

fn unsaved(_error: StoreError) -> LogError {
    LogError { retry_after: RETRY_AFTER }
}

impl MemoryLog {
    /// Waits until everything that happened up to now is saved.
    async fn saved(&self) -> Result<(), LogError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let slot = journal.slot().await.map_err(unsaved)?;
        slot.save(Vec::new()).done().await.map_err(unsaved)
    }

    /// Enters the records of what happened up to `step`, all of which is saved.
    async fn tell_rooms(&self, realm: &Realm, step: u64) -> Result<u64, LogError> {
        loop {
            let untold = realm.state.lock().untold(step, STEP_DRAFTS_MAX);
            let Some(max) = untold else { return Ok(realm.state.lock().end_offset()) };
            let told = self.with_room(realm, (max, Wait::Never), |state, now_us, sequel| {
                state.tell(step, max, now_us, sequel);
            });
            told.await.map_err(unsaved)?;
        }
    }
}

impl ChatStore for MemoryLog {
    async fn chat(&self, realm: &RealmId, op: ChatOp) -> Result<ChatDone, ChatError> {
        let realm = self.realm(realm);
        let slot = match &self.journal {
            Some(journal) => Some(journal.slot().await.map_err(unsaved)?),
            None => None,
        };
        let (outcome, step, saving) = {
            let mut state = realm.state.lock();
            let (outcome, changes, step) = state.chat(&realm.id, op, self.clock.now_ms())?;
            // Under the lock, so that changes are saved in their order. Without any it
            // waits for those before it: what is told has to keep its order.
            (outcome, step, slot.map(|slot| slot.save(changes)))
        };
        if let Some(saving) = saving {
            saving.done().await.map_err(unsaved)?;
        }
        let offset = self.tell_rooms(&realm, step).await?;
        Ok(ChatDone { outcome, offset })
    }

    async fn chat_room(
        &self,
        realm: &RealmId,
        key: &RoomKey,
    ) -> Result<Option<ChatRoom>, LogError> {
        let found = self.realm(realm).state.lock().rooms.find(key);
        self.saved().await?;
        Ok(found)
    }

    async fn chat_keys(
        &self,
        realm: &RealmId,
        rooms: &[Id],
    ) -> Result<Vec<Option<RoomKey>>, LogError> {
        let realm = self.realm(realm);
        let state = realm.state.lock();
        Ok(rooms.iter().map(|room| state.rooms.key(room)).collect())
    }

    async fn chat_page(
        &self,
        realm: &RealmId,
        room: &Id,
        query: PageQuery,
    ) -> Result<Page, LogError> {
        let page = self.realm(realm).state.lock().rooms.page(room, query);
        self.saved().await?;
        Ok(page)
    }

    async fn chat_after(
        &self,
        realm: &RealmId,
        room: &Id,
        after: u64,
        limit: usize,
    ) -> Result<Page, LogError> {
        let page = self.realm(realm).state.lock().rooms.after(room, after, limit);
        self.saved().await?;
        Ok(page)
    }
}

impl RealmState {
    /// Does something in a room. What is to be saved comes back, and the number of this
    /// step: when it is saved, [`RealmState::tell`] enters its records.
    pub(super) fn chat(
        &mut self,
        realm: &RealmId,
        mut op: ChatOp,
        now_ms: u64,
    ) -> Result<(ChatOutcome, Vec<Change>, u64), ChatRefusal> {
        if let ChatOp::Return { rooms, seat } | ChatOp::End { rooms, seat } = &mut op
            && self.holds(seat.connection, seat.fencing) == Hold::Taken
        {
            // Another socket has the connection: that one is there.
            rooms.clear();
        }
        let session_ttl_ms = millis(self.limits.session_ttl);
        let step = Step { realm, now_ms, limits: self.limits.chat, session_ttl_ms };
        let sessions = &self.sessions;
        let hears = |connection: ConnectionId, room: &Id| {
            let session = sessions.get(&connection).filter(|session| !session.has_ended(now_ms));
            let watches = session.and_then(|session| session.watches.as_ref());
            watches.is_some_and(|watches| watches.is_open(&Topic::Chat(room.clone())))
        };
        let done = self.rooms.apply(step, op, &hears)?;
        self.steps += 1;
        self.telling.push_back((self.steps, done.bodies));
        Ok((done.outcome, done.changes, self.steps))
    }

    /// How many records wait for step `upto` and those before it, as far as they fit into
    /// `max`; `None` when none of them waits.
    pub(super) fn untold(&self, upto: u64, max: usize) -> Option<usize> {
        let mut waiting = self.telling.iter().take_while(|(step, _)| *step <= upto);
        let mut count = waiting.next()?.1.len();
        for (_, bodies) in waiting {
            if count + bodies.len() > max {
                break;
            }
            count += bodies.len();
        }
        Some(count)
    }

    /// Enters the records of the oldest steps up to `upto`, `max` records at most.
    pub(super) fn tell(&mut self, upto: u64, mut max: usize, now_us: u64, sequel: &mut Sequel) {
        while let Some((step, bodies)) = self.telling.front() {
            if *step > upto || bodies.len() > max {
                return;
            }
            max -= bodies.len();
            let Some((_, bodies)) = self.telling.pop_front() else { return };
            for body in bodies {
                // Where the node is when it is told, not when it happened.
                let body = events::placed(body, |node| self.node_path(node));
                self.enter(body, now_us, sequel);
            }
        }
    }

    /// The offset of the last record.
    pub(super) fn end_offset(&self) -> u64 {
        self.end.offset
    }
}
