//! Rooms with a file behind them: the contract, and what a crash and a slow disk do.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinHandle;

use super::{MemoryLimits, MemoryLog};
use crate::{
    clock::{Clock, random_connection_id},
    lifecycle::{CancellationToken, Tasks},
    log::{
        AnyLog, ChatError, ChatLimits, ChatOp, ChatOutcome, ChatRefusal, ChatStore as _, PageQuery,
        RealmLog as _,
        chat::contract::chat_contract,
        contract::{Backend, START_S, hear, id, limits},
    },
    metrics::Metrics,
    model::{ChatSeat, RoomKey, RoomKind},
    store::{self, Change, Keeper, Saved, StoreError},
};

/// The same log with a file behind it.
struct OnDisk;

/// A log that saves into `folder`, and what ends its writer at once.
#[expect(clippy::disallowed_methods, reason = "what runs here ends with the test's runtime")]
fn on_disk(folder: &Path, limits: MemoryLimits, clock: Clock) -> (MemoryLog, JoinHandle<()>) {
    let (mut file, saved) = store::open(folder).unwrap();
    let commit = Box::new(move |changes: &[Change]| file.commit(changes));
    let metrics = Metrics::new("n", 1);
    let (keeper, journal) = Keeper::new(commit, metrics);
    let writer = tokio::spawn(keeper.run(CancellationToken::new()));
    (MemoryLog::new(limits, clock).saving(saved, journal), writer)
}

impl Backend for OnDisk {
    type Log = AnyLog;

    #[expect(clippy::disallowed_methods, reason = "what runs here ends with the test's runtime")]
    async fn open(limits: MemoryLimits, clock: Clock) -> AnyLog {
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = on_disk(folder.path(), limits, clock);
        tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(folder);
        });
        AnyLog::Memory(log.into())
    }
}

chat_contract!(OnDisk);

/// Goal: whatever was acknowledged is in the history after a crash, and nobody is there.
///
/// Method: the writer is aborted, so that nothing is written after the last answer.
#[tokio::test]
async fn rooms_and_their_histories_survive_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Duration::from_secs(START_S));
    let chat = ChatLimits { history: 4, ..limits().chat };
    let bounds = MemoryLimits { chat, ..limits() };
    let realm = id("default");
    let connection = random_connection_id();
    let seat = ChatSeat { connection, user: id("alice"), fencing: 1 };
    let key = RoomKey { kind: RoomKind::Workspace, object: Some(id("ws")) };
    let join = |uuid: &str| ChatOp::Join {
        key: key.clone(),
        label: Arc::from("The room"),
        uuid: id(uuid),
        creates: true,
        asks: true,
        seat: seat.clone(),
    };
    let post = |number: u64, text: &str| ChatOp::Post {
        room: id("r-1"),
        uuid: id(&format!("m{number}")),
        text: Arc::from(text),
        seat: seat.clone(),
    };
    let delete =
        |uuid: &str| ChatOp::Delete { room: id("r-1"), uuid: id(uuid), seat: seat.clone() };
    let query = PageQuery { before: None, skip: 0, limit: 100 };
    let (log, writer) = on_disk(folder.path(), bounds.clone(), clock.clone());
    log.chat(&realm, join("r-1")).await.unwrap();
    for number in 1..=6 {
        log.chat(&realm, post(number, &format!("t{number}"))).await.unwrap();
    }
    log.chat(&realm, post(5, "edited")).await.unwrap();
    log.chat(&realm, delete("m4")).await.unwrap();
    let before = log.chat_page(&realm, &id("r-1"), query).await.unwrap();
    writer.abort();
    assert!(writer.await.unwrap_err().is_cancelled());
    drop(log);

    let (log, _writer) = on_disk(folder.path(), bounds, clock);
    assert_eq!(log.chat_page(&realm, &id("r-1"), query).await.unwrap(), before);
    let texts: Vec<_> = before.messages.iter().map(|(_, one)| one.text.to_string()).collect();
    assert_eq!(texts, ["t3", "edited", "t6"]);
    let room = log.chat_room(&realm, &key).await.unwrap().unwrap();
    assert_eq!((room.uuid, &*room.label, room.users.len()), (id("r-1"), "The room", 0));
    let done = log.chat(&realm, join("r-2")).await.unwrap();
    assert!(matches!(done.outcome, ChatOutcome::Joined(room) if room.uuid == id("r-1")));
    let refused = log.chat(&realm, post(4, "t4")).await;
    assert_eq!(refused, Err(ChatError::Refused(ChatRefusal::Deleted)));
    let known = log.chat(&realm, post(6, "t6")).await.unwrap();
    assert!(matches!(known.outcome, ChatOutcome::Known(_)));
    log.chat(&realm, post(7, "t7")).await.unwrap();
    let after = log.chat_page(&realm, &id("r-1"), query).await.unwrap();
    assert!(after.messages.iter().is_sorted_by_key(|(number, _)| *number));
    assert_eq!(after.messages.last().unwrap().0, 7, "numbers go on");
}

