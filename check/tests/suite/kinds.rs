//! The kinds of mutants: where each can be made so that a promise is surely broken,
//! and how.

use hubbub_check::{
    history::{Entry, Line, Name, Phase},
    report::Invariant,
};

use crate::{
    base::{Base, Item, Track, cid_mut, received_like, renumber},
    chance::Chance,
    world::{Fate, GROUPS, To, USERS},
};

/// A place for a mutant; what the numbers mean is the kind's own.
pub(crate) type Site = (usize, usize, usize);
/// The file that changes, and what is in it then.
pub(crate) type Mutant = (usize, Vec<Line>);

pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// At least one of these must be violated.
    pub(crate) found_by: &'static [Invariant],
    /// True when the numbers are right again, so that they give nothing away.
    pub(crate) is_renumbered: bool,
    pub(crate) sites: fn(&Base) -> Vec<Site>,
    pub(crate) apply: fn(&Base, Site, &mut Chance) -> Mutant,
}

/// All items as sites that `wanted` accepts: track and index.
pub(crate) fn items(base: &Base, wanted: impl Fn(&Track, usize, &Item) -> bool) -> Vec<Site> {
    let mut sites = Vec::new();
    for (number, track) in base.tracks.iter().enumerate() {
        for (index, item) in track.items.iter().enumerate() {
            if wanted(track, index, item) {
                sites.push((number, index, 0));
            }
        }
    }
    sites
}

fn at(base: &Base, site: Site) -> (&Track, Item, Vec<Line>) {
    let track = &base.tracks[site.0];
    (track, track.items[site.1], base.lines(track.writer).to_vec())
}

fn has_step(items: &[Item]) -> bool {
    items.iter().any(|item| item.place.is_some())
}

fn is_between_steps(track: &Track, from: usize, to: usize) -> bool {
    has_step(&track.items[..from]) && has_step(&track.items[to + 1..])
}

/// Sites for an event of `realm` and track that would stand in order.
pub(crate) fn insertions(
    base: &Base,
    wanted: impl Fn(&Track, &crate::world::EventFact) -> bool,
) -> Vec<Site> {
    let mut sites = Vec::new();
    for (number, track) in base.tracks.iter().enumerate() {
        for (event, fact) in base.known(Base::realm(track)) {
            let Some(place) = fact.place else { continue };
            if wanted(track, fact)
                && let Some(index) = base.fits_after(track, place)
            {
                sites.push((number, index, event));
            }
        }
    }
    sites
}

pub(crate) fn insert(base: &Base, site: Site, _: &mut Chance) -> Mutant {
    let (track, item, mut lines) = at(base, site);
    lines.insert(item.line + 1, received_like(&lines[item.line], base.eids[site.2]));
    renumber(&mut lines, track.cid);
    (track.writer, lines)
}

fn drop_one(base: &Base, site: Site, _: &mut Chance) -> Mutant {
    let (track, item, mut lines) = at(base, site);
    lines.remove(item.line);
    (track.writer, lines)
}

fn drop_and_renumber(base: &Base, site: Site, chance: &mut Chance) -> Mutant {
    let (writer, mut lines) = drop_one(base, site, chance);
    renumber(&mut lines, base.tracks[site.0].cid);
    (writer, lines)
}

pub(crate) const DROPPED: Kind = Kind {
    name: "a number is missing",
    found_by: &[Invariant::Seq],
    is_renumbered: false,
    sites: |base| items(base, |track, index, _| index + 1 < track.items.len()),
    apply: drop_one,
};

pub(crate) const DOUBLED: Kind = Kind {
    name: "an event comes twice",
    found_by: &[Invariant::Dup],
    is_renumbered: true,
    sites: |base| items(base, |_, _, item| item.event.is_some() && !item.is_noop),
    apply: |base, site, _| {
        let (track, item, mut lines) = at(base, site);
        lines.insert(item.line + 1, lines[item.line].clone());
        renumber(&mut lines, track.cid);
        (track.writer, lines)
    },
};

pub(crate) const SWAPPED: Kind = Kind {
    name: "two events change places",
    found_by: &[Invariant::Order],
    is_renumbered: true,
    sites: |base| {
        items(base, |track, index, item| {
            item.place.is_some() && has_step(&track.items[index + 1..])
        })
    },
    apply: |base, site, chance| {
        let (track, item, mut lines) = at(base, site);
        let later = track.items[site.1 + 1..].iter().filter(|item| item.place.is_some());
        let later: Vec<&Item> = later.take(3).collect();
        let other = later[chance.below(later.len())];
        let (one, two) = (item.event.unwrap(), other.event.unwrap());
        lines[item.line] = received_like(&lines[item.line], base.eids[two]);
        lines[other.line] = received_like(&lines[other.line], base.eids[one]);
        (track.writer, lines)
    },
};

