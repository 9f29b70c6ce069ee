//! One metric with labels: a cell for each combination of their values.
//!
//! A vector of the library hashes its label values and takes a lock for each look;
//! a family resolves them once and then searches a table of its own.
//!
//! Invariants: the combinations are fixed when the family is made, and all of
//! them are shown from the start, at 0; a value outside the closed set counts
//! under `other` instead of making a new series or being lost.

use std::{fmt::Debug, sync::OnceLock};

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, core::Collector,
};

use super::{Row, sure};

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
pub(super) trait Metric: Sized {
    /// The word after `# TYPE`.
    const TYPE: &'static str;

    /// Makes what `row` says with every combination at 0, and shows it in `registry`.
    ///
    /// # Errors
    ///
    /// The row breaks a rule of the library, or has the name of another one.
    fn build(row: &Row, hubs: usize, registry: &Registry) -> prometheus::Result<Self>;
}

/// One series: a type of the library.
pub trait Cell: Clone + Debug {
    /// The word after `# TYPE`.
    const TYPE: &'static str;

    /// The same with labels.
    type Vector: Collector + Clone + Debug + 'static;

    /// Makes the one without labels.
    ///
    /// # Errors
    ///
    /// As [`Metric::build`].
    fn single(row: &Row) -> prometheus::Result<Self>;

    /// Makes the one with labels.
    ///
    /// # Errors
    ///
    /// As [`Metric::build`].
    fn vector(row: &Row) -> prometheus::Result<Self::Vector>;

    /// The series with these values of the labels, from now on shown.
    ///
    /// # Errors
    ///
    /// There are more or fewer values than labels.
    fn child(vector: &Self::Vector, values: &[&str]) -> prometheus::Result<Self>;
}

/// A metric with `N` labels.
#[derive(Debug)]
pub struct Family<T: Cell, const N: usize> {
    vector: T::Vector,
    /// Sorted by the values. A series that has not been made is not shown.
    cells: Vec<([String; N], OnceLock<T>)>,
    /// Counts what has neither a combination of its own nor an `other`.
    astray: OnceLock<T>,
}

impl<T: Cell, const N: usize> Family<T, N> {
    /// The series with these values of the labels, in the order of the table.
    ///
    /// Values outside their closed set find the series whose last value is `other`.
    /// Clone the result to keep it.
    #[must_use]
    pub fn with_label_values(&self, values: &[&str; N]) -> &T {
        if let Some(cell) = self.find(values) {
            return cell;
        }
        debug_assert!(false, "{values:?} is not in the table of metrics: add it");
        let mut others = *values;
        if let Some(last) = others.last_mut() {
            *last = "other";
        }
        self.find(&others).unwrap_or_else(|| self.astray.get_or_init(|| self.made(&["other"; N])))
    }

    /// The series that are shown now.
    pub fn iter(&self) -> impl Iterator<Item = (&[String; N], &T)> {
        self.cells.iter().filter_map(|(key, cell)| Some((key, cell.get()?)))
    }

    /// The same numbers as the library holds them.
    pub(super) fn vector(&self) -> &T::Vector {
        &self.vector
    }

    fn find(&self, values: &[&str; N]) -> Option<&T> {
        let order = |(key, _): &([String; N], _)| key.iter().map(String::as_str).cmp(*values);
        let place = self.cells.binary_search_by(order).ok()?;
        let (_, cell) = self.cells.get(place)?;
        Some(cell.get_or_init(|| self.made(values)))
    }

    fn made(&self, values: &[&str]) -> T {
        sure(T::child(&self.vector, values))
    }
}

impl<T: Cell, const N: usize> Metric for Family<T, N> {
    const TYPE: &'static str = T::TYPE;

    fn build(row: &Row, hubs: usize, registry: &Registry) -> prometheus::Result<Self> {
        let vector = T::vector(row)?;
        registry.register(Box::new(vector.clone()))?;
        let mut keys: Vec<[String; N]> = row
            .labels
            .combinations(hubs)
            .into_iter()
            .map(|key| key.try_into().map_err(|key: Vec<String>| wrong_count(N, key.len())))
            .collect::<prometheus::Result<_>>()?;
        keys.sort_unstable();
        let names = row.labels.names();
        let cells = keys.into_iter().map(|key| {
            let cell = OnceLock::new();
            if !is_late(row, &names, &key) {
                let values = key.each_ref().map(String::as_str);
                cell.get_or_init(|| sure(T::child(&vector, &values)));
            }
            (key, cell)
        });
        Ok(Self { cells: cells.collect(), vector, astray: OnceLock::new() })
    }
}

/// Failures of a route have no latency worth a dozen lines until they happen.
fn is_late(row: &Row, names: &[&str], key: &[String]) -> bool {
    let is_failure =
        |(name, value): (&&str, &String)| *name == "status" && value.starts_with(['4', 'o']);
    !row.bounds.is_empty() && names.iter().zip(key).any(is_failure)
}

fn wrong_count(expect: usize, got: usize) -> prometheus::Error {
    prometheus::Error::InconsistentCardinality { expect, got }
}

/// Makes a type of the library a [`Cell`], and alone a [`Metric`].
macro_rules! cell {
    ($single:ty, $vector:ty, $kind:literal, $options:ident) => {
        impl Cell for $single {
            const TYPE: &'static str = $kind;

            type Vector = $vector;

            fn single(row: &Row) -> prometheus::Result<Self> {
                Self::with_opts($options(row))
            }

            fn vector(row: &Row) -> prometheus::Result<$vector> {
                <$vector>::new($options(row), &row.labels.names())
            }

            fn child(vector: &$vector, values: &[&str]) -> prometheus::Result<Self> {
                vector.get_metric_with_label_values(values)
            }
        }

        impl Metric for $single {
            const TYPE: &'static str = $kind;

            fn build(row: &Row, _hubs: usize, registry: &Registry) -> prometheus::Result<Self> {
                let single = Self::single(row)?;
                registry.register(Box::new(single.clone()))?;
                Ok(single)
            }
        }
    };
}

cell!(IntCounter, IntCounterVec, "counter", options);
cell!(IntGauge, IntGaugeVec, "gauge", options);
cell!(Gauge, GaugeVec, "gauge", options);
cell!(Histogram, HistogramVec, "histogram", histogram_options);

fn options(row: &Row) -> Opts {
    Opts::new(row.name, row.help.trim())
}

fn histogram_options(row: &Row) -> HistogramOpts {
    HistogramOpts::from(options(row)).buckets(row.bounds.to_vec())
}
