//! A client that writes bytes and reads bytes.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The key of the example in RFC 6455 section 1.3.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The mask of every frame.
const MASK: [u8; 4] = [1, 2, 3, 4];

/// One connection; `S` is TCP or TLS.
pub(crate) struct Client<S> {
    stream: S,
    unread: Vec<u8>,
}

/// A frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Final bit, reserved bits and opcode.
    pub(crate) first: u8,
    /// The payload.
    pub(crate) payload: Vec<u8>,
}

impl Client<TcpStream> {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    /// Connects and opens a WebSocket.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let mut client = Self::connect(address).await;
        client.send(request(address, &[]).as_bytes()).await;
        let head = client.head().await;
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        client
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends to a server that may have gone.
    pub(crate) async fn send_if_open(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.ok();
    }

    /// Ends the writing side only.
    pub(crate) async fn half_close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// The head of a response in lower case, without its last empty line.
    pub(crate) async fn head(&mut self) -> String {
        loop {
            if let Some(at) = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head: Vec<u8> = self.unread.drain(..at + 4).take(at).collect();
                return String::from_utf8(head).unwrap().to_ascii_lowercase();
            }
            assert!(self.read().await > 0, "no head: {:?}", self.unread);
        }
    }

    /// The next frame, or `None` when the server has ended its side.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = parse(&self.unread) {
                self.unread.drain(..length);
                return Some(frame);
            }
            if self.read().await == 0 {
                assert_eq!(self.unread, b"", "an end inside a frame");
                return None;
            }
        }
    }

    /// The close frame with which the server ends; no other frame may come before
    /// it, and none behind.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        let frame = self.frame().await.expect("a close frame before the end");
        assert_eq!(frame.first, 0x88, "{frame:?}");
        assert_eq!(self.frame().await, None, "nothing behind a close frame");
        let (code, reason) = frame.payload.split_first_chunk().expect("a code");
        (u16::from_be_bytes(*code), String::from_utf8(reason.to_vec()).unwrap())
    }

    /// What is left until the server ends its side.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.read().await > 0 {}
        std::mem::take(&mut self.unread)
    }

    /// Reads more. 0 is the end: a clean one, or a reset.
    async fn read(&mut self) -> usize {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.unread)).await;
        match read.expect("an answer") {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}"),
        }
    }
}

/// An upgrade request with more header lines.
pub(crate) fn request(address: SocketAddr, more: &[&str]) -> String {
    request_of(address, "/echo", more)
}

/// An upgrade request for `target`.
pub(crate) fn request_of(address: SocketAddr, target: &str, more: &[&str]) -> String {
    let mut text = format!(
        "GET {target} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
    );
    for line in more {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text + "\r\n"
}

/// A masked frame with a payload of less than 64 KiB.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match u8::try_from(payload.len()) {
        Ok(short @ 0..126) => bytes.push(0x80 | short),
        _ => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (&[first, short], rest) = bytes.split_first_chunk()?;
    assert_eq!(short & 0x80, 0, "the server does not mask");
    let (length, rest) = match short {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u64::from_be_bytes(*length)).unwrap(), rest)
        }
        short => (usize::from(short), rest),
    };
    let payload = rest.get(..length)?.to_vec();
    let used = bytes.len() - rest.len() + length;
    Some((Frame { first, payload }, used))
}
