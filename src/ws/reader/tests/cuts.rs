//! Laws over random frames, bytes and cuts.

use proptest::prelude::*;

use super::*;

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
