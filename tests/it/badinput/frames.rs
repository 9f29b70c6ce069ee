//! Goal: frames that break RFC 6455 or a limit end the socket with their code, whether
//! it has authenticated or not, and nobody else notices.
//!
//! Method: the bytes of each row on a socket of their own.

use std::time::Duration;

use super::{Lab, Person, ping, text_frame};
use crate::ws::client::frame;

type Row<'a> = (Vec<u8>, (u16, &'a str));

/// Sends each row on a socket of alice and on one of nobody.
async fn check(lab: &mut Lab, rows: &[Row<'_>]) {
    for (bytes, (code, reason)) in rows {
        for is_known in [true, false] {
            let person = if is_known { lab.join("alice").await } else { lab.stranger().await };
            lab.refuses(person, bytes, (*code, "frame", reason)).await;
        }
    }
    lab.is_undisturbed().await;
}

/// Sends `bytes`, which hold a ping, and waits for its reply.
async fn is_answered(person: &mut Person, bytes: &[u8], seq: u64) {
    person.client.send(bytes).await;
    assert_eq!(person.reply(seq).await["status"], "OK");
}

fn head(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first, 0xff];
    bytes.extend(length.to_be_bytes());
    bytes
}

/// `payload` in frames of `size` bytes.
fn in_pieces(payload: &[u8], size: usize) -> Vec<u8> {
    let count = payload.len().div_ceil(size);
    let pieces = payload.chunks(size).enumerate();
    let pieces = pieces.map(|(at, piece)| {
        let opcode = u8::from(at == 0);
        let last = if at + 1 == count { 0x80 } else { 0 };
        frame(last | opcode, piece)
    });
    pieces.collect::<Vec<_>>().concat()
}

/// A ping of exactly so many bytes.
fn long_ping(seq: u64, length: usize) -> String {
    let text = ping(seq);
    let room = length - text.len();
    text + &" ".repeat(room)
}

#[tokio::test]
async fn w01_unmasked_frame_is_1002() {
    let mut lab = Lab::new().await;
    let unmasked = b"\x81\x02hi".to_vec();
    let unmasked_ping = b"\x89\x00".to_vec();
    check(&mut lab, &[(unmasked, (1002, "unmasked")), (unmasked_ping, (1002, "unmasked"))]).await;
}

#[tokio::test]
async fn w02_reserved_bits_and_opcodes_are_1002() {
    let mut lab = Lab::new().await;
    let bits = [0xc1, 0xa1, 0x91, 0xf1].map(|first| (first, "reserved_bits"));
    let opcodes = [0x83, 0x84, 0x85, 0x86, 0x87, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f];
    let opcodes = opcodes.map(|first| (first, "reserved_opcode"));
    let rows: Vec<Row<'_>> = bits
        .iter()
        .chain(&opcodes)
        .map(|(first, reason)| (frame(*first, b"x"), (1002, *reason)))
        .collect();
    check(&mut lab, &rows).await;
}

#[tokio::test]
async fn w03_a_length_with_its_top_bit_is_1002() {
    let mut lab = Lab::new().await;
    let rows = [0x8000_0000_0000_0001, u64::MAX, 1 << 63]
        .map(|length| (head(0x82, length), (1002, "length")));
    check(&mut lab, &rows).await;
}

#[tokio::test]
async fn w04_a_huge_declared_length_is_1009_on_its_head_alone() {
    let mut lab = Lab::new().await;
    let rows = [1 << 62, 1 << 32, 64 << 20].map(|length| {
        let bytes = [head(0x82, length), vec![0; 14]].concat();
        (bytes, (1009, "too_big"))
    });
    check(&mut lab, &rows).await;
}

#[tokio::test]
async fn w06_the_limit_of_a_message_counts_over_all_its_frames() {
    let mut lab = Lab::with(|config| {
        config.limits.message_bytes = 1_024;
        config.limits.message_bytes_unauthenticated = 1_024;
        config.limits.message_fragments = 2_000;
    })
    .await;
    let mut alice = lab.join("alice").await;
    let fits = |seq| long_ping(seq, 1_024).into_bytes();
    is_answered(&mut alice, &frame(0x81, &fits(1)), 1).await;
    is_answered(&mut alice, &in_pieces(&fits(2), 512), 2).await;
    is_answered(&mut alice, &in_pieces(&fits(3), 1), 3).await;
    let over = long_ping(4, 1_025).into_bytes();
    let rows = [frame(0x81, &over), in_pieces(&over, 513), in_pieces(&over, 1)];
    check(&mut lab, &rows.map(|bytes| (bytes, (1009, "too_big")))).await;
    is_answered(&mut alice, &text_frame(&ping(5)), 5).await;
}

