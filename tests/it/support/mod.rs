//! What the promises share: a node as a process, and a WebSocket client that hides
//! nothing.

pub(crate) mod process;
pub(crate) mod redis;
pub(crate) mod socket;

use std::time::Duration;

/// Nothing that should happen takes longer, on a slow machine neither.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `what` holds, asking again and again.
pub(crate) async fn until<F: Future<Output = bool>>(name: &str, mut what: impl FnMut() -> F) {
    let asking = async {
        while !what().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, asking).await.is_ok(), "waited in vain: {name}");
}
