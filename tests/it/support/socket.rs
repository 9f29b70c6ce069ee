//! A WebSocket client that shows every frame and answers nothing by itself.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::PATIENCE;

/// One open socket.
pub(crate) struct Socket {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// What the server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// The code; 1005 when there is none.
    Close(u16),
    /// TCP has ended.
    End,
}

impl Socket {
    /// Asks for a socket at `path`, with more header lines (each ended by CRLF).
    ///
    /// The error is the whole answer when it is no 101.
    pub(crate) async fn open(address: SocketAddr, path: &str, lines: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let mut socket = Self { stream, unread: Vec::new() };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
        );
        socket.send_bytes(request.as_bytes()).await;
        let end = loop {
            if let Some(at) = socket.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if socket.fill().await == 0 {
                return Err(String::from_utf8_lossy(&socket.unread).into_owned());
            }
        };
        let head = String::from_utf8_lossy(&socket.unread[..end]).into_owned();
        if head.starts_with("HTTP/1.1 101 ") {
            socket.unread.drain(..end);
            return Ok(socket);
        }
        while socket.fill().await > 0 {}
        Err(String::from_utf8_lossy(&socket.unread).into_owned())
    }

    /// Opens a socket of the mattermost dialect with a token, and reads its hello.
    pub(crate) async fn mattermost(address: SocketAddr, token: &str) -> Self {
        let line = format!("Authorization: Bearer {token}\r\n");
        let mut socket = Self::open(address, "/api/v4/websocket", &line).await.unwrap();
        let hello = socket.text().await;
        assert!(hello.contains(r#""event":"hello""#), "{hello}");
        socket
    }

    /// Sends a text message.
    pub(crate) async fn send(&mut self, text: &str) {
        self.send_frame(0x81, text.as_bytes()).await;
    }

    /// Sends a masked frame with this first byte.
    pub(crate) async fn send_frame(&mut self, first: u8, payload: &[u8]) {
        let mask = [7, 11, 13, 17];
        let mut bytes = vec![first];
        match payload.len() {
            short @ ..126 => bytes.push(0x80 | u8::try_from(short).unwrap()),
            middle @ ..65_536 => {
                bytes.push(0xfe);
                bytes.extend(u16::try_from(middle).unwrap().to_be_bytes());
            }
            long => {
                bytes.push(0xff);
                bytes.extend(u64::try_from(long).unwrap().to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.send_bytes(&bytes).await;
    }

    /// The next frame of the server. Pings are shown, not answered.
    pub(crate) async fn next(&mut self) -> Frame {
        loop {
            if let Some((frame, length)) = parse(&self.unread) {
                self.unread.drain(..length);
                return frame;
            }
            if self.fill().await == 0 {
                assert!(self.unread.is_empty(), "an end inside a frame: {:?}", self.unread);
                return Frame::End;
            }
        }
    }

    /// The next text message.
    pub(crate) async fn text(&mut self) -> String {
        let frame = self.next().await;
        let Frame::Text(text) = frame else { panic!("no text but {frame:?}") };
        text
    }

    /// Reads on until the close frame, answers it, and returns its code.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            match self.next().await {
                Frame::Close(code) => {
                    self.send_frame(0x88, &code.to_be_bytes()).await;
                    return code;
                }
                Frame::End => panic!("an end without a close frame"),
                Frame::Text(_) | Frame::Binary(_) | Frame::Ping(_) | Frame::Pong(_) => {}
            }
        }
    }

    async fn send_bytes(&mut self, bytes: &[u8]) {
        // The server may have closed already: what it said is read afterwards.
        self.stream.write_all(bytes).await.ok();
    }

    /// Reads more. 0 is the end: a clean one, or a reset.
    async fn fill(&mut self) -> usize {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.unread)).await;
        match read.expect("the server says something") {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}"),
        }
    }
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
    let whole = bytes.len() - rest.len() + length;
    let frame = match first {
        0x81 => Frame::Text(String::from_utf8(payload).unwrap()),
        0x82 => Frame::Binary(payload),
        0x88 => Frame::Close(match payload.split_first_chunk() {
            Some((code, _reason)) => u16::from_be_bytes(*code),
            None => 1005,
        }),
        0x89 => Frame::Ping(payload),
        0x8a => Frame::Pong(payload),
        other => panic!("a frame of the server begins with {other:#x}"),
    };
    Some((frame, whole))
}
