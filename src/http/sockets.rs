//! Hands requests to open sockets to the sessions.
//!
//! Invariants: nothing is decided here; the words of HTTP become those of a session.

use std::sync::Arc;

use super::upgrade::{Denial, SocketRoute, Upgrade, UpgradeHandler, Verdict};
use crate::{
    node::Resume,
    session::{Doorkeeper, Knock, Route},
};

impl UpgradeHandler for Arc<Doorkeeper> {
    async fn accept(&self, upgrade: Upgrade) -> Verdict {
        let knock = Knock {
            route: match upgrade.route {
                SocketRoute::Mattermost => Route::Mattermost,
                SocketRoute::Room(name) => Route::Room(name),
                SocketRoute::Echo => Route::Echo,
            },
            protocol: upgrade.protocol,
            resume: upgrade.query.resume.map(|(connection, next)| Resume { connection, next }),
            token: upgrade.token.map(|token| token.text),
            guest_name: upgrade.query.name,
            client: upgrade.client,
            is_limited: upgrade.is_limited,
        };
        match Doorkeeper::accept(self, knock).await {
            Ok(run) => Verdict::Open(run),
            Err(denied) => Verdict::Refuse(Denial {
                status: denied.status,
                text: denied.text,
                retry_after: denied.retry_after,
            }),
        }
    }
}
