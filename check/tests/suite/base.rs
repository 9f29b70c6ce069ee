//! A clean history with what is needed to break it knowingly.

use hubbub_check::history::{Entry, History, Line, Name, Open};

use crate::{
    clean, script,
    world::{Asked, EventFact, Facts, Fate, To, World, file_of, realm_of},
};

/// A line that carries a number, with what stands there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    pub(crate) line: usize,
    pub(crate) event: Option<usize>,
    pub(crate) is_noop: bool,
    /// The place of a received event, where the checker can know it.
    pub(crate) place: Option<(u64, u64)>,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) writer: usize,
    pub(crate) client: usize,
    pub(crate) user: usize,
    pub(crate) cid: Name,
    pub(crate) items: Vec<Item>,
}

#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) history: History,
    pub(crate) facts: Facts,
    pub(crate) tracks: Vec<Track>,
    pub(crate) eids: Vec<Name>,
    /// A name that nothing has.
    pub(crate) fresh: Name,
}

impl Base {
    pub(crate) fn new(seed: u64) -> Self {
        let world = script::run(seed);
        let mut history = clean::history(&world);
        let World { facts, clients, .. } = world;
        let eids = facts.events.iter().map(|event| history.names.intern(&event.pid)).collect();
        let mut tracks: Vec<Track> = Vec::new();
        for seen in &facts.seen {
            let cid = history.names.intern(&seen.cid);
            let place = seen.event.filter(|_| !seen.is_noop);
            let place = place.and_then(|event| place_of(&facts.events[event]));
            let item = Item { line: seen.line, event: seen.event, is_noop: seen.is_noop, place };
            if let Some(track) = tracks.iter_mut().find(|track| track.cid == cid) {
                track.items.push(item);
                continue;
            }
            let file = history.names.intern(&file_of(seen.client));
            let writer = history.writers.iter().position(|writer| writer.file == file).unwrap();
            let user = clients[seen.client].user;
            tracks.push(Track { writer, client: seen.client, user, cid, items: vec![item] });
        }
        let fresh = history.names.intern("fresh");
        Self { history, facts, tracks, eids, fresh }
    }

    pub(crate) fn writer(&self, file: &str) -> usize {
        let names = &self.history.names;
        let found = self.history.writers.iter().position(|one| names.text(one.file) == file);
        found.unwrap()
    }

    pub(crate) fn lines(&self, writer: usize) -> &[Line] {
        &self.history.writers[writer].lines
    }

    /// The changes of a user and group whose outcomes are known, unless one is not.
    pub(crate) fn sure_changes(&self, user: usize, group: usize) -> Option<Vec<Asked>> {
        let own = self.facts.asked.iter().filter(|one| (one.user, one.group) == (user, group));
        let own: Vec<Asked> = own.copied().collect();
        own.iter().all(|one| matches!(one.fate, Fate::Ok | Fate::Fail)).then_some(own)
    }

    /// True when the event behind `item` must come with a body, whatever else happens.
    pub(crate) fn is_required(&self, track: &Track, item: &Item) -> bool {
        let (Some(event), Some(_)) = (item.event, item.place) else { return false };
        let fact = &self.facts.events[event];
        if fact.ephemeral || self.facts.barriers.contains(&event) {
            return false;
        }
        let To::Group(group) = fact.to else { return true };
        let changes = self.sure_changes(track.user, group);
        self.facts.lost_at.is_none()
            && changes.is_some_and(|changes| changes.iter().all(|change| change.add))
    }

    /// Events of `realm` whose place is known.
    pub(crate) fn known(&self, realm: usize) -> impl Iterator<Item = (usize, &EventFact)> {
        let all = self.facts.events.iter().enumerate();
        all.filter(move |(_, fact)| fact.realm == realm && place_of(fact).is_some())
    }

    /// Items of `track` after which an event at `place` would stand in order.
    pub(crate) fn fits_after(&self, track: &Track, place: (u64, u64)) -> Option<usize> {
        let steps = track.items.iter().enumerate();
        let mut steps = steps.filter_map(|(index, item)| Some((index, item.place?)));
        let before = steps.clone().take_while(|(_, step)| *step < place).last()?;
        steps.all(|(_, step)| step != place).then_some(before.0)
    }

    pub(crate) fn realm(track: &Track) -> usize {
        realm_of(track.user)
    }
}

/// The place that the checker knows of an event.
pub(crate) fn place_of(fact: &EventFact) -> Option<(u64, u64)> {
    fact.place.filter(|_| fact.fate == Fate::Ok && !fact.torn)
}

/// The connection that a line is about, for changing it.
pub(crate) fn cid_mut(entry: &mut Entry) -> Option<&mut Name> {
    match entry {
        Entry::Hello { cid, .. }
        | Entry::Resumed { cid, .. }
        | Entry::Received { cid, .. }
        | Entry::Noop { cid, .. } => Some(cid),
        Entry::Open(open) => open.cid.as_mut(),
        _ => None,
    }
}

/// Gives the numbers of a connection anew, as if nothing were missing or too much.
pub(crate) fn renumber(lines: &mut [Line], of: Name) {
    let mut next = 0;
    for line in lines {
        match &mut line.entry {
            Entry::Hello { cid, .. } if *cid == of => next = 1,
            Entry::Resumed { cid, n, .. } if *cid == of => *n = next,
            Entry::Received { cid, seq, .. } | Entry::Noop { cid, seq, .. } if *cid == of => {
                *seq = next;
                next += 1;
            }
            Entry::Open(open) if open.cid == Some(of) => {
                let Open { n, .. } = &mut **open;
                *n = Some(next);
            }
            _ => {}
        }
    }
}

/// A received event like `line`, but another one.
pub(crate) fn received_like(line: &Line, event: Name) -> Line {
    let mut line = line.clone();
    if let Entry::Received { sock, cid, seq, .. } | Entry::Noop { sock, cid, seq } = line.entry {
        line.entry = Entry::Received { sock, cid, seq, eid: Some(event) };
    }
    line
}
