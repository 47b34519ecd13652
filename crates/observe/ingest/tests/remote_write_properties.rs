//! Laws of remote write: prost reads every message as we do, what we write we read, and no bytes make us panic.

mod prompb;

use std::collections::BTreeMap;

use kandela_ingest::remote_write::{Decoder, Encoder, Limits, Message, read};
use kandela_model::{
    CUSTOM_BOUNDS_SCHEMA, Exemplar, Histogram, Labels, Metadata, MetricBatch, MetricKind, ResetHint,
    SeriesExemplar, SeriesHistogram, SeriesIndex, Timestamp,
};
use prompb::{v1, v2};
use proptest::prelude::*;
use prost::Message as _;

fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).expect("it compresses")
}

/// What a batch says, whatever the order and the number of the series that say it.
fn contents(batch: &MetricBatch) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut say = |series: SeriesIndex, what: String| {
        all.entry(batch.labels(series).to_string()).or_default().push(what);
    };
    for sample in &batch.samples {
        say(sample.series, format!("sample {} {:x}", sample.ts.micros(), sample.value.to_bits()));
    }
    for entry in &batch.histograms {
        say(entry.series, format!("histogram {} {:?}", entry.ts.micros(), entry.histogram));
    }
    for entry in &batch.exemplars {
        say(entry.series, format!("exemplar {:?}", entry.exemplar));
    }
    all
}

fn labels() -> impl Strategy<Value = Labels> {
    let others = proptest::collection::btree_map("[a-z_]{1,140}", ".{1,140}", 0..6);
    (others, ".{1,20}").prop_map(|(mut labels, name)| {
        labels.insert("__name__".to_owned(), name);
        Labels::new(&labels).expect("a map's keys are unique")
    })
}

fn millis() -> impl Strategy<Value = Timestamp> {
    (-1_000_000_000_000i64..4_000_000_000_000).prop_map(Timestamp::from_millis)
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), Just(kandela_model::STALE_NAN), Just(0.0), Just(-0.0)]
}

fn native() -> impl Strategy<Value = Histogram> {
    let side = || proptest::collection::btree_map(-40i64..40, 1u32..1_000, 0..8);
    let hints = prop_oneof![
        Just(ResetHint::Unknown),
        Just(ResetHint::Reset),
        Just(ResetHint::NotReset),
        Just(ResetHint::Gauge)
    ];
    (-4i8..=8, side(), side(), 0u32..10, -1e9f64..1e9, hints, any::<bool>()).prop_map(
        |(schema, positive, negative, zero_count, sum, reset_hint, is_float)| {
            let scale = if is_float { 0.5 } else { 1.0 };
            let total: u32 = positive.values().chain(negative.values()).sum::<u32>() + zero_count;
            let side = |side: &BTreeMap<i64, u32>| {
                side.iter().map(|(index, count)| (*index, f64::from(*count) * scale)).collect()
            };
            let mut histogram = Histogram {
                schema,
                count: f64::from(total) * scale,
                sum,
                zero_threshold: 1e-128,
                zero_count: f64::from(zero_count) * scale,
                reset_hint,
                is_float,
                ..Histogram::default()
            };
            histogram.set_positive(&side(&positive));
            histogram.set_negative(&side(&negative));
            histogram
        },
    )
}

fn custom() -> impl Strategy<Value = Histogram> {
    proptest::collection::vec(0u32..100, 1..8).prop_map(|counts| {
        let mut histogram = Histogram {
            schema: CUSTOM_BOUNDS_SCHEMA,
            count: counts.iter().map(|count| f64::from(*count)).sum(),
            sum: 12.5,
            custom_bounds: (1..counts.len()).map(|bound| bound as f64).collect(),
            ..Histogram::default()
        };
        histogram.set_positive(&(0..).zip(counts.iter().map(|count| f64::from(*count))).collect());
        histogram
    })
}

