//! Delimited protobuf, as Prometheus takes it from a target.

use kandela_model::{BucketSpan, Histogram, MetricKind, ResetHint};
use prost::Message;

use super::super::client_model as proto;
use super::*;

/// A family as it goes over the wire.
#[derive(Clone, PartialEq, ::prost::Message)]
struct MetricFamily {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
    #[prost(enumeration = "proto::MetricType", tag = "3")]
    r#type: i32,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<proto::Metric>,
    #[prost(string, tag = "5")]
    unit: String,
}

fn family(name: &str, kind: proto::MetricType, metric: proto::Metric) -> MetricFamily {
    MetricFamily {
        name: name.to_owned(),
        r#type: kind.into(),
        metric: vec![metric],
        ..MetricFamily::default()
    }
}

fn labelled(pairs: &[(&str, &str)]) -> proto::Metric {
    let pair =
        |(name, value): &(&str, &str)| proto::LabelPair { name: (*name).into(), value: (*value).into() };
    proto::Metric { label: pairs.iter().map(pair).collect(), ..proto::Metric::default() }
}

fn with_histogram(histogram: proto::Histogram) -> MetricFamily {
    let metric = proto::Metric { histogram: Some(Box::new(histogram)), ..proto::Metric::default() };
    family("h", proto::MetricType::Histogram, metric)
}

fn body(families: &[MetricFamily]) -> Vec<u8> {
    families.iter().flat_map(Message::encode_length_delimited_to_vec).collect()
}

fn scrape_with(
    families: &[MetricFamily],
    options: &ParseOptions,
) -> Result<(MetricBatch, Notes), ExpositionError> {
    read(Format::Protobuf, &body(families), options)
}

fn scrape(families: &[MetricFamily]) -> MetricBatch {
    scrape_with(families, &scrape_options()).unwrap().0
}

fn bucket(upper_bound: f64, cumulative_count: u64) -> proto::Bucket {
    proto::Bucket { upper_bound, cumulative_count, ..proto::Bucket::default() }
}

fn exemplar(label: &str, seconds: Option<i64>) -> proto::Exemplar {
    proto::Exemplar {
        label: vec![proto::LabelPair { name: "x".into(), value: label.into() }],
        value: 0.25,
        timestamp: seconds.map(|seconds| prost_types::Timestamp { seconds, nanos: 500_000_000 }),
    }
}

/// Two positive buckets of three and one observations, one negative, two in the zero bucket.
fn native() -> proto::Histogram {
    proto::Histogram {
        sample_count: 7,
        sample_sum: 12.5,
        schema: 3,
        zero_threshold: 0.001,
        zero_count: 2,
        positive_span: vec![
            proto::BucketSpan { offset: -2, length: 1 },
            proto::BucketSpan { offset: 1, length: 0 },
            proto::BucketSpan { offset: 2, length: 1 },
        ],
        positive_delta: vec![3, -2],
        negative_span: vec![proto::BucketSpan { offset: 0, length: 1 }],
        negative_delta: vec![1],
        start_timestamp: Some(prost_types::Timestamp { seconds: 9, nanos: 0 }),
        ..proto::Histogram::default()
    }
}

