//! Reading: bytes in, whole messages out, strict in every row of RFC 6455.
//!
//! The reader does no IO and never waits, so it cannot lose its place: bytes that
//! it was given are part of its state when the call returns. It unmasks in place
//! and copies a payload once.
//!
//! Invariants:
//! - the same bytes give the same result, however they are cut;
//! - the first byte that cannot be right fails the conversation, before what
//!   follows it has arrived; frames before it have been delivered;
//! - it owns memory only while a frame or a message is incomplete, and at most twice
//!   what has arrived of it;
//! - after a close frame, or a failure, everything else is swallowed.
//!
//! Not here: waiting for bytes (`receiver`), answering (`closing`, `session`).

use bytes::Bytes;
use fastwebsockets::OpCode;
use tokio::time::Instant;

use self::{
    body::Body,
    head::{Context, Head, MASKED_HEAD_BYTES, Received},
};
use super::{Failure, FrameLimits, control::Bucket, frame::CONTROL_BYTES};

mod body;
mod head;
#[cfg(test)]
mod tests;

/// What a peer sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Vec<u8>),
    /// A ping: answer with a pong of the same payload, at most 125 bytes.
    Ping(Bytes),
    /// A pong, asked for or not: a sign of life.
    Pong(Bytes),
    /// The peer ends the conversation; nothing comes after it.
    Close {
        /// A code that may be on the wire, if one was sent.
        code: Option<u16>,
        /// At most 123 bytes.
        reason: String,
    },
}

/// The state between two reads. Small, because most sockets are idle.
#[derive(Debug, Default)]
pub struct Reader {
    partial: Option<Box<Partial>>,
    control: Bucket,
    ended: bool,
}

/// What has arrived of a frame or message that is not complete.
#[derive(Debug)]
struct Partial {
    began_at: Instant,
    head: [u8; MASKED_HEAD_BYTES],
    head_length: usize,
    frame: Option<OpenFrame>,
    control: Vec<u8>,
    message: Option<Message>,
}

/// A frame whose head is complete.
#[derive(Debug, Clone, Copy)]
struct OpenFrame {
    head: Head,
    left: usize,
}

#[derive(Debug)]
struct Message {
    body: Body,
    received: Received,
}

impl Reader {
    /// Reads from `input` up to the end of the next message or control frame, and
    /// unmasks in place.
    ///
    /// Returns how many bytes it took, and what was complete. `None` means that it
    /// took all of `input` and needs more. Call it again with the rest otherwise.
    ///
    /// # Errors
    ///
    /// The failure to close the socket with; the reader swallows all that follows.
    pub fn next(
        &mut self,
        input: &mut [u8],
        limits: &FrameLimits,
        now: Instant,
    ) -> (usize, Result<Option<Incoming>, Failure>) {
        if self.ended {
            return (input.len(), Ok(None));
        }
        let mut taken = 0;
        loop {
            let rest = input.get_mut(taken..).unwrap_or_default();
            let at_end = rest.is_empty();
            let step = match self.partial.as_mut() {
                None if at_end => return (taken, Ok(None)),
                None => self.start(rest, limits, now),
                Some(partial) if at_end && !partial.is_complete() => return (taken, Ok(None)),
                Some(partial) => partial.step(rest, limits),
            };
            let outcome = match step {
                Ok((count, incoming)) => {
                    taken += count;
                    incoming.map(|incoming| self.deliver(incoming, limits, now)).transpose()
                }
                Err(failure) => Err(failure),
            };
            match outcome {
                Ok(None) => {}
                Ok(Some(incoming)) => return (taken, Ok(Some(incoming))),
                Err(failure) => {
                    self.ended = true;
                    self.partial = None;
                    return (taken, Err(failure));
                }
            }
        }
    }

    /// When the message began whose end has not arrived; `None` between messages.
    /// Its owner closes the socket with [`Failure::MessageTimeout`] when
    /// [`FrameLimits::message_timeout`] has passed since then.
    #[must_use]
    pub fn incomplete_since(&self) -> Option<Instant> {
        self.partial.as_ref().map(|partial| partial.began_at)
    }

    /// True after a close frame or a failure: nothing will be delivered any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Reads a frame that begins at the start of `input`, between two messages.
    fn start(
        &mut self,
        input: &mut [u8],
        limits: &FrameLimits,
        now: Instant,
    ) -> Result<(usize, Option<Incoming>), Failure> {
        let ctx = Context { open: None, limits };
        let Some((head, head_bytes)) = Head::parse(input, ctx)? else {
            let mut partial = Partial::new(now);
            partial.keep_head(input);
            self.partial = Some(Box::new(partial));
            return Ok((input.len(), None));
        };
        let payload = input.get_mut(head_bytes..).unwrap_or_default();
        if head.last
            && let Some(payload) = payload.get_mut(..head.length)
        {
            // The usual case: the whole frame is here, so nothing is kept.
            fastwebsockets::unmask(payload, head.key);
            return Ok((head_bytes + head.length, Some(whole(head.opcode, payload)?)));
        }
        let mut partial = Partial::new(now);
        partial.open(head);
        self.partial = Some(Box::new(partial));
        Ok((head_bytes, None))
    }

