//! What the demo page calls: who may play, and posting.
//!
//! Posting is a backend's business: a real one stores the post and publishes it
//! through the server API. This one only publishes, so that a page can chat.
//!
//! Invariants: tokens are handed out by a development node only; a retry with the same
//! id posts once.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::{Fault, Rest, body::Fields, typing::fault};
use crate::{
    dialect::json::{JsonError, push_string},
    model::{Body, Event, Id, RealmId, Record, Topic, UserId},
    node::{Draft, PublishError},
    session::Caller,
};

/// Longest message.
const MESSAGE_CHARS_MAX: usize = 4_000;

/// Records that are searched at once for an earlier post.
const PAGE_RECORDS: usize = 1_000;

/// How often.
const PAGES_MAX: usize = 10;

/// Makes a token for each user who may play: user, token.
type Tokens = Box<dyn Fn() -> Vec<(String, String)> + Send + Sync>;

/// What a page is told about who may play. Empty outside of development.
#[derive(Default)]
pub struct DemoSession {
    /// Called for each request, so that tokens are fresh; `None`: nobody gets one.
    pub tokens: Option<Tokens>,
    /// The channels of these users.
    pub channels: Vec<&'static str>,
    /// Their team, and that of posts.
    pub team: &'static str,
}

impl std::fmt::Debug for DemoSession {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("DemoSession").field("team", &self.team).finish_non_exhaustive()
    }
}

impl DemoSession {
    /// As JSON.
    pub(super) fn text(&self) -> String {
        let users = self.tokens.as_ref().map(|tokens| tokens()).unwrap_or_default();
        let user = |(user, token): &(String, String)| {
            let mut json = String::from(r#"{"user":"#);
            push_string(&mut json, user);
            json.push_str(r#","token":"#);
            push_string(&mut json, token);
            json.push('}');
            json
        };
        let users: Vec<String> = users.iter().map(user).collect();
        let channels = self.channels.iter().map(|channel| quoted(channel));
        format!(
            r#"{{"users":[{}],"channels":[{}],"team":{}}}"#,
            users.join(","),
            channels.collect::<Vec<_>>().join(","),
            quoted(self.team),
        )
    }
}

/// A message on its way into a channel.
struct Post<'a> {
    id: Id,
    channel: Id,
    message: &'a str,
    user: &'a UserId,
    at_ms: u64,
}

impl Rest {
    /// Publishes the message in `text` to its channel, and answers the post.
    pub(super) async fn post(&self, caller: &Caller, text: &str) -> Result<String, Fault> {
        let fields = Fields::parse(text, &self.context.limits(), "body")?;
        let message = fields.text("message")?.trim();
        let post = Post {
            id: fields.id("id")?,
            channel: fields.id("channel_id")?,
            message,
            user: &caller.identity.user,
            at_ms: self.node().clock().now_ms(),
        };
        if message.is_empty() || message.chars().count() > MESSAGE_CHARS_MAX {
            return Err(Fault::Body { name: "message", reason: JsonError::StringBytes.label() });
        }
        let topic = Topic::Channel(post.channel.clone());
        if !caller.standing.is_member(&topic) {
            return Err(Fault::NotMember);
        }
        let json = post.json();
        let key: Arc<str> = post.key().into();
        let event = Event {
            name: Arc::from("posted"),
            data: post.data(&json, self.demo.team),
            to: topic,
            omit_users: Vec::new(),
            omit_connection: None,
            ephemeral: false,
            binary: false,
            id: Arc::clone(&key),
            sender: Some(Arc::from(post.user.as_str())),
        };
        let realm = &caller.identity.realm;
        let draft = Draft { body: Body::Event(event), id: Some(Arc::clone(&key)) };
        match self.node().publish_one(realm, draft).await {
            Ok(_published) => Ok(json),
            // A retry carries another date, which makes it another body.
            Err(PublishError::Conflict) => {
                let earlier = self.earlier(realm, post.user, &key).await?;
                earlier.filter(|earlier| post.is_same(earlier)).ok_or(Fault::IdReused)
            }
            Err(error) => Err(fault(&error)),
        }
    }

    /// The post that `key` stands for, when the newest records hold it.
    async fn earlier(
        &self,
        realm: &RealmId,
        user: &UserId,
        key: &str,
    ) -> Result<Option<String>, Fault> {
        let position = self.node().memberships(realm, user).await;
        let (position, _) = position.map_err(|error| fault(&error.into()))?;
        let mut end = position.offset;
        for _ in 0..PAGES_MAX {
            let after = end.saturating_sub(PAGE_RECORDS as u64);
            let page = self.node().log_range(realm, after, PAGE_RECORDS).await;
            let page = page.map_err(|error| fault(&error.into()))?;
            if let Some(json) = page.iter().rev().find_map(|record| posted(record, key)) {
                return Ok(Some(json));
            }
            if after == 0 {
                break;
            }
            end = after;
        }
        Ok(None)
    }
}

/// The post in `record`, when its id is `key`.
fn posted(record: &Record, key: &str) -> Option<String> {
    let Body::Event(event) = &record.body else { return None };
    if &*event.id != key {
        return None;
    }
    let data: Value = serde_json::from_slice(&event.data).ok()?;
    data.get("post")?.as_str().map(str::to_owned)
}

impl Post<'_> {
    /// The log's id: other users' ids can't meet it.
    fn key(&self) -> String {
        format!("post/{}/{}", self.user, self.id)
    }

    fn json(&self) -> String {
        let Self { id, channel, user, at_ms, .. } = self;
        let mut json =
            format!(r#"{{"id":"{id}","create_at":{at_ms},"update_at":{at_ms},"user_id":"{user}","#);
        json.push_str(&format!(r#""channel_id":"{channel}","root_id":"","message":"#));
        push_string(&mut json, self.message);
        json.push_str(r#","type":"","props":{}}"#);
        json
    }

    /// The data of the event, in Mattermost's shape: the post is a text in it.
    fn data(&self, post: &str, team: &str) -> Bytes {
        let Self { channel, user, .. } = self;
        let mut json = format!(
            r#"{{"channel_display_name":"{channel}","channel_name":"{channel}","channel_type":"O","post":"#
        );
        push_string(&mut json, post);
        json.push_str(&format!(r#","sender_name":"@{user}","team_id":{}}}"#, quoted(team)));
        json.into()
    }

    /// True when `earlier` is a post that says the same in the same place.
    fn is_same(&self, earlier: &str) -> bool {
        let Ok(earlier) = serde_json::from_str::<Value>(earlier) else { return false };
        let text = |name| earlier.get(name).and_then(Value::as_str);
        text("message") == Some(self.message) && text("channel_id") == Some(self.channel.as_str())
    }
}

/// `text` as a string of JSON.
fn quoted(text: &str) -> String {
    let mut json = String::new();
    push_string(&mut json, text);
    json
}
