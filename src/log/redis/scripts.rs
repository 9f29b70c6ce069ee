//! The scripts of the realm log, each made once.
//!
//! Invariants: a script is one atomic step; what users sent is an argument, never text of
//! a script.

use std::sync::LazyLock;

use bytes::Bytes;

use crate::{clock::random_bytes, config::LogProfile, redis_client::Script};

/// In front of every script: the generation of the log.
pub const PRELUDE: &str = include_str!("../lua/prelude.lua");
/// Behind it, in scripts that append to the log.
pub const APPEND: &str = concat!(
    include_str!("../lua/entries.lua"),
    include_str!("../lua/order.lua"),
    include_str!("../lua/append.lua")
);
const ENTRIES: &str = include_str!("../lua/entries.lua");
const ORDER: &str = include_str!("../lua/order.lua");
const PEOPLE: &str = include_str!("../lua/people.lua");
const MEMBERS: &str = include_str!("../lua/members.lua");
const SNAPSHOT: &str = include_str!("../lua/snapshot.lua");
const PLACES: &str = include_str!("../lua/places.lua");
const ROOMS: &str = include_str!("../lua/rooms.lua");
const SESSION: &str = include_str!("../lua/session.lua");

macro_rules! script {
    ($name:ident, $label:literal, $repeatable:literal, [$($part:expr),*], $file:literal) => {
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            let own = include_str!(concat!("../lua/", $file, ".lua"));
            Script::new($label, &[PRELUDE, $($part,)* own], $repeatable)
        });
    };
}

// Repeating a publish is for those who know the ids of all its records.
script!(PUBLISH, "publish", false, [APPEND, PEOPLE, MEMBERS, PLACES], "publish");
script!(OPEN, "open", true, [APPEND, PEOPLE, MEMBERS, SNAPSHOT], "open");
script!(CLAIM, "claim", true, [ENTRIES, PEOPLE, SNAPSHOT, SESSION], "claim");
script!(LEAVE, "checkpoint", true, [], "leave");
script!(FORGET, "session", true, [], "forget");
script!(LOOK, "session", true, [SESSION], "look");
script!(MEMBERSHIPS, "memberships", true, [PEOPLE, SNAPSHOT], "memberships");
script!(WORKSPACES, "workspaces", true, [], "workspaces");
script!(BEAT, "beat", true, [], "beat");
script!(CHAT, "chat", true, [APPEND, PEOPLE, MEMBERS, PLACES, ROOMS], "chat");
script!(PAGE, "chat", true, [], "page");
script!(PLACE, "node_path", true, [PLACES], "place");
script!(READ, "range", true, [ENTRIES], "read");
script!(MEND, "range", true, [ENTRIES, ORDER], "mend");
script!(REPORT, "report", true, [ENTRIES, ORDER], "report");
script!(CONFIRM, "confirm", true, [], "confirm");

/// Without the prelude: it reads and writes nothing.
pub(super) static TELL: LazyLock<Script> =
    LazyLock::new(|| Script::new("tell", &[include_str!("../lua/tell.lua")], true));

/// Without the prelude: it is of no realm.
pub(super) static NODE: LazyLock<Script> =
    LazyLock::new(|| Script::new("nodes", &[include_str!("../lua/node.lua")], true));

/// What the arguments of every script with the prelude begin with.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// `log.profile`
    pub profile: LogProfile,
    /// True in Redis Cluster, where channels belong to slots.
    pub is_sharded: bool,
    /// `log.retention_events`
    pub retention_events: usize,
    /// `log.retention_bytes`
    pub retention_bytes: usize,
    /// `<node>#<incarnation>`
    pub me: &'a str,
    /// How many replicas have to follow for anything to be written; `None` for any number.
    pub replicas: Option<u32>,
}

impl Head<'_> {
    /// As the prelude takes them.
    #[must_use]
    pub fn args(&self) -> Vec<Bytes> {
        let nonce = format!("{:016x}", u64::from_le_bytes(random_bytes()));
        vec![
            Bytes::from(nonce),
            Bytes::from_static(match self.profile {
                LogProfile::Log => b"log",
                LogProfile::Ha => b"ha",
            }),
            Bytes::from_static(if self.is_sharded { b"SPUBLISH" } else { b"PUBLISH" }),
            Bytes::from(self.retention_events.to_string()),
            Bytes::from(self.retention_bytes.to_string()),
            Bytes::copy_from_slice(self.me.as_bytes()),
            Bytes::from(self.replicas.map(|count| count.to_string()).unwrap_or_default()),
        ]
    }
}
