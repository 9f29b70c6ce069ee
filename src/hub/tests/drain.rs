//! Draining: inside its window, evenly, whatever else the hub does.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::stage::{ENCODING, Stage, beginning, id};
use crate::{
    clock::{Clock, random_connection_id},
    hub::{Attach, Command, Hub, Link, Reader, Start},
    lifecycle::CancellationToken,
    metrics::Metrics,
    model::{Memberships, Scope},
};

/// Goal: a drain closes every connection inside its window and evenly, also when the
/// hub is never without work.
///
/// Method: paused time; a question to the hub every 10 ms. After half of the window
/// about half of the connections have been closed, after all of it all.
#[tokio::test(start_paused = true)]
async fn a_busy_hub_drains_evenly() {
    let stage = Stage::new(10);
    let metrics = Metrics::new("test", 1);
    let (hub, handle) = Hub::new(0, 16, &metrics, Clock::manual(Duration::from_secs(1)));
    let stop = CancellationToken::new();
    let mut links = Vec::new();
    let work = async {
        for number in 0..100 {
            let link = Arc::new(Link::new(Arc::clone(&stage.context), &ENCODING, None));
            let (answer, answered) = oneshot::channel();
            let user = format!("u{number}");
            let reader = Reader {
                connection: random_connection_id(),
                user: id(&user),
                scope: Scope::Member,
                memberships: Memberships::default(),
                watches: Memberships::default(),
                known_from: 0,
                known_up_to: 0,
            };
            let attach = Attach {
                realm_key: 0,
                realm: Arc::clone(&stage.realm),
                identity: super::stage::identity(&user),
                fencing: 1,
                claimed_after: 0,
                at: beginning(),
                begins_after: 0,
                reader,
                link: Arc::clone(&link),
                start: Start::Fresh,
                hello: None,
                replay_max: (1, 1),
                answer,
            };
            handle.commands.send(Command::Attach(Box::new(attach))).await.unwrap();
            answered.await.unwrap();
            links.push(link);
        }
        let began_at = Instant::now();
        let window = Duration::from_secs(10);
        handle.commands.send(Command::Drain { window }).await.unwrap();
        let closed = || links.iter().filter(|link| link.closed_with() == Some(1012)).count();
        let mut halfway = None;
        while began_at.elapsed() <= window {
            let (answer, answered) = oneshot::channel();
            handle.commands.send(Command::Inspect { answer }).await.unwrap();
            answered.await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
            if began_at.elapsed() >= window / 2 {
                halfway.get_or_insert_with(closed);
            }
        }
        (halfway.unwrap(), closed())
    };
    let (halfway, all) = tokio::select! {
        () = hub.run(stop.clone()) => panic!("the hub has stopped"),
        counted = work => counted,
    };
    assert!((40..=60).contains(&halfway), "{halfway} of 100 after half of the window");
    assert_eq!(all, 100);
}
