//! A small cluster that never breaks a promise, and the histories that it leaves.
//!
//! Requests are under way for a while, clients come, drop, resume and go, members
//! change, bodies are withheld, generations follow each other with and without loss.
//! What the world knows and a history does not say is kept as facts, from which
//! mutants are chosen.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use crate::chance::Chance;

pub(crate) const USERS: [&str; 5] = ["u0", "u1", "u2", "u3", "u4"];
/// The realm of each user; two realms.
pub(crate) const REALMS: [&str; 2] = ["default", "other"];
/// Only u0 is ever in the last one.
pub(crate) const GROUPS: [(&str, &str); 4] =
    [("channel", "c1"), ("channel", "c2"), ("team", "t1"), ("channel", "private")];

pub(crate) fn realm_of(user: usize) -> usize {
    usize::from(user == 4)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    Everyone,
    User(usize),
    Group(usize),
    /// The connection that a client had when it was published.
    Connection(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Ok,
    Info { applied: bool },
    Fail,
}

/// What is known of an event.
#[derive(Debug, Clone)]
pub(crate) struct EventFact {
    pub(crate) pid: String,
    pub(crate) realm: usize,
    pub(crate) to: To,
    pub(crate) to_cid: Option<String>,
    pub(crate) ephemeral: bool,
    pub(crate) omit_user: Option<usize>,
    pub(crate) omit_cid: Option<String>,
    pub(crate) fate: Fate,
    /// Generation and offset, and whether data went while it was under way.
    pub(crate) place: Option<(u64, u64)>,
    pub(crate) torn: bool,
    pub(crate) acked_at: f64,
}

/// A line of a client that carries a number.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) client: usize,
    /// The index of the line in the client's file.
    pub(crate) line: usize,
    pub(crate) cid: String,
    pub(crate) event: Option<usize>,
    pub(crate) is_noop: bool,
}

/// A membership change that was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) user: usize,
    pub(crate) group: usize,
    pub(crate) add: bool,
    pub(crate) fate: Fate,
    pub(crate) place: Option<(u64, u64)>,
}

#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) events: Vec<EventFact>,
    pub(crate) asked: Vec<Asked>,
    pub(crate) seen: Vec<Seen>,
    /// Users, connections and the time until which nothing may come, of revocations.
    pub(crate) revoked: Vec<(usize, String, f64)>,
    /// Lines of polls, by index, and users of whom they surely tell the truth.
    pub(crate) polls: Vec<(usize, usize)>,
    pub(crate) barriers: Vec<usize>,
    pub(crate) is_revoked: bool,
    pub(crate) lost_at: Option<f64>,
    /// What survived of each realm when data went: the next offset.
    pub(crate) lost_from: [u64; 2],
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    Event(usize),
    Member(usize),
    Status(usize),
    Other,
}

/// A record of a realm's log.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) what: What,
    pub(crate) receivers: Vec<usize>,
}

#[derive(Debug)]
pub(crate) struct Realm {
    pub(crate) generation: u64,
    /// Offset of the record at index `i` is `i + 1`.
    pub(crate) log: Vec<Record>,
    pub(crate) members: HashMap<(usize, usize), bool>,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) user: usize,
    pub(crate) cid: Option<String>,
    /// Where the log is read on, and where it ends for a revoked connection.
    pub(crate) cursor: usize,
    pub(crate) cut: Option<usize>,
    pub(crate) is_stale: bool,
    pub(crate) next: u64,
    pub(crate) link: Link,
    pub(crate) sockets: u64,
    pub(crate) changed_at: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    Down,
    /// A new numbering was asked for; its base is taken or not yet.
    Opening(Option<usize>),
    /// Goes on, and has not said so yet.
    Resuming,
    Up,
    Gone,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Request {
    Publish(usize),
    Member(usize),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Flight {
    pub(crate) request: Request,
    pub(crate) applied: bool,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) now: f64,
    pub(crate) files: BTreeMap<String, Vec<String>>,
    pub(crate) realms: Vec<Realm>,
    pub(crate) clients: Vec<Client>,
    pub(crate) flights: Vec<Flight>,
    pub(crate) facts: Facts,
    pub(crate) cids: u64,
}

pub(crate) fn file_of(client: usize) -> String {
    format!("c{client}.jsonl")
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let realm = || Realm { generation: 3, log: Vec::new(), members: HashMap::new() };
        let mut world = Self {
            chance: Chance::new(seed),
            now: 1_700_000_000_000.0,
            files: BTreeMap::new(),
            realms: vec![realm(), realm()],
            clients: Vec::new(),
            flights: Vec::new(),
            facts: Facts::default(),
            cids: seed * 1_000,
        };
        for (user, name) in USERS.iter().enumerate() {
            world.add_client(user);
            if user == 1 {
                world.add_client(user);
            }
            let not_after = world.now + 1e9;
            world.write(
                "a.jsonl",
                json!({"op": "token", "user": name, "sid": "x", "not_after": not_after}),
            );
        }
        world
    }

    fn add_client(&mut self, user: usize) {
        let changed_at = self.now;
        self.clients.push(Client {
            user,
            cid: None,
            cursor: 0,
            cut: None,
            is_stale: false,
            next: 0,
            link: Link::Down,
            sockets: 0,
            changed_at,
        });
    }

    /// Adds a line to a file and returns its index there.
    pub(crate) fn write(&mut self, file: &str, mut line: Value) -> usize {
        line["at"] = json!(self.now);
        line["w"] = json!(file);
        let lines = self.files.entry(file.to_owned()).or_default();
        lines.push(line.to_string());
        lines.len() - 1
    }

    pub(crate) fn later(&mut self, ms_max: usize) {
        self.now += 1.0 + self.chance.below(ms_max) as f64;
    }

    pub(crate) fn position(realm: usize, generation: u64, offset: u64) -> Value {
        json!({
            "generation": format!("{generation}.g{realm}"),
            "offset": offset,
            "tag": format!("{:016x}", (generation << 40) ^ (offset << 4) ^ realm as u64),
        })
    }

    /// Appends to a realm's log; returns generation and offset.
    pub(crate) fn append(&mut self, realm: usize, what: What) -> (u64, u64) {
        let receivers =
            (0..self.clients.len()).filter(|c| self.receives(*c, realm, what)).collect();
        let realm = &mut self.realms[realm];
        if let What::Member(asked) = what {
            let Asked { user, group, add, .. } = self.facts.asked[asked];
            realm.members.insert((user, group), add);
        }
        realm.log.push(Record { what, receivers });
        (realm.generation, realm.log.len() as u64)
    }

    fn receives(&self, client: usize, realm: usize, what: What) -> bool {
        let Client { user, cid, link, .. } = &self.clients[client];
        // A numbering that begins has no id yet.
        let cid = cid.as_ref().filter(|_| !matches!(link, Link::Opening(_)));
        if realm_of(*user) != realm {
            return false;
        }
        let event = match what {
            What::Event(event) => &self.facts.events[event],
            What::Status(of) => return of == *user,
            What::Member(_) | What::Other => return false,
        };
        let is_omitted = event.omit_user == Some(*user)
            || (event.omit_cid.is_some() && event.omit_cid.as_ref() == cid);
        let is_addressed = match event.to {
            To::Everyone => true,
            To::User(other) => other == *user,
            To::Group(group) => self.is_member(*user, group),
            To::Connection(_) => event.to_cid.as_ref() == cid,
        };
        is_addressed && !is_omitted
    }

    pub(crate) fn is_member(&self, user: usize, group: usize) -> bool {
        self.realms[realm_of(user)].members.get(&(user, group)) == Some(&true)
    }
}
