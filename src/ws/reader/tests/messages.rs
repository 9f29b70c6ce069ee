//! Control frames, fragments and text.

use super::*;

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
fn limits_may_change_between_messages() {
    let small = FrameLimits { message_bytes: 4, ..LIMITS };
    let mut reader = Reader::default();
    let now = Instant::now();
    assert_eq!(reader.next(&mut frame(0x81, b"1234"), &small, now).1, Ok(Some(text("1234"))));
    assert_eq!(reader.next(&mut frame(0x81, b"12345"), &LIMITS, now).1, Ok(Some(text("12345"))));
    assert_eq!(reader.next(&mut frame(0x81, b"12345"), &small, now).1, Err(Failure::TooBig));
}
