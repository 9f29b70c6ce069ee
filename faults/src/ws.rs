//! A WebSocket client that shows every frame.

use std::{io, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// How long the server may take for its 101.
const UPGRADE: Duration = Duration::from_secs(5);

/// One open socket.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    unread: Vec<u8>,
    from: usize,
}

/// What the server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A text message.
    Text(String),
    /// A ping with its payload.
    Ping(Vec<u8>),
    /// A close frame with its reason; 1005 when it has no code.
    Close(u16, String),
    /// Something that is not expected of this server.
    Strange(u8),
    /// TCP has ended, cleanly or not.
    End,
}

impl Socket {
    /// Opens a socket at `path` with a token. `receive` bounds the kernel's buffer.
    ///
    /// # Errors
    ///
    /// When there is no 101 within five seconds; the error says the answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn open(
        address: SocketAddr,
        path: &str,
        token: &str,
        receive: Option<u32>,
    ) -> Result<Self> {
        timeout(UPGRADE, upgrade(address, path, token, receive)).await.context("no 101 in time")?
    }

    /// The next frame.
    ///
    /// # Errors
    ///
    /// When TCP fails in a way that is not an end.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was read is kept.
    pub async fn next(&mut self) -> io::Result<Frame> {
        loop {
            if let Some((frame, used)) = parse(self.unread.get(self.from..).unwrap_or_default()) {
                self.from += used;
                return Ok(frame);
            }
            self.unread.drain(..self.from);
            self.from = 0;
            match self.stream.read_buf(&mut self.unread).await {
                Ok(0) => return Ok(Frame::End),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Ok(Frame::End);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a masked frame with this first byte and at most 65535 bytes. Gives up after two
    /// seconds: what is wrong then shows at the next read.
    ///
    /// # Cancel safety
    ///
    /// A frame may be cut.
    pub async fn send(&mut self, first: u8, payload: &[u8]) {
        let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
        let payload = payload.get(..usize::from(length)).unwrap_or_default();
        let mask = [0x11, 0x22, 0x33, 0x44];
        let mut bytes = vec![first];
        match u8::try_from(length) {
            Ok(short @ ..126) => bytes.push(0x80 | short),
            Ok(_) | Err(_) => {
                bytes.push(0x80 | 126);
                bytes.extend(length.to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        timeout(Duration::from_secs(2), self.stream.write_all(&bytes)).await.ok();
    }

    /// Answers a ping.
    ///
    /// # Cancel safety
    ///
    /// As [`Socket::send`].
    pub async fn pong(&mut self, payload: &[u8]) {
        self.send(0x8a, payload).await;
    }

    /// Sends a close frame.
    ///
    /// # Cancel safety
    ///
    /// As [`Socket::send`].
    pub async fn close(&mut self, code: u16) {
        self.send(0x88, &code.to_be_bytes()).await;
    }
}

async fn upgrade(
    address: SocketAddr,
    path: &str,
    token: &str,
    receive: Option<u32>,
) -> Result<Socket> {
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = receive {
        socket.set_recv_buffer_size(bytes)?;
    }
    let mut stream = socket.connect(address).await.context("no connection")?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c29tZXRoaW5nIHJhbmRvbQ==\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut unread = Vec::new();
    loop {
        if let Some(at) = unread.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(unread.get(..at).unwrap_or_default()).into_owned();
            if !head.starts_with("HTTP/1.1 101 ") {
                bail!("refused: {}", head.lines().next().unwrap_or_default());
            }
            return Ok(Socket { stream, unread, from: at + 4 });
        }
        if stream.read_buf(&mut unread).await? == 0 {
            bail!("closed before an answer");
        }
    }
}

fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (&[first, short], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match short & 0x7f {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u64::from_be_bytes(*length)).ok()?, rest)
        }
        short => (usize::from(short), rest),
    };
    let payload = rest.get(..length)?;
    let used = bytes.len() - rest.len() + length;
    let frame = match first {
        0x81 => Frame::Text(String::from_utf8_lossy(payload).into_owned()),
        0x88 => match payload.split_first_chunk() {
            Some((code, reason)) => Frame::Close(
                u16::from_be_bytes(*code),
                String::from_utf8_lossy(reason).into_owned(),
            ),
            None => Frame::Close(1005, String::new()),
        },
        0x89 => Frame::Ping(payload.to_vec()),
        other => Frame::Strange(other),
    };
    Some((frame, used))
}
