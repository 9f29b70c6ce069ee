//! Lines of JSON to entries.
//!
//! Every key that an operation needs is asked for by name; unknown keys are ignored,
//! unknown operations are errors.
//!
//! Invariants: a line is understood whole or refused; nothing is guessed.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;
use serde_json::Value;

use crate::history::{
    Entry, Line, Member, Name, Names, Open, Phase, Place, Poll, Position, Publish, Topic,
};

/// Why a line cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It is not a JSON object with keys of the right kinds.
    #[error("is not a line of a history")]
    Json(#[from] serde_json::Error),
    /// A key is missing or null.
    #[error("lacks {0:?}")]
    Lacks(&'static str),
    /// A key says something that it cannot say.
    #[error("{key:?} cannot be {found:?}")]
    Bad {
        /// The key.
        key: &'static str,
        /// What it says.
        found: String,
    },
}

/// All keys of all operations.
#[derive(Deserialize)]
struct Wire<'a> {
    at: f64,
    #[serde(borrow)]
    w: Cow<'a, str>,
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(borrow, default)]
    ph: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pid: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    mid: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    realm: Option<Cow<'a, str>>,
    #[serde(default)]
    to: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    topic: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    ephemeral: Option<bool>,
    #[serde(default)]
    omit_users: Option<Vec<String>>,
    #[serde(borrow, default)]
    omit_connection: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pos: Option<WirePosition<'a>>,
    #[serde(borrow, default)]
    user: Option<Cow<'a, str>>,
    #[serde(default)]
    add: Option<bool>,
    #[serde(default)]
    not_after: Option<f64>,
    #[serde(borrow, default)]
    sock: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    node: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    cid: Option<Cow<'a, str>>,
    #[serde(default)]
    n: Option<u64>,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(borrow, default)]
    eid: Option<Cow<'a, str>>,
    #[serde(default)]
    code: Option<u64>,
    #[serde(borrow, default)]
    what: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    fault: Option<Cow<'a, str>>,
    #[serde(default)]
    lossy: Option<bool>,
    #[serde(default)]
    users: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct WirePosition<'a> {
    #[serde(borrow)]
    generation: Cow<'a, str>,
    offset: u64,
    #[serde(borrow)]
    tag: Cow<'a, str>,
}

/// Reads one line.
///
/// # Errors
///
/// [`LineError`] when it is not a line of the format.
pub fn line(text: &str, number: u32, names: &mut Names) -> Result<Line, LineError> {
    let wire: Wire<'_> = serde_json::from_str(text)?;
    let mut reader = Reader { wire: &wire, names };
    let entry = reader.entry()?;
    Ok(Line { number, at: wire.at, writer: names.intern(&wire.w), entry })
}

struct Reader<'a> {
    wire: &'a Wire<'a>,
    names: &'a mut Names,
}

type Text<'a> = Option<Cow<'a, str>>;

