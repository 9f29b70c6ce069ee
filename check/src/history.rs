//! A history in memory: what each writer of a run saw, line by line.
//!
//! Names are interned, so that a line of a client is a few numbers and ten million
//! of them fit.
//!
//! Invariants: lines of one writer are in the order in which it saw things; nothing
//! here judges.

use std::{collections::HashMap, sync::Arc};

/// A name of the run: of a user, a client, an event, a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(u32);

/// All names of a run.
#[derive(Debug, Clone, Default)]
pub struct Names {
    known: HashMap<Arc<str>, Name>,
    texts: Vec<Arc<str>>,
}

impl Names {
    /// The name for `text`, made on its first use.
    pub fn intern(&mut self, text: &str) -> Name {
        if let Some(name) = self.known.get(text) {
            return *name;
        }
        let name = Name(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        let text: Arc<str> = Arc::from(text);
        self.texts.push(Arc::clone(&text));
        self.known.insert(text, name);
        name
    }

    /// What `name` stands for.
    pub fn text(&self, name: Name) -> &str {
        self.texts.get(name.0 as usize).map_or("?", |text| text)
    }
}

/// Where a record stands in its realm's log. Orders by generation first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The counter of the generation.
    pub generation: u64,
    /// The offset in the log.
    pub offset: u64,
}

/// A place as it was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Generation and offset.
    pub place: Place,
    /// The generation as it was written, with its nonce.
    pub generation: Name,
    /// The random tag of the record.
    pub tag: Name,
}

/// Whom an event is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Every connection of the realm.
    Everyone,
    /// All connections of a user.
    User(Name),
    /// One connection.
    Connection(Name),
    /// The members of a channel, a team, or whatever kind is named.
    Group(Name, Name),
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It was sent.
    Invoke,
    /// It was acknowledged at this position.
    Ok(Position),
    /// It was refused: nothing happened.
    Fail,
    /// Nobody knows.
    Info,
}

/// One line of a history.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its number in its file, from 1.
    pub number: u32,
    /// Milliseconds since 1970, by the clock of the machine.
    pub at: f64,
    /// Who wrote it.
    pub writer: Name,
    /// What it says.
    pub entry: Entry,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A publish began or ended.
    Publish(Box<Publish>),
    /// A membership change began or ended.
    Member(Box<Member>),
    /// A revocation of a user began or ended.
    Revoke {
        /// The user.
        user: Name,
        /// The realm of the user.
        realm: Name,
        /// Where the revocation is.
        phase: Phase,
    },
    /// A token was given to a user.
    Token {
        /// The user.
        user: Name,
        /// When it ends, in milliseconds since 1970.
        not_after: f64,
    },
    /// A connect attempt began.
    Open(Box<Open>),
    /// A numbering began, with number 0.
    Hello {
        /// The socket.
        sock: Name,
        /// The connection.
        cid: Name,
        /// The user.
        user: Name,
    },
    /// The first numbered message of a socket that goes on with its connection.
    Resumed {
        /// The socket.
        sock: Name,
        /// The connection.
        cid: Name,
        /// The number that is to come next.
        n: u64,
    },
    /// An event; its id is unknown when the harness did not publish it.
    Received {
        /// The socket.
        sock: Name,
        /// The connection.
        cid: Name,
        /// Its number.
        seq: u64,
        /// The event.
        eid: Option<Name>,
    },
    /// A number whose body was withheld.
    Noop {
        /// The socket.
        sock: Name,
        /// The connection.
        cid: Name,
        /// Its number.
        seq: u64,
    },
    /// A socket ended.
    Close {
        /// The socket.
        sock: Name,
        /// The close code; 1006 when it was lost.
        code: u64,
    },
    /// A client went away by itself.
    End,
    /// Something was done to a node.
    Node,
    /// A fault began or ended.
    Fault {
        /// The name of the fault.
        fault: Name,
        /// True when it began.
        begins: bool,
        /// True when data may be gone.
        lossy: bool,
    },
    /// A node was asked who is there.
    Poll(Box<Poll>),
    /// The last event of a realm, which every connected client must reach.
    Barrier {
        /// The realm.
        realm: Name,
        /// The event.
        pid: Name,
    },
}

/// A publish.
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// The event's id.
    pub pid: Name,
    /// The realm.
    pub realm: Name,
    /// Begun or ended.
    pub phase: Phase,
    /// Whom it is for; an outcome may leave it out.
    pub to: Option<Topic>,
    /// True when its body may be withheld.
    pub ephemeral: bool,
    /// Users who do not get it.
    pub omit_users: Vec<Name>,
    /// A connection that does not get it.
    pub omit_connection: Option<Name>,
}

/// A membership change.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The id of the request.
    pub mid: Name,
    /// The realm.
    pub realm: Name,
    /// Begun or ended.
    pub phase: Phase,
    /// Who.
    pub user: Name,
    /// Of what.
    pub topic: Topic,
    /// True for joining.
    pub add: bool,
}

/// A connect attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Open {
    /// The socket.
    pub sock: Name,
    /// The user.
    pub user: Name,
    /// The realm.
    pub realm: Name,
    /// The connection to go on with.
    pub cid: Option<Name>,
    /// The number expected next.
    pub n: Option<u64>,
}

/// What a node says about users.
#[derive(Debug, Clone, PartialEq)]
pub struct Poll {
    /// The node.
    pub node: Name,
    /// The realm.
    pub realm: Name,
    /// Each user, and whether the node says that the user is there.
    pub users: Vec<(Name, bool)>,
}

/// One file.
#[derive(Debug, Clone, PartialEq)]
pub struct Writer {
    /// The name of the file.
    pub file: Name,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// A run.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// All names.
    pub names: Names,
    /// One for each file, by the names of the files.
    pub writers: Vec<Writer>,
}

/// Where in the history something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct At {
    /// The file.
    pub file: Name,
    /// The number of the line.
    pub line: u32,
}

impl History {
    /// Every line, with its place.
    pub fn lines(&self) -> impl Iterator<Item = (At, &Line)> {
        self.writers.iter().flat_map(|writer| {
            let file = writer.file;
            writer.lines.iter().map(move |line| (At { file, line: line.number }, line))
        })
    }
}
