//! Readiness and the phases of a drain.

use std::time::Duration;

use super::live::{page_of, start};
use crate::support::until;

#[tokio::test]
async fn a_drain_shows_its_phases_and_closes_with_1012() {
    let live = start(|config| {
        config.shutdown.ready_delay = Duration::from_millis(500);
        config.shutdown.drain = Duration::from_millis(500);
    })
    .await;
    let (mut alice, _) = live.mattermost("alice").await;
    alice.skip(1).await;
    let mut guest = live.open("/ws?name=guest", "").await;
    live.until("hubbub_hub_connections", &[], 2.0).await;
    let (metrics, internal) = (live.metrics(), live.app.internal());
    live.stop.cancel();
    let watched = async {
        for phase in [1.0, 2.0] {
            until(&format!("phase {phase}"), || async {
                let page = page_of(internal).await;
                let is_there = page.get("hubbub_drain_phase", &[]) == phase;
                assert!(!is_there || page.get("hubbub_ready", &[]) == 0.0);
                is_there
            })
            .await;
        }
        for client in [&mut alice, &mut guest] {
            assert_eq!(client.frame().await.unwrap().first, 0x88);
            client.close(1012).await;
        }
    };
    let (stopped, ()) = tokio::join!(Box::pin(live.app.run()), watched);
    assert_eq!(stopped, hubbub::app::Stopped::Clean);
    assert_eq!(metrics.drain_phase.get(), 3);
    for dialect in ["mattermost", "room"] {
        let closed = metrics.sockets_closed_total.with_label_values(&[dialect, "1012"]);
        assert_eq!(closed.get(), 1, "{dialect}");
        assert_eq!(metrics.connections.with_label_values(&[dialect]).get(), 0, "{dialect}");
    }
    assert_eq!((metrics.outbox_events.get(), metrics.outbox_bytes.get()), (0, 0));
    let connections = [0, 1].map(|hub| metrics.hub(hub).connections.get());
    assert_eq!(connections, [0, 0]);
}
