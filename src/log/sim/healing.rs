//! All faults stop: what must be true in the end.

use super::{
    client::Phase,
    history::What,
    node::Node,
    redis::Scheme,
    world::{NODES, World},
};

impl World {
    /// All faults stop. Everything must come to rest, with everybody told everything.
    pub(super) fn heal(&mut self) {
        self.demote();
        self.loses_answers = false;
        self.faults.clear();
        while !self.orphans.is_empty() {
            self.run_orphan(0);
        }
        for node in 0..NODES {
            self.nodes[node].is_paused = false;
            if !self.nodes[node].is_up {
                self.start(node);
            }
        }
        let last = self.rest().and_then(|()| {
            self.add_publication(What::ToEveryone);
            self.rest()
        });
        if let Err((rule, text)) = last {
            self.fail(rule, text);
        }
        if let Some(clash) =
            self.history.clash.take().filter(|_| self.rules.scheme != Scheme::Naive)
        {
            self.fail("S7", format!("two records are at {clash:?}"));
        }
        let sessions: Vec<_> = self.clients.iter().filter_map(|client| client.cid).collect();
        for cid in sessions {
            self.check_acks(cid, None);
        }
    }

    fn rest(&mut self) -> Result<(), (&'static str, String)> {
        for round in 0.. {
            self.now_ms += 100;
            for node in 0..NODES {
                self.tick(node);
                self.notice(node);
            }
            self.servers.replicate();
            self.drain();
            for client in 0..self.clients.len() {
                self.tire(client);
                self.connect(client, (client + round) % NODES);
            }
            self.publish(round % NODES);
            let unrest = self.unrest();
            if self.violation.is_some() || unrest.is_none() {
                return Ok(());
            }
            if let (600, Some(unrest)) = (round, unrest) {
                return Err(unrest);
            }
        }
        Ok(())
    }

    fn drain(&mut self) {
        for _ in 0..20 {
            let mut has_moved = false;
            for node in 0..NODES {
                for index in (0..self.nodes[node].calls.len()).rev() {
                    has_moved |= self.nodes[node].calls.len() > index && self.advance(node, index);
                }
                while self.listen(node) {
                    has_moved = true;
                }
            }
            for client in 0..self.clients.len() {
                while self.receive(client) {
                    has_moved = true;
                }
            }
            if !has_moved {
                return;
            }
        }
    }

    /// What is not yet at rest, and the promise that says it will be.
    fn unrest(&self) -> Option<(&'static str, String)> {
        let state = &self.servers.primary.state;
        if state.meta.as_ref().is_none_or(|meta| meta.is_fenced) {
            return Some(("L1", "the log stays fenced".to_owned()));
        }
        for (client, of) in self.clients.iter().enumerate() {
            if of.phase != Phase::Open {
                return Some(("L3", format!("client {client} is {:?} on {}", of.phase, of.node)));
            }
            if !self.is_heard(client) {
                return Some(("L2", format!("client {client} was not told everything")));
            }
        }
        let waiting = self.publications.iter().filter(|of| !of.is_acked).count();
        if waiting > 0 {
            return Some(("L3", format!("{waiting} publications are not acknowledged")));
        }
        let is_there = |node: &Node| {
            let course = node.realm.as_ref().map(|realm| &realm.course);
            course.is_some_and(|c| c.is_following() && c.at().tag == state.tip.tag())
        };
        let behind = self.nodes.iter().position(|node| !is_there(node));
        behind.map(|node| ("L2", format!("node {node} is behind")))
    }
}
