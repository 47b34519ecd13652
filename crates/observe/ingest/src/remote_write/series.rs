//! Takes the points of one series message at a time into the batch, whole or not at all.

use kandela_model::{
    BatchSample, BatchSeries, Exemplar, Histogram, LabelError, Labels, MetricBatch, SeriesExemplar,
    SeriesHistogram, SeriesIndex, Timestamp,
};

use super::labels::LabelScratch;
use super::reject::{Reason, Rejections};
use crate::protobuf::Malformed;

/// Why reading stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Malformed(Malformed),
    /// The batch would outgrow its limit.
    OverBudget,
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// Bytes that the batch may still grow by.
#[derive(Debug)]
pub(super) struct Budget(pub(super) usize);

impl Budget {
    #[inline]
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Fault> {
        match self.0.checked_sub(bytes) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => Err(Fault::OverBudget),
        }
    }
}

/// Where decoded series go.
pub(super) struct Sink<'a> {
    pub(super) batch: &'a mut MetricBatch,
    pub(super) labels: &'a mut LabelScratch,
    pub(super) rejections: Rejections,
    pub(super) budget: Budget,
}

/// The series that is being read: how long the batch was before it, and which of its points were refused.
pub(super) struct OpenSeries {
    index: SeriesIndex,
    samples: usize,
    histograms: usize,
    exemplars: usize,
    refused_histograms: Refused,
    refused_exemplars: Refused,
}

#[derive(Default)]
struct Refused {
    count: u64,
    first: Option<Reason>,
}

impl Refused {
    fn add(&mut self, reason: Reason) {
        self.count += 1;
        self.first.get_or_insert(reason);
    }
}

impl Sink<'_> {
    #[inline]
    pub(super) fn begin(&mut self) -> OpenSeries {
        self.labels.clear();
        OpenSeries {
            index: SeriesIndex(self.batch.series().len() as u32),
            samples: self.batch.samples.len(),
            histograms: self.batch.histograms.len(),
            exemplars: self.batch.exemplars.len(),
            refused_histograms: Refused::default(),
            refused_exemplars: Refused::default(),
        }
    }

    #[inline]
    pub(super) fn sample(&mut self, open: &OpenSeries, ts: i64, value: f64) -> Result<(), Fault> {
        self.budget.take(size_of::<BatchSample>())?;
        self.batch.add_sample(open.index, Timestamp::from_millis(ts), value);
        Ok(())
    }

    pub(super) fn histogram(
        &mut self,
        open: &mut OpenSeries,
        ts: Timestamp,
        histogram: Result<Histogram, Reason>,
    ) -> Result<(), Fault> {
        match histogram {
            Ok(histogram) => {
                self.budget.take(size_of::<SeriesHistogram>() + histogram.heap_bytes())?;
                self.batch.histograms.push(SeriesHistogram {
                    series: open.index,
                    ts,
                    histogram,
                    delta: false,
                });
            }
            Err(reason) => open.refused_histograms.add(reason),
        }
        Ok(())
    }

    pub(crate) fn exemplar(
        &mut self,
        open: &mut OpenSeries,
        exemplar: Result<Exemplar, Reason>,
    ) -> Result<(), Fault> {
        match exemplar {
            Ok(exemplar) => {
                let labels = exemplar.labels.as_ref().as_bytes().len();
                self.budget.take(size_of::<SeriesExemplar>() + labels)?;
                self.batch.exemplars.push(SeriesExemplar { series: open.index, exemplar });
            }
            Err(reason) => open.refused_exemplars.add(reason),
        }
        Ok(())
    }

    /// Whether float samples and histograms came.
    pub(super) fn mixes_kinds(&self, open: &OpenSeries) -> bool {
        let histograms = self.batch.histograms.len() > open.histograms || open.refused_histograms.count > 0;
        histograms && self.batch.samples.len() > open.samples
    }

    /// Whether nothing came that could be kept or refused.
    pub(super) fn is_empty(&self, open: &OpenSeries) -> bool {
        self.batch.samples.len() == open.samples
            && self.batch.histograms.len() == open.histograms
            && self.batch.exemplars.len() == open.exemplars
            && open.refused_histograms.count + open.refused_exemplars.count == 0
    }

    /// Closes the series under the labels that were collected meanwhile. Gives its index where it was taken.
    #[inline]
    pub(super) fn end(&mut self, open: OpenSeries) -> Result<Option<SeriesIndex>, Fault> {
        let labels = match self.labels.finish() {
            Ok(labels) => labels,
            Err(reason) => {
                self.refuse(&open, reason);
                return Ok(None);
            }
        };
        self.budget.take(size_of::<BatchSeries>() + labels.as_bytes().len())?;
        let index = self.batch.add_canonical(labels);
        if open.refused_histograms.count + open.refused_exemplars.count > 0 {
            self.report(open);
        }
        Ok(Some(index))
    }

    #[cold]
    fn report(&mut self, open: OpenSeries) {
        self.rejections.histograms += open.refused_histograms.count;
        self.rejections.exemplars += open.refused_exemplars.count;
        for refused in [open.refused_histograms, open.refused_exemplars] {
            if let Some(reason) = refused.first {
                self.rejections.count += refused.count - 1;
                self.rejections.add(reason, || self.labels.quote());
            }
        }
    }

    #[cold]
    fn refuse(&mut self, open: &OpenSeries, reason: Reason) {
        let since = |len: usize, before: usize| (len - before) as u64;
        self.rejections.samples += since(self.batch.samples.len(), open.samples);
        self.rejections.histograms +=
            since(self.batch.histograms.len(), open.histograms) + open.refused_histograms.count;
        self.rejections.exemplars +=
            since(self.batch.exemplars.len(), open.exemplars) + open.refused_exemplars.count;
        self.batch.samples.truncate(open.samples);
        self.batch.histograms.truncate(open.histograms);
        self.batch.exemplars.truncate(open.exemplars);
        self.rejections.add(reason, || self.labels.quote());
    }
}

/// An exemplar from its labels as they came. `trace_id` and `span_id` that are hex of the right length become the exemplar's
/// own; others stay labels.
pub(crate) fn exemplar(ts: i64, value: f64, pairs: &[(&[u8], &[u8])]) -> Result<Exemplar, Reason> {
    let mut trace_id = None;
    let mut span_id = None;
    let mut others = Vec::with_capacity(pairs.len());
    for own in ["trace_id", "span_id"] {
        if pairs.iter().filter(|(name, _)| *name == own.as_bytes()).count() > 1 {
            return Err(duplicate(own));
        }
    }
    for (name, value) in pairs {
        let name = std::str::from_utf8(name).map_err(|_| Reason::NotUtf8)?;
        let value = std::str::from_utf8(value).map_err(|_| Reason::NotUtf8)?;
        match name {
            "trace_id" if is_hex(value, 32) => trace_id = Some(value.to_owned()),
            "span_id" if is_hex(value, 16) => span_id = Some(value.to_owned()),
            _ => others.push((name, value)),
        }
    }
    let labels = Labels::new(others).map_err(Reason::ExemplarLabels)?;
    Ok(Exemplar { ts: Timestamp::from_millis(ts), value, trace_id, span_id, labels })
}

fn duplicate(name: &str) -> Reason {
    Reason::ExemplarLabels(LabelError::Duplicate { name: name.to_owned() })
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
