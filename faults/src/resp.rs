//! The protocol of Redis, as far as operators' commands need it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text: simple or bulk.
    Text(String),
    /// A number.
    Number(i64),
    /// Nothing.
    Nil,
    /// Several answers.
    List(Vec<Self>),
    /// An error.
    Error(String),
}

impl Value {
    /// The text of a text or a number, else an empty one.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) | Self::Error(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Nil | Self::List(_) => String::new(),
        }
    }

    /// The answers inside.
    #[must_use]
    pub fn list(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            Self::Text(_) | Self::Number(_) | Self::Nil | Self::Error(_) => &[],
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    /// Connects to a server on this machine.
    ///
    /// # Errors
    ///
    /// When nothing listens there.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn connect(port: u16) -> Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(("127.0.0.1", port))).await?;
        Ok(Self { stream: stream.context("no Redis")?, unread: Vec::new() })
    }

    /// Sends one command and waits for its answer.
    ///
    /// # Errors
    ///
    /// When the server goes away, does not answer in time, or answers an error.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the connection must be dropped.
    pub async fn command(&mut self, words: &[&str]) -> Result<Value> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        timeout(PATIENCE, self.stream.write_all(request.as_bytes())).await??;
        loop {
            if let Some((value, used)) = parse(&self.unread) {
                self.unread.drain(..used);
                if let Value::Error(error) = value {
                    bail!("{}: {error}", words.first().unwrap_or(&""));
                }
                return Ok(value);
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.unread)).await;
            if read.with_context(|| format!("no answer to {words:?}"))?? == 0 {
                bail!("Redis went away during {words:?}");
            }
        }
    }
}

/// The first answer in `bytes` and its length.
fn parse(bytes: &[u8]) -> Option<(Value, usize)> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    let line = std::str::from_utf8(bytes.get(1..end)?).ok()?;
    let mut used = end + 2;
    let value = match bytes.first()? {
        b'+' => Value::Text(line.to_owned()),
        b'-' => Value::Error(line.to_owned()),
        b':' => Value::Number(line.parse().ok()?),
        b'$' => match usize::try_from(line.parse::<i64>().ok()?) {
            Err(_) => Value::Nil,
            Ok(length) => {
                let text = bytes.get(used..used + length)?;
                bytes.get(used + length..used + length + 2)?;
                used += length + 2;
                Value::Text(String::from_utf8_lossy(text).into_owned())
            }
        },
        b'*' => match usize::try_from(line.parse::<i64>().ok()?) {
            Err(_) => Value::Nil,
            Ok(count) => {
                let mut list = Vec::new();
                for _ in 0..count {
                    let (value, more) = parse(bytes.get(used..)?)?;
                    list.push(value);
                    used += more;
                }
                Value::List(list)
            }
        },
        _ => Value::Error("unknown kind of answer".to_owned()),
    };
    Some((value, used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_parsed_when_complete() {
        let text = b"*3\r\n$2\r\nab\r\n:7\r\n*1\r\n$-1\r\n+OK\r\n";
        let list = Value::List(vec![
            Value::Text("ab".to_owned()),
            Value::Number(7),
            Value::List(vec![Value::Nil]),
        ]);
        assert_eq!(parse(text), Some((list, text.len() - 5)));
        assert_eq!(parse(&text[..20]), None);
        assert_eq!(parse(b"-ERR no\r\n"), Some((Value::Error("ERR no".to_owned()), 9)));
    }
}