#[test]
fn plain_kinds_become_samples() {
    let counter = proto::Counter { value: 7.0, exemplar: Some(Box::new(exemplar("1", None))) };
    let gauge = Some(proto::Number { value: f64::NAN });
    let batch = scrape(&[
        MetricFamily {
            help: "Requests.".into(),
            unit: "requests".into(),
            ..family(
                "http_requests_total",
                proto::MetricType::Counter,
                proto::Metric { counter: Some(counter), timestamp_ms: 1_234, ..labelled(&[("code", "200")]) },
            )
        },
        family("temperature", proto::MetricType::Gauge, proto::Metric { gauge, ..labelled(&[]) }),
        family("my.metric", proto::MetricType::Untyped, labelled(&[("a label", "")])),
    ]);
    assert_eq!(
        samples(&batch),
        [r#"http_requests_total{code="200"} 7 1234"#, "temperature NaN 5000", "my.metric 0 5000"]
    );
    assert!(!kandela_model::is_stale(batch.samples[1].value));
    let metadata = &batch.metadata[0];
    assert_eq!(
        (metadata.kind, metadata.unit.as_str(), metadata.help.as_str()),
        (MetricKind::Counter, "requests", "Requests.")
    );
    assert_eq!(batch.series()[0].metadata, Some(0));
    assert_eq!(batch.exemplars[0].exemplar.ts.millis(), 1_234);
}

#[test]
fn a_summary_becomes_count_sum_and_quantiles() {
    let summary = proto::Summary {
        sample_count: 3,
        sample_sum: 4.5,
        quantile: vec![
            proto::Quantile { quantile: 0.5, value: 1.0 },
            proto::Quantile { quantile: 1.0, value: 2.0 },
        ],
    };
    let metric =
        proto::Metric { summary: Some(Box::new(summary)), ..labelled(&[("zone", "a"), ("job", "b")]) };
    assert_eq!(
        samples(&scrape(&[family("s", proto::MetricType::Summary, metric)])),
        [
            r#"s_count{job="b", zone="a"} 3 5000"#,
            r#"s_sum{job="b", zone="a"} 4.5 5000"#,
            r#"s{job="b", quantile="0.5", zone="a"} 1 5000"#,
            r#"s{job="b", quantile="1.0", zone="a"} 2 5000"#,
        ]
    );
}

#[test]
fn a_classic_histogram_gets_the_bucket_that_holds_all() {
    let mut first = bucket(1.0, 2);
    first.exemplar = Some(Box::new(exemplar("1", None)));
    let batch = scrape(&[with_histogram(proto::Histogram {
        sample_count: 3,
        sample_sum: 4.0,
        bucket: vec![first],
        ..proto::Histogram::default()
    })]);
    assert_eq!(
        samples(&batch),
        ["h_count 3 5000", "h_sum 4 5000", r#"h_bucket{le="1.0"} 2 5000"#, r#"h_bucket{le="+Inf"} 3 5000"#]
    );
    assert_eq!(batch.exemplars[0].series, batch.samples[2].series);
}

#[test]
fn a_native_histogram_of_whole_counts_is_read() {
    let batch = scrape(&[with_histogram(native())]);
    assert!(batch.samples.is_empty());
    let histogram = &batch.histograms[0].histogram;
    assert_eq!(
        *histogram,
        Histogram {
            schema: 3,
            count: 7.0,
            sum: 12.5,
            zero_threshold: 0.001,
            zero_count: 2.0,
            positive_spans: vec![BucketSpan { offset: -2, length: 1 }, BucketSpan { offset: 3, length: 1 }],
            positive_buckets: vec![3.0, 1.0],
            negative_spans: vec![BucketSpan { offset: 0, length: 1 }],
            negative_buckets: vec![1.0],
            start: Some(kandela_model::Timestamp::from_millis(9_000)),
            ..Histogram::default()
        }
    );
}

#[test]
fn a_native_gauge_histogram_of_fractions_is_read() {
    let histogram = proto::Histogram {
        sample_count_float: 4.5,
        zero_threshold: 0.001,
        positive_span: vec![proto::BucketSpan { offset: 0, length: 2 }],
        positive_count: vec![1.5, 3.0],
        ..proto::Histogram::default()
    };
    let mut family = with_histogram(histogram);
    family.r#type = proto::MetricType::GaugeHistogram.into();
    let batch = scrape(&[family]);
    let histogram = &batch.histograms[0].histogram;
    assert!(histogram.is_float);
    assert_eq!(histogram.reset_hint, ResetHint::Gauge);
    assert_eq!(histogram.positive_buckets, [1.5, 3.0]);
}

#[test]
fn a_native_histogram_that_saw_nothing_is_marked_by_an_empty_span() {
    let empty = proto::Histogram {
        positive_span: vec![proto::BucketSpan { offset: 0, length: 0 }],
        ..proto::Histogram::default()
    };
    let batch = scrape(&[with_histogram(empty)]);
    assert_eq!((batch.histograms.len(), batch.samples.len()), (1, 0));
    let batch = scrape(&[with_histogram(proto::Histogram::default())]);
    assert_eq!((batch.histograms.len(), batch.samples.len()), (0, 3));
}

#[test]
fn options_choose_between_the_forms_of_a_histogram() {
    let both = with_histogram(proto::Histogram { bucket: vec![bucket(1.0, 5)], ..native() });
    let read = |options: &ParseOptions| {
        let (batch, _) = scrape_with(std::slice::from_ref(&both), options).unwrap();
        (batch.histograms.iter().map(|h| h.histogram.schema).collect::<Vec<_>>(), batch.samples.len())
    };
    let options = scrape_options();
    assert_eq!(read(&options), (vec![3], 0));
    assert_eq!(read(&ParseOptions { classic_histograms: true, ..options }), (vec![3], 4));
    assert_eq!(read(&ParseOptions { native_histograms: false, ..options }), (vec![], 4));
    let converting = ParseOptions { native_histograms: false, convert_to_nhcb: true, ..options };
    assert_eq!(read(&converting), (vec![-53], 0));
    assert_eq!(read(&ParseOptions { classic_histograms: true, ..converting }), (vec![-53], 4));
    assert_eq!(read(&ParseOptions { convert_to_nhcb: true, ..options }), (vec![3], 0));
}

#[test]
fn exemplars_of_native_histograms_need_a_time() {
    let mut with_exemplar = bucket(1.0, 5);
    with_exemplar.exemplar = Some(Box::new(exemplar("of bucket", Some(3))));
    let mut histogram = proto::Histogram { bucket: vec![with_exemplar], ..native() };
    let (batch, _) = scrape_with(&[with_histogram(histogram.clone())], &scrape_options()).unwrap();
    assert_eq!(batch.exemplars[0].exemplar.labels.get("x"), Some("of bucket"));
    assert_eq!(batch.exemplars[0].exemplar.ts.millis(), 3_500);

    histogram.exemplars = vec![exemplar("timeless", None), exemplar("own", Some(4))];
    let (batch, notes) = scrape_with(&[with_histogram(histogram)], &scrape_options()).unwrap();
    assert_eq!((batch.exemplars.len(), notes.dropped_exemplars), (1, 1));
    assert_eq!(batch.exemplars[0].exemplar.labels.get("x"), Some("own"));
}

#[test]
fn impossible_histograms_are_refused_with_their_place() {
    let refusals = [
        (proto::Histogram { schema: 9, ..native() }, "schema 9 is not known"),
        (proto::Histogram { schema: 1 << 20, ..native() }, "no histogram schema"),
        (proto::Histogram { positive_delta: vec![3], ..native() }, "speak of 2 buckets but 1 came"),
        (proto::Histogram { positive_delta: vec![3, -4], ..native() }, "negative or not a number"),
        (proto::Histogram { positive_delta: vec![i64::MAX, 1], ..native() }, "overflow"),
        (proto::Histogram { sample_count: 9, ..native() }, "its count is 9"),
        (
            proto::Histogram {
                positive_span: vec![
                    proto::BucketSpan { offset: i32::MAX, length: 0 },
                    proto::BucketSpan { offset: 1, length: 2 },
                ],
                ..native()
            },
            "offsets overflow",
        ),
    ];
    for (histogram, words) in refusals {
        let good = family("good", proto::MetricType::Gauge, labelled(&[]));
        let bad = with_histogram(histogram);
        let offset = good.encode_length_delimited_to_vec().len();
        let refusal = scrape_with(&[good, bad], &scrape_options()).unwrap_err().to_string();
        assert!(refusal.starts_with(&format!("byte {offset}, metric family \"h\": ")), "{refusal}");
        assert!(refusal.contains(words), "{refusal}");
    }
}

#[test]
fn bytes_that_are_no_families_are_refused() {
    let good = body(&[family("a", proto::MetricType::Gauge, labelled(&[("b", "c")]))]);
    for cut in 1..good.len() {
        assert!(read(Format::Protobuf, &good[..cut], &scrape_options()).is_err(), "{cut}");
    }
    let empty = body(&[MetricFamily::default()]);
    assert!(read(Format::Protobuf, &empty, &scrape_options()).unwrap().0.is_empty());
    let nameless = body(&[family("", proto::MetricType::Gauge, labelled(&[]))]);
    assert!(read(Format::Protobuf, &nameless, &scrape_options()).is_err());
    let repeated = body(&[family("a", proto::MetricType::Gauge, labelled(&[("b", "1"), ("b", "2")]))]);
    assert!(read(Format::Protobuf, &repeated, &scrape_options()).is_err());
    let mut untold = family("a", proto::MetricType::Gauge, labelled(&[]));
    untold.r#type = 99;
    let refusal = read(Format::Protobuf, &body(&[untold]), &scrape_options()).unwrap_err().to_string();
    assert!(refusal.contains("99 is no metric type"), "{refusal}");
}

#[test]
fn labels_repeated_for_every_bucket_are_bounded() {
    let long = "x".repeat(10_000);
    let metric = proto::Metric {
        histogram: Some(Box::new(proto::Histogram {
            bucket: (0..10_000).map(|bound| bucket(f64::from(bound), 0)).collect(),
            ..proto::Histogram::default()
        })),
        ..labelled(&[("long", &long)])
    };
    let bomb = [family("h", proto::MetricType::Histogram, metric)];
    let options = ParseOptions { max_label_bytes: 1 << 20, ..scrape_options() };
    assert_eq!(scrape_with(&bomb, &options).unwrap_err(), ExpositionError::TooLarge { limit: 1 << 20 });
}
