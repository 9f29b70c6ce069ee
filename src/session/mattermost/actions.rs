//! What Mattermost's requests do.
//!
//! Invariants: a request that is understood is answered, whatever becomes of it; a
//! refusal does not tell whether a channel exists.

use std::{num::NonZeroU64, time::Duration};

use tokio::time::Instant;

use super::{super::pace::Paced, MattermostClient};
use crate::{
    dialect::mattermost::{
        self, Action, Pong, Refusal, Request, reply_fail, reply_ok, reply_ok_with, statuses,
        typing_data,
    },
    limits::{Bucket, Rate},
    model::{CloseCode, Id, ManualStatus, StatusRecord, Topic, UserId, View},
    node::WatchError,
    presence::PresenceError,
};

/// Statuses that one reply holds, at most.
const STATUSES_MAX: usize = 10_000;

/// A client's own ping that comes no sooner than this costs nothing.
const FREE_PING: Duration = Duration::from_secs(1);

/// What a request comes to: the data of its reply, if it has any.
type Outcome = Result<Option<String>, Denied>;

/// A refusal, and how it is counted.
struct Denied {
    refusal: Refusal,
    stage: &'static str,
    reason: &'static str,
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        let reason = refusal.label();
        Self { refusal, stage: "message", reason }
    }
}

impl MattermostClient {
    /// Answers one text message.
    pub(super) async fn hear(&mut self, text: String) {
        let decoded = mattermost::decode(&text, &self.client.context.json_limits());
        let Request { seq, action } = match decoded {
            Ok(request) => request,
            Err(error) => {
                self.rejected("message", error.label());
                return self.client.socket.abandon(error.close(), "the message can't be read");
            }
        };
        if !self.is_free_ping(&action) {
            match self.pace.step(&self.client.context.limits()) {
                Paced::Fine => {}
                Paced::Dropped => {
                    self.rejected("limit", "commands");
                    return self.answer(&reply_fail(seq, &Refusal::Busy));
                }
                Paced::Over => {
                    self.rejected("limit", "commands");
                    return self.client.socket.abandon(CloseCode::RateLimited, "too many messages");
                }
            }
        }
        match action {
            Ok(action) => self.act(seq, action).await,
            Err(refusal) => self.fail(seq, &refusal.into()),
        }
    }

    fn is_free_ping(&mut self, action: &Result<Action, Refusal>) -> bool {
        let now = Instant::now();
        let is_free = matches!(action, Ok(Action::Ping))
            && self.pinged_at.is_none_or(|at| now.saturating_duration_since(at) >= FREE_PING);
        if is_free {
            self.pinged_at = Some(now);
        }
        is_free
    }

    async fn act(&mut self, seq: NonZeroU64, action: Action) {
        if action != Action::Ping {
            self.client.acted().await;
        }
        let outcome = match action {
            Action::Ping => Ok(Some(self.pong())),
            Action::AuthenticationChallenge(token) => {
                return self.challenge_again(token.reveal()).await;
            }
            Action::Presence(presence) => {
                let mut view = View::default();
                presence.apply(&mut view);
                self.client.context.node.look(&self.client.seat, view).await;
                Ok(None)
            }
            Action::UserTyping { channel, parent } => self.typing(channel, parent).await,
            Action::UserUpdateActiveStatus { active, manual } => {
                self.active_status(active, manual).await
            }
            Action::GetStatuses => self.all_statuses().await,
            Action::GetStatusesByIds(users) => self.statuses(&users).await,
            Action::PostedNotifyAck => Ok(None),
            Action::SubscribeStatuses(users) => self.watch(users, Vec::new()).await,
            Action::UnsubscribeStatuses(users) => self.watch(Vec::new(), users).await,
        };
        match outcome {
            Ok(None) => self.answer(&reply_ok(seq)),
            Ok(Some(data)) => self.answer(&reply_ok_with(seq, &data)),
            Err(denied) => self.fail(seq, &denied),
        }
    }

    fn pong(&self) -> String {
        let context = &self.client.context;
        Pong {
            server_version: &context.config.dialects.mattermost.server_version,
            server_time_ms: context.node.clock().now_ms(),
            node: context.node.id(),
        }
        .data()
    }

