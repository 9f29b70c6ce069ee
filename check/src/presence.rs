//! What nodes say about users, beside what the users' clients know.
//!
//! Invariants: an answer is right when it was true at any time within the allowed
//! delay; a client that was connecting may be seen as there, or not.

use crate::{
    history::{Entry, History, Name, Names},
    maps::Map,
    report::{Invariant, Report},
    sessions::{Client, Stay},
};

/// Checks every poll.
pub(crate) fn check(history: &History, clients: &[Client], within_ms: f64, report: &mut Report) {
    let mut stays: Map<(Name, Name), Vec<Stay>> = Map::default();
    for client in clients {
        stays.entry((client.realm, client.user)).or_default().extend(&client.stays);
    }
    stays.values_mut().for_each(|stays| {
        stays.sort_by(|left, right| left.up_at.total_cmp(&right.up_at));
    });
    let names = &history.names;
    for (at, line) in history.lines() {
        let Entry::Poll(poll) = &line.entry else { continue };
        for (user, is_there) in &poll.users {
            report.counts.polls += 1;
            let stays = stays.get(&(poll.realm, *user)).map_or(&[][..], Vec::as_slice);
            let (from, to) = (line.at - within_ms, line.at);
            let is_right =
                if *is_there { was_there(stays, from, to) } else { was_away(stays, from, to) };
            if !is_right {
                report.add(Invariant::Presence, names, Some(at), || {
                    tell(names, poll.node, *user, *is_there)
                });
            }
        }
    }
}

fn tell(names: &Names, node: Name, user: Name, is_there: bool) -> String {
    let (said, truth) = if is_there { ("there", "was not") } else { ("offline", "was there") };
    format!("{} says that {} is {said}, who {truth}", names.text(node), names.text(user))
}

/// True when the user may have been there at any time from `from` to `to`.
fn was_there(stays: &[Stay], from: f64, to: f64) -> bool {
    stays.iter().any(|stay| stay.opened_at <= to && stay.down_at >= from)
}

/// True unless the user was surely there all the time from `from` to `to`.
fn was_away(stays: &[Stay], from: f64, to: f64) -> bool {
    let mut covered = from;
    for stay in stays {
        if stay.up_at > covered {
            return true;
        }
        covered = covered.max(stay.down_at);
        if covered >= to {
            return false;
        }
    }
    covered < to
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAYS: [Stay; 2] = [
        Stay { opened_at: 9.0, up_at: 10.0, down_at: 20.0 },
        Stay { opened_at: 18.0, up_at: 19.0, down_at: 30.0 },
    ];

    /// Goal: two sockets that overlap are one stay.
    #[test]
    fn who_was_there_all_the_time_was_not_away() {
        let check = |from, to, there, away| {
            assert_eq!(was_there(&STAYS, from, to), there, "there {from} to {to}");
            assert_eq!(was_away(&STAYS, from, to), away, "away {from} to {to}");
        };
        check(10.0, 30.0, true, false);
        check(9.0, 30.0, true, true);
        check(12.0, 31.0, true, true);
        check(0.0, 8.0, false, true);
        check(31.0, 40.0, false, true);
        check(12.0, 25.0, true, false);
    }
}
