//! What a node prints on stdout when it is ready.
//!
//! Invariants: scripts read these lines; a token is printed only in `--dev`.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use crate::{
    auth::{MintClaims, mint},
    clock::Clock,
    config::Config,
    http::DemoSession,
    model::Id,
};

/// How long the tokens of `--dev` live.
const DEV_TOKEN_TTL: Duration = Duration::from_secs(24 * 3600);

/// The users of `--dev`.
pub(super) const DEV_USERS: [&str; 2] = ["alice", "bob"];
/// Their channels.
pub(super) const DEV_CHANNELS: [&str; 2] = ["town-square", "random"];
/// Their team.
pub(super) const DEV_TEAM: &str = "main";
/// Their workspace.
pub(super) const DEV_WORKSPACE: &str = "ws-common";

/// The lines to print.
#[derive(Debug, Clone)]
pub struct Banner {
    public: String,
    pages: String,
    internal: String,
    has_pages: bool,
    tokens: Vec<(&'static str, String)>,
}

impl Banner {
    pub(super) fn of(
        config: &Config,
        clock: &Clock,
        public: SocketAddr,
        internal: SocketAddr,
    ) -> Self {
        let scheme = if config.public.tls.is_some() { "https" } else { "http" };
        Self {
            public: format!("{scheme}://{public}"),
            pages: format!("{scheme}://{public}{}/", config.public.base_path.trim_end_matches('/')),
            internal: format!("http://{internal}"),
            has_pages: config.demo,
            tokens: dev_tokens(config, clock),
        }
    }
}

/// A ready token for each user of `--dev`; none otherwise.
pub(super) fn dev_tokens(config: &Config, clock: &Clock) -> Vec<(&'static str, String)> {
    if !config.dev {
        return Vec::new();
    }
    let token = |user: &'static str| {
        let key = config.auth.signing_key()?;
        let ttl = DEV_TOKEN_TTL.min(config.auth.max_lifetime);
        let ids = |names: &[&str]| names.iter().filter_map(|name| Id::parse(name).ok()).collect();
        let claims = MintClaims {
            issuer: config.auth.issuer.clone(),
            audience: config.auth.audience.clone(),
            channels: ids(&DEV_CHANNELS),
            teams: ids(&[DEV_TEAM]),
            workspaces: ids(&[DEV_WORKSPACE]),
            ..MintClaims::new(Id::parse(user).ok()?, ttl)
        };
        Some((user, mint(key, &claims, clock).ok()?))
    };
    DEV_USERS.into_iter().filter_map(token).collect()
}

/// What the demo page is told: by a node of `--dev`, who may play.
pub(super) fn demo_session(config: &Arc<Config>, clock: &Clock) -> DemoSession {
    if !config.dev {
        return DemoSession::default();
    }
    let (config, clock) = (Arc::clone(config), clock.clone());
    // Signed anew for each page: a node may run longer than a token lives.
    let tokens = move || {
        let tokens = dev_tokens(&config, &clock).into_iter();
        tokens.map(|(user, token)| (user.to_owned(), token)).collect()
    };
    DemoSession { tokens: Some(Box::new(tokens)), channels: DEV_CHANNELS.to_vec(), team: DEV_TEAM }
}

impl fmt::Display for Banner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "public    {}", self.public)?;
        writeln!(formatter, "internal  {}", self.internal)?;
        for (user, token) in &self.tokens {
            writeln!(formatter, "token {user} {token}")?;
        }
        if self.has_pages {
            writeln!(formatter)?;
            writeln!(formatter, "chat rooms  {}", self.pages)?;
            writeln!(formatter, "demo        {}demo/", self.pages)?;
        }
        Ok(())
    }
}
