//! `POST /demo/posts`: a message of the demo page becomes a `posted` event, as a
//! backend of Mattermost's would publish it.
//!
//! Invariants: only members of a channel post in it; a page that sends the same
//! message again, because it heard no answer, posts it once.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Twins,
    error::TwinError,
    read,
    wire::{NewPost, Post, Posted},
};
use crate::{
    model::{Body, Event, Id, Identity, Topic},
    node::{Draft, PublishError},
};

/// Longest message in characters, as Mattermost counts.
const MESSAGE_MAX: usize = 4_000;

impl Twins {
    pub(super) async fn post(&self, identity: &Identity, body: &str) -> Result<String, TwinError> {
        let new: NewPost<'_> = read(body)?;
        let channel = Id::parse(&new.channel_id).map_err(|_| TwinError::Body)?;
        let name = Id::parse(&new.id).map_err(|_| TwinError::Body)?;
        let message = new.message.trim();
        if message.is_empty() || message.chars().count() > MESSAGE_MAX {
            return Err(TwinError::Body);
        }
        let topic = Topic::Channel(channel.clone());
        if !self.node.is_member(&identity.realm, &identity.user, topic.clone()).await {
            return Err(TwinError::Permission);
        }
        let key = (identity.realm.clone(), identity.user.clone());
        self.posts.take(key, 1.0).map_err(TwinError::TooOften)?;
        let now = self.node.clock().now_ms();
        let post = Post {
            id: name.as_str(),
            create_at: now,
            update_at: now,
            edit_at: 0,
            delete_at: 0,
            user_id: identity.user.as_str(),
            channel_id: channel.as_str(),
            root_id: "",
            message,
            kind: "",
        };
        let post = serde_json::to_string(&post).map_err(|_| TwinError::Body)?;
        let data = posted(identity, &channel, &post)?;
        let event = Event {
            name: Arc::from("posted"),
            data,
            to: topic,
            omit_users: Vec::new(),
            omit_connection: None,
            ephemeral: false,
            binary: false,
            id: Arc::from(name.as_str()),
            sender: Some(Arc::from(identity.user.as_str())),
        };
        // Two users may choose the same name.
        let id = Some(Arc::from(format!("demo/{}/{name}", identity.user)));
        match self.node.publish_one(&identity.realm, Draft { body: Body::Event(event), id }).await {
            // A repeated message has another time, so it looks like another body.
            Ok(_) | Err(PublishError::Conflict) => Ok(post),
            Err(PublishError::Unavailable { retry_after }) => {
                Err(TwinError::Unavailable(retry_after))
            }
            Err(PublishError::TooManyMemberships { .. }) => Err(TwinError::Body),
        }
    }
}

fn posted(identity: &Identity, channel: &Id, post: &str) -> Result<Bytes, TwinError> {
    let data = Posted {
        channel_display_name: channel.as_str(),
        channel_name: channel.as_str(),
        channel_type: "O",
        post,
        sender_name: &format!("@{}", identity.user),
        set_online: true,
        team_id: "",
    };
    serde_json::to_vec(&data).map(Bytes::from).map_err(|_| TwinError::Body)
}
