//! What was done to the cluster, and to those in it, that excuses or forbids things.
//!
//! Invariants: an excuse has a time; what happened outside of it is not excused.

use crate::{
    history::{Entry, History, Name, Phase, Place},
    maps::Map,
};

/// How long after its end a fault may still be the cause of a reset.
const GRACE_MS: f64 = 30_000.0;
/// How long a socket may outlive its token or the revocation of its user.
pub(crate) const AUTH_GRACE_MS: f64 = 5_000.0;

/// A fault that may take data away.
#[derive(Debug, Clone, Copy)]
struct Loss {
    fault: Name,
    from: f64,
    to: f64,
    /// False where only old records go, and the log stays what it is.
    changes_log: bool,
}

/// A revocation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Revocation {
    /// When it was asked for.
    pub(crate) invoked_at: f64,
    /// Where it is, and when that was known.
    pub(crate) acked: Option<(Place, f64)>,
}

/// Faults, revocations, tokens.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    losses: Vec<Loss>,
    revocations: Map<(Name, Name), Vec<Revocation>>,
    /// For each user, when tokens were given and until when.
    tokens: Map<Name, Vec<(f64, f64)>>,
}

impl Faults {
    /// Collects them.
    pub(crate) fn of(history: &History) -> Self {
        let mut found = Self::default();
        for (_, line) in history.lines() {
            match &line.entry {
                Entry::Fault { fault, begins, lossy } => {
                    let name = history.names.text(*fault);
                    let ages = name.contains("trim") || name.contains("expire");
                    if *begins && (*lossy || ages) {
                        let loss = Loss {
                            fault: *fault,
                            from: line.at,
                            to: f64::INFINITY,
                            changes_log: !ages,
                        };
                        found.losses.push(loss);
                    } else if !*begins {
                        found.heal(*fault, line.at);
                    }
                }
                Entry::Revoke { user, realm, phase } => {
                    let key = (*realm, *user);
                    found.revoke(key, *phase, line.at);
                }
                Entry::Token { user, not_after } => {
                    found.tokens.entry(*user).or_default().push((line.at, *not_after));
                }
                Entry::Publish(_)
                | Entry::Member(_)
                | Entry::Open(_)
                | Entry::Hello { .. }
                | Entry::Resumed { .. }
                | Entry::Received { .. }
                | Entry::Noop { .. }
                | Entry::Close { .. }
                | Entry::End
                | Entry::Node
                | Entry::Poll(_)
                | Entry::Barrier { .. } => {}
            }
        }
        found
    }

    fn heal(&mut self, fault: Name, at: f64) {
        let same = |loss: &&mut Loss| loss.fault == fault && loss.from <= at && loss.to > at;
        self.losses.iter_mut().filter(same).for_each(|loss| loss.to = at);
    }

    /// Revocations of one user come one after the other.
    fn revoke(&mut self, key: (Name, Name), phase: Phase, at: f64) {
        let all = self.revocations.entry(key).or_default();
        match phase {
            Phase::Invoke => all.push(Revocation { invoked_at: at, acked: None }),
            Phase::Ok(position) => match all.last_mut() {
                Some(last) if last.acked.is_none() => last.acked = Some((position.place, at)),
                _ => all.push(Revocation { invoked_at: at, acked: Some((position.place, at)) }),
            },
            Phase::Fail | Phase::Info => {}
        }
    }

    /// The revocations of a user.
    pub(crate) fn revocations(&self, realm: Name, user: Name) -> &[Revocation] {
        self.revocations.get(&(realm, user)).map_or(&[], Vec::as_slice)
    }

    /// True when a fault may have ended, until `at`, a connection that began at `born`.
    pub(crate) fn may_reset(&self, born: f64, at: f64) -> bool {
        self.losses.iter().any(|loss| loss.from <= at && born <= loss.to + GRACE_MS)
    }

    /// True when a fault that may change the log began in this time.
    pub(crate) fn log_lost(&self, from: f64, to: f64) -> bool {
        self.losses.iter().any(|loss| loss.changes_log && loss.from >= from && loss.from <= to)
    }

    /// True when a fault that may change the log was there while a request was under
    /// way that has an answer.
    pub(crate) fn log_shaken(&self, from: f64, to: f64) -> bool {
        self.losses.iter().any(|loss| loss.changes_log && loss.from <= to && loss.to >= from)
    }

    /// The same, for a request of which nobody knows how late it still arrived.
    pub(crate) fn may_tear(&self, from: f64, to: f64) -> bool {
        let overlaps = |loss: &Loss| loss.from <= to && loss.to + GRACE_MS >= from;
        self.losses.iter().any(|loss| loss.changes_log && overlaps(loss))
    }

    /// True when a user got a token in this time.
    pub(crate) fn token_given(&self, user: Name, from: f64, to: f64) -> bool {
        let tokens = self.tokens.get(&user).map_or(&[][..], Vec::as_slice);
        tokens.iter().any(|(at, _)| *at > from && *at <= to)
    }

    /// When the last token of a user ends, if any is known.
    pub(crate) fn token_end(&self, user: Name) -> Option<f64> {
        self.tokens.get(&user)?.iter().map(|(_, end)| *end).reduce(f64::max)
    }
}
