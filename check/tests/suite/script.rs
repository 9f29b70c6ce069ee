//! What happens in the world, in an order that chance decides, and its end.

use serde_json::{Value, json};

use crate::world::{
    Asked, EventFact, Fate, Flight, GROUPS, Link, REALMS, Request, To, USERS, What, World, realm_of,
};

/// The whole run of a seed.
pub(crate) fn run(seed: u64) -> World {
    let mut world = World::new(seed);
    let lossy_at = (seed / 2).is_multiple_of(2).then(|| 70 + world.chance.below(50));
    let revoked_at =
        matches!(seed / 2 % 16, 1 | 2 | 5 | 9 | 13).then(|| 40 + world.chance.below(60));
    for user in 0..USERS.len() {
        for group in 0..GROUPS.len() {
            if group + 1 < GROUPS.len() || user == 0 {
                world.ask(user, group, true);
            }
        }
    }
    for step in 0..170 {
        world.later(40);
        if Some(step) == lossy_at {
            world.lose();
        } else if Some(step) == revoked_at {
            world.revoke();
        } else {
            world.step();
        }
    }
    world.finish();
    world
}

impl World {
    fn step(&mut self) {
        match self.chance.below(100) {
            0..26 => self.publish(),
            26..35 => self.change_member(),
            35..60 if !self.flights.is_empty() => self.advance(),
            60..64 => {
                let realm = self.chance.below(2);
                let user = self.chance.below(USERS.len());
                let hidden = realm_of(user) != realm || self.chance.percent(30);
                self.append(realm, if hidden { What::Other } else { What::Status(user) });
            }
            64..65 => self.realms.iter_mut().for_each(|realm| realm.generation += 1),
            65..69 => {
                self.now += 30_000.0;
                self.poll();
            }
            _ => {
                let client = self.chance.below(self.clients.len());
                self.move_client(client);
            }
        }
    }

    fn publish(&mut self) {
        let realm = usize::from(self.chance.percent(20));
        let user = self.chance.below(USERS.len());
        let client = self.chance.below(self.clients.len());
        let cid = self.clients[client].cid.clone();
        let to = match self.chance.below(100) {
            0..15 => To::Everyone,
            15..30 => To::User(user),
            30..36 if cid.is_some() && realm_of(self.clients[client].user) == realm => {
                To::Connection(client)
            }
            _ => To::Group(self.chance.below(GROUPS.len())),
        };
        let fate = match self.chance.below(100) {
            0..8 => Fate::Info { applied: true },
            8..12 => Fate::Info { applied: false },
            12..15 => Fate::Fail,
            _ => Fate::Ok,
        };
        let omits = self.chance.below(10);
        let ephemeral = self.chance.percent(25);
        let event = EventFact {
            pid: format!("p{}", self.facts.events.len()),
            realm,
            to,
            to_cid: if let To::Connection(_) = to { cid.clone() } else { None },
            ephemeral,
            omit_user: (omits == 0).then_some(user),
            omit_cid: if omits == 1 { cid } else { None },
            fate,
            place: None,
            torn: false,
            acked_at: f64::INFINITY,
        };
        self.invoke(event);
    }

    fn invoke(&mut self, event: EventFact) {
        let line = self.publish_line(&event, "invoke");
        self.write("p.jsonl", line);
        self.flights
            .push(Flight { request: Request::Publish(self.facts.events.len()), applied: false });
        self.facts.events.push(event);
    }

    fn publish_line(&self, event: &EventFact, phase: &str) -> Value {
        let to = match event.to {
            To::Everyone => json!({"everyone": true}),
            To::User(user) => json!({"user": USERS[user]}),
            To::Group(group) => json!({GROUPS[group].0: GROUPS[group].1}),
            To::Connection(_) => json!({"connection": event.to_cid}),
        };
        let omit_users: Vec<&str> = event.omit_user.iter().map(|user| USERS[*user]).collect();
        json!({"op": "pub", "ph": phase, "pid": event.pid, "realm": REALMS[event.realm], "to": to,
            "ephemeral": event.ephemeral, "omit_users": omit_users,
            "omit_connection": event.omit_cid.as_deref().unwrap_or_default()})
    }

