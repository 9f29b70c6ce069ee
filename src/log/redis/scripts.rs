//! The scripts of the realm log, each made once.
//!
//! Invariants: a script is one atomic step; what users sent is an argument, never text of
//! a script.

use std::sync::LazyLock;

use crate::redis_client::Script;

/// In front of every script: the generation of the log, and appending to it.
pub(super) const PRELUDE: &str = include_str!("../lua/prelude.lua");
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
