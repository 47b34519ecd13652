//! A batch of metrics as it came in, in a few flat arrays.
//!
//! Decoders fill one batch a request, label sets lie end to end in one buffer, and samples name their series by index. So the
//! way from the wire to the head allocates a handful of times a request, not a sample.

use crate::labels::encode_into;
use crate::{Exemplar, Histogram, LabelError, LabelsRef, Metadata, Timestamp};

/// Names a series within one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesIndex(pub u32);

/// A series of a batch: where its labels lie, and which family's metadata describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSeries {
    offset: u32,
    len: u32,
    /// Index into [`MetricBatch::metadata`], where the wire told kind, unit or help.
    pub metadata: Option<u32>,
}

/// A float sample of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchSample {
    /// Whose.
    pub series: SeriesIndex,
    /// When.
    pub ts: Timestamp,
    /// What; the staleness marker ends the series.
    pub value: f64,
}

/// An increment since the sample before (OTLP delta temporality). The head adds it up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeltaSample {
    /// Whose.
    pub series: SeriesIndex,
    /// When the interval began.
    pub start: Timestamp,
    /// When it ended.
    pub ts: Timestamp,
    /// By how much it grew.
    pub value: f64,
}

/// A histogram of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesHistogram {
    /// Whose.
    pub series: SeriesIndex,
    /// When.
    pub ts: Timestamp,
    /// What.
    pub histogram: Histogram,
    /// Whether it counts only since the one before; the head adds it up.
    pub delta: bool,
}

/// An exemplar of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesExemplar {
    /// Whose.
    pub series: SeriesIndex,
    /// What.
    pub exemplar: Exemplar,
}

/// Metrics as they came in.
#[derive(Clone, Debug, Default)]
pub struct MetricBatch {
    label_bytes: Vec<u8>,
    series: Vec<BatchSeries>,
    /// Float samples.
    pub samples: Vec<BatchSample>,
    /// Increments to add up.
    pub deltas: Vec<DeltaSample>,
    /// Histograms.
    pub histograms: Vec<SeriesHistogram>,
    /// Exemplars.
    pub exemplars: Vec<SeriesExemplar>,
    /// Families described by the wire.
    pub metadata: Vec<Metadata>,
}

impl MetricBatch {
    /// Adds a series. Labels may come in any order; sorted ones are cheapest.
    ///
    /// # Errors
    /// When a name is empty or stands twice; the batch is then as it was.
    pub fn add_series<N, V>(
        &mut self,
        labels: impl IntoIterator<Item = (N, V)>,
    ) -> Result<SeriesIndex, LabelError>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let offset = self.label_bytes.len();
        encode_into(&mut self.label_bytes, labels)?;
        Ok(self.push_series(offset))
    }

    /// Adds a series whose labels are in canonical form already.
    pub fn add_canonical(&mut self, labels: LabelsRef<'_>) -> SeriesIndex {
        let offset = self.label_bytes.len();
        self.label_bytes.extend_from_slice(labels.as_bytes());
        self.push_series(offset)
    }

    fn push_series(&mut self, offset: usize) -> SeriesIndex {
        let len = self.label_bytes.len() - offset;
        let index = SeriesIndex(self.series.len() as u32);
        self.series.push(BatchSeries { offset: offset as u32, len: len as u32, metadata: None });
        index
    }

    /// Adds a float sample of `series`.
    pub fn add_sample(&mut self, series: SeriesIndex, ts: Timestamp, value: f64) {
        self.samples.push(BatchSample { series, ts, value });
    }

    /// Says that `self.metadata[metadata]` describes `series`.
    pub fn describe(&mut self, series: SeriesIndex, metadata: u32) {
        if let Some(entry) = self.series.get_mut(series.0 as usize) {
            entry.metadata = Some(metadata);
        }
    }

    /// The series in the order they were added.
    pub fn series(&self) -> &[BatchSeries] {
        &self.series
    }

    /// The label set of `series`; empty for an index of another batch.
    pub fn labels(&self, series: SeriesIndex) -> LabelsRef<'_> {
        let entry = self.series.get(series.0 as usize);
        let bytes = entry.and_then(|s| self.label_bytes.get(s.offset as usize..(s.offset + s.len) as usize));
        LabelsRef::from_trusted(bytes.unwrap_or_default())
    }

    /// How many points it carries: samples, increments and histograms.
    pub fn points(&self) -> usize {
        self.samples.len() + self.deltas.len() + self.histograms.len()
    }

    /// Whether it carries nothing worth keeping.
    pub fn is_empty(&self) -> bool {
        self.points() == 0 && self.exemplars.is_empty() && self.metadata.is_empty()
    }

    /// Heap bytes in use, for admission against a memory limit.
    pub fn heap_bytes(&self) -> usize {
        self.label_bytes.capacity()
            + self.series.capacity() * size_of::<BatchSeries>()
            + self.samples.capacity() * size_of::<BatchSample>()
            + self.deltas.capacity() * size_of::<DeltaSample>()
            + self
                .histograms
                .iter()
                .map(|h| size_of::<SeriesHistogram>() + h.histogram.heap_bytes())
                .sum::<usize>()
            + self.exemplars.capacity() * size_of::<SeriesExemplar>()
            + self.metadata.capacity() * size_of::<Metadata>()
    }

    /// Empties the batch and keeps its buffers for the next request.
    pub fn clear(&mut self) {
        self.label_bytes.clear();
        self.series.clear();
        self.samples.clear();
        self.deltas.clear();
        self.histograms.clear();
        self.exemplars.clear();
        self.metadata.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_series_leaves_the_batch_usable() {
        let mut batch = MetricBatch::default();
        let first = batch.add_series([("__name__", "a")]).unwrap();
        assert!(batch.add_series([("x", "1"), ("x", "2")]).is_err());
        let second = batch.add_series([("__name__", "b")]).unwrap();
        assert_eq!(batch.labels(first).metric_name(), Some("a"));
        assert_eq!(batch.labels(second).metric_name(), Some("b"));
        assert_eq!(batch.series().len(), 2);
    }
}
