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
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Samples<'a> {
    /// Times of the floats.
    pub times: &'a [i64],
    /// The floats, as many; a staleness marker is a sample.
    pub values: &'a [f64],
    /// Since when each float counts, 0 where not known; empty where none is known.
    pub starts: &'a [i64],
    /// The histograms with their times; a marker is a histogram whose sum is the staleness marker.
    pub histograms: &'a [(i64, Arc<Histogram>)],
}

/// Samples of one series that somebody owns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SampleBuffer {
    /// As [`Samples::times`].
    pub times: Vec<i64>,
    /// As [`Samples::values`].
    pub values: Vec<f64>,
    /// As [`Samples::starts`].
    pub starts: Vec<i64>,
    /// As [`Samples::histograms`].
    pub histograms: Vec<(i64, Arc<Histogram>)>,
}

impl SampleBuffer {
    /// Empties it and keeps the room.
    pub fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
        self.starts.clear();
        self.histograms.clear();
    }

    /// What is in it.
    pub fn samples(&self) -> Samples<'_> {
        Samples {
            times: &self.times,
            values: &self.values,
            starts: &self.starts,
            histograms: &self.histograms,
        }
    }
}

/// The series that a selector found, in any order; reading neighbours one after the other is cheapest.
pub trait SeriesSet: Send + Sync {
    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The labels of series `index`, which is below [`SeriesSet::len`].
    fn labels(&self, index: usize) -> &Labels;

    /// Heap bytes in use, about.
    fn heap_bytes(&self) -> usize {
        let each = |index| self.labels(index).as_ref().as_bytes().len() + size_of::<Labels>();
        (0..self.len()).map(each).sum()
    }

    /// Reads samples, for one thread. Several may read at a time.
    fn reader(&self) -> Box<dyn SeriesReader + '_>;

    /// Sentences about what is missing, which go with the answer as warnings.
    fn warnings(&self) -> &[String] {
        &[]
    }
}

/// Reads the samples of one series after the other.
pub trait SeriesReader {
    /// The samples of series `index`.
    ///
    /// # Errors
    /// When they cannot be read.
    fn read(&mut self, index: usize) -> Result<Samples<'_>, SourceError>;
}

/// Something that holds series: the lake, a remote server, a test.
#[async_trait]
pub trait SeriesSource: Send + Sync {
    /// Finds the series that may have samples in the time asked for.
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
    /// Whose fault it is.
    pub cause: SourceCause,
}

/// What stands behind a [`SourceError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceCause {
    /// A limit was passed: asking for less helps.
    Limit,
    /// The source cannot be reached or read now.
    Unavailable,
    /// A defect.
    Internal,
}