    fn change_member(&mut self) {
        let user = self.chance.below(USERS.len());
        let group = self.chance.below(GROUPS.len() - 1);
        let is_busy = self.flights.iter().any(|flight| match flight.request {
            Request::Member(asked) => {
                let asked = &self.facts.asked[asked];
                (asked.user, asked.group) == (user, group)
            }
            Request::Publish(_) => false,
        });
        if !is_busy {
            let add = !self.is_member(user, group);
            self.ask(user, group, add);
        }
    }

    fn ask(&mut self, user: usize, group: usize, add: bool) {
        let fate = match self.chance.below(100) {
            0..4 => Fate::Info { applied: true },
            4..7 => Fate::Info { applied: false },
            7..9 => Fate::Fail,
            _ => Fate::Ok,
        };
        let asked = self.facts.asked.len();
        self.facts.asked.push(Asked { user, group, add, fate, place: None });
        let line = self.member_line(asked, "invoke");
        self.write("m.jsonl", line);
        self.flights.push(Flight { request: Request::Member(asked), applied: false });
    }

    fn member_line(&self, asked: usize, phase: &str) -> Value {
        let Asked { user, group, add, .. } = self.facts.asked[asked];
        json!({"op": "member", "ph": phase, "mid": format!("m{asked}"), "user": USERS[user],
            "realm": REALMS[realm_of(user)], "topic": {GROUPS[group].0: GROUPS[group].1},
            "add": add})
    }

    /// A request that is under way reaches the log, or its answer arrives.
    fn advance(&mut self) {
        let index = self.chance.below(self.flights.len());
        let Flight { request, applied } = self.flights[index];
        if !applied {
            self.flights[index].applied = true;
            return self.apply(request);
        }
        self.flights.swap_remove(index);
        self.answer(request);
    }

    fn apply(&mut self, request: Request) {
        match request {
            Request::Publish(event) => {
                let fact = &self.facts.events[event];
                if is_applied(fact.fate) {
                    let place = self.append(fact.realm, What::Event(event));
                    self.facts.events[event].place = Some(place);
                }
            }
            Request::Member(asked) => {
                let Asked { user, fate, .. } = self.facts.asked[asked];
                if is_applied(fate) {
                    let place = self.append(realm_of(user), What::Member(asked));
                    self.facts.asked[asked].place = Some(place);
                }
            }
        }
    }

    fn answer(&mut self, request: Request) {
        let (fate, place, realm) = match request {
            Request::Publish(event) => {
                let fact = &mut self.facts.events[event];
                fact.acked_at = self.now;
                (fact.fate, fact.place, fact.realm)
            }
            Request::Member(asked) => {
                let Asked { user, fate, place, .. } = self.facts.asked[asked];
                (fate, place, realm_of(user))
            }
        };
        let phase = match fate {
            Fate::Ok => "ok",
            Fate::Info { .. } => "info",
            Fate::Fail => "fail",
        };
        let (file, mut line) = match request {
            Request::Publish(event) => {
                ("p.jsonl", self.publish_line(&self.facts.events[event], phase))
            }
            Request::Member(asked) => ("m.jsonl", self.member_line(asked, phase)),
        };
        if let (Fate::Ok, Some((generation, offset))) = (fate, place) {
            line["pos"] = Self::position(realm, generation, offset);
        }
        self.write(file, line);
    }

    /// Data goes: the newest records of both realms. Everybody must begin anew.
    fn lose(&mut self) {
        let line = json!({"op": "fault", "what": "inject", "fault": "failover", "lossy": true});
        self.write("f.jsonl", line);
        self.facts.lost_at = Some(self.now);
        for realm in 0..self.realms.len() {
            let kept = self.realms[realm].log.len().saturating_sub(self.chance.below(20));
            self.facts.lost_from[realm] = kept as u64 + 1;
            let realm = &mut self.realms[realm];
            realm.log.truncate(kept);
            realm.generation += 1;
            realm.members.clear();
            for record in &realm.log {
                if let What::Member(asked) = record.what {
                    let Asked { user, group, add, .. } = self.facts.asked[asked];
                    realm.members.insert((user, group), add);
                }
            }
        }
        // From outside nobody can tell on which side of the loss these arrived.
        for flight in &self.flights {
            if let Request::Publish(event) = flight.request {
                self.facts.events[event].torn = true;
            }
        }
        for client in 0..self.clients.len() {
            self.clients[client].is_stale = self.clients[client].cid.is_some();
            if !matches!(self.clients[client].link, Link::Down | Link::Gone) {
                self.later(5);
                self.close(client, 1012);
            }
        }
        self.later(100);
        let line = json!({"op": "fault", "what": "heal", "fault": "failover"});
        self.write("f.jsonl", line);
    }

