//! What must hold of everything that a parser lets through.

use kandela_ingest::otlp::{Limits, OtlpError, TranslationStrategy, logs, metrics, traces};
use kandela_model::{LabelsRef, MetricBatch, SeriesIndex};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

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

/// Decodes what is a request of OTLP: the outcome counts what came out, and metrics are good under every strategy.
///
/// # Panics
/// Where that is not so.
pub fn check_otlp(
    traces: Result<ExportTraceServiceRequest, OtlpError>,
    logs: Result<ExportLogsServiceRequest, OtlpError>,
    metrics: Result<ExportMetricsServiceRequest, OtlpError>,
) {
    let limits = Limits { attributes_per_item: 20, nesting: 4, batch_bytes: 1 << 20 };
    if let Ok(request) = traces {
        let (spans, outcome) = traces::decode(request, &limits);
        assert_eq!(spans.len() as u64, outcome.accepted);
    }
    if let Ok(request) = logs {
        let (records, outcome) = logs::decode(request, &limits);
        assert_eq!(records.len() as u64, outcome.accepted);
    }
    let Ok(request) = metrics else { return };
    let strategies = [
        TranslationStrategy::UnderscoreEscapingWithSuffixes,
        TranslationStrategy::UnderscoreEscapingWithoutSuffixes,
        TranslationStrategy::NoUtf8EscapingWithSuffixes,
        TranslationStrategy::NoTranslation,
    ];
    for (index, translation_strategy) in strategies.into_iter().enumerate() {
        let options = metrics::Options {
            translation_strategy,
            convert_histograms_to_nhcb: index % 2 == 1,
            promote_scope_metadata: index > 1,
            promote_resource_attributes: metrics::Promote::AllBut(Default::default()),
            limits,
            ..metrics::Options::default()
        };
        let mut batch = MetricBatch::default();
        metrics::decode(&request, &options, &mut batch);
        check_metrics(&batch);
    }
}
