//! Goal: the reader obeys every row of the protocol, however its input is cut.
//!
//! Method: one table of bytes and outcomes; each row runs in one piece, byte by
//! byte, and cut at random.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::ws::Rate;

const LIMITS: FrameLimits = FrameLimits {
    message_bytes: 100_000,
    fragments: 64,
    control: Rate::UNLIMITED,
    message_timeout: Duration::from_secs(30),
};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked frame; `first` is the byte of final bit, reserved bits and opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_with_key(first, payload, KEY)
}

fn frame_with_key(first: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let head = crate::ws::frame::head(crate::ws::frame::Kind::Text, payload.len());
    let mut bytes = head.to_vec();
    bytes[0] = first;
    bytes[1] |= 0x80;
    bytes.extend(key);
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn text(payload: &str) -> Incoming {
    Incoming::Text(payload.to_owned())
}

/// What a client did, up to its failure.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    incoming: Vec<Incoming>,
    failure: Option<Failure>,
}

/// Feeds `pieces` one after the other.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &FrameLimits) -> Outcome {
    let mut reader = Reader::default();
    let mut outcome = Outcome::default();
    let now = Instant::now();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut input = piece.as_mut_slice();
        loop {
            let (taken, result) = reader.next(input, limits, now);
            input = &mut input[taken..];
            match result {
                Ok(Some(incoming)) => outcome.incoming.push(incoming),
                Ok(None) => {
                    assert!(input.is_empty(), "all is taken when nothing is complete");
                    break;
                }
                Err(failure) => {
                    assert_eq!(outcome.failure.replace(failure), None, "one failure");
                }
            }
        }
    }
    outcome
}

/// Reads `bytes` in one piece and byte by byte.
fn check_with(limits: &FrameLimits, bytes: &[u8], incoming: &[Incoming], failure: Option<Failure>) {
    let expected = Outcome { incoming: incoming.to_vec(), failure };
    assert_eq!(read([bytes], limits), expected, "in one piece");
    assert_eq!(read(bytes.chunks(1), limits), expected, "byte by byte");
}

fn check(bytes: &[u8], incoming: &[Incoming]) {
    check_with(&LIMITS, bytes, incoming, None);
}

fn check_failure(bytes: &[u8], failure: Failure) {
    check_with(&LIMITS, bytes, &[], Some(failure));
    // F12: what came before is delivered first, and what follows is swallowed.
    let mut more = frame(0x81, b"before");
    more.extend(bytes);
    more.extend(frame(0x81, b"behind"));
    check_with(&LIMITS, &more, &[text("before")], Some(failure));
}

#[test]
fn f01_w01_unmasked_frame_is_1002() {
    check_failure(b"\x81\x02hi", Failure::Unmasked);
    check_failure(b"\x89\x00", Failure::Unmasked);
    assert_eq!(Failure::Unmasked.close().number(), 1002);
}

#[test]
fn f03_w02_reserved_bits_are_1002() {
    for bits in [0x10, 0x20, 0x40, 0x50, 0x70] {
        for kind in [0x81, 0x82, 0x88, 0x89, 0x8a] {
            check_failure(&frame(kind | bits, b""), Failure::ReservedBits);
        }
    }
    assert_eq!(Failure::ReservedBits.close().number(), 1002);
}

#[test]
fn f05_w02_reserved_opcodes_are_1002_at_the_first_byte() {
    for opcode in (3..=7).chain(11..=15) {
        check_failure(&[0x80 | opcode], Failure::ReservedOpcode);
        check_failure(&[opcode], Failure::ReservedOpcode);
    }
    assert_eq!(Failure::ReservedOpcode.close().number(), 1002);
}

#[test]
fn f06_a_length_in_a_longer_form_is_1002() {
    check_failure(b"\x82\xfe\x00\x7d", Failure::Length);
    check_failure(b"\x82\xfe\x00\x00", Failure::Length);
    check_failure(b"\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff", Failure::Length);
    check_failure(b"\x82\xff\x00\x00\x00\x00\x00\x00\x00\x01", Failure::Length);
    assert_eq!(Failure::Length.close().number(), 1002);
}

