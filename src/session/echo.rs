//! The echo dialect: every message comes back as it was sent.
//!
//! For conformance suites. No user, no hub; the next message is read when the last
//! one has left, so nothing piles up.
//!
//! Invariants: a message comes back whole and in its kind; one message at a time.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    context::Context,
    doorkeeper::Ticket,
    meter::Meter,
    socket::{End, Heard, Socket},
};
use crate::{
    model::{CloseCode, Encoding, RenderingSlot, Tail},
    ws::{FrameLimits, Stream, frame},
};

/// Echo sends no records; the encoding only names the dialect.
static ENCODING: Encoding = Encoding {
    slot: RenderingSlot::RoomPlain,
    name: "echo",
    render: |_| crate::model::Rendering { payload: Bytes::new(), binary: false },
    tail: Tail::None,
    noop: b"",
    withheld: |_, _| false,
    numbered: None,
};

/// Serves one socket until it ends or the node drains.
pub(super) async fn run(context: Arc<Context>, ticket: Ticket, stream: Stream, leftover: Bytes) {
    let meter = Meter::open(&context, "echo");
    let draining = context.draining.clone();
    let limits = FrameLimits::echo();
    let mut socket = Socket::new(context, &ENCODING, stream, leftover);
    let end = loop {
        // Both are cancel safe; what was read in part stays with the socket.
        let heard = tokio::select! {
            biased;
            () = draining.cancelled() => {
                let code = CloseCode::Restart;
                socket.link().close(code.number(), "the server restarts");
                break End::ByServer(code.number());
            }
            heard = socket.next_within(&limits) => heard,
        };
        match heard {
            Heard::Text(text) => {
                socket.send(frame::message(frame::Opcode::Text, text.as_bytes()));
            }
            Heard::Binary(bytes) => socket.send(frame::message(frame::Opcode::Binary, &bytes)),
            Heard::End(end) => break end,
        }
        if socket.written().await.is_err() {
            break End::Gone;
        }
    };
    meter.close(socket.finish(end).await);
    drop(ticket);
}
