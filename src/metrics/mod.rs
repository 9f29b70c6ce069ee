//! What a node counts, and the page that Prometheus reads.
//!
//! One table makes the fields of [`Metrics`], what is exported and what
//! `docs/metrics.md` says, so that the three can't differ.
//!
//! Invariants:
//! - names are `hubbub_<noun>_<unit>[_total]`; a field is the name without `hubbub_`;
//! - label values come from closed sets, never from a peer;
//! - every series of a closed set is shown from the start, at 0 (latencies of
//!   failed requests excepted: they appear with the first one).
//!
//! Not here: when to count, which is the duty of whoever does the thing.

use std::sync::Arc;

mod document;
mod family;
mod labels;
mod mattermost;
mod process;
mod recorder;
#[cfg(test)]
mod tests;

use prometheus::{Opts, Registry, TextEncoder, core::Collector};

use family::Metric;

pub use document::document;
pub use family::{Family, Labels, Values};
pub use labels::{CLASSES, DIALECTS, REASONS, REDIS_COMMANDS, REDIS_ROLES, ROUTES, TIMED_CLASSES};
pub use mattermost::MattermostMetrics;
pub use prometheus::{Gauge, Histogram, IntCounter, IntGauge, local::LocalHistogram};
pub use recorder::{Class, DeliveryRecorder, DialectIndex};

/// Bounds in seconds for what should take milliseconds.
const FAST: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];
/// Bounds in seconds for requests, of which there are many kinds.
const REQUESTS: &[f64] = &[0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0];

/// One row of the table of metrics.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Name as exported.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// What it means, in one sentence or two.
    pub help: &'static str,
    /// Its labels and their values.
    pub labels: Labels,
    /// Bounds of a histogram; empty for others.
    pub bounds: &'static [f64],
}

