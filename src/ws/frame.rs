//! Writing frames: heads, and whole control frames.
//!
//! Invariants: frames of the server are final, unmasked, without reserved bits, and
//! have the shortest length form (RFC 6455 section 5.2); a control payload has at
//! most [`CONTROL_BYTES`] bytes.
//!
//! Not here: reading (`reader`), when to close (`closing`).

use std::ops::Deref;

use bytes::Bytes;
use fastwebsockets::OpCode;

/// The most bytes that a control frame carries.
pub const CONTROL_BYTES: usize = 125;

/// The most bytes of a close reason: two bytes are the code.
pub const REASON_BYTES: usize = CONTROL_BYTES - 2;

/// The most bytes of a frame's head.
pub const HEAD_BYTES: usize = 10;

/// What a data message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// Valid UTF-8.
    Text,
    /// Anything.
    Binary,
}

/// The first bytes of a frame, on the stack.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    bytes: [u8; HEAD_BYTES],
    length: u8,
}

impl Deref for Head {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&self.bytes)
    }
}

/// The head of a frame that carries one whole message of `length` bytes.
#[must_use]
pub fn head(opcode: Opcode, length: usize) -> Head {
    match opcode {
        Opcode::Text => head_of(OpCode::Text, length),
        Opcode::Binary => head_of(OpCode::Binary, length),
    }
}

/// Appends what [`head`] returns: for frames that are built in a buffer.
pub fn put_head(buffer: &mut Vec<u8>, opcode: Opcode, length: usize) {
    buffer.extend_from_slice(&head(opcode, length));
}

/// A whole frame: head and a copy of `payload`. For small and rare messages.
#[must_use]
pub fn message(opcode: Opcode, payload: &[u8]) -> Bytes {
    join(&head(opcode, payload.len()), payload)
}

/// A whole ping frame; `payload` is cut to [`CONTROL_BYTES`].
#[must_use]
pub fn ping(payload: &[u8]) -> Bytes {
    control(OpCode::Ping, payload)
}

/// A whole pong frame; `payload` is cut to [`CONTROL_BYTES`].
#[must_use]
pub fn pong(payload: &[u8]) -> Bytes {
    control(OpCode::Pong, payload)
}

/// A whole close frame with `code`; `reason` is cut to [`REASON_BYTES`], between
/// two characters.
#[must_use]
pub fn close(code: u16, reason: &str) -> Bytes {
    let mut payload = Vec::with_capacity(2 + reason.len().min(REASON_BYTES));
    payload.extend_from_slice(&code.to_be_bytes());
    let end = reason.floor_char_boundary(REASON_BYTES);
    payload.extend_from_slice(reason.as_bytes().get(..end).unwrap_or_default());
    control(OpCode::Close, &payload)
}

/// The close frame that answers a close frame without a code.
#[must_use]
pub fn close_without_code() -> Bytes {
    control(OpCode::Close, &[])
}

fn control(opcode: OpCode, payload: &[u8]) -> Bytes {
    let payload = payload.get(..CONTROL_BYTES).unwrap_or(payload);
    join(&head_of(opcode, payload.len()), payload)
}

fn join(head: &[u8], payload: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(head.len() + payload.len());
    frame.extend_from_slice(head);
    frame.extend_from_slice(payload);
    Bytes::from(frame)
}

fn head_of(opcode: OpCode, length: usize) -> Head {
    const FINAL: u8 = 0x80;
    let first = FINAL | opcode as u8;
    let (bytes, length) = match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..126), _) => ([first, short, 0, 0, 0, 0, 0, 0, 0, 0], 2),
        (_, Ok(medium)) => {
            let [high, low] = medium.to_be_bytes();
            ([first, 126, high, low, 0, 0, 0, 0, 0, 0], 4)
        }
        (_, Err(_)) => {
            let [a, b, c, d, e, f, g, h] = u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes();
            ([first, 127, a, b, c, d, e, f, g, h], 10)
        }
    };
    Head { bytes, length }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f10_a_head_has_the_shortest_length_form() {
        let check = |length, expected: &[u8]| assert_eq!(&*head(Opcode::Text, length), expected);
        check(0, &[0x81, 0]);
        check(125, &[0x81, 125]);
        check(126, &[0x81, 126, 0, 126]);
        check(127, &[0x81, 126, 0, 127]);
        check(255, &[0x81, 126, 0, 255]);
        check(256, &[0x81, 126, 1, 0]);
        check(65_535, &[0x81, 126, 0xff, 0xff]);
        check(65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        let mut buffer = vec![1];
        put_head(&mut buffer, Opcode::Binary, 3);
        assert_eq!(buffer, [1, 0x82, 3]);
    }

    #[test]
    fn f02_frames_of_the_server_are_final_and_unmasked() {
        let frames = [
            message(Opcode::Text, b"hi"),
            message(Opcode::Binary, &[0; 70_000]),
            ping(b"x"),
            pong(b""),
            close(1000, "bye"),
            close_without_code(),
        ];
        for frame in frames {
            assert_eq!(frame[0] & 0xf0, 0x80, "final, no reserved bit");
            assert_eq!(frame[1] & 0x80, 0, "no mask");
        }
        assert_eq!(&*close(1000, "bye"), b"\x88\x05\x03\xe8bye");
        assert_eq!(&*message(Opcode::Text, b"hi"), b"\x81\x02hi");
        assert_eq!(&*pong(b"1234"), b"\x8a\x041234");
        assert_eq!(&*ping(b""), b"\x89\x00");
        assert_eq!(&*close_without_code(), b"\x88\x00");
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let frame = close(1008, &"é".repeat(100));
        assert_eq!(frame[1], 2 + 122);
        assert_eq!(std::str::from_utf8(&frame[4..]).unwrap(), "é".repeat(61));
        assert_eq!(ping(&[7; 300]).len(), 2 + CONTROL_BYTES);
    }
}
