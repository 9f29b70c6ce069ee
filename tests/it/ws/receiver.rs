//! Waiting for messages.
//!
//! Goal: a wait may be given up at any point and nothing is lost, and a socket
//! that waits costs next to nothing.
//!
//! Method: an in-memory stream, cut in the worst places, with paused time.

use std::time::Duration;

use bytes::Bytes;
use hubbub::{
    config::Limits,
    model::CloseCode,
    ws::{Closing, Ended, Failure, FrameLimits, Incoming, Receiver, finish},
};
use tokio::{
    io::{AsyncWriteExt as _, DuplexStream, duplex},
    time::{Instant, timeout},
};

use super::client::frame;

fn limits() -> FrameLimits {
    FrameLimits::authenticated(&Limits::default())
}

fn text(payload: &str) -> Incoming {
    Incoming::Text(payload.to_owned())
}

async fn next(receiver: &mut Receiver, stream: &mut DuplexStream) -> Result<Incoming, Ended> {
    let limits = limits();
    let wait = receiver.next(stream, &limits);
    timeout(Duration::from_secs(1), wait).await.expect("a message is there")
}

#[tokio::test(start_paused = true)]
async fn f09_a_wait_that_is_given_up_loses_nothing() {
    let (mut near, mut far) = duplex(4096);
    let mut receiver = Receiver::default();
    let bytes = [frame(0x01, "κό".as_bytes()), frame(0x80, "σμε".as_bytes())].concat();
    let (last, before) = bytes.split_last().unwrap();
    for byte in before {
        far.write_all(&[*byte]).await.unwrap();
        let limits = limits();
        let wait = receiver.next(&mut near, &limits);
        timeout(Duration::from_millis(1), wait).await.expect_err("not complete yet");
    }
    far.write_all(&[*last]).await.unwrap();
    assert_eq!(next(&mut receiver, &mut near).await.unwrap(), text("κόσμε"));
}

#[tokio::test(start_paused = true)]
async fn f12_frames_of_one_read_come_one_by_one_and_limits_may_change_between_them() {
    let (mut near, mut far) = duplex(4096);
    let big = "x".repeat(100);
    let frames =
        [frame(0x81, b"one"), frame(0x89, b"two"), frame(0x81, big.as_bytes()), frame(0x83, b"")];
    far.write_all(&frames.concat()).await.unwrap();
    let small = FrameLimits { message_bytes: 3, ..limits() };
    let mut receiver = Receiver::default();
    assert_eq!(receiver.next(&mut near, &small).await.unwrap(), text("one"));
    assert!(receiver.has_rest());
    let ping = Incoming::Ping(Bytes::from_static(b"two"));
    assert_eq!(receiver.next(&mut near, &small).await.unwrap(), ping);
    assert_eq!(next(&mut receiver, &mut near).await.unwrap(), text(&big));
    let failed = next(&mut receiver, &mut near).await;
    assert!(matches!(failed, Err(Ended::Failed(Failure::ReservedOpcode))), "{failed:?}");
    far.write_all(&frame(0x81, b"more")).await.unwrap();
    drop(far);
    let ended = next(&mut receiver, &mut near).await;
    assert!(matches!(ended, Err(Ended::Gone)), "what follows a failure is swallowed: {ended:?}");
}

#[tokio::test(start_paused = true)]
async fn h16_a_message_may_begin_in_the_bytes_behind_the_request() {
    let (mut near, mut far) = duplex(4096);
    let bytes = [frame(0x81, b"whole"), frame(0x81, b"half")].concat();
    for cut in 0..=bytes.len() {
        let (early, late) = bytes.split_at(cut);
        let mut receiver = Receiver::new(Bytes::copy_from_slice(early));
        far.write_all(late).await.unwrap();
        assert_eq!(next(&mut receiver, &mut near).await.unwrap(), text("whole"));
        assert_eq!(next(&mut receiver, &mut near).await.unwrap(), text("half"));
        assert!(!receiver.has_rest());
        assert_eq!(receiver.incomplete_since(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn w08_an_owner_can_tell_how_old_an_incomplete_message_is() {
    let (mut near, mut far) = duplex(4096);
    let mut receiver = Receiver::default();
    let began = Instant::now();
    far.write_all(&frame(0x01, b"half")).await.unwrap();
    let deadline = limits().message_timeout;
    timeout(deadline, receiver.next(&mut near, &limits())).await.expect_err("never completes");
    assert_eq!(receiver.incomplete_since(), Some(began));
    assert_eq!(began.elapsed(), Duration::from_secs(30));
}

#[tokio::test]
async fn waiting_and_closing_need_little_memory() {
    let (mut near, _far) = duplex(16);
    let mut receiver = Receiver::default();
    assert!(size_of::<Receiver>() <= 64, "{}", size_of::<Receiver>());
    let limits = limits();
    let wait = size_of_val(&receiver.next(&mut near, &limits));
    assert!(wait <= 128, "{wait} bytes");
    let closing = Closing::by_server(CloseCode::Normal, "", Instant::now());
    let ending = size_of_val(&finish(&mut near, &mut receiver, closing, &limits));
    assert!(ending <= 768, "{ending} bytes");
}
