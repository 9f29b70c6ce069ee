//! The scripts of the realm log, each made once.
//!
//! Invariants: a script is one atomic step; what users sent is an argument, never text of
//! a script.

use std::sync::LazyLock;

use bytes::Bytes;

use crate::{clock::random_bytes, config::LogProfile, redis_client::Script};

/// In front of every script: the generation of the log, and appending to it.
pub const PRELUDE: &str = include_str!("../lua/prelude.lua");
const PEOPLE: &str = include_str!("../lua/people.lua");
const SNAPSHOT: &str = include_str!("../lua/snapshot.lua");
const PLACES: &str = include_str!("../lua/places.lua");
const ROOMS: &str = include_str!("../lua/rooms.lua");
const SESSION: &str = include_str!("../lua/session.lua");

macro_rules! script {
    ($name:ident, $label:literal, $repeatable:literal, [$($part:expr),*]) => {
        pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new($label, &[PRELUDE, $($part),*], $repeatable));
    };
}

// Repeating a publish is for those who know the ids of all its records.
script!(PUBLISH, "publish", false, [PEOPLE, PLACES, include_str!("../lua/publish.lua")]);
script!(OPEN, "open", true, [PEOPLE, SNAPSHOT, include_str!("../lua/open.lua")]);
script!(CLAIM, "claim", true, [PEOPLE, SNAPSHOT, SESSION, include_str!("../lua/claim.lua")]);
script!(LEAVE, "checkpoint", true, [include_str!("../lua/leave.lua")]);
script!(FORGET, "session", true, [include_str!("../lua/forget.lua")]);
script!(LOOK, "session", true, [SESSION, include_str!("../lua/look.lua")]);
script!(
    MEMBERSHIPS,
    "memberships",
    true,
    [PEOPLE, SNAPSHOT, include_str!("../lua/memberships.lua")]
);
script!(WORKSPACES, "workspaces", true, [include_str!("../lua/workspaces.lua")]);
script!(BEAT, "beat", true, [include_str!("../lua/beat.lua")]);
script!(CHAT, "chat", true, [PEOPLE, PLACES, ROOMS, include_str!("../lua/chat.lua")]);
script!(PAGE, "chat", true, [include_str!("../lua/page.lua")]);
script!(PLACE, "node_path", true, [PLACES, include_str!("../lua/place.lua")]);
script!(READ, "range", true, [include_str!("../lua/read.lua")]);
script!(MEND, "range", true, [include_str!("../lua/mend.lua")]);
script!(REPORT, "report", true, [include_str!("../lua/report.lua")]);

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
