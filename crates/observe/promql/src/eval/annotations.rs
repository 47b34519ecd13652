//! What the engine has to say about an answer beside it.

use std::collections::BTreeSet;
use std::fmt;

use crate::ast::Span;

/// What is noted about a query.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Note {
    MixedFloatsHistograms(String),
    MixedClassicNative(String),
    MixedSchemas(String),
    MixedSchemasInAggregation,
    NotCounter(String),
    NotGauge(String),
    BadBucketLabel { label: String, value: String, name: String },
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
    Quantile(String, String),
    Fraction(String, String),
    ForcedMonotonicity { name: String, detail: String },
    OverlappingStart(String),
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
                | Self::Quantile(..)
                | Self::Fraction(..)
                | Self::ForcedMonotonicity { .. }
        )
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MixedFloatsHistograms(name) => {
                write!(f, "encountered a mix of histograms and floats for metric name {name:?}")
            }
            Self::MixedClassicNative(name) => {
                write!(f, "vector contains a mix of classic and native histograms for metric name {name:?}")
            }
            Self::MixedSchemas(name) => write!(
                f,
                "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {name:?}"
            ),
            Self::MixedSchemasInAggregation => {
                f.write_str("vector contains a mix of histograms with exponential and custom buckets schemas")
            }
            Self::NotCounter(name) => {
                write!(f, "this native histogram metric is not a counter: {name:?}")
            }
            Self::NotGauge(name) => write!(f, "this native histogram metric is not a gauge: {name:?}"),
            Self::BadBucketLabel { label, value, name } => write!(
                f,
                "bucket label {label:?} is missing or has a malformed value of {value:?} for metric name {name:?}"
            ),
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
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name:?}"
            ),
            Self::PossibleNonCounterLabel { name, kind } => write!(
                f,
                "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got {kind:?}: {name:?}"
            ),
            Self::HistogramIgnoredInMixed(name) => write!(
                f,
                "ignored histograms in a range containing both floats and histograms for metric name {name:?}"
            ),
            Self::HistogramIgnoredInAggregation(aggregation) => {
                write!(f, "ignored histogram in {aggregation} aggregation")
            }
            Self::IncompatibleTypes { left, op, right } => write!(
                f,
                "incompatible sample types encountered for binary operator {op:?}: {left} {op} {right}"
            ),
            Self::IncompatibleSchemas(op) => {
                write!(f, "incompatible bucket layout encountered for binary operator {op}")
            }
            Self::Quantile(note, name) | Self::Fraction(note, name) => {
                write!(f, "{note} for metric name {name:?}")
            }
            Self::ForcedMonotonicity { name, detail } => write!(
                f,
                "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) for metric name {name:?}{detail}"
            ),
            Self::OverlappingStart(name) => write!(
                f,
                "sample has start time that overlaps with previous sample timestamp for metric {name:?}"
            ),
        }
    }
}

/// Notes, each once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Annotations(BTreeSet<(Note, usize)>);

impl Annotations {
    pub(crate) fn add(&mut self, note: Note, span: Span) {
        self.0.insert((note, span.start));
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Warnings and infos in Prometheus' words, with the place in `query`.
    pub(crate) fn told(&self, query: &str) -> (Vec<String>, Vec<String>) {
        let (mut warnings, mut infos) = (Vec::new(), Vec::new());
        for (note, start) in &self.0 {
            let before = query.as_bytes().get(..*start).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
            if note.is_warning() {
                warnings.push(format!("PromQL warning: {note} ({line}:{column})"));
            } else {
                infos.push(format!("PromQL info: {note} ({line}:{column})"));
            }
        }
        (warnings, infos)
    }
}