pub(crate) const RETARGETED: Kind = Kind {
    name: "another's event in the place of one's own",
    found_by: &[Invariant::Entitled],
    is_renumbered: true,
    sites: |base| {
        let mut sites = Vec::new();
        for (number, index, _) in items(base, |_, _, item| item.place.is_some()) {
            let track = &base.tracks[number];
            let own = base.history.names.text(track.cid);
            for (event, fact) in base.known(Base::realm(track)) {
                let is_foreign = match fact.to {
                    To::User(user) => user != track.user,
                    To::Connection(_) => fact.to_cid.as_deref() != Some(own),
                    To::Everyone | To::Group(_) => fact.omit_user == Some(track.user),
                };
                if is_foreign {
                    sites.push((number, index, event));
                }
            }
        }
        sites
    },
    apply: |base, site, _| {
        let (track, item, mut lines) = at(base, site);
        lines[item.line] = received_like(&lines[item.line], base.eids[site.2]);
        (track.writer, lines)
    },
};

pub(crate) const LEAKED: Kind = Kind {
    name: "an event of a channel that the user was never in",
    found_by: &[Invariant::Entitled],
    is_renumbered: true,
    sites: |base| {
        insertions(base, |track, fact| track.user != 0 && fact.to == To::Group(GROUPS.len() - 1))
    },
    apply: insert,
};

pub(crate) const AFTER_REMOVAL: Kind = Kind {
    name: "an event of a channel that the user has left",
    found_by: &[Invariant::Entitled],
    is_renumbered: true,
    sites: |base| {
        insertions(base, |track, fact| {
            let To::Group(group) = fact.to else { return false };
            let Some(changes) = base.sure_changes(track.user, group) else { return false };
            let before = changes.iter().filter(|one| one.place.is_some() && one.place < fact.place);
            let last = before.max_by_key(|one| one.place);
            base.facts.lost_at.is_none() && last.is_some_and(|last| !last.add)
        })
    },
    apply: insert,
};

pub(crate) const WRONG_TENANT: Kind = Kind {
    name: "an event of another realm",
    found_by: &[Invariant::Tenant],
    is_renumbered: true,
    sites: |base| {
        let mut sites = Vec::new();
        for (number, index, _) in items(base, |_, _, _| true) {
            let other = 1 - Base::realm(&base.tracks[number]);
            sites.extend(base.known(other).map(|(event, _)| (number, index, event)));
        }
        sites
    },
    apply: insert,
};

pub(crate) const RENUMBERED: Kind = Kind {
    name: "a number is another one",
    found_by: &[Invariant::Seq],
    is_renumbered: false,
    sites: |base| items(base, |_, _, _| true),
    apply: |base, site, chance| {
        let (track, item, mut lines) = at(base, site);
        if let Entry::Received { seq, .. } | Entry::Noop { seq, .. } = &mut lines[item.line].entry {
            let other = chance.next() % (*seq + 6);
            *seq = if other == *seq { *seq + 1 } else { other };
        }
        (track.writer, lines)
    },
};

pub(crate) const TAIL_LOST: Kind = Kind {
    name: "a client does not arrive at the end",
    found_by: &[Invariant::Live],
    is_renumbered: true,
    sites: |base| {
        let is_barrier =
            |item: &Item| item.event.is_some_and(|event| base.facts.barriers.contains(&event));
        let ends = items(base, |track, _, item| {
            is_barrier(item) && !(base.facts.is_revoked && USERS[track.user] == "u2")
        });
        let lengths = ends.iter().flat_map(|end| (0..=end.1.min(4)).map(|n| (end.0, end.1, n)));
        lengths.collect()
    },
    apply: |base, site, _| {
        let (track, _, mut lines) = at(base, site);
        for item in track.items[site.1 - site.2..].iter().rev() {
            lines.remove(item.line);
        }
        // A resume of which nothing is left was not seen to be one.
        renumber(&mut lines, track.cid);
        (track.writer, lines)
    },
};

pub(crate) const SILENT_GAP: Kind = Kind {
    name: "an event is missing and nothing shows it",
    found_by: &[Invariant::Ack],
    is_renumbered: true,
    sites: |base| {
        items(base, |track, index, item| {
            base.is_required(track, item) && is_between_steps(track, index, index)
        })
    },
    apply: drop_and_renumber,
};

