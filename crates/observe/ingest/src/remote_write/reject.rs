//! What was refused of a request whose other parts are taken.

use std::fmt;

use kandela_model::{HistogramError, LabelError};

/// Refusals that are described; more are only counted.
const DESCRIBED: usize = 10;

/// Why a series, or one of its histograms or exemplars, was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// There is no `__name__`, or it is empty.
    #[error("it has no metric name; send a label __name__")]
    NoMetricName,
    /// A label has an empty name.
    #[error("a label has an empty name; every label needs a name")]
    EmptyLabelName,
    /// A label stands twice.
    #[error("label {name:?} appears twice; send each label once")]
    DuplicateLabel {
        /// The label's name.
        name: String,
    },
    /// A name or value is not UTF-8.
    #[error("a label is not valid UTF-8")]
    NotUtf8,
    /// A reference points past the symbols table (2.0).
    #[error("reference {reference} lies outside of the symbols table, which has {symbols} entries")]
    NoSuchSymbol {
        /// The reference.
        reference: u32,
        /// Entries of the table.
        symbols: usize,
    },
    /// A name reference has no value reference (2.0).
    #[error("labels_refs has {len} entries; names and values come in pairs")]
    OddReferences {
        /// How many references came.
        len: usize,
    },
    /// Float samples and histograms stand in one series message (2.0).
    #[error("it mixes samples and histograms; send them as two series messages")]
    MixedKinds,
    /// The series carries nothing (2.0).
    #[error("it carries no sample and no histogram")]
    Empty,
    /// A histogram breaks the rules of native histograms.
    #[error(transparent)]
    Histogram(#[from] HistogramError),
    /// An exemplar's labels are no label set.
    #[error("labels of an exemplar: {0}")]
    ExemplarLabels(LabelError),
    /// A family's metadata are not UTF-8.
    #[error("its metadata are not valid UTF-8")]
    MetadataNotUtf8,
}

/// One refusal.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    /// The labels of the series as they came, shortened.
    pub series: String,
    /// Why.
    pub reason: Reason,
}

/// What was refused of a request. The rest was taken, so the answer is a 400 that tells the sender what is wrong, with the
/// counts of what was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rejections {
    /// Refusals, also those that are not described.
    pub count: u64,
    /// Samples lost by them.
    pub samples: u64,
    /// Histograms lost by them.
    pub histograms: u64,
    /// Exemplars lost by them.
    pub exemplars: u64,
    /// The first few.
    pub first: Vec<Rejection>,
}

impl Rejections {
    /// Whether all was taken.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn add(&mut self, reason: Reason, series: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < DESCRIBED {
            self.first.push(Rejection { series: series(), reason });
        }
    }
}

impl fmt::Display for Rejections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} refused ({} samples, {} histograms, {} exemplars), the rest was taken",
            self.count, self.samples, self.histograms, self.exemplars
        )?;
        for Rejection { series, reason } in &self.first {
            write!(f, "\nseries {series}: {reason}")?;
        }
        let more = self.count - self.first.len() as u64;
        if more > 0 { write!(f, "\nand {more} more") } else { Ok(()) }
    }
}
