//! Remote write bodies: what is taken, what is refused and how it is said, and agreement with prost on any message.

mod prompb;

use kandela_ingest::remote_write::{Decoder, Encoder, Limits, Message, Reason, Rejections, WriteError};
use kandela_model::{
    BucketSpan, CUSTOM_BOUNDS_SCHEMA, Exemplar, Histogram, Labels, MetricBatch, MetricKind, ResetHint,
    SeriesHistogram, SeriesIndex, Timestamp,
};
use prompb::{v1, v2};
use prost::Message as _;

fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).expect("it compresses")
}

fn decode(message: Message, body: &[u8]) -> Result<(MetricBatch, Rejections), WriteError> {
    let mut batch = MetricBatch::default();
    let rejections = Decoder::new(Limits::default()).decode(message, body, &mut batch)?;
    Ok((batch, rejections))
}

fn decode_v1(series: Vec<v1::TimeSeries>) -> (MetricBatch, Rejections) {
    let request = v1::WriteRequest { timeseries: series, metadata: Vec::new() };
    decode(Message::V1, &snappy(&request.encode_to_vec())).expect("the request is well formed")
}

fn decode_v2(symbols: &[&str], series: Vec<v2::TimeSeries>) -> (MetricBatch, Rejections) {
    let symbols = symbols.iter().map(|symbol| symbol.as_bytes().to_vec()).collect();
    let request = v2::Request { symbols, timeseries: series };
    decode(Message::V2, &snappy(&request.encode_to_vec())).expect("the request is well formed")
}

fn series(labels: &[(&str, &str)], value: f64) -> v1::TimeSeries {
    let labels =
        labels.iter().map(|(name, value)| v1::Label { name: (*name).into(), value: (*value).into() });
    v1::TimeSeries {
        labels: labels.collect(),
        samples: vec![v1::Sample { value, timestamp: 1_700_000_000_000 }],
        ..Default::default()
    }
}

fn only_reason(rejections: &Rejections) -> &Reason {
    assert_eq!(rejections.first.len(), 1, "{rejections}");
    &rejections.first[0].reason
}

