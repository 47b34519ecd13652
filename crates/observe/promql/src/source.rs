//! Where samples come from.

use std::sync::Arc;

use async_trait::async_trait;
use kandela_model::{Histogram, Labels};

use kandela_config::matcher::Matcher;

/// What one selector of a query asks for. Times are microseconds since the Unix epoch, both ends inclusive.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// Conditions that all hold for every series given.
    pub matchers: Vec<Matcher>,
    /// The oldest sample that may be needed.
    pub from: i64,
    /// The newest.
    pub through: i64,
}

/// The samples of one series within the time asked for, ascending by time, no time twice. A histogram and a float never have
/// the same time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// Times of the floats.
    pub times: Vec<i64>,
    /// The floats; a staleness marker is a sample.
    pub values: Vec<f64>,
    /// Since when each float counts, 0 where not known; empty where none is known.
    pub starts: Vec<i64>,
    /// The histograms with their times; a marker is a histogram whose sum is the staleness marker.
    pub histograms: Vec<(i64, Arc<Histogram>)>,
}

impl Samples {
    /// Empties it and keeps the room.
    pub fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
        self.starts.clear();
        self.histograms.clear();
    }
}

/// The series that a selector found. Reading one decodes it; several threads may read at a time.
pub trait SeriesSet: Send + Sync {
    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The labels of series `index`, which is below [`SeriesSet::len`].
    fn labels(&self, index: usize) -> &Labels;

    /// Puts the samples of series `index` into `into`, in place of what was there.
    ///
    /// # Errors
    /// When they cannot be read.
    fn read(&self, index: usize, into: &mut Samples) -> Result<(), SourceError>;
}

/// Something that holds series: the lake, a remote server, a test.
#[async_trait]
pub trait SeriesSource: Send + Sync {
    /// Finds the series that have samples in the time asked for, ascending by labels.
    ///
    /// # Errors
    /// When they cannot be found or read.
    async fn select(&self, select: &Select) -> Result<Arc<dyn SeriesSet>, SourceError>;
}

/// Why series cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// What happened and what to do.
    pub message: String,
    /// Whether a limit was passed, so that asking for less helps.
    pub limit: bool,
}
