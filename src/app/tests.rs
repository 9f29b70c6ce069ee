//! Goal: how a node ends says whether it was well.
//! Method: a whole node in this process, its tokens cancelled by hand.

use super::*;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    config::Config,
    lifecycle::CancellationToken,
    log::{ASKED_EVERY, AnyLog},
};

#[tokio::test]
async fn a_core_task_that_ends_stops_the_node_and_is_no_clean_stop() {
    let app = App::start(Config::for_tests(), CancellationToken::new()).await.unwrap();
    let readiness = app.readiness.clone();
    app.tokens.end.cancel();
    assert_eq!(Box::pin(app.run()).await, Stopped::CutShort);
    assert_eq!(readiness.reasons(), ["failed"]);
}

#[tokio::test]
async fn a_node_that_is_told_to_stop_stops_cleanly() {
    let stop = CancellationToken::new();
    let app = App::start(Config::for_tests(), stop.clone()).await.unwrap();
    let (public, metrics) = (app.public(), std::sync::Arc::clone(&app.metrics));
    stop.cancel();
    assert_eq!(Box::pin(app.run()).await, Stopped::Clean);
    assert_eq!(metrics.drain_phase.get(), 3);
    // The port is free again.
    assert!(std::net::TcpListener::bind(public).is_ok());
}

#[tokio::test]
async fn a_taken_port_leaves_nothing_behind() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = Config::for_tests();
    config.internal.listen = taken.local_addr().unwrap();
    let error = App::start(config, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, AppError::Bind { .. }), "{error:?}");
}

/// Goal: a node whose log is away says so in time, keeps its sockets for a while, gives
/// them up, and serves again when the log is back.
#[tokio::test(start_paused = true)]
async fn a_node_without_its_log_is_not_ready_then_cut_off_then_back() {
    let app = App::start(Config::for_tests(), CancellationToken::new()).await.unwrap();
    let (node, readiness) = (std::sync::Arc::clone(app.node()), app.readiness.clone());
    let AnyLog::Memory(log) = &app.reloads.log else { panic!("no Redis was configured") };
    let seconds = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
    seconds(1).await;
    assert_eq!(readiness.reasons(), [""; 0]);
    log.faults.be_away(true);
    seconds(2).await;
    assert_eq!(readiness.reasons(), [""; 0], "a moment is no reason");
    seconds(1).await;
    assert_eq!(readiness.reasons(), ["log"]);
    seconds(56).await;
    assert!(!node.is_cut_off());
    seconds(2).await;
    assert!(node.is_cut_off());
    log.faults.be_away(false);
    seconds(1).await;
    assert!(!node.is_cut_off());
    assert_eq!(readiness.reasons(), [""; 0]);
}

/// Goal: whenever the log falls silent, the node is not ready within three seconds, with time
/// to spare; one that takes almost two for each answer leaves it ready.
///
/// Method: silence begins at every phase of the node's looks, and the log is asked as late as
/// it may be.
#[tokio::test(start_paused = true)]
async fn the_silence_of_the_log_is_told_in_time_and_slowness_is_no_silence() {
    let app = App::start(Config::for_tests(), CancellationToken::new()).await.unwrap();
    let readiness = app.readiness.clone();
    let AnyLog::Memory(log) = &app.reloads.log else { panic!("no Redis was configured") };
    let moment = Duration::from_millis(1);
    for phase in (0..500).step_by(13).map(Duration::from_millis) {
        sleep(Duration::from_secs(1) + phase).await;
        assert_eq!(readiness.reasons(), [""; 0], "{phase:?}");
        let silent_at = Instant::now();
        sleep(ASKED_EVERY).await;
        log.faults.be_away(true);
        while readiness.reasons() != ["log"] {
            assert!(silent_at.elapsed() < Duration::from_millis(2_710), "{phase:?}");
            sleep(moment).await;
        }
        log.faults.be_away(false);
    }
    sleep(Duration::from_secs(1)).await;
    for _ in 0..100 {
        log.faults.be_away(true);
        for _ in 0..19 {
            sleep(moment * 100).await;
            assert_eq!(readiness.reasons(), [""; 0]);
        }
        log.faults.be_away(false);
        sleep(ASKED_EVERY).await;
    }
}
