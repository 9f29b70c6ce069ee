//! The head of one frame of a client.
//!
//! Invariants: bytes are judged in the order in which they arrive, each as soon as
//! it is there, so the verdict never depends on how the network cut them.

use fastwebsockets::OpCode;

use super::super::{Failure, FrameLimits, frame::CONTROL_BYTES};

/// The most bytes of a masked head.
pub(super) const MASKED_HEAD_BYTES: usize = 14;

/// A checked head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// True on the last frame of a message.
    pub(super) last: bool,
    /// What the frame is.
    pub(super) opcode: OpCode,
    /// Payload bytes that follow; within the limits.
    pub(super) length: usize,
    /// What the payload is masked with.
    pub(super) key: [u8; 4],
}

/// What a head is judged against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'limits> {
    /// Frames and payload bytes of the message that is open.
    pub(super) open: Option<Received>,
    /// What the peer may send.
    pub(super) limits: &'limits FrameLimits,
}

/// How much of a message has been announced so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Received {
    /// Frames whose head was read.
    pub(super) frames: usize,
    /// Payload bytes of those frames.
    pub(super) bytes: usize,
}

impl Head {
    /// Reads a head from the start of `bytes`. Returns it with its own length, or
    /// `None` when more bytes are needed.
    pub(super) fn parse(bytes: &[u8], ctx: Context<'_>) -> Result<Option<(Self, usize)>, Failure> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        let (last, opcode) = kind(first, ctx)?;
        let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
        if second & 0x80 == 0 {
            return Err(Failure::Unmasked);
        }
        let short = second & 0x7f;
        if is_control(opcode) && usize::from(short) > CONTROL_BYTES {
            return Err(Failure::ControlTooLong);
        }
        let Some((declared, rest)) = length(short, rest)? else { return Ok(None) };
        let length = within_limit(declared, opcode, ctx)?;
        let Some((&key, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let head_bytes = bytes.len() - rest.len();
        Ok(Some((Self { last, opcode, length, key }, head_bytes)))
    }

    /// True for close, ping and pong.
    pub(super) fn is_control(&self) -> bool {
        is_control(self.opcode)
    }
}

fn is_control(opcode: OpCode) -> bool {
    matches!(opcode, OpCode::Close | OpCode::Ping | OpCode::Pong)
}

fn kind(first: u8, ctx: Context<'_>) -> Result<(bool, OpCode), Failure> {
    if first & 0x70 != 0 {
        return Err(Failure::ReservedBits);
    }
    let last = first & 0x80 != 0;
    let opcode = OpCode::try_from(first & 0x0f).map_err(|_unknown| Failure::ReservedOpcode)?;
    let failure = match (opcode, ctx.open) {
        (OpCode::Close | OpCode::Ping | OpCode::Pong, _) if !last => Failure::ControlFragmented,
        (OpCode::Continuation, None) => Failure::UnexpectedContinuation,
        (OpCode::Text | OpCode::Binary, Some(_)) => Failure::MessageInsideMessage,
        (OpCode::Continuation, Some(open)) if open.frames >= ctx.limits.fragments => {
            Failure::TooManyFragments
        }
        (_, _) => return Ok((last, opcode)),
    };
    Err(failure)
}

/// The payload length and what follows it, or `None` when more bytes are needed.
fn length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Failure> {
    let (declared, shortest, rest) = match short {
        126 => {
            let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*bytes)), 126, rest)
        }
        127 => {
            let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(*bytes), 65_536, rest)
        }
        short => (u64::from(short), 0, rest),
    };
    let top_bit = declared >> 63 == 1;
    if top_bit || declared < shortest {
        return Err(Failure::Length);
    }
    Ok(Some((declared, rest)))
}

fn within_limit(declared: u64, opcode: OpCode, ctx: Context<'_>) -> Result<usize, Failure> {
    let length = usize::try_from(declared).map_err(|_huge| Failure::TooBig)?;
    if is_control(opcode) {
        return Ok(length);
    }
    let before = ctx.open.map_or(0, |open| open.bytes);
    if before.saturating_add(length) > ctx.limits.message_bytes {
        return Err(Failure::TooBig);
    }
    Ok(length)
}
