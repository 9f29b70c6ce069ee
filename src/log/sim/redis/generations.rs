//! The scripts' rules of generations: when one begins, and who may go on in it.

use super::{
    Context, FENCE_MS, Frame, Incarnation, LINEAGE, Mark, Meta, Part, SUSPECT_MS, Scheme, State,
};
use crate::{
    log::{
        course::{Verdict, counter},
        sim::{chance::Chance, tally::Case},
    },
    model::{Generation, Interval, Memberships, Position, Tag},
};

impl State {
    /// Begins a new log, or a new generation, where the old one can't go on.
    pub(in crate::log::sim) fn check(&mut self, c: &mut Context<'_>) {
        match &self.meta {
            None => self.found(c),
            Some(meta) if meta.replid != c.replid && c.rules.scheme != Scheme::Naive => {
                self.begin(c, false);
            }
            Some(meta) if meta.is_fenced && c.now_ms > meta.deadline_ms => {
                c.tally.met(Case::FenceRanOut);
                self.settle(false, c);
            }
            Some(_) => {}
        }
    }

    fn found(&mut self, c: &mut Context<'_>) {
        let users = &self.users;
        self.tip = c.history.root(|topic, user| users[user].is_open(topic));
        self.first = 1;
        for user in &mut self.users {
            let open: Vec<_> = user.open_topics().cloned().collect();
            *user = Memberships::default();
            for topic in open {
                user.restore(topic, Interval { from: 0, to: 0 });
            }
        }
        let gid = name(c.now_ms.max(1), c.chance);
        let (floor, lineage) = (counter(&gid), vec![gid.clone()]);
        c.frames.push(Frame::Generation(gid.clone()));
        let (began_at, is_fenced, deadline_ms) = ((0, Tag(0)), false, 0);
        let replid = c.replid;
        self.meta = Some(Meta { replid, gid, began_at, is_fenced, deadline_ms, floor, lineage });
    }

    /// The log goes on in another generation. `is_dirty`: and everything older is reset.
    fn begin(&mut self, c: &mut Context<'_>, is_dirty: bool) {
        let Some(meta) = &mut self.meta else { return };
        let old = counter(&meta.gid);
        if c.now_ms <= old {
            c.tally.met(Case::ClockWentBack);
        }
        let gid = name((old + 1).max(c.now_ms), c.chance);
        meta.replid = c.replid;
        meta.gid = gid.clone();
        meta.began_at = (self.tip.offset(), self.tip.tag());
        meta.is_fenced = c.rules.fences() && !is_dirty;
        meta.deadline_ms = c.now_ms + FENCE_MS;
        meta.lineage.push(gid.clone());
        let surplus = meta.lineage.len().saturating_sub(LINEAGE);
        meta.lineage.drain(..surplus);
        let generation = counter(&gid);
        if is_dirty {
            meta.floor = generation;
        }
        let suspects = self.leases.iter().filter(|(_, ends)| **ends + SUSPECT_MS > c.now_ms);
        self.witness.extend(suspects.map(|(node, _)| ((generation, *node), Mark::Suspect)));
        c.frames.push(Frame::Generation(gid));
        if !is_dirty {
            self.try_settle(c);
        }
    }

    /// Opens the fence when all have reported: before, one of them may still be told by
    /// an old primary that something is in the log.
    pub(super) fn try_settle(&mut self, c: &mut Context<'_>) {
        let Some(meta) = self.meta.as_ref().filter(|meta| meta.is_fenced) else { return };
        let generation = counter(&meta.gid);
        let marks = || self.witness.range((generation, 0)..=(generation, u32::MAX));
        let is_hasty =
            !c.rules.keep(Part::WholeFence) && marks().any(|(_, mark)| *mark == Mark::Dirty);
        if !is_hasty && marks().any(|(_, mark)| *mark == Mark::Suspect) {
            return;
        }
        let is_clean = marks().all(|(_, mark)| *mark == Mark::Clean);
        c.tally.met(if is_clean { Case::CleanFence } else { Case::DirtyFence });
        self.settle(is_clean, c);
    }

    fn settle(&mut self, is_clean: bool, c: &mut Context<'_>) {
        let Some(meta) = &mut self.meta else { return };
        meta.is_fenced = false;
        if !is_clean {
            meta.floor = counter(&meta.gid);
        }
        c.frames.push(Frame::Generation(meta.gid.clone()));
    }

    /// Whether the log holds this record; `None` when it is not kept any more.
    pub(super) fn has(&self, offset: u64, tag: Tag) -> Option<bool> {
        let meta = self.meta.as_ref()?;
        if offset == 0 {
            return Some(true);
        }
        if (offset, tag) == meta.began_at || (offset, tag) == (self.tip.offset(), self.tip.tag()) {
            return Some(true);
        }
        if offset >= self.tip.offset() || offset == meta.began_at.0 {
            return Some(false);
        }
        (offset >= self.first).then(|| self.tip.at(offset).is_some_and(|entry| entry.tag() == tag))
    }

    pub(in crate::log::sim) fn report(
        &mut self,
        node: Incarnation,
        highest: &Position,
        c: &mut Context<'_>,
    ) -> (Generation, Verdict) {
        self.check(c);
        let is_there = self.has(highest.offset, highest.tag);
        let Some(meta) = &self.meta else { return (highest.generation.clone(), Verdict::Dirty) };
        if c.rules.scheme == Scheme::Naive {
            return (meta.gid.clone(), Verdict::Clean);
        }
        let generation = counter(&meta.gid);
        let is_kin = meta.lineage.contains(&highest.generation);
        let is_clean = is_there == Some(true) && is_kin;
        let mark = self.witness.get(&(generation, node));
        let is_first = matches!(mark, None | Some(Mark::Suspect));
        if meta.is_fenced {
            self.mark(generation, node, is_clean, c);
            self.try_settle(c);
        } else if c.rules.fences()
            && is_first
            && is_kin
            && is_there == Some(false)
            && c.rules.keep(Part::LateReports)
        {
            // Too late for the fence: others have gone on without what this node was told.
            c.tally.met(Case::LateDirtyReport);
            self.begin(c, true);
        }
        let Some(meta) = &self.meta else { return (highest.generation.clone(), Verdict::Dirty) };
        let generation = counter(&meta.gid);
        let is_kept = counter(&highest.generation) >= meta.floor;
        let verdict = match (is_clean && is_kept, meta.is_fenced) {
            (false, _) => Verdict::Dirty,
            (true, true) => Verdict::Pending,
            (true, false) => Verdict::Clean,
        };
        let gid = meta.gid.clone();
        self.mark(generation, node, verdict != Verdict::Dirty, c);
        (gid, verdict)
    }

    /// Notes what a node reported. What was dirty once stays so: the sessions that a node
    /// served before it began anew were not in this log.
    pub(super) fn mark(
        &mut self,
        generation: u64,
        node: Incarnation,
        is_clean: bool,
        c: &Context<'_>,
    ) {
        let mark = self.witness.entry((generation, node)).or_insert(Mark::Suspect);
        if *mark != Mark::Dirty || !c.rules.keep(Part::LastingDirt) {
            *mark = if is_clean { Mark::Clean } else { Mark::Dirty };
        }
    }
}

fn name(count: u64, chance: &mut Chance) -> Generation {
    Generation::new(&format!("{count}.{:x}", chance.below(1 << 32)))
}
