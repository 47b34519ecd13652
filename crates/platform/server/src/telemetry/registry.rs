//! Counters and latencies of this process, by label.
//!
//! Label values are words of the program or of its configuration, never of a client, so the number of cells stays small
//! whatever comes in.

use std::borrow::Cow;
use std::collections::BTreeMap;

use kandela_algebra::histogram::LogHistogram;
use kandela_model::MetricKind;
use parking_lot::Mutex;

/// A label value.
pub(crate) type Word = Cow<'static, str>;

/// A family as it stands now, ready to be written in any format.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    /// The name as Prometheus shows it; counters end in `_total`.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// What it tells, in one sentence.
    pub help: &'static str,
    /// Its points, in ascending order of label values.
    pub points: Vec<Point>,
}

/// One label set of a family and its value.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    /// Names and values, in the order the family declares.
    pub labels: Vec<(&'static str, Word)>,
    /// The value now.
    pub value: PointValue,
}

/// A value of own telemetry.
#[derive(Clone, Debug)]
pub(crate) enum PointValue {
    /// A counter or a gauge.
    Number(f64),
    /// A distribution of seconds.
    Latency(LogHistogram),
}

impl Family {
    /// A gauge without labels.
    pub(crate) fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        let point = Point { labels: Vec::new(), value: PointValue::Number(value) };
        Self { name, kind: MetricKind::Gauge, help, points: vec![point] }
    }
}

/// A family of counters with `N` labels.
#[derive(Debug)]
pub(crate) struct Counter<const N: usize> {
    name: &'static str,
    help: &'static str,
    labels: [&'static str; N],
    cells: Mutex<BTreeMap<[Word; N], u64>>,
}

impl<const N: usize> Counter<N> {
    pub(crate) const fn new(name: &'static str, help: &'static str, labels: [&'static str; N]) -> Self {
        Self { name, help, labels, cells: Mutex::new(BTreeMap::new()) }
    }

    /// Adds to the counter of these label values.
    pub(crate) fn add(&self, values: [impl Into<Word>; N], by: u64) {
        let mut cells = self.cells.lock();
        *cells.entry(values.map(Into::into)).or_default() += by;
    }

    pub(crate) fn gather(&self) -> Family {
        let cells = self.cells.lock();
        let points = cells.iter().map(|(values, count)| Point {
            labels: self.labels.into_iter().zip(values.iter().cloned()).collect(),
            value: PointValue::Number(*count as f64),
        });
        Family { name: self.name, kind: MetricKind::Counter, help: self.help, points: points.collect() }
    }
}

/// A family of latency distributions with `N` labels.
#[derive(Debug)]
pub(crate) struct Latency<const N: usize> {
    name: &'static str,
    help: &'static str,
    labels: [&'static str; N],
    cells: Mutex<BTreeMap<[Word; N], LogHistogram>>,
}

impl<const N: usize> Latency<N> {
    pub(crate) const fn new(name: &'static str, help: &'static str, labels: [&'static str; N]) -> Self {
        Self { name, help, labels, cells: Mutex::new(BTreeMap::new()) }
    }

    /// Counts one duration, in seconds.
    pub(crate) fn record(&self, values: [impl Into<Word>; N], seconds: f64) {
        let mut cells = self.cells.lock();
        cells.entry(values.map(Into::into)).or_default().record(seconds);
    }

    pub(crate) fn gather(&self) -> Family {
        let cells = self.cells.lock();
        let points = cells.iter().map(|(values, histogram)| Point {
            labels: self.labels.into_iter().zip(values.iter().cloned()).collect(),
            value: PointValue::Latency(histogram.clone()),
        });
        Family { name: self.name, kind: MetricKind::Histogram, help: self.help, points: points.collect() }
    }
}
