//! What travels on a realm's channel, from scripts to the tails of all nodes.
//!
//! Invariants: a frame is read whole or not at all; reading never allocates by a
//! declared length.
//!
//! Not here: what a record says (`wire`), what follows from a frame (`course`).

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Question,
    kept::without_body,
    wire::{self, Entry, Malformed},
};
use crate::model::{Body, ConnectionId, Generation, Position, Record, Renderings, Tag};

/// Records of one frame at most; a batch of a publisher is smaller.
const RECORDS_MAX: usize = 4_096;

/// One message of the channel.
#[derive(Debug)]
pub(super) enum Frame {
    /// `R <gid> <first offset> <previous tag> <count>\n`, then for each record
    /// `<tag> <kind> <lengths of address, header, body>\n` and these three.
    Records {
        /// The life of the log.
        generation: Generation,
        /// In order, at least one.
        records: Vec<Arc<Record>>,
    },
    /// `G <gid>\n`: the log began a new life.
    Generation(Generation),
    /// `C <gid> <offset> <tag>\n`: the replicas have everything up to this place.
    Confirmed(Position),
    /// `T <connection> <fencing> <owner>\n`: a session was claimed.
    Taken {
        /// The session.
        connection: ConnectionId,
        /// The number of the claim.
        fencing: u64,
        /// Who claimed it.
        owner: Box<str>,
    },
    /// `Q <id> <asker>\n<text>`: a node asks the others.
    Question {
        /// What is asked.
        question: Question,
        /// Who asks.
        asker: Box<str>,
    },
}

/// Reads one message.
///
/// # Errors
///
/// [`Malformed`]: somebody else wrote on the channel, or another version did.
pub(super) fn parse(message: &Bytes) -> Result<Frame, Malformed> {
    let mut rest = message.clone();
    let line = line(&mut rest)?;
    let line = std::str::from_utf8(&line).map_err(|_| Malformed)?;
    let mut words = line.split(' ');
    let mut word = || words.next().ok_or(Malformed);
    match word()? {
        "R" => {
            let generation = generation(word()?)?;
            let first = number(word()?)?;
            let previous_tag = tag(word()?)?;
            let count = usize::try_from(number(word()?)?).map_err(|_| Malformed)?;
            let records = records(&mut rest, (&generation, first, previous_tag), count)?;
            Ok(Frame::Records { generation, records })
        }
        "G" => Ok(Frame::Generation(generation(word()?)?)),
        "C" => Ok(Frame::Confirmed(Position {
            generation: generation(word()?)?,
            offset: number(word()?)?,
            tag: tag(word()?)?,
        })),
        "T" => Ok(Frame::Taken {
            connection: ConnectionId::parse(word()?).map_err(|_| Malformed)?,
            fencing: number(word()?)?,
            owner: Box::from(word()?),
        }),
        "Q" => {
            let (id, asker) = (Arc::from(word()?), Box::from(word()?));
            Ok(Frame::Question { question: Question { id, text: rest }, asker })
        }
        _ => Err(Malformed),
    }
}

/// The records that follow each other in `rest`, which nothing else follows.
///
/// # Errors
///
/// [`Malformed`] when there are not exactly `count`.
pub(super) fn records(
    rest: &mut Bytes,
    (generation, first, mut previous_tag): (&Generation, u64, Tag),
    count: usize,
) -> Result<Vec<Arc<Record>>, Malformed> {
    if count == 0 || count > RECORDS_MAX || first.checked_add(count as u64).is_none() {
        return Err(Malformed);
    }
    let mut records = Vec::new();
    for offset in (first..).take(count) {
        let piece = piece(rest)?;
        let position = Position { generation: generation.clone(), offset, tag: piece.tag };
        records.push(record((position, previous_tag), &piece));
        previous_tag = piece.tag;
    }
    if rest.is_empty() { Ok(records) } else { Err(Malformed) }
}

