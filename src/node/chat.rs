//! Chat rooms: who may be there, what happens in them, and whoever fell silent.
//!
//! Invariants:
//! - rights are those of a place in the log that is not before the question;
//! - the realms in which somebody of this node chats are swept, whichever node the
//!   silent ones were on.

use std::{collections::HashSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::sleep;

use super::{Node, Seat, Stay};
use crate::{
    clock::random_below,
    lifecycle::CancellationToken,
    log::{
        ChatDone, ChatError, ChatOp, ChatOutcome, ChatStore as _, LogError, Page, PageQuery,
        RealmLog as _,
    },
    model::{ChatMessage, ChatRoom, Id, RealmId, Rights, RoomKey, RoomKind, Subject, Topic},
};

/// How often silent sockets are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// When to ask again for rights that this node does not know yet.
const BEHIND_RETRY: Duration = Duration::from_secs(1);

/// Times that one sweep goes on while it finds many.
const SWEEPS_MAX: usize = 64;

const EVERYTHING: Rights = Rights { read: true, write: true };
const NOTHING: Rights = Rights { read: false, write: false };

/// Realms in which somebody of this node chats.
#[derive(Debug, Default)]
pub(super) struct ChatRealms(Mutex<HashSet<RealmId>>);

impl Node {
    /// Does something in a room, for the connection of `seat`.
    ///
    /// # Errors
    ///
    /// [`ChatError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether it is done.
    pub async fn chat(&self, seat: &Seat, op: ChatOp) -> Result<ChatDone, ChatError> {
        let realm = &seat.identity.realm;
        self.chats.0.lock().insert(realm.clone());
        let done = self.log.chat(realm, op).await?;
        seat.entry.heard_of(done.offset);
        Ok(done)
    }

    /// Notes that the session of `seat` will be in rooms: it is told when it may have to
    /// leave one.
    #[must_use]
    pub fn stay(&self, seat: &Seat) -> Stay {
        seat.entry.stays.begin(&seat.identity.user)
    }

    /// What the user of `seat` may do in the room with this key, at a place of the log
    /// that is not before the call.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked, or this node is behind it.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn chat_rights(
        &self,
        seat: &Seat,
        subject: &Subject,
        key: &RoomKey,
    ) -> Result<Rights, LogError> {
        let (realm, user) = (&seat.identity.realm, &seat.identity.user);
        let Some(object) = &key.object else { return Ok(EVERYTHING) };
        let stays = &seat.entry.stays;
        let path = match key.kind {
            RoomKind::Global => return Ok(EVERYTHING),
            RoomKind::User => return Ok(if object == user { EVERYTHING } else { NOTHING }),
            RoomKind::Workspace => None,
            RoomKind::Node => {
                let moves = stays.moves(object);
                let path = self.node_path(realm, object.as_str()).await?;
                stays.found(object, path.as_ref(), moves);
                match path {
                    Some(path) => Some(path),
                    None => return Ok(NOTHING),
                }
            }
        };
        let (position, memberships) = self.log.memberships(realm, user).await?;
        if !self.caught_up(seat, position.offset).await {
            // What is known here may be older than the question: no ground to say yes.
            return Err(LogError { retry_after: BEHIND_RETRY });
        }
        let is_member = |workspace: &Id| memberships.is_open(&Topic::Workspace(workspace.clone()));
        let book = seat.entry.bus.lock();
        let mut rights = NOTHING;
        let mut add = |more: Rights| {
            rights.read |= more.read;
            rights.write |= more.write;
        };
        match path {
            // Of a workspace, what holds for any of its folders.
            None if is_member(object) => match book.workspace(object) {
                Some(workspace) => {
                    let roots = workspace.roots.iter();
                    roots.for_each(|root| add(workspace.rights(&root.path, user, subject)));
                }
                None => add(EVERYTHING),
            },
            None => {}
            Some(path) => {
                for id in book.showing(&path).into_iter().filter(|id| is_member(id)) {
                    if let Some(workspace) = book.workspace(id) {
                        add(workspace.rights(&path, user, subject));
                    }
                }
            }
        }
        Ok(rights)
    }

    /// The room with this key.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn chat_room(
        &self,
        realm: &RealmId,
        key: &RoomKey,
    ) -> Result<Option<ChatRoom>, LogError> {
        self.log.chat_room(realm, key).await
    }

    /// The rooms that the session of `seat` is in: a resume needs no joining.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn chat_joined(&self, seat: &Seat) -> Result<Vec<(Id, RoomKey)>, LogError> {
        let realm = &seat.identity.realm;
        let session = self.log.session(realm, seat.connection).await?;
        let rooms: Vec<Id> = session
            .iter()
            .flat_map(|(_, watches)| watches.open_topics())
            .filter_map(
                |topic| if let Topic::Chat(room) = topic { Some(room.clone()) } else { None },
            )
            .collect();
        let keys = self.log.chat_keys(realm, &rooms).await?;
        Ok(rooms.into_iter().zip(keys).filter_map(|(room, key)| Some((room, key?))).collect())
    }

    /// A part of the history of a room.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn chat_page(
        &self,
        realm: &RealmId,
        room: &Id,
        query: PageQuery,
    ) -> Result<Page, LogError> {
        self.log.chat_page(realm, room, query).await
    }

    /// The messages of a room after the one with number `after`, oldest first.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn chat_after(
        &self,
        realm: &RealmId,
        room: &Id,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, ChatMessage)>, LogError> {
        Ok(self.log.chat_after(realm, room, after, limit).await?.messages)
    }

    /// Lets those leave their rooms who were silent for too long.
    async fn sweep(&self) {
        let realms: Vec<RealmId> = self.chats.0.lock().iter().cloned().collect();
        for realm in realms {
            for _ in 0..SWEEPS_MAX {
                match self.log.chat(&realm, ChatOp::Sweep).await {
                    Ok(ChatDone { outcome: ChatOutcome::More, .. }) => {}
                    Ok(_) => break,
                    Err(error) => {
                        tracing::debug!(%realm, %error, "rooms were not swept");
                        break;
                    }
                }
            }
        }
    }
}

/// The task that looks for silent sockets.
#[derive(Debug)]
pub struct Sweeper(Arc<Node>);

impl Sweeper {
    /// A sweeper for what `node` serves.
    #[must_use]
    pub fn new(node: Arc<Node>) -> Self {
        Self(node)
    }

    /// Runs until `stop` is cancelled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether a sweep was done.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let pause = SWEEP + Duration::from_millis(random_below(200));
            // Both are cancel safe.
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
            self.0.sweep().await;
        }
    }
}
