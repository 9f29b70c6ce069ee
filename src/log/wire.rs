//! A record as a store holds it: kind, address, header and body.
//!
//! The header is compact JSON that people can read in Redis; the body is the data of an
//! event as it was published. Scripts read the headers of control records.
//!
//! Invariants: what was encoded decodes to the same; what can't be decoded is told as
//! such, and never half.
//!
//! Not here: where a record is, and how it travels (`frame`, `redis`).

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::bus::wire as bus;
use super::subscription::{subscribed, subscriptions};
use crate::model::{Body, ConnectionId, Event, Id, Revocation, RevocationScope, SharedText, Topic};

/// A record without its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// One letter, see [`encode`].
    pub(super) kind: char,
    /// Letter of the topic's kind, a colon, its id.
    pub(super) address: String,
    /// Compact JSON.
    pub(super) header: String,
    /// Data of an event; empty for control records and for ephemeral events that were kept.
    pub(super) body: Bytes,
}

/// A record can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record of the log can't be read")]
pub(super) struct Malformed;

/// What every header has.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// Microseconds since 1970.
    at: u64,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct EventHeader {
    at: u64,
    n: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    o: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    c: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    i: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    b: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Rest {
    Seeds { user: String, topics: Vec<String> },
    Watch { add: Vec<String>, rm: Vec<String>, ttl: u64 },
    Members { add: Vec<String>, rm: Vec<String> },
    Revocation { scope: String, id: String, before: u64 },
    Disconnect { code: u16, reason: String },
}

/// The topic as its letter and id.
pub(super) fn address(topic: &Topic) -> String {
    let letter = match topic {
        Topic::User(_) => 'u',
        Topic::Channel(_) => 'c',
        Topic::Team(_) => 't',
        Topic::Workspace(_) => 'w',
        Topic::Room(_) => 'r',
        Topic::Chat(_) => 'h',
        Topic::Status(_) => 's',
        Topic::Connection(_) => 'n',
        Topic::Everyone => 'e',
    };
    format!("{letter}:{}", topic.id())
}

/// The topic that [`address`] wrote.
pub(super) fn topic(address: &str) -> Option<Topic> {
    let (letter, id) = address.split_once(':')?;
    let name = || Id::parse(id).ok();
    Some(match letter {
        "u" => Topic::User(name()?),
        "c" => Topic::Channel(name()?),
        "t" => Topic::Team(name()?),
        "w" => Topic::Workspace(name()?),
        "r" => Topic::Room(name()?),
        "h" => Topic::Chat(name()?),
        "s" => Topic::Status(name()?),
        "n" => Topic::Connection(ConnectionId::parse(id).ok()?),
        "e" if id.is_empty() => Topic::Everyone,
        _ => return None,
    })
}

/// The entry of `body`, accepted at `at_us`; subscriptions live for `session_ttl_ms`.
///
/// Kinds: `e` event, `f` ephemeral event, `m` members, `s` seeds, `w` watch,
/// `r` revocation, `x` disconnect, `b` bus event, `p` workspace, `n` paths of nodes.
pub(super) fn encode(body: &Body, at_us: u64, session_ttl_ms: u64) -> Entry {
    let texts = |ids: &[Id]| ids.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>();
    let (kind, to, rest) = match body {
        Body::Event(event) => return encode_event(event, at_us),
        Body::Members { topic, add, remove } => {
            ('m', address(topic), Rest::Members { add: texts(add), rm: texts(remove) })
        }
        Body::Seeds { user, topics } => {
            let topics = topics.iter().map(address).collect();
            (
                's',
                address(&Topic::User(user.clone())),
                Rest::Seeds { user: user.as_str().to_owned(), topics },
            )
        }
        Body::Watch { connection, add, remove } => {
            let (add, rm) = (subscriptions(add), subscriptions(remove));
            let rest = Rest::Watch { add, rm, ttl: session_ttl_ms };
            ('w', address(&Topic::Connection(*connection)), rest)
        }
        Body::Revocation(Revocation { scope, at_ms }) => {
            let (scope, id) = match scope {
                RevocationScope::User(user) => ("u", user.as_str()),
                RevocationScope::Session(session) => ("s", session.as_str()),
                RevocationScope::Everyone => ("*", ""),
            };
            let rest =
                Rest::Revocation { scope: scope.to_owned(), id: id.to_owned(), before: *at_ms };
            ('r', address(&Topic::Everyone), rest)
        }
        Body::Bus(_) | Body::Workspace { .. } | Body::Nodes(_) => return bus::encode(body, at_us),
        // Nobody publishes it: written out, it stays what nobody can read.
        Body::Unknown => {
            let rest = Rest::Members { add: Vec::new(), rm: Vec::new() };
            ('?', address(&Topic::Everyone), rest)
        }
        Body::Disconnect { target, code, reason } => {
            let rest = Rest::Disconnect { code: *code, reason: (**reason).to_owned() };
            ('x', address(target), rest)
        }
    };
    Entry { kind, address: to, header: text(&Header { at: at_us, rest }), body: Bytes::new() }
}

fn encode_event(event: &Event, at_us: u64) -> Entry {
    let header = EventHeader {
        at: at_us,
        n: (*event.name).to_owned(),
        o: event.omit_users.iter().map(|id| id.as_str().to_owned()).collect(),
        c: event.omit_connection.map(|id| id.as_str().to_owned()).unwrap_or_default(),
        i: (*event.id).to_owned(),
        s: event.sender.as_deref().map(str::to_owned),
        b: event.binary,
    };
    Entry {
        kind: if event.ephemeral { 'f' } else { 'e' },
        address: address(&event.to),
        header: text(&header),
        body: event.data.clone(),
    }
}

/// What the entry says, and when it was accepted.
///
/// # Errors
///
/// [`Malformed`] for what this version does not know, or what somebody else wrote.
pub(super) fn decode(
    kind: &[u8],
    address: &[u8],
    header: &[u8],
    body: Bytes,
) -> Result<(Body, u64), Malformed> {
    let to = std::str::from_utf8(address).ok().and_then(topic).ok_or(Malformed)?;
    if matches!(kind, b"e" | b"f") {
        let header: EventHeader = serde_json::from_slice(header).map_err(|_| Malformed)?;
        return decode_event(to, &header, kind == b"f", body);
    }
    if matches!(kind, b"b" | b"p" | b"n") {
        return bus::decode(kind, to, header, body);
    }
    let Header { at, rest } = serde_json::from_slice(header).map_err(|_| Malformed)?;
    let body = match (kind, rest) {
        (b"m", Rest::Members { add, rm }) if to.has_members() => {
            Body::Members { topic: to, add: ids(&add)?, remove: ids(&rm)? }
        }
        (b"s", Rest::Seeds { user, topics }) => {
            let topics = topics.iter().map(|text| topic(text).ok_or(Malformed));
            Body::Seeds {
                user: Id::parse(&user).map_err(|_| Malformed)?,
                topics: topics.collect::<Result<_, _>>()?,
            }
        }
        (b"w", Rest::Watch { add, rm, .. }) => {
            let Topic::Connection(connection) = to else { return Err(Malformed) };
            Body::Watch { connection, add: subscribed(&add)?, remove: subscribed(&rm)? }
        }
        (b"r", Rest::Revocation { scope, id, before }) => {
            let id = || Id::parse(&id).map_err(|_| Malformed);
            let scope = match scope.as_str() {
                "u" => RevocationScope::User(id()?),
                "s" => RevocationScope::Session(id()?),
                "*" => RevocationScope::Everyone,
                _ => return Err(Malformed),
            };
            Body::Revocation(Revocation { scope, at_ms: before })
        }
        (b"x", Rest::Disconnect { code, reason }) => {
            Body::Disconnect { target: to, code, reason: Arc::from(reason) }
        }
        _ => return Err(Malformed),
    };
    Ok((body, at))
}

/// Names that nearly every record has.
static POSTED: SharedText = SharedText::new("posted");
static TYPING: SharedText = SharedText::new("typing");
static STATUS_CHANGE: SharedText = SharedText::new("status_change");
static NOTHING: SharedText = SharedText::new("");

fn shared(text: &str) -> Arc<str> {
    match text {
        "" => NOTHING.get(),
        "posted" => POSTED.get(),
        "typing" => TYPING.get(),
        "status_change" => STATUS_CHANGE.get(),
        _ => Arc::from(text),
    }
}

fn decode_event(
    to: Topic,
    header: &EventHeader,
    ephemeral: bool,
    data: Bytes,
) -> Result<(Body, u64), Malformed> {
    let is_whole = header.b
        || (ephemeral && data.is_empty())
        || (data.first() == Some(&b'{') && serde_json::from_slice::<IgnoredAny>(&data).is_ok());
    if !is_whole {
        return Err(Malformed);
    }
    let omit_connection = match header.c.as_str() {
        "" => None,
        text => Some(ConnectionId::parse(text).map_err(|_| Malformed)?),
    };
    let event = Event {
        name: shared(&header.n),
        data,
        to,
        omit_users: ids(&header.o)?,
        omit_connection,
        ephemeral,
        binary: header.b,
        id: shared(&header.i),
        sender: header.s.as_deref().map(Arc::from),
    };
    Ok((Body::Event(event), header.at))
}

fn ids(texts: &[String]) -> Result<Vec<Id>, Malformed> {
    texts.iter().map(|text| Id::parse(text).map_err(|_| Malformed)).collect()
}

/// Serialising plain strings and numbers can't fail; an empty header is refused by
/// [`decode`], should it ever.
fn text(header: &impl Serialize) -> String {
    serde_json::to_string(header).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    //! Goal: every body survives the store; nonsense is refused.

    use super::*;

    fn id(text: &str) -> Id {
        Id::parse(text).unwrap()
    }

    fn connection() -> ConnectionId {
        ConnectionId::parse("abcdefghijklmnopqrstuvwxyz").unwrap()
    }

    fn bodies() -> Vec<Body> {
        let event = |ephemeral, binary, data: &'static str| {
            Body::Event(Event {
                name: Arc::from("it \"quotes\" \u{1f600}"),
                data: Bytes::from(data),
                to: Topic::Channel(id("town.square@x-1")),
                omit_users: vec![id("a"), id("b")],
                omit_connection: Some(connection()),
                ephemeral,
                binary,
                id: Arc::from("some-id"),
                sender: Some(Arc::from("~guest")),
            })
        };
        let (add, remove) = (vec![id("u1")], Vec::new());
        let watched = vec![Topic::Status(id("u1")), Topic::Chat(id("r1"))];
        let mut all = vec![
            event(false, false, r#"{"a":[1,{"b":null}]}"#),
            event(true, false, "{}"),
            event(false, true, "\u{0}raw"),
            Body::Members { topic: Topic::Team(id("t")), add: add.clone(), remove: remove.clone() },
            Body::Members {
                topic: Topic::Workspace(id("w")),
                add: remove.clone(),
                remove: add.clone(),
            },
            Body::Seeds {
                user: id("u"),
                topics: vec![Topic::Channel(id("c")), Topic::Team(id("t"))],
            },
            Body::Watch { connection: connection(), add: watched, remove: Vec::new() },
            Body::Disconnect {
                target: Topic::User(id("u")),
                code: 4000,
                reason: Arc::from("bye\n"),
            },
        ];
        all.extend(super::super::bus::samples());
        for scope in [
            RevocationScope::User(id("u")),
            RevocationScope::Session(id("s")),
            RevocationScope::Everyone,
        ] {
            all.push(Body::Revocation(Revocation { scope, at_ms: 1_795_779_600_123 }));
        }
        all
    }

    #[test]
    fn every_body_survives_the_store() {
        for body in bodies() {
            let Entry { kind, address, header, body: data } =
                encode(&body, 1_795_779_600_123_456, 9);
            let kind = kind.to_string();
            let decoded = decode(kind.as_bytes(), address.as_bytes(), header.as_bytes(), data);
            assert_eq!(decoded, Ok((body, 1_795_779_600_123_456)), "{header}");
        }
    }

    #[test]
    fn every_topic_survives_its_address() {
        let all = [
            Topic::User(id("x")),
            Topic::Channel(id("x")),
            Topic::Team(id("x")),
            Topic::Workspace(id("x")),
            Topic::Room(id("x")),
            Topic::Chat(id("x")),
            Topic::Status(id("x")),
            Topic::Connection(connection()),
            Topic::Everyone,
        ];
        for one in all {
            assert_eq!(topic(&address(&one)), Some(one));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let check = |kind: &str, address: &str, header: &str, data: &'static str| {
            let decoded =
                decode(kind.as_bytes(), address.as_bytes(), header.as_bytes(), Bytes::from(data));
            assert_eq!(decoded, Err(Malformed), "{kind} {address} {header} {data}");
        };
        check("e", "c:a", r#"{"at":1,"n":"x"}"#, "no json");
        check("e", "c:a", r#"{"at":1,"n":"x"}"#, "");
        check("e", "c:a", r#"{"at":1,"n":"x"}"#, "[1]");
        check("e", "c:a", r#"{"at":1,"n":"x"}"#, "{} {}");
        check("e", "c:", r#"{"at":1,"n":"x"}"#, "{}");
        check("e", "q:a", r#"{"at":1,"n":"x"}"#, "{}");
        check("e", "c:{a}", r#"{"at":1,"n":"x"}"#, "{}");
        check("e", "e:a", r#"{"at":1,"n":"x"}"#, "{}");
        check("e", "c:a", r#"{"at":-1,"n":"x"}"#, "{}");
        check("e", "c:a", r#"{"at":1,"n":"x","o":["*"]}"#, "{}");
        check("e", "c:a", r#"{"at":1,"n":"x","c":"short"}"#, "{}");
        check("m", "u:a", r#"{"at":1,"add":[],"rm":[]}"#, "");
        check("m", "c:a", r#"{"at":1,"add":[""],"rm":[]}"#, "");
        check("r", "e:", r#"{"at":1,"scope":"q","id":"a","before":1}"#, "");
        check("z", "e:", r#"{"at":1}"#, "");
        check("", "", "", "");
    }
}
