//! What a program that embeds a server gives and gets.
//!
//! Invariants:
//! - the calls about one connection come one after the other: connect, messages,
//!   close, and close exactly once for each connect;
//! - what is sent to one or to all goes through the log, so all see one order;
//! - nothing is sent past the bounds of an outbox: who does not read is closed.
//!
//! Not here: the server (`embed`), the socket (`hosted`).

use std::{collections::HashSet, fmt, future::Future, net::IpAddr, pin::Pin, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    clock::random_connection_id,
    config::Limits,
    lifecycle::CancellationToken,
    model::{Body, ConnectionId, Event, Id, RealmId, Topic},
    node::{Draft, Node},
};

/// The realm of embedded servers: no token leads there.
const REALM: &str = "embedded";

/// One message, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text frame.
    Text(String),
    /// A binary frame.
    Binary(Vec<u8>),
}

impl Message {
    /// The bytes of the message.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

/// What your server does. Every method may be called for many connections at once.
///
/// A method that panics costs its own connection, which closes with 1011.
pub trait Handler: Send + Sync + 'static {
    /// A connection is open. Its first message is read when this returns.
    fn on_connect(&self, connection: &Connection) -> impl Future<Output = ()> + Send {
        let _nothing_to_do = connection;
        async {}
    }

    /// A message came. The next one is read when this returns.
    fn on_message(
        &self,
        connection: &Connection,
        message: Message,
    ) -> impl Future<Output = ()> + Send;

    /// The connection has ended with `code`; 1006 when it was lost without a word.
    fn on_close(&self, connection: &Connection, code: u16) -> impl Future<Output = ()> + Send {
        let _nothing_to_do = (connection, code);
        async {}
    }
}

/// One open connection.
#[derive(Debug, Clone)]
pub struct Connection {
    pub(super) id: ConnectionId,
    pub(super) address: IpAddr,
    pub(super) server: Handle,
}

impl Connection {
    /// Its name: random, so that nobody can guess it.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Where the client is.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The server, to send to others.
    #[must_use]
    pub fn server(&self) -> &Handle {
        &self.server
    }

    /// Sends to this connection.
    ///
    /// # Errors
    ///
    /// As [`Handle::send_to`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether the message is sent.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.server.send_to(self.id, message).await
    }
}

/// Why a message is not on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Nobody of that name is connected.
    #[error("there is no such connection")]
    NotConnected,
    /// The message is longer than `limits.event_bytes`.
    #[error("the message is longer than {limit} bytes")]
    TooLong {
        /// The bound.
        limit: usize,
    },
    /// The code may not be sent: 1000, 1001 and 3000 to 4999 may.
    #[error("the close code may not be sent")]
    Code,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

/// Reaches the connections of a server from anywhere. Cloning shares it.
#[derive(Clone)]
pub struct Handle(Arc<Inner>);

struct Inner {
    node: Arc<Node>,
    realm: RealmId,
    limits: watch::Receiver<Arc<Limits>>,
    open: Mutex<HashSet<ConnectionId>>,
    stop: CancellationToken,
}

impl fmt::Debug for Handle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Handle").field("open", &self.0.open.lock().len()).finish()
    }
}

impl Handle {
    /// A handle to the connections that `node` serves.
    pub(super) fn new(
        node: Arc<Node>,
        limits: watch::Receiver<Arc<Limits>>,
        stop: CancellationToken,
    ) -> Self {
        #[expect(clippy::expect_used, reason = "a constant of the right alphabet")]
        let realm = Id::parse(REALM).expect("a name");
        Self(Arc::new(Inner { node, realm, limits, open: Mutex::default(), stop }))
    }

    /// Sends to one connection.
    ///
    /// # Errors
    ///
    /// [`SendError`]; a connection that ends while the message is on its way is none.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether the message is sent.
    pub async fn send_to(
        &self,
        connection: ConnectionId,
        message: impl Into<Message>,
    ) -> Result<(), SendError> {
        if !self.0.open.lock().contains(&connection) {
            return Err(SendError::NotConnected);
        }
        self.publish(Topic::Connection(connection), message.into()).await
    }

