//! The order of one realm's log, as far as acknowledgements show it.
//!
//! Other records (statuses, sessions) take offsets, too, so a hole between two
//! acknowledged ones means nothing; order, and one record at one place, do.
//!
//! Invariants: places order by generation first; a later generation that repeats an
//! offset shows that the earlier record there is lost.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    faults::Faults,
    history::{At, Name, Names, Place, Position, Topic},
    maps::Map,
    report::{Invariant, Report},
};

/// An acknowledged record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acked {
    pub(crate) at: At,
    pub(crate) position: Position,
    pub(crate) invoked_at: f64,
    pub(crate) acked_at: f64,
    /// The event, when it is one.
    pub(crate) pid: Option<Name>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    begins: f64,
    first_acked: f64,
    offset_min: u64,
    offset_max: u64,
}

/// A realm's log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    records: Vec<Acked>,
    topics: Map<Topic, Vec<(Place, Name)>>,
    /// Time of an acknowledgement, and the highest place acknowledged until then.
    acked_until: Vec<(f64, Place)>,
    /// Time of an invocation, and the lowest place of those invoked from then on.
    invoked_from: Vec<(f64, Place)>,
    generations: BTreeMap<u64, Span>,
    /// Generations before whose beginning data may be gone.
    doubtful: BTreeSet<u64>,
}

impl Log {
    /// Notes an acknowledged record.
    pub(crate) fn add(&mut self, record: Acked) {
        self.records.push(record);
    }

    /// Notes that an event is for `topic`.
    pub(crate) fn post(&mut self, topic: Topic, place: Place, pid: Name) {
        self.topics.entry(topic).or_default().push((place, pid));
    }

    /// Sorts the events of each topic.
    pub(crate) fn close_topics(&mut self) {
        self.topics.values_mut().for_each(|events| events.sort_unstable());
    }

    /// Sorts what was noted, and checks that it is an order.
    pub(crate) fn close(&mut self, faults: &Faults, names: &Names, report: &mut Report) {
        self.index_times();
        self.index_generations(faults);
        self.records.sort_by_key(|record| record.position.place);
        for pair in self.records.windows(2) {
            if let [left, right] = pair {
                check_pair(left, right, names, report);
            }
        }
        for record in self.records.iter().filter(|record| record.pid.is_some()) {
            let Some(before) = self.acked_before(record.invoked_at) else { continue };
            let place = record.position.place;
            if before.generation == place.generation && before.offset >= place.offset {
                report.add(Invariant::Order, names, Some(record.at), || {
                    let (own, other) = (place.offset, before.offset);
                    format!("got offset {own} though {other} was acknowledged before it began")
                });
            }
        }
    }

    fn index_times(&mut self) {
        self.records.sort_by(|left, right| left.acked_at.total_cmp(&right.acked_at));
        let mut highest = None;
        for record in &self.records {
            let place = record.position.place;
            let place = highest.map_or(place, |highest: Place| highest.max(place));
            highest = Some(place);
            self.acked_until.push((record.acked_at, place));
        }
        self.records.sort_by(|left, right| left.invoked_at.total_cmp(&right.invoked_at));
        let mut lowest = None;
        for record in self.records.iter().rev() {
            let place = record.position.place;
            // What an outdated writer still acknowledged says nothing about the others.
            let newest = self.acked_before(record.invoked_at);
            if newest.is_some_and(|newest| newest.generation > place.generation) {
                continue;
            }
            let place = lowest.map_or(place, |lowest: Place| lowest.min(place));
            lowest = Some(place);
            self.invoked_from.push((record.invoked_at, place));
        }
        self.invoked_from.reverse();
    }

