//! Metrics, as Prometheus' OTLP endpoint takes them in: names by a translation strategy, the resource as `job`, `instance` and
//! `target_info`, explicit buckets as classic series or custom-bucket histograms, exponential histograms as native ones.
//!
//! Delta temporality, which Prometheus leaves to others, goes into the batch as increments; the head adds them up.

mod histogram;
mod number;
mod series;

use std::collections::BTreeSet;

use kandela_model::{MetricBatch, Timestamp};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1 as proto;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;

use super::json::{self, Request};
use super::names::{KindSuffix, metric_name, unit_name};
use super::{Fault, Limits, OtlpError, Outcome, Tally, TranslationStrategy};
use series::{Family, ResourceLabels, Sink};

/// Bit of a data point's flags that says that there is no value, the end of its series.
const NO_RECORDED_VALUE: u32 = 1;

/// Prometheus' section `otlp`, and what a request may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How names are translated.
    pub translation_strategy: TranslationStrategy,
    /// Resource attributes that become labels of every series.
    pub promote_resource_attributes: Promote,
    /// Whether `service.name`, `service.namespace` and `service.instance.id` stand in `target_info` beside `job` and
    /// `instance`.
    pub keep_identifying_resource_attributes: bool,
    /// Whether explicit buckets become one histogram with custom buckets instead of classic series.
    pub convert_histograms_to_nhcb: bool,
    /// Whether the scope's name, version and attributes become labels `otel_scope_…`.
    pub promote_scope_metadata: bool,
    /// Whether label names with one leading underscore get `key` before it.
    pub label_name_underscore_sanitization: bool,
    /// Whether runs of underscores in label names stay.
    pub label_name_preserve_multiple_underscores: bool,
    /// What a request may hold.
    pub limits: Limits,
}

impl Default for Options {
    /// Prometheus' defaults.
    fn default() -> Self {
        Self {
            translation_strategy: TranslationStrategy::default(),
            promote_resource_attributes: Promote::default(),
            keep_identifying_resource_attributes: false,
            convert_histograms_to_nhcb: false,
            promote_scope_metadata: false,
            label_name_underscore_sanitization: true,
            label_name_preserve_multiple_underscores: true,
            limits: Limits::default(),
        }
    }
}

/// Which resource attributes become labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promote {
    /// These.
    Only(BTreeSet<String>),
    /// All but these.
    AllBut(BTreeSet<String>),
}

