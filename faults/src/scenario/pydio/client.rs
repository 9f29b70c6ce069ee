//! A session that opted in to numbers: it comes back on any node with the next one.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::Stage;
use crate::{
    jwt::mint,
    node::SECRET,
    ws::{Frame, Socket},
};

/// The server pings more often; a socket without a frame for so long is dead.
const SILENCE: Duration = Duration::from_secs(15);

/// What a client has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    connection: Option<String>,
    next: u64,
    /// The events, as they came.
    pub(super) names: Vec<String>,
    /// Sockets on which the numbering went on.
    pub(super) resumes: u64,
    /// Numberings that ended.
    pub(super) resets: u64,
    /// What should not be.
    pub(super) violations: Vec<String>,
}

/// A push, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Push {
    #[serde(rename = "@type")]
    kind: Option<String>,
    #[serde(rename = "@seq")]
    number: Option<u64>,
    connection_id: Option<String>,
    #[serde(rename = "Source")]
    source: Option<Source>,
}

#[derive(Debug, Deserialize)]
struct Source {
    #[serde(rename = "Path")]
    path: String,
}

impl Seen {
    pub(super) fn has_begun(&self) -> bool {
        self.connection.is_some()
    }

    fn path(&self) -> String {
        match &self.connection {
            Some(connection) => {
                format!("/ws/event?connection_id={connection}&sequence_number={}", self.next)
            }
            None => "/ws/event".to_owned(),
        }
    }

    /// Takes a push; `comes_back` until the numbering has gone on.
    fn take(&mut self, text: &str, comes_back: &mut bool) {
        let push: Push = match serde_json::from_str(text) {
            Ok(push) => push,
            Err(error) => return self.violations.push(format!("{error}: {text}")),
        };
        if push.kind.as_deref() == Some("hello") {
            self.resets += u64::from(self.connection.is_some());
            self.connection = push.connection_id;
            self.next = 1;
            *comes_back = false;
            return;
        }
        let (Some(number), Some(source)) = (push.number, push.source) else {
            return self.violations.push(format!("strange: {text}"));
        };
        if number != self.next {
            self.violations.push(format!("{number} in place of {}: {text}", self.next));
        }
        self.resumes += u64::from(std::mem::take(comes_back));
        self.next = number + 1;
        self.names.push(source.path);
    }
}

/// Runs until it is dropped.
pub(super) async fn run(stage: Arc<Stage>, number: usize) -> Result<()> {
    let token = mint(SECRET, &format!("u{number}"))?;
    loop {
        let (node, _) = stage.any_node()?;
        let path = stage.seen(number)?.lock().path();
        if let Ok(mut socket) = Socket::open(node, &path, &token, None).await {
            talk(&stage, number, &mut socket, &token).await?;
        }
        sleep(Duration::from_millis(fastrand::u64(25..=100))).await;
    }
}

/// Reads one socket until it ends.
async fn talk(stage: &Stage, number: usize, socket: &mut Socket, token: &str) -> Result<()> {
    let seen = stage.seen(number)?;
    let subscribe = json!({"@type": "subscribe", "jwt": token, "resume": true});
    socket.send(0x81, subscribe.to_string().as_bytes()).await;
    let mut comes_back = seen.lock().has_begun();
    loop {
        match timeout(SILENCE, socket.next()).await {
            Ok(Ok(Frame::Text(text))) => seen.lock().take(&text, &mut comes_back),
            Ok(Ok(Frame::Ping(payload))) => socket.pong(&payload).await,
            Ok(Ok(Frame::Strange(first))) => {
                seen.lock().violations.push(format!("a frame that begins with {first:#x}"));
            }
            Ok(Ok(Frame::Close(code, reason))) => {
                socket.close(if code == 1005 { 1000 } else { code }).await;
                if ![1012, 1013].contains(&code) {
                    seen.lock().violations.push(format!("closed with {code}: {reason}"));
                }
                return Ok(());
            }
            Ok(Ok(Frame::End) | Err(_)) | Err(_) => return Ok(()),
        }
    }
}
