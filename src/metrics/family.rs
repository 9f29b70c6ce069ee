//! One metric with labels: a cell for each combination of their values.
//!
//! Invariants: the combinations are fixed when the family is made, and all of
//! them are shown from the start, at 0; a value outside the closed set counts
//! under `other` instead of making a new series.

use super::{
    cell::{Counter, FloatGauge, Gauge, Histogram},
    text::{Number, Page},
};

/// The label names of a metric and the values that they may have.
#[derive(Debug, Clone, Copy)]
pub enum Labels {
    /// No labels.
    None,
    /// One label and its values.
    One(&'static str, &'static [&'static str]),
    /// Every combination of the values of each label.
    Product(&'static [(&'static str, Values)]),
    /// Two labels, and the values of the second for each value of the first.
    Pairs(&'static str, &'static str, &'static [(&'static str, &'static [&'static str])]),
}

/// The values that one label may have.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// These.
    Closed(&'static [&'static str]),
    /// The index of each hub of the node, from 0.
    Hubs,
    /// The numbers of the close codes, and `1005`, `1006`, `other`.
    CloseCodes,
}

impl Labels {
    /// Each label with its values as the documents print them.
    #[must_use]
    pub fn described(&self) -> Vec<(&'static str, String)> {
        let words = |words: &[&str]| {
            words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::None => Vec::new(),
            Self::One(name, values) => vec![(name, words(values))],
            Self::Product(labels) => {
                let text = |values: &Values| match values {
                    Values::Closed(values) => words(values),
                    Values::Hubs => "index of a hub, from `0`".to_owned(),
                    Values::CloseCodes => "a close code, `1005`, `1006`, `other`".to_owned(),
                };
                labels.iter().map(|(name, values)| (*name, text(values))).collect()
            }
            Self::Pairs(first, second, table) => {
                let firsts: Vec<&str> = table.iter().map(|(first, _)| *first).collect();
                vec![(first, words(&firsts)), (second, format!("depends on `{first}`, see below"))]
            }
        }
    }
}

impl Labels {
    /// The names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        match self {
            Self::None => Vec::new(),
            Self::One(name, _) => vec![name],
            Self::Product(labels) => labels.iter().map(|(name, _)| *name).collect(),
            Self::Pairs(first, second, _) => vec![first, second],
        }
    }

    /// Every combination of values on a node with so many hubs.
    #[must_use]
    pub fn combinations(&self, hubs: usize) -> Vec<Vec<String>> {
        match self {
            Self::None => vec![Vec::new()],
            Self::One(_, values) => values.iter().map(|&value| vec![value.to_owned()]).collect(),
            Self::Product(labels) => {
                let mut all = vec![Vec::new()];
                for (_, values) in *labels {
                    all = extended(&all, &values.list(hubs));
                }
                all
            }
            Self::Pairs(_, _, table) => {
                let pair = |first: &str, second: &str| vec![first.to_owned(), second.to_owned()];
                let row = |(first, seconds): &(&'static str, &'static [&'static str])| {
                    seconds.iter().map(|second| pair(first, second)).collect::<Vec<_>>()
                };
                table.iter().flat_map(row).collect()
            }
        }
    }
}

fn extended(all: &[Vec<String>], values: &[String]) -> Vec<Vec<String>> {
    let with = |head: &Vec<String>, value: &String| {
        let mut longer = head.clone();
        longer.push(value.clone());
        longer
    };
    all.iter().flat_map(|head| values.iter().map(move |value| with(head, value))).collect()
}

impl Values {
    /// The values on a node with so many hubs.
    #[must_use]
    pub fn list(&self, hubs: usize) -> Vec<String> {
        match self {
            Self::Closed(values) => values.iter().map(|&value| value.to_owned()).collect(),
            Self::Hubs => (0..hubs).map(|hub| hub.to_string()).collect(),
            Self::CloseCodes => {
                let sent = crate::model::CloseCode::ALL.map(|row| row.number.to_string());
                let seen = ["1005", "1006", "other"].map(str::to_owned);
                sent.into_iter().chain(seen).collect()
            }
        }
    }
}

/// One metric: a single number, or a family of them.
pub(super) trait Metric {
    /// The word after `# TYPE`.
    const TYPE: &'static str;

    /// Makes it with every combination at 0.
    fn build(combinations: Vec<Vec<String>>, bounds: &'static [f64]) -> Self;

    /// Writes its lines.
    fn write(&self, page: &mut Page, name: &str, labels: &Labels);
}

/// One series.
pub(super) trait Cell: Clone {
    /// The word after `# TYPE`.
    const TYPE: &'static str;

