//! Points by series: what a query of metrics reads, from files and memory as one.
//!
//! Files are read in stripes of neighbouring series, which a cache keeps decoded; memory is read along the chain of each series'
//! blocks. Cost: a search in the index, a copy of the points asked for, and the decoding of stripes that the cache has not.

mod cache;
mod fetch;
mod file;
mod reader;
mod stripe;

use std::ops::RangeInclusive;
use std::sync::{Arc, LazyLock};

use kandela_model::tables::{HISTOGRAMS, SAMPLES, SERIES};
use kandela_model::{Histogram, Labels};

pub(crate) use cache::PointCache;
pub use reader::{PointReader, TimedHistogram, TimedValues};

use crate::head::{HeadSamples, Memtable, Registry, samples_of};
use crate::index::IndexedSeries;
use crate::quarantine::Reads;
use crate::table::DataFile;
use crate::view::View;

/// What a series takes besides the text of its labels: its place in two lists, and its allocation.
const BYTES_OF_A_SERIES: usize = size_of::<IndexedSeries>() + 48;

/// The series that a query asks for, with a pinned view of their points.
#[derive(Debug)]
pub struct FoundSeries {
    /// Ascending by identity.
    series: Vec<IndexedSeries>,
    /// First and last time in microseconds.
    range: (i64, i64),
    head: HeadSamples,
    /// Histograms in memory, a list for each rank, each ascending by identity and time.
    head_histograms: Vec<Vec<(i64, i64, Arc<Histogram>)>>,
    /// In order of rank.
    sample_files: Vec<Arc<DataFile>>,
    histogram_files: Vec<Arc<DataFile>>,
    cache: Arc<PointCache>,
    lacking: Vec<String>,
}

impl FoundSeries {
    /// How many series there are. They are numbered in the order in which files hold them.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// The labels of series `index`, which is below [`FoundSeries::len`].
    pub fn labels(&self, index: usize) -> &Labels {
        static NONE: LazyLock<Labels> = LazyLock::new(Labels::default);
        self.series.get(index).map_or(&NONE, |series| &series.labels)
    }

    /// Heap bytes in use besides what the lake itself holds, about.
    pub fn heap_bytes(&self) -> usize {
        let labels = self.series.iter().map(|series| series.labels.as_ref().as_bytes().len());
        let late: usize = self.head.late.iter().map(|late| size_of_val(late.as_slice())).sum();
        let histograms: usize = self.head_histograms.iter().map(|rows| size_of_val(rows.as_slice())).sum();
        self.series.len() * BYTES_OF_A_SERIES + labels.sum::<usize>() + late + histograms
    }

    /// A sentence for each table and day whose rows are missing since a file is damaged.
    pub fn lacking(&self) -> &[String] {
        &self.lacking
    }

    /// Whether there may be histograms among the points.
    pub fn may_have_histograms(&self) -> bool {
        !self.histogram_files.is_empty() || self.head_histograms.iter().any(|rows| !rows.is_empty())
    }

    /// Reads their points.
    pub fn reader(&self) -> PointReader<'_> {
        PointReader::new(self)
    }
}

/// Finds series and pins what holds their points. `pinned` gives the newest view.
pub(crate) fn find(
    series: Vec<IndexedSeries>,
    range: &RangeInclusive<i64>,
    registry: &Registry,
    cache: &Arc<PointCache>,
    pinned: impl Fn() -> Arc<View>,
) -> FoundSeries {
    let range = (*range.start(), *range.end());
    let (view, head) = loop {
        let view = pinned();
        let generations: Vec<&Arc<Memtable>> = view.generations().collect();
        let asked = series.iter().map(|series| (series.id, series.labels.as_ref()));
        if let Ok(head) = samples_of(registry, &generations, asked, range) {
            break (view, head);
        }
    };
    FoundSeries {
        head_histograms: head_histograms(&view, &series, range),
        sample_files: files(&view, SAMPLES.name, range),
        histogram_files: files(&view, HISTOGRAMS.name, range),
        head,
        series,
        range,
        cache: cache.clone(),
        lacking: Vec::new(),
    }
}

impl FoundSeries {
    /// Notes what is missing.
    pub(crate) fn with_lacking(self, lacking: Vec<String>) -> Self {
        Self { lacking, ..self }
    }
}

/// The tables and days that a query of points reads.
pub(crate) fn reads(days: &RangeInclusive<i32>) -> Reads {
    [SERIES.name, SAMPLES.name, HISTOGRAMS.name].map(|table| (table, days.clone())).to_vec()
}

fn files(view: &View, table: &str, (from, through): (i64, i64)) -> Vec<Arc<DataFile>> {
    let files = view.tables.get(table).map(|state| state.files.as_slice()).unwrap_or_default();
    files.iter().filter(|file| file.may_hold(from, through)).cloned().collect()
}

fn head_histograms(
    view: &View,
    series: &[IndexedSeries],
    (from, through): (i64, i64),
) -> Vec<Vec<(i64, i64, Arc<Histogram>)>> {
    let wanted = |id: i64| series.binary_search_by_key(&id, |series| series.id).is_ok();
    let keep = |id, ts| (from..=through).contains(&ts) && wanted(id);
    let generations = view.generations().flat_map(|generation| [(generation, false), (generation, true)]);
    generations
        .map(|(generation, late)| {
            let rows = generation.histograms_of(late, keep);
            rows.into_iter().map(|(id, ts, histogram)| (id, ts.micros(), Arc::new(histogram))).collect()
        })
        .collect()
}
