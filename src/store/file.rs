//! The file of the store: tables of redb.
//!
//! Invariants: a commit is on the disk when it returns; a file is read as a whole or
//! refused; only one process has it open.

use std::{error::Error, fs, os::unix::fs::DirBuilderExt as _, path::Path, sync::Arc};

use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, StorageError, Table,
    TableDefinition, WriteTransaction,
};

use super::{
    Change, Saved, StoreError,
    rooms::{self, RoomTables},
};
use crate::model::{Id, ManualStatus, Revocation, RevocationScope, Status, Topic};

const FILE_NAME: &str = "hubbub.redb";

/// What this program writes. Grows when older programs could not read it.
const FORMAT: u64 = 1;

/// Memory for pages of the file: it is read once, then only written.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// One row with the format.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// Realm, user, kind and id of the topic; number of the change, and 1 when open.
const MEMBERS: TableDefinition<'_, MemberKey, (u64, u8)> = TableDefinition::new("members");

/// Realm, kind and id of the scope; number of the change, and the moment.
const REVOKED: TableDefinition<'_, RevokedKey, (u64, u64)> = TableDefinition::new("revoked");

/// Realm and user; the word of the choice or nothing, and the end of a timed dnd or 0.
const CHOSEN: TableDefinition<'_, ChosenKey, (&str, u64)> = TableDefinition::new("chosen");

/// Realm and id; the workspace as the log writes it.
const WORKSPACES: TableDefinition<'_, WorkspaceKey, &str> = TableDefinition::new("workspaces");

/// Realm and unique name; the full path.
const NODES: TableDefinition<'_, WorkspaceKey, &str> = TableDefinition::new("nodes");

type WorkspaceKey = (&'static str, &'static str);
type MemberKey = (&'static str, &'static str, &'static str, &'static str);
type RevokedKey = (&'static str, &'static str, &'static str);
type ChosenKey = (&'static str, &'static str);

pub(super) type Failure = Box<dyn Error + Send + Sync>;

/// An open store.
#[derive(Debug)]
pub struct File {
    database: Database,
    /// The number of the last change.
    changes: u64,
}

/// Opens the store in `folder`, which is made when it does not exist.
///
/// # Errors
///
/// [`StoreError`]: nothing was changed but that the folder may exist now.
pub fn open(folder: &Path) -> Result<(File, Saved), StoreError> {
    let unusable = |source| StoreError::Folder { path: folder.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
    let path = folder.join(FILE_NAME);
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create(&path)
        .map_err(|error| refusal(&path, error))?;
    // The name of a new file has to survive as well.
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(unusable)?;
    let damaged = |source| StoreError::Damaged { path: path.clone(), source };
    match format(&database).map_err(damaged)? {
        FORMAT => {}
        _ => return Err(StoreError::Newer { path }),
    }
    let (saved, changes) = read(&database).map_err(damaged)?;
    Ok((File { database, changes }, saved))
}

fn refusal(path: &Path, error: DatabaseError) -> StoreError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Locked { path },
        DatabaseError::Storage(StorageError::Io(source))
            if source.kind() != std::io::ErrorKind::InvalidData =>
        {
            StoreError::Folder { path, source }
        }
        DatabaseError::UpgradeRequired(_)
        | DatabaseError::RepairAborted
        | DatabaseError::TransactionInProgress
        | DatabaseError::Storage(_)
        | _ => StoreError::Damaged { path, source: Box::new(error) },
    }
}

/// The format of the file; a new file gets ours.
fn format(database: &Database) -> Result<u64, Failure> {
    let writing = database.begin_write()?;
    let found = {
        let mut meta = writing.open_table(META)?;
        let found = meta.get("format")?.map(|row| row.value());
        if found.is_none() {
            meta.insert("format", FORMAT)?;
        }
        found.unwrap_or(FORMAT)
    };
    if found == FORMAT {
        writing.open_table(MEMBERS)?;
        writing.open_table(REVOKED)?;
        writing.open_table(CHOSEN)?;
        RoomTables::open(&writing)?;
        writing.open_table(WORKSPACES)?;
        writing.open_table(NODES)?;
    }
    writing.commit()?;
    Ok(found)
}

