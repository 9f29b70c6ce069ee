//! What a hub keeps back: connections that came too early, records behind a gate.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::oneshot::{self, error::TryRecvError},
    time::Instant,
};

use super::stage::*;
use crate::{
    clock::Clock,
    hub::{Attach, Attached, Command, Hub, HubHandle, Link, Parcel, Realm, Ring, Start},
    lifecycle::{CancellationToken, Gate},
    metrics::Metrics,
    model::{Body, Position, Record, Scope, Tag, Topic},
};

const LEASE: Duration = Duration::from_secs(10);

/// A hub that runs, and a log whose records it gets by hand.
struct Scene {
    stage: Stage,
    realms: Vec<Arc<Realm>>,
    hub: HubHandle,
    stop: CancellationToken,
    _running: tokio::task::JoinSet<()>,
}

impl Scene {
    /// One realm for each gate.
    fn new(gates: &[&Gate]) -> Self {
        let (hub, handle) =
            Hub::new(0, 64, &Metrics::new("test", 1), Clock::manual(Duration::from_secs(1)));
        let realm = |gate: &&Gate| {
            let ring = Ring::new(0, 1_000, usize::MAX);
            Arc::new(Realm::new(id("default"), ring, beginning(), (*gate).clone()))
        };
        let stop = CancellationToken::new();
        let mut running = tokio::task::JoinSet::new();
        running.spawn(hub.run(stop.clone()));
        let realms = gates.iter().map(realm).collect();
        Self { stage: Stage::new(1_000), realms, hub: handle, stop, _running: running }
    }

    fn log(&mut self, count: u64) {
        for _ in 0..count {
            self.stage.append(Body::Event(event(Topic::Everyone)));
        }
    }

    /// Gives records to a realm of the hub, as its tail does.
    async fn carry(&self, realm_key: usize, offsets: std::ops::RangeInclusive<usize>) {
        let realm = &self.realms[realm_key];
        for offset in offsets {
            let record = Arc::clone(&self.stage.records[offset - 1]);
            realm.ring.push(&record);
            let realm = Arc::clone(realm);
            self.hub.records.send(Parcel { realm_key, realm, record }).await.unwrap();
        }
    }

    /// Sends a connection whose snapshot is at `at`.
    async fn attach(
        &self,
        realm_key: usize,
        at: Position,
        start: Start,
    ) -> (oneshot::Receiver<Attached>, Arc<Link>) {
        let link = Arc::new(Link::new(Arc::clone(&self.stage.context), &ENCODING, None));
        let session = self.stage.session("alice", Scope::Member);
        let mut reader = self.stage.reader(&session);
        reader.known_up_to = at.offset;
        let (answer, answered) = oneshot::channel();
        let attach = Attach {
            realm_key,
            realm: Arc::clone(&self.realms[realm_key]),
            identity: identity("alice"),
            fencing: 2,
            claimed_after: self.realms[realm_key].claims.mark(),
            begins_after: at.offset,
            at,
            reader,
            link: Arc::clone(&link),
            start,
            hello: None,
            replay_max: (100, 1 << 20),
            answer,
        };
        self.hub.commands.send(Command::Attach(Box::new(attach))).await.unwrap();
        (answered, link)
    }

    fn position(&self, offset: usize) -> Position {
        let record: &Arc<Record> = &self.stage.records[offset - 1];
        record.position.clone()
    }

    /// Lets the hub do what it can, in paused time.
    async fn settle(&self) {
        for _ in 0..40 {
            tokio::time::advance(Duration::from_millis(5)).await;
            tokio::task::yield_now().await;
        }
    }
}

fn resume(next: u64) -> Start {
    Start::Resume { next, seq: 1, cursor: 0, base: 0 }
}

