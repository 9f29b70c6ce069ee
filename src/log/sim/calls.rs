//! What nodes ask of Redis: sent, executed, answered, each at some moment.
//!
//! An answer may be lost after the script ran, and a script may run after the node that
//! sent it was paused or has died.

use std::{rc::Rc, sync::Arc};

use super::{
    client::Track,
    history::Entry,
    redis::{Claimed, Context, Frame, Incarnation, Part, Profile, Row, Seat, Session, State},
    tally::Case,
    world::World,
};
use crate::{
    log::course::{Range, Verdict},
    model::{ConnectionId, Generation, Position, Record},
};

/// A socket of a client: client and number.
pub(super) type Door = (usize, u64);

#[derive(Debug, Clone)]
pub(super) enum Ask {
    Attach,
    Lease,
    Read(u64),
    Probe,
    Confirm,
    Report(u64, Position),
    Publish(Vec<usize>),
    Open(Door, ConnectionId),
    /// A client wants to go on from this number.
    Claim(Door, ConnectionId, u64),
    Forget(ConnectionId),
    Save(Vec<(ConnectionId, Row)>),
    Holds(Vec<(ConnectionId, u64)>),
}

#[derive(Debug)]
pub(super) enum Answer {
    Attached(Position, Vec<Arc<Record>>),
    Range(Range),
    End(Option<Position>),
    Confirmed(Position),
    Verdict(Generation, Verdict),
    Published(Option<(Generation, Vec<Rc<Entry>>)>),
    Opened(Box<Seat>),
    Claimed(Claimed),
    Held(Vec<(ConnectionId, u64, bool)>),
    Nothing,
}

impl Answer {
    /// The place up to which a replica has the log when it has this.
    fn end(&self) -> Option<Position> {
        match self {
            Self::Published(Some((generation, places))) => {
                let generation = generation.clone();
                let last = places.iter().max_by_key(|entry| entry.offset())?;
                Some(Position { generation, offset: last.offset(), tag: last.tag() })
            }
            Self::Confirmed(position) => Some(position.clone()),
            Self::Claimed(Claimed::Granted(seat)) => Some(seat.at.clone()),
            _ => None,
        }
    }
}

#[derive(Debug)]
enum Progress {
    Sent,
    /// Executed there, and waits for a replica.
    Waits(u32, Answer),
    /// `None`: nobody answers.
    Answered(Option<Answer>),
}

/// A request of a node.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) ask: Ask,
    progress: Progress,
    pub(super) life: u32,
    pub(super) since_ms: u64,
    pub(super) is_vouched: bool,
}

impl Call {
    pub(super) fn new(ask: Ask, life: u32, since_ms: u64) -> Self {
        Self { ask, progress: Progress::Sent, life, since_ms, is_vouched: false }
    }

    pub(super) fn is_unheard(&self) -> bool {
        matches!(self.progress, Progress::Sent)
    }
}

impl World {
    /// A client has come to a node.
    pub(super) fn arrive(&mut self, node: usize, door: Door, resume: Option<(ConnectionId, u64)>) {
        let ask = match resume {
            Some((cid, next)) => Ask::Claim(door, cid, next),
            None => Ask::Open(door, self.cid()),
        };
        self.nodes[node].call(ask, self.now_ms);
    }

    fn cid(&mut self) -> ConnectionId {
        let numbers = [self.chance.next(), self.chance.next(), self.chance.next(), 0];
        let mut bytes = [0; 26];
        for (byte, number) in bytes.iter_mut().zip(numbers.iter().flat_map(|n| n.to_le_bytes())) {
            *byte = number;
        }
        ConnectionId::from_random(bytes)
    }

