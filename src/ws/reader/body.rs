//! The payload of one message, collected and checked while it arrives.
//!
//! Invariants: text is valid UTF-8 up to at most three bytes that may still become
//! a character; the first byte that cannot fit fails at once.

use super::{super::Failure, Incoming};

/// What has arrived of an open message.
#[derive(Debug)]
pub(super) enum Body {
    /// Characters, and the beginning of one that has not arrived whole.
    Text { text: String, unfinished: Unfinished },
    /// Bytes.
    Binary(Vec<u8>),
}

impl Body {
    pub(super) fn text() -> Self {
        Self::Text { text: String::new(), unfinished: Unfinished::default() }
    }

    /// Adds payload that has been unmasked.
    pub(super) fn push(&mut self, payload: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Binary(bytes) => bytes.extend_from_slice(payload),
            Self::Text { text, unfinished } => {
                let payload = unfinished.complete(text, payload)?;
                push_text(text, unfinished, payload)?;
            }
        }
        Ok(())
    }

    /// The whole message.
    pub(super) fn finish(self) -> Result<Incoming, Failure> {
        match self {
            Self::Binary(bytes) => Ok(Incoming::Binary(bytes)),
            Self::Text { text, unfinished } if unfinished.length == 0 => Ok(Incoming::Text(text)),
            Self::Text { .. } => Err(Failure::NotUtf8),
        }
    }
}

/// The bytes of a character that has not arrived whole.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    bytes: [u8; 4],
    length: usize,
}

impl Unfinished {
    /// Completes the character with the first bytes of `payload`; returns the rest.
    fn complete<'rest>(
        &mut self,
        text: &mut String,
        mut payload: &'rest [u8],
    ) -> Result<&'rest [u8], Failure> {
        while self.length > 0
            && let Some((&next, rest)) = payload.split_first()
        {
            payload = rest;
            self.add(next);
            let bytes = self.bytes.get(..self.length).unwrap_or_default();
            match std::str::from_utf8(bytes) {
                Ok(character) => {
                    text.push_str(character);
                    self.length = 0;
                }
                // No length means that it is the beginning of a character.
                Err(error) if error.error_len().is_none() => {}
                Err(_never_valid) => return Err(Failure::NotUtf8),
            }
        }
        Ok(payload)
    }

    fn add(&mut self, byte: u8) {
        if let Some(cell) = self.bytes.get_mut(self.length) {
            *cell = byte;
            self.length += 1;
        }
    }
}

fn push_text(
    text: &mut String,
    unfinished: &mut Unfinished,
    payload: &[u8],
) -> Result<(), Failure> {
    let error = match std::str::from_utf8(payload) {
        Ok(all) => {
            text.push_str(all);
            return Ok(());
        }
        Err(error) => error,
    };
    if error.error_len().is_some() {
        return Err(Failure::NotUtf8);
    }
    let (valid, beginning) = payload.split_at(error.valid_up_to());
    text.push_str(std::str::from_utf8(valid).map_err(|_never| Failure::NotUtf8)?);
    for &byte in beginning {
        unfinished.add(byte);
    }
    Ok(())
}