    fn revoke(&mut self) {
        let user = 2;
        self.facts.is_revoked = true;
        self.write("a.jsonl", json!({"op": "revoke", "ph": "invoke", "user": USERS[user]}));
        self.later(20);
        let (generation, offset) = self.append(realm_of(user), What::Other);
        let position = Self::position(realm_of(user), generation, offset);
        self.later(20);
        let line = json!({"op": "revoke", "ph": "ok", "user": USERS[user], "pos": position});
        self.write("a.jsonl", line);
        for client in 0..self.clients.len() {
            let one = &mut self.clients[client];
            if one.user != user || matches!(one.link, Link::Gone | Link::Opening(_)) {
                continue;
            }
            one.is_stale = one.cid.is_some();
            one.cut = Some(usize::try_from(offset).unwrap());
            if let Some(cid) = one.cid.clone() {
                self.facts.revoked.push((client, cid, self.now));
            }
            if matches!(self.clients[client].link, Link::Up | Link::Resuming) {
                self.read(client, 3);
                self.close(client, 4419);
            }
        }
    }

    fn poll(&mut self) {
        let is_up = |world: &Self, user: usize| {
            world.clients.iter().any(|one| one.user == user && one.link == Link::Up)
        };
        let is_sure = |world: &Self, user: usize| {
            let mut own = world.clients.iter().filter(|one| one.user == user);
            own.all(|one| {
                let is_still = matches!(one.link, Link::Up | Link::Down | Link::Gone);
                is_still && one.changed_at + 25_000.0 < world.now
            })
        };
        for (realm, name) in REALMS.iter().enumerate() {
            let users: Vec<usize> = (0..USERS.len()).filter(|u| realm_of(*u) == realm).collect();
            let statuses: serde_json::Map<String, Value> = users
                .iter()
                .map(|user| {
                    let status = if is_up(self, *user) { "away" } else { "offline" };
                    (USERS[*user].to_owned(), json!(status))
                })
                .collect();
            let line = json!({"op": "poll", "node": "n2", "realm": name,
                "users": statuses});
            let index = self.write("q.jsonl", line);
            let sure: Vec<usize> = users.into_iter().filter(|user| is_sure(self, *user)).collect();
            self.facts.polls.extend(sure.into_iter().map(|user| (index, user)));
        }
    }

    fn finish(&mut self) {
        while !self.flights.is_empty() {
            self.later(5);
            self.advance();
        }
        for client in 0..self.clients.len() {
            if self.clients[client].link == Link::Down && self.chance.percent(10) {
                self.leave(client);
            }
            while matches!(self.clients[client].link, Link::Down | Link::Opening(_)) {
                self.later(20);
                match self.clients[client].link {
                    Link::Down => self.open(client),
                    _ => self.greet(client),
                }
            }
        }
        for realm in 0..REALMS.len() {
            self.barrier(realm);
        }
        for client in 0..self.clients.len() {
            if self.clients[client].link == Link::Gone {
                continue;
            }
            self.read(client, usize::MAX);
            match self.chance.below(3) {
                0 => self.leave(client),
                1 => self.close(client, 1000),
                _ => {}
            }
        }
    }

    fn barrier(&mut self, realm: usize) {
        self.later(20);
        let event = EventFact {
            pid: format!("barrier-{realm}"),
            realm,
            to: To::Everyone,
            to_cid: None,
            ephemeral: false,
            omit_user: None,
            omit_cid: None,
            fate: Fate::Ok,
            place: None,
            torn: false,
            acked_at: f64::INFINITY,
        };
        self.facts.barriers.push(self.facts.events.len());
        self.invoke(event);
        self.later(5);
        self.advance();
        self.later(5);
        self.advance();
        let line = json!({"op": "barrier", "realm": REALMS[realm],
            "pid": format!("barrier-{realm}")});
        self.write("b.jsonl", line);
    }
}

fn is_applied(fate: Fate) -> bool {
    match fate {
        Fate::Ok | Fate::Info { applied: true } => true,
        Fate::Info { applied: false } | Fate::Fail => false,
    }
}
