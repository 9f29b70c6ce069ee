//! One frame: head, mask, length, and what the reader owns.

use super::*;

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