pub(crate) const WITHHELD: Kind = Kind {
    name: "a body is withheld that may not be",
    found_by: &[Invariant::Ack],
    is_renumbered: true,
    sites: SILENT_GAP.sites,
    apply: |base, site, _| {
        let (track, item, mut lines) = at(base, site);
        if let Entry::Received { sock, cid, seq, .. } = lines[item.line].entry {
            lines[item.line].entry = Entry::Noop { sock, cid, seq };
        }
        (track.writer, lines)
    },
};

pub(crate) const GAP_ACROSS_RESUME: Kind = Kind {
    name: "events around a resume are missing and nothing shows it",
    found_by: &[Invariant::Ack],
    is_renumbered: true,
    sites: |base| {
        let mut sites = Vec::new();
        for (number, index, _) in items(base, |track, index, _| {
            let resumes = |line: &Line| matches!(line.entry, Entry::Resumed { .. });
            let [this, next] = &track.items[index..].get(..2).unwrap_or_default() else {
                return false;
            };
            base.lines(track.writer)[this.line..next.line].iter().any(resumes)
        }) {
            let track = &base.tracks[number];
            for (from, to) in [(0, 1), (1, 1), (1, 2), (0, 2), (2, 3)] {
                let (Some(from), to) = (index.checked_sub(from), index + to) else { continue };
                let Some(gone) = track.items.get(from..=to) else { continue };
                if gone.iter().any(|item| base.is_required(track, item))
                    && is_between_steps(track, from, to)
                {
                    sites.push((number, from, to));
                }
            }
        }
        sites
    },
    apply: |base, site, _| {
        let (track, _, mut lines) = at(base, site);
        for item in track.items[site.1..=site.2].iter().rev() {
            lines.remove(item.line);
        }
        renumber(&mut lines, track.cid);
        (track.writer, lines)
    },
};

pub(crate) const PUBLISHED_TWICE: Kind = Kind {
    name: "a publish is acknowledged at two places",
    found_by: &[Invariant::Dedupe],
    is_renumbered: true,
    sites: |base| {
        let writer = base.writer("p.jsonl");
        let lines = base.lines(writer).iter().enumerate();
        let is_acked = |line: &Line| match &line.entry {
            Entry::Publish(publish) => matches!(publish.phase, Phase::Ok(_)),
            _ => false,
        };
        lines.filter(|(_, line)| is_acked(line)).map(|(index, _)| (writer, index, 0)).collect()
    },
    apply: |base, (writer, index, _), chance| {
        let mut lines = base.lines(writer).to_vec();
        let mut again = lines[index].clone();
        if let Entry::Publish(publish) = &mut again.entry
            && let Phase::Ok(position) = &mut publish.phase
        {
            position.place.offset += 1 + chance.next() % 50;
            position.tag = base.fresh;
        }
        lines.push(again);
        (writer, lines)
    },
};

pub(crate) const TWICE_IN_LOG: Kind = Kind {
    name: "an event of unknown outcome is at two places",
    found_by: &[Invariant::Dedupe, Invariant::Order, Invariant::Entitled],
    is_renumbered: true,
    sites: |base| {
        if base.facts.lost_at.is_some() {
            return Vec::new();
        }
        let seen = items(base, |_, _, item| {
            !item.is_noop
                && item.event.is_some_and(|event| {
                    base.facts.events[event].fate == Fate::Info { applied: true }
                })
        });
        let mut sites = Vec::new();
        for one in &seen {
            let event = base.tracks[one.0].items[one.1].event;
            let later = base.tracks[one.0].items[one.1 + 1..].iter();
            let Some(before) = later.filter_map(|item| item.place).next() else { continue };
            for other in &seen {
                let items = &base.tracks[other.0].items;
                let is_past = |item: &Item| item.place.is_some_and(|place| place >= before);
                let past = items[other.1..].iter().position(is_past);
                if let Some(past) = past
                    && other.0 != one.0
                    && items[other.1].event == event
                {
                    sites.push((other.0, other.1, other.1 + past));
                }
            }
        }
        sites.sort_unstable();
        sites.dedup();
        sites
    },
    apply: |base, site, _| {
        let (track, item, mut lines) = at(base, site);
        let line = lines[item.line].clone();
        let target = track.items[site.2].line;
        let moved = received_like(&lines[target], base.eids[item.event.unwrap()]);
        lines.insert(target + 1, moved);
        lines.retain(|other| other != &line);
        renumber(&mut lines, track.cid);
        (track.writer, lines)
    },
};

/// Gives `lines` from `from` on, of connection `old`, to connection `new`.
pub(crate) fn rename(lines: &mut [Line], old: Name, new: Name) {
    for line in lines {
        if let Some(cid) = cid_mut(&mut line.entry).filter(|cid| **cid == old) {
            *cid = new;
        }
    }
}
