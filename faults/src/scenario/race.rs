//! Two sockets resume one connection at once, from two nodes.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{plain, stage as start};
use crate::{
    http::Http,
    jwt::mint,
    node::{API_KEY, SECRET},
    run::Run,
    ws::{Frame, Socket},
};

/// What one socket of a race has seen.
#[derive(Debug, Default)]
struct Seen {
    /// Event ids by number, of the raced connection.
    events: BTreeMap<u64, String>,
    /// It got a hello with another connection.
    fresh: bool,
    /// It was refused or closed, and how.
    closed: Option<String>,
}

pub(super) async fn resume_race(run: &mut Run) -> Result<()> {
    start(run, plain()).await?;
    let mut wrong = Vec::new();
    let mut kinds = BTreeMap::<&str, u32>::new();
    let mut trials = 0;
    let began = tokio::time::Instant::now();
    while began.elapsed() < Duration::from_secs(run.params.seconds) {
        trials += 1;
        match trial(run, trials).await? {
            Ok(kind) => *kinds.entry(kind).or_default() += 1,
            Err(said) => wrong.push(format!("trial {trials}: {said}")),
        }
    }
    run.fact("trials", trials);
    run.fact("losers", format!("{kinds:?}").replace(' ', ""));
    let some: Vec<&String> = wrong.iter().take(3).collect();
    run.expect(wrong.is_empty(), format_args!("{} of {trials} races: {some:#?}", wrong.len()));
    run.settle().await
}

/// One race. Says how the loser ended, or what was wrong.
async fn trial(run: &Run, number: u32) -> Result<Result<&'static str, String>> {
    let user = format!("racer{number}");
    let token = mint(SECRET, &user)?;
    let [first, second, third] = run.nodes.as_slice() else { bail!("three nodes") };
    let mut api = Publisher { http: Http::new(API_KEY), node: first.internal, user: user.clone() };
    let mut socket = Socket::open(first.public, "/api/v4/websocket", &token, None).await?;
    let cid = hello(&mut socket).await?;
    let mut next = 0;
    for event in 0..3 {
        api.publish(&format!("r{number}-a{event}")).await?;
        let message = next_event(&mut socket).await?;
        next = message.get("seq").and_then(Value::as_u64).context("no seq")? + 1;
    }
    // Half of the races begin with an open socket and nothing missed, half with events missed.
    let missed = number.is_multiple_of(2);
    if missed {
        drop(socket);
        for event in 0..3 {
            api.publish(&format!("r{number}-b{event}")).await?;
        }
    }
    let path = format!("/api/v4/websocket?connection_id={cid}&sequence_number={next}");
    let (left, right) = tokio::join!(
        Socket::open(second.public, &path, &token, None),
        Socket::open(third.public, &path, &token, None),
    );
    let (mut left, mut right) = (Racer::new(left, &cid), Racer::new(right, &cid));
    // Both hear what comes until one has lost.
    let _decided = timeout(Duration::from_secs(5), async {
        tokio::select! {
            () = left.until_lost() => {}
            () = right.until_lost() => {}
        }
    })
    .await;
    api.publish(&format!("r{number}-late")).await?;
    tokio::join!(left.hear(Duration::from_millis(700)), right.hear(Duration::from_millis(700)));
    Ok(judge(&left.seen, &right.seen, next, missed))
}

/// What must hold of two sockets that resumed the same connection with number `next`.
fn judge(left: &Seen, right: &Seen, next: u64, missed: bool) -> Result<&'static str, String> {
    let told = || format!("next={next} missed={missed} left={left:?} right={right:?}");
    let holds = |seen: &Seen| seen.closed.is_none() && !seen.fresh;
    if u8::from(holds(left)) + u8::from(holds(right)) != 1 {
        return Err(format!("not exactly one has won: {}", told()));
    }
    let (winner, loser) = if holds(left) { (left, right) } else { (right, left) };
    let published = winner.events.values().filter(|event| event.starts_with('r')).count();
    let wanted = if missed { 4 } else { 1 };
    if !winner.events.keys().copied().eq((next..).take(winner.events.len())) || published != wanted
    {
        return Err(format!("the winner has a gap: {}", told()));
    }
    if loser.events.values().any(|event| event.ends_with("-late")) {
        return Err(format!("both got the late event: {}", told()));
    }
    // What the loser heard before it lost is what the winner heard.
    let differs = loser.events.iter().any(|(seq, event)| winner.events.get(seq) != Some(event));
    if differs {
        return Err(format!("one number, two events: {}", told()));
    }
    match &loser.closed {
        None => Ok("fresh"),
        Some(how) if how == "4409" => Ok("4409"),
        Some(how) if how.contains("503") || how.contains("429") => Ok("refused"),
        Some(_) => Err(format!("the loser was closed otherwise: {}", told())),
    }
}

