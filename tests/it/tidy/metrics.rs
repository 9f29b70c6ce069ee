//! Metrics against the code that counts them.
//!
//! Goal: a metric that nothing counts looks like a quiet system, and a refusal under
//! a label that the table does not have is not seen at all.
//!
//! Method: look for each field of the table, and for each pair of literals that a
//! refusal is counted under, in the product's code.

use super::{
    assert_none,
    source::{File, code_only, files, is_test, product_part},
};

/// The product's code that may count.
fn counting() -> Vec<File> {
    let describes = ["src/metrics/document.rs", "src/metrics/tests.rs"];
    let mut found = files("src");
    found.retain(|file| !describes.contains(&file.path.as_str()) && !is_test(&file.path));
    found
}

/// The fields of the table of metrics that `code` never names.
fn uncounted<'a>(fields: impl Iterator<Item = &'a str>, code: &str) -> Vec<String> {
    let is_named = |field: &str| {
        code.match_indices(&format!(".{field}")).any(|(at, found)| {
            !code[at + found.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
        })
    };
    fields.filter(|field| !is_named(field)).map(|field| format!("nothing counts {field}")).collect()
}

#[test]
fn every_metric_is_counted_somewhere() {
    let sample = ["ready", "users", "ring_events"].into_iter();
    let found = uncounted(sample, "metrics.ready.set(1); self.users_by_name; x.ring_events.inc()");
    assert_eq!(found, ["nothing counts users"]);

    let code: String = counting().iter().map(|file| code_only(product_part(&file.text))).collect();
    let names = hubbub::metrics::TABLE.iter().map(|row| row.name.trim_start_matches("hubbub_"));
    assert_none("a metric that nothing counts does not exist", &uncounted(names, &code));
}

/// The names that no text of `pages` contains as a whole word; a histogram's series end in
/// `_bucket`, `_sum` or `_count`.
fn unshown<'a>(names: impl Iterator<Item = &'a str>, pages: &str) -> Vec<String> {
    let ends = ["{", "_bucket{", "_sum{", "_count{"];
    let is_shown = |name: &&str| ends.iter().any(|end| pages.contains(&format!("{name}{end}")));
    names.filter(|name| !is_shown(name)).map(|name| format!("no panel shows {name}")).collect()
}

#[test]
fn every_metric_is_on_a_dashboard() {
    let sample = ["hubbub_users", "hubbub_ready", "hubbub_a_seconds"].into_iter();
    let found = unshown(sample, "hubbub_ready{x} hubbub_users_total{x} hubbub_a_seconds_sum{x}");
    assert_eq!(found, ["no panel shows hubbub_users"]);

    let pages: String = files("grafana/dashboards").iter().map(|file| file.text.as_str()).collect();
    let names = hubbub::metrics::TABLE.iter().map(|row| row.name);
    assert_none("a metric that no dashboard shows is not seen", &unshown(names, &pages));
}

/// The pairs of literals that `text` counts refusals under, and that the table lacks.
fn unknown_refusals(text: &str) -> Vec<String> {
    let calls = ["rejected(", "deny("].into_iter().flat_map(|call| text.split(call).skip(1));
    let pairs = calls.filter_map(|rest| {
        let mut literals = rest.trim_start().strip_prefix('"')?.split('"');
        let (stage, comma) = (literals.next()?, literals.next()?);
        (comma.trim() == ",").then_some((stage, literals.next()?))
    });
    let is_known = |(stage, reason): &(&str, &str)| {
        let known = hubbub::metrics::REASONS.iter().find(|(name, _)| name == stage);
        known.is_some_and(|(_, reasons)| reasons.contains(reason))
    };
    pairs
        .filter(|pair| !is_known(pair))
        .map(|(stage, reason)| format!("({stage}, {reason}) is not in the table of metrics"))
        .collect()
}

#[test]
fn refusals_are_counted_under_labels_that_exist() {
    let sample = r#"m.rejected("frame", "length"); m.rejected(
        "frame", "colour"); self.deny("nowhere", "length"); m.rejected(stage, "length")"#;
    assert_eq!(unknown_refusals(sample).len(), 2, "{:?}", unknown_refusals(sample));

    let mut found = Vec::new();
    for file in counting() {
        let unknown = unknown_refusals(product_part(&file.text));
        found.extend(unknown.iter().map(|what| format!("{}: {what}", file.path)));
    }
    assert_none("labels of refusals", &found);
}
