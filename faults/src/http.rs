//! An HTTP/1.1 client for the server API: one kept connection for each address.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: String,
}

impl Reply {
    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// A client with a key of the server API.
#[derive(Debug, Default)]
pub struct Http {
    key: String,
    kept: HashMap<SocketAddr, (TcpStream, Vec<u8>)>,
}

impl Http {
    /// A client that sends `key`.
    #[must_use]
    pub fn new(key: &str) -> Self {
        Self { key: key.to_owned(), kept: HashMap::new() }
    }

    /// Asks and waits for the whole answer.
    ///
    /// # Errors
    ///
    /// When there is no answer within `patience`. Whether the server acted is then open.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; whether the server acted is open.
    pub async fn ask(
        &mut self,
        address: SocketAddr,
        request: &str,
        body: &str,
        patience: Duration,
    ) -> Result<Reply> {
        // Taken out, so that a cancelled or failed exchange is not continued by the next.
        let kept = self.kept.remove(&address);
        let exchange = async {
            let (mut stream, mut unread) = match kept {
                Some(kept) => kept,
                None => (TcpStream::connect(address).await?, Vec::new()),
            };
            stream.set_nodelay(true)?;
            let head = format!(
                "{request} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                self.key,
                body.len()
            );
            stream.write_all(head.as_bytes()).await?;
            loop {
                if let Some((reply, used, close)) = parse(&unread)? {
                    unread.drain(..used);
                    return Ok((reply, (!close).then_some((stream, unread))));
                }
                if stream.read_buf(&mut unread).await? == 0 {
                    bail!("the server closed");
                }
            }
        };
        let exchanged = timeout(patience, exchange).await;
        let (reply, kept) = exchanged.with_context(|| format!("no answer to {request}"))??;
        self.kept.extend(kept.map(|kept| (address, kept)));
        Ok(reply)
    }

    /// Asks with a JSON body.
    ///
    /// # Errors
    ///
    /// As [`Http::ask`].
    ///
    /// # Cancel safety
    ///
    /// As [`Http::ask`].
    pub async fn post(&mut self, address: SocketAddr, path: &str, body: &Value) -> Result<Reply> {
        let request = format!("POST {path}");
        self.ask(address, &request, &body.to_string(), Duration::from_secs(5)).await
    }

    /// Asks for a resource.
    ///
    /// # Errors
    ///
    /// As [`Http::ask`].
    ///
    /// # Cancel safety
    ///
    /// As [`Http::ask`].
    pub async fn get(&mut self, address: SocketAddr, path: &str) -> Result<Reply> {
        self.ask(address, &format!("GET {path}"), "", Duration::from_secs(5)).await
    }
}

/// The first answer in `bytes`, its length, and whether the connection ends behind it.
fn parse(bytes: &[u8]) -> Result<Option<(Reply, usize, bool)>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(bytes.get(..end).unwrap_or_default())?.to_ascii_lowercase();
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    };
    let status = head.get(9..12).and_then(|status| status.parse().ok()).context("no status")?;
    let length: usize = header("content-length").unwrap_or("0").parse()?;
    let from = end + 4;
    let Some(body) = bytes.get(from..from + length) else { return Ok(None) };
    let body = String::from_utf8_lossy(body).into_owned();
    let close = header("connection").is_some_and(|value| value.contains("close"));
    Ok(Some((Reply { status, body }, from + length, close)))
}