macro_rules! metrics {
    ($( $(#[doc = $help:literal])+ $field:ident: $type:ty, $labels:expr, $bounds:expr; )+) => {
        /// All numbers of one node. Cheap to share, safe from any thread.
        #[derive(Debug)]
        pub struct Metrics {
            $( $(#[doc = $help])+ pub $field: $type, )+
            /// Counters under Mattermost's own names, when they are exported.
            pub mattermost: Option<MattermostMetrics>,
            registry: Registry,
        }

        /// The table: one row for each metric.
        pub const TABLE: &[Row] = &[$( Row {
            name: concat!("hubbub_", stringify!($field)),
            kind: <$type as Metric>::TYPE,
            help: concat!($($help),+),
            labels: $labels,
            bounds: $bounds,
        } ),+];

        impl Metrics {
            fn build(hubs: usize, registry: Registry) -> prometheus::Result<Self> {
                // Fields and rows are made here together, so they are in the same order.
                let mut rows = TABLE.iter();
                let mut row = || rows.next().ok_or_else(|| prometheus::Error::Msg("too few rows".to_owned()));
                Ok(Self {
                    $( $field: <$type>::build(row()?, hubs, &registry)?, )+
                    mattermost: None,
                    registry,
                })
            }
        }
    };
}

metrics! {
    /// Records that wait in front of a hub.
    hub_broadcast_buffer_size: Family<IntGauge, 1>, labels::HUB, &[];
    /// Records that may wait in front of a hub.
    hub_broadcast_buffer_capacity: Family<IntGauge, 1>, labels::HUB, &[];
    /// Connections that a hub serves.
    hub_connections: Family<IntGauge, 1>, labels::HUB, &[];
    /// Open sockets.
    connections: Family<IntGauge, 1>, labels::DIALECT, &[];
    /// Sockets that were upgraded.
    sockets_opened_total: Family<IntCounter, 1>, labels::DIALECT, &[];
    /// Sockets that ended, by the code that was sent, or received when the peer closed
    /// first; 1005 is a close without a code, 1006 an end without a close.
    sockets_closed_total: Family<IntCounter, 2>, labels::CLOSED, &[];
    /// Session tasks that panicked; each cost its own socket.
    session_panics_total: IntCounter, Labels::None, &[];
    /// Records that were offered to the log, but for the memberships that tokens seed.
    events_published_total: Family<IntCounter, 2>, labels::PUBLISHED, &[];
    /// Records that came back from the log, in order.
    events_tailed_total: IntCounter, Labels::None, &[];
    /// Events written to sockets.
    deliveries_total: Family<IntCounter, 2>, labels::DELIVERED, &[];
    /// Events whose body was replaced by a no-op, so that only the count was sent.
    bodies_withheld_total: Family<IntCounter, 1>, labels::WITHHELD, &[];
    /// Bytes that wait in front of all sockets of this node.
    outbox_bytes: IntGauge, Labels::None, &[];
    /// Events that wait in front of all sockets of this node.
    outbox_events: IntGauge, Labels::None, &[];
    /// Sockets closed with 4431 because their peer did not read.
    slow_consumers_total: Family<IntCounter, 1>, labels::DIALECT, &[];
    /// Attempts to go on with an earlier connection.
    resumes_total: Family<IntCounter, 1>, labels::RESUME, &[];
    /// Connections that had to begin anew instead of being resumed.
    resets_total: Family<IntCounter, 1>, labels::RESET, &[];
    /// Places of connections that were offered to the log, so that a resume walks less.
    checkpoints_total: Family<IntCounter, 1>, labels::CHECKPOINT, &[];
    /// Realms whose connections all had to begin anew here, because the log can't go on.
    realm_losses_total: Family<IntCounter, 1>, labels::LOSS, &[];
    /// Times that a realm's log went on here in another generation, proved whole.
    generations_adopted_total: IntCounter, Labels::None, &[];
    /// Attempts to renew the lease of this node's name; `taken` means that another node has it.
    lease_renewals_total: Family<IntCounter, 1>, labels::LEASE, &[];
    /// Times that a realm's lease had run out before it was renewed: its connections got nothing
    /// until the log had said which of them this node still holds.
    lease_lapses_total: IntCounter, Labels::None, &[];
    /// Records that the log holds and the hubs do not have yet.
    tail_lag_events: IntGauge, Labels::None, &[];
    /// Age of the oldest record that is on its way to the hubs, or was last.
    tail_lag_seconds: Gauge, Labels::None, &[];
    /// Times that the tail had to read records from the log.
    tail_catchups_total: Family<IntCounter, 1>, labels::CATCHUP, &[];
    /// Messages on a realm's channel that nobody of this cluster can have written.
    frames_refused_total: IntCounter, Labels::None, &[];
    /// Records that the rings of this node hold.
    ring_events: IntGauge, Labels::None, &[];
    /// Bytes that the rings of this node hold.
    ring_bytes: IntGauge, Labels::None, &[];
    /// From the accepted publish to the written socket.
    delivery_seconds: Family<Histogram, 1>, labels::TIMED, FAST;
    /// How long the log took to answer a publish.
    publish_seconds: Family<Histogram, 1>, labels::PUBLISH_RESULT, FAST;
    /// Changes that wait for the disk, when `data.dir` is set.
    store_waiting_entries: IntGauge, Labels::None, &[];
    /// How long the disk took for changes that were saved together.
    store_commit_seconds: Histogram, Labels::None, FAST;
    /// How long Redis took to answer a script or command, by its name.
    redis_command_seconds: Family<Histogram, 1>, labels::REDIS_COMMAND, FAST;
    /// Times that a connection to Redis was lost and made anew.
    redis_reconnects_total: Family<IntCounter, 1>, labels::REDIS_ROLE, &[];
    /// 1 when every connection of the role is open, and there is one.
    redis_up: Family<IntGauge, 1>, labels::REDIS_ROLE, &[];
    /// Messages that a subscription had no room for; each costs a catch-up from the log.
    redis_overflows_total: IntCounter, Labels::None, &[];
    /// Users whose presence waits to be written to Redis.
    presence_waiting_users: IntGauge, Labels::None, &[];
    /// Attempts to write presence to Redis, a batch of users each; `anew` means that Redis
    /// did not hold what this node wrote before.
    presence_writes_total: Family<IntCounter, 1>, labels::PRESENCE_WRITE, &[];
    /// Users by what they show.
    users: Family<IntGauge, 1>, labels::STATUS, &[];
    /// What was refused, and why.
    rejections_total: Family<IntCounter, 2>, labels::REJECTED, &[];
    /// TCP connections that the listener holds before they are upgraded.
    http_connections: Family<IntGauge, 1>, labels::LISTENER, &[];
    /// Times that accepting failed, mostly for want of file descriptors.
    http_accept_errors_total: Family<IntCounter, 1>, labels::LISTENER, &[];
    /// Answered HTTP requests.
    http_requests_total: Family<IntCounter, 2>, labels::REQUEST, &[];
    /// From the complete head to the answer; upgrades up to the 101.
    http_request_seconds: Family<Histogram, 2>, labels::REQUEST, REQUESTS;
    /// 1 when the node serves, 0 when it should get no new connections.
    ready: IntGauge, Labels::None, &[];
    /// 0 serving, 1 not ready, 2 draining, 3 stopping.
    drain_phase: IntGauge, Labels::None, &[];
}

/// The numbers of one hub, resolved once.
#[derive(Debug, Clone)]
pub struct HubMetrics {
    /// Records that wait.
    pub buffer_size: IntGauge,
    /// Records that may wait.
    pub buffer_capacity: IntGauge,
    /// Connections that it serves.
    pub connections: IntGauge,
}

impl Metrics {
    /// The metrics of the node `node_id` with so many hubs, all at 0.
    #[must_use]
    pub fn new(node_id: &str, hubs: usize) -> Arc<Self> {
        Arc::new(sure(Self::of_node(node_id, hubs)))
    }

    /// The same, and Mattermost's names beside ours.
    #[must_use]
    pub fn with_mattermost_names(node_id: &str, hubs: usize) -> Arc<Self> {
        let mut metrics = sure(Self::of_node(node_id, hubs));
        metrics.mattermost = Some(sure(MattermostMetrics::new(&metrics)));
        Arc::new(metrics)
    }

    fn of_node(node_id: &str, hubs: usize) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let options = Opts::new(BUILD_INFO, BUILD_INFO_HELP)
            .const_label("version", env!("CARGO_PKG_VERSION"))
            .const_label("node", node_id);
        let build_info = IntGauge::with_opts(options)?;
        build_info.set(1);
        registry.register(Box::new(build_info))?;
        registry.register(Box::new(process::Process::new()))?;
        Self::build(hubs, registry)
    }

    /// The numbers of hub `index`.
    #[must_use]
    pub fn hub(&self, index: usize) -> HubMetrics {
        let hub = index.to_string();
        HubMetrics {
            buffer_size: self.hub_broadcast_buffer_size.with_label_values(&[&hub]).clone(),
            buffer_capacity: self.hub_broadcast_buffer_capacity.with_label_values(&[&hub]).clone(),
            connections: self.hub_connections.with_label_values(&[&hub]).clone(),
        }
    }

    /// Counts one refusal.
    pub fn rejected(&self, stage: &str, reason: &str) {
        self.rejections_total.with_label_values(&[stage, reason]).inc();
    }

    /// The page, in the text format of Prometheus ([`CONTENT_TYPE`]).
    ///
    /// Reads `/proc`, which never waits for a disk.
    #[must_use]
    pub fn render(&self) -> String {
        sure(TextEncoder::new().encode_to_string(&self.registry.gather()))
    }

    /// Shows what `collector` collects, too.
    fn show(&self, collector: impl Collector + 'static) -> prometheus::Result<()> {
        self.registry.register(Box::new(collector))
    }
}

/// The media type of the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const BUILD_INFO: &str = "hubbub_build_info";
const BUILD_INFO_HELP: &str = "Always 1; its labels tell the version and the node.";

/// What can only fail when the table breaks a rule of the library: a name that is
/// malformed or taken, or a wrong number of labels. A test builds the whole table.
#[expect(clippy::expect_used, reason = "the table is constant, and a test builds all of it")]
fn sure<T>(result: prometheus::Result<T>) -> T {
    result.expect("the table of metrics follows the rules of prometheus")
}