    /// Makes it at 0.
    fn zero(bounds: &'static [f64]) -> Self;

    /// Writes its lines.
    fn write(&self, page: &mut Page, name: &str, labels: &[(&str, &str)]);
}

/// A metric with `N` labels.
#[derive(Debug)]
pub struct Family<T, const N: usize> {
    cells: Vec<([String; N], T)>,
    /// Counts what has no combination of its own; never shown.
    astray: T,
}

impl<T, const N: usize> Family<T, N> {
    /// The series with these values of the labels, in the order of the table.
    ///
    /// A value outside its closed set finds the series whose last value is
    /// `other`. Clone the result to keep it.
    #[must_use]
    pub fn with_label_values(&self, values: &[&str; N]) -> &T {
        let exact = self.cells.iter().find(|(key, _)| key.iter().eq(values.iter()));
        debug_assert!(exact.is_some(), "{values:?} is not in the table of metrics: add it");
        if let Some((_, cell)) = exact {
            return cell;
        }
        let first = values.first().copied().unwrap_or_default();
        let other = |(key, _): &&([String; N], T)| {
            key.last().is_some_and(|last| last == "other")
                && (N == 1 || key.first().is_some_and(|value| value == first))
        };
        self.cells.iter().find(other).map_or(&self.astray, |(_, cell)| cell)
    }

    /// Every combination and its series.
    pub fn iter(&self) -> impl Iterator<Item = (&[String; N], &T)> {
        self.cells.iter().map(|(key, cell)| (key, cell))
    }
}

impl<T: Cell, const N: usize> Metric for Family<T, N> {
    const TYPE: &'static str = T::TYPE;

    fn build(combinations: Vec<Vec<String>>, bounds: &'static [f64]) -> Self {
        let keys = combinations.into_iter().filter_map(|key| <[String; N]>::try_from(key).ok());
        let cells = keys.map(|key| (key, T::zero(bounds))).collect();
        Self { cells, astray: T::zero(bounds) }
    }

    fn write(&self, page: &mut Page, name: &str, labels: &Labels) {
        let names = labels.names();
        for (key, cell) in &self.cells {
            let pairs: Vec<(&str, &str)> =
                names.iter().copied().zip(key.iter().map(String::as_str)).collect();
            cell.write(page, name, &pairs);
        }
    }
}

impl<T: Cell> Metric for T {
    const TYPE: &'static str = T::TYPE;

    fn build(_combinations: Vec<Vec<String>>, bounds: &'static [f64]) -> Self {
        T::zero(bounds)
    }

    fn write(&self, page: &mut Page, name: &str, _labels: &Labels) {
        Cell::write(self, page, name, &[]);
    }
}

impl Cell for Counter {
    const TYPE: &'static str = "counter";

    fn zero(_bounds: &'static [f64]) -> Self {
        Self::default()
    }

    fn write(&self, page: &mut Page, name: &str, labels: &[(&str, &str)]) {
        page.sample(name, labels, Number::Whole(self.get()));
    }
}

impl Cell for Gauge {
    const TYPE: &'static str = "gauge";

    fn zero(_bounds: &'static [f64]) -> Self {
        Self::default()
    }

    fn write(&self, page: &mut Page, name: &str, labels: &[(&str, &str)]) {
        page.sample(name, labels, Number::Signed(self.get()));
    }
}

impl Cell for FloatGauge {
    const TYPE: &'static str = "gauge";

    fn zero(_bounds: &'static [f64]) -> Self {
        Self::default()
    }

    fn write(&self, page: &mut Page, name: &str, labels: &[(&str, &str)]) {
        page.sample(name, labels, Number::Float(self.get()));
    }
}

impl Cell for Histogram {
    const TYPE: &'static str = "histogram";

    fn zero(bounds: &'static [f64]) -> Self {
        Self::new(bounds)
    }

    fn write(&self, page: &mut Page, name: &str, labels: &[(&str, &str)]) {
        let value = self.get();
        let failed = |(label, value): &(&str, &str)| *label == "status" && value.starts_with('4');
        // Failures of a route have no latency worth a dozen lines until they happen.
        if value.count == 0 && labels.iter().any(|label| failed(label) || label.1 == "other") {
            return;
        }
        page.histogram(name, labels, &value);
    }
}
