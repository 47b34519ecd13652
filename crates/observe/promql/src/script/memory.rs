//! Series in memory, as a script loads them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use kandela_model::{Histogram, HistogramError, Labels, ResetHint, Timestamp, is_stale};

use super::command::Load;
use super::{classic, reset_hints};
use crate::answer::Point;
use crate::source::{
    SampleBuffer, Samples, Select, SeriesReader, SeriesSet, SeriesSource, SourceCause, SourceError,
};

/// One sample of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// When, in microseconds since the epoch.
    pub time: i64,
    /// Since when it counts, in microseconds since the epoch; 0 where not known.
    pub start: i64,
    /// What.
    pub point: Point,
}

/// Series in memory that behave as those in the storage of Prometheus' own tests: samples of a series come ascending by
/// time, the same sample may come again, a staleness marker after a histogram is a histogram, and reset hints are those
/// that Prometheus' chunks give back. Cloning copies the samples.
#[derive(Clone, Debug, Default)]
pub struct MemorySource {
    series: BTreeMap<ByLabels, Series>,
}

impl MemorySource {
    /// A source without series.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.series.clear();
    }

    /// Adds the samples of a `load`, all or none. `load_with_nhcb` also adds, for each classic histogram, the native
    /// one.
    ///
    /// # Errors
    /// Where a sample is older than the series' newest, or other than what the series has at that time, or a
    /// histogram is not valid, or a classic histogram contradicts itself.
    pub fn load(&mut self, load: &Load) -> Result<(), String> {
        let mut loaded = self.clone();
        for series in &load.series {
            for sample in &series.samples {
                loaded.append(&series.labels, sample.clone())?;
            }
        }
        if load.with_nhcb {
            for (labels, samples) in classic::to_native(&load.series)? {
                for sample in samples {
                    loaded.append(&labels, sample)?;
                }
            }
        }
        *self = loaded;
        Ok(())
    }

    /// Adds one sample.
    ///
    /// # Errors
    /// As [`MemorySource::load`]'s; nothing is added then.
    pub fn append(&mut self, labels: &Labels, sample: Sample) -> Result<(), String> {
        if let Point::Histogram(histogram) = &sample.point {
            match histogram.validate() {
                // Prometheus knows these and reads them at a coarser resolution.
                Ok(()) | Err(HistogramError::Schema(-9..=52)) => {}
                Err(error) => return Err(format!("{labels}: {error}")),
            }
        }
        let series = self.series.entry(ByLabels(labels.clone())).or_default();
        series.append(sample).map_err(|reason| format!("{labels}: {reason}"))
    }
}

#[async_trait]
impl SeriesSource for MemorySource {
    async fn select(&self, select: &Select) -> Result<Arc<dyn SeriesSet>, SourceError> {
        let matching = self.series.iter().filter(|(labels, _)| {
            select.matchers.iter().all(|matcher| matcher.matches_labels(labels.0.as_ref()))
        });
        let found = matching.filter_map(|(labels, series)| {
            let samples = series.within(select.from, select.through);
            let is_empty = samples.times.is_empty() && samples.histograms.is_empty();
            (!is_empty).then(|| (labels.0.clone(), samples))
        });
        Ok(Arc::new(Found { series: found.collect(), none: Labels::default() }))
    }
}

/// What a selector found.
struct Found {
    series: Vec<(Labels, SampleBuffer)>,
    /// What an index past the end gets.
    none: Labels,
}

impl SeriesSet for Found {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.series.get(index).map_or(&self.none, |(labels, _)| labels)
    }

    fn reader(&self) -> Box<dyn SeriesReader + '_> {
        Box::new(FoundReader(self))
    }
}

struct FoundReader<'a>(&'a Found);

impl SeriesReader for FoundReader<'_> {
    fn read(&mut self, index: usize) -> Result<Samples<'_>, SourceError> {
        let message = || format!("there is no series {index}");
        let none = || SourceError { message: message(), cause: SourceCause::Internal };
        self.0.series.get(index).map(|(_, samples)| samples.samples()).ok_or_else(none)
    }
}

/// Labels in the order of names and values, which is Prometheus' order of series.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ByLabels(Labels);

impl Ord for ByLabels {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_labels(&self.0, &other.0)
    }
}

impl PartialOrd for ByLabels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Compares by names and values, label by label.
pub(super) fn compare_labels(left: &Labels, right: &Labels) -> Ordering {
    left.iter().cmp(right.iter())
}

/// The samples of one series, ascending by time.
#[derive(Clone, Debug, Default)]
struct Series {
    samples: Vec<Stored>,
}

#[derive(Clone, Debug)]
struct Stored {
    time: i64,
    start: i64,
    value: StoredValue,
}

#[derive(Clone, Debug)]
enum StoredValue {
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl Series {
    fn append(&mut self, sample: Sample) -> Result<(), String> {
        let Sample { time, start, point } = sample;
        let newest = self.samples.last();
        let last_histogram = newest.and_then(|newest| match &newest.value {
            StoredValue::Histogram(histogram) => Some(histogram.as_ref()),
            StoredValue::Float(_) => None,
        });
        let point = match point {
            Point::Float(value) if is_stale(value) && last_histogram.is_some() => {
                Point::Histogram(Arc::new(Histogram { sum: value, is_float: true, ..Histogram::default() }))
            }
            other => other,
        };
        match newest.map(|newest| (time.cmp(&newest.time), newest)) {
            Some((Ordering::Less, newest)) => {
                let newest = newest.time;
                return Err(format!(
                    "a sample at {time} µs is older than the newest, which is at {newest} µs"
                ));
            }
            Some((Ordering::Equal, newest)) if newest.value.is_same(&point) => return Ok(()),
            Some((Ordering::Equal, _)) => {
                return Err(format!("there is another sample at {time} µs already"));
            }
            _ => {}
        }
        let value = match point {
            Point::Float(value) => StoredValue::Float(value),
            Point::Histogram(histogram) => {
                let mut histogram = Arc::unwrap_or_clone(histogram);
                histogram.reset_hint = reset_hints::stored_hint(last_histogram, &histogram);
                histogram.start = (start != 0).then(|| Timestamp::from_micros(start));
                StoredValue::Histogram(Arc::new(histogram))
            }
        };
        self.samples.push(Stored { time, start, value });
        Ok(())
    }

    fn within(&self, from: i64, through: i64) -> SampleBuffer {
        let mut samples = SampleBuffer::default();
        for stored in self.samples.iter().filter(|stored| (from..=through).contains(&stored.time)) {
            match &stored.value {
                StoredValue::Float(value) => {
                    samples.times.push(stored.time);
                    samples.values.push(*value);
                    samples.starts.push(stored.start);
                }
                StoredValue::Histogram(histogram) => {
                    samples.histograms.push((stored.time, Arc::clone(histogram)));
                }
            }
        }
        if samples.starts.iter().all(|start| *start == 0) {
            samples.starts.clear();
        }
        samples
    }
}

impl StoredValue {
    /// Whether `point` says the same, bit by bit; its reset hint may differ, since storing changes it.
    fn is_same(&self, point: &Point) -> bool {
        match (self, point) {
            (Self::Float(stored), Point::Float(value)) => stored.to_bits() == value.to_bits(),
            (Self::Histogram(stored), Point::Histogram(histogram)) => {
                let plain = |histogram: &Histogram| Histogram {
                    sum: 0.0,
                    reset_hint: ResetHint::Unknown,
                    start: None,
                    ..Histogram::clone(histogram)
                };
                stored.sum.to_bits() == histogram.sum.to_bits() && plain(stored) == plain(histogram)
            }
            _ => false,
        }
    }
}
