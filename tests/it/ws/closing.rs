//! How conversations end on a real socket.

use std::time::Duration;

use hubbub::{
    config::Limits,
    model::CloseCode,
    ws::{CLOSE_TIMEOUT, Closing, Finished, FrameLimits, Receiver, SharedSocket, finish},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use super::{
    client::{Client, frame},
    echo::{Rules, Server},
};

fn strict() -> Rules {
    Rules { limits: FrameLimits::authenticated(&Limits::default()), ..Rules::echo() }
}

/// What a client sends, and the close that it gets before the end of the socket.
async fn check(sent: &[u8], code: u16) {
    let server = Server::start(strict(), None).await;
    let mut client = Client::open(server.address).await;
    client.send(sent).await;
    assert_eq!(client.closed().await.0, code);
    drop(client);
    assert_eq!(server.sessions.drain(Duration::from_secs(5)).await, 0, "the session ends");
}

#[tokio::test]
async fn w_bad_frames_get_their_code_before_the_end() {
    check(b"\x81\x02hi", 1002).await;
    check(&frame(0xc1, b"x"), 1002).await;
    check(&frame(0x83, b"x"), 1002).await;
    check(b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x01", 1002).await;
    check(&frame(0x80, b"x"), 1002).await;
    check(&frame(0x81, b"\xed\xa0\x80"), 1007).await;
    check(b"\x82\xff\x00\x00\x00\x01\x00\x00\x00\x00\x01\x02\x03\x04 some bytes", 1009).await;
    check(&[frame(0x01, b""), frame(0x00, b"").repeat(100)].concat(), 1008).await;
    check(&frame(0x88, b"\x03"), 1002).await;
    check(&frame(0x88, b"\x03\xe8\xff"), 1007).await;
}

#[tokio::test]
async fn w11_a_ping_flood_is_answered_up_to_its_limit_and_ends_with_1008() {
    let server = Server::start(strict(), None).await;
    let mut client = Client::open(server.address).await;
    client.send(&frame(0x89, b"p").repeat(1_000)).await;
    for _ in 0..40 {
        assert_eq!(client.frame().await.unwrap().first, 0x8a);
    }
    assert_eq!(client.closed().await, (1008, "too many control frames".to_owned()));
}

#[tokio::test]
async fn k14_unread_input_does_not_destroy_the_close_frame() {
    let server = Server::start(strict(), None).await;
    let mut client = Client::open(server.address).await;
    let flood = [b"\x81\x02hi".to_vec(), vec![0; 200_000]].concat();
    client.send(&flood).await;
    assert_eq!(client.closed().await.0, 1002);
}

#[tokio::test]
async fn k01_k03_a_close_is_answered_with_its_code_and_the_server_ends_first() {
    let server = Server::start(strict(), None).await;
    let mut client = Client::open(server.address).await;
    client.send(&frame(0x88, b"\x0f\xa0bye")).await;
    assert_eq!(client.closed().await, (4000, String::new()));

    let mut client = Client::open(server.address).await;
    client.send(&frame(0x88, b"")).await;
    let close = client.frame().await.unwrap();
    assert_eq!((close.first, close.payload.len()), (0x88, 0));
    assert_eq!(client.frame().await, None);
}

#[tokio::test]
async fn k09_nothing_is_answered_after_a_close() {
    let server = Server::start(strict(), None).await;
    let mut client = Client::open(server.address).await;
    let sent = [frame(0x88, b"\x03\xe8"), frame(0x89, b"ping"), frame(0x81, b"text")].concat();
    client.send(&sent).await;
    assert_eq!(client.closed().await.0, 1000);
}

#[tokio::test]
async fn w24_f11_a_half_closed_socket_is_dropped() {
    let server = Server::start(strict(), None).await;
    for sent in [&b""[..], b"\x81", &frame(0x81, b"half a frame")[..9]] {
        let mut client = Client::open(server.address).await;
        client.send(sent).await;
        client.half_close().await;
        assert_eq!(client.rest().await, b"", "no frame after the peer is gone");
    }
    assert_eq!(server.sessions.drain(Duration::from_secs(5)).await, 0);
}

/// A server's side of a close on an in-memory stream, and the peer's end of it.
fn closing(closing: Closing) -> (impl Future<Output = Finished>, DuplexStream) {
    let (mut near, far) = duplex(1024);
    let ending = async move {
        let limits = FrameLimits::authenticated(&Limits::default());
        let mut receiver = Receiver::default();
        let finished = finish(&mut near, &mut receiver, closing, &limits).await;
        drop(near);
        finished
    };
    (ending, far)
}

fn normal() -> Closing {
    Closing::by_server(CloseCode::Restart, "bye", Instant::now())
}

#[tokio::test(start_paused = true)]
async fn k12_k13_the_server_waits_for_the_close_of_its_peer_and_ignores_the_rest() {
    let (ending, mut far) = closing(normal());
    let peer = async {
        let sent = [frame(0x81, b"data"), frame(0x89, b"ping"), frame(0x88, b"\x03\xf4")].concat();
        far.write_all(&sent).await.unwrap();
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.unwrap();
        drop(far);
        received
    };
    let (finished, received) = tokio::join!(ending, peer);
    assert_eq!(received, b"\x88\x05\x03\xf4bye", "one close frame and nothing else");
    assert_eq!(finished, Finished::Clean);
}

#[tokio::test(start_paused = true)]
async fn k12_a_close_frame_that_was_sent_already_is_not_sent_again() {
    let (ending, mut far) = closing(normal().with_frame_sent());
    let peer = async {
        far.write_all(&frame(0x88, b"\x03\xf4")).await.unwrap();
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.unwrap();
        drop(far);
        received
    };
    let (finished, received) = tokio::join!(ending, peer);
    assert_eq!((finished, received), (Finished::Clean, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn w13_a_close_that_is_never_answered_ends_after_two_seconds() {
    for talks in [false, true] {
        let (ending, mut far) = closing(normal());
        let started = Instant::now();
        let peer = async {
            let mut tick = tokio::time::interval(Duration::from_millis(100));
            while talks && far.write_all(&frame(0x81, b"more")).await.is_ok() {
                tick.tick().await;
            }
            far
        };
        let (finished, _far) = tokio::join!(ending, peer);
        assert_eq!(finished, Finished::TimedOut, "talks: {talks}");
        assert_eq!(started.elapsed(), CLOSE_TIMEOUT);
    }
}

#[tokio::test(start_paused = true)]
async fn w21_a_peer_that_reads_nothing_does_not_hold_up_the_close() {
    let (mut near, far) = duplex(4);
    let limits = FrameLimits::authenticated(&Limits::default());
    let started = Instant::now();
    let finished = finish(&mut near, &mut Receiver::default(), normal(), &limits).await;
    assert_eq!((finished, started.elapsed()), (Finished::TimedOut, CLOSE_TIMEOUT));
    drop(far);
}

#[tokio::test(start_paused = true)]
async fn f11_a_peer_that_is_gone_ends_the_close_at_once() {
    let (ending, far) = closing(normal());
    drop(far);
    let started = Instant::now();
    assert_eq!(ending.await, Finished::Gone);
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_shared_socket_can_be_read_written_and_ended() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    let mut shared = SharedSocket(&near);
    let limits = FrameLimits::authenticated(&Limits::default());
    let mut receiver = Receiver::default();
    let peer = async {
        far.write_all(&frame(0x88, b"\x03\xf4")).await.unwrap();
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.unwrap();
        drop(far);
        received
    };
    let (finished, received) =
        tokio::join!(finish(&mut shared, &mut receiver, normal(), &limits), peer);
    assert_eq!((finished, received.as_slice()), (Finished::Clean, &b"\x88\x05\x03\xf4bye"[..]));
}
