//! One run: a seed decides what happens next, then all faults stop and all must be well.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    calls::Ask,
    chance::Chance,
    client::{Ack, Client, Phase, Track},
    faults::Fault,
    history::{CHANNELS, History, USERS, What},
    node::Node,
    redis::{Incarnation, Profile, Rules},
    servers::Servers,
    tally::{Case, Tally},
};
use crate::model::ConnectionId;

pub(super) const NODES: usize = 3;
const STEPS: u64 = 800;
const PUBLICATIONS: usize = 45;

/// Something that a publisher wants in the log.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) what: What,
    pub(super) attempted_ms: u64,
    /// How often the primary had changed then.
    pub(super) switches: usize,
    pub(super) is_busy: bool,
    pub(super) is_acked: bool,
}

/// A broken promise.
#[derive(Debug, Clone)]
pub(super) struct Violation {
    pub(super) rule: &'static str,
    pub(super) text: String,
}

/// Everything there is.
#[derive(Debug)]
pub(super) struct World {
    pub(super) rules: Rules,
    pub(super) now_ms: u64,
    pub(super) chance: Chance,
    pub(super) tally: Tally,
    pub(super) history: History,
    pub(super) servers: Servers,
    pub(super) nodes: Vec<Node>,
    pub(super) clients: Vec<Client>,
    pub(super) publications: Vec<Publication>,
    pub(super) acks: Vec<Ack>,
    pub(super) tracks: BTreeMap<ConnectionId, Track>,
    /// Claims by server, session and number.
    pub(super) holders: BTreeSet<(u32, ConnectionId, u64)>,
    /// What dead nodes have written.
    pub(super) orphans: Vec<(Incarnation, u32, Ask)>,
    pub(super) incarnations: Incarnation,
    pub(super) loses_answers: bool,
    pub(super) violation: Option<Violation>,
    /// What happened, when somebody wants to read it.
    pub(super) story: Option<Vec<String>>,
    pub(super) faults: Vec<Fault>,
    /// Faults in 1,000 steps.
    fault_rate: u64,
    /// What is done in one step.
    pace: u64,
    /// When the primary was last copied.
    replicated_ms: u64,
    synced_ms: u64,
}

/// What reaches a replica, or the disk, is at most so old.
const LAG_MS: u64 = 1_500;

/// What one seed came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) tally: Tally,
    pub(super) violation: Option<Violation>,
    pub(super) story: Vec<String>,
}

/// Runs one seed to its end, or to the first violation.
pub(super) fn run(seed: u64, rules: Rules) -> Outcome {
    World::new(seed, rules).run()
}

/// As [`run`], and tells what happened.
pub(super) fn tell(seed: u64, rules: Rules) -> Outcome {
    let mut world = World::new(seed, rules);
    world.story = Some(Vec::new());
    world.run()
}

impl World {
    fn run(mut self) -> Outcome {
        let mut steps = 0..STEPS;
        while self.violation.is_none() && steps.next().is_some() {
            self.turn();
        }
        if self.violation.is_none() {
            self.say(|_| "heal".to_owned());
            self.heal();
        }
        let Self { tally, violation, story, .. } = self;
        Outcome { tally, violation, story: story.unwrap_or_default() }
    }

    pub(super) fn say(&mut self, text: impl FnOnce(&Self) -> String) {
        if self.story.is_some() {
            let line = format!("{:>6} {}", self.now_ms - 1_000_000, text(self));
            self.story.get_or_insert_default().push(line);
        }
    }

    fn new(seed: u64, rules: Rules) -> Self {
        let mut chance = Chance::new(seed);
        let mut history = History::new();
        let servers = Servers::new(&mut history);
        let faults = Self::swarm(&mut chance, rules);
        let (fault_rate, pace) = ([4, 12, 40][chance.index(3)], 2 + chance.below(5));
        let client = |user| Client {
            user,
            cid: None,
            next: 0,
            phase: Phase::Idle,
            node: 0,
            socket: 0,
            since_ms: 0,
            wire: VecDeque::new(),
            has_crossed: false,
        };
        let mut world = Self {
            rules,
            now_ms: 1_000_000,
            chance,
            tally: Tally::default(),
            history,
            servers,
            nodes: (0..NODES).map(|_| Node::default()).collect(),
            clients: (0..USERS).map(client).collect(),
            publications: Vec::new(),
            acks: Vec::new(),
            tracks: BTreeMap::new(),
            holders: BTreeSet::new(),
            orphans: Vec::new(),
            incarnations: 0,
            loses_answers: false,
            violation: None,
            story: None,
            fault_rate,
            pace,
            faults,
            replicated_ms: 0,
            synced_ms: 0,
        };
        (0..NODES).for_each(|node| world.start(node));
        world
    }

