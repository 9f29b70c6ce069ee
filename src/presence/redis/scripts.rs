//! The scripts of presence, each made once, and their arguments.
//!
//! Invariants: each begins with the log's prelude, because what changes a status is
//! published in the same step.

use std::sync::LazyLock;

use bytes::Bytes;

use super::context::Context;
use crate::{
    clock::random_bytes,
    log::{APPEND, PRELUDE},
    redis_client::Script,
};

const RULES: &str = include_str!("../lua/rules.lua");
const SETTLE: &str = include_str!("../lua/settle.lua");

macro_rules! script {
    ($name:ident, $label:literal, [$($part:expr),*]) => {
        // Every one may be repeated: what is settled already is not published again.
        pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new($label, &[PRELUDE, $($part),*], true));
    };
}

script!(WRITE, "presence", [APPEND, RULES, SETTLE, include_str!("../lua/write.lua")]);
script!(SWEEP, "presence", [APPEND, RULES, SETTLE, include_str!("../lua/sweep.lua")]);
script!(KEEP, "presence", [APPEND, RULES, SETTLE, include_str!("../lua/keep.lua")]);
script!(READ, "status", [include_str!("../lua/read.lua")]);

/// The own arguments of a script, after those that all scripts of a realm have.
#[derive(Debug, Default)]
pub(super) struct Own(pub(super) Vec<Bytes>);

impl Own {
    /// What every script that settles begins with.
    pub(super) fn settling(context: &Context, now_ms: u64) -> Self {
        let settings = &context.settings;
        let seed = format!("{:016x}", u64::from_le_bytes(random_bytes()));
        Self::default()
            .with(&now_ms)
            .with(&settings.rules.away_after_ms)
            .with(&settings.rules.offline_after_ms)
            .with(&seed)
            .with(&settings.bounds.remembered)
            .with(&settings.bounds.chosen)
    }

    /// One more.
    pub(super) fn with(mut self, arg: &impl ToString) -> Self {
        self.0.push(Bytes::from(arg.to_string()));
        self
    }

    /// One more that is text already.
    pub(super) fn push(&mut self, arg: impl Into<Bytes>) {
        self.0.push(arg.into());
    }
}
