//! The law: each socket receives its stretch of the function, from any log, at any lag.

use proptest::prelude::*;

use super::stage::*;
use crate::{
    hub::{Attached, ResetCause, Start},
    model::{Audience, Body, Rule, Scope, Sight, Subject, Topic, Who, Workspace},
};

const USERS: [&str; 3] = ["u0", "u1", "u2"];
const CHANNELS: [&str; 2] = ["c0", "c1"];

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    /// To whom, and (ephemeral, the user and the session that are left out).
    Publish {
        to: u8,
        who: usize,
        ephemeral: bool,
        omit: u8,
    },
    Member {
        user: usize,
        channel: usize,
        joins: bool,
    },
    Watch {
        session: usize,
        user: usize,
        begins: bool,
    },
    /// A bus event with a face for each of these audiences.
    Bus(Vec<u8>),
    Feed(usize),
    Connect {
        user: usize,
        reads: u8,
    },
    Drop {
        session: usize,
    },
    /// How many numbers before the newest the client is, or ahead of it by one.
    Resume {
        session: usize,
        behind: u64,
        is_ahead: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..7_u8, 0..8_usize, any::<bool>(), 0..4_u8)
            .prop_map(|(to, who, ephemeral, omit)| Step::Publish { to, who, ephemeral, omit }),
        4 => (0..3_usize, 0..3_usize, any::<bool>())
            .prop_map(|(user, channel, joins)| Step::Member { user, channel, joins }),
        2 => (0..8_usize, 0..3_usize, any::<bool>())
            .prop_map(|(session, user, begins)| Step::Watch { session, user, begins }),
        3 => prop::collection::vec(0..12_u8, 0..4).prop_map(Step::Bus),
        4 => (1..6_usize).prop_map(Step::Feed),
        2 => (0..3_usize, 0..6_u8).prop_map(|(user, reads)| Step::Connect { user, reads }),
        1 => (0..8_usize).prop_map(|session| Step::Drop { session }),
        3 => (0..8_usize, 0..6_u64, prop::bool::weighted(0.1))
            .prop_map(|(session, behind, is_ahead)| Step::Resume { session, behind, is_ahead }),
    ];
    prop::collection::vec(step, 1..80)
}

/// Who gets a face, by number.
fn audience(number: u8) -> Audience {
    match number {
        0..3 => Audience::User(id(USERS[usize::from(number)])),
        3..5 => Audience::Role(id("boss")),
        5 => Audience::Admins,
        6..9 => Audience::Members { workspace: id("w0"), sight: None },
        _ => Audience::Members { workspace: id("w0"), sight: Some(hidden_from_bosses()) },
    }
}

/// A place that only those see who are no bosses.
fn hidden_from_bosses() -> Box<Sight> {
    let who = Who::Role(id("boss"));
    let rule = Rule { who, path: "a".to_owned(), read: false, write: false };
    let workspace = Workspace { rules: vec![rule], ..Workspace::default() };
    let seen = vec!["a/b".to_owned()];
    Box::new(Sight { workspace: workspace.into(), seen, hidden: Vec::new(), policies: None })
}

fn workspace() -> Topic {
    Topic::Workspace(id("w0"))
}

/// The second user is a boss, the third an administrator.
fn subject(user: usize) -> Subject {
    let roles = if user == 1 { vec![id("boss")] } else { Vec::new() };
    Subject { roles, profile: (user == 2).then(|| "admin".into()) }
}

/// A session, its socket and what was promised to it.
struct Case {
    session: Session,
    socket: Option<(Socket, u64)>,
    /// The checkpoint that the log holds.
    place: (u64, u64),
    is_over: bool,
}

struct World {
    stage: Stage,
    cases: Vec<Case>,
}

