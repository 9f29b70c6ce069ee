//! One connected client: reading, replying, authentication, resume, leaving.
//!
//! A session is one task that owns a socket. It decodes what the client sends, asks
//! the node, and replies; events come to the socket from the hub, past this task.
//!
//! Invariants:
//! - a session holds no queue and no copy of events;
//! - its socket ends with a code, and its place in the log is written down;
//! - a waiting session is small: everything rare is boxed.
//!
//! Not here: HTTP (`http`), frames (`ws`), shapes (`dialect`), delivery (`hub`).

mod caller;
mod context;
mod doorkeeper;
mod echo;
mod ending;
mod guest;
mod handler;
mod hosted;
mod knock;
mod mattermost;
mod meter;
mod pace;
mod pydio;
mod room;
mod shield;
mod socket;
mod writers;

pub use caller::{Caller, Credentials};
pub use context::Context;
pub use doorkeeper::Doorkeeper;
pub use handler::{Connection, Handle, Handler, Hosted, Message, SendError};
pub use knock::{Denial, Knock, PydioRoute, Route, Run};