/// Goal: a hub that is behind a connection's snapshot takes it when it is there, and
/// does not say before that its number was never given.
#[tokio::test(start_paused = true)]
async fn a_connection_waits_until_the_hub_has_what_its_snapshot_has() {
    let mut scene = Scene::new(&[&Gate::always()]);
    scene.log(5);
    scene.carry(0, 1..=3).await;
    let (mut resumed, _one) = scene.attach(0, scene.position(5), resume(6)).await;
    let (mut fresh, _other) = scene.attach(0, scene.position(4), Start::Fresh).await;
    scene.settle().await;
    assert_eq!(resumed.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(fresh.try_recv(), Err(TryRecvError::Empty));
    scene.carry(0, 4..=4).await;
    scene.settle().await;
    assert_eq!(fresh.try_recv(), Ok(Attached::Fresh));
    assert_eq!(resumed.try_recv(), Err(TryRecvError::Empty));
    scene.carry(0, 5..=5).await;
    scene.settle().await;
    assert_eq!(resumed.try_recv(), Ok(Attached::Resumed { replayed: 0 }));
}

/// Goal: where the tail has another record than the log, nobody is served from it, at
/// any age of the difference, until its life ends.
#[tokio::test(start_paused = true)]
async fn nobody_is_served_from_another_history() {
    let mut scene = Scene::new(&[&Gate::always()]);
    scene.log(5);
    scene.carry(0, 1..=5).await;
    scene.settle().await;
    for offset in [0, 1, 3, 5] {
        let generation = beginning().generation;
        let other = Position { generation, offset, tag: Tag(7) };
        for start in [Start::Fresh, resume(1)] {
            let (mut answered, _link) = scene.attach(0, other.clone(), start).await;
            scene.settle().await;
            assert_eq!(answered.try_recv(), Err(TryRecvError::Empty), "at {offset}");
        }
    }
    let (answered, _link) =
        scene.attach(0, Position { tag: Tag(7), ..beginning() }, resume(1)).await;
    scene.realms[0].end();
    let (done, ended) = oneshot::channel();
    scene.hub.commands.send(Command::End { realm_key: 0, done }).await.unwrap();
    ended.await.unwrap();
    assert_eq!(answered.await, Ok(Attached::Doubtful));
    let (late, _link) = scene.attach(0, scene.position(5), resume(1)).await;
    assert_eq!(late.await, Ok(Attached::Doubtful), "a life that is over serves nobody");
}

/// Goal: one realm's closed gate does not hold up another realm, what is held keeps its
/// order, and a hub never holds more than its queue.
#[tokio::test(start_paused = true)]
async fn a_closed_gate_holds_its_own_realm_only() {
    let closing = Gate::until(Instant::now() + LEASE);
    let mut scene = Scene::new(&[&closing, &Gate::always()]);
    scene.log(100);
    let (held, held_link) = scene.attach(0, beginning(), Start::Fresh).await;
    let (free, free_link) = scene.attach(1, beginning(), Start::Fresh).await;
    assert_eq!((held.await, free.await), (Ok(Attached::Fresh), Ok(Attached::Fresh)));
    tokio::time::advance(LEASE).await;
    for half in [1..=25, 26..=50] {
        scene.carry(0, half.clone()).await;
        scene.carry(1, half).await;
    }
    scene.settle().await;
    assert_eq!((held_link.fill().0, free_link.fill().0), (0, 50));
    // The queue and what is held bound what a tail can give.
    let more = scene.carry(0, 51..=100);
    assert!(tokio::time::timeout(Duration::from_secs(5), more).await.is_ok());
    scene.settle().await;
    let record = Arc::clone(&scene.stage.records[0]);
    let parcel = Parcel { realm_key: 0, realm: Arc::clone(&scene.realms[0]), record };
    let rest = (0..100).take_while(|_| scene.hub.records.try_send(parcel.clone()).is_ok()).count();
    assert_eq!(rest, 2 * 64 - 100);
    scene.stop.cancel();
}

/// Goal: an open gate after a lapse is not enough: it must have been found out which
/// connections are held.
#[tokio::test(start_paused = true)]
async fn after_a_lapse_the_hub_waits_until_all_is_sure() {
    let gate = Gate::until(Instant::now() + LEASE);
    let mut scene = Scene::new(&[&gate]);
    scene.log(200);
    let (attached, link) = scene.attach(0, beginning(), Start::Fresh).await;
    attached.await.unwrap();
    tokio::time::advance(LEASE).await;
    scene.carry(0, 1..=60).await;
    gate.extend(Instant::now() + LEASE);
    scene.settle().await;
    assert_eq!(link.fill().0, 0);
    scene.realms[0].claims.settle(gate.lapses());
    scene.settle().await;
    assert_eq!(link.fill().0, 60);
    scene.carry(0, 61..=200).await;
    scene.settle().await;
    assert_eq!(link.fill().0, 200);
}