fn exemplar() -> impl Strategy<Value = Exemplar> {
    let hex = |len: usize| {
        proptest::option::of(
            proptest::string::string_regex(&format!("[0-9a-f]{{{len}}}")).expect("a pattern"),
        )
    };
    let others = proptest::collection::btree_map("[a-r]{1,10}", ".{1,20}", 0..3);
    (millis(), value(), hex(32), hex(16), others).prop_map(|(ts, value, trace_id, span_id, others)| {
        Exemplar {
            ts,
            value,
            trace_id,
            span_id,
            labels: Labels::new(&others).expect("a map's keys are unique"),
        }
    })
}

#[derive(Clone, Debug)]
enum Points {
    Floats(Vec<(Timestamp, f64)>),
    Histograms(Vec<(Timestamp, Histogram)>),
}

fn points() -> impl Strategy<Value = Points> {
    let histogram = prop_oneof![native(), custom()];
    prop_oneof![
        proptest::collection::vec((millis(), value()), 1..4).prop_map(Points::Floats),
        proptest::collection::vec((millis(), histogram), 1..3).prop_map(Points::Histograms),
    ]
}

fn batches() -> impl Strategy<Value = MetricBatch> {
    let exemplars = proptest::collection::vec(exemplar(), 0..3);
    proptest::collection::vec((labels(), points(), exemplars), 0..6).prop_map(|all| {
        let mut batch = MetricBatch::default();
        for (labels, points, exemplars) in all {
            let series = batch.add_canonical(labels.as_ref());
            match points {
                Points::Floats(samples) => {
                    for (ts, value) in samples {
                        batch.add_sample(series, ts, value);
                    }
                }
                Points::Histograms(histograms) => {
                    for (ts, histogram) in histograms {
                        batch.histograms.push(SeriesHistogram { series, ts, histogram, delta: false });
                    }
                }
            }
            batch.exemplars.extend(exemplars.into_iter().map(|exemplar| SeriesExemplar { series, exemplar }));
        }
        batch
    })
}

fn small_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"__name__".to_vec()),
        "[a-c]{0,2}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..3),
        ".{130,140}".prop_map(String::into_bytes),
    ]
}

fn wire_histogram() -> impl Strategy<Value = v1::Histogram> {
    let spans = || {
        proptest::collection::vec(
            (any::<i32>(), 0u32..5).prop_map(|(offset, length)| v1::BucketSpan { offset, length }),
            0..3,
        )
    };
    let deltas = || proptest::collection::vec(any::<i64>(), 0..4);
    let counts = || proptest::collection::vec(any::<f64>(), 0..4);
    let count = proptest::option::of(prop_oneof![
        any::<u64>().prop_map(v1::Count::Int),
        any::<f64>().prop_map(v1::Count::Float)
    ]);
    let zero = proptest::option::of(prop_oneof![
        any::<u64>().prop_map(v1::ZeroCount::Int),
        any::<f64>().prop_map(v1::ZeroCount::Float)
    ]);
    (
        (count, zero, any::<f64>(), -60i32..60, any::<f64>()),
        (spans(), deltas(), counts()),
        (spans(), deltas(), counts()),
        (any::<i32>(), any::<i64>(), counts(), any::<i64>()),
    )
        .prop_map(
            |(
                (count, zero_count, sum, schema, zero_threshold),
                negative,
                positive,
                (reset_hint, timestamp, custom_values, start_timestamp),
            )| v1::Histogram {
                count,
                sum,
                schema,
                zero_threshold,
                zero_count,
                negative_spans: negative.0,
                negative_deltas: negative.1,
                negative_counts: negative.2,
                positive_spans: positive.0,
                positive_deltas: positive.1,
                positive_counts: positive.2,
                reset_hint,
                timestamp,
                custom_values,
                start_timestamp,
            },
        )
}

