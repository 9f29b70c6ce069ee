//! What clients of the world do: connect, read, drop, resume, go.

use serde_json::json;

use crate::world::{Link, REALMS, Seen, To, USERS, What, World, file_of, realm_of};

impl World {
    fn sock(&self, client: usize) -> String {
        format!("s{client}-{}", self.clients[client].sockets)
    }

    /// Begins a connect attempt, with the terms for a resume if there are any.
    pub(crate) fn open(&mut self, client: usize) {
        self.clients[client].sockets += 1;
        self.clients[client].changed_at = self.now;
        let sock = self.sock(client);
        let one = &self.clients[client];
        let n = one.cid.as_ref().map(|_| one.next);
        let (user, realm) = (USERS[one.user], REALMS[realm_of(one.user)]);
        let line = json!({"op": "open", "sock": sock, "user": user, "realm": realm,
            "node": "n1", "cid": one.cid, "n": n});
        let goes_on = one.cid.is_some() && !one.is_stale;
        self.clients[client].link = if goes_on { Link::Resuming } else { Link::Opening(None) };
        self.write(&file_of(client), line);
    }

    /// The node takes the base, and later the hello arrives.
    pub(crate) fn greet(&mut self, client: usize) {
        let top = self.realms[realm_of(self.clients[client].user)].log.len();
        let Link::Opening(Some(base)) = self.clients[client].link else {
            self.clients[client].link = Link::Opening(Some(top));
            return;
        };
        self.cids += 1;
        let cid = format!("cid{}", self.cids);
        let one = &mut self.clients[client];
        one.cid = Some(cid.clone());
        (one.cursor, one.cut, one.is_stale, one.next) = (base, None, false, 1);
        (one.link, one.changed_at) = (Link::Up, self.now);
        let user = USERS[one.user];
        let line = json!({"op": "hello", "sock": self.sock(client), "cid": cid, "user": user});
        self.write(&file_of(client), line);
    }

    /// Reads at most `count` events.
    pub(crate) fn read(&mut self, client: usize, mut count: usize) {
        while count > 0 && self.read_record(client) {
            count -= 1;
            self.later(3);
        }
    }

    /// Reads on to the next record for this client; false at the end of the log.
    fn read_record(&mut self, client: usize) -> bool {
        let one = &self.clients[client];
        let log = &self.realms[realm_of(one.user)].log;
        let end = one.cut.unwrap_or(log.len()).min(log.len());
        let found = (one.cursor..end).find(|index| log[*index].receivers.contains(&client));
        let Some(index) = found else {
            self.clients[client].cursor = end.max(self.clients[client].cursor);
            return false;
        };
        let what = log[index].what;
        self.clients[client].cursor = index + 1;
        self.tell(client, what);
        true
    }

    fn tell(&mut self, client: usize, what: What) {
        let (sock, file) = (self.sock(client), file_of(client));
        let one = &mut self.clients[client];
        let (cid, seq, user) = (one.cid.clone().unwrap(), one.next, one.user);
        one.next += 1;
        if one.link == Link::Resuming {
            (one.link, one.changed_at) = (Link::Up, self.now);
            self.write(&file, json!({"op": "resumed", "sock": sock, "cid": cid, "n": seq}));
        }
        let event = if let What::Event(event) = what { Some(event) } else { None };
        let may_withhold = match event.map(|event| &self.facts.events[event]) {
            Some(event) if event.ephemeral => true,
            Some(event) => matches!(event.to, To::Group(group) if !self.is_member(user, group)),
            None => true,
        };
        let is_noop = may_withhold && self.chance.percent(40);
        let line = if is_noop {
            json!({"op": "noop", "sock": sock, "cid": cid, "seq": seq})
        } else {
            let eid = event.map(|event| self.facts.events[event].pid.clone());
            json!({"op": "recv", "sock": sock, "cid": cid, "seq": seq, "eid": eid})
        };
        let line = self.write(&file, line);
        self.facts.seen.push(Seen { client, line, cid, event, is_noop });
    }

    /// The socket ends.
    pub(crate) fn close(&mut self, client: usize, code: u64) {
        let cid = &self.clients[client].cid;
        let line = json!({"op": "close", "sock": self.sock(client), "cid": cid, "code": code});
        self.write(&file_of(client), line);
        (self.clients[client].link, self.clients[client].changed_at) = (Link::Down, self.now);
    }

    /// The client goes for good.
    pub(crate) fn leave(&mut self, client: usize) {
        let one = &mut self.clients[client];
        (one.link, one.changed_at) = (Link::Gone, self.now);
        let (cid, user) = (one.cid.clone(), USERS[one.user]);
        self.write(&file_of(client), json!({"op": "end", "cid": cid, "user": user}));
    }

    /// A step of one client.
    pub(crate) fn move_client(&mut self, client: usize) {
        match self.clients[client].link {
            Link::Gone => {}
            Link::Down => self.open(client),
            Link::Opening(_) if self.chance.percent(10) => self.close(client, 1006),
            Link::Opening(_) => self.greet(client),
            Link::Resuming | Link::Up => match self.chance.below(100) {
                0..14 => self.close(client, 1006),
                14..15 if self.clients.len() > 4 => self.leave(client),
                _ => {
                    let count = 1 + self.chance.below(6);
                    self.read(client, count);
                }
            },
        }
    }
}