#[tokio::test]
async fn w07_more_than_64_fragments_are_1008_empty_ones_too() {
    let mut lab = Lab::new().await;
    let mut alice = lab.join("alice").await;
    let text = long_ping(1, 64);
    is_answered(&mut alice, &in_pieces(text.as_bytes(), 1), 1).await;
    let empty = [frame(0x01, b"{"), frame(0x00, b"").repeat(1_000)].concat();
    let tiny = in_pieces(long_ping(1, 65).as_bytes(), 1);
    check(&mut lab, &[empty, tiny].map(|bytes| (bytes, (1008, "too_many_fragments")))).await;
}

#[tokio::test]
async fn w08_a_message_that_never_ends_is_1008() {
    let mut lab = Lab::with(|config| {
        config.limits.message_timeout = Duration::from_secs(1);
    })
    .await;
    let pieces = [frame(0x01, b"{"), frame(0x81, b"{}")[..7].to_vec(), b"\x81".to_vec()];
    for bytes in pieces {
        let alice = lab.join("alice").await;
        lab.refuses(alice, &bytes, (1008, "frame", "message_timeout")).await;
    }
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn w09_a_message_has_one_beginning() {
    let mut lab = Lab::new().await;
    let inside = [frame(0x01, b"{"), frame(0x81, b"{}")].concat();
    let rows = [
        (frame(0x80, b"x"), (1002, "unexpected_continuation")),
        (frame(0x00, b""), (1002, "unexpected_continuation")),
        (inside, (1002, "message_inside_message")),
    ];
    check(&mut lab, &rows).await;
}

#[tokio::test]
async fn w11_floods_of_control_frames_are_1008() {
    let mut lab = Lab::new().await;
    let mut alice = lab.join("alice").await;
    // As many as a second may have are answered.
    alice.client.send(&frame(0x89, b"beat")).await;
    let mut pong = alice.client.frame().await.unwrap();
    while pong.first == 0x81 {
        alice.counts(&serde_json::from_slice(&pong.payload).unwrap());
        pong = alice.client.frame().await.unwrap();
    }
    assert_eq!((pong.first, pong.payload.as_slice()), (0x8a, &b"beat"[..]));
    let pings = frame(0x89, b"p").repeat(5_000);
    let pongs = frame(0x8a, b"p").repeat(5_000);
    check(&mut lab, &[pings, pongs].map(|bytes| (bytes, (1008, "control_flood")))).await;
    is_answered(&mut alice, &text_frame(&ping(1)), 1).await;
}

#[tokio::test]
async fn w14_text_that_is_not_utf8_is_1007_at_its_first_bad_byte() {
    let mut lab = Lab::new().await;
    let wrong: [&[u8]; 7] = [
        b"\x80",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xff",
    ];
    let mut rows: Vec<Row<'_>> =
        wrong.iter().map(|bytes| (frame(0x81, bytes), (1007, "not_utf8"))).collect();
    // Cut across fragments; the last two never come to their end.
    rows.push(([frame(0x01, b"\xe2\x82"), frame(0x80, b"x")].concat(), (1007, "not_utf8")));
    rows.push(([frame(0x01, b"\xed"), frame(0x00, b"\xa0")].concat(), (1007, "not_utf8")));
    rows.push((frame(0x01, b"\xff"), (1007, "not_utf8")));
    rows.push((frame(0x81, b"\xe2\x82"), (1007, "not_utf8")));
    check(&mut lab, &rows).await;
}

#[tokio::test]
async fn w19_any_mask_is_accepted() {
    let mut lab = Lab::new().await;
    let mut alice = lab.join("alice").await;
    let text = ping(1);
    let mut unmasked = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    unmasked.extend(text.as_bytes());
    is_answered(&mut alice, &unmasked, 1).await;
    for seq in 2..5 {
        is_answered(&mut alice, &frame(0x81, ping(seq).as_bytes()), seq).await;
    }
    lab.is_undisturbed().await;
}