#[test]
fn f07_w03_a_length_with_the_top_bit_is_1002() {
    check_failure(b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x01", Failure::Length);
    check_failure(b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", Failure::Length);
}

#[test]
fn f08_w04_a_declared_length_over_the_limit_is_1009_at_the_head() {
    for declared in [100_001, 1 << 26, 1 << 32, 1 << 62, u64::MAX >> 1] {
        let mut bytes = vec![0x82, 0xff];
        bytes.extend(u64::to_be_bytes(declared));
        check_failure(&bytes, Failure::TooBig);
    }
    assert_eq!(Failure::TooBig.close().number(), 1009);
}

#[test]
fn f10_all_length_forms_arrive_intact() {
    for length in [0, 125, 126, 127, 128, 65_535, 65_536] {
        let payload: Vec<u8> = (0..=255).cycle().take(length).collect();
        check(&frame(0x82, &payload), &[Incoming::Binary(payload)]);
        let payload = "x".repeat(length);
        check(&frame(0x81, payload.as_bytes()), &[text(&payload)]);
    }
}

#[test]
fn w06_the_limit_counts_over_all_fragments() {
    let limits = FrameLimits { message_bytes: 10, ..LIMITS };
    let whole = |length: usize| frame(0x82, &vec![7; length]);
    check_with(&limits, &whole(10), &[Incoming::Binary(vec![7; 10])], None);
    check_with(&limits, &whole(11), &[], Some(Failure::TooBig));

    let split = |second| [frame(0x02, &[7; 5]), frame(0x80, &vec![7; second])].concat();
    check_with(&limits, &split(5), &[Incoming::Binary(vec![7; 10])], None);
    check_with(&limits, &split(6), &[], Some(Failure::TooBig));

    let bytewise = |count: usize| {
        let mut bytes = frame(0x02, &[7]);
        bytes.extend(frame(0x00, &[7]).repeat(count - 2));
        bytes.extend(frame(0x80, &[7]));
        bytes
    };
    check_with(&limits, &bytewise(10), &[Incoming::Binary(vec![7; 10])], None);
    check_with(&limits, &bytewise(11), &[], Some(Failure::TooBig));
}

#[test]
fn w04_memory_follows_what_arrived_not_what_was_declared() {
    let mut bytes = frame(0x82, &[7; 90_000]);
    bytes.truncate(14 + 10);
    let mut reader = Reader::default();
    assert_eq!(reader.next(&mut bytes, &LIMITS, Instant::now()), (24, Ok(None)));
    let partial = reader.partial.as_ref().unwrap();
    let Some(Message { body: Body::Binary(held), .. }) = &partial.message else { panic!("open") };
    assert_eq!(held.len(), 10);
    assert!(held.capacity() <= 64, "{}", held.capacity());
}

#[test]
fn w07_m05_too_many_fragments_are_1008_empty_ones_too() {
    for payload in [&b""[..], b"x"] {
        let with = |count: usize| {
            let mut bytes = frame(0x01, payload);
            bytes.extend(frame(0x00, payload).repeat(count - 1));
            bytes
        };
        check_with(&LIMITS, &with(64), &[], None);
        check_with(&LIMITS, &with(65), &[], Some(Failure::TooManyFragments));
    }
    assert_eq!(Failure::TooManyFragments.close().number(), 1008);
}

#[test]
fn w08_the_age_of_a_message_is_that_of_its_first_byte() {
    let mut reader = Reader::default();
    let start = Instant::now();
    let second = |count| start + Duration::from_secs(count);
    let mut feed = |mut bytes: Vec<u8>, at| {
        let (taken, result) = reader.next(&mut bytes, &LIMITS, at);
        assert_eq!(taken, bytes.len());
        (result.unwrap(), reader.incomplete_since())
    };
    assert_eq!(feed(vec![], second(0)), (None, None));
    assert_eq!(feed(vec![0x01], second(1)), (None, Some(second(1))));
    assert_eq!(feed(frame(0x01, b"a")[1..].to_vec(), second(2)), (None, Some(second(1))));
    let ping = Incoming::Ping(Bytes::from_static(b"p"));
    assert_eq!(feed(frame(0x89, b"p"), second(3)), (Some(ping), Some(second(1))));
    assert_eq!(feed(frame(0x00, b"b"), second(4)), (None, Some(second(1))));
    assert_eq!(feed(frame(0x80, b"c"), second(5)), (Some(text("abc")), None));
    assert_eq!(feed(vec![0x89], second(6)), (None, Some(second(6))), "control frames age, too");
    let pong = Incoming::Ping(Bytes::new());
    assert_eq!(feed(frame(0x89, b"")[1..].to_vec(), second(7)), (Some(pong), None));
    assert_eq!(feed(vec![0x82], second(8)), (None, Some(second(8))));
    assert_eq!(Failure::MessageTimeout.close().number(), 1008);
}

#[test]
fn c01_c05_w19_pings_and_pongs_are_delivered_with_their_payload() {
    let payload: Vec<u8> = (0..125).map(|byte| byte ^ 0xff).collect();
    let ping = Incoming::Ping(Bytes::copy_from_slice(&payload));
    check(&frame(0x89, &payload), &[ping]);
    check(&frame(0x8a, b""), &[Incoming::Pong(Bytes::new())]);
    check(&frame_with_key(0x8a, b"zero", [0; 4]), &[Incoming::Pong(Bytes::from_static(b"zero"))]);
}

#[test]
fn c02_a_control_payload_of_126_is_1002() {
    for kind in [0x88, 0x89, 0x8a] {
        check_failure(&frame(kind, &[b'x'; 126]), Failure::ControlTooLong);
        check_failure(&frame(kind, &[b'x'; 70_000]), Failure::ControlTooLong);
    }
    assert_eq!(Failure::ControlTooLong.close().number(), 1002);
}

#[test]
fn c03_a_fragmented_control_frame_is_1002() {
    for kind in [0x08, 0x09, 0x0a] {
        check_failure(&frame(kind, b""), Failure::ControlFragmented);
    }
    assert_eq!(Failure::ControlFragmented.close().number(), 1002);
}

#[test]
fn c06_w11_a_flood_of_control_frames_is_1008() {
    let limits = FrameLimits { control: Rate::per_second(10.0), ..LIMITS };
    for (kind, payload) in [(0x89, b"ping"), (0x8a, b"pong")] {
        let flood = frame(kind, payload).repeat(50_000);
        let outcome = read(flood.chunks(4096), &limits);
        assert_eq!(outcome.incoming.len(), 40);
        assert_eq!(outcome.failure, Some(Failure::ControlFlood));
    }
    assert_eq!(Failure::ControlFlood.close().number(), 1008);
}

#[test]
fn m01_fragments_make_one_message_with_control_frames_between() {
    let bytes = [
        frame(0x01, b"fr"),
        frame(0x89, b"one"),
        frame(0x00, b"ag"),
        frame(0x8a, b"two"),
        frame(0x80, b"ment"),
        frame(0x82, b"next"),
    ];
    let expected = [
        Incoming::Ping(Bytes::from_static(b"one")),
        Incoming::Pong(Bytes::from_static(b"two")),
        text("fragment"),
        Incoming::Binary(b"next".to_vec()),
    ];
    check(&bytes.concat(), &expected);
}

#[test]
fn m02_w09_a_continuation_without_a_message_is_1002() {
    check_failure(&frame(0x80, b"x"), Failure::UnexpectedContinuation);
    check_failure(&frame(0x00, b""), Failure::UnexpectedContinuation);
    assert_eq!(Failure::UnexpectedContinuation.close().number(), 1002);
}

#[test]
fn m03_w09_a_message_inside_a_message_is_1002() {
    for kind in [0x81, 0x82, 0x01, 0x02] {
        let bytes = [frame(0x01, b"open"), frame(kind, b"x")].concat();
        check_failure(&bytes, Failure::MessageInsideMessage);
    }
    assert_eq!(Failure::MessageInsideMessage.close().number(), 1002);
}

#[test]
fn m04_empty_fragments_make_an_empty_message() {
    let bytes = [frame(0x01, b""), frame(0x00, b""), frame(0x80, b"")].concat();
    check(&bytes, &[text("")]);
    let bytes = [frame(0x02, b""), frame(0x80, b"")].concat();
    check(&bytes, &[Incoming::Binary(Vec::new())]);
}

#[test]
fn u01_characters_may_straddle_fragments() {
    let payload = "κόσμε 𝄞 €".as_bytes();
    for at in 0..=payload.len() {
        let (first, second) = payload.split_at(at);
        let bytes = [frame(0x01, first), frame(0x89, b""), frame(0x80, second)].concat();
        check(&bytes, &[Incoming::Ping(Bytes::new()), text("κόσμε 𝄞 €")]);
    }
}

#[test]
fn u02_u05_w14_text_that_is_not_utf8_is_1007() {
    let invalid: [&[u8]; 14] = [
        b"\x80",
        b"\xbf\xbf",
        b"\xc0\xaf",
        b"\xc1\xbf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xff",
        b"\xc3\x28",
        b"\xe2\x82x",
        b"\xf0\x9d\x84x",
    ];
    for bytes in invalid {
        check_failure(&frame(0x81, bytes), Failure::NotUtf8);
        for at in 1..bytes.len() {
            let (first, second) = bytes.split_at(at);
            let cut = [frame(0x01, first), frame(0x80, second)].concat();
            check_failure(&cut, Failure::NotUtf8);
        }
    }
    assert_eq!(Failure::NotUtf8.close().number(), 1007);
}

#[test]
fn u03_invalid_text_fails_before_the_rest_of_its_frame_arrives() {
    // The third byte cannot be right: F4 90 is above U+10FFFF.
    let bytes = frame(0x01, b"a\xf4\x90 and more that never arrives");
    let mut reader = Reader::default();
    let (head, rest) = bytes.split_at(6);
    let now = Instant::now();
    assert_eq!(reader.next(&mut head.to_vec(), &LIMITS, now).1, Ok(None));
    assert_eq!(reader.next(&mut rest[..2].to_vec(), &LIMITS, now).1, Ok(None));
    assert_eq!(reader.next(&mut rest[2..3].to_vec(), &LIMITS, now).1, Err(Failure::NotUtf8));
    assert!(reader.has_ended());
}

#[test]
fn u04_a_character_that_never_ends_is_1007() {
    for bytes in [&b"ok\xce"[..], b"\xe2\x82", b"\xf0\x9d\x84"] {
        check_failure(&frame(0x81, bytes), Failure::NotUtf8);
        let cut = [frame(0x01, bytes), frame(0x80, b"")].concat();
        check_failure(&cut, Failure::NotUtf8);
    }
}

#[test]
fn u06_rare_characters_pass_unchanged() {
    for rare in
        ["\u{fffe}", "\u{1ffff}", "\u{10ffff}", "\u{feff}bom", "\u{fffd}", "a\0b", "\u{d7ff}"]
    {
        check(&frame(0x81, rare.as_bytes()), &[text(rare)]);
    }
}

#[test]
fn u07_other_payloads_are_not_checked() {
    let bytes = [frame(0x82, b"\xff\xfe"), frame(0x89, b"\xff"), frame(0x8a, b"\xc0")].concat();
    let expected = [
        Incoming::Binary(b"\xff\xfe".to_vec()),
        Incoming::Ping(Bytes::from_static(b"\xff")),
        Incoming::Pong(Bytes::from_static(b"\xc0")),
    ];
    check(&bytes, &expected);
}

#[test]
fn k01_k03_k07_w12_close_frames_that_may_be_sent() {
    let close = |code, reason: &str| Incoming::Close { code, reason: reason.to_owned() };
    check(&frame(0x88, b""), &[close(None, "")]);
    let legal = (1000..=1003).chain(1007..=1014).chain([3000, 3999, 4000, 4400, 4999]);
    for code in legal {
        check(&frame(0x88, &u16::to_be_bytes(code)), &[close(Some(code), "")]);
    }
    let longest = "é".repeat(61) + "!";
    let payload = [&b"\x03\xe8"[..], longest.as_bytes()].concat();
    check(&frame(0x88, &payload), &[close(Some(1000), &longest)]);
}

#[test]
fn k02_k06_k08_w12_close_frames_that_must_not_be_sent_are_1002() {
    check_failure(&frame(0x88, b"\x03"), Failure::ClosePayload);
    let illegal = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535];
    for code in illegal {
        check_failure(&frame(0x88, &u16::to_be_bytes(code)), Failure::ClosePayload);
    }
    assert_eq!(Failure::ClosePayload.close().number(), 1002);
}

#[test]
fn k04_w12_a_close_payload_of_126_is_1002() {
    let payload = [b"\x03\xe8", &[b'x'; 124][..]].concat();
    check_failure(&frame(0x88, &payload), Failure::ControlTooLong);
}

#[test]
fn k05_w12_a_close_reason_that_is_not_utf8_is_1007() {
    check_failure(&frame(0x88, b"\x03\xe8\xce\xba\xff"), Failure::NotUtf8);
}

#[test]
fn k09_w13_everything_after_a_close_is_swallowed() {
    let close = Incoming::Close { code: Some(1000), reason: String::new() };
    let behind = [frame(0x81, b"x"), frame(0x89, b"x"), b"\xff\xff garbage".to_vec()].concat();
    check(&[frame(0x88, b"\x03\xe8"), behind].concat(), &[close]);
}

#[test]
fn k10_a_close_inside_a_message_discards_the_message() {
    let bytes = [frame(0x01, b"half"), frame(0x88, b"\x03\xe8")].concat();
    check(&bytes, &[Incoming::Close { code: Some(1000), reason: String::new() }]);
}

#[test]
fn every_failure_has_its_own_label_and_a_short_reason() {
    let labels: std::collections::BTreeSet<_> =
        Failure::ALL.into_iter().map(Failure::label).collect();
    assert_eq!(labels.len(), Failure::ALL.len());
    assert!(Failure::ALL.iter().all(|failure| failure.reason().len() <= 123));
}

#[test]
fn an_idle_reader_is_small_and_owns_nothing() {
    assert!(size_of::<Reader>() <= 64, "{}", size_of::<Reader>());
    let mut reader = Reader::default();
    let bytes = [frame(0x01, b"a"), frame(0x80, b"b")].concat();
    let (first, second) = bytes.split_at(9);
    let now = Instant::now();
    assert_eq!(reader.next(&mut first.to_vec(), &LIMITS, now), (9, Ok(None)));
    assert!(reader.partial.is_some());
    assert_eq!(reader.next(&mut second.to_vec(), &LIMITS, now).1, Ok(Some(text("ab"))));
    assert!(reader.partial.is_none());
}

#[test]
fn limits_may_change_between_messages() {
    let small = FrameLimits { message_bytes: 4, ..LIMITS };
    let mut reader = Reader::default();
    let now = Instant::now();
    assert_eq!(reader.next(&mut frame(0x81, b"1234"), &small, now).1, Ok(Some(text("1234"))));
    assert_eq!(reader.next(&mut frame(0x81, b"12345"), &LIMITS, now).1, Ok(Some(text("12345"))));
    assert_eq!(reader.next(&mut frame(0x81, b"12345"), &small, now).1, Err(Failure::TooBig));
}

/// Frames as a client may send them, most of them right.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![
        6 => prop::sample::select(vec![0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a]),
        1 => prop::sample::select(vec![0x88, 0x08, 0xc1, 0x83]),
    ];
    let payload = prop_oneof![
        4 => "\\PC{0,40}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => Just(b"\x03\xe8bye".to_vec()),
    ];
    (kind, payload, any::<[u8; 4]>())
        .prop_map(|(kind, payload, key)| frame_with_key(kind, &payload, key))
}

