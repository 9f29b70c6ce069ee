//! More kinds of mutants: resumes, resets, presence, and what was revoked.

use hubbub_check::{
    history::{Entry, Line},
    report::Invariant,
};

use crate::{
    base::{Base, place_of, renumber},
    chance::Chance,
    kinds::{Kind, Mutant, Site, rename},
    world::{Fate, USERS},
};

/// The resumes of all clients: track, index of the line.
fn resumes(base: &Base) -> Vec<Site> {
    let mut sites = Vec::new();
    for (number, track) in base.tracks.iter().enumerate() {
        for (index, line) in base.lines(track.writer).iter().enumerate() {
            if matches!(line.entry, Entry::Resumed { cid, .. } if cid == track.cid) {
                sites.push((number, index, 0));
            }
        }
    }
    sites
}

pub(crate) const WRONG_RESUME: Kind = Kind {
    name: "a resume goes on with another number",
    found_by: &[Invariant::Seq],
    is_renumbered: false,
    sites: |base| resumes(base).iter().flat_map(|one| (1..4).map(|d| (one.0, one.1, d))).collect(),
    apply: |base, site, chance| {
        let writer = base.tracks[site.0].writer;
        let mut lines = base.lines(writer).to_vec();
        if let Entry::Resumed { n, .. } = &mut lines[site.1].entry {
            let by = site.2 as u64;
            *n = if chance.percent(50) && *n >= by { *n - by } else { *n + by };
        }
        (writer, lines)
    },
};

pub(crate) const CAUSELESS_RESET: Kind = Kind {
    name: "a reset without a cause",
    found_by: &[Invariant::Reset],
    is_renumbered: true,
    sites: |base| {
        let mut sites = resumes(base);
        sites.retain(|site| {
            let track = &base.tracks[site.0];
            let time = base.lines(track.writer)[site.1].at;
            base.facts.lost_at.is_none_or(|lost_at| time < lost_at)
                && !(base.facts.is_revoked && USERS[track.user] == "u2")
        });
        sites
    },
    apply: |base, site, _| {
        let track = &base.tracks[site.0];
        let mut lines = base.lines(track.writer).to_vec();
        let user = lines.iter().find_map(|line| match line.entry {
            Entry::Hello { user, .. } => Some(user),
            _ => None,
        });
        if let Entry::Resumed { sock, cid, .. } = lines[site.1].entry {
            lines[site.1].entry = Entry::Hello { sock, cid, user: user.unwrap() };
        }
        rename(&mut lines[site.1..], track.cid, base.fresh);
        renumber(&mut lines, base.fresh);
        (track.writer, lines)
    },
};

pub(crate) const SURVIVED: Kind = Kind {
    name: "a connection outlives the loss of what it was sent",
    found_by: &[Invariant::Ack, Invariant::Order],
    is_renumbered: true,
    sites: |base| {
        let mut sites = Vec::new();
        for (number, pair) in base.tracks.windows(2).enumerate() {
            // Tracks are in the order of their first numbers, so look for the next one.
            let old = &pair[0];
            let next = base.tracks[number + 1..].iter().position(|new| new.client == old.client);
            let Some(next) = next.map(|next| number + 1 + next) else { continue };
            if base.facts.lost_at.is_none() || (base.facts.is_revoked && USERS[old.user] == "u2") {
                continue;
            }
            for ends in old.items.len().saturating_sub(3)..=old.items.len() {
                let Some(last) = old.items[..ends].iter().filter_map(|item| item.place).next_back()
                else {
                    continue;
                };
                let was_lost = last.1 >= base.facts.lost_from[Base::realm(old)];
                let items = &base.tracks[next].items;
                for begins in (0..items.len()).filter(|_| was_lost) {
                    let first = items[begins..].iter().find_map(|item| item.place);
                    if first.is_some_and(|first| shows_loss(base, Base::realm(old), last, first)) {
                        sites.push((number, next, ends * 1_000 + begins));
                    }
                }
            }
        }
        sites
    },
    apply: |base, site, _| {
        let (old, new) = (&base.tracks[site.0], &base.tracks[site.1]);
        let mut lines = base.lines(old.writer).to_vec();
        let is_hello =
            |line: &Line| matches!(line.entry, Entry::Hello { cid, .. } if cid == new.cid);
        let at = lines.iter().position(is_hello).unwrap();
        if let Entry::Hello { sock, .. } = lines[at].entry {
            lines[at].entry = Entry::Resumed { sock, cid: old.cid, n: 0 };
        }
        let (ends, begins) = (site.2 / 1_000, site.2 % 1_000);
        let gone = old.items[ends..].iter().chain(&new.items[..begins]);
        for item in gone.rev() {
            lines.remove(item.line);
        }
        rename(&mut lines, new.cid, old.cid);
        renumber(&mut lines, old.cid);
        (old.writer, lines)
    },
};

