//! A log that does not answer.

use std::time::Duration;

use super::stage::*;
use crate::node::{Pulse, Stuck};

const PASS: Duration = Duration::from_millis(500);

/// Goal: a log that is away is noticed by its silence, without being asked, and its
/// return, too.
#[tokio::test(start_paused = true)]
async fn a_silent_log_is_away_until_it_answers() {
    let log = log();
    let stage = Stage::new(&log);
    stage.publish(1).await;
    let mut pulse = Pulse::new(std::sync::Arc::clone(&stage.node), Duration::from_secs(3));
    let silent_for = || stage.node.log_silent_for();
    assert_eq!((pulse.feel().await, silent_for()), (vec![], None));
    log.faults.be_away(true);
    for pass in 1..=120 {
        tokio::time::advance(PASS).await;
        assert_eq!(pulse.feel().await, [] as [Stuck; 0]);
        assert_eq!(silent_for(), Some(PASS * pass));
    }
    assert_eq!(pulse.log_fails_since(), None, "who is silent is not asked");
    log.faults.be_away(false);
    pulse.feel().await;
    assert_eq!((silent_for(), pulse.log_fails_since()), (None, None));
}

/// Goal: a node that gave its sockets up has closed all of them with 1013 and keeps their
/// places.
#[tokio::test(start_paused = true)]
async fn a_node_that_is_cut_off_closes_its_sockets_and_takes_them_back() {
    let log = log();
    let stage = Stage::new(&log);
    let mut clients = Vec::new();
    for user in ["alice", "bob", "carol"] {
        clients.push(stage.connect(user).await);
    }
    stage.publish(2).await;
    for client in &clients {
        client.reads(0, 2).await;
    }
    assert!(!stage.node.is_cut_off());
    stage.node.cut_off().await;
    for client in &clients {
        client.closes_with(1013).await;
        assert_eq!(client.link.left_at(), Some((3, 2)));
    }
    assert!(stage.node.is_cut_off());
    assert_eq!(stage.connections(), 0);
    stage.node.reconnected();
    assert!(!stage.node.is_cut_off());
    stage.publish(1).await;
    let back = stage.resume("alice", clients.first().unwrap().id(), 3).await;
    let Arrived::Resumed(back) = back else { panic!("{back:?}") };
    back.reads(3, 3).await;
}
