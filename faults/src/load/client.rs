//! One client of the mattermost dialect: it connects, resumes, and writes down what it sees.

use std::{collections::HashSet, time::Duration};

use anyhow::Result;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::{Phase, Shared, Stats, wire::Message};
use crate::{
    history::Writer,
    system::now_ms,
    ws::{Frame, Socket},
};

/// The server pings more often; a socket without a frame for so long is dead.
const SILENCE: Duration = Duration::from_secs(15);

/// How a client behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Reads what comes.
    Normal,
    /// Reads nothing for so long after its first hello, with a small buffer.
    Stalls(Duration),
}

/// A client's own memory.
struct Client<'a> {
    shared: &'a Shared,
    number: usize,
    user: String,
    writer: Writer,
    sockets: u64,
    cid: Option<String>,
    next: u64,
    seen: HashSet<String>,
    manner: Manner,
}

/// How one socket ended.
enum Ended {
    /// With this code.
    Code(u16),
    /// The client left.
    Left,
}

/// Runs until the load ends.
pub(super) async fn run(shared: &Shared, number: usize, token: &str, manner: Manner) -> Result<()> {
    let user = shared.shape.user_of(number);
    let writer = shared.history.writer(&format!("client-{number}"))?;
    let mut client = Client {
        shared,
        number,
        user,
        writer,
        sockets: 0,
        cid: None,
        next: 0,
        seen: HashSet::new(),
        manner,
    };
    let mut pause = 50;
    while shared.phase() < Phase::End {
        let opened = client.open(token).await;
        let Some((socket, at)) = opened else {
            pause = (pause * 2).min(1000);
            client.wait(pause).await;
            continue;
        };
        match client.talk(socket, at).await {
            Ended::Left => break,
            Ended::Code(code) => {
                pause = if code == 1013 { 1000 } else { 50 };
                client.wait(pause).await;
            }
        }
    }
    if let Some(cid) = &client.cid {
        client.writer.write(json!({"op": "end", "cid": cid, "user": client.user}));
    }
    client.writer.flush()
}

