//! What a session may in its rooms, and what follows when it may no longer.
//!
//! Invariants: rights are asked for at each message, and again when a record of the log
//! may have ended one; who may not be in a room leaves it and is told.

use std::{future::pending, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{
    PydioClient,
    chat::{Joined, Refused, Rooms, chat_seat, end, new_name, step},
    reply_error,
};
use crate::{
    dialect::pydio::chat::RoomRef,
    model::{CloseCode, Id, Rights, RoomKey, RoomKind, Subject},
    node::{ChatDone, ChatError, ChatOp, ChatOutcome, Seat},
    session::{ending::Client, socket::Heard},
};

const NOT_ALLOWED: &str = "you may not enter this room";
const READ_ONLY: &str = "this room is read-only for you";

/// When the log is asked again that could not be asked.
const AGAIN: Duration = Duration::from_secs(1);

/// What makes a session do something.
pub(super) enum Cause {
    /// Its client said something, or ended.
    Heard(Heard),
    /// The rights in these rooms may have changed.
    Stirred(Vec<RoomKey>),
}

fn subject(seat: &Seat) -> Subject {
    let mut roles = seat.identity.roles.clone();
    roles.sort_unstable();
    roles.dedup();
    Subject { roles, profile: seat.identity.profile.clone() }
}

async fn rights(client: &Client, key: &RoomKey) -> Result<Rights, Refused> {
    let subject = subject(&client.seat);
    Ok(client.context.node.chat_rights(&client.seat, &subject, key).await?)
}

/// Who may not be in a room that it asks for, and is put out of it.
fn forbidden(key: &RoomKey) -> Refused {
    Refused { told: NOT_ALLOWED.to_owned(), put_out: Some(key.clone()) }
}

/// Tells that the user may be in a room no longer.
fn tell_out(client: &Client, key: &RoomKey) {
    let kind = match key.kind {
        RoomKind::Global => "GLOBAL",
        RoomKind::Workspace => "WORKSPACE",
        RoomKind::User => "USER",
        RoomKind::Node => "NODE",
    };
    let told = format!("you may not be in this room any more: {kind} {}", key.object());
    client.socket.reply(&reply_error(&told));
}

/// Leaves a room without hearing of it. False when that could not be done.
async fn leave(client: &Client, key: &RoomKey) -> bool {
    let op = ChatOp::Leave { key: key.clone(), asks: false, seat: chat_seat(&client.seat) };
    match client.context.node.chat(&client.seat, op).await {
        Ok(ChatDone { offset, .. }) => {
            // What is told from here on comes after what the room was told.
            client.context.node.caught_up(&client.seat, offset).await;
            true
        }
        Err(error) => {
            tracing::debug!(%error, "a room was not left");
            false
        }
    }
}

/// The rooms of a session that goes on, in which its user is there again. Those that the
/// user may not be in any more are left.
pub(super) async fn go_on(client: &Client) -> Rooms {
    let (node, seat) = (&client.context.node, &client.seat);
    let mut rooms = Rooms::none(client);
    let joined = match node.chat_joined(seat).await {
        Ok(joined) => joined,
        Err(error) => {
            // It comes again: without its rooms it would seem to be in none.
            tracing::debug!(%error, "rooms of a session are not known");
            client.socket.abandon(CloseCode::TryLater, "the server can't do this now");
            return rooms;
        }
    };
    let mut unsure = Vec::new();
    for (uuid, key) in joined {
        rooms.watch(&key);
        match rights(client, &key).await {
            Ok(Rights { read: false, .. }) if leave(client, &key).await => {
                rooms.unwatch(&key);
                tell_out(client, &key);
                continue;
            }
            Ok(Rights { read: true, .. }) => {}
            Ok(Rights { read: false, .. }) | Err(_) => unsure.push(key.clone()),
        }
        rooms.add(uuid, &key);
    }
    rooms.ask_again(unsure);
    step(&client.context, seat, |seat| ChatOp::Return { rooms: rooms.uuids(), seat }).await;
    rooms
}

/// Takes the rooms of one session of a user into another one, as far as they are still
/// allowed, so that nobody is seen going.
pub(super) async fn move_rooms(from: (&Seat, Rooms), client: &Client) -> Rooms {
    let (old, rooms) = from;
    let is_same = old.identity.user == client.seat.identity.user
        && old.identity.realm == client.seat.identity.realm;
    let mut moved = Rooms::none(client);
    let mut unsure = Vec::new();
    for (uuid, Joined { key, .. }) in rooms.all.iter().filter(|_| is_same) {
        moved.watch(key);
        let entered = match rights(client, key).await {
            Ok(Rights { read: true, .. }) => enter(client, key).await,
            Ok(Rights { read: false, .. }) => Entered::Gone,
            Err(_) => Entered::Unsure,
        };
        match entered {
            Entered::There(uuid) => moved.add(uuid, key),
            Entered::Gone => {
                moved.unwatch(key);
                tell_out(client, key);
            }
            Entered::Unsure => {
                moved.expect(uuid.clone(), key);
                unsure.push(key.clone());
            }
        }
    }
    moved.ask_again(unsure);
    end(&client.context, old, &rooms).await;
    moved
}

/// What came of entering a room that was there.
enum Entered {
    /// The session is in the room with this name.
    There(Id),
    /// It may not be, or there is no such room.
    Gone,
    /// The log can't be asked now.
    Unsure,
}

/// Enters a room that another session of the user was in.
async fn enter(client: &Client, key: &RoomKey) -> Entered {
    let op = ChatOp::Join {
        key: key.clone(),
        label: Arc::from(""),
        uuid: new_name(),
        creates: false,
        asks: false,
        seat: chat_seat(&client.seat),
    };
    match client.context.node.chat(&client.seat, op).await {
        Ok(ChatDone { outcome: ChatOutcome::Joined(room), .. }) => Entered::There(room.uuid),
        Ok(_) | Err(ChatError::Refused(_)) => Entered::Gone,
        Err(ChatError::Unavailable(error)) => {
            tracing::debug!(%error, "a room was not entered");
            Entered::Unsure
        }
    }
}

impl Rooms {
    /// Notes that these rooms have to be asked for again, no later than what waits already:
    /// changes that go on and on must not put it off.
    fn ask_again(&mut self, rooms: Vec<RoomKey>) {
        if rooms.is_empty() {
            return;
        }
        let soon = Instant::now() + AGAIN;
        let (at, waiting) = self.unsure.get_or_insert_with(|| (soon, Vec::new()));
        *at = soon.min(*at);
        for key in rooms {
            if !waiting.contains(&key) {
                waiting.push(key);
            }
        }
    }

    /// Waits for rooms whose rights have to be asked for.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    async fn stirred(&mut self) -> Vec<RoomKey> {
        let Some(stay) = &self.stay else { return pending().await };
        match &self.unsure {
            None => stay.stirred().await,
            Some((at, _)) => {
                // Both are cancel safe.
                tokio::select! {
                    stirred = stay.stirred() => stirred,
                    () = sleep_until(*at) => self.unsure.take().map_or(Vec::new(), |(_, keys)| keys),
                }
            }
        }
    }
}

