//! Goal: tasks stop when told, and never outlive their owner.
//! Method: paused time, so that deadlines are exact.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_task_that_ignores_stop_is_aborted_when_grace_ends() {
    let mut tasks = Tasks::new(CancellationToken::new());
    tasks.spawn("obedient", |stop| async move { stop.cancelled().await });
    tasks.spawn("deaf", |_stop| std::future::pending());
    let started_at = tokio::time::Instant::now();
    let drained = tasks.drain(Duration::from_secs(10)).await;
    assert_eq!(drained, Drained::Aborted(1));
    assert_eq!(started_at.elapsed(), Duration::from_secs(10));
}

#[tokio::test]
async fn a_core_task_that_ends_stops_the_node() {
    let stop = CancellationToken::new();
    let mut tasks = Tasks::new(stop.clone());
    tasks.spawn("short", |_stop| std::future::ready(()));
    stop.cancelled().await;
    assert_eq!(tasks.drain(Duration::from_secs(1)).await, Drained::Clean);
}

#[tokio::test]
async fn a_session_that_panics_is_counted_and_costs_only_itself() {
    let sessions = Sessions::default();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    sessions.spawn(async { panic!("one session's bug") });
    sessions.spawn(async move { sender.send(7).unwrap() });
    assert_eq!(receiver.await.unwrap(), 7);
    assert_eq!(sessions.drain(Duration::from_secs(5)).await, 0);
    assert_eq!(sessions.panics(), 1);
}

#[test]
fn a_node_is_ready_when_the_last_reason_is_withdrawn() {
    let readiness = Readiness::blocked("starting");
    readiness.block("draining");
    readiness.block("draining");
    assert_eq!(readiness.clone().reasons(), ["draining", "starting"]);
    readiness.clear("starting");
    readiness.clear("draining");
    assert_eq!(readiness.reasons(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_beat_is_late_is_stuck_until_the_next_one() {
    let readiness = Readiness::blocked("starting");
    readiness.clear("starting");
    readiness.beat(Duration::from_secs(3));
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(readiness.reasons(), [""; 0]);
    tokio::time::advance(Duration::from_millis(1)).await;
    readiness.block("hub");
    assert_eq!(readiness.reasons(), ["hub", "stuck"]);
    readiness.beat(Duration::from_secs(3));
    assert_eq!(readiness.reasons(), ["hub"]);
    tokio::time::advance(Duration::from_secs(9)).await;
    readiness.rest();
    assert_eq!(readiness.reasons(), ["hub"]);
}

#[tokio::test(start_paused = true)]
async fn a_gate_counts_each_time_that_it_was_closed_before_it_opens() {
    let advance = |seconds| tokio::time::advance(Duration::from_secs(seconds));
    let in_10_s = || tokio::time::Instant::now() + Duration::from_secs(10);
    let gate = Gate::until(in_10_s());
    advance(9).await;
    assert!(gate.is_open());
    gate.extend(in_10_s());
    advance(9).await;
    assert_eq!((gate.is_open(), gate.lapses()), (true, 0));
    // A lease that was asked for long ago is over when the answer comes.
    let asked_at = tokio::time::Instant::now();
    advance(20).await;
    assert_eq!((gate.is_open(), gate.lapses()), (false, 0));
    gate.extend(asked_at + Duration::from_secs(10));
    assert!(!gate.is_open());
    let shared = gate.clone();
    let reopened = async move {
        shared.lapsed_since(1).await;
        shared.is_open()
    };
    let (_, is_open) = tokio::join!(async { gate.extend(in_10_s()) }, reopened);
    assert!(is_open, "who waits for the count finds it counted, and the gate open");
    assert_eq!(gate.lapses(), 2);
    assert!(Gate::always().is_open());
}
