//! What really happened: every record of every life of the log, lost or not.
//!
//! Each record knows the one before it, so two logs that parted share their
//! beginning. All checks are made here, by nothing that the server could see.

use std::{cell::Cell, collections::HashSet, fmt, rc::Rc, sync::Arc};

use bytes::Bytes;

use super::chance::Chance;
use crate::model::{Body, Event, Generation, Id, Position, Record, Renderings, Tag, Topic, UserId};

/// Users and channels of the simulation.
pub(super) const USERS: u8 = 4;
pub(super) const CHANNELS: u8 = 2;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The place before a log's first record.
    Nothing,
    ToChannel(u8),
    ToUser(u8),
    ToEveryone,
    Member {
        channel: u8,
        user: u8,
        is_added: bool,
    },
}

/// A record in its place.
pub(super) struct Entry {
    /// Counts all records that ever were.
    pub(super) serial: u64,
    pub(super) what: What,
    pub(super) record: Arc<Record>,
    pub(super) previous: Option<Rc<Self>>,
    /// Who is a member of what after this record, one bit each.
    members: u32,
    /// Appended by an old primary.
    pub(super) by_zombie: bool,
    /// No primary holds it any more.
    pub(super) is_lost: Cell<bool>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { generation, offset, .. } = &self.record.position;
        write!(formatter, "<{} {:?} {generation:?}:{offset}>", self.serial, self.what)
    }
}

impl Entry {
    pub(super) fn offset(&self) -> u64 {
        self.record.position.offset
    }

    pub(super) fn tag(&self) -> Tag {
        self.record.position.tag
    }

    /// True when `user` is sent this record.
    pub(super) fn is_for(&self, user: u8) -> bool {
        match self.what {
            What::ToEveryone => true,
            What::ToUser(to) => to == user,
            What::ToChannel(channel) => {
                self.previous.as_ref().is_some_and(|before| before.has(channel, user))
            }
            What::Nothing | What::Member { .. } => false,
        }
    }

    pub(super) fn has(&self, channel: u8, user: u8) -> bool {
        self.members & bit(channel, user) != 0
    }

    /// The record at `offset` of the log that ends here.
    pub(super) fn at(self: &Rc<Self>, offset: u64) -> Option<&Rc<Self>> {
        let mut entry = self;
        while entry.offset() > offset {
            entry = entry.previous.as_ref()?;
        }
        (entry.offset() == offset).then_some(entry)
    }

    /// Names the life of the log that ends here.
    pub(super) fn root(self: &Rc<Self>) -> Option<u64> {
        self.at(0).map(|root| root.serial)
    }

    /// True when the log that ends here holds `other`.
    pub(super) fn holds(self: &Rc<Self>, other: &Self) -> bool {
        self.at(other.offset()).is_some_and(|entry| entry.serial == other.serial)
    }

    /// How many records after `base` are for `user`; `None` when the log that ends here
    /// does not hold `base`.
    pub(super) fn count_for(self: &Rc<Self>, user: u8, base: &Self) -> Option<u64> {
        let (mut entry, mut count) = (self, 0);
        while entry.serial != base.serial {
            count += u64::from(entry.is_for(user));
            entry = entry.previous.as_ref().filter(|before| before.offset() >= base.offset())?;
        }
        Some(count)
    }

    /// Marks what this log holds and `kept` does not.
    pub(super) fn lose_all_but(self: &Rc<Self>, kept: Option<&Rc<Self>>) {
        let mut entry = Some(self);
        while let Some(lost) = entry {
            if kept.is_some_and(|kept| kept.holds(lost)) {
                return;
            }
            lost.is_lost.set(true);
            entry = lost.previous.as_ref();
        }
    }
}

fn bit(channel: u8, user: u8) -> u32 {
    1 << (channel * USERS + user)
}

/// All records that ever were, and the names in them.
#[derive(Debug)]
pub(super) struct History {
    entries: Vec<Rc<Entry>>,
    pub(super) users: Vec<UserId>,
    pub(super) channels: Vec<Topic>,
    text: Arc<str>,
    places: HashSet<(Generation, u64)>,
    /// A place that two records have.
    pub(super) clash: Option<(Generation, u64)>,
}

