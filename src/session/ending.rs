//! A seated client, and how it leaves.
//!
//! Invariants: presence hears of every socket that came exactly once that it went;
//! whoever leaves has its place written down before the task ends.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    context::Context,
    socket::{End, Heard, Socket},
};
use crate::{model::CloseCode, node::Seat, presence::Ending};

/// Activity that is noted at most this often per connection.
const ACTIVITY_STEP: Duration = Duration::from_secs(1);

/// A socket whose user has a seat.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) context: Arc<Context>,
    pub(super) socket: Socket,
    pub(super) seat: Seat,
    /// Bytes of a message, where they are not those of the configuration.
    pub(super) message_bytes: Option<usize>,
    acted_at: Instant,
}

impl Client {
    /// Tells presence that the client is there.
    pub(super) async fn begin(context: Arc<Context>, socket: Socket, seat: Seat) -> Self {
        if !super::guest::is_guest(&seat.identity) {
            context.node.came(&seat).await;
        }
        Self { context, socket, seat, message_bytes: None, acted_at: Instant::now() }
    }

    /// Waits for the next message.
    ///
    /// # Cancel safety
    ///
    /// Safe: what was read in part stays with the socket.
    pub(super) async fn next(&mut self) -> Heard {
        self.socket.next(self.message_bytes).await
    }

    /// Closes the socket after a panic of whoever handled its message.
    pub(super) fn panicked(&self) {
        self.context.node.metrics().session_panics_total.inc();
        self.socket.abandon(CloseCode::Internal, "the server made a mistake");
    }

    /// The user did something.
    pub(super) async fn acted(&mut self) {
        let now = Instant::now();
        let is_due = now.saturating_duration_since(self.acted_at) >= ACTIVITY_STEP;
        if is_due && !super::guest::is_guest(&self.seat.identity) {
            self.acted_at = now;
            self.context.node.acted(&self.seat).await;
        }
    }
}

/// Ends the socket of a seated client. Returns the close code that counts.
pub(super) async fn leave(client: Client, end: End) -> u16 {
    let Client { context, socket, seat, .. } = client;
    let link = Arc::clone(socket.link());
    // Out of the hub first: nothing more is queued while the socket says goodbye.
    let ending = ending(&end);
    context.node.leave(&seat, &link).await;
    if !super::guest::is_guest(&seat.identity) {
        context.node.went(&seat, ending).await;
    }
    socket.finish(end).await
}

/// Gives up the seat of a client whose socket stays open.
pub(super) async fn stand_up(client: Client) -> (Arc<Context>, Socket) {
    let Client { context, socket, seat, .. } = client;
    context.node.leave(&seat, socket.link()).await;
    // Another seat may follow at once.
    context.node.went(&seat, Ending::Dropped).await;
    (context, socket)
}

/// Ends a socket that got no seat. Returns the close code.
pub(super) async fn refuse(socket: Socket, code: CloseCode) -> u16 {
    socket.abandon(code, code.row().meaning);
    // The node may have closed it for a reason of its own.
    let code = socket.link().closed_with().unwrap_or(code.number());
    socket.finish(End::ByServer(code)).await
}

/// Whether a socket that ended so may come back at any moment.
fn ending(end: &End) -> Ending {
    match end {
        End::ByPeer(_) => Ending::Closed,
        End::Gone | End::Failed(_) => Ending::Dropped,
        End::ByServer(code) => {
            let comes_back = [
                CloseCode::Restart,
                CloseCode::TryLater,
                CloseCode::SlowReader,
                CloseCode::RateLimited,
                CloseCode::ResumedElsewhere,
            ];
            if comes_back.iter().any(|close| close.number() == *code) {
                Ending::Dropped
            } else {
                Ending::Closed
            }
        }
    }
}
