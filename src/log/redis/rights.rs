//! Rights that are taken away while the node runs.
//!
//! Invariants: a node that was refused a right counts as one whose Redis is silent, until it
//! has all of them again.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    context::Context,
    nodes::{Asker, Lease},
};
use crate::{config::LogProfile, redis_client::StartError};

/// How often it is looked whether the rights are back.
const PASS: Duration = Duration::from_secs(1);

/// Looks for what is missing whenever something was refused.
pub(super) async fn watch(context: Arc<Context>, lease: Arc<Lease>) {
    let asker = Asker::new(&lease);
    let is_ha = context.limits.profile == LogProfile::Ha;
    loop {
        context.client.is_refused_a_right().await;
        let mut known = String::new();
        loop {
            match context.client.check_rights(is_ha).await {
                Err(StartError::Forbidden { lacks }) => {
                    asker.asked(Duration::ZERO);
                    if lacks != known {
                        tracing::error!(lacks, "redis refuses what this node needs");
                        known = lacks;
                    }
                }
                Err(error) => tracing::debug!(%error, "rights are not known"),
                Ok(()) => break,
            }
            sleep(PASS).await;
        }
        if !known.is_empty() {
            tracing::warn!("redis refuses nothing any more");
        }
        asker.answered();
    }
}
