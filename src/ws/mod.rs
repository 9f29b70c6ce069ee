//! The WebSocket layer: handshake, frames, whole messages, caps, close codes.
//!
//! From outside in: [`Tls`] and [`Stream`] are the transport, [`upgrade`] decides
//! which HTTP requests get one, a [`Receiver`] reads whole messages from it, and
//! [`Closing`] with [`finish`] ends it. [`frame`] writes frames.
//!
//! Invariants:
//! - what a peer sent decides the outcome, never how the network cut it;
//! - a size is checked when it is declared, and memory grows with what arrived;
//! - an idle socket owns no buffer;
//! - every text that leaves this module is valid UTF-8;
//! - frames of the server are whole, unmasked, and have the shortest head.
//!
//! Not here: what messages mean (`dialect`), queues in front of a socket (`hub`),
//! timers and pings (`session`), extensions (none is negotiated).

mod closing;
mod control;
mod extensions;
mod failure;
pub mod frame;
mod limits;
mod origin;
mod reader;
mod receiver;
mod stream;
mod tls;
pub mod upgrade;

pub use closing::{CLOSE_TIMEOUT, Closing, Finished, Step, finish};
pub use control::Rate;
pub use failure::Failure;
pub use limits::FrameLimits;
pub use reader::{Incoming, Reader};
pub use receiver::{Ended, Receiver};
pub use stream::{SharedSocket, Stream};
pub use tls::{Tls, TlsError};
