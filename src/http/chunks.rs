//! Watches the sizes of a chunked body as its bytes go by (RFC 9112 §7.1).
//!
//! Invariants: a chunk that says it is larger than any body that is accepted, or
//! whose size is no number, is noticed at its first wrong byte.
//!
//! Not here: taking the chunks apart, which hyper does.

/// Most hexadecimal digits of a size: a chunk of 4 GiB.
const DIGITS_MAX: u8 = 8;

/// Where in the chunks the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunks {
    /// In a size of which so many digits came.
    Size { digits: u8, value: u64 },
    /// Behind a size, before the end of its line.
    Extension { value: u64 },
    /// In a chunk that has so many bytes left, the end of its line included.
    Data(u64),
    /// Behind the last chunk.
    Done,
}

impl Chunks {
    /// Before the first chunk.
    pub(super) const START: Self = Self::Size { digits: 0, value: 0 };

    /// Goes over `bytes`; false when they can't be chunks.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> bool {
        while let Some((byte, rest)) = bytes.split_first() {
            bytes = rest;
            *self = match *self {
                Self::Size { digits, value } => match (char::from(*byte).to_digit(16), byte) {
                    (Some(digit), _) if digits < DIGITS_MAX => {
                        Self::Size { digits: digits + 1, value: value << 4 | u64::from(digit) }
                    }
                    (None, b'\r' | b';' | b' ' | b'\t') if digits > 0 => Self::Extension { value },
                    _ => return false,
                },
                Self::Extension { value } => match byte {
                    b'\n' if value == 0 => Self::Done,
                    b'\n' => Self::Data(value + 2),
                    _ => Self::Extension { value },
                },
                Self::Data(left) => {
                    let here = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    let skipped = here.min(left - 1);
                    let skipped_here = usize::try_from(skipped).unwrap_or(bytes.len());
                    bytes = bytes.get(skipped_here..).unwrap_or_default();
                    match left - 1 - skipped {
                        0 => Self::START,
                        left => Self::Data(left),
                    }
                }
                Self::Done => return true,
            };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_judged_however_they_are_cut() {
        let check = |text: &str, good: bool, end: Chunks| {
            for cut in 0..=text.len() {
                let (first, second) = text.as_bytes().split_at(cut);
                let mut chunks = Chunks::START;
                let found = chunks.follow(first) && chunks.follow(second);
                assert_eq!(found, good, "{text:?} cut at {cut}");
                if good {
                    assert_eq!(chunks, end, "{text:?} cut at {cut}");
                }
            }
        };
        check("5\r\nhello\r\n0\r\n\r\n", true, Chunks::Done);
        check("A;x=y\r\n0123456789\r\n", true, Chunks::START);
        check("00000005\r\nhel", true, Chunks::Data(4));
        check("FFFFFFFFF", false, Chunks::Done);
        check("-1\r\n", false, Chunks::Done);
        check("0x5\r\n", false, Chunks::Done);
        check("\r\n", false, Chunks::Done);
        check("5\r\nhello\r\nzz\r\n", false, Chunks::Done);
    }
}