impl Reader<'_> {
    fn entry(&mut self) -> Result<Entry, LineError> {
        let wire = self.wire;
        Ok(match wire.op.as_ref() {
            "pub" => Entry::Publish(Box::new(self.publish()?)),
            "member" => Entry::Member(Box::new(self.member()?)),
            "revoke" => Entry::Revoke {
                user: self.name(&wire.user, "user")?,
                realm: self.realm(),
                phase: self.phase()?,
            },
            "token" => Entry::Token {
                user: self.name(&wire.user, "user")?,
                not_after: wire.not_after.ok_or(LineError::Lacks("not_after"))?,
            },
            "end" => Entry::End,
            "node" => self.node()?,
            "fault" => Entry::Fault {
                fault: self.name(&wire.fault, "fault")?,
                begins: self.fault_begins()?,
                lossy: wire.lossy.unwrap_or(false),
            },
            "poll" => Entry::Poll(Box::new(self.poll()?)),
            "barrier" => Entry::Barrier { realm: self.realm(), pid: self.name(&wire.pid, "pid")? },
            _ => return self.client(),
        })
    }

    /// What only clients write; all of it names a socket.
    fn client(&mut self) -> Result<Entry, LineError> {
        let wire = self.wire;
        let known = ["open", "hello", "resumed", "recv", "noop", "close"];
        if !known.contains(&wire.op.as_ref()) {
            return Err(bad("op", &wire.op));
        }
        let sock = self.name(&wire.sock, "sock")?;
        if wire.op == "open" {
            return Ok(Entry::Open(Box::new(Open {
                sock,
                user: self.name(&wire.user, "user")?,
                realm: self.realm(),
                cid: self.given(&wire.cid),
                n: wire.n,
            })));
        }
        if wire.op == "close" {
            return Ok(Entry::Close { sock, code: wire.code.ok_or(LineError::Lacks("code"))? });
        }
        let cid = self.name(&wire.cid, "cid")?;
        let seq = || wire.seq.ok_or(LineError::Lacks("seq"));
        Ok(match wire.op.as_ref() {
            "hello" => Entry::Hello { sock, cid, user: self.name(&wire.user, "user")? },
            "resumed" => Entry::Resumed { sock, cid, n: wire.n.ok_or(LineError::Lacks("n"))? },
            "recv" => Entry::Received { sock, cid, seq: seq()?, eid: self.given(&wire.eid) },
            _ => Entry::Noop { sock, cid, seq: seq()? },
        })
    }

    fn publish(&mut self) -> Result<Publish, LineError> {
        let wire = self.wire;
        let phase = self.phase()?;
        let to = match &wire.to {
            Some(to) => Some(self.topic(to, "to")?),
            None if phase == Phase::Invoke => return Err(LineError::Lacks("to")),
            None => None,
        };
        let omit_users = wire.omit_users.as_deref().unwrap_or_default();
        Ok(Publish {
            pid: self.name(&wire.pid, "pid")?,
            realm: self.realm(),
            phase,
            to,
            ephemeral: wire.ephemeral.unwrap_or(false),
            omit_users: omit_users.iter().map(|user| self.names.intern(user)).collect(),
            omit_connection: self.given(&wire.omit_connection),
        })
    }

    fn member(&mut self) -> Result<Member, LineError> {
        let wire = self.wire;
        let topic = wire.topic.as_ref().ok_or(LineError::Lacks("topic"))?;
        Ok(Member {
            mid: self.name(&wire.mid, "mid")?,
            realm: self.realm(),
            phase: self.phase()?,
            user: self.name(&wire.user, "user")?,
            topic: self.topic(topic, "topic")?,
            add: wire.add.ok_or(LineError::Lacks("add"))?,
        })
    }

    fn node(&mut self) -> Result<Entry, LineError> {
        self.name(&self.wire.node, "node")?;
        self.name(&self.wire.what, "what")?;
        Ok(Entry::Node)
    }

    fn poll(&mut self) -> Result<Poll, LineError> {
        let wire = self.wire;
        let users = wire.users.as_ref().ok_or(LineError::Lacks("users"))?;
        Ok(Poll {
            node: self.name(&wire.node, "node")?,
            realm: self.realm(),
            users: users
                .iter()
                .map(|(user, status)| (self.names.intern(user), status != "offline"))
                .collect(),
        })
    }

    fn fault_begins(&self) -> Result<bool, LineError> {
        match self.wire.what.as_deref() {
            Some("inject") => Ok(true),
            Some("heal") => Ok(false),
            Some(other) => Err(bad("what", other)),
            None => Err(LineError::Lacks("what")),
        }
    }

    fn phase(&mut self) -> Result<Phase, LineError> {
        match self.wire.ph.as_deref() {
            Some("invoke") => Ok(Phase::Invoke),
            Some("fail") => Ok(Phase::Fail),
            Some("info") => Ok(Phase::Info),
            Some("ok") => Ok(Phase::Ok(self.position()?)),
            Some(other) => Err(bad("ph", other)),
            None => Err(LineError::Lacks("ph")),
        }
    }

    fn position(&mut self) -> Result<Position, LineError> {
        let pos = self.wire.pos.as_ref().ok_or(LineError::Lacks("pos"))?;
        let counter = pos.generation.split('.').next().and_then(|text| text.parse().ok());
        let generation = counter.ok_or_else(|| bad("generation", &pos.generation))?;
        Ok(Position {
            place: Place { generation, offset: pos.offset },
            generation: self.names.intern(&pos.generation),
            tag: self.names.intern(&pos.tag),
        })
    }

    fn topic(
        &mut self,
        text: &BTreeMap<String, Value>,
        key: &'static str,
    ) -> Result<Topic, LineError> {
        let mut pairs = text.iter();
        let (Some((kind, id)), None) = (pairs.next(), pairs.next()) else {
            return Err(bad(key, &format!("{text:?}")));
        };
        Ok(match (kind.as_str(), id) {
            ("everyone", Value::Bool(true)) => Topic::Everyone,
            ("user", Value::String(id)) => Topic::User(self.names.intern(id)),
            ("connection", Value::String(id)) => Topic::Connection(self.names.intern(id)),
            (kind, Value::String(id)) if kind != "everyone" => {
                Topic::Group(self.names.intern(kind), self.names.intern(id))
            }
            _ => return Err(bad(key, &format!("{text:?}"))),
        })
    }

    fn realm(&mut self) -> Name {
        self.names.intern(self.wire.realm.as_deref().unwrap_or("default"))
    }

    /// Null and the empty text say nothing.
    fn given(&mut self, text: &Text<'_>) -> Option<Name> {
        text.as_deref().filter(|text| !text.is_empty()).map(|text| self.names.intern(text))
    }

    fn name(&mut self, text: &Text<'_>, key: &'static str) -> Result<Name, LineError> {
        self.given(text).ok_or(LineError::Lacks(key))
    }
}

fn bad(key: &'static str, found: &str) -> LineError {
    LineError::Bad { key, found: found.to_owned() }
}
