//! Batches into bodies of write requests, for `remote_write` out.

use std::collections::HashMap;

use kandela_model::{Exemplar, LabelsRef, MetricBatch, SeriesIndex, Timestamp};

use super::histogram;
use super::message::Message;
use super::v1::number_of;
use crate::protobuf::{put_bytes, put_double, put_int, put_message, put_uint, put_varint};

/// Encodes write requests, one after the other, in buffers that it keeps.
///
/// Times are floored to the protocol's milliseconds. Increments (delta temporality) have no form in remote write and are not
/// sent; the head adds them up before anything goes out. 1.0 knows no start times; 2.0 sends metadata only with the series
/// that they describe.
pub struct Encoder {
    snappy: snap::raw::Encoder,
    message: Vec<u8>,
    series: Vec<u8>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { snappy: snap::raw::Encoder::new(), message: Vec::new(), series: Vec::new() }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

impl Encoder {
    /// The body of a request that carries `batch`, compressed.
    pub fn encode(&mut self, message: Message, batch: &MetricBatch) -> Vec<u8> {
        self.message.clear();
        match message {
            Message::V1 => encode_v1(&mut self.message, batch),
            Message::V2 => encode_v2(&mut self.message, &mut self.series, batch),
        }
        compress(&mut self.snappy, &self.message)
    }
}

/// `message` as a snappy block.
pub(super) fn compress(snappy: &mut snap::raw::Encoder, message: &[u8]) -> Vec<u8> {
    let mut body = vec![0; snap::raw::max_compress_len(message.len())];
    // The buffer has the size that the format needs at most, so compression cannot fail.
    let len = snappy.compress(message, &mut body).unwrap_or_default();
    body.truncate(len);
    body
}

/// The points of a batch, grouped by series.
struct Grouped<'a, T> {
    points: &'a [T],
    /// Indexes of `points`, ascending by series and within one as they came.
    order: Vec<u32>,
    series_of: fn(&T) -> SeriesIndex,
    next: usize,
}

impl<'a, T> Grouped<'a, T> {
    fn new(points: &'a [T], series_of: fn(&T) -> SeriesIndex) -> Self {
        let mut order: Vec<u32> = (0..points.len() as u32).collect();
        order.sort_by_key(|index| points.get(*index as usize).map(series_of));
        Self { points, order, series_of, next: 0 }
    }

    /// The points of `series`. Series must be asked for in ascending order.
    fn take(&mut self, series: SeriesIndex) -> impl Iterator<Item = &'a T> + Clone + use<'a, '_, T> {
        let rest = self.order.get(self.next..).unwrap_or_default();
        let (points, series_of) = (self.points, self.series_of);
        let len = rest
            .iter()
            .take_while(|index| points.get(**index as usize).map(series_of) == Some(series))
            .count();
        self.next += len;
        rest.get(..len).unwrap_or_default().iter().filter_map(|index| points.get(*index as usize))
    }
}

fn encode_v1(out: &mut Vec<u8>, batch: &MetricBatch) {
    let mut samples = Grouped::new(&batch.samples, |sample| sample.series);
    let mut histograms = Grouped::new(&batch.histograms, |histogram| histogram.series);
    let mut exemplars = Grouped::new(&batch.exemplars, |exemplar| exemplar.series);
    for series in (0..batch.series().len() as u32).map(SeriesIndex) {
        let samples = samples.take(series);
        let histograms = histograms.take(series).filter(|histogram| !histogram.delta);
        let exemplars = exemplars.take(series);
        let carries_nothing = samples.clone().next().is_none()
            && histograms.clone().next().is_none()
            && exemplars.clone().next().is_none();
        if carries_nothing {
            continue;
        }
        put_message(out, 1, |out| {
            for (name, value) in batch.labels(series).iter() {
                put_label(out, name, value);
            }
            for sample in samples {
                put_message(out, 2, |out| put_sample(out, sample.ts, sample.value));
            }
            for exemplar in exemplars {
                put_message(out, 3, |out| {
                    for (name, value) in exemplar_labels(&exemplar.exemplar) {
                        put_label(out, name, value);
                    }
                    put_double(out, 2, exemplar.exemplar.value);
                    put_int(out, 3, exemplar.exemplar.ts.millis());
                });
            }
            for histogram in histograms {
                put_message(out, 4, |out| histogram::write(out, histogram.ts, &histogram.histogram, false));
            }
        });
    }
    for metadata in &batch.metadata {
        put_message(out, 3, |out| {
            put_uint(out, 1, number_of(metadata.kind));
            put_bytes(out, 2, metadata.family.as_bytes());
            put_bytes(out, 4, metadata.help.as_bytes());
            put_bytes(out, 5, metadata.unit.as_bytes());
        });
    }
}

