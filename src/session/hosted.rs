//! A socket of an embedded server: its messages go to the program's own handler.
//!
//! Invariants: the handler hears of a connection's end exactly when it heard of its
//! beginning, panics included.

use std::{future::Future, net::IpAddr, pin::Pin, sync::Arc};

use bytes::Bytes;

use super::{
    context::Context,
    doorkeeper::Ticket,
    ending::{self, Client},
    guest,
    handler::{Connection, Host, Message},
    meter::Meter,
    pace::{Pace, Paced},
    shield::shielded,
    socket::{End, Heard, Socket},
};
use crate::{
    model::{Body, CloseCode, Encoding, Record, Rendering, RenderingSlot, Scope, Tail},
    node::{Arrival, Welcome},
    ws::Stream,
};

/// Messages as they are. Nothing else reads the realm of embedded servers, so they
/// can have the cell of plain rooms.
static ENCODING: Encoding = Encoding {
    slot: RenderingSlot::RoomPlain,
    name: "embedded",
    render,
    tail: Tail::None,
    noop: b"",
    withheld: |_, _| false,
    numbered: None,
};

fn render(record: &Record) -> Rendering {
    let Body::Event(event) = &record.body else {
        return Rendering { payload: Bytes::new(), binary: false };
    };
    Rendering { payload: event.data.clone(), binary: event.binary }
}

/// A client with a seat.
struct HostedClient {
    client: Client,
    host: Arc<Host>,
    connection: Connection,
    pace: Pace,
    meter: Meter,
    _ticket: Ticket,
}

/// Serves one socket until it ends.
///
/// Two tasks, because the first is big and short, the second small and long.
pub(super) fn run(
    context: Arc<Context>,
    ticket: Ticket,
    entry: (Arc<Host>, IpAddr),
    upgraded: (Stream, Bytes),
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let sessions = context.sessions.clone();
        let Some(mut seated) = enter(context, ticket, entry, upgraded).await else { return };
        sessions.spawn(async move {
            seated.begin().await;
            let end = loop {
                let message = match seated.client.next().await {
                    Heard::End(end) => break end,
                    Heard::Text(text) => Message::Text(text),
                    Heard::Binary(bytes) => Message::Binary(bytes),
                };
                Box::pin(seated.hear(message)).await;
            };
            Box::pin(seated.leave(end)).await;
        });
    })
}

/// Takes a seat; `None` when the socket has ended instead.
async fn enter(
    context: Arc<Context>,
    ticket: Ticket,
    (host, address): (Arc<Host>, IpAddr),
    (stream, leftover): (Stream, Bytes),
) -> Option<HostedClient> {
    let meter = Meter::open(&context, ENCODING.name);
    let socket = Socket::new(Arc::clone(&context), &ENCODING, stream, leftover);
    let now = context.node.clock().now_seconds();
    let arrival = Arrival {
        identity: Arc::new(guest::stranger(host.handle.realm(), now)?),
        scope: Scope::Member,
        link: Arc::clone(socket.link()),
        resume: None,
        since: None,
        greet: Box::new(|_| None),
    };
    match context.node.connect(arrival).await {
        Welcome::Fresh(seat) | Welcome::Resumed(seat) => {
            let id = seat.connection;
            let server = host.handle.clone();
            server.opened(id);
            let connection = Connection { id, address, server };
            let client = Client::begin(context, socket, seat).await;
            let pace = Pace::new();
            Some(HostedClient { client, host, connection, pace, meter, _ticket: ticket })
        }
        Welcome::Ended | Welcome::Unavailable => {
            meter.close(ending::refuse(socket, CloseCode::TryLater).await);
            None
        }
    }
}

impl HostedClient {
    async fn begin(&mut self) {
        if shielded(self.host.handler.connected(&self.connection)).await.is_err() {
            self.client.panicked();
        }
    }

    async fn hear(&mut self, message: Message) {
        let limits = self.client.context.limits();
        if self.pace.step(&limits) != Paced::Fine {
            self.client.context.node.metrics().rejected("limit", "commands");
            return self.client.socket.abandon(CloseCode::RateLimited, "too many messages");
        }
        if shielded(self.host.handler.said(&self.connection, message)).await.is_err() {
            self.client.panicked();
        }
    }

    async fn leave(self, end: End) {
        let Self { client, host, connection, meter, _ticket, .. } = self;
        connection.server.closed(connection.id);
        let metrics = Arc::clone(client.context.node.metrics());
        let code = ending::leave(client, end).await;
        meter.close(code);
        if shielded(host.handler.gone(&connection, code)).await.is_err() {
            metrics.session_panics_total.inc();
        }
    }
}