/// Cuts `bytes` in pieces of `sizes`, over and over.
fn cut<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        let (piece, rest) = bytes.split_at((*size).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
        if bytes.is_empty() {
            break;
        }
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn f09_the_outcome_does_not_depend_on_the_cuts(
        frames in prop::collection::vec(any_frame(), 1..12),
        sizes in prop::collection::vec(1_usize..30, 1..10),
    ) {
        let limits = FrameLimits { message_bytes: 300, fragments: 5, ..LIMITS };
        let bytes = frames.concat();
        prop_assert_eq!(read(cut(&bytes, &sizes), &limits), read([&bytes[..]], &limits));
    }

    #[test]
    fn f09_any_bytes_at_all_are_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        sizes in prop::collection::vec(1_usize..30, 1..10),
    ) {
        prop_assert_eq!(read(cut(&bytes, &sizes), &LIMITS), read([&bytes[..]], &LIMITS));
    }

    #[test]
    fn u01_whole_and_streamed_text_agree_with_the_standard_library(
        payload in prop::collection::vec(prop_oneof![any::<u8>(), 0x80_u8..0xc0, 0xe0_u8..0xf5], 0..12),
        sizes in prop::collection::vec(1_usize..5, 1..5),
    ) {
        let outcome = read(cut(&frame(0x81, &payload), &sizes), &LIMITS);
        match String::from_utf8(payload) {
            Ok(valid) => prop_assert_eq!(outcome.incoming, vec![Incoming::Text(valid)]),
            Err(_) => prop_assert_eq!(outcome.failure, Some(Failure::NotUtf8)),
        }
    }
}