    pub(super) fn fail(&mut self, rule: &'static str, text: String) {
        self.violation.get_or_insert(Violation { rule, text });
    }

    pub(super) fn clean_failover(&self) -> Case {
        match self.rules.profile {
            Profile::Log => Case::CleanFailoverLog,
            Profile::Ha => Case::CleanFailoverHa,
        }
    }

    pub(super) fn lost_suffix(&self) -> Case {
        match self.rules.profile {
            Profile::Log => Case::LostSuffixLog,
            Profile::Ha => Case::LostSuffixHa,
        }
    }

    fn turn(&mut self) {
        self.now_ms += match self.chance.below(100) {
            0..75 => self.chance.below(15),
            75..97 => self.chance.below(120),
            _ => self.chance.below(1_500),
        };
        (0..NODES).for_each(|node| self.tick(node));
        (0..self.clients.len()).for_each(|client| self.tire(client));
        self.copy();
        let (node, client) = (self.chance.index(NODES), self.chance.index(self.clients.len()));
        if !self.faults.is_empty() && self.chance.below(1_000) < self.fault_rate {
            let fault = self.faults[self.chance.index(self.faults.len())];
            return self.inject(fault, node, client);
        }
        for _ in 0..self.pace {
            match self.chance.below(10) {
                0..5 => self.some_call(node),
                5..8 => {
                    let _ = (0..NODES).any(|turn| self.listen((node + turn) % NODES));
                }
                _ => {
                    let count = self.clients.len();
                    let _ = (0..count).any(|turn| self.receive((client + turn) % count));
                }
            }
        }
        match self.chance.below(25) {
            0..7 => self.connect(client, node),
            7..16 => self.publish(node),
            16..19 => self.notice(node),
            19 if self.clients[client].phase == Phase::Open => self.hang_up(client),
            20 if !self.orphans.is_empty() => {
                let index = self.chance.index(self.orphans.len());
                self.run_orphan(index);
            }
            21..23 => self.recover(node),
            _ => {}
        }
    }

    fn some_call(&mut self, node: usize) {
        for turn in 0..NODES {
            let node = (node + turn) % NODES;
            let count = self.nodes[node].calls.len();
            if self.nodes[node].is_up && count > 0 {
                let index = self.chance.index(count);
                if self.advance(node, index) {
                    return;
                }
            }
        }
    }

    /// The replica and the disk follow the primary, not much later.
    fn copy(&mut self) {
        if self.now_ms - self.replicated_ms >= LAG_MS || self.chance.one_in(20) {
            self.replicated_ms = self.now_ms;
            self.servers.replicate();
        }
        if self.now_ms - self.synced_ms >= LAG_MS || self.chance.one_in(40) {
            self.synced_ms = self.now_ms;
            self.servers.sync_disk();
        }
    }

    /// A publisher tries something new, or what was not acknowledged.
    pub(super) fn publish(&mut self, node: usize) {
        let mut ids: Vec<usize> = (0..self.publications.len())
            .filter(|id| !self.publications[*id].is_busy && !self.publications[*id].is_acked)
            .take(2)
            .collect();
        if self.publications.len() < PUBLICATIONS && (ids.is_empty() || self.chance.one_in(2)) {
            ids.push(self.draft());
        }
        if !self.nodes[node].serves() || ids.is_empty() {
            return;
        }
        for id in &ids {
            self.publications[*id].is_busy = true;
        }
        self.nodes[node].call(Ask::Publish(ids), self.now_ms);
    }

    fn draft(&mut self) -> usize {
        let (channel, user) =
            (self.chance.below(CHANNELS.into()) as u8, self.chance.below(USERS.into()) as u8);
        let what = match self.chance.below(10) {
            0..3 => What::Member { channel, user, is_added: self.chance.below(3) > 0 },
            3..7 => What::ToChannel(channel),
            7..9 => What::ToUser(user),
            _ => What::ToEveryone,
        };
        self.add_publication(what)
    }

    pub(super) fn add_publication(&mut self, what: What) -> usize {
        let (attempted_ms, switches) = (self.now_ms, self.servers.switches());
        let of = Publication { what, attempted_ms, switches, is_busy: false, is_acked: false };
        self.publications.push(of);
        self.publications.len() - 1
    }
}