    /// Accounts for what is about to be delivered.
    fn deliver(
        &mut self,
        incoming: Incoming,
        limits: &FrameLimits,
        now: Instant,
    ) -> Result<Incoming, Failure> {
        if self.partial.as_ref().is_some_and(|partial| partial.message.is_none()) {
            self.partial = None;
        }
        match &incoming {
            Incoming::Text(_) | Incoming::Binary(_) => {}
            Incoming::Ping(_) | Incoming::Pong(_) => {
                if !self.control.admit(limits.control, now) {
                    return Err(Failure::ControlFlood);
                }
            }
            Incoming::Close { .. } => {
                self.ended = true;
                self.partial = None;
            }
        }
        Ok(incoming)
    }
}

impl Partial {
    fn new(now: Instant) -> Self {
        Self {
            began_at: now,
            head: [0; MASKED_HEAD_BYTES],
            head_length: 0,
            frame: None,
            control: Vec::new(),
            message: None,
        }
    }

    /// True when the end of a frame can be handled without another byte.
    fn is_complete(&self) -> bool {
        self.frame.is_some_and(|frame| frame.left == 0)
    }

    /// Adds bytes of a head that is not complete. Returns how many fitted.
    fn keep_head(&mut self, input: &[u8]) -> usize {
        let free = self.head.get_mut(self.head_length..).unwrap_or_default();
        let count = free.len().min(input.len());
        for (cell, byte) in free.iter_mut().zip(input) {
            *cell = *byte;
        }
        self.head_length += count;
        count
    }

    /// Begins the payload of a frame.
    fn open(&mut self, head: Head) {
        self.frame = Some(OpenFrame { head, left: head.length });
        self.head_length = 0;
        if head.is_control() {
            return;
        }
        let message = self.message.get_or_insert_with(|| Message {
            body: if head.opcode == OpCode::Text { Body::text() } else { Body::Binary(Vec::new()) },
            received: Received { frames: 0, bytes: 0 },
        });
        message.received.frames += 1;
        message.received.bytes += head.length;
    }

    /// Takes one head or one piece of payload from `input`.
    fn step(
        &mut self,
        input: &mut [u8],
        limits: &FrameLimits,
    ) -> Result<(usize, Option<Incoming>), Failure> {
        let Some(frame) = self.frame.as_mut() else {
            return Ok((self.read_head(input, limits)?, None));
        };
        let count = frame.left.min(input.len());
        let payload = input.get_mut(..count).unwrap_or_default();
        let done = frame.head.length - frame.left;
        let mut key = frame.head.key;
        key.rotate_left(done % 4);
        fastwebsockets::unmask(payload, key);
        frame.left -= count;
        let OpenFrame { head, left } = *frame;
        if head.is_control() {
            self.control.extend_from_slice(payload);
        } else if let Some(message) = self.message.as_mut() {
            message.body.push(payload)?;
        }
        let incoming = if left == 0 { self.finish(head)? } else { None };
        Ok((count, incoming))
    }

    fn read_head(&mut self, input: &[u8], limits: &FrameLimits) -> Result<usize, Failure> {
        let before = self.head_length;
        let kept = self.keep_head(input);
        let open = self.message.as_ref().map(|message| message.received);
        let bytes = self.head.get(..self.head_length).unwrap_or_default();
        let Some((head, head_bytes)) = Head::parse(bytes, Context { open, limits })? else {
            return Ok(kept);
        };
        self.open(head);
        Ok(head_bytes.saturating_sub(before))
    }

    /// Handles the end of a frame.
    fn finish(&mut self, head: Head) -> Result<Option<Incoming>, Failure> {
        self.frame = None;
        if head.is_control() {
            let payload = std::mem::take(&mut self.control);
            return whole(head.opcode, &payload).map(Some);
        }
        if !head.last {
            return Ok(None);
        }
        self.message.take().map(|message| message.body.finish()).transpose()
    }
}

/// What a whole, unmasked frame says.
fn whole(opcode: OpCode, payload: &[u8]) -> Result<Incoming, Failure> {
    match opcode {
        OpCode::Text => text_of(payload).map(Incoming::Text),
        // A continuation is never whole by itself; its message is.
        OpCode::Binary | OpCode::Continuation => Ok(Incoming::Binary(payload.to_vec())),
        OpCode::Ping => Ok(Incoming::Ping(Bytes::copy_from_slice(payload))),
        OpCode::Pong => Ok(Incoming::Pong(Bytes::copy_from_slice(payload))),
        OpCode::Close => close_of(payload),
    }
}

fn text_of(payload: &[u8]) -> Result<String, Failure> {
    std::str::from_utf8(payload).map(str::to_owned).map_err(|_invalid| Failure::NotUtf8)
}

fn close_of(payload: &[u8]) -> Result<Incoming, Failure> {
    debug_assert!(payload.len() <= CONTROL_BYTES, "the head was checked");
    let Some((code, reason)) = payload.split_first_chunk() else {
        let empty =
            payload.is_empty().then_some(Incoming::Close { code: None, reason: String::new() });
        return empty.ok_or(Failure::ClosePayload);
    };
    let code = u16::from_be_bytes(*code);
    // RFC 6455 section 7.4, and the registry of the codes that came later.
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Failure::ClosePayload);
    }
    Ok(Incoming::Close { code: Some(code), reason: text_of(reason)? })
}