/// One record as it travels, and as the log keeps it: `<tag> <kind> <lengths of address,
/// header, body>\n` and these three.
#[derive(Debug)]
pub(super) struct Piece {
    /// The record's mark.
    pub(super) tag: Tag,
    kind: u8,
    address: Bytes,
    header: Bytes,
    body: Bytes,
}

/// Takes one record off `rest`.
///
/// # Errors
///
/// [`Malformed`] for anything else.
pub(super) fn piece(rest: &mut Bytes) -> Result<Piece, Malformed> {
    let line = line(rest)?;
    let line = std::str::from_utf8(&line).map_err(|_| Malformed)?;
    let mut words = line.split(' ');
    let mut word = || words.next().ok_or(Malformed);
    let tag = tag(word()?)?;
    let [kind] = word()?.as_bytes() else { return Err(Malformed) };
    let mut length = || usize::try_from(number(word()?)?).map_err(|_| Malformed);
    let lengths = [length()?, length()?, length()?];
    let [address, header, body] = lengths.map(|length| take(rest, length));
    Ok(Piece { tag, kind: *kind, address: address?, header: header?, body: body? })
}

/// Writes one record as [`piece`] reads it; `whole` is false for one without its body.
pub(super) fn write_piece(tag: Tag, entry: &Entry, whole: bool) -> Bytes {
    let Entry { kind, address, header, body } = entry;
    let body: &[u8] = if whole { body } else { b"" };
    let line = format!("{tag} {kind} {} {} {}\n", address.len(), header.len(), body.len());
    let parts = [line.as_bytes(), address.as_bytes(), header.as_bytes(), body];
    Bytes::from(parts.concat())
}

/// Writes a [`Frame::Confirmed`].
pub(super) fn write_confirmed(position: &Position) -> Bytes {
    let Position { generation, offset, tag } = position;
    Bytes::from(format!("C {} {offset} {tag}\n", generation.as_str()))
}

/// A record of the log. One that this version can't read keeps its place and says
/// nothing.
pub(super) fn record((position, previous_tag): (Position, Tag), piece: &Piece) -> Arc<Record> {
    let kind = [piece.kind];
    let decoded = wire::decode(&kind, &piece.address, &piece.header, piece.body.clone());
    if decoded.is_err() {
        let kind = kind.escape_ascii();
        tracing::error!(offset = position.offset, %kind, "a record of the log can't be read");
    }
    let (body, accepted_at_us) = decoded.unwrap_or((Body::Unknown, 0));
    let make = |body, kept| {
        let renderings = Renderings::default();
        let position = position.clone();
        Arc::new(Record { position, previous_tag, accepted_at_us, body, renderings, kept })
    };
    let kept = without_body(&body).map(|body| make(body, None));
    make(body, kept)
}

/// A generation, as scripts make them.
pub(super) fn generation(text: &str) -> Result<Generation, Malformed> {
    let (counter, nonce) = text.split_once('.').ok_or(Malformed)?;
    let is_fine = counter.parse::<u64>().is_ok() && nonce.bytes().all(|b| b.is_ascii_hexdigit());
    if is_fine && nonce.len() <= 32 { Ok(Generation::new(text)) } else { Err(Malformed) }
}

/// A tag, as 16 hexadecimal digits.
pub(super) fn tag(text: &str) -> Result<Tag, Malformed> {
    let is_fine = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let number = u64::from_str_radix(text, 16).ok().filter(|_| is_fine);
    number.map(Tag).ok_or(Malformed)
}

/// A number in plain digits.
pub(super) fn number(text: &str) -> Result<u64, Malformed> {
    let is_fine = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| is_fine).ok_or(Malformed)
}

/// The first line, without its end.
fn line(rest: &mut Bytes) -> Result<Bytes, Malformed> {
    // A line is short: what is longer is none of ours.
    let end = rest.iter().take(512).position(|byte| *byte == b'\n').ok_or(Malformed)?;
    let mut line = rest.split_to(end + 1);
    line.truncate(end);
    Ok(line)
}

