//! Clients, their sockets, and the connections that live on them.
//!
//! A client has one connection at a time. A hello with another id is a reset, and
//! needs a cause.
//!
//! Invariants: a number belongs to the connection that its socket carries; an excuse
//! for a reset was there before it.

use std::collections::BTreeMap;

use crate::{
    Options,
    faults::Faults,
    history::{At, Entry, History, Line, Name, Open},
    maps::Map,
    report::{Invariant, Report},
};

/// What a client saw of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Number 0.
    Hello,
    /// A socket goes on with this number.
    Resumed(u64),
    /// An event.
    Event(u64, Option<Name>),
    /// A number without a body.
    Noop(u64),
}

/// One such thing, and where and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    pub(crate) at: At,
    pub(crate) time: f64,
    pub(crate) sock: Name,
    pub(crate) kind: Kind,
}

/// A connection over all its sockets.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) cid: Name,
    pub(crate) realm: Name,
    pub(crate) user: Name,
    /// When the attempt began that led to the first hello, and when that came.
    pub(crate) opened_at: f64,
    pub(crate) hello_at: f64,
    pub(crate) items: Vec<Item>,
    /// The first client that had it.
    client: usize,
    is_shared: bool,
}

/// When a user may have been there, and when for sure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stay {
    pub(crate) opened_at: f64,
    pub(crate) up_at: f64,
    pub(crate) down_at: f64,
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) realm: Name,
    pub(crate) user: Name,
    /// Its last line, and when it went away if that is what the line says.
    pub(crate) last: At,
    pub(crate) gone_at: Option<f64>,
    /// Its current connection; none after it went away.
    cid: Option<Name>,
    last_cid: Option<Name>,
    pub(crate) stays: Vec<Stay>,
    index: usize,
    sockets: Map<Name, Socket>,
    next: Map<Name, u64>,
}

#[derive(Debug)]
struct Socket {
    opened_at: f64,
    asked_cid: Option<Name>,
    asked_n: Option<u64>,
    /// True when the server had to refuse to go on.
    asks_wrongly: bool,
    cid: Option<Name>,
    stay: usize,
    is_closed: bool,
}

/// All clients and connections.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    pub(crate) clients: Vec<Client>,
    pub(crate) connections: BTreeMap<Name, Connection>,
}

/// What is needed while lines are read.
pub(crate) struct Reading<'a> {
    pub(crate) history: &'a History,
    pub(crate) faults: &'a Faults,
    pub(crate) options: &'a Options,
    pub(crate) report: &'a mut Report,
}

impl Reading<'_> {
    fn add(&mut self, invariant: Invariant, at: At, text: impl FnOnce() -> String) {
        self.report.add(invariant, &self.history.names, Some(at), text);
    }

    fn text(&self, name: Name) -> String {
        self.history.names.text(name).to_owned()
    }
}

impl Sessions {
    /// Reads all clients.
    pub(crate) fn of(reading: &mut Reading<'_>) -> Self {
        let mut found = Self::default();
        let history = reading.history;
        for writer in &history.writers {
            let mut by_writer: Map<Name, usize> = Map::default();
            for line in &writer.lines {
                let at = At { file: writer.file, line: line.number };
                if let Entry::Open(open) = &line.entry {
                    let index = *by_writer.entry(line.writer).or_insert(found.clients.len());
                    if index == found.clients.len() {
                        found.clients.push(Client::new(open, at, index));
                    }
                }
                let client = by_writer.get(&line.writer);
                match client.and_then(|index| found.clients.get_mut(*index)) {
                    Some(client) => client.line(line, at, &mut found.connections, reading),
                    None if is_of_client(&line.entry) => {
                        reading.add(Invariant::Format, at, || {
                            "a client's line before its first open".to_owned()
                        });
                    }
                    None => {}
                }
            }
        }
        for connection in found.connections.values_mut().filter(|one| one.is_shared) {
            connection.items.sort_by(|left, right| left.time.total_cmp(&right.time));
        }
        reading.report.counts.clients = found.clients.len() as u64;
        found
    }
}

