//! `docs/metrics.md`, made from the table.
//!
//! Invariants: a test compares the file with what is made here.

use std::fmt::Write as _;

use prometheus::{core::Collector as _, proto::MetricType};

use super::{BUILD_INFO, BUILD_INFO_HELP, Labels, REASONS, ROUTES, TABLE, process::Process};

const HEAD: &str = "# Metrics

`GET /metrics` on the internal listener answers in the text format of Prometheus. This file is
made from the table in `src/metrics/mod.rs`; a test compares them.

Label values come from closed sets and every series is there from the start, at 0. Only latencies
of failed requests appear with the first one. No label ever holds the name of a user, a channel or
anything else that a peer chose.

| metric | type | labels | meaning |
|---|---|---|---|
";

const MATTERMOST: &str = "
## Mattermost's names

With `metrics.mattermost_names = true` these are exported, too, so that Mattermost's own dashboards
work: `mattermost_http_websockets_total`, `mattermost_websocket_event_total`,
`mattermost_websocket_broadcasts_total`, `mattermost_websocket_broadcast_buffer_size`,
`mattermost_websocket_broadcast_buffer_users_registered`, `mattermost_websocket_reconnects_total`.
";

/// The text of `docs/metrics.md`.
#[must_use]
pub fn document() -> String {
    let mut text = String::from(HEAD);
    for row in TABLE {
        let labels = described(&row.labels);
        line(&mut text, row.name, row.kind, &labels, row.help.trim());
    }
    let labels = "`version`; `node`: the node's id";
    line(&mut text, BUILD_INFO, "gauge", labels, BUILD_INFO_HELP);
    for family in Process::new().collect() {
        let is_counter = family.get_field_type() == MetricType::COUNTER;
        let kind = if is_counter { "counter" } else { "gauge" };
        line(&mut text, family.name(), kind, "–", family.help());
    }
    pairs(&mut text, "Stages and reasons of refusals", &REASONS);
    pairs(&mut text, "Routes and statuses", &ROUTES);
    text.push_str(MATTERMOST);
    text
}

fn line(text: &mut String, name: &str, kind: &str, labels: &str, help: &str) {
    // Writing to a String can't fail.
    writeln!(text, "| `{name}` | {kind} | {labels} | {help} |").ok();
}

fn described(labels: &Labels) -> String {
    let all: Vec<String> = labels
        .described()
        .into_iter()
        .map(|(name, values)| format!("`{name}`: {values}"))
        .collect();
    if all.is_empty() { "–".to_owned() } else { all.join("; ") }
}

fn pairs(text: &mut String, title: &str, table: &[(&str, &[&str])]) {
    writeln!(text, "\n## {title}\n").ok();
    for (first, seconds) in table {
        writeln!(text, "- `{first}`: {}", seconds.join(", ")).ok();
    }
}
