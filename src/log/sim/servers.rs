//! The Redis servers: a primary, its replica, its disk, and perhaps an old primary.
//!
//! The replica and the disk are copies of the primary at some earlier moment.

use super::{
    chance::Chance,
    history::History,
    redis::{Incarnation, State},
};

/// A server that answers.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) replid: u32,
    pub(super) state: State,
    /// How far its clock is off.
    pub(super) skew_ms: u64,
}

/// All servers.
#[derive(Debug)]
pub(super) struct Servers {
    pub(super) primary: Server,
    /// What has reached the replica; `None` while there is none.
    pub(super) replica: Option<State>,
    /// What has reached the disk.
    disk: State,
    /// An old primary that does not know it yet.
    pub(super) zombie: Option<Server>,
    /// Who held a lease when each primary began.
    witnesses: Vec<Vec<Incarnation>>,
    replids: u32,
}

/// The largest difference of two clocks.
const SKEW_MS: u64 = 1_500;

impl Servers {
    pub(super) fn new(history: &mut History) -> Self {
        let state = State::new(history);
        let primary = Server { replid: 1, state: state.clone(), skew_ms: SKEW_MS };
        let (replica, disk) = (Some(state.clone()), state);
        Self { primary, replica, disk, zombie: None, witnesses: Vec::new(), replids: 1 }
    }

    pub(super) fn get(&self, replid: u32) -> Option<&Server> {
        let is_it = |server: &&Server| server.replid == replid;
        Some(&self.primary).filter(is_it).or(self.zombie.as_ref().filter(is_it))
    }

    pub(super) fn get_mut(&mut self, replid: u32) -> Option<&mut Server> {
        if self.primary.replid == replid {
            return Some(&mut self.primary);
        }
        self.zombie.as_mut().filter(|server| server.replid == replid)
    }

    pub(super) fn is_zombie(&self, replid: u32) -> bool {
        self.zombie.as_ref().is_some_and(|server| server.replid == replid)
    }

    pub(super) fn replicate(&mut self) {
        self.replica = Some(self.primary.state.clone());
    }

    pub(super) fn sync_disk(&mut self) {
        self.disk = self.primary.state.clone();
    }

    /// Whether a replica has all that this server has. A replica that can keep up does so.
    pub(super) fn wait(&mut self, replid: u32) -> bool {
        let can = self.primary.replid == replid && self.replica.is_some();
        if can {
            self.replicate();
        }
        can
    }

    /// The replica becomes the primary. The old one dies, or does not know it yet.
    pub(super) fn fail_over(&mut self, is_zombie: bool, chance: &mut Chance) -> bool {
        if self.zombie.is_some() {
            return false;
        }
        let Some(state) = self.replica.take() else { return false };
        let old = self.switch(state, chance);
        self.zombie = Some(old).filter(|_| is_zombie);
        true
    }

    /// The primary starts again with what is on its disk.
    pub(super) fn restart(&mut self, chance: &mut Chance) {
        let state = self.disk.clone();
        self.switch(state, chance);
        self.replica = None;
    }

    fn switch(&mut self, state: State, chance: &mut Chance) -> Server {
        self.replids += 1;
        self.witnesses.push(state.leases.keys().copied().collect());
        self.primary.state.tip.lose_all_but(Some(&state.tip));
        let skew_ms = chance.below(2 * SKEW_MS);
        let primary = Server { replid: self.replids, state, skew_ms };
        self.disk = primary.state.clone();
        std::mem::replace(&mut self.primary, primary)
    }

    /// Everything is deleted.
    pub(super) fn flush(&mut self, history: &mut History) {
        self.primary.state.tip.lose_all_but(None);
        self.primary.state = State::new(history);
        self.wait(self.primary.replid);
    }

    /// `m` is deleted.
    pub(super) fn delete_meta(&mut self) {
        self.primary.state.tip.lose_all_but(None);
        self.primary.state.meta = None;
    }

    /// True when every new primary since knew of `node`: its report was waited for.
    pub(super) fn is_witness(&self, node: Incarnation, since: usize) -> bool {
        self.witnesses.iter().skip(since).all(|known| known.contains(&node))
    }

    pub(super) fn switches(&self) -> usize {
        self.witnesses.len()
    }
}