fn take(rest: &mut Bytes, length: usize) -> Result<Bytes, Malformed> {
    if length > rest.len() { Err(Malformed) } else { Ok(rest.split_to(length)) }
}

#[cfg(test)]
mod tests {
    //! Goal: what scripts write is read; anything else is refused whole.

    use super::*;

    fn bytes(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    const TWO: &str = "R 12.ab 7 00000000000000aa 2\n\
        00000000000000bb e 3 14 2\nc:a{\"at\":1,\"n\":\"\"}{}\
        00000000000000cc f 2 14 2\ne:{\"at\":2,\"n\":\"\"}{}";

    #[test]
    fn frames_are_read() {
        let two = TWO.replace("3 14 2", "3 15 2").replace("2 14 2", "2 15 2");
        let Ok(Frame::Records { generation, records }) = parse(&bytes(&two)) else {
            panic!("{:?}", parse(&bytes(&two)))
        };
        assert_eq!(generation.as_str(), "12.ab");
        let places: Vec<_> = records
            .iter()
            .map(|one| (one.position.offset, one.position.tag.0, one.previous_tag.0))
            .collect();
        assert_eq!(places, [(7, 0xbb, 0xaa), (8, 0xcc, 0xbb)]);
        assert!(records[0].kept.is_none() && records[1].kept.is_some());
        assert!(matches!(&records[1].body, Body::Event(event) if event.ephemeral));
        assert!(matches!(parse(&bytes("G 3.0f\n")), Ok(Frame::Generation(_))));
        let taken = parse(&bytes("T abcdefghijklmnopqrstuvwxyz 4 n1#2\n"));
        assert!(matches!(taken, Ok(Frame::Taken { fencing: 4, .. })));
        let asked = parse(&bytes("Q q1 n1#2\n{\"a\":1}"));
        assert!(
            matches!(asked, Ok(Frame::Question { question, .. }) if &question.text[..] == b"{\"a\":1}")
        );
    }

    #[test]
    fn a_record_that_cant_be_read_keeps_its_place() {
        let frame = "R 12.ab 7 00000000000000aa 1\n00000000000000bb z 0 0 0\n";
        let Ok(Frame::Records { records, .. }) = parse(&bytes(frame)) else { panic!() };
        assert_eq!((records[0].position.offset, &records[0].body), (7, &Body::Unknown));
    }

    #[test]
    fn anything_else_is_refused() {
        let long = "R ".repeat(1_000);
        for text in [
            "",
            "\n",
            "hello",
            "R\n",
            "R 12.ab 7 00000000000000aa 0\n",
            "R 12.ab 7 00000000000000aa 1\n",
            "R 12.ab 7 00000000000000aa 18446744073709551615\n",
            "R 12.ab 18446744073709551615 00000000000000aa 1\n00000000000000bb z 0 0 0\n",
            "R 12.ab -7 00000000000000aa 1\n00000000000000bb z 0 0 0\n",
            "R 12 7 00000000000000aa 1\n00000000000000bb z 0 0 0\n",
            "R 12.ab 7 aa 1\n00000000000000bb z 0 0 0\n",
            "R 12.ab 7 00000000000000aa 1\n00000000000000bb z 0 0 99999999999\n",
            "R 12.ab 7 00000000000000aa 1\n00000000000000bb z 0 0 0\nmore",
            "G x\n",
            "T short 4 n1#2\n",
            "T abcdefghijklmnopqrstuvwxyz x n1#2\n",
            "X a\n",
            long.as_str(),
        ] {
            assert!(parse(&bytes(text)).is_err(), "{text:?}");
        }
        assert!(parse(&Bytes::from_static(&[0xff, 0xfe, b'\n'])).is_err());
    }
}