/// Goal: nobody hears what is not on the disk.
///
/// Method: a disk that is slow, then one that fails.
#[tokio::test]
async fn a_message_is_told_when_it_is_saved() {
    // The disk writes as often as it is let.
    let (permit, permits) = std::sync::mpsc::channel::<()>();
    let fails = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fails);
    let commit = Box::new(move |_: &[Change]| {
        permits.recv().unwrap();
        if failing.load(Ordering::SeqCst) {
            return Err(StoreError::Write("the disk is full".into()));
        }
        Ok(())
    });
    let metrics = Metrics::new("n", 1);
    let (keeper, journal) = Keeper::new(commit, metrics);
    let mut tasks = Tasks::new(CancellationToken::new());
    tasks.spawn("store", |stop| keeper.run(stop));
    let clock = Clock::manual(Duration::from_secs(START_S));
    let log = MemoryLog::new(limits(), clock).saving(Saved::new(), journal);
    let realm = id("default");
    let connection = random_connection_id();
    let seat = ChatSeat { connection, user: id("alice"), fencing: 1 };
    let key = RoomKey { kind: RoomKind::Global, object: None };
    let (uuid, label) = (id("r"), Arc::from(""));
    let join = ChatOp::Join { key, label, uuid, creates: true, asks: true, seat: seat.clone() };
    // Nothing was said: nothing is saved.
    log.chat(&realm, join).await.unwrap();
    let mut tail = log.attach(&realm).await.unwrap();
    let post = |name: &str| ChatOp::Post {
        room: id("r"),
        uuid: id(name),
        text: Arc::from("hi"),
        seat: seat.clone(),
    };
    let mut posting = Box::pin(log.chat(&realm, post("m1")));
    let early = tokio::time::timeout(Duration::from_millis(100), &mut posting).await;
    assert!(early.is_err(), "it waits for the disk");
    assert!(tail.inbound.try_recv().is_err(), "and nobody hears of it");
    let (room, query) = (id("r"), PageQuery { before: None, skip: 0, limit: 9 });
    let mut page = Box::pin(log.chat_page(&realm, &room, query));
    let early = tokio::time::timeout(Duration::from_millis(100), &mut page).await;
    assert!(early.is_err(), "a page with it waits, too");
    permit.send(()).unwrap();
    posting.await.unwrap();
    assert_eq!(page.await.unwrap().messages.len(), 1);
    hear(&mut tail.inbound, 1).await;
    fails.store(true, Ordering::SeqCst);
    permit.send(()).unwrap();
    let failed = log.chat(&realm, post("m2")).await;
    assert!(matches!(failed, Err(ChatError::Unavailable(_))), "{failed:?}");
    assert!(tail.inbound.try_recv().is_err());
}
