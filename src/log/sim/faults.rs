//! What goes wrong, and what is repaired.

use super::{
    chance::Chance,
    client::Phase,
    redis::{Frame, Profile, Rules, Scheme},
    tally::Case,
    world::{NODES, World},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Crash,
    Pause,
    HangUp,
    LoseFrame,
    BreakFeed,
    LoseAnswers,
    CleanFailover,
    Failover,
    Zombie,
    Restart,
    Flush,
    DeleteMeta,
    DeleteLog,
    Trim,
    Forge,
}

/// Each with its weight, and how many of its kind a seed leaves out.
const FAULTS: [(Fault, u64); 15] = [
    (Fault::Crash, 4),
    (Fault::Pause, 4),
    (Fault::HangUp, 10),
    (Fault::LoseFrame, 6),
    (Fault::BreakFeed, 4),
    (Fault::LoseAnswers, 4),
    (Fault::CleanFailover, 2),
    (Fault::Failover, 3),
    (Fault::Zombie, 3),
    (Fault::Restart, 2),
    (Fault::Flush, 1),
    (Fault::DeleteMeta, 1),
    (Fault::DeleteLog, 1),
    (Fault::Trim, 3),
    (Fault::Forge, 4),
];

impl World {
    /// The faults of one run: some kinds, each by its weight.
    pub(super) fn swarm(chance: &mut Chance, rules: Rules) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (fault, weight) in FAULTS {
            // With two primaries the log profile promises less: see the decisions.
            let is_rare = matches!(fault, Fault::Flush | Fault::DeleteMeta | Fault::DeleteLog);
            let is_out = chance.one_in(if is_rare { 2 } else { 3 });
            // Redis with a replica does not start again from old data: it is replaced.
            let is_void = fault == Fault::Restart && rules.profile == Profile::Ha;
            if !is_out && !is_void {
                faults.extend((0..weight).map(|_| fault));
            }
        }
        faults
    }

    /// Something that was broken is repaired.
    pub(super) fn recover(&mut self, node: usize) {
        let of = &mut self.nodes[node];
        if !of.is_up {
            self.start(node);
        } else if of.is_paused {
            of.is_paused = false;
        } else if self.chance.one_in(10) {
            self.demote();
        } else {
            self.loses_answers = false;
        }
    }

    /// The old primary learns that it is none.
    pub(super) fn demote(&mut self) {
        self.say(|_| "demote".to_owned());
        if self.servers.zombie.take().is_some() {
            self.clients.iter_mut().for_each(|client| client.has_crossed = false);
            self.nodes.iter_mut().for_each(|node| node.prefers_zombie = false);
        }
    }

    pub(super) fn inject(&mut self, fault: Fault, node: usize, client: usize) {
        self.say(|_| format!("{fault:?} node {node} client {client}"));
        if self.servers.zombie.is_some() && matches!(fault, Fault::Flush | Fault::DeleteMeta) {
            return;
        }
        match fault {
            Fault::Crash if self.nodes[node].is_up => self.crash(node),
            Fault::Pause => self.nodes[node].is_paused = true,
            Fault::HangUp if self.clients[client].phase == Phase::Open => self.hang_up(client),
            Fault::LoseFrame if self.nodes[node].frames.pop_front().is_some() => {}
            Fault::BreakFeed if self.nodes[node].feed.is_some() => {
                self.nodes[node].frames.clear();
                self.break_feed(node);
            }
            Fault::LoseAnswers => self.loses_answers = true,
            Fault::CleanFailover => {
                self.servers.replicate();
                self.servers.fail_over(false, &mut self.chance);
            }
            Fault::Failover => {
                self.servers.fail_over(false, &mut self.chance);
            }
            Fault::Zombie => self.split(),
            Fault::Restart => {
                if self.servers.zombie.is_none() {
                    self.tally.met(Case::Restarted);
                    self.servers.restart(&mut self.chance);
                }
            }
            Fault::Flush => {
                self.tally.met(Case::Flushed);
                self.servers.flush(&mut self.history);
            }
            Fault::DeleteMeta => {
                self.tally.met(Case::MetaDeleted);
                self.servers.delete_meta();
            }
            Fault::DeleteLog => {
                self.tally.met(Case::LogDeleted);
                self.servers.primary.state.trim(0);
            }
            Fault::Trim => {
                let keep = self.chance.below(20);
                self.servers.primary.state.trim(keep);
            }
            Fault::Forge => self.forge(node),
            Fault::Crash | Fault::HangUp | Fault::LoseFrame | Fault::BreakFeed => {}
        }
    }

    /// A new primary, while some nodes still find the old one.
    fn split(&mut self) {
        let old = self.servers.primary.replid;
        if !self.servers.fail_over(true, &mut self.chance) {
            return;
        }
        for node in 0..NODES {
            let stays = self.chance.one_in(2);
            let of = &mut self.nodes[node];
            of.prefers_zombie = stays && of.command == Some(old);
            if !of.prefers_zombie {
                of.command = None;
                self.break_feed(node);
            }
        }
    }

    /// Something that no server said is put into a feed.
    fn forge(&mut self, node: usize) {
        let Some(place) = self.place(node).filter(|_| self.rules.scheme == Scheme::Proper) else {
            return;
        };
        let record = self.history.forge(&place, &mut self.chance);
        let Some(realm) = &self.nodes[node].realm else { return };
        let generation = realm.course.at().generation.clone();
        self.tally.met(Case::Forged);
        self.nodes[node].frames.push_back(Frame::Records(generation, vec![record]));
    }
}