impl Default for Promote {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

impl Promote {
    fn includes(&self, attribute: &str) -> bool {
        match self {
            Self::Only(names) => names.contains(attribute),
            Self::AllBut(names) => !names.contains(attribute),
        }
    }
}

/// Reads a request in protobuf.
///
/// # Errors
/// When the bytes are no such message.
pub fn from_protobuf(bytes: &[u8]) -> Result<ExportMetricsServiceRequest, OtlpError> {
    Ok(ExportMetricsServiceRequest::decode(bytes)?)
}

/// Reads a request in JSON.
///
/// # Errors
/// When the bytes are not JSON or not such a request.
pub fn from_json(bytes: &[u8]) -> Result<ExportMetricsServiceRequest, OtlpError> {
    from_protobuf(&json::to_protobuf(Request::Metrics, bytes)?)
}

/// Adds the data points of a request to `batch`. Points that are invalid or past a limit are left out and explained.
pub fn decode(request: &ExportMetricsServiceRequest, options: &Options, batch: &mut MetricBatch) -> Outcome {
    let mut sink = Sink::new(options, batch);
    for group in &request.resource_metrics {
        let empty = opentelemetry_proto::tonic::resource::v1::Resource::default();
        let attributes = &group.resource.as_ref().unwrap_or(&empty).attributes;
        let resource = match ResourceLabels::new(attributes, options) {
            Ok(resource) => resource,
            Err(fault) => {
                let points = group.scope_metrics.iter().flat_map(|scope| &scope.metrics).map(points).sum();
                sink.tally.reject(points, fault);
                continue;
            }
        };
        let mut span: Option<(Timestamp, Timestamp)> = None;
        for scope in &group.scope_metrics {
            match resource.with_scope(scope.scope.as_ref(), &scope.schema_url, options) {
                Ok(common) => {
                    for metric in &scope.metrics {
                        decode_metric(metric, &common, options, &mut sink);
                        span = widen(span, metric);
                    }
                }
                Err(fault) => sink.tally.reject(scope.metrics.iter().map(points).sum(), fault),
            }
        }
        if let Some((earliest, latest)) = span {
            series::add_target_info(attributes, &resource, earliest, latest, &mut sink);
        }
    }
    std::mem::take(&mut sink.tally).outcome()
}

fn decode_metric(
    metric: &proto::Metric,
    common: &series::CommonLabels<'_>,
    options: &Options,
    sink: &mut Sink<'_>,
) {
    let family = match Family::new(metric, options, sink) {
        Ok(family) => family,
        Err(fault) => {
            sink.tally.reject(points(metric), fault);
            return;
        }
    };
    match &metric.data {
        Some(Data::Gauge(gauge)) => {
            for point in &gauge.data_points {
                let added = number::add_gauge(point, &family, common, sink);
                sink.settle(added);
            }
        }
        Some(Data::Sum(sum)) => {
            for point in &sum.data_points {
                let added = number::add_sum(point, sum.aggregation_temporality, &family, common, sink);
                sink.settle(added);
            }
        }
        Some(Data::Summary(summary)) => {
            for point in &summary.data_points {
                let added = number::add_summary(point, &family, common, sink);
                sink.settle(added);
            }
        }
        Some(Data::Histogram(histogram)) => {
            for point in &histogram.data_points {
                let temporality = histogram.aggregation_temporality;
                let added = if options.convert_histograms_to_nhcb {
                    histogram::add_custom(point, temporality, &family, common, sink)
                } else {
                    histogram::add_classic(point, temporality, &family, common, sink)
                };
                sink.settle(added);
            }
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            for point in &histogram.data_points {
                let temporality = histogram.aggregation_temporality;
                let added = histogram::add_exponential(point, temporality, &family, common, sink);
                sink.settle(added);
            }
        }
        None => {}
    }
}

/// How many data points a metric carries.
fn points(metric: &proto::Metric) -> u64 {
    let len = match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
        None => 0,
    };
    len as u64
}

/// `span` widened by the times of `metric`'s points.
fn widen(span: Option<(Timestamp, Timestamp)>, metric: &proto::Metric) -> Option<(Timestamp, Timestamp)> {
    let times: Vec<u64> = match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.iter().map(|point| point.time_unix_nano).collect(),
        Some(Data::Sum(sum)) => sum.data_points.iter().map(|point| point.time_unix_nano).collect(),
        Some(Data::Histogram(histogram)) => {
            histogram.data_points.iter().map(|point| point.time_unix_nano).collect()
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            histogram.data_points.iter().map(|point| point.time_unix_nano).collect()
        }
        Some(Data::Summary(summary)) => {
            summary.data_points.iter().map(|point| point.time_unix_nano).collect()
        }
        None => Vec::new(),
    };
    times.into_iter().filter(|nanos| *nanos != 0).map(Timestamp::from_unix_nanos).fold(span, |span, ts| {
        let (earliest, latest) = span.unwrap_or((ts, ts));
        Some((earliest.min(ts), latest.max(ts)))
    })
}

/// How the values of successive points relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Temporality {
    Cumulative,
    Delta,
}

impl Temporality {
    fn read(number: i32) -> Result<Self, Fault> {
        match number {
            1 => Ok(Self::Delta),
            2 => Ok(Self::Cumulative),
            _ => Err(Fault::Temporality(number)),
        }
    }
}