fn is_of_client(entry: &Entry) -> bool {
    match entry {
        Entry::Open(_)
        | Entry::Hello { .. }
        | Entry::Resumed { .. }
        | Entry::Received { .. }
        | Entry::Noop { .. }
        | Entry::Close { .. }
        | Entry::End => true,
        Entry::Publish(_)
        | Entry::Member(_)
        | Entry::Revoke { .. }
        | Entry::Token { .. }
        | Entry::Node
        | Entry::Fault { .. }
        | Entry::Poll(_)
        | Entry::Barrier { .. } => false,
    }
}

type Connections = BTreeMap<Name, Connection>;

impl Client {
    fn new(open: &Open, last: At, index: usize) -> Self {
        Self {
            realm: open.realm,
            user: open.user,
            last,
            gone_at: None,
            cid: None,
            last_cid: None,
            stays: Vec::new(),
            index,
            sockets: Map::default(),
            next: Map::default(),
        }
    }

    fn line(
        &mut self,
        line: &Line,
        at: At,
        connections: &mut Connections,
        reading: &mut Reading<'_>,
    ) {
        if !is_of_client(&line.entry) {
            return;
        }
        (self.last, self.gone_at) = (at, None);
        let (sock, cid, kind) = match &line.entry {
            Entry::Open(open) => return self.open(open, line.at, at, reading),
            Entry::Close { sock, .. } => {
                self.gone_at = Some(line.at);
                return self.close(*sock, line.at, at, reading);
            }
            Entry::End => {
                self.gone_at = Some(line.at);
                self.cid = None;
                return self.down(line.at);
            }
            Entry::Hello { sock, cid, user } => {
                self.check_user(*user, at, reading);
                (*sock, *cid, Kind::Hello)
            }
            Entry::Resumed { sock, cid, n } => (*sock, *cid, Kind::Resumed(*n)),
            Entry::Received { sock, cid, seq, eid } => (*sock, *cid, Kind::Event(*seq, *eid)),
            Entry::Noop { sock, cid, seq } => (*sock, *cid, Kind::Noop(*seq)),
            Entry::Publish(_)
            | Entry::Member(_)
            | Entry::Revoke { .. }
            | Entry::Token { .. }
            | Entry::Node
            | Entry::Fault { .. }
            | Entry::Poll(_)
            | Entry::Barrier { .. } => return,
        };
        let item = Item { at, time: line.at, sock, kind };
        self.item(cid, item, connections, reading);
    }

    fn check_user(&self, user: Name, at: At, reading: &mut Reading<'_>) {
        if user != self.user {
            let (own, other) = (reading.text(self.user), reading.text(user));
            reading.add(Invariant::Format, at, || format!("greets {other}, who is {own}"));
        }
    }

    fn open(&mut self, open: &Open, time: f64, at: At, reading: &mut Reading<'_>) {
        reading.report.counts.sockets += 1;
        if (open.user, open.realm) != (self.user, self.realm) {
            reading.add(Invariant::Format, at, || "a client changes its user".to_owned());
        }
        let next = open.cid.and_then(|cid| self.next.get(&cid).copied());
        let socket = Socket {
            opened_at: time,
            asked_cid: open.cid,
            asked_n: open.n,
            asks_wrongly: open.cid.is_some()
                && (open.cid != self.cid || open.n != Some(next.unwrap_or(0))),
            cid: None,
            stay: self.stays.len(),
            is_closed: false,
        };
        // Nothing more is known about the beginning before something comes.
        let (up_at, down_at) = (f64::INFINITY, f64::INFINITY);
        self.stays.push(Stay { opened_at: time, up_at, down_at });
        if self.sockets.insert(open.sock, socket).is_some() {
            reading.add(Invariant::Format, at, || "a socket opens twice".to_owned());
        }
    }