#[test]
fn a_first_version_request_becomes_series_and_samples() {
    let (batch, rejections) = decode_v1(vec![
        series(&[("__name__", "up"), ("job", "shop")], 1.0),
        series(&[("__name__", "load"), ("job", "shop")], -0.5),
    ]);
    assert!(rejections.is_empty());
    let read: Vec<_> =
        batch.samples.iter().map(|s| (batch.labels(s.series).to_string(), s.ts.millis(), s.value)).collect();
    assert_eq!(
        read,
        [
            (r#"up{job="shop"}"#.to_owned(), 1_700_000_000_000, 1.0),
            (r#"load{job="shop"}"#.to_owned(), 1_700_000_000_000, -0.5),
        ]
    );
}

#[test]
fn unsorted_labels_are_sorted_as_prometheus_does() {
    let (batch, rejections) =
        decode_v1(vec![series(&[("job", "shop"), ("__name__", "up"), ("instance", "a")], 1.0)]);
    assert!(rejections.is_empty());
    let sorted = Labels::new([("__name__", "up"), ("instance", "a"), ("job", "shop")]).unwrap();
    assert_eq!(batch.labels(SeriesIndex(0)), sorted.as_ref());
}

#[test]
fn a_label_that_stands_twice_costs_only_its_series() {
    let (batch, rejections) = decode_v1(vec![
        series(&[("__name__", "a"), ("job", "x")], 1.0),
        series(&[("__name__", "b"), ("job", "x"), ("job", "y")], 2.0),
        series(&[("__name__", "c"), ("job", "x")], 3.0),
    ]);
    assert_eq!(batch.samples.iter().map(|sample| sample.value).collect::<Vec<_>>(), [1.0, 3.0]);
    assert_eq!((rejections.count, rejections.samples), (1, 1));
    assert_eq!(only_reason(&rejections), &Reason::DuplicateLabel { name: "job".into() });
    assert!(rejections.first[0].series.contains(r#"__name__="b""#), "the series is named: {rejections}");
}

#[test]
fn a_series_without_a_name_is_refused() {
    let (batch, rejections) = decode_v1(vec![series(&[("job", "shop")], 1.0)]);
    assert!(batch.is_empty());
    assert_eq!(only_reason(&rejections), &Reason::NoMetricName);
}

#[test]
fn a_label_without_a_name_is_refused() {
    let (_, rejections) = decode_v1(vec![series(&[("", "shop"), ("__name__", "up")], 1.0)]);
    assert_eq!(only_reason(&rejections), &Reason::EmptyLabelName);
}

#[test]
fn labels_that_are_not_utf8_are_refused_also_when_they_are_long() {
    for len in [1, 200] {
        let mut broken = series(&[("__name__", "up")], 1.0);
        broken.labels.push(v1::Label { name: b"job".to_vec(), value: vec![0xff; len] });
        let (batch, rejections) = decode_v1(vec![broken]);
        assert!(batch.is_empty());
        assert_eq!(only_reason(&rejections), &Reason::NotUtf8);
    }
}

#[test]
fn two_halves_of_a_character_in_neighbouring_labels_are_not_utf8() {
    let mut broken = series(&[("__name__", "up")], 1.0);
    broken.labels.push(v1::Label { name: b"a".to_vec(), value: vec![0xc3] });
    broken.labels.push(v1::Label { name: vec![0xa9], value: b"b".to_vec() });
    assert_eq!(only_reason(&decode_v1(vec![broken]).1), &Reason::NotUtf8);
}

#[test]
fn only_the_first_refusals_are_described() {
    let many = (0..1_000).map(|_| series(&[("job", "shop")], 1.0)).collect();
    let (_, rejections) = decode_v1(many);
    assert_eq!((rejections.count, rejections.samples, rejections.first.len()), (1_000, 1_000, 10));
    assert!(rejections.to_string().ends_with("and 990 more"));
}

#[test]
fn a_decompression_bomb_is_refused_by_what_it_declares() {
    // The preamble claims 4 GiB less one byte; nothing follows.
    let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let error = decode(Message::V1, &bomb).unwrap_err();
    assert_eq!(error.status(), 413);
    assert!(error.to_string().contains("limit decompressed_bytes of 67108864 bytes"), "{error}");
}

#[test]
fn a_small_body_cannot_become_a_large_batch() {
    let mut timeseries = v1::TimeSeries::default();
    timeseries.labels.push(v1::Label { name: b"__name__".to_vec(), value: b"up".to_vec() });
    timeseries.histograms = vec![v1::Histogram::default(); 10_000];
    let body =
        snappy(&v1::WriteRequest { timeseries: vec![timeseries], metadata: Vec::new() }.encode_to_vec());
    let mut batch = MetricBatch::default();
    let limits = Limits { batch_bytes: 1 << 20, ..Limits::default() };
    let error = Decoder::new(limits).decode(Message::V1, &body, &mut batch).unwrap_err();
    assert_eq!(error.status(), 413);
    assert!(error.to_string().contains("batch_bytes"), "{error}");
    assert!(batch.is_empty());
}

#[test]
fn a_symbol_that_is_referred_to_many_times_counts_every_time() {
    let long = "x".repeat(100_000);
    let row = v2::TimeSeries {
        labels_refs: vec![1, 2, 3, 4],
        samples: vec![v2::Sample::default()],
        ..Default::default()
    };
    let symbols = ["", "__name__", "up", "bomb", &long].map(|symbol| symbol.as_bytes().to_vec()).to_vec();
    let request = v2::Request { symbols, timeseries: vec![row; 10_000] };
    let error = decode(Message::V2, &snappy(&request.encode_to_vec())).unwrap_err();
    assert_eq!(error.status(), 413);
}

#[test]
fn a_truncated_body_is_malformed_and_leaves_an_empty_batch() {
    let whole =
        v1::WriteRequest { timeseries: vec![series(&[("__name__", "up")], 1.0); 3], metadata: vec![] };
    let bytes = whole.encode_to_vec();
    let error = decode(Message::V1, &snappy(&bytes[..bytes.len() - 1])).unwrap_err();
    assert_eq!(error.status(), 400);
    assert!(error.to_string().contains("prometheus.WriteRequest message: byte"), "{error}");
    assert_eq!(decode(Message::V1, b"\xf0not snappy").unwrap_err().status(), 400);
}

#[test]
fn a_second_version_request_resolves_its_symbols() {
    let (batch, rejections) = decode_v2(
        &["", "__name__", "latency_bucket", "le", "0.5", "how long", "s", "trace_id", "not-hex"],
        vec![v2::TimeSeries {
            labels_refs: vec![1, 2, 3, 4],
            samples: vec![v2::Sample { value: 3.0, timestamp: 5, start_timestamp: 1 }],
            exemplars: vec![v2::Exemplar { labels_refs: vec![7, 8], value: 0.4, timestamp: 4 }],
            metadata: Some(v2::Metadata { r#type: 3, help_ref: 5, unit_ref: 6 }),
            ..Default::default()
        }],
    );
    assert!(rejections.is_empty(), "{rejections}");
    assert_eq!(batch.labels(SeriesIndex(0)).to_string(), r#"latency_bucket{le="0.5"}"#);
    let metadata = &batch.metadata[batch.series()[0].metadata.unwrap() as usize];
    assert_eq!((metadata.family.as_str(), metadata.kind), ("latency", MetricKind::Histogram));
    assert_eq!((metadata.help.as_str(), metadata.unit.as_str()), ("how long", "s"));
    assert_eq!(batch.exemplars[0].exemplar.labels.get("trace_id"), Some("not-hex"));
}

#[test]
fn series_of_one_family_share_its_metadata() {
    let row = |value_ref| v2::TimeSeries {
        labels_refs: vec![1, 2, 3, value_ref],
        samples: vec![v2::Sample::default()],
        metadata: Some(v2::Metadata { r#type: 1, help_ref: 6, unit_ref: 0 }),
        ..Default::default()
    };
    let symbols = ["", "__name__", "hits_total", "job", "a", "b", "how many"];
    let (batch, _) = decode_v2(&symbols, vec![row(4), row(5)]);
    assert_eq!(batch.metadata.len(), 1);
    assert_eq!(batch.series().iter().map(|series| series.metadata).collect::<Vec<_>>(), [Some(0), Some(0)]);
}

#[test]
fn references_that_lead_nowhere_are_refused() {
    let row = |labels_refs| v2::TimeSeries {
        labels_refs,
        samples: vec![v2::Sample::default()],
        ..Default::default()
    };
    let symbols = ["", "__name__", "up"];
    let (_, past_the_end) = decode_v2(&symbols, vec![row(vec![1, 3])]);
    assert_eq!(only_reason(&past_the_end), &Reason::NoSuchSymbol { reference: 3, symbols: 3 });
    let (_, odd) = decode_v2(&symbols, vec![row(vec![1, 2, 1])]);
    assert_eq!(only_reason(&odd), &Reason::OddReferences { len: 3 });
}

#[test]
fn a_series_that_mixes_kinds_is_refused_in_the_second_version_only() {
    let mixed = v2::TimeSeries {
        labels_refs: vec![1, 2],
        samples: vec![v2::Sample::default()],
        histograms: vec![v1::Histogram::default()],
        ..Default::default()
    };
    let (batch, rejections) = decode_v2(&["", "__name__", "up"], vec![mixed]);
    assert!(batch.is_empty());
    assert_eq!(only_reason(&rejections), &Reason::MixedKinds);

    let mut mixed = series(&[("__name__", "up")], 1.0);
    mixed.histograms.push(v1::Histogram::default());
    let (batch, rejections) = decode_v1(vec![mixed]);
    assert_eq!(batch.points(), 2);
    assert!(rejections.is_empty());
}

#[test]
fn a_symbols_table_starts_with_the_empty_string() {
    let request = v2::Request { symbols: vec![b"__name__".to_vec()], timeseries: vec![] };
    let error = decode(Message::V2, &snappy(&request.encode_to_vec())).unwrap_err();
    assert_eq!(error.status(), 400);
    assert!(error.to_string().contains("symbols table"), "{error}");
}

#[test]
fn an_invalid_histogram_costs_only_itself() {
    let valid = v1::Histogram {
        count: Some(v1::Count::Int(3)),
        sum: 4.0,
        schema: 1,
        zero_count: Some(v1::ZeroCount::Int(1)),
        positive_spans: vec![v1::BucketSpan { offset: 2, length: 2 }],
        positive_deltas: vec![1, 0],
        reset_hint: 2,
        timestamp: 7,
        ..Default::default()
    };
    let invalid = v1::Histogram { count: Some(v1::Count::Int(9)), ..valid.clone() };
    let mut both = series(&[("__name__", "latency")], 1.0);
    both.samples.clear();
    both.histograms = vec![valid, invalid];
    let (batch, rejections) = decode_v1(vec![both]);
    assert_eq!((batch.histograms.len(), rejections.histograms), (1, 1));
    assert!(matches!(only_reason(&rejections), Reason::Histogram(_)));
    let read = &batch.histograms[0];
    assert_eq!(read.ts, Timestamp::from_millis(7));
    assert_eq!(read.histogram.reset_hint, ResetHint::NotReset);
    assert_eq!(read.histogram.positive().collect::<Vec<_>>(), [(2, 1.0), (3, 1.0)]);
}

#[test]
fn a_histogram_finer_than_we_keep_is_reduced() {
    let mut fine = series(&[("__name__", "latency")], 1.0);
    fine.samples.clear();
    fine.histograms = vec![v1::Histogram {
        count: Some(v1::Count::Int(3)),
        schema: 9,
        positive_spans: vec![v1::BucketSpan { offset: 1, length: 3 }],
        positive_deltas: vec![1, 0, 0],
        ..Default::default()
    }];
    let (batch, rejections) = decode_v1(vec![fine]);
    assert!(rejections.is_empty(), "{rejections}");
    let histogram = &batch.histograms[0].histogram;
    assert_eq!(histogram.schema, 8);
    assert_eq!(histogram.positive().collect::<Vec<_>>(), [(1, 2.0), (2, 1.0)]);
}

#[test]
fn histograms_of_every_kind_survive_the_second_version() {
    let whole = Histogram {
        schema: 3,
        count: 6.0,
        sum: 2.5,
        zero_threshold: 1e-128,
        zero_count: 1.0,
        positive_spans: vec![BucketSpan { offset: -3, length: 2 }, BucketSpan { offset: 4, length: 1 }],
        positive_buckets: vec![1.0, 2.0, 1.0],
        negative_spans: vec![BucketSpan { offset: 0, length: 1 }],
        negative_buckets: vec![1.0],
        start: Some(Timestamp::from_millis(900)),
        ..Histogram::default()
    };
    let fractional =
        Histogram { is_float: true, zero_count: 0.25, reset_hint: ResetHint::Gauge, ..whole.clone() };
    let custom = Histogram {
        schema: CUSTOM_BOUNDS_SCHEMA,
        count: 3.0,
        sum: 4.0,
        positive_spans: vec![BucketSpan { offset: 0, length: 3 }],
        positive_buckets: vec![1.0, 0.0, 2.0],
        custom_bounds: vec![0.5, 1.0],
        ..Histogram::default()
    };
    let mut batch = MetricBatch::default();
    let series = batch.add_series([("__name__", "latency")]).unwrap();
    for (millis, histogram) in [(1_000, whole), (2_000, fractional), (3_000, custom)] {
        let ts = Timestamp::from_millis(millis);
        batch.histograms.push(SeriesHistogram { series, ts, histogram, delta: false });
    }
    let body = Encoder::default().encode(Message::V2, &batch);
    let (read, rejections) = decode(Message::V2, &body).unwrap();
    assert!(rejections.is_empty(), "{rejections}");
    assert_eq!(read.histograms, batch.histograms);
}

#[test]
fn trace_ids_of_exemplars_are_known_by_name() {
    let exemplar = Exemplar {
        ts: Timestamp::from_millis(1),
        value: 0.5,
        trace_id: Some("0af7651916cd43dd8448eb211c80319c".into()),
        span_id: Some("b7ad6b7169203331".into()),
        labels: Labels::new([("user", "u1")]).unwrap(),
    };
    let mut batch = MetricBatch::default();
    let series = batch.add_series([("__name__", "up")]).unwrap();
    batch.exemplars.push(kandela_model::SeriesExemplar { series, exemplar });
    for message in [Message::V1, Message::V2] {
        let (read, rejections) = decode(message, &Encoder::default().encode(message, &batch)).unwrap();
        assert!(rejections.is_empty(), "{rejections}");
        assert_eq!(read.exemplars, batch.exemplars);
    }
}

#[test]
fn a_decoder_is_used_again_without_traces_of_the_request_before() {
    let mut decoder = Decoder::new(Limits::default());
    let mut batch = MetricBatch::default();
    let large =
        v1::WriteRequest { timeseries: vec![series(&[("__name__", "up")], 1.0); 50], metadata: vec![] };
    let small = v1::WriteRequest { timeseries: vec![series(&[("__name__", "down")], 2.0)], metadata: vec![] };
    decoder.decode(Message::V1, &snappy(&large.encode_to_vec()), &mut batch).unwrap();
    decoder.decode(Message::V1, &snappy(&small.encode_to_vec()), &mut batch).unwrap();
    assert_eq!((batch.series().len(), batch.samples.len()), (1, 1));
    assert_eq!(batch.labels(SeriesIndex(0)).metric_name(), Some("down"));
}
