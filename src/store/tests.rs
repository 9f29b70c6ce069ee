//! Goal: what was acknowledged is there after a crash, in its order, and a file that
//! can't be trusted is refused with its reason.
//! Method: real files in a folder of their own; a crash is a store that is dropped
//! without being told; a failing disk is a closure that fails.

use std::{fs, path::Path};

use super::*;
use crate::{
    lifecycle::{Drained, Tasks},
    model::{Id, RevocationScope},
};

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

fn member(user: &str, channel: &str, open: bool) -> Change {
    let topic = Topic::Channel(id(channel));
    Change::Member { realm: id("default"), user: id(user), topic, open }
}

fn revoked(scope: RevocationScope, at_ms: u64) -> Change {
    Change::Revoked { realm: id("default"), revocation: Revocation { scope, at_ms } }
}

fn chosen(user: &str, chosen: ManualStatus) -> Change {
    Change::Chosen { realm: id("default"), user: id(user), chosen }
}

/// What a later process reads of realm `default`.
fn read_back(folder: &Path) -> SavedRealm {
    let (_file, mut saved) = open(folder).unwrap();
    saved.remove(&id("default")).unwrap_or_default()
}

#[test]
fn what_was_committed_is_read_back_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("made").join("here");
    let (mut file, saved) = open(&folder).unwrap();
    assert_eq!(saved, Saved::new());
    file.commit(&[member("zoe", "a", true), member("bob", "a", true)]).unwrap();
    file.commit(&[member("amy", "a", true), member("zoe", "a", true)]).unwrap();
    file.commit(&[member("bob", "a", false), member("eve", "b", false)]).unwrap();
    let ann = RevocationScope::User(id("ann"));
    file.commit(&[revoked(ann.clone(), 5), revoked(RevocationScope::Everyone, 6)]).unwrap();
    file.commit(&[revoked(RevocationScope::Session(id("s")), 7), revoked(ann.clone(), 8)]).unwrap();
    drop(file);
    let realm = read_back(&folder);
    let members: Vec<_> =
        realm.members.iter().map(|(user, _, open)| (user.as_str(), *open)).collect();
    // Zoe was the first to join, and joining twice changes nothing.
    assert_eq!(members, [("zoe", true), ("amy", true), ("bob", false), ("eve", false)]);
    let scopes: Vec<_> = realm.revocations.iter().map(|one| (&one.scope, one.at_ms)).collect();
    let session = RevocationScope::Session(id("s"));
    assert_eq!(scopes, [(&RevocationScope::Everyone, 6), (&session, 7), (&ann, 8)]);
    // Numbers go on where they were: a later change is a later one after a restart, too.
    let (mut file, _) = open(&folder).unwrap();
    file.commit(&[member("bob", "a", true)]).unwrap();
    drop(file);
    let last = read_back(&folder).members.pop().unwrap();
    assert_eq!((last.0.as_str(), last.2), ("bob", true));
}

#[test]
fn choices_are_read_back_as_they_were_made() {
    let folder = tempfile::tempdir().unwrap();
    let check = |changes: &[ManualStatus], expected: &[ManualStatus]| {
        let (mut file, _) = open(folder.path()).unwrap();
        file.commit(&[chosen("ann", ManualStatus::Online)]).unwrap();
        for change in changes {
            file.commit(&[chosen("ann", *change)]).unwrap();
        }
        drop(file);
        let realm = read_back(folder.path());
        let found: Vec<ManualStatus> = realm.chosen.iter().map(|(_, chosen)| *chosen).collect();
        assert_eq!(found, expected, "{changes:?}");
    };
    use ManualStatus::{Away, Dnd, DndUntil, Offline, Online, Ooo};
    check(&[], &[]);
    check(&[Away], &[Away]);
    check(&[Away, Ooo], &[Ooo]);
    check(&[Offline, DndUntil(9)], &[Offline, DndUntil(9)]);
    check(&[Offline, DndUntil(9), DndUntil(10)], &[Offline, DndUntil(10)]);
    check(&[DndUntil(9)], &[DndUntil(9)]);
    check(&[DndUntil(9), Dnd], &[Dnd]);
    check(&[Dnd, DndUntil(9), Online], &[]);
}

#[test]
fn a_store_that_is_open_is_locked() {
    let folder = tempfile::tempdir().unwrap();
    let (_file, _) = open(folder.path()).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }) && !error.needs_operator(), "{error:?}");
}

