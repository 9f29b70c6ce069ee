//! Who makes a call over HTTP: the same proof as for a socket, without one.
//!
//! Invariants: a call without a user gets no further; a bad token costs its sender a
//! share of the same few as at a socket; a revoked token is refused.

use std::net::IpAddr;

use super::{Doorkeeper, knock::Denial};
use crate::{model::Identity, node::Standing};

/// What a call shows of its sender.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The token that it carries, not yet verified.
    pub token: Option<&'a str>,
    /// The client's address, as limits count it; `None` for a trusted proxy that speaks
    /// for itself.
    pub client: Option<IpAddr>,
}

impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Credentials").field("client", &self.client).finish_non_exhaustive()
    }
}

/// Who calls, and what they may do now.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What the token proved.
    pub identity: Identity,
    /// What its holder may do.
    pub standing: Standing,
}

impl Doorkeeper {
    /// Finds out who makes a call.
    ///
    /// # Errors
    ///
    /// [`Denial`] with 401, 429 or 503. It has been counted.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is opened.
    pub async fn identify_caller(&self, credentials: Credentials<'_>) -> Result<Caller, Denial> {
        let Credentials { token, client } = credentials;
        self.check_failures(client)?;
        let token = token.ok_or_else(|| self.deny("auth", "missing"))?;
        let identity = self.verify(token, client).await;
        let identity = identity.ok_or_else(|| self.answer(401, "the token is not valid"))?;
        match self.context.node.standing(&identity).await {
            Ok(Some(standing)) => Ok(Caller { identity, standing }),
            Ok(None) => Err(self.deny("auth", "revoked")),
            Err(error) => {
                tracing::debug!(%error, "a caller was not checked");
                self.context.node.metrics().rejected("api", "unavailable");
                Err(self.answer(503, "the log is unavailable, try again"))
            }
        }
    }
}