    /// Runs `script` on a server that still answers.
    fn script<R>(
        &mut self,
        replid: u32,
        script: impl FnOnce(&mut State, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let is_zombie = self.servers.is_zombie(replid);
        let server = self.servers.get_mut(replid)?;
        let mut context = Context {
            rules: self.rules,
            replid,
            is_zombie,
            now_ms: self.now_ms + server.skew_ms,
            history: &mut self.history,
            chance: &mut self.chance,
            tally: &mut self.tally,
            frames: Vec::new(),
        };
        let answer = script(&mut server.state, &mut context);
        let frames = context.frames;
        self.overhear(replid, &frames);
        Some(answer)
    }

    /// A call comes one step further. False when there was nothing to do.
    pub(super) fn advance(&mut self, node: usize, index: usize) -> bool {
        let of = &mut self.nodes[node];
        let mut call = of.calls.swap_remove(index);
        let (by, command, runs) = (of.incarnation, of.command, of.runs());
        let life = of.life;
        let is_done = match std::mem::replace(&mut call.progress, Progress::Sent) {
            Progress::Sent => {
                let answer = command.and_then(|replid| self.execute(by, replid, &call.ask));
                call.progress = match (answer, command) {
                    (Some(answer), Some(replid)) if self.waits(&call.ask) => {
                        Progress::Waits(replid, answer)
                    }
                    (answer, _) => {
                        let is_lost = self.loses_answers && self.chance.one_in(12);
                        Progress::Answered(answer.filter(|_| !is_lost))
                    }
                };
                self.say(|_| {
                    format!("n{node}#{by} {:?}@{command:?}: {:?}", call.ask, call.progress)
                });
                false
            }
            Progress::Waits(replid, answer) => {
                let has_replica = self.servers.wait(replid);
                if let (true, Some(position)) = (has_replica, answer.end()) {
                    // Told by its own message, which may be lost.
                    if !self.chance.one_in(8) {
                        self.overhear(replid, &[Frame::Confirmed(position)]);
                    }
                }
                if !has_replica {
                    self.note_unreplicated(replid, &call.ask);
                }
                call.progress = Progress::Answered(Some(answer).filter(|_| has_replica));
                false
            }
            Progress::Answered(answer) if runs => match self.finish(node, &mut call, answer) {
                None => true,
                Some(answer) => {
                    call.progress = Progress::Answered(Some(answer));
                    self.nodes[node].calls.push(call);
                    return false;
                }
            },
            progress @ Progress::Answered(_) => {
                call.progress = progress;
                self.nodes[node].calls.push(call);
                return false;
            }
        };
        if !is_done {
            self.nodes[node].calls.push(call);
        }
        debug_assert!(self.nodes[node].life >= life);
        true
    }

    fn waits(&self, ask: &Ask) -> bool {
        self.rules.profile == Profile::Ha
            && match ask {
                Ask::Publish(_) | Ask::Confirm => true,
                Ask::Attach | Ask::Report(..) | Ask::Open(..) => self.rules.holds_back(),
                Ask::Claim(..) => self.rules.keep(Part::ReplicatedClaims),
                Ask::Lease
                | Ask::Read(_)
                | Ask::Probe
                | Ask::Forget(_)
                | Ask::Save(_)
                | Ask::Holds(_) => false,
            }
    }

    fn note_unreplicated(&mut self, replid: u32, ask: &Ask) {
        self.tally.met(Case::WaitFailed);
        let is_zombie = self.servers.is_zombie(replid);
        match ask {
            Ask::Publish(_) if is_zombie => self.tally.met(Case::ZombieRefused),
            Ask::Claim(..) => self.tally.met(Case::ClaimNotReplicated),
            _ => {}
        }
    }

    pub(super) fn run_orphan(&mut self, index: usize) {
        let (by, replid, ask) = self.orphans.swap_remove(index);
        self.execute(by, replid, &ask);
    }

    fn execute(&mut self, by: Incarnation, replid: u32, ask: &Ask) -> Option<Answer> {
        match ask {
            Ask::Attach => self
                .script(replid, |state, c| state.attach(by, c))?
                .map(|(at, backlog)| Answer::Attached(at, backlog)),
            Ask::Lease => self.script(replid, |state, c| {
                state.lease(by, c.now_ms);
                Answer::Nothing
            }),
            Ask::Read(after) => {
                self.script(replid, |state, c| Answer::Range(state.read(*after, c)))
            }
            Ask::Probe => self.script(replid, |state, c| Answer::End(state.end(c))),
            Ask::Confirm => self
                .script(replid, |state, c| {
                    state.check(c);
                    state.end(c)
                })?
                .map(Answer::Confirmed),
            Ask::Report(_, highest) => self.script(replid, |state, c| {
                let (generation, verdict) = state.report(by, highest, c);
                Answer::Verdict(generation, verdict)
            }),
            Ask::Publish(ids) => {
                let what = |id: &usize| (*id, self.publications[*id].what);
                let drafts: Vec<_> = ids.iter().map(what).collect();
                self.script(replid, |state, c| Answer::Published(state.publish(&drafts, c)))
            }
            Ask::Open(door, cid) => {
                let user = self.clients[door.0].user;
                let seat = self.script(replid, |state, c| state.open((*cid, user), by, c))??;
                let track = Track::new(user, Rc::clone(&seat.session.base), self.now_ms, by);
                self.check_base(replid, &track);
                self.tracks.insert(*cid, track);
                Some(Answer::Opened(Box::new(seat)))
            }
            Ask::Claim(_, cid, _) => {
                let claimed = self.script(replid, |state, c| state.claim(*cid, by, c))?;
                if let Claimed::Granted(seat) = &claimed {
                    self.check_claim(replid, *cid, &seat.session);
                }
                Some(Answer::Claimed(claimed))
            }
            Ask::Forget(cid) => self.script(replid, |state, _| {
                state.sessions.remove(cid);
                Answer::Nothing
            }),
            Ask::Save(rows) => {
                let is_late = |state: &State| {
                    rows.iter().any(|(cid, row)| {
                        state.sessions.get(cid).is_some_and(|s| s.fencing != row.2 || s.owner != by)
                    })
                };
                let late = self.script(replid, |state, _| {
                    state.checkpoint(by, rows);
                    is_late(state)
                })?;
                if late {
                    self.tally.met(Case::LateCheckpoint);
                }
                Some(Answer::Nothing)
            }
            Ask::Holds(rows) => self.script(replid, |state, _| {
                let held = |(cid, fencing): &(ConnectionId, u64)| {
                    (*cid, *fencing, state.holds(by, *cid, *fencing))
                };
                Answer::Held(rows.iter().map(held).collect())
            }),
        }
    }

    /// The place from which a claim goes on must be a true one, and its number a new one.
    fn check_claim(&mut self, replid: u32, cid: ConnectionId, session: &Session) {
        if !self.holders.insert((replid, cid, session.fencing)) {
            let text = format!("{cid} was claimed twice as {}", session.fencing);
            return self.fail("S3", text);
        }
        let Some(server) = self.servers.get(replid) else { return };
        let place = server.state.tip.at(session.cursor);
        let count = place.and_then(|place| place.count_for(session.user, &session.base));
        if count != Some(session.seq - 1) {
            let text =
                format!("{cid} is said to be at {:?}: {count:?}", (session.seq, session.cursor));
            self.fail("S3", text);
        }
    }
}
