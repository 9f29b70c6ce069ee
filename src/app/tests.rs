//! Goal: how a node ends says whether it was well.
//! Method: a whole node in this process, its tokens cancelled by hand.

use super::*;
use crate::{config::Config, lifecycle::CancellationToken};

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