#[test]
fn a_file_that_can_not_be_trusted_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hubbub.redb");
    let (mut file, _) = open(folder.path()).unwrap();
    file.commit(&[member("ann", "a", true)]).unwrap();
    drop(file);
    let good = fs::read(&path).unwrap();
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).unwrap();
        let error = open(folder.path()).expect_err(what);
        assert!(matches!(error, StoreError::Damaged { .. }), "{what}: {error:?}");
        assert!(error.needs_operator() && error.to_string().contains("data.dir"), "{error}");
    };
    refused(b"not a database, but text of a length", "text");
    refused(&vec![0xa5; good.len()], "noise");
    refused(&good[..good.len() / 2], "half of it");
    let mut scratched = good.clone();
    for byte in scratched.iter_mut().skip(64).step_by(97) {
        *byte ^= 0xff;
    }
    refused(&scratched, "scratches");
    fs::write(&path, &good).unwrap();
    assert_eq!(read_back(folder.path()).members.len(), 1, "the good file is still good");

    let error = open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Folder { .. }), "{error:?}");
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    file::set_format(folder.path(), 2);
    for _ in 0..2 {
        let error = open(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::Newer { .. }), "{error:?}");
    }
    file::set_format(folder.path(), 1);
    assert_eq!(read_back(folder.path()), SavedRealm::default());
}

#[test]
fn what_is_in_a_folder_moves_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut file, _) = open(folder.path()).unwrap();
    let node = |realm: &str, uuid: &str, path: &str| Change::Node {
        realm: id(realm),
        uuid: uuid.into(),
        path: Some(path.into()),
    };
    let moved = |from: &str, to: Option<&str>| Change::Folder {
        realm: id("default"),
        from: from.into(),
        to: to.map(Into::into),
    };
    for (uuid, path) in [("in", "a/b/c"), ("near", "a/b-2"), ("gone", "x/y"), ("it", "a/b")] {
        file.commit(&[node("default", uuid, path), node("other", uuid, path)]).unwrap();
    }
    file.commit(&[moved("a/b", Some("z")), moved("x", None)]).unwrap();
    drop(file);
    let (_file, saved) = open(folder.path()).unwrap();
    let check = |realm: &str, expected: &[(&str, &str)]| {
        let nodes = saved[&id(realm)].nodes.iter();
        let mut nodes: Vec<(&str, &str)> = nodes.map(|(uuid, path)| (&**uuid, &**path)).collect();
        nodes.sort_unstable();
        assert_eq!(nodes, expected);
    };
    check("default", &[("in", "z/c"), ("it", "a/b"), ("near", "a/b-2")]);
    check("other", &[("gone", "x/y"), ("in", "a/b/c"), ("it", "a/b"), ("near", "a/b-2")]);
}

/// A keeper whose disk writes down what it gets.
fn keeper() -> (Tasks, Journal, Arc<Mutex<Vec<Vec<Change>>>>) {
    let batches: Arc<Mutex<Vec<Vec<Change>>>> = Arc::default();
    let disk = Arc::clone(&batches);
    let commit = Box::new(move |changes: &[Change]| {
        disk.lock().push(changes.to_vec());
        Ok(())
    });
    let (keeper, journal) = Keeper::new(commit, Metrics::new("n", 1));
    let mut tasks = Tasks::new(CancellationToken::new());
    tasks.spawn("store", |stop| keeper.run(stop));
    (tasks, journal, batches)
}

#[tokio::test]
async fn changes_that_come_together_are_written_together_in_their_order() {
    let (tasks, journal, batches) = keeper();
    let mut saving = Vec::new();
    for number in 0..500 {
        let slot = journal.slot().await.unwrap();
        saving.push(slot.save(vec![member(&format!("u{number}"), "a", true)]));
    }
    // An entry without changes waits for those before it.
    saving.push(journal.slot().await.unwrap().save(Vec::new()));
    for saving in saving {
        saving.done().await.unwrap();
    }
    let batches = batches.lock().clone();
    assert!(batches.len() < 500, "{}", batches.len());
    let expected: Vec<Change> =
        (0..500).map(|number| member(&format!("u{number}"), "a", true)).collect();
    assert_eq!(batches.concat(), expected);
    assert_eq!(tasks.drain(std::time::Duration::from_secs(5)).await, Drained::Clean);
    assert!(matches!(journal.slot().await, Err(StoreError::Stopped)));
}

#[tokio::test]
async fn what_waits_at_the_stop_is_still_written() {
    let (tasks, journal, batches) = keeper();
    let saving = journal.slot().await.unwrap().save(vec![member("late", "a", true)]);
    assert_eq!(tasks.drain(std::time::Duration::from_secs(5)).await, Drained::Clean);
    saving.done().await.unwrap();
    assert_eq!(batches.lock().concat(), [member("late", "a", true)]);
}

#[tokio::test]
async fn a_disk_that_fails_acknowledges_nothing_and_ends_the_task() {
    let stop = CancellationToken::new();
    let commit = Box::new(|_: &[Change]| Err(StoreError::Write("the disk is full".into())));
    let metrics = Metrics::new("n", 1);
    let (keeper, journal) = Keeper::new(commit, Arc::clone(&metrics));
    let mut tasks = Tasks::new(stop.clone());
    tasks.spawn("store", |stop| keeper.run(stop));
    let saving = journal.slot().await.unwrap().save(vec![member("doomed", "a", true)]);
    assert!(matches!(saving.done().await, Err(StoreError::Stopped)));
    // A core task that ends stops the node.
    stop.cancelled().await;
    assert!(matches!(journal.slot().await, Err(StoreError::Stopped)));
    assert_eq!(metrics.store_waiting_entries.get(), 0);
}