fn encode_v2<'a>(out: &mut Vec<u8>, series_out: &mut Vec<u8>, batch: &'a MetricBatch) {
    series_out.clear();
    let mut symbols = Symbols::new();
    let mut samples = Grouped::new(&batch.samples, |sample| sample.series);
    let mut histograms = Grouped::new(&batch.histograms, |histogram| histogram.series);
    let mut exemplars = Grouped::new(&batch.exemplars, |exemplar| exemplar.series);
    for (index, entry) in (0u32..).zip(batch.series()) {
        let series = SeriesIndex(index);
        let samples = samples.take(series);
        let histograms = histograms.take(series).filter(|histogram| !histogram.delta);
        let exemplars: Vec<&'a Exemplar> =
            exemplars.take(series).map(|exemplar| &exemplar.exemplar).collect();
        let labels = batch.labels(series);
        let metadata = entry.metadata.and_then(|metadata| batch.metadata.get(metadata as usize));
        let has_samples = samples.clone().next().is_some();
        let has_histograms = histograms.clone().next().is_some();
        let mut put_series = |points: &dyn Fn(&mut Vec<u8>), exemplars: &[&'a Exemplar]| {
            put_message(series_out, 5, |out| {
                put_refs(out, &mut symbols, labels.iter());
                points(out);
                for exemplar in exemplars {
                    put_message(out, 4, |out| {
                        put_refs(out, &mut symbols, exemplar_labels(exemplar));
                        put_double(out, 2, exemplar.value);
                        put_int(out, 3, exemplar.ts.millis());
                    });
                }
                if let Some(metadata) = metadata {
                    put_message(out, 5, |out| {
                        put_uint(out, 1, number_of(metadata.kind));
                        put_uint(out, 3, u64::from(symbols.reference(&metadata.help)));
                        put_uint(out, 4, u64::from(symbols.reference(&metadata.unit)));
                    });
                }
            });
        };
        // One message must not mix the two kinds; exemplars go with whichever comes first.
        if has_samples || (!has_histograms && !exemplars.is_empty()) {
            let points = |out: &mut Vec<u8>| {
                for sample in samples.clone() {
                    put_message(out, 2, |out| put_sample(out, sample.ts, sample.value));
                }
            };
            put_series(&points, &exemplars);
        }
        if has_histograms {
            let points = |out: &mut Vec<u8>| {
                for histogram in histograms.clone() {
                    put_message(out, 3, |out| {
                        histogram::write(out, histogram.ts, &histogram.histogram, true);
                    });
                }
            };
            put_series(&points, if has_samples { &[] } else { &exemplars });
        }
    }
    for symbol in symbols.table {
        put_bytes(out, 4, symbol.as_bytes());
    }
    out.extend_from_slice(series_out);
}

/// Strings that stand once in a request, numbered as they come. The first is empty, as the specification wants.
struct Symbols<'a> {
    table: Vec<&'a str>,
    references: HashMap<&'a str, u32>,
}

impl<'a> Symbols<'a> {
    fn new() -> Self {
        Self { table: vec![""], references: HashMap::from([("", 0)]) }
    }

    fn reference(&mut self, text: &'a str) -> u32 {
        let table = &mut self.table;
        *self.references.entry(text).or_insert_with(|| {
            table.push(text);
            table.len() as u32 - 1
        })
    }
}

fn put_refs<'a>(
    out: &mut Vec<u8>,
    symbols: &mut Symbols<'a>,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
) {
    put_message(out, 1, |out| {
        for (name, value) in labels {
            put_varint(out, u64::from(symbols.reference(name)));
            put_varint(out, u64::from(symbols.reference(value)));
        }
    });
}

fn put_label(out: &mut Vec<u8>, name: &str, value: &str) {
    put_message(out, 1, |out| {
        put_bytes(out, 1, name.as_bytes());
        put_bytes(out, 2, value.as_bytes());
    });
}

fn put_sample(out: &mut Vec<u8>, ts: Timestamp, value: f64) {
    put_double(out, 1, value);
    put_int(out, 2, ts.millis());
}

/// All labels that an exemplar has on the wire, in ascending order of names.
fn exemplar_labels(exemplar: &Exemplar) -> impl Iterator<Item = (&str, &str)> {
    let labels: LabelsRef<'_> = exemplar.labels.as_ref();
    let mut all: Vec<(&str, &str)> = labels.iter().collect();
    all.extend(exemplar.trace_id.as_deref().map(|id| ("trace_id", id)));
    all.extend(exemplar.span_id.as_deref().map(|id| ("span_id", id)));
    all.sort_unstable();
    all.into_iter()
}