    /// A second challenge: nothing for the same user, the end for anybody else.
    async fn challenge_again(&self, token: &str) {
        let verified = self.client.context.verifier.verify(token).await;
        let own = &self.client.seat.identity;
        let is_same =
            |other: &crate::model::Identity| other.user == own.user && other.realm == own.realm;
        if !verified.as_ref().is_ok_and(is_same) {
            self.rejected("auth", "other_user");
            self.client.socket.abandon(CloseCode::Policy, "this socket belongs to another user");
        }
    }

    async fn typing(&mut self, channel: Id, parent: Option<Id>) -> Outcome {
        let context = &self.client.context;
        let identity = &self.client.seat.identity;
        let topic = Topic::Channel(channel);
        if !context.node.is_member(&self.client.seat, topic.clone()).await {
            let refusal = Refusal::InvalidParam("channel_id");
            return Err(Denied { refusal, stage: "message", reason: "not_member" });
        }
        let per_second = context.limits().typing_per_second;
        let rate = Rate { per_second, burst: per_second.max(1.0) };
        let now = Instant::now();
        let bucket = self.typing.get_or_insert_with(|| Bucket::new(now));
        if bucket.take(1.0, rate, now).is_err() {
            // Typing over the rate is dropped; the client can't tell and need not.
            context.node.metrics().rejected("limit", "typing");
            return Ok(None);
        }
        if !context.config.dialects.mattermost.typing {
            return Ok(None);
        }
        let parent = parent.as_ref().map_or("", Id::as_str);
        let data = typing_data(parent, &identity.user);
        let published = context.node.typing(&identity.realm, &identity.user, topic, data).await;
        published.map(|_position| None).map_err(|_unavailable| Refusal::Busy.into())
    }

    async fn active_status(&self, active: bool, manual: bool) -> Outcome {
        let node = &self.client.context.node;
        let identity = &self.client.seat.identity;
        let chosen = match (active, manual) {
            (true, true) => ManualStatus::Online,
            (false, true) => ManualStatus::Away,
            (true, false) => {
                node.acted(&self.client.seat).await;
                return Ok(None);
            }
            // Who is not active turns away by the clock.
            (false, false) => return Ok(None),
        };
        let changed = node.choose_status(&identity.realm, &identity.user, chosen).await;
        changed.map(|_record| None).map_err(|error| busy(&error))
    }

    async fn all_statuses(&self) -> Outcome {
        let realm = &self.client.seat.identity.realm;
        let records = self.client.context.node.all_statuses(realm, STATUSES_MAX).await;
        records.map(|records| Some(map_of(&records))).map_err(|error| busy(&error))
    }

    async fn statuses(&self, users: &[UserId]) -> Outcome {
        let realm = &self.client.seat.identity.realm;
        let records = self.client.context.node.statuses(realm, users).await;
        records.map(|records| Some(map_of(&records))).map_err(|error| busy(&error))
    }

    async fn watch(&self, add: Vec<UserId>, remove: Vec<UserId>) -> Outcome {
        let max = self.client.context.limits().subscriptions_per_connection;
        match self.client.context.node.watch(&self.client.seat, add, remove, max).await {
            Ok(()) => Ok(None),
            Err(WatchError::TooMany) => {
                let refusal = Refusal::InvalidParam("user_ids");
                Err(Denied { refusal, stage: "limit", reason: "subscriptions" })
            }
            Err(WatchError::Unavailable) => Err(Refusal::Busy.into()),
        }
    }

    /// Binary messages are another encoding of requests, which is not spoken yet.
    pub(super) fn refuse_binary(&self) {
        self.rejected("message", "binary");
        self.client.socket.abandon(CloseCode::Unsupported, "only text is spoken here");
    }

    fn fail(&self, seq: NonZeroU64, denied: &Denied) {
        self.rejected(denied.stage, denied.reason);
        self.answer(&reply_fail(seq, &denied.refusal));
    }

    fn answer(&self, reply: &[u8]) {
        super::answer(&self.client.context, &self.client.socket, reply);
    }

    fn rejected(&self, stage: &str, reason: &str) {
        self.client.context.node.metrics().rejected(stage, reason);
    }
}

fn map_of(records: &[StatusRecord]) -> String {
    statuses(records.iter().map(|record| (&record.user, record.status)))
}

fn busy(error: &PresenceError) -> Denied {
    tracing::debug!(%error, "presence can't be asked");
    Refusal::Busy.into()
}