struct Racer {
    socket: Option<Socket>,
    cid: String,
    seen: Seen,
}

impl Racer {
    fn new(opened: Result<Socket>, cid: &str) -> Self {
        let mut seen = Seen::default();
        let socket = opened.map_err(|error| seen.closed = Some(format!("{error:#}"))).ok();
        Self { socket, cid: cid.to_owned(), seen }
    }

    fn has_lost(&self) -> bool {
        self.seen.closed.is_some() || self.seen.fresh
    }

    async fn until_lost(&mut self) {
        while !self.has_lost() {
            self.step().await;
        }
    }

    async fn hear(&mut self, length: Duration) {
        let hearing = async {
            while self.seen.closed.is_none() {
                self.step().await;
            }
        };
        // It ends by the clock unless the socket ends first.
        timeout(length, hearing).await.ok();
    }

    async fn step(&mut self) {
        let Some(socket) = &mut self.socket else {
            return std::future::pending().await;
        };
        match socket.next().await {
            Ok(Frame::Text(text)) => self.message(&text),
            Ok(Frame::Ping(payload)) => socket.pong(&payload).await,
            Ok(Frame::Close(code, _)) => self.seen.closed = Some(code.to_string()),
            Ok(Frame::End) | Err(_) => self.seen.closed = Some("1006".to_owned()),
            Ok(Frame::Strange(first)) => self.seen.closed = Some(format!("{first:#x}")),
        }
    }

    fn message(&mut self, text: &str) {
        let message: Value = serde_json::from_str(text).unwrap_or_default();
        let data = message.get("data").cloned().unwrap_or_default();
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        if text(message.get("event")).as_deref() == Some("hello") {
            self.seen.fresh = text(data.get("connection_id")).as_ref() != Some(&self.cid);
        } else if let Some(seq) = message.get("seq").and_then(Value::as_u64)
            && !self.seen.fresh
        {
            let event = text(data.get("pid")).unwrap_or_else(|| text_of(&message));
            self.seen.events.insert(seq, event);
        }
    }
}

fn text_of(message: &Value) -> String {
    message.get("event").map(ToString::to_string).unwrap_or_default()
}

struct Publisher {
    http: Http,
    node: SocketAddr,
    user: String,
}

impl Publisher {
    async fn publish(&mut self, pid: &str) -> Result<()> {
        let body = json!({
            "event": "race", "to": {"user": self.user}, "data": {"pid": pid}, "id": pid,
        });
        let reply = self.http.post(self.node, "/api/v1/publish", &body).await?;
        if reply.status != 200 {
            bail!("publish: {} {}", reply.status, reply.body);
        }
        Ok(())
    }
}

/// The connection's id.
async fn hello(socket: &mut Socket) -> Result<String> {
    let message = next_event(socket).await?;
    let cid = message.pointer("/data/connection_id").and_then(Value::as_str);
    cid.map(str::to_owned).context("no hello")
}

async fn next_event(socket: &mut Socket) -> Result<Value> {
    loop {
        match timeout(Duration::from_secs(10), socket.next()).await?? {
            Frame::Text(text) => {
                let message: Value = serde_json::from_str(&text)?;
                // A user's own first status may come in between.
                if message.get("event").and_then(Value::as_str) != Some("status_change") {
                    return Ok(message);
                }
            }
            Frame::Ping(payload) => socket.pong(&payload).await,
            other => bail!("{other:?} in place of an event"),
        }
    }
}