    fn close(&mut self, sock: Name, time: f64, at: At, reading: &mut Reading<'_>) {
        let Some(socket) = self.sockets.get_mut(&sock) else {
            return reading.add(Invariant::Format, at, || "an unknown socket closes".to_owned());
        };
        socket.is_closed = true;
        if let Some(stay) = self.stays.get_mut(socket.stay) {
            stay.down_at = stay.down_at.min(time);
        }
    }

    fn down(&mut self, time: f64) {
        self.stays.iter_mut().for_each(|stay| stay.down_at = stay.down_at.min(time));
    }

    /// What a socket says about a connection.
    fn item(
        &mut self,
        cid: Name,
        item: Item,
        connections: &mut Connections,
        reading: &mut Reading<'_>,
    ) {
        let Some(socket) = self.sockets.get_mut(&item.sock) else {
            return reading.add(Invariant::Format, item.at, || "an unknown socket".to_owned());
        };
        if socket.is_closed {
            reading.add(Invariant::Seq, item.at, || "comes after the socket's end".to_owned());
        }
        let is_number = matches!(item.kind, Kind::Event(..) | Kind::Noop(_));
        if is_number && socket.cid != Some(cid) {
            reading.add(Invariant::Seq, item.at, || {
                "a number of another connection than the socket's".to_owned()
            });
        }
        if let Kind::Resumed(n) = item.kind
            && (socket.cid.is_some() || socket.asked_cid != Some(cid) || socket.asked_n != Some(n))
        {
            reading.add(Invariant::Seq, item.at, || {
                format!("goes on with {n}, which the socket did not ask for")
            });
        }
        let opened_at = socket.opened_at;
        socket.cid = Some(cid);
        if let Some(stay) = self.stays.get_mut(socket.stay) {
            stay.up_at = stay.up_at.min(item.time);
        }
        let asks_wrongly = socket.asks_wrongly;
        match item.kind {
            Kind::Hello => self.hello(cid, item, asks_wrongly, (connections, reading)),
            Kind::Resumed(_) => {
                reading.report.counts.resumes += 1;
                self.cid = Some(cid);
            }
            Kind::Event(seq, _) | Kind::Noop(seq) => {
                self.next.insert(cid, seq.saturating_add(1));
            }
        }
        self.last_cid = self.cid;
        self.keep(cid, item, opened_at, connections);
    }

    fn hello(
        &mut self,
        cid: Name,
        item: Item,
        asks_wrongly: bool,
        (connections, reading): (&Connections, &mut Reading<'_>),
    ) {
        let earlier = self.cid.replace(cid).filter(|earlier| *earlier != cid);
        self.next.insert(cid, 1);
        let Some(earlier) = earlier else { return };
        reading.report.counts.resets += 1;
        let born = connections.get(&earlier).map_or(item.time, |earlier| earlier.hello_at);
        let revocations = reading.faults.revocations(self.realm, self.user);
        let is_revoked =
            revocations.iter().any(|one| one.invoked_at >= born && one.invoked_at <= item.time);
        let is_caused = asks_wrongly || is_revoked || reading.faults.may_reset(born, item.time);
        if !is_caused || reading.options.no_resets {
            let (old, new) = (reading.text(earlier), reading.text(cid));
            let why = if is_caused { "though none is allowed" } else { "without a cause" };
            reading.add(Invariant::Reset, item.at, || format!("{old} becomes {new} {why}"));
        }
    }

    fn keep(&self, cid: Name, item: Item, opened_at: f64, connections: &mut Connections) {
        let connection = connections.entry(cid).or_insert_with(|| Connection {
            cid,
            realm: self.realm,
            user: self.user,
            opened_at,
            hello_at: item.time,
            items: Vec::new(),
            client: self.index,
            is_shared: false,
        });
        connection.is_shared |= connection.client != self.index;
        connection.items.push(item);
    }
}

impl Client {
    /// The connection by which the client is judged at the end: its current one, or
    /// the last before it went away.
    pub(crate) fn connection<'a>(&self, sessions: &'a Sessions) -> Option<&'a Connection> {
        sessions.connections.get(&self.last_cid?)
    }
}
