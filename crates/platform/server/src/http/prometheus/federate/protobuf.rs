//! Families as length-delimited protobuf messages (`io.prometheus.client.MetricFamily`), the one format with native
//! histograms.

use kandela_model::{BucketSpan, CUSTOM_BOUNDS_SCHEMA, Histogram};
use kandela_promql::Point;
use prost::Message as _;

use super::escape::Escaping;
use super::text::cumulative;
use super::{Kind, Newest};

#[derive(Clone, PartialEq, prost::Message)]
struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "5")]
    untyped: Option<Untyped>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<WireHistogram>,
    #[prost(int64, optional, tag = "6")]
    timestamp_ms: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LabelPair {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Untyped {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireHistogram {
    #[prost(double, optional, tag = "4")]
    sample_count_float: Option<f64>,
    #[prost(double, optional, tag = "2")]
    sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    zero_threshold: Option<f64>,
    #[prost(double, optional, tag = "8")]
    zero_count_float: Option<f64>,
    #[prost(message, repeated, tag = "9")]
    negative_span: Vec<Span>,
    #[prost(double, repeated, packed = "false", tag = "11")]
    negative_count: Vec<f64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<Span>,
    #[prost(double, repeated, packed = "false", tag = "14")]
    positive_count: Vec<f64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Bucket {
    #[prost(double, optional, tag = "2")]
    upper_bound: Option<f64>,
    #[prost(double, optional, tag = "4")]
    cumulative_count_float: Option<f64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Span {
    #[prost(sint32, optional, tag = "1")]
    offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    length: Option<u32>,
}

/// `io.prometheus.client.MetricType`.
const fn number(kind: Kind) -> i32 {
    match kind {
        Kind::Untyped => 3,
        Kind::Histogram => 4,
        Kind::GaugeHistogram => 5,
    }
}

pub(super) fn push_family(out: &mut Vec<u8>, family: &[Newest], escaping: Escaping) {
    let Some(first) = family.first() else { return };
    let message = MetricFamily {
        name: Some(escaping.escape(&first.metric).into_owned()),
        kind: Some(number(first.kind())),
        metric: family.iter().map(|newest| metric(newest, escaping)).collect(),
    };
    out.extend_from_slice(&message.encode_length_delimited_to_vec());
}

fn metric(newest: &Newest, escaping: Escaping) -> Metric {
    let label = |(name, value): &(String, String)| LabelPair {
        name: Some(escaping.escape(name).into_owned()),
        value: Some(value.clone()),
    };
    let (untyped, histogram) = match &newest.point {
        Point::Float(value) => (Some(Untyped { value: Some(*value) }), None),
        Point::Histogram(histogram) => (None, Some(wire(histogram))),
    };
    Metric {
        label: newest.labels.iter().map(label).collect(),
        untyped,
        histogram,
        timestamp_ms: Some(newest.millis),
    }
}

/// Custom bounds become classic buckets, of which the last, to infinity, is left to the count.
fn wire(histogram: &Histogram) -> WireHistogram {
    let common = WireHistogram {
        sample_count_float: Some(histogram.count),
        sample_sum: Some(histogram.sum),
        ..WireHistogram::default()
    };
    if histogram.schema == CUSTOM_BOUNDS_SCHEMA {
        let bucket =
            |(bound, count)| Bucket { upper_bound: Some(bound), cumulative_count_float: Some(count) };
        return WireHistogram { bucket: cumulative(histogram).map(bucket).collect(), ..common };
    }
    WireHistogram {
        schema: Some(i32::from(histogram.schema)),
        zero_threshold: Some(histogram.zero_threshold),
        zero_count_float: Some(histogram.zero_count),
        negative_span: spans(&histogram.negative_spans),
        negative_count: histogram.negative_buckets.clone(),
        positive_span: spans(&histogram.positive_spans),
        positive_count: histogram.positive_buckets.clone(),
        ..common
    }
}

fn spans(spans: &[BucketSpan]) -> Vec<Span> {
    spans.iter().map(|span| Span { offset: Some(span.offset), length: Some(span.length) }).collect()
}