    /// Sends to every open connection. All get what was sent to all in one order.
    ///
    /// # Errors
    ///
    /// [`SendError`]; then nobody gets it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether the message is sent.
    pub async fn send_all(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.publish(Topic::Everyone, message.into()).await
    }

    /// Closes a connection: what was sent to it before still leaves.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether the connection closes.
    pub async fn close(
        &self,
        connection: ConnectionId,
        code: u16,
        reason: &str,
    ) -> Result<(), SendError> {
        if !matches!(code, 1000 | 1001 | 3000..=4999) {
            return Err(SendError::Code);
        }
        if !self.0.open.lock().contains(&connection) {
            return Err(SendError::NotConnected);
        }
        let target = Topic::Connection(connection);
        self.append(Body::Disconnect { target, code, reason: Arc::from(reason) }).await
    }

    /// The connections that are open now, in no order.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionId> {
        self.0.open.lock().iter().copied().collect()
    }

    /// Stops the server: every connection closes with 1012, then `Server::run` returns.
    pub fn stop(&self) {
        self.0.stop.cancel();
    }

    pub(super) fn realm(&self) -> &RealmId {
        &self.0.realm
    }

    pub(super) fn opened(&self, connection: ConnectionId) {
        self.0.open.lock().insert(connection);
    }

    pub(super) fn closed(&self, connection: ConnectionId) {
        self.0.open.lock().remove(&connection);
    }

    async fn publish(&self, to: Topic, message: Message) -> Result<(), SendError> {
        let limit = self.0.limits.borrow().event_bytes;
        let (data, binary) = match message {
            Message::Text(text) => (Bytes::from(text), false),
            Message::Binary(bytes) => (Bytes::from(bytes), true),
        };
        if data.len() > limit {
            return Err(SendError::TooLong { limit });
        }
        let id = random_connection_id();
        let event = Event {
            name: Arc::from("message"),
            data,
            to,
            omit_users: Vec::new(),
            omit_connection: None,
            ephemeral: false,
            binary,
            id: Arc::from(id.as_str()),
            sender: None,
        };
        self.append(Body::Event(event)).await
    }

    async fn append(&self, body: Body) -> Result<(), SendError> {
        let published = self.0.node.publish_one(&self.0.realm, Draft { body, id: None }).await;
        published.map(|_position| ()).map_err(|_refused| SendError::Stopping)
    }
}

type Work<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A [`Handler`] behind a pointer.
pub(super) trait AnyHandler: Send + Sync {
    fn connected<'a>(&'a self, connection: &'a Connection) -> Work<'a>;
    fn said<'a>(&'a self, connection: &'a Connection, message: Message) -> Work<'a>;
    fn gone<'a>(&'a self, connection: &'a Connection, code: u16) -> Work<'a>;
}

impl<H: Handler> AnyHandler for H {
    fn connected<'a>(&'a self, connection: &'a Connection) -> Work<'a> {
        Box::pin(self.on_connect(connection))
    }

    fn said<'a>(&'a self, connection: &'a Connection, message: Message) -> Work<'a> {
        Box::pin(self.on_message(connection, message))
    }

    fn gone<'a>(&'a self, connection: &'a Connection, code: u16) -> Work<'a> {
        Box::pin(self.on_close(connection, code))
    }
}

/// A handler on its way into a server.
pub struct Hosted(pub(super) Box<dyn AnyHandler>);

impl Hosted {
    /// Takes the handler.
    #[must_use]
    pub fn new(handler: impl Handler) -> Self {
        Self(Box::new(handler))
    }
}

impl fmt::Debug for Hosted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Hosted")
    }
}

/// A handler and the connections that it is called for.
pub(super) struct Host {
    pub(super) handle: Handle,
    pub(super) handler: Box<dyn AnyHandler>,
}

impl fmt::Debug for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(formatter)
    }
}
