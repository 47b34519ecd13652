//! What the engine has to say about an answer beside it.

use std::collections::BTreeMap;
use std::fmt;

use super::calendar;
use crate::ast::Span;
use crate::floats::{shortest, two_digits};
use crate::histogram::{ForcedMonotonicity, NanNote};
use crate::quote::quoted;

/// What is noted about a query. A name is that of a metric.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Note {
    MixedFloatsHistograms(String),
    MixedFloatsHistogramsInAggregation,
    MixedClassicNative(String),
    MixedSchemas(String),
    NotCounter(String),
    NotGauge(String),
    BadBucketLabel { value: String, name: String },
    InvalidQuantile(String),
    InvalidRatio(String, String),
    ResetConflict(&'static str),
    BoundsReconciled(&'static str),
    PossibleNonCounter(String),
    PossibleNonCounterLabel { name: String, kind: String },
    HistogramIgnoredInMixed(String),
    HistogramIgnoredInAggregation(&'static str),
    IncompatibleTypes { left: &'static str, op: &'static str, right: &'static str },
    IncompatibleSchemas(&'static str),
    NanObservations(NanNote, String),
    ForcedMonotonicity(String),
    OverlappingStart(String),
    SortInRange,
}

impl Note {
    /// Whether the answer may be wrong; otherwise it is only worth knowing.
    const fn is_warning(&self) -> bool {
        !matches!(
            self,
            Self::BoundsReconciled(_)
                | Self::PossibleNonCounter(_)
                | Self::PossibleNonCounterLabel { .. }
                | Self::HistogramIgnoredInMixed(_)
                | Self::HistogramIgnoredInAggregation(_)
                | Self::IncompatibleTypes { .. }
                | Self::NanObservations(..)
                | Self::ForcedMonotonicity(_)
        )
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MixedFloatsHistograms(name) => {
                write!(f, "encountered a mix of histograms and floats for metric name {}", quoted(name))
            }
            Self::MixedFloatsHistogramsInAggregation => {
                f.write_str("encountered a mix of histograms and floats for aggregation")
            }
            Self::MixedClassicNative(name) => {
                f.write_str("vector contains a mix of classic and native histograms")?;
                write_name(f, name)
            }
            Self::MixedSchemas(name) => write!(
                f,
                "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {}",
                quoted(name)
            ),
            Self::NotCounter(name) => {
                write!(f, "this native histogram metric is not a counter: {}", quoted(name))
            }
            Self::NotGauge(name) => {
                write!(f, "this native histogram metric is not a gauge: {}", quoted(name))
            }
            Self::BadBucketLabel { value, name } => {
                let value = quoted(value);
                write!(f, "bucket label \"le\" is missing or has a malformed value of {value}")?;
                write_name(f, name)
            }
            Self::InvalidQuantile(q) => write!(f, "quantile value should be between 0 and 1, got {q}"),
            Self::InvalidRatio(ratio, capped) => {
                write!(f, "ratio value should be between -1 and 1, got {ratio}, capping to {capped}")
            }
            Self::ResetConflict(during) => {
                write!(f, "conflicting counter resets during histogram {during}")
            }
            Self::BoundsReconciled(during) => {
                write!(f, "mismatched custom buckets were reconciled during {during}")
            }
            Self::PossibleNonCounter(name) => write!(
                f,
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
                quoted(name)
            ),
            Self::PossibleNonCounterLabel { name, kind } => write!(
                f,
                "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got {}: {}",
                quoted(kind),
                quoted(name)
            ),
            Self::HistogramIgnoredInMixed(name) => write!(
                f,
                "ignored histograms in a range containing both floats and histograms for metric name {}",
                quoted(name)
            ),
            Self::HistogramIgnoredInAggregation(aggregation) => {
                write!(f, "ignored histogram in {aggregation} aggregation")
            }
            Self::IncompatibleTypes { left, op, right } => write!(
                f,
                "incompatible sample types encountered for binary operator {}: {left} {op} {right}",
                quoted(op)
            ),
            Self::IncompatibleSchemas(op) => {
                write!(f, "incompatible bucket layout encountered for binary operator {op}")
            }
            Self::NanObservations(note, name) => {
                write!(f, "{note}")?;
                write_name(f, name)
            }
            Self::ForcedMonotonicity(name) => {
                f.write_str(
                    "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)",
                )?;
                write_name(f, name)
            }
            Self::OverlappingStart(name) => write!(
                f,
                "sample has start time that overlaps with previous sample timestamp for metric {}",
                quoted(name)
            ),
            Self::SortInRange => f.write_str(
                "sort is ineffective for range queries since results are always ordered by labels",
            ),
        }
    }
}

/// Names the metric, where it has a name.
fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    if name.is_empty() { Ok(()) } else { write!(f, " for metric name {}", quoted(name)) }
}

/// Where bucket counts had to be raised, over all histograms for which that is noted.
#[derive(Clone, Copy, Debug)]
struct Raised {
    first: i64,
    last: i64,
    forced: ForcedMonotonicity,
}

impl Raised {
    fn and(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            forced: ForcedMonotonicity {
                lowest: self.forced.lowest.min(other.forced.lowest),
                highest: self.forced.highest.max(other.forced.highest),
                greatest_raise: self.forced.greatest_raise.max(other.forced.greatest_raise),
            },
        }
    }
}

/// How often something is noted at a place, and over what.
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    count: usize,
    raised: Option<Raised>,
}

impl Extent {
    fn merge_from(&mut self, other: Self) {
        self.count += other.count;
        self.raised = match (self.raised, other.raised) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
    }

    /// What stands behind the note.
    fn told(&self, note: &Note) -> String {
        match (note, self.raised) {
            (Note::OverlappingStart(_), _) if self.count > 1 => format!(" ({} occurrences)", self.count),
            (_, Some(Raised { first, last, forced })) => format!(
                ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
                shortest(forced.lowest),
                shortest(forced.highest),
                two_digits(forced.greatest_raise),
                self.count,
                calendar::rfc3339(first),
                calendar::rfc3339(last),
            ),
            _ => String::new(),
        }
    }
}

/// Notes, each once at a place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Annotations(BTreeMap<(Note, usize), Extent>);

impl Annotations {
    pub(crate) fn add(&mut self, note: Note, span: Span) {
        self.merge(note, span.start, Extent { count: 1, raised: None });
    }

    /// Notes that bucket counts of a metric had to be raised at a time.
    pub(crate) fn add_forced(&mut self, name: &str, forced: ForcedMonotonicity, at: i64, span: Span) {
        let raised = Some(Raised { first: at, last: at, forced });
        self.merge(Note::ForcedMonotonicity(name.to_owned()), span.start, Extent { count: 1, raised });
    }

    pub(crate) fn extend(&mut self, other: Self) {
        for ((note, start), extent) in other.0 {
            self.merge(note, start, extent);
        }
    }

    fn merge(&mut self, note: Note, start: usize, extent: Extent) {
        self.0.entry((note, start)).or_default().merge_from(extent);
    }

    /// Warnings and infos in Prometheus' words, with the place in `query`.
    pub(crate) fn told(&self, query: &str) -> (Vec<String>, Vec<String>) {
        let (mut warnings, mut infos) = (Vec::new(), Vec::new());
        for ((note, start), extent) in &self.0 {
            let before = query.as_bytes().get(..*start).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
            let told = format!("{note}{} ({line}:{column})", extent.told(note));
            if note.is_warning() {
                warnings.push(format!("PromQL warning: {told}"));
            } else {
                infos.push(format!("PromQL info: {told}"));
            }
        }
        (warnings, infos)
    }
}