    fn index_generations(&mut self, faults: &Faults) {
        for record in &self.records {
            let Place { generation, offset } = record.position.place;
            let span = self.generations.entry(generation).or_insert(Span {
                begins: record.invoked_at,
                first_acked: record.acked_at,
                offset_min: offset,
                offset_max: offset,
            });
            span.begins = span.begins.min(record.invoked_at);
            span.first_acked = span.first_acked.min(record.acked_at);
            span.offset_min = span.offset_min.min(offset);
            span.offset_max = span.offset_max.max(offset);
        }
        let mut top = None;
        let mut begins = None;
        for (generation, span) in &self.generations {
            let repeats = top.is_some_and(|top| top >= span.offset_min);
            let lost = begins.is_some_and(|begins| faults.log_lost(begins, span.first_acked));
            if repeats || lost {
                self.doubtful.insert(*generation);
            }
            top = Some(top.map_or(span.offset_max, |top: u64| top.max(span.offset_max)));
            begins = Some(span.begins);
        }
    }

    /// The highest place that was acknowledged before `at`.
    pub(crate) fn acked_before(&self, at: f64) -> Option<Place> {
        let end = self.acked_until.partition_point(|(acked_at, _)| *acked_at < at);
        self.acked_until.get(end.checked_sub(1)?).map(|(_, place)| *place)
    }

    /// The lowest place of what was invoked after `at`.
    pub(crate) fn invoked_after(&self, at: f64) -> Option<Place> {
        let begin = self.invoked_from.partition_point(|(invoked_at, _)| *invoked_at <= at);
        self.invoked_from.get(begin).map(|(_, place)| *place)
    }

    /// The events for `topic` between two places, by place; both ends are left out.
    pub(crate) fn between(
        &self,
        topic: Topic,
        after: Option<Place>,
        before: Option<Place>,
    ) -> &[(Place, Name)] {
        let Some(events) = self.topics.get(&topic) else { return &[] };
        let begin = after.map_or(0, |after| events.partition_point(|(place, _)| *place <= after));
        let end = before
            .map_or(events.len(), |before| events.partition_point(|(place, _)| *place < before));
        events.get(begin..end).unwrap_or_default()
    }

    /// True when records of the generations in `(from, to]` show that `offset` of
    /// generation `from` is lost.
    pub(crate) fn is_lost(&self, from: Place, to: u64) -> bool {
        from.generation < to
            && self
                .generations
                .range(from.generation + 1..=to)
                .any(|(_, span)| span.offset_min <= from.offset)
    }

    /// True when what got `place` may have been under way while data went, so that it
    /// may have had a place before.
    pub(crate) fn is_torn(&self, place: Place, invoked_at: f64) -> bool {
        self.doubtful.contains(&place.generation)
            && self
                .generations
                .get(&place.generation)
                .is_some_and(|span| invoked_at < span.first_acked)
    }

    /// True when data may have gone between two generations.
    pub(crate) fn is_doubtful(&self, from: u64, to: u64) -> bool {
        from < to && self.doubtful.range(from + 1..=to).next().is_some()
    }
}

/// Two records that follow each other.
fn check_pair(left: &Acked, right: &Acked, names: &Names, report: &mut Report) {
    let place = right.position.place;
    if left.position.place.generation != place.generation {
        return;
    }
    if left.position.generation != right.position.generation {
        report.add(Invariant::Order, names, Some(right.at), || {
            let (one, other) = (left.position.generation, right.position.generation);
            format!("two generations, {} and {}", names.text(one), names.text(other))
        });
    }
    if left.position.place != place {
        return;
    }
    if left.position.tag != right.position.tag {
        report.add(Invariant::Order, names, Some(right.at), || {
            let (one, other) = (left.position.tag, right.position.tag);
            let (one, other) = (names.text(one), names.text(other));
            format!("offset {} has two tags, {one} and {other}", place.offset)
        });
    } else if left.pid.is_some() && right.pid.is_some() && left.pid != right.pid {
        report.add(Invariant::Order, names, Some(right.at), || {
            format!("offset {} has two events", place.offset)
        });
    }
}