impl World {
    fn body(&self, to: u8, who: usize, ephemeral: bool, omit: u8) -> Body {
        let session = self.cases.get(who % self.cases.len().max(1)).map(|case| case.session.id);
        let topic = match to {
            0 => Topic::User(id(USERS[who % 3])),
            1 | 2 => channel(CHANNELS[who % 2]),
            3 => Topic::Everyone,
            4 => Topic::Room(id("r")),
            5 => Topic::Status(id(USERS[who % 3])),
            _ => session.map_or(Topic::Everyone, Topic::Connection),
        };
        let omit_users = if omit == 1 { vec![id(USERS[who % 3])] } else { Vec::new() };
        let omit_connection = if omit == 2 { session } else { None };
        Body::Event(crate::model::Event { ephemeral, omit_users, omit_connection, ..event(topic) })
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Publish { to, who, ephemeral, omit } => {
                let body = self.body(to, who, ephemeral, omit);
                self.stage.append(body);
            }
            Step::Member { user, channel: name, joins } => {
                let user = &[USERS[user]][..];
                let (add, remove) = if joins { (user, &[][..]) } else { (&[][..], user) };
                let topic = if name == 2 { workspace() } else { channel(CHANNELS[name]) };
                self.stage.append(members(&topic, add, remove));
            }
            Step::Watch { session, user, begins } => {
                let Some(case) = self.cases.get(session) else { return };
                if case.session.scope != Scope::Member {
                    return;
                }
                let (connection, user) = (case.session.id, vec![Topic::Status(id(USERS[user]))]);
                let (add, remove) = if begins { (user, Vec::new()) } else { (Vec::new(), user) };
                self.stage.append(Body::Watch { connection, add, remove });
            }
            Step::Bus(audiences) => {
                let audiences = audiences.into_iter().map(audience).collect();
                self.stage.append_bus(audiences);
            }
            Step::Feed(count) => self.stage.feed(count),
            Step::Connect { user, reads } => self.connect(user, reads).await,
            Step::Drop { session } => self.end(session),
            Step::Resume { session, behind, is_ahead } => {
                self.resume(session, behind, is_ahead).await;
            }
        }
    }

    async fn connect(&mut self, user: usize, reads: u8) {
        if self.cases.len() == 8 {
            return;
        }
        let scope = match reads {
            0 => Scope::Room(id("r")),
            1 | 2 => Scope::Bus(subject(user).into()),
            _ => Scope::Member,
        };
        let session = self.stage.session(USERS[user], scope);
        let place = (1, session.base);
        let (attached, socket) = self.stage.attach(&session, Start::Fresh).await;
        assert_eq!(attached, Attached::Fresh);
        self.cases.push(Case { session, socket: Some((socket, 0)), place, is_over: false });
    }

    async fn resume(&mut self, number: usize, behind: u64, is_ahead: bool) {
        let Some(case) = self.cases.get_mut(number).filter(|case| !case.is_over) else { return };
        let seen = self.stage.seen().max(case.session.base);
        let count = self.stage.function(&case.session, seen).len() as u64 + 1;
        let next = if is_ahead { count + 1 + behind } else { count.saturating_sub(behind).max(1) };
        let (seq, cursor) = case.place;
        let start = Start::Resume { next, seq, cursor, base: case.session.base };
        let old = case.socket.take();
        let session = case.session.clone();
        let (attached, socket) = self.stage.attach(&session, start).await;
        if let Some((old, first)) = old {
            assert_eq!(old.link.closed_with(), Some(4409));
            self.check(&session, old, first);
        }
        let case = &mut self.cases[number];
        match attached {
            Attached::Resumed { replayed } => {
                assert!(!is_ahead);
                assert_eq!(replayed as u64, count - next);
                case.socket = Some((socket, next));
            }
            Attached::Behind => assert!(cursor > self.stage.seen()),
            Attached::Reset(cause) => {
                assert_eq!((cause, is_ahead), (ResetCause::Ahead, true));
                case.is_over = true;
            }
            Attached::Fresh | Attached::Ended | Attached::Superseded | Attached::Doubtful => {
                panic!("{attached:?}")
            }
        }
    }

    /// The socket ends; its place is written down.
    fn end(&mut self, number: usize) {
        let Some(case) = self.cases.get_mut(number) else { return };
        let Some((socket, first)) = case.socket.take() else { return };
        let session = case.session.clone();
        self.stage.detach(&session, &socket);
        case.place = socket.link.left_at().unwrap();
        let (seq, cursor) = case.place;
        assert_eq!(seq, self.stage.function(&session, cursor).len() as u64 + 1, "the checkpoint");
        self.check(&session, socket, first);
    }

    /// What a socket received is its stretch of the function, up to where the hub is.
    fn check(&self, session: &Session, socket: Socket, first: u64) {
        let all = self.stage.function(session, self.stage.seen().max(session.base));
        let mut frames = socket.end();
        if first == 0 {
            assert_eq!(frames.remove(0), Frame::Hello);
        }
        if frames.last() == Some(&Frame::Close(4409)) {
            frames.pop();
        }
        let first = first.max(1);
        let stretch = &all[usize::try_from(first).unwrap() - 1..];
        assert!(frames.len() <= stretch.len(), "{} frames, {} events", frames.len(), stretch.len());
        for (number, (frame, expected)) in (first..).zip(frames.iter().zip(stretch)) {
            let Frame::Event { seq, offset } = frame else { panic!("{frame:?}") };
            assert_eq!(*seq, number);
            assert!(offset.is_none_or(|offset| offset == *expected), "{frame:?} is not {expected}");
        }
        // Only bodies that were withheld may still wait, for company.
        let is_withheld = |offset: &u64| {
            let record = &self.stage.records[usize::try_from(*offset).unwrap() - 1];
            // A face about a workspace that was left is withheld.
            let Body::Event(event) = &record.body else { return !record.faces().is_empty() };
            event.ephemeral || event.to.has_members()
        };
        assert!(stretch[frames.len()..].iter().all(is_withheld), "events are missing");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Goal: S1, S4 and S6 on one node, for any history of the log, of joins, watches,
    /// connections, drops and resumes, and for any lag of the hub behind the log.
    #[test]
    fn every_socket_receives_its_stretch_of_the_function(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World { stage: Stage::new(10_000), cases: Vec::new() };
            for step in steps {
                world.step(step).await;
            }
            world.stage.feed(usize::MAX);
            for number in 0..world.cases.len() {
                world.end(number);
            }
        });
    }
}
