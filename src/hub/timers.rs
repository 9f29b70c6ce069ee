//! What a hub does by the clock: pings, stalled sockets, ended tokens, drains.
//!
//! One pass over the connections per second replaces a timer per connection.
//!
//! Invariants: a pass never waits; a drain closes every connection before its
//! window ends, in random order and evenly.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    index::Key,
    link::Link,
    shard::{Shard, session_ended, slow_reader},
};
use crate::{clock::random_below, model::CloseCode, ws::frame};

/// How often a hub looks at its connections.
pub(super) const PASS: Duration = Duration::from_secs(1);

/// How often a draining hub closes some of them.
pub(super) const DRAIN_STEP: Duration = Duration::from_millis(50);

/// Connections that are closed one after the other until a deadline.
#[derive(Debug)]
pub(super) struct Drain {
    ends_at: Instant,
    window: Duration,
    /// How many there were when it began.
    connections: usize,
}

/// What a pass found out about one connection.
enum Finding {
    Stalled,
    Expired,
    Silent,
    Overdue,
    Ping,
}

impl Drain {
    pub(super) fn new(window: Duration, connections: usize) -> Self {
        Self { ends_at: Instant::now() + window, window, connections }
    }

    /// How many connections may still be open: a share of the first as of the window.
    fn may_be_left(&self) -> usize {
        let left = self.ends_at.saturating_duration_since(Instant::now()).as_millis();
        let share = self.connections as u128 * left / self.window.as_millis().max(1);
        usize::try_from(share).unwrap_or(usize::MAX)
    }
}

impl Shard {
    /// Looks at every connection once.
    pub(super) fn pass(&mut self) {
        let now_s = self.clock.now_seconds();
        let mut findings = Vec::new();
        let mut now = None;
        for (key, connection) in &mut self.connections {
            let link = &connection.link;
            let now = *now.get_or_insert_with(|| link.context().ticks());
            let heard_at = link.heard_at();
            if heard_at >= connection.pinged_at {
                connection.pinged_at = 0;
            }
            let key = Key::try_from(key).unwrap_or(Key::MAX);
            let finding = if connection.identity.expires_at <= now_s {
                Finding::Expired
            } else if link.is_stalled(now) {
                Finding::Stalled
            } else if link.is_message_overdue(now) {
                Finding::Overdue
            } else if connection.pinged_at != 0 {
                if now.saturating_sub(connection.pinged_at) <= link.context().pong_timeout() {
                    continue;
                }
                Finding::Silent
            } else if now.saturating_sub(heard_at) >= ping_after(link, key) {
                connection.pinged_at = now.max(1);
                Finding::Ping
            } else {
                continue;
            };
            findings.push((key, finding));
        }
        for (key, finding) in findings {
            self.act(key, &finding);
        }
    }

    fn act(&mut self, key: Key, finding: &Finding) {
        match finding {
            Finding::Stalled => self.dismiss(key, slow_reader),
            Finding::Expired => self.dismiss(key, session_ended),
            Finding::Silent => {
                self.metrics.rejected("frame", "pong_timeout");
                self.dismiss(key, |link| {
                    link.abandon(CloseCode::Policy, "no answer to a ping");
                });
            }
            Finding::Overdue => {
                self.metrics.rejected("frame", "message_timeout");
                self.dismiss(key, |link| {
                    link.abandon(CloseCode::Policy, "the message took too long to arrive");
                });
            }
            Finding::Ping => {
                let Some(connection) = self.connections.get(key as usize) else { return };
                let link = std::sync::Arc::clone(&connection.link);
                link.send(frame::ping(b""), self.writer());
            }
        }
    }

    /// Closes this step's share.
    pub(super) fn drain_step(&mut self, drain: &Drain) {
        let left = self.connections.len();
        let due = left.saturating_sub(drain.may_be_left());
        // A random start and a step over the table are random enough, and cheap.
        let key = |(key, _)| Key::try_from(key).unwrap_or(Key::MAX);
        let keys: Vec<Key> = self.connections.iter().map(key).collect();
        let start = usize::try_from(random_below(left as u64)).unwrap_or(0);
        for key in keys.iter().cycle().skip(start).take(due) {
            self.dismiss(*key, |link| {
                link.close(CloseCode::Restart.number(), "the server restarts: reconnect at once");
            });
        }
    }
}

/// Quiet time after which this connection is pinged: spread by 20 % around the
/// configured one, so that pings of connections that came together do not.
fn ping_after(link: &Link, key: Key) -> u32 {
    let interval = link.context().ping_interval();
    let spread = key.wrapping_mul(2_654_435_761) >> 24;
    interval * 4 / 5 + interval * 2 / 5 * spread / 255
}
