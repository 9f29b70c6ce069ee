//! Events as frames, and which of them a client need not see.

use crate::{
    dialect::json::push_string,
    model::{Body, Encoding, Event, Record, Rendering, RenderingSlot, Tail, Topic, UserId, View},
};

use super::reply::separate;

/// What goes out in place of a withheld event. Mattermost's clients count it,
/// hand it to their listeners, and have none for its name.
const NOOP: &str = r#"{"event":"hb_noop""#;

/// How the hub writes events for Mattermost's clients.
pub static ENCODING: Encoding = Encoding {
    slot: RenderingSlot::Mattermost,
    name: "mattermost",
    render,
    tail: Tail::Seq,
    noop: NOOP.as_bytes(),
    withheld,
    numbered: None,
};

/// Events that matter only to those who look at their channel.
pub const SCOPED_EVENTS: [&str; 3] = ["typing", "reaction_added", "reaction_removed"];

/// True when `event` may be withheld from a client that reported `view`.
#[must_use]
pub fn withheld(event: &Event, view: &View) -> bool {
    SCOPED_EVENTS.contains(&&*event.name) && view.hides(&event.to)
}

fn render(record: &Record) -> Rendering {
    let json = match &record.body {
        Body::Event(event) if !event.binary => render_event(event),
        // These are not for clients, or not for clients of this kind.
        Body::Event(_)
        | Body::Members { .. }
        | Body::Seeds { .. }
        | Body::Watch { .. }
        | Body::Revocation(_)
        | Body::Disconnect { .. }
        | Body::Bus(_)
        | Body::Workspace { .. }
        | Body::Nodes(_)
        | Body::Unknown => NOOP.to_owned(),
    };
    Rendering { payload: json.into(), binary: false }
}

fn render_event(event: &Event) -> String {
    // The API takes only UTF-8 in; an event without data has an empty object.
    let data = std::str::from_utf8(&event.data).ok().filter(|data| !data.is_empty());
    let mut json = String::with_capacity(event.data.len() + 192);
    json.push_str(r#"{"event":"#);
    push_string(&mut json, &event.name);
    json.push_str(r#","data":"#);
    json.push_str(data.unwrap_or("{}"));
    json.push(',');
    let omitted = event.omit_connection.as_ref().map_or("", |connection| connection.as_str());
    let value = |key| match (key, &event.to) {
        ("user_id", Topic::User(_) | Topic::Status(_))
        | ("channel_id", Topic::Channel(_))
        | ("team_id", Topic::Team(_))
        | ("connection_id", Topic::Connection(_)) => event.to.id(),
        ("omit_connection_id", _) => omitted,
        _ => "",
    };
    push_broadcast(&mut json, value, &event.omit_users);
    json
}

/// Appends `"broadcast":{…}`: all keys, with the value that each has.
pub(super) fn push_broadcast<'a>(
    json: &mut String,
    value: impl Fn(&'static str) -> &'a str,
    omit_users: &[UserId],
) {
    json.push_str(r#""broadcast":{"omit_users":"#);
    if omit_users.is_empty() {
        json.push_str("null");
    } else {
        json.push('{');
        for user in omit_users {
            separate(json, '{');
            push_string(json, user.as_str());
            json.push_str(":true");
        }
        json.push('}');
    }
    for key in ["user_id", "channel_id", "team_id", "connection_id", "omit_connection_id"] {
        json.push(',');
        push_string(json, key);
        json.push(':');
        push_string(json, value(key));
    }
    json.push('}');
}
