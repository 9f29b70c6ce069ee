//! Close frames, and what follows them.

use super::*;

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
fn every_reason_fits_in_a_close_frame() {
    for failure in Failure::ALL {
        assert!(failure.reason().len() <= crate::ws::frame::REASON_BYTES, "{failure}");
    }
}
