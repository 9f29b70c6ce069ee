//! The same facts under Mattermost's names, so that its dashboards work here.
//!
//! Invariants: a number that we have under our own name is read from there, not
//! counted twice; unknown event names fold into `other`.

use std::collections::HashMap;

use prometheus::{
    IntCounter,
    core::{Collector, Desc, Metric as _},
    proto::{Counter, LabelPair, Metric, MetricFamily, MetricType},
};

use super::{Family, Labels, Metrics, Row, family::Metric as _};

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

const EVENT_ROW: Row = Row {
    name: "mattermost_websocket_event_total",
    kind: "counter",
    help: "Events published on this node.",
    labels: Labels::One("type", EVENTS),
    bounds: &[],
};
const BROADCAST_ROW: Row = Row {
    name: "mattermost_websocket_broadcasts_total",
    kind: "counter",
    help: "Messages written to sockets.",
    labels: Labels::One("name", EVENTS),
    bounds: &[],
};

/// What Mattermost counts by event name, which our own metrics do not.
#[derive(Debug)]
pub struct MattermostMetrics {
    events: Family<IntCounter, 1>,
    broadcasts: Family<IntCounter, 1>,
}

impl MattermostMetrics {
    /// Shows Mattermost's names beside those of `metrics`.
    pub(super) fn new(metrics: &Metrics) -> prometheus::Result<Self> {
        let open = metrics.connections.with_label_values(&["mattermost"]).clone();
        metrics.show(Mirror::new(
            "mattermost_http_websockets_total",
            "Open sockets of the mattermost dialect.",
            MetricType::GAUGE,
            move || vec![relabelled(open.metric(), "origin_client", "unknown")],
        )?)?;
        let waiting = metrics.hub_broadcast_buffer_size.vector().clone();
        metrics.show(Mirror::new(
            "mattermost_websocket_broadcast_buffer_size",
            "Events that wait in front of each hub.",
            MetricType::GAUGE,
            move || all_of(&waiting),
        )?)?;
        let registered = metrics.hub_connections.vector().clone();
        metrics.show(Mirror::new(
            "mattermost_websocket_broadcast_buffer_users_registered",
            "Connections that each hub serves.",
            MetricType::GAUGE,
            move || all_of(&registered),
        )?)?;
        let resumes = |result| metrics.resumes_total.with_label_values(&[result]).clone();
        let (replayed, lossless) = (resumes("replayed"), resumes("lossless"));
        let (reset, forbidden) = (resumes("reset"), resumes("forbidden"));
        metrics.show(Mirror::new(
            "mattermost_websocket_reconnects_total",
            "How attempts to resume a connection ended.",
            MetricType::COUNTER,
            move || {
                vec![
                    relabelled(replayed.metric(), "type", "success"),
                    relabelled(lossless.metric(), "type", "lossless"),
                    relabelled(sum(&reset, &forbidden), "type", "failure"),
                ]
            },
        )?)?;
        Ok(Self {
            events: Family::build(&EVENT_ROW, 0, &metrics.registry)?,
            broadcasts: Family::build(&BROADCAST_ROW, 0, &metrics.registry)?,
        })
    }

    /// Counts one published event.
    pub fn published(&self, event: &str) {
        self.events.with_label_values(&[known(event)]).inc();
    }

    /// Counts `times` messages written to sockets: an event's name, or `response`.
    pub fn written(&self, event: &str, times: u64) {
        self.broadcasts.with_label_values(&[known(event)]).inc_by(times);
    }
}

/// A metric of ours under a name of Mattermost's.
struct Mirror {
    desc: Desc,
    kind: MetricType,
    read: Box<dyn Fn() -> Vec<Metric> + Send + Sync>,
}

impl Mirror {
    fn new(
        name: &str,
        help: &str,
        kind: MetricType,
        read: impl Fn() -> Vec<Metric> + Send + Sync + 'static,
    ) -> prometheus::Result<Self> {
        let desc = Desc::new(name.to_owned(), help.to_owned(), Vec::new(), HashMap::new())?;
        Ok(Self { desc, kind, read: Box::new(read) })
    }
}

impl Collector for Mirror {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(self.kind);
        family.set_metric((self.read)());
        vec![family]
    }
}

/// Every series of a metric of ours.
fn all_of(ours: &impl Collector) -> Vec<Metric> {
    ours.collect().iter_mut().flat_map(MetricFamily::take_metric).collect()
}

/// `metric` with this one label instead of its own.
fn relabelled(mut metric: Metric, name: &str, value: &str) -> Metric {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    metric.set_label(vec![label]);
    metric
}

fn sum(one: &IntCounter, other: &IntCounter) -> Metric {
    let mut metric = one.metric();
    let mut counter = Counter::default();
    let other = other.metric();
    counter.set_value(metric.get_counter().get_value() + other.get_counter().get_value());
    metric.set_counter(counter);
    metric
}

/// `event` when the table has it, else `other`.
fn known(event: &str) -> &'static str {
    EVENTS.iter().copied().find(|name| *name == event).unwrap_or("other")
}