/// True when places of generations after `last` until `first` show that it was lost.
fn shows_loss(base: &Base, realm: usize, last: (u64, u64), first: (u64, u64)) -> bool {
    let repeats = base.known(realm).any(|(_, fact)| {
        let place = place_of(fact).unwrap();
        place.0 > last.0 && place.0 <= first.0 && place.1 <= last.1
    });
    last.0 < first.0 && (repeats || first.1 <= last.1)
}

pub(crate) const REPLAYED: Kind = Kind {
    name: "an event from before the connection",
    found_by: &[Invariant::Order],
    is_renumbered: true,
    sites: |base| {
        let mut sites = Vec::new();
        for (number, track) in base.tracks.iter().enumerate() {
            let Some(opened_at) = opened_at(base, number) else { continue };
            for (event, fact) in base.known(Base::realm(track)) {
                if fact.acked_at < opened_at {
                    sites.push((number, event, 0));
                }
            }
        }
        sites
    },
    apply: |base, site, _| {
        let track = &base.tracks[site.0];
        let mut lines = base.lines(track.writer).to_vec();
        let mine = |line: &Line| matches!(line.entry, Entry::Hello { cid, .. } if cid == track.cid);
        let at = lines.iter().position(mine).unwrap();
        let mut line = lines[at].clone();
        if let Entry::Hello { sock, cid, .. } = line.entry {
            line.entry = Entry::Received { sock, cid, seq: 1, eid: Some(base.eids[site.1]) };
        }
        lines.insert(at + 1, line);
        renumber(&mut lines, track.cid);
        (track.writer, lines)
    },
};

/// When the attempt began that led to the hello of a track.
fn opened_at(base: &Base, number: usize) -> Option<f64> {
    let track = &base.tracks[number];
    let mut opened_at = None;
    for line in base.lines(track.writer) {
        match &line.entry {
            Entry::Open(_) => opened_at = Some(line.at),
            Entry::Hello { cid, .. } if *cid == track.cid => return opened_at,
            _ => {}
        }
    }
    None
}

pub(crate) const PRESENCE_LIE: Kind = Kind {
    name: "a node is wrong about a user",
    found_by: &[Invariant::Presence],
    is_renumbered: true,
    sites: |base| base.facts.polls.iter().map(|(line, user)| (*line, *user, 0)).collect(),
    apply: |base, site, _| {
        let writer = base.writer("q.jsonl");
        let mut lines = base.lines(writer).to_vec();
        if let Entry::Poll(poll) = &mut lines[site.0].entry {
            let names = &base.history.names;
            let mut asked = poll.users.iter_mut();
            let one = asked.find(|(user, _)| names.text(*user) == USERS[site.1]).unwrap();
            one.1 = !one.1;
        }
        (writer, lines)
    },
};

pub(crate) const AFTER_REVOCATION: Kind = Kind {
    name: "something long after a revocation",
    found_by: &[Invariant::Auth],
    is_renumbered: true,
    sites: |base| {
        let all = 0..base.facts.revoked.len();
        all.flat_map(|index| (0..24).map(move |variant| (index, variant, 0)))
            .filter(|site| {
                let (_, cid, _) = &base.facts.revoked[site.0];
                base.tracks.iter().any(|track| base.history.names.text(track.cid) == cid)
            })
            .collect()
    },
    apply: |base, site, _| after_revocation(base, site),
};

fn after_revocation(base: &Base, site: Site) -> Mutant {
    let (_, cid, revoked_at) = &base.facts.revoked[site.0];
    let mut tracks = base.tracks.iter();
    let track = tracks.find(|track| base.history.names.text(track.cid) == cid).unwrap();
    let mut lines = base.lines(track.writer).to_vec();
    let last = track.items[track.items.len() - 1].line;
    let mut line = lines[last].clone();
    line.at = revoked_at + 5_001.0 + 173.0 * site.1 as f64;
    if let Entry::Received { sock, cid, seq, .. } | Entry::Noop { sock, cid, seq } = line.entry {
        line.entry = match site.1 % 2 {
            0 => Entry::Noop { sock, cid, seq },
            _ => Entry::Received { sock, cid, seq, eid: None },
        };
    }
    lines.insert(last + 1, line);
    renumber(&mut lines, track.cid);
    (track.writer, lines)
}

pub(crate) const REFUSED: Kind = Kind {
    name: "an event that was refused",
    found_by: &[Invariant::Ack],
    is_renumbered: true,
    sites: |base| {
        let mut sites = Vec::new();
        for (event, fact) in base.facts.events.iter().enumerate() {
            let tracks = base.tracks.iter().enumerate();
            let tracks = tracks.filter(|(_, track)| Base::realm(track) == fact.realm);
            for (number, track) in tracks.filter(|_| fact.fate == Fate::Fail) {
                sites.extend((0..track.items.len()).map(|index| (number, index, event)));
            }
        }
        sites
    },
    apply: |base: &Base, site: Site, chance: &mut Chance| crate::kinds::insert(base, site, chance),
};
