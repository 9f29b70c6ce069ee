//! The same facts under Mattermost's names, so that its dashboards work here.
//!
//! Invariants: a number that we have under our own name is read from there, not
//! counted twice; unknown event names fold into `other`.

use super::{
    Counter, Family, Labels, Metrics,
    family::Metric as _,
    text::{Number, Page},
};

/// Names of the events that Mattermost's clients know most.
const EVENTS: &[&str] = &[
    "posted",
    "post_edited",
    "post_deleted",
    "post_unread",
    "ephemeral_message",
    "reaction_added",
    "reaction_removed",
    "typing",
    "status_change",
    "hello",
    "response",
    "multiple_channels_viewed",
    "thread_updated",
    "thread_follow_changed",
    "thread_read_changed",
    "channel_created",
    "channel_updated",
    "channel_converted",
    "channel_deleted",
    "channel_restored",
    "channel_member_updated",
    "direct_added",
    "group_added",
    "user_added",
    "user_removed",
    "added_to_team",
    "leave_team",
    "update_team",
    "delete_team",
    "restore_team",
    "memberrole_updated",
    "user_updated",
    "user_role_updated",
    "new_user",
    "preference_changed",
    "preferences_changed",
    "preferences_deleted",
    "draft_created",
    "draft_updated",
    "draft_deleted",
    "emoji_added",
    "role_updated",
    "config_changed",
    "license_changed",
    "open_dialog",
    "other",
];

const TYPE_LABELS: Labels = Labels::One("type", EVENTS);
const NAME_LABELS: Labels = Labels::One("name", EVENTS);

/// What Mattermost counts by event name, which our own metrics do not.
#[derive(Debug)]
pub struct MattermostMetrics {
    events: Family<Counter, 1>,
    broadcasts: Family<Counter, 1>,
}

impl MattermostMetrics {
    pub(super) fn new() -> Self {
        Self {
            events: Family::build(TYPE_LABELS.combinations(0), &[]),
            broadcasts: Family::build(NAME_LABELS.combinations(0), &[]),
        }
    }

    /// Counts one published event.
    pub fn published(&self, event: &str) {
        self.events.with_label_values(&[known(event)]).inc();
    }

    /// Counts `times` messages written to sockets: an event's name, or `response`.
    pub fn written(&self, event: &str, times: u64) {
        self.broadcasts.with_label_values(&[known(event)]).inc_by(times);
    }

    pub(super) fn write(&self, page: &mut Page, metrics: &Metrics) {
        let name = "mattermost_http_websockets_total";
        page.begin(name, "gauge", "Open sockets of the mattermost dialect.");
        let open = metrics.connections.with_label_values(&["mattermost"]).get();
        page.sample(name, &[("origin_client", "unknown")], Number::Signed(open));

        let name = "mattermost_websocket_event_total";
        page.begin(name, "counter", "Events published on this node.");
        self.events.write(page, name, &TYPE_LABELS);

        let name = "mattermost_websocket_broadcasts_total";
        page.begin(name, "counter", "Messages written to sockets.");
        self.broadcasts.write(page, name, &NAME_LABELS);

        let name = "mattermost_websocket_broadcast_buffer_size";
        page.begin(name, "gauge", "Events that wait in front of each hub.");
        metrics.hub_broadcast_buffer_size.write(page, name, &super::labels::HUB);

        let name = "mattermost_websocket_broadcast_buffer_users_registered";
        page.begin(name, "gauge", "Connections that each hub serves.");
        metrics.hub_connections.write(page, name, &super::labels::HUB);

        let name = "mattermost_websocket_reconnects_total";
        page.begin(name, "counter", "How attempts to resume a connection ended.");
        let resumes = |result| metrics.resumes_total.with_label_values(&[result]).get();
        let kinds = [
            ("success", resumes("replayed")),
            ("failure", resumes("reset") + resumes("forbidden")),
            ("lossless", resumes("lossless")),
        ];
        for (kind, count) in kinds {
            page.sample(name, &[("type", kind)], Number::Whole(count));
        }
    }
}

/// `event` when the table has it, else `other`.
fn known(event: &str) -> &'static str {
    EVENTS.iter().copied().find(|name| *name == event).unwrap_or("other")
}
