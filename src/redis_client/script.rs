//! Scripts that run inside Redis.
//!
//! Invariants: a script's text is made of constants, and what users sent travels as
//! an argument only.

use redis::Cmd;

/// No arguments, for [`RedisClient::run`](super::RedisClient::run).
pub const NO_ARGS: &[&[u8]] = &[];

/// One script, made once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its name in metrics, one of [`REDIS_COMMANDS`](crate::metrics::REDIS_COMMANDS).
    pub name: &'static str,
    /// Lua.
    pub text: String,
    /// The hash that a server knows it by.
    pub sha1: String,
    /// Whether running it twice is as good as once.
    pub is_repeatable: bool,
}

impl Script {
    /// Joins `parts`, such as a common beginning and a body.
    #[must_use]
    pub fn new(name: &'static str, parts: &[&str], is_repeatable: bool) -> Self {
        let text = parts.join("\n");
        let sha1 = redis::Script::new(&text).get_hash().to_owned();
        Self { name, text, sha1, is_repeatable }
    }

    /// The call that a server understands which knows the script.
    pub(super) fn by_hash(&self, keys: &[&str], args: &[impl AsRef<[u8]>]) -> Cmd {
        call("EVALSHA", &self.sha1, keys, args)
    }

    /// The call that every server understands.
    pub(super) fn by_text(&self, keys: &[&str], args: &[impl AsRef<[u8]>]) -> Cmd {
        call("EVAL", &self.text, keys, args)
    }
}

fn call(verb: &str, script: &str, keys: &[&str], args: &[impl AsRef<[u8]>]) -> Cmd {
    let sizes = args.iter().map(|arg| arg.as_ref().len());
    let bytes = script.len() + sizes.sum::<usize>() + 64;
    let mut command = Cmd::with_capacity(3 + keys.len() + args.len(), bytes);
    command.arg(verb).arg(script).arg(keys.len()).arg(keys);
    for arg in args {
        command.arg(arg.as_ref());
    }
    command
}
