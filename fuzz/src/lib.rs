//! What must hold of everything that a parser lets through.

use kandela_model::{LabelsRef, MetricBatch, SeriesIndex};

/// Whatever the wire said, a batch points at its own series only, and those have canonical labels; its histograms are good.
///
/// # Panics
/// Where that is not so: libFuzzer then keeps the input.
pub fn check_metrics(batch: &MetricBatch) {
    let series = batch.series().len();
    for index in 0..series {
        let labels = batch.labels(SeriesIndex(index as u32));
        assert!(LabelsRef::from_bytes(labels.as_bytes()).is_some(), "labels are not canonical: {labels}");
        assert!(labels.metric_name().is_some_and(|name| !name.is_empty()), "a series has no name: {labels}");
    }
    let of_samples = batch.samples.iter().map(|sample| sample.series);
    let of_histograms = batch.histograms.iter().map(|histogram| histogram.series);
    let of_exemplars = batch.exemplars.iter().map(|exemplar| exemplar.series);
    for index in of_samples.chain(of_histograms).chain(of_exemplars) {
        assert!((index.0 as usize) < series, "{index:?} of {series} series");
    }
    for described in batch.series().iter().filter_map(|series| series.metadata) {
        assert!((described as usize) < batch.metadata.len(), "metadata {described} is not there");
    }
    for histogram in &batch.histograms {
        histogram.histogram.validate().expect("a histogram that is let through is a good one");
    }
}