/// Everything that was saved, and the number of the last change.
fn read(database: &Database) -> Result<(Saved, u64), Failure> {
    let reading = database.begin_read()?;
    let mut saved = Saved::new();
    let mut members = Vec::new();
    for row in reading.open_table(MEMBERS)?.iter()? {
        let (key, value) = row?;
        let ((realm, user, kind, id), (number, open)) = (key.value(), value.value());
        members.push((number, Id::parse(realm)?, (Id::parse(user)?, topic(kind, id)?, open != 0)));
    }
    let mut revoked = Vec::new();
    for row in reading.open_table(REVOKED)?.iter()? {
        let (key, value) = row?;
        let ((realm, kind, id), (number, at_ms)) = (key.value(), value.value());
        let scope = scope(kind, id)?;
        revoked.push((number, Id::parse(realm)?, Revocation { scope, at_ms }));
    }
    for row in reading.open_table(CHOSEN)?.iter()? {
        let (key, value) = row?;
        let ((realm, user), (word, until)) = (key.value(), value.value());
        let (realm, user) = (Id::parse(realm)?, Id::parse(user)?);
        let chosen = &mut saved.entry(realm).or_default().chosen;
        if !word.is_empty() {
            let status = Status::parse(word).ok_or("no status")?;
            chosen.push((user.clone(), ManualStatus::new(status, 0)));
        }
        if until != 0 {
            chosen.push((user, ManualStatus::DndUntil(until)));
        }
    }
    for row in reading.open_table(WORKSPACES)?.iter()? {
        let (key, text) = row?;
        let (realm, id) = key.value();
        let workspace = (Id::parse(id)?, text.value().to_owned());
        saved.entry(Id::parse(realm)?).or_default().workspaces.push(workspace);
    }
    for row in reading.open_table(NODES)?.iter()? {
        let (key, path) = row?;
        let (realm, uuid) = key.value();
        let node = (Arc::from(uuid), Arc::from(path.value()));
        saved.entry(Id::parse(realm)?).or_default().nodes.push(node);
    }
    // In the order of the changes: lists of members show who joined first.
    members.sort_unstable_by_key(|(number, ..)| *number);
    revoked.sort_unstable_by_key(|(number, ..)| *number);
    let last = |number: Option<&u64>| number.copied().unwrap_or(0);
    let changes = last(members.last().map(|(number, ..)| number))
        .max(last(revoked.last().map(|(number, ..)| number)));
    for (_, realm, member) in members {
        saved.entry(realm).or_default().members.push(member);
    }
    for (_, realm, revocation) in revoked {
        saved.entry(realm).or_default().revocations.push(revocation);
    }
    rooms::read(&reading, &mut saved)?;
    Ok((saved, changes))
}

impl File {
    /// Writes `changes` in their order, all or none, and waits for the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`]: the disk is full, or worse.
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.write(changes).map_err(StoreError::Write)
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), Failure> {
        let writing = self.database.begin_write()?;
        let mut tables = Tables::open(&writing)?;
        for change in changes {
            self.changes += 1;
            tables.apply(self.changes, change)?;
        }
        drop(tables);
        writing.commit()?;
        Ok(())
    }
}

/// The tables of one step.
struct Tables<'a> {
    members: Table<'a, MemberKey, (u64, u8)>,
    revoked: Table<'a, RevokedKey, (u64, u64)>,
    chosen: Table<'a, ChosenKey, (&'static str, u64)>,
    rooms: RoomTables<'a>,
    workspaces: Table<'a, WorkspaceKey, &'static str>,
    nodes: Table<'a, WorkspaceKey, &'static str>,
}

impl<'a> Tables<'a> {
    fn open(writing: &'a WriteTransaction) -> Result<Self, Failure> {
        Ok(Self {
            members: writing.open_table(MEMBERS)?,
            revoked: writing.open_table(REVOKED)?,
            chosen: writing.open_table(CHOSEN)?,
            rooms: RoomTables::open(writing)?,
            workspaces: writing.open_table(WORKSPACES)?,
            nodes: writing.open_table(NODES)?,
        })
    }

