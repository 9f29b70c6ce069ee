//! Goal: the page has every metric from the start, is well-formed, and the
//! documents say the same.
//!
//! Method: read the rendered page line by line; ask promtool where there is one.

use std::{
    collections::HashSet,
    io::Write as _,
    process::{Command, Stdio},
};

use super::*;

fn value(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[test]
fn every_row_is_on_the_page_from_the_start() {
    let page = Metrics::new("one", 2).render();
    for row in TABLE {
        assert!(page.contains(&format!("# TYPE {} {}\n", row.name, row.kind)), "{}", row.name);
        let samples = page.lines().filter(|line| line.starts_with(row.name)).count();
        assert!(samples > 0, "{} has no sample", row.name);
    }
    assert_eq!(value(&page, r#"hubbub_hub_connections{hub="1"}"#), Some(0.0));
    assert_eq!(
        value(&page, r#"hubbub_sockets_closed_total{code="4431",dialect="room"}"#),
        Some(0.0)
    );
    let series = r#"hubbub_rejections_total{reason="head_timeout",stage="http"}"#;
    assert_eq!(value(&page, series), Some(0.0));
    assert!(value(&page, "process_resident_memory_bytes").is_some_and(|bytes| bytes > 1e6));
    assert!(value(&page, "process_start_time_seconds").is_some_and(|at| at > 1e9));
    assert!(page.contains(r#"node="one""#));
}

#[test]
fn names_are_unique_and_follow_the_rule() {
    let names: HashSet<&str> = TABLE.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), TABLE.len());
    for row in TABLE {
        assert_eq!(row.kind == "counter", row.name.ends_with("_total"), "{}", row.name);
        assert_eq!(row.kind == "histogram", !row.bounds.is_empty(), "{}", row.name);
        assert!(row.bounds.is_sorted(), "{}", row.name);
        let combinations = row.labels.combinations(2);
        let distinct: HashSet<_> = combinations.iter().collect();
        assert_eq!(distinct.len(), combinations.len(), "{}", row.name);
    }
}

#[test]
fn numbers_appear_where_they_were_counted() {
    let metrics = Metrics::with_mattermost_names("one", 1);
    metrics.rejected("auth", "token_signature");
    metrics.hub(0).buffer_size.set(7);
    metrics.connections.with_label_values(&["mattermost"]).inc();
    metrics.tail_lag_seconds.set(0.25);
    let page = metrics.render();
    let series = r#"hubbub_rejections_total{reason="token_signature",stage="auth"}"#;
    assert_eq!(value(&page, series), Some(1.0));
    assert_eq!(value(&page, r#"hubbub_hub_broadcast_buffer_size{hub="0"}"#), Some(7.0));
    assert_eq!(value(&page, "hubbub_tail_lag_seconds"), Some(0.25));
    let series = r#"mattermost_http_websockets_total{origin_client="unknown"}"#;
    assert_eq!(value(&page, series), Some(1.0));
    let series = r#"mattermost_websocket_broadcast_buffer_size{hub="0"}"#;
    assert_eq!(value(&page, series), Some(7.0));
}

#[test]
fn a_recorder_moves_the_shared_numbers_only_when_flushed() {
    let metrics = Metrics::new("one", 1);
    let mut recorder = DeliveryRecorder::new(&metrics);
    let room = DialectIndex::of("room").unwrap();
    recorder.count(room, Class::Durable, 3);
    recorder.count(room, Class::Noop, 2);
    recorder.observe(Class::Durable, 0.002, 2);
    recorder.observe(Class::Noop, 9.0, 1);
    let delivered = metrics.deliveries_total.with_label_values(&["room", "durable"]);
    assert_eq!(delivered.get(), 0);

    recorder.flush();
    recorder.flush();

    assert_eq!(delivered.get(), 3);
    assert_eq!(metrics.deliveries_total.with_label_values(&["room", "noop"]).get(), 2);
    let seconds = metrics.delivery_seconds.with_label_values(&["durable"]);
    assert_eq!(seconds.get_sample_count(), 2);
    assert!((seconds.get_sample_sum() - 0.004).abs() < 1e-9, "{seconds:?}");
    let page = metrics.render();
    let below = |bound| {
        value(&page, &format!(r#"hubbub_delivery_seconds_bucket{{class="durable",le="{bound}"}}"#))
    };
    assert_eq!([below("0.001"), below("0.0025"), below("+Inf")], [Some(0.0), Some(2.0), Some(2.0)]);
}

#[test]
fn label_values_and_helps_are_escaped() {
    let page = Metrics::new("a\"b\\c\nd", 1).render();
    assert!(page.contains(r#"node="a\"b\\c\nd""#));
}

#[test]
fn what_is_in_no_closed_set_is_refused_by_tests_and_counts_as_other() {
    let metrics = Metrics::new("one", 1);
    let astray = |stage: &'static str, reason: &'static str| {
        let metrics = std::sync::Arc::clone(&metrics);
        std::thread::spawn(move || metrics.rejected(stage, reason)).join()
    };
    // In a release build there is no assertion, and the refusal is counted.
    for (stage, reason) in [("http", "moon"), ("moon", "dust")] {
        assert_eq!(astray(stage, reason).is_err(), cfg!(debug_assertions), "{stage} {reason}");
    }
    let page = metrics.render();
    let counted = if cfg!(debug_assertions) { 0.0 } else { 1.0 };
    let series = r#"hubbub_rejections_total{reason="other",stage="http"}"#;
    assert_eq!(value(&page, series), Some(counted));
    let series = r#"hubbub_rejections_total{reason="other",stage="other"}"#;
    assert_eq!(value(&page, series).is_some(), !cfg!(debug_assertions));
}

#[test]
fn latencies_of_failures_appear_with_the_first() {
    let metrics = Metrics::new("one", 1);
    let labels = ["/ws", "401"];
    let series = r#"hubbub_http_request_seconds_count{route="/ws",status="401"}"#;
    assert_eq!(value(&metrics.render(), series), None);
    metrics.http_request_seconds.with_label_values(&labels).observe(0.1);
    assert_eq!(value(&metrics.render(), series), Some(1.0));
}

#[test]
fn cpu_time_has_fractions() {
    let metrics = Metrics::new("one", 1);
    let spent = || value(&metrics.render(), "process_cpu_seconds_total").unwrap();
    let before = spent();
    let after = std::iter::repeat_with(spent).find(|after| *after > before).unwrap();
    assert!(before > 0.0 && after - before < 1.0, "{before} {after}");
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let metrics = Metrics::new("one", 2);
    metrics.publish_seconds.with_label_values(&["accepted"]).observe(0.003);
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("skipped: promtool is not installed (Debian package prometheus)");
        return;
    };
    child.stdin.take().unwrap().write_all(metrics.render().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

#[test]
fn the_document_says_what_the_table_says() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let made = concat!(env!("CARGO_MANIFEST_DIR"), "/target/metrics.md");
    if std::fs::read_to_string(file).ok().as_deref() != Some(document().as_str()) {
        std::fs::write(made, document()).unwrap();
        panic!("docs/metrics.md is stale: cp target/metrics.md docs/metrics.md");
    }
}