impl Client<'_> {
    /// The kernel's buffer of a client that will stall.
    fn receive(&self) -> Option<u32> {
        (self.manner != Manner::Normal).then_some(4096)
    }

    /// Waits a random part of `pause` ms; ends early with the load.
    async fn wait(&self, pause: u64) {
        let part = Duration::from_millis(fastrand::u64(pause / 2..=pause));
        timeout(part, self.shared.reached(Phase::End)).await.ok();
    }

    /// Connects to any node that is up, and says when it began to.
    async fn open(&mut self, token: &str) -> Option<(Socket, Opening)> {
        let target = self.shared.target()?;
        self.sockets += 1;
        let sock = format!("s{}-{}", self.number, self.sockets);
        let resumes = self.cid.clone();
        let path = match &resumes {
            Some(cid) => {
                format!("/api/v4/websocket?connection_id={cid}&sequence_number={}", self.next)
            }
            None => "/api/v4/websocket".to_owned(),
        };
        self.writer.write(json!({
            "op": "open", "sock": sock, "user": self.user, "realm": "default",
            "node": target.node, "cid": resumes, "n": resumes.as_ref().map(|_| self.next),
        }));
        let (at, began) = (now_ms(), Instant::now());
        match Socket::open(target.dial, &path, token, self.receive()).await {
            Ok(socket) => {
                let upgraded_ms = began.elapsed().as_secs_f64() * 1000.0;
                self.shared.stats.opened_at.lock().push(at);
                // What a resumed client is until it hears otherwise.
                self.show(resumes.is_some().then(|| target.node.clone()));
                let node = target.node.clone();
                Some((socket, Opening { sock, node, at, upgraded_ms, resumes: resumes.is_some() }))
            }
            Err(error) => {
                let said = format!("{error:#}");
                *self.shared.stats.dials_failed.lock().entry(said).or_default() += 1;
                self.writer.write(json!({
                    "op": "close", "sock": sock, "cid": self.cid, "code": 1006,
                }));
                None
            }
        }
    }

    /// Shows the others what this client knows, and where it is.
    fn show(&self, node: Option<String>) {
        if let Some(state) = self.shared.clients.get(self.number) {
            let mut state = state.lock();
            state.cid.clone_from(&self.cid);
            state.next = self.next;
            state.node = node;
        }
    }

    async fn talk(&mut self, mut socket: Socket, mut opening: Opening) -> Ended {
        let code = loop {
            let frame = tokio::select! {
                biased;
                () = self.shared.reached(Phase::End) => {
                    socket.close(1000).await;
                    self.closed(&opening, 1000);
                    return Ended::Left;
                }
                frame = timeout(SILENCE, socket.next()) => frame,
            };
            match frame {
                Ok(Ok(Frame::Text(text))) => {
                    self.message(&text, &mut opening);
                    if let Manner::Stalls(stall) = self.manner {
                        self.manner = Manner::Normal;
                        timeout(stall, self.shared.reached(Phase::End)).await.ok();
                    }
                }
                Ok(Ok(Frame::Ping(payload))) => socket.pong(&payload).await,
                Ok(Ok(Frame::Close(code, reason))) => {
                    socket.close(if code == 1005 { 1000 } else { code }).await;
                    if ![1000, 1005, 1012].contains(&code) {
                        let said = format!("{code}_{}", reason.replace(' ', "_"));
                        *self.shared.stats.reasons.lock().entry(said).or_default() += 1;
                    }
                    break code;
                }
                Ok(Ok(Frame::Strange(first))) => {
                    self.violation(&format!("a frame that begins with {first:#x}"));
                }
                Ok(Ok(Frame::End) | Err(_)) | Err(_) => break 1006,
            }
        };
        self.closed(&opening, code);
        Ended::Code(code)
    }

    fn closed(&self, opening: &Opening, code: u16) {
        self.writer
            .write(json!({"op": "close", "sock": opening.sock, "cid": self.cid, "code": code}));
        *self.shared.stats.closes.lock().entry(code).or_default() += 1;
        self.show(None);
    }

    fn violation(&self, what: &str) {
        let told = format!("c{} {:?} next={}: {what}", self.number, self.cid, self.next);
        self.shared.stats.violation(told);
    }

    fn message(&mut self, text: &str, opening: &mut Opening) {
        let message: Message = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(error) => return self.violation(&format!("{error}: {text}")),
        };
        let Some(seq) = message.seq else { return };
        Stats::count(&self.shared.stats.delivered);
        if message.event == "hello" {
            return self.hello(message.data.connection_id.unwrap_or_default(), seq, opening);
        }
        let Some(cid) = self.cid.clone() else {
            return self.violation(&format!("an event before hello: {text}"));
        };
        if std::mem::take(&mut opening.resumes) {
            self.writer.write(json!({
                "op": "resumed", "sock": opening.sock, "cid": cid, "n": self.next,
            }));
            self.resumed(opening, message.data.at);
        }
        if seq != self.next {
            self.violation(&format!("seq {seq} on {} from {}", opening.sock, opening.node));
        }
        self.next = seq + 1;
        if message.event == "hb_noop" {
            self.writer.write(json!({"op": "noop", "sock": opening.sock, "cid": cid, "seq": seq}));
        } else {
            self.event(&cid, seq, message, opening);
        }
        self.show(Some(opening.node.clone()));
    }

    fn event(&mut self, cid: &str, seq: u64, message: Message, opening: &Opening) {
        let eid = message.data.pid;
        self.writer.write(json!({
            "op": "recv", "sock": opening.sock, "cid": cid, "seq": seq, "eid": eid,
        }));
        if let Some(at) = message.data.at {
            self.shared.stats.delivery_ms.lock().push((at, now_ms() - at));
        }
        let Some(eid) = eid else { return };
        if eid.starts_with("barrier-")
            && let Some(state) = self.shared.clients.get(self.number)
        {
            state.lock().barrier.clone_from(&eid);
        }
        if !self.seen.insert(eid.clone()) {
            self.violation(&format!("{eid} twice, now with seq {seq} on {}", opening.sock));
        }
    }

    /// A new numbering begins.
    fn hello(&mut self, cid: String, seq: u64, opening: &mut Opening) {
        opening.resumes = false;
        self.writer.write(json!({
            "op": "hello", "sock": opening.sock, "cid": cid, "user": self.user,
        }));
        if seq != 0 || self.cid.as_ref() == Some(&cid) {
            self.violation(&format!("hello of {cid} with seq {seq}"));
        }
        if self.cid.is_some() {
            Stats::count(&self.shared.stats.resets);
            if let Some(state) = self.shared.clients.get(self.number) {
                state.lock().resets += 1;
            }
        }
        self.cid = Some(cid);
        self.next = 1;
        self.seen.clear();
        self.show(Some(opening.node.clone()));
    }

    fn resumed(&self, opening: &Opening, first: Option<f64>) {
        Stats::count(&self.shared.stats.resumes);
        // An event from before the connect was missed: its coming ends the resume.
        let missed = first.is_some_and(|at| at < opening.at);
        let took = if missed { now_ms() - opening.at } else { opening.upgraded_ms };
        self.shared.stats.resume_ms.lock().push(took);
    }
}

/// What is known about a socket.
struct Opening {
    sock: String,
    node: String,
    /// When TCP began to connect, in ms since 1970.
    at: f64,
    upgraded_ms: f64,
    /// It continues a numbering, and nothing came yet.
    resumes: bool,
}
