//! Chunks of Prometheus' TSDB: the runs of about 120 samples of one series that blocks, the head and remote read are made of.
//!
//! All encodings of Prometheus 3.14 are read: XOR and XOR2 floats, whole and float histograms, the latter two with and without
//! start timestamps. Format: <https://github.com/prometheus/prometheus/blob/main/tsdb/docs/format/chunks.md>.

mod bits;
mod histogram;
mod start;
#[cfg(test)]
mod tests;
mod xor;

use kandela_model::{Histogram, HistogramError, MetricBatch, SeriesHistogram, SeriesIndex, Timestamp};

/// The finest resolution that is kept; finer ones are reduced to it, as Prometheus does.
const FINEST_SCHEMA: i8 = 8;
/// The finest resolution that the formats provide for.
const FINEST_STORED_SCHEMA: i32 = 52;

/// Why a chunk cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// The encoding is not known.
    #[error("chunk encoding {0} is not known; this is a newer format than Prometheus 3.14's")]
    Encoding(u8),
    /// It ends before its last sample.
    #[error("the chunk ends within a sample")]
    Truncated,
    /// Its bytes mean nothing.
    #[error("{0}")]
    Malformed(&'static str),
}

/// What was taken from a chunk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChunkPoints {
    /// Points that went into the batch.
    pub taken: usize,
    /// Points that `keep` left out.
    pub left_out: usize,
    /// Histograms that break a rule of native histograms.
    pub refused: usize,
    /// The rule that the first of them breaks.
    pub first_refusal: Option<HistogramError>,
}

/// Adds the points of a chunk to `series` of `batch`: those whose times `keep` lets through. `encoding` is Prometheus'
/// number for it, and `data` begins with the number of samples.
///
/// Allocates in proportion to `data`. Histograms carry the reset hints that Prometheus gives: in a chunk of counters, all
/// but the first are known not to be resets.
///
/// # Errors
/// When the encoding is not known or the bytes are damaged; `batch` is then as it was.
pub fn append(
    encoding: u8,
    data: &[u8],
    keep: impl Fn(Timestamp) -> bool,
    series: SeriesIndex,
    batch: &mut MetricBatch,
) -> Result<ChunkPoints, ChunkError> {
    let (samples, histograms) = (batch.samples.len(), batch.histograms.len());
    let read = append_all(encoding, data, keep, series, batch);
    if read.is_err() {
        batch.samples.truncate(samples);
        batch.histograms.truncate(histograms);
    }
    read
}

fn append_all(
    encoding: u8,
    data: &[u8],
    keep: impl Fn(Timestamp) -> bool,
    series: SeriesIndex,
    batch: &mut MetricBatch,
) -> Result<ChunkPoints, ChunkError> {
    let mut points = ChunkPoints::default();
    match encoding {
        1 => {
            let mut samples = xor::Xor::new(data)?;
            while let Some((ts, value)) = samples.next()? {
                take_float(ts, value, &keep, series, batch, &mut points);
            }
        }
        4 => {
            let mut samples = xor::Xor2::new(data)?;
            while let Some((ts, value)) = samples.next()? {
                take_float(ts, value, &keep, series, batch, &mut points);
            }
        }
        2 | 3 | 5 | 6 => {
            let (float, with_starts) = (matches!(encoding, 3 | 6), encoding >= 5);
            histogram::read(float, with_starts, data, |ts, histogram| {
                take_histogram(ts, histogram, &keep, series, batch, &mut points);
            })?;
        }
        _ => return Err(ChunkError::Encoding(encoding)),
    }
    Ok(points)
}

#[inline]
fn take_float(
    ts: i64,
    value: f64,
    keep: &impl Fn(Timestamp) -> bool,
    series: SeriesIndex,
    batch: &mut MetricBatch,
    points: &mut ChunkPoints,
) {
    let ts = Timestamp::from_millis(ts);
    if keep(ts) {
        batch.add_sample(series, ts, value);
        points.taken += 1;
    } else {
        points.left_out += 1;
    }
}

fn take_histogram(
    ts: i64,
    histogram: Result<Histogram, HistogramError>,
    keep: &impl Fn(Timestamp) -> bool,
    series: SeriesIndex,
    batch: &mut MetricBatch,
    points: &mut ChunkPoints,
) {
    let ts = Timestamp::from_millis(ts);
    if !keep(ts) {
        points.left_out += 1;
        return;
    }
    match histogram {
        Ok(histogram) => {
            batch.histograms.push(SeriesHistogram { series, ts, histogram, delta: false });
            points.taken += 1;
        }
        Err(refusal) => {
            points.refused += 1;
            points.first_refusal.get_or_insert(refusal);
        }
    }
}

/// Gives `histogram` its schema as stored, checked, and no finer than what is kept.
pub(super) fn check(schema: i32, mut histogram: Histogram) -> Result<Histogram, HistogramError> {
    let finer = (i32::from(FINEST_SCHEMA) + 1..=FINEST_STORED_SCHEMA).contains(&schema);
    let narrow = i8::try_from(schema).map_err(|_| HistogramError::Schema(schema))?;
    // Every other rule holds at any resolution, so a finer one is checked as if it were ours.
    histogram.schema = if finer { FINEST_SCHEMA } else { narrow };
    histogram.validate()?;
    if finer {
        histogram.schema = narrow;
        histogram.add(&Histogram { schema: FINEST_SCHEMA, ..Histogram::default() })?;
    }
    Ok(histogram)
}
