//! A page of metrics, as a scraper reads it.

use std::collections::BTreeMap;

type Labels = BTreeMap<String, String>;

/// One scrape.
#[derive(Debug)]
pub(super) struct Page(Vec<(String, Labels, f64)>);

impl Page {
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self(lines.map(sample).collect())
    }

    /// The sum of all series of `name` that have these labels.
    ///
    /// Fails when there is none: a series of a closed set exists from the start.
    pub(super) fn get(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |own: &Labels| {
            labels.iter().all(|(name, value)| own.get(*name).is_some_and(|own| own == value))
        };
        let found: Vec<f64> = self
            .0
            .iter()
            .filter(|(own, own_labels, _)| own == name && fits(own_labels))
            .map(|(_, _, value)| *value)
            .collect();
        assert!(!found.is_empty(), "no series {name} {labels:?}");
        found.iter().sum()
    }

    /// The series of `name` that are not 0: the values of their labels and their own.
    pub(super) fn counted(&self, name: &str) -> Vec<(String, f64)> {
        let own = self.0.iter().filter(|(own, _, value)| own == name && *value != 0.0);
        let words = |labels: &Labels| labels.values().cloned().collect::<Vec<_>>().join(" ");
        own.map(|(_, labels, value)| (words(labels), *value)).collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, ..)| own == name)
    }
}

fn sample(line: &str) -> (String, Labels, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    // No label of ours holds a comma or a quote.
    let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
    let pair = |label: &str| {
        let (name, value) = label.split_once('=').unwrap_or_else(|| panic!("{line}"));
        (name.to_owned(), value.trim_matches('"').to_owned())
    };
    (name.to_owned(), labels.map(pair).collect(), value.parse().unwrap())
}
