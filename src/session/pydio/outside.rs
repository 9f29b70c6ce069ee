//! A socket that is nobody's: before `subscribe`, and after `unsubscribe`.
//!
//! Invariants: it hears nothing, and ends when nobody proves to be somebody in time.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::{Base, Proved, PydioClient, refuse};
use crate::{
    auth::AuthError,
    dialect::pydio::{Control, Refusal, Subscribe, decode},
    model::CloseCode,
    node::Resume,
    session::{
        context::Context,
        knock::PydioRoute,
        pace::Paced,
        socket::{End, Heard, Socket},
    },
    ws::FrameLimits,
};

/// A socket without a seat.
pub(super) struct Outside {
    pub(super) context: Arc<Context>,
    pub(super) socket: Socket,
    pub(super) base: Base,
    /// Where the first subscription wants to go on.
    pub(super) resume: Option<Resume>,
}

impl Outside {
    /// Waits for a user and takes a seat; `None` when the socket has ended instead.
    pub(super) async fn come_in(mut self) -> Option<PydioClient> {
        match self.wait().await {
            Ok(proved) => {
                let Self { context, socket, base, resume } = self;
                // The numbers of a connection that is to go on are wanted.
                let is_numbered = proved.is_numbered || resume.is_some();
                let proved = Proved { is_numbered, resume, ..proved };
                if let Some(resume) = &proved.resume {
                    tracing::trace!(connection = %resume.connection, "a resume");
                    base.limits.wait_for_resume(&proved.identity).await;
                }
                base.seat(context, socket, proved).await
            }
            Err(end) => {
                self.base.meter.close(self.socket.finish(end).await);
                None
            }
        }
    }

    async fn wait(&mut self) -> Result<Proved, End> {
        let Self { context, socket, base, .. } = self;
        let limits = context.limits();
        let deadline = Instant::now() + limits.auth_timeout;
        let frames = FrameLimits::unauthenticated(&limits);
        loop {
            // Every arm is cancel safe; what was read in part stays with the socket.
            let heard = tokio::select! {
                biased;
                () = context.draining.cancelled() => {
                    return Err(close(socket, CloseCode::Restart, "the server restarts"));
                }
                heard = timeout_at(deadline, socket.next_within(&frames)) => heard,
            };
            let text = match heard {
                Ok(Heard::Text(text)) => Some(text),
                Ok(Heard::Binary(_)) => None,
                Ok(Heard::End(end)) => return Err(end),
                Err(_elapsed) => {
                    context.node.metrics().rejected("auth", "timeout");
                    return Err(close(socket, CloseCode::AuthRequired, "no subscribe in time"));
                }
            };
            if base.pace.step(&limits) != Paced::Fine {
                context.node.metrics().rejected("limit", "commands");
                return Err(close(socket, CloseCode::RateLimited, "too many messages"));
            }
            // Only text is spoken; anything else is read and dropped.
            let Some(text) = text else { continue };
            match decode(&text, &context.json_limits()) {
                Ok(Control::Subscribe(subscribe)) => {
                    if let Some(proved) = base.prove((context, socket), subscribe).await {
                        return Ok(proved);
                    }
                }
                Err(error) if base.route == PydioRoute::Event => {
                    refuse(context, socket, &error.into());
                }
                Ok(Control::Unsubscribe | Control::Other) | Err(_) => {}
            }
            if let Some(code) = socket.link().closed_with() {
                return Err(End::ByServer(code));
            }
        }
    }
}

impl Base {
    /// Finds out who subscribes. A token that is not good ends the socket.
    pub(super) async fn prove(
        &mut self,
        (context, socket): (&Arc<Context>, &Socket),
        Subscribe { token, resume }: Subscribe,
    ) -> Option<Proved> {
        let is_chat = self.route == PydioRoute::Chat;
        let refusal = if token.is_empty() {
            self.ticket.count_failure(&self.limits);
            Refusal::EmptyToken { is_chat }
        } else {
            match context.verifier.verify(&token).await {
                Ok(identity) => {
                    let max = context.limits().connections_per_user;
                    self.ticket.forget_user();
                    if self.ticket.count_user(&self.limits, &identity, max) {
                        let identity = Arc::new(identity);
                        let (is_numbered, resume) = (resume, None);
                        return Some(Proved { identity, is_numbered, resume, since: None });
                    }
                    Refusal::TooMany
                }
                Err(error) => {
                    context.node.metrics().rejected("auth", error.label());
                    if !self.ticket.count_failure(&self.limits) {
                        Refusal::TooManyFailures
                    } else if error == AuthError::Expired {
                        Refusal::Ended
                    } else {
                        Refusal::Token(error.to_string())
                    }
                }
            }
        };
        refuse(context, socket, &refusal);
        None
    }
}

/// Closes a socket that has no seat.
fn close(socket: &Socket, code: CloseCode, reason: &str) -> End {
    socket.abandon(code, reason);
    End::ByServer(code.number())
}
