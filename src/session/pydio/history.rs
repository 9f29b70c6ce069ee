//! What was said in a room, no faster than a client reads.
//!
//! Invariants: a page that is read on from where the last one ended neither misses nor
//! repeats a message, whatever was said meanwhile.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::{
    PydioClient,
    chat::{Read, Refused, UNAVAILABLE},
    reply_error,
};
use crate::{
    dialect::pydio::chat::{Paging, may_have_more, message, room_update},
    model::{ChatMessage, CloseCode, Id, RoomKey},
    node::PageQuery,
    session::ending::Client,
};

/// Messages of one page: what a client asks for beyond comes with the next one.
const PAGE_MAX: u64 = 1_000;

/// Messages that are read at once.
const CHUNK: usize = 100;

/// Bytes of history that may wait for a client before more is read.
const CHUNK_BYTES: usize = 64 * 1024;

/// How long a client may take to read some of a history.
const READ_PATIENCE: Duration = Duration::from_secs(15);

const NO_NUMBERS: &str =
    "Offset and Limit have to be whole numbers of 0 or more: all messages follow";

impl PydioClient {
    /// How the room is, then a part of what was said.
    pub(super) async fn history(
        &mut self,
        uuid: &Id,
        key: &RoomKey,
        paging: Paging,
    ) -> Result<(), Refused> {
        let Client { context, seat, socket, .. } = &self.client;
        let realm = &seat.identity.realm;
        if let Some(room) = context.node.chat_room(realm, key).await? {
            socket.reply(&room_update(&room));
        }
        let (offset, limit) = match paging {
            Paging::All | Paging::Page { offset: 0, limit: 0 } => {
                return self.everything(uuid).await;
            }
            Paging::Unreadable => {
                socket.reply(&reply_error(NO_NUMBERS));
                return self.everything(uuid).await;
            }
            Paging::Page { offset, limit: 0 } => (offset, PAGE_MAX),
            Paging::Page { offset, limit } => (offset, limit.min(PAGE_MAX)),
        };
        let read = self.rooms.all.get(uuid).and_then(|joined| joined.read);
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let query = |before, skip| PageQuery { before, skip: count(skip), limit: count(limit) };
        let query = match read {
            _ if offset == 0 => query(None, 0),
            // Who reads on does so from the last message, not from a count that has moved.
            Some(read) if read.next == offset => query(Some(read.oldest), 0),
            Some(read) => query(Some(read.newest.saturating_add(1)), offset),
            None => query(None, offset),
        };
        let page = context.node.chat_page(realm, uuid, query).await?.messages;
        let next = offset.saturating_add(limit);
        let (oldest, newest) = (page.first().cloned(), page.last().map(|(number, _)| *number));
        let is_full = u64::try_from(page.len()).is_ok_and(|found| found == limit);
        if let (Some((oldest, _)), Some(newest), Some(joined)) =
            (&oldest, newest, self.rooms.all.get_mut(uuid))
        {
            let begun = joined.read.filter(|_| offset != 0).map(|read| read.newest);
            let newest = begun.unwrap_or(newest);
            joined.read = Some(Read { next, oldest: *oldest, newest });
        }
        self.send(page.into_iter().map(|(_, said)| said)).await?;
        if let (true, Some((_, oldest))) = (is_full, oldest) {
            self.client.socket.reply(&may_have_more(uuid, oldest.at, next, limit));
        }
        Ok(())
    }

    /// Everything that was said, oldest first.
    pub(super) async fn everything(&mut self, room: &Id) -> Result<(), Refused> {
        let mut after = 0;
        loop {
            let Client { context, seat, .. } = &self.client;
            let realm = &seat.identity.realm;
            let some = context.node.chat_after(realm, room, after, CHUNK).await?;
            let Some((last, _)) = some.last() else { return Ok(()) };
            after = *last;
            self.send(some.into_iter().map(|(_, said)| said)).await?;
        }
    }

    /// Sends what was said, no faster than the client reads.
    async fn send(&mut self, said: impl Iterator<Item = ChatMessage>) -> Result<(), Refused> {
        let (mut count, mut bytes) = (0, 0);
        for said in said {
            let frame: Bytes = message(&said);
            (count, bytes) = (count + 1, bytes + frame.len());
            self.client.socket.reply(&frame);
            if count >= CHUNK || bytes >= CHUNK_BYTES {
                (count, bytes) = (0, 0);
                self.wait_for_reader().await?;
            }
        }
        self.wait_for_reader().await
    }

    async fn wait_for_reader(&mut self) -> Result<(), Refused> {
        let written = timeout(READ_PATIENCE, self.client.socket.written()).await;
        if matches!(written, Ok(Ok(()))) {
            return Ok(());
        }
        let reason = "the client does not read fast enough";
        self.client.socket.abandon(CloseCode::SlowReader, reason);
        Err(UNAVAILABLE.into())
    }
}