fn wire_series() -> impl Strategy<Value = v1::TimeSeries> {
    let label = || (small_text(), small_text()).prop_map(|(name, value)| v1::Label { name, value });
    let sample = (any::<f64>(), any::<i64>()).prop_map(|(value, timestamp)| v1::Sample { value, timestamp });
    let exemplar = (proptest::collection::vec(label(), 0..3), any::<f64>(), any::<i64>())
        .prop_map(|(labels, value, timestamp)| v1::Exemplar { labels, value, timestamp });
    (
        proptest::collection::vec(label(), 0..4),
        proptest::collection::vec(sample, 0..3),
        proptest::collection::vec(exemplar, 0..2),
        proptest::collection::vec(wire_histogram(), 0..2),
    )
        .prop_map(|(labels, samples, exemplars, histograms)| v1::TimeSeries {
            labels,
            samples,
            exemplars,
            histograms,
        })
}

fn wire_request() -> impl Strategy<Value = v1::WriteRequest> {
    let metadata =
        (-1i32..9, "[a-z]{0,5}", "[a-z ]{0,5}", "[a-z]{0,3}").prop_map(|(kind, family, help, unit)| {
            v1::MetricMetadata {
                r#type: kind,
                metric_family_name: family.into_bytes(),
                help: help.into_bytes(),
                unit: unit.into_bytes(),
            }
        });
    (proptest::collection::vec(wire_series(), 0..4), proptest::collection::vec(metadata, 0..3))
        .prop_map(|(timeseries, metadata)| v1::WriteRequest { timeseries, metadata })
}