    fn apply(&mut self, number: u64, change: &Change) -> Result<(), Failure> {
        match change {
            Change::Member { realm, user, topic, open } => {
                let key = (realm.as_str(), user.as_str(), topic.kind(), topic.id());
                let is_open = self.members.get(key)?.map(|row| row.value().1 != 0);
                // Who is a member already keeps the place of the first time.
                if is_open != Some(*open) {
                    self.members.insert(key, (number, u8::from(*open)))?;
                }
            }
            Change::Revoked { realm, revocation } => {
                let (kind, id) = match &revocation.scope {
                    RevocationScope::User(user) => ("user", user.as_str()),
                    RevocationScope::Session(session) => ("session", session.as_str()),
                    RevocationScope::Everyone => ("everyone", ""),
                };
                self.revoked.insert((realm.as_str(), kind, id), (number, revocation.at_ms))?;
            }
            Change::Workspace { realm, id, text } => {
                let key = (realm.as_str(), id.as_str());
                put(&mut self.workspaces, key, text.as_deref())?;
            }
            Change::Node { realm, uuid, path } => {
                put(&mut self.nodes, (realm.as_str(), uuid), path.as_deref())?;
            }
            Change::Folder { realm, from, to } => {
                self.move_folder(realm.as_str(), from, to.as_deref())?;
            }
            Change::Chosen { realm, user, chosen } => {
                self.choose((realm.as_str(), user.as_str()), *chosen)?;
            }
            Change::Room { .. } | Change::Said { .. } | Change::Unsaid { .. } => {
                self.rooms.apply(change)?;
            }
        }
        Ok(())
    }

    /// Moves what is in a folder. It looks at every node of the realm.
    fn move_folder(&mut self, realm: &str, from: &str, to: Option<&str>) -> Result<(), Failure> {
        let below = format!("{from}/");
        let mut moved = Vec::new();
        for row in self.nodes.range((realm, "")..)? {
            let (key, path) = row?;
            let (of, uuid) = key.value();
            if of != realm {
                break;
            }
            if let Some(rest) = path.value().strip_prefix(&below) {
                let path = to.map(|to| format!("{to}/{rest}"));
                moved.push((uuid.to_owned(), path));
            }
        }
        for (uuid, path) in moved {
            put(&mut self.nodes, (realm, &uuid), path.as_deref())?;
        }
        Ok(())
    }

    fn choose(&mut self, key: (&str, &str), chosen: ManualStatus) -> Result<(), Failure> {
        let status = match chosen {
            ManualStatus::Online => {
                self.chosen.remove(key)?;
                return Ok(());
            }
            ManualStatus::DndUntil(until) => {
                let covered = self.chosen.get(key)?.map(|row| row.value().0.to_owned());
                self.chosen.insert(key, (covered.as_deref().unwrap_or_default(), until))?;
                return Ok(());
            }
            ManualStatus::Away => Status::Away,
            ManualStatus::Dnd => Status::Dnd,
            ManualStatus::Offline => Status::Offline,
            ManualStatus::Ooo => Status::Ooo,
        };
        self.chosen.insert(key, (status.as_str(), 0))?;
        Ok(())
    }
}

/// Writes a row, or takes it out.
fn put(
    table: &mut Table<'_, WorkspaceKey, &'static str>,
    key: (&str, &str),
    text: Option<&str>,
) -> Result<(), Failure> {
    match text {
        Some(text) => table.insert(key, text)?,
        None => table.remove(key)?,
    };
    Ok(())
}

fn topic(kind: &str, id: &str) -> Result<Topic, Failure> {
    let id = Id::parse(id)?;
    match kind {
        "channel" => Ok(Topic::Channel(id)),
        "team" => Ok(Topic::Team(id)),
        "workspace" => Ok(Topic::Workspace(id)),
        _ => Err("no topic with members".into()),
    }
}

fn scope(kind: &str, id: &str) -> Result<RevocationScope, Failure> {
    match kind {
        "user" => Ok(RevocationScope::User(Id::parse(id)?)),
        "session" => Ok(RevocationScope::Session(Id::parse(id)?)),
        "everyone" => Ok(RevocationScope::Everyone),
        _ => Err("no scope".into()),
    }
}

/// Writes another format into the file of `folder`.
#[cfg(test)]
pub(super) fn set_format(folder: &Path, format: u64) {
    let database = Database::create(folder.join(FILE_NAME)).unwrap();
    let writing = database.begin_write().unwrap();
    writing.open_table(META).unwrap().insert("format", format).unwrap();
    writing.commit().unwrap();
}
