//! The same facts under Mattermost's names, so that its dashboards work here.
//!
//! Invariants: a number that we have under our own name is read from there, not
//! counted twice; unknown event names fold into `other`.

use std::collections::HashMap;

use prometheus::{
    IntCounter,
    core::{Collector, Desc, Metric as _},
    local::LocalIntCounter,
    proto::{Counter, LabelPair, Metric, MetricFamily, MetricType},
};

use super::{Family, Labels, Metrics, Row, family::Metric as _};

/// Names of the events that Mattermost's clients know most, sorted, and `response`
/// for replies.
const EVENTS: &[&str] = &[
    "added_to_team",
    "channel_converted",
    "channel_created",
    "channel_deleted",
    "channel_member_updated",
    "channel_restored",
    "channel_updated",
    "config_changed",
    "delete_team",
    "direct_added",
    "draft_created",
    "draft_deleted",
    "draft_updated",
    "emoji_added",
    "ephemeral_message",
    "group_added",
    "hello",
    "leave_team",
    "license_changed",
    "memberrole_updated",
    "multiple_channels_viewed",
    "new_user",
    "open_dialog",
    "other",
    "post_deleted",
    "post_edited",
    "post_unread",
    "posted",
    "preference_changed",
    "preferences_changed",
    "preferences_deleted",
    "reaction_added",
    "reaction_removed",
    "response",
    "restore_team",
    "role_updated",
    "status_change",
    "thread_follow_changed",
    "thread_read_changed",
    "thread_updated",
    "typing",
    "update_team",
    "user_added",
    "user_removed",
    "user_role_updated",
    "user_updated",
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

    /// Counts one message to a socket that is no event of the log: `hello`, `response`.
    pub fn written(&self, name: &str) {
        self.broadcasts.with_label_values(&[known(name)]).inc();
    }

    /// Counts of one task, which it adds when it flushes.
    pub(super) fn local(&self) -> WrittenNames {
        let local = |name: &&str| self.broadcasts.with_label_values(&[*name]).local();
        WrittenNames(EVENTS.iter().map(local).collect())
    }
}

/// Messages that one task wrote to sockets, in the order of [`EVENTS`].
#[derive(Debug)]
pub(super) struct WrittenNames(Vec<LocalIntCounter>);

impl WrittenNames {
    pub(super) fn count(&self, name: &str) {
        if let Some(count) = place(name).and_then(|place| self.0.get(place)) {
            count.inc();
        }
    }

    pub(super) fn flush(&self) {
        self.0.iter().for_each(LocalIntCounter::flush);
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

/// `name` when the table has it, else `other`.
fn known(name: &str) -> &'static str {
    place(name).and_then(|place| EVENTS.get(place)).copied().unwrap_or("other")
}

/// Where the table has `name`, or `other`.
fn place(name: &str) -> Option<usize> {
    EVENTS.binary_search(&name).or_else(|_| EVENTS.binary_search(&"other")).ok()
}