impl History {
    pub(super) fn new() -> Self {
        let id = |letter: &str, number: u8| Id::parse(&format!("{letter}{number}")).unwrap();
        Self {
            entries: Vec::new(),
            users: (0..USERS).map(|number| id("u", number)).collect(),
            channels: (0..CHANNELS).map(|number| Topic::Channel(id("c", number))).collect(),
            text: Arc::from("e"),
            places: HashSet::new(),
            clash: None,
        }
    }

    pub(super) fn entry(&self, serial: u64) -> Option<&Rc<Entry>> {
        self.entries.get(serial as usize)
    }

    /// The place before the first record of a new log, in which these are members.
    pub(super) fn root(&mut self, is_member: impl Fn(&Topic, usize) -> bool) -> Rc<Entry> {
        let mut members = 0;
        for channel in 0..CHANNELS {
            for user in 0..USERS {
                if is_member(&self.channels[channel as usize], user as usize) {
                    members |= bit(channel, user);
                }
            }
        }
        let position = Position { generation: Generation::new("0"), offset: 0, tag: Tag(0) };
        self.add(What::Nothing, position, (None, members))
    }

    /// Puts a record after `previous`.
    pub(super) fn append(
        &mut self,
        previous: &Rc<Entry>,
        what: What,
        generation: &Generation,
        tag: Tag,
    ) -> Rc<Entry> {
        let mut members = previous.members;
        if let What::Member { channel, user, is_added } = what {
            members &= !bit(channel, user);
            members |= if is_added { bit(channel, user) } else { 0 };
        }
        let offset = previous.offset() + 1;
        if !self.places.insert((generation.clone(), offset)) {
            self.clash = Some((generation.clone(), offset));
        }
        let position = Position { generation: generation.clone(), offset, tag };
        self.add(what, position, (Some(Rc::clone(previous)), members))
    }

    fn add(
        &mut self,
        what: What,
        position: Position,
        (previous, members): (Option<Rc<Entry>>, u32),
    ) -> Rc<Entry> {
        let serial = self.entries.len() as u64;
        let record = Arc::new(Record {
            position,
            previous_tag: previous.as_ref().map_or(Tag(0), |entry| entry.tag()),
            // The serial travels here, so that a delivery names its record.
            accepted_at_us: serial,
            body: self.body(what),
            renderings: Renderings::default(),
            kept: None,
        });
        let is_lost = Cell::new(false);
        let by_zombie = false;
        let entry = Rc::new(Entry { serial, what, record, previous, members, by_zombie, is_lost });
        self.entries.push(Rc::clone(&entry));
        entry
    }

    /// Says that an old primary appended the newest record.
    pub(super) fn disown(&mut self, entry: &mut Rc<Entry>) {
        self.entries.pop();
        if let Some(entry) = Rc::get_mut(entry) {
            entry.by_zombie = true;
            entry.is_lost.set(true);
        }
        self.entries.push(Rc::clone(entry));
    }

    fn body(&self, what: What) -> Body {
        let to = match what {
            What::Nothing | What::ToEveryone => Topic::Everyone,
            What::ToUser(user) => Topic::User(self.users[user as usize].clone()),
            What::ToChannel(channel) => self.channels[channel as usize].clone(),
            What::Member { channel, user, is_added } => {
                let topic = self.channels[channel as usize].clone();
                let user = vec![self.users[user as usize].clone()];
                let (add, remove) = if is_added { (user, Vec::new()) } else { (Vec::new(), user) };
                return Body::Members { topic, add, remove };
            }
        };
        Body::Event(Event {
            name: Arc::clone(&self.text),
            data: Bytes::new(),
            to,
            omit_users: Vec::new(),
            omit_connection: None,
            ephemeral: false,
            binary: false,
            id: Arc::clone(&self.text),
            sender: None,
        })
    }

    /// A record as nobody ever wrote it: made from one that follows `like`.
    pub(super) fn forge(&self, like: &Entry, chance: &mut Chance) -> Arc<Record> {
        let Position { generation, offset, tag } = like.record.position.clone();
        let (offset, previous_tag) = match chance.below(4) {
            0 => (u64::MAX, tag),
            1 => (offset + 2 + chance.below(5), Tag(chance.next())),
            2 => (offset + 1, Tag(chance.next())),
            _ => (offset, like.record.previous_tag),
        };
        Arc::new(Record {
            position: Position { generation, offset, tag: Tag(chance.next()) },
            previous_tag,
            accepted_at_us: u64::MAX,
            body: self.body(What::ToEveryone),
            renderings: Renderings::default(),
            kept: None,
        })
    }
}