/// The labels that a series of the wire has by the specification; `None` where they are no label set.
fn expected_labels(series: &v1::TimeSeries) -> Option<Labels> {
    if series.labels.iter().any(|label| label.name.is_empty()) {
        return None;
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let kept = series.labels.iter().filter(|label| !label.value.is_empty());
    let pairs =
        kept.map(|label| Some((text(&label.name)?, text(&label.value)?))).collect::<Option<Vec<_>>>()?;
    Labels::new(pairs).ok().filter(|labels| labels.get("__name__").is_some())
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same(batch in batches()) {
        for message in [Message::V1, Message::V2] {
            let body = Encoder::default().encode(message, &batch);
            let mut read = MetricBatch::default();
            let rejections = Decoder::new(Limits::default()).decode(message, &body, &mut read).unwrap();
            prop_assert!(rejections.is_empty(), "{}", rejections);
            prop_assert_eq!(contents(&read), contents(&batch));
        }
    }

    #[test]
    fn points_out_of_order_are_sent_with_their_series(batch in batches(), seed: u64) {
        let mut shuffled = batch.clone();
        let mut state = seed;
        shuffled.samples.sort_by_key(|sample| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (sample.ts, state)
        });
        let body = Encoder::default().encode(Message::V2, &shuffled);
        let mut read = MetricBatch::default();
        Decoder::new(Limits::default()).decode(Message::V2, &body, &mut read).unwrap();
        prop_assert_eq!(contents(&read), contents(&shuffled));
    }

    #[test]
    fn every_message_reads_as_prost_reads_it(request in wire_request()) {
        let bytes = request.encode_to_vec();
        // prost writes no field for negative zero, so what counts is what it reads back.
        let request = v1::WriteRequest::decode(bytes.as_slice()).unwrap();
        let mut batch = MetricBatch::default();
        Decoder::new(Limits::default()).decode(Message::V1, &snappy(&bytes), &mut batch).unwrap();
        let mut expected: Vec<(String, i64, u64)> = Vec::new();
        for series in &request.timeseries {
            if let Some(labels) = expected_labels(series) {
                let samples = series.samples.iter();
                expected.extend(samples.map(|s| (labels.to_string(), Timestamp::from_millis(s.timestamp).micros(), s.value.to_bits())));
            }
        }
        let read = batch.samples.iter().map(|s| (batch.labels(s.series).to_string(), s.ts.micros(), s.value.to_bits()));
        prop_assert_eq!(read.collect::<Vec<_>>(), expected);
        prop_assert_eq!(batch.metadata.len(), request.metadata.len());
        for (read, sent) in batch.metadata.iter().zip(&request.metadata) {
            prop_assert_eq!(read.family.as_bytes(), &sent.metric_family_name);
            prop_assert_eq!(read.kind == MetricKind::Counter, sent.r#type == 1);
        }
        for entry in &batch.histograms {
            prop_assert_eq!(entry.histogram.validate(), Ok(()));
        }
    }

    #[test]
    fn a_message_is_refused_exactly_when_prost_refuses_it(
        request in wire_request(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = request.encode_to_vec();
        prop_assume!(!bytes.is_empty());
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let ours = Decoder::new(Limits::default()).decode(Message::V1, &snappy(&bytes), &mut MetricBatch::default());
        let theirs = v1::WriteRequest::decode(bytes.as_slice());
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs);
    }

    #[test]
    fn the_second_version_reads_as_prost_reads_it(
        symbols in proptest::collection::vec(small_text(), 0..6),
        rows in proptest::collection::vec((proptest::collection::vec(0u32..8, 0..6), any::<f64>(), any::<i64>()), 0..4),
    ) {
        let mut table = vec![Vec::new()];
        table.extend(symbols);
        let timeseries = rows.into_iter().map(|(labels_refs, value, timestamp)| v2::TimeSeries {
            labels_refs,
            samples: vec![v2::Sample { value, timestamp, start_timestamp: 0 }],
            ..Default::default()
        });
        let request = v2::Request { symbols: table, timeseries: timeseries.collect() };
        let bytes = request.encode_to_vec();
        let request = v2::Request::decode(bytes.as_slice()).unwrap();
        let mut batch = MetricBatch::default();
        Decoder::new(Limits::default()).decode(Message::V2, &snappy(&bytes), &mut batch).unwrap();
        let mut expected = Vec::new();
        for row in &request.timeseries {
            let symbol = |reference: u32| request.symbols.get(reference as usize).cloned();
            let pairs = row.labels_refs.chunks(2).map(|pair| match pair {
                [name, value] => Some(v1::Label { name: symbol(*name)?, value: symbol(*value)? }),
                _ => None,
            });
            let labels = pairs.collect::<Option<Vec<_>>>();
            let labels = labels.and_then(|labels| expected_labels(&v1::TimeSeries { labels, ..Default::default() }));
            if let Some(labels) = labels {
                expected.push((labels.to_string(), row.samples[0].value.to_bits()));
            }
        }
        let read = batch.samples.iter().map(|s| (batch.labels(s.series).to_string(), s.value.to_bits()));
        prop_assert_eq!(read.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut decoder = Decoder::new(Limits { decompressed_bytes: 1 << 16, batch_bytes: 1 << 20 });
        let mut batch = MetricBatch::default();
        for body in [bytes.clone(), snappy(&bytes)] {
            let _ = decoder.decode(Message::V1, &body, &mut batch);
            let _ = decoder.decode(Message::V2, &body, &mut batch);
            let _ = read::decode_samples(&mut decoder, &body, &mut batch);
        }
        let mut frames = read::Frames::default();
        frames.push(&bytes);
        let _ = frames.next_frame();
        let _ = read::decode_chunks(&bytes, |_| true, &mut batch);
    }
}

#[test]
fn metadata_go_out_with_their_series_or_on_their_own() {
    let mut batch = MetricBatch::default();
    let series = batch.add_series([("__name__", "hits_total")]).unwrap();
    batch.add_sample(series, Timestamp::from_millis(1), 1.0);
    let metadata = Metadata {
        family: "hits_total".into(),
        kind: MetricKind::Counter,
        unit: "hits".into(),
        help: "how many".into(),
    };
    batch.metadata.push(metadata);
    batch.describe(series, 0);
    for message in [Message::V1, Message::V2] {
        let mut read = MetricBatch::default();
        let body = Encoder::default().encode(message, &batch);
        Decoder::new(Limits::default()).decode(message, &body, &mut read).unwrap();
        assert_eq!(read.metadata, batch.metadata);
    }
}