impl PydioClient {
    /// Waits for something to do.
    ///
    /// # Cancel safety
    ///
    /// Safe: what was read in part stays with the socket.
    pub(super) async fn next(&mut self) -> Cause {
        let Self { client, rooms, .. } = self;
        // Both are cancel safe.
        tokio::select! {
            biased;
            stirred = rooms.stirred() => Cause::Stirred(stirred),
            heard = client.next() => Cause::Heard(heard),
        }
    }

    /// Leaves those of these rooms that the user may not be in any more.
    pub(super) async fn ask_rights(&mut self, rooms: Vec<RoomKey>) {
        let mut unsure = Vec::new();
        for key in rooms {
            let Ok((uuid, _)) = self.joined(&RoomRef::Key(key.clone())) else { continue };
            let may = {
                let _turn = match &self.rooms.stay {
                    Some(stay) => stay.turn().await,
                    None => None,
                };
                rights(&self.client, &key).await
            };
            let is_there = self.rooms.all.get(&uuid).is_some_and(|joined| joined.is_there);
            match may {
                Ok(Rights { read: true, .. }) if is_there => {}
                Ok(Rights { read: true, .. }) => match enter(&self.client, &key).await {
                    Entered::There(now) => {
                        if now != uuid {
                            self.rooms.all.remove(&uuid);
                        }
                        self.rooms.add(now, &key);
                    }
                    Entered::Gone => {
                        self.forget(&uuid, &key);
                        tell_out(&self.client, &key);
                    }
                    Entered::Unsure => unsure.push(key),
                },
                Ok(Rights { read: false, .. }) if leave(&self.client, &key).await => {
                    self.forget(&uuid, &key);
                    tell_out(&self.client, &key);
                }
                Ok(Rights { read: false, .. }) | Err(_) => unsure.push(key),
            }
        }
        self.rooms.ask_again(unsure);
    }

    /// Ends the stay in a room, if there is one. It is tried again when it can't be done.
    pub(super) async fn put_out(&mut self, key: RoomKey) {
        let Ok((uuid, _)) = self.joined(&RoomRef::Key(key.clone())) else { return };
        if leave(&self.client, &key).await {
            self.forget(&uuid, &key);
        } else {
            self.rooms.ask_again(vec![key]);
        }
    }

    pub(super) async fn may_read(&self, key: &RoomKey) -> Result<(), Refused> {
        let rights = rights(&self.client, key).await?;
        if rights.read { Ok(()) } else { Err(forbidden(key)) }
    }

    pub(super) async fn may_write(&self, key: &RoomKey) -> Result<(), Refused> {
        match rights(&self.client, key).await? {
            Rights { read: true, write: true } => Ok(()),
            Rights { read: true, write: false } => Err(READ_ONLY.into()),
            Rights { read: false, .. } => Err(forbidden(key)),
        }
    }
}

#[cfg(test)]
mod tests {
    //! Goal: changes of rights that go on and on do not put off what waits to be asked.

    use super::*;

    fn key(node: &str) -> RoomKey {
        RoomKey { kind: RoomKind::Node, object: Some(Id::parse(node).unwrap()) }
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_to_be_asked_keeps_its_moment() {
        let mut rooms = Rooms::default();
        let began_at = Instant::now();
        rooms.ask_again(vec![key("first")]);
        for _ in 0..5 {
            tokio::time::advance(AGAIN / 2).await;
            rooms.ask_again(vec![key("first"), key("other")]);
            rooms.ask_again(Vec::new());
        }
        let expected = (began_at + AGAIN, vec![key("first"), key("other")]);
        assert_eq!(rooms.unsure, Some(expected), "each once, and at the earliest moment");
    }
}
