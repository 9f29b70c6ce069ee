//! Putting records into a realm's log.
//!
//! Invariants: what is acknowledged is in the log; the caller learns its position.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Node, Seat};
use crate::{
    hub::Command,
    log::{AppendError, Draft, LogError, RealmLog as _},
    model::{Body, Event, Position, RealmId, SharedText, Topic, UserId},
};

/// The acknowledgement of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Where the record is.
    pub position: Position,
    /// True when an earlier request with the same id put it there.
    pub duplicate: bool,
}

/// Why a record was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The id stands for another body. The publisher's fault; nothing happened.
    #[error("this id was used with another body")]
    Conflict,
    /// A user would be in too many topics. The publisher's fault; nothing happened.
    #[error("a user would be a member of more than {limit} topics")]
    TooManyMemberships {
        /// `limits.memberships_per_user`
        limit: usize,
    },
    /// Parts wait that must be merged first. Nothing happened.
    #[error("parts wait that must be merged first")]
    Waiting {
        /// Offset of the first part that waits; 0 when none does.
        first: u64,
        /// Offset of the last one.
        last: u64,
    },
    /// The log can't be reached. Whether it happened is open: retry with the same id.
    #[error("the log is unavailable")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
}

impl PublishError {
    /// The value of the label `result`.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::TooManyMemberships { .. } | Self::Waiting { .. } => "refused",
            Self::Unavailable { .. } => "unavailable",
        }
    }
}

impl From<LogError> for PublishError {
    fn from(error: LogError) -> Self {
        Self::Unavailable { retry_after: error.retry_after }
    }
}

impl From<AppendError> for PublishError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Conflict => Self::Conflict,
            AppendError::TooManyMemberships { limit } => Self::TooManyMemberships { limit },
            AppendError::Waiting { first, last } => Self::Waiting { first, last },
            AppendError::Unavailable { retry_after } => Self::Unavailable { retry_after },
        }
    }
}

/// The name of the events that are made here.
static NAME: SharedText = SharedText::new("typing");
/// They have no id: nobody repeats them.
static NO_ID: SharedText = SharedText::new("");

impl Node {
    /// Appends `drafts` to the log of `realm`, in order.
    ///
    /// Returns one result per draft. They reach connections through the tail, never
    /// through this call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether the drafts were appended.
    pub async fn publish(
        &self,
        realm: &RealmId,
        drafts: Vec<Draft>,
    ) -> Vec<Result<Published, PublishError>> {
        let began_at = tokio::time::Instant::now();
        let kinds: Vec<Kind> = drafts.iter().map(|draft| self.kind(&draft.body)).collect();
        let answers = match self.realm(realm).await {
            Ok(entry) => {
                let answers = self.log.append(realm, drafts).await;
                for appended in answers.iter().flatten() {
                    entry.progress.heard_of(appended.position.offset);
                }
                answers
            }
            Err(LogError { retry_after }) => {
                kinds.iter().map(|_| Err(AppendError::Unavailable { retry_after })).collect()
            }
        };
        let seconds = began_at.elapsed().as_secs_f64();
        let mut published = Vec::with_capacity(answers.len());
        for (kind, answer) in kinds.into_iter().zip(answers) {
            let answer = answer
                .map(|appended| Published {
                    position: appended.position,
                    duplicate: appended.duplicate,
                })
                .map_err(PublishError::from);
            let result = match &answer {
                Ok(published) if published.duplicate => "duplicate",
                Ok(_) => "accepted",
                Err(error) => error.label(),
            };
            self.metrics.events_published_total.with_label_values(&[kind.label, result]).inc();
            if let (Some(names), Some(event), "accepted") =
                (&self.metrics.mattermost, &kind.event, result)
            {
                names.published(event);
            }
            self.metrics.publish_seconds.with_label_values(&[result]).observe(seconds);
            published.push(answer);
        }
        published
    }

    /// Appends one record.
    ///
    /// # Errors
    ///
    /// [`PublishError`].
    ///
    /// # Cancel safety
    ///
    /// As [`Node::publish`].
    pub async fn publish_one(
        &self,
        realm: &RealmId,
        draft: Draft,
    ) -> Result<Published, PublishError> {
        let answer = self.publish(realm, vec![draft]).await.pop();
        answer.unwrap_or(Err(PublishError::Unavailable { retry_after: Duration::from_secs(1) }))
    }

    /// True when the user of `seat` is a member of `topic`.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only asks.
    pub async fn is_member(&self, seat: &Seat, topic: Topic) -> bool {
        let (realm_key, user) = (seat.entry.key, seat.identity.user.clone());
        if let Some(hub) = self.hub(realm_key, &user) {
            let question =
                |answer| Command::IsMember { realm_key, user, topic: topic.clone(), answer };
            if Self::ask(hub, question).await == Some(true) {
                return true;
            }
        }
        // The hub may not have come so far.
        match self.log.memberships(&seat.entry.realm.id, &seat.identity.user).await {
            Ok((_, memberships)) => memberships.is_open(&topic),
            Err(_unavailable) => false,
        }
    }

    /// Publishes that `user` types in `channel`; the user is left out.
    ///
    /// # Errors
    ///
    /// [`PublishError`].
    ///
    /// # Cancel safety
    ///
    /// As [`Node::publish`].
    pub async fn typing(
        &self,
        realm: &RealmId,
        user: &UserId,
        to: Topic,
        data: Bytes,
    ) -> Result<Published, PublishError> {
        let event = Event {
            name: NAME.get(),
            data,
            to,
            omit_users: vec![user.clone()],
            omit_connection: None,
            ephemeral: true,
            binary: false,
            id: NO_ID.get(),
            sender: Some(Arc::from(user.as_str())),
        };
        self.publish_one(realm, Draft { body: Body::Event(event), id: None }).await
    }

    fn kind(&self, body: &Body) -> Kind {
        let (label, event) = match body {
            Body::Event(event) if event.ephemeral => ("ephemeral", Some(event)),
            Body::Event(event) => ("durable", Some(event)),
            Body::Bus(_) => ("durable", None),
            Body::Members { .. }
            | Body::Seeds { .. }
            | Body::Watch { .. }
            | Body::Revocation(_)
            | Body::Disconnect { .. }
            | Body::Workspace { .. }
            | Body::Nodes(_)
            | Body::Unknown => ("control", None),
        };
        // Only Mattermost's names tell events apart.
        let event = event.filter(|_| self.metrics.mattermost.is_some());
        Kind { label, event: event.map(|event| Arc::clone(&event.name)) }
    }
}

/// What the metrics say about a draft.
struct Kind {
    /// The value of the label `kind`.
    label: &'static str,
    /// The name of the event, when it is counted.
    event: Option<Arc<str>>,
}
