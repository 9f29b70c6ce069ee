//! The text that Prometheus reads: version 0.0.4 of its exposition format.
//!
//! Invariants: every metric has its HELP and TYPE before its samples; label
//! values and help are escaped.

use std::fmt::Write as _;

use super::cell::HistogramValue;

/// The media type of the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The value of one sample.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Whole(u64),
    Signed(i64),
    Float(f64),
}

/// A page of samples that grows.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    /// The whole page.
    pub(super) fn finish(self) -> String {
        self.text
    }

    /// Begins a metric.
    pub(super) fn begin(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// Adds one sample.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: Number) {
        let labels = written(labels, None);
        match value {
            Number::Whole(value) => self.line(format_args!("{name}{labels} {value}\n")),
            Number::Signed(value) => self.line(format_args!("{name}{labels} {value}\n")),
            Number::Float(value) => self.line(format_args!("{name}{labels} {value}\n")),
        }
    }

    /// Adds the samples of a histogram.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        value: &HistogramValue,
    ) {
        for (bound, below) in &value.buckets {
            let labels = written(labels, Some(&bound.to_string()));
            self.line(format_args!("{name}_bucket{labels} {below}\n"));
        }
        let all = written(labels, Some("+Inf"));
        let labels = written(labels, None);
        self.line(format_args!("{name}_bucket{all} {}\n", value.count));
        self.line(format_args!("{name}_sum{labels} {}\n", value.sum));
        self.line(format_args!("{name}_count{labels} {}\n", value.count));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String can't fail.
        self.text.write_fmt(line).ok();
    }
}

/// `{name="value",…}`, or nothing when there are no labels.
fn written(labels: &[(&str, &str)], bound: Option<&str>) -> String {
    let escaped =
        |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let own = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
    let all: Vec<String> = own.chain(bound.map(|bound| format!("le=\"{bound}\""))).collect();
    if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
}
