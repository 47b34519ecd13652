//! OTLP metrics as Prometheus' OTLP endpoint would take them in.

use std::collections::BTreeSet;

use kandela_ingest::otlp::metrics::{Options, Promote, decode, from_json};
use kandela_ingest::otlp::{Limits, Outcome, TranslationStrategy};
use kandela_model::{MetricBatch, MetricKind, Timestamp, is_stale};

const SHOP: &str = r#"{"key": "service.name", "value": {"stringValue": "shop"}}"#;

/// A request of one scope with these metrics, and resource attributes.
fn request(resource: &str, metrics: &str) -> String {
    format!(
        r#"{{"resourceMetrics": [{{"resource": {{"attributes": [{resource}]}}, "scopeMetrics": [
            {{"scope": {{"name": "shop.web", "version": "1.2"}}, "metrics": [{metrics}]}}]}}]}}"#
    )
}

fn read(json: &str, options: &Options) -> (MetricBatch, Outcome) {
    let mut batch = MetricBatch::default();
    let request = from_json(json.as_bytes()).expect("the test's JSON is a request");
    let outcome = decode(&request, options, &mut batch);
    (batch, outcome)
}

/// Samples as people write them: `name{labels} value @milliseconds`.
fn samples(batch: &MetricBatch) -> Vec<String> {
    let lines = batch.samples.iter().map(|sample| {
        let value = if is_stale(sample.value) { "stale".to_owned() } else { sample.value.to_string() };
        format!("{} {value} @{}", batch.labels(sample.series), sample.ts.millis())
    });
    lines.collect()
}

#[test]
fn a_gauge_keeps_its_attributes_as_labels() {
    let metric = r#"{"name": "queue.depth", "unit": "{messages}", "description": "waiting", "gauge": {"dataPoints": [
        {"timeUnixNano": "5000000", "asInt": "7", "attributes": [{"key": "queue.name", "value": {"stringValue": "orders"}}]}]}}"#;
    let (batch, outcome) = read(&request(SHOP, metric), &Options::default());
    assert_eq!(samples(&batch), [r#"queue_depth{job="shop", queue_name="orders"} 7 @5"#]);
    assert_eq!((outcome.accepted, outcome.rejected, outcome.message.as_str()), (1, 0, ""));
    let metadata = &batch.metadata[batch.series()[0].metadata.unwrap() as usize];
    assert_eq!(
        (metadata.family.as_str(), metadata.kind, metadata.help.as_str()),
        ("queue_depth", MetricKind::Gauge, "waiting")
    );
}

#[test]
fn a_cumulative_monotonic_sum_is_a_counter() {
    let metric = r#"{"name": "requests", "sum": {"isMonotonic": true, "aggregationTemporality": 2,
        "dataPoints": [{"timeUnixNano": 5000000, "asDouble": 1.5}]}}"#;
    let (batch, _) = read(&request(SHOP, metric), &Options::default());
    assert_eq!(samples(&batch), [r#"requests_total{job="shop"} 1.5 @5"#]);
    assert_eq!(batch.metadata[0].kind, MetricKind::Counter);
}

#[test]
fn a_delta_sum_is_an_increment() {
    let metric = r#"{"name": "requests", "sum": {"isMonotonic": true, "aggregationTemporality": "AGGREGATION_TEMPORALITY_DELTA",
        "dataPoints": [{"startTimeUnixNano": "1000", "timeUnixNano": "5000000", "asInt": "3"}]}}"#;
    let (batch, outcome) = read(&request(SHOP, metric), &Options::default());
    assert!(batch.samples.is_empty());
    let delta = batch.deltas[0];
    assert_eq!(
        (delta.start, delta.ts, delta.value),
        (Timestamp::from_micros(1), Timestamp::from_millis(5), 3.0)
    );
    assert_eq!(outcome.accepted, 1);
}

#[test]
fn a_sum_without_temporality_is_refused_and_the_rest_taken() {
    let metrics = r#"{"name": "bad", "sum": {"dataPoints": [{"timeUnixNano": 5000000, "asInt": 3}]}},
        {"name": "good", "gauge": {"dataPoints": [{"timeUnixNano": 5000000, "asInt": 3}]}}"#;
    let (batch, outcome) = read(&request(SHOP, metrics), &Options::default());
    assert_eq!(samples(&batch), [r#"good{job="shop"} 3 @5"#]);
    assert_eq!((outcome.accepted, outcome.rejected), (1, 1));
    assert_eq!(outcome.message, "1× aggregation temporality 0 is neither delta nor cumulative");
}

#[test]
fn service_attributes_become_job_and_instance_and_the_others_target_info() {
    let resource = r#"{"key": "service.name", "value": {"stringValue": "shop"}},
        {"key": "service.namespace", "value": {"stringValue": "eu"}},
        {"key": "service.instance.id", "value": {"stringValue": "i-1"}},
        {"key": "host.name", "value": {"stringValue": "node7"}}"#;
    let metric = r#"{"name": "up", "gauge": {"dataPoints": [{"timeUnixNano": 5000000, "asInt": 1}]}}"#;
    let (batch, outcome) = read(&request(resource, metric), &Options::default());
    assert_eq!(
        samples(&batch),
        [
            r#"up{instance="i-1", job="eu/shop"} 1 @5"#,
            r#"target_info{host_name="node7", instance="i-1", job="eu/shop"} 1 @5"#,
        ]
    );
    assert_eq!(outcome.accepted, 1, "target_info is ours, not a data point that came");

    let keep = Options { keep_identifying_resource_attributes: true, ..Options::default() };
    let (batch, _) = read(&request(resource, metric), &keep);
    assert!(samples(&batch)[1].contains(r#"service_name="shop""#));
}

#[test]
fn target_info_covers_the_time_that_a_request_spans() {
    let resource = format!(r#"{SHOP}, {{"key": "host.name", "value": {{"stringValue": "n"}}}}"#);
    let point = |seconds: u64| format!(r#"{{"timeUnixNano": {}, "asInt": 1}}"#, seconds * 1_000_000_000);
    let spanning = |from, to| {
        let metric =
            format!(r#"{{"name": "up", "gauge": {{"dataPoints": [{}, {}]}}}}"#, point(from), point(to));
        let (batch, _) = read(&request(&resource, &metric), &Options::default());
        samples(&batch).into_iter().filter(|line| line.starts_with("target_info")).collect::<Vec<_>>()
    };
    assert_eq!(spanning(1_000, 1_400).len(), 3);
    assert_eq!(spanning(1, 1_700_000_000).len(), 100, "a clock that is wrong must not flood the store");
}

#[test]
fn chosen_resource_attributes_become_labels_of_every_series() {
    let resource = format!(r#"{SHOP}, {{"key": "k8s.pod", "value": {{"stringValue": "p1"}}}}"#);
    let metric = r#"{"name": "up", "gauge": {"dataPoints": [{"timeUnixNano": 5000000, "asInt": 1}]}}"#;
    let only = Promote::Only(BTreeSet::from(["k8s.pod".to_owned()]));
    let options = Options { promote_resource_attributes: only, ..Options::default() };
    let (batch, _) = read(&request(&resource, metric), &options);
    assert_eq!(samples(&batch)[0], r#"up{job="shop", k8s_pod="p1"} 1 @5"#);

    let all_but = Promote::AllBut(BTreeSet::from(["service.name".to_owned()]));
    let options = Options { promote_resource_attributes: all_but, ..Options::default() };
    let (batch, _) = read(&request(&resource, metric), &options);
    assert_eq!(samples(&batch)[0], r#"up{job="shop", k8s_pod="p1"} 1 @5"#);
}

#[test]
fn the_scope_becomes_labels_when_asked() {
    let metric = r#"{"name": "up", "gauge": {"dataPoints": [{"timeUnixNano": 5000000, "asInt": 1}]}}"#;
    let options = Options { promote_scope_metadata: true, ..Options::default() };
    let (batch, _) = read(&request(SHOP, metric), &options);
    assert_eq!(
        samples(&batch),
        [r#"up{job="shop", otel_scope_name="shop.web", otel_scope_version="1.2"} 1 @5"#]
    );
}

#[test]
fn attributes_that_collide_once_escaped_join_their_values() {
    let metric = r#"{"name": "up", "gauge": {"dataPoints": [{"timeUnixNano": 5000000, "asInt": 1, "attributes": [
        {"key": "a_b", "value": {"stringValue": "second"}}, {"key": "a.b", "value": {"stringValue": "first"}}]}]}}"#;
    let (batch, _) = read(&request(SHOP, metric), &Options::default());
    assert_eq!(samples(&batch), [r#"up{a_b="first;second", job="shop"} 1 @5"#]);
}

#[test]
fn names_stay_as_they_are_without_translation() {
    let metric = r#"{"name": "http.requests", "unit": "s", "sum": {"isMonotonic": true, "aggregationTemporality": 2,
        "dataPoints": [{"timeUnixNano": 5000000, "asInt": 1, "attributes": [{"key": "a.b", "value": {"boolValue": true}}]}]}}"#;
    let options = Options { translation_strategy: TranslationStrategy::NoTranslation, ..Options::default() };
    let (batch, _) = read(&request(SHOP, metric), &options);
    assert_eq!(samples(&batch), [r#"http.requests{a.b="true", job="shop"} 1 @5"#]);
}

const HISTOGRAM_POINT: &str = r#""startTimeUnixNano": 1000000, "timeUnixNano": 5000000, "count": "6", "sum": 4.5,
    "bucketCounts": ["1", 2, "3"], "explicitBounds": [0.5, 1], "exemplars": [
        {"timeUnixNano": 4000000, "asDouble": 0.7, "traceId": "0AF7651916CD43DD8448EB211C80319C", "spanId": "b7ad6b7169203331"}]"#;

fn histogram(temporality: u8) -> String {
    format!(
        r#"{{"name": "latency", "unit": "s", "histogram": {{"aggregationTemporality": {temporality},
            "dataPoints": [{{{HISTOGRAM_POINT}}}]}}}}"#
    )
}

#[test]
fn explicit_buckets_become_classic_series() {
    let (batch, outcome) = read(&request(SHOP, &histogram(2)), &Options::default());
    assert_eq!(
        samples(&batch),
        [
            r#"latency_seconds_sum{job="shop"} 4.5 @5"#,
            r#"latency_seconds_count{job="shop"} 6 @5"#,
            r#"latency_seconds_bucket{job="shop", le="0.5"} 1 @5"#,
            r#"latency_seconds_bucket{job="shop", le="1"} 3 @5"#,
            r#"latency_seconds_bucket{job="shop", le="+Inf"} 6 @5"#,
        ]
    );
    assert_eq!(outcome.accepted, 1);
    let exemplar = &batch.exemplars[0];
    assert_eq!(batch.labels(exemplar.series).get("le"), Some("1"));
    assert_eq!(exemplar.exemplar.trace_id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
}

#[test]
fn delta_buckets_become_increments_that_count_upwards() {
    let (batch, _) = read(&request(SHOP, &histogram(1)), &Options::default());
    assert!(batch.samples.is_empty());
    assert_eq!(batch.deltas.iter().map(|delta| delta.value).collect::<Vec<_>>(), [4.5, 6.0, 1.0, 3.0, 6.0]);
}

#[test]
fn explicit_buckets_become_one_histogram_with_custom_buckets_when_asked() {
    let options = Options { convert_histograms_to_nhcb: true, ..Options::default() };
    for (temporality, delta) in [(2, false), (1, true)] {
        let (batch, _) = read(&request(SHOP, &histogram(temporality)), &options);
        let read = &batch.histograms[0];
        assert_eq!(read.delta, delta);
        assert_eq!(batch.labels(read.series).to_string(), r#"latency_seconds{job="shop"}"#);
        assert_eq!(read.histogram.custom_bounds, [0.5, 1.0]);
        assert_eq!(read.histogram.positive().collect::<Vec<_>>(), [(0, 1.0), (1, 2.0), (2, 3.0)]);
        assert_eq!(read.histogram.start, Some(Timestamp::from_millis(1)));
        assert_eq!(read.histogram.validate(), Ok(()));
    }
}

#[test]
fn buckets_that_do_not_fit_their_bounds_are_refused() {
    let metric = r#"{"name": "latency", "histogram": {"aggregationTemporality": 2, "dataPoints": [
        {"timeUnixNano": 5000000, "count": 1, "bucketCounts": [1, 0], "explicitBounds": [1, 2]},
        {"timeUnixNano": 5000000, "count": 1, "bucketCounts": [1, 0, 0], "explicitBounds": [2, 1]}]}}"#;
    let (batch, outcome) = read(&request(SHOP, metric), &Options::default());
    assert!(batch.samples.is_empty());
    assert_eq!(outcome.rejected, 2);
    assert!(outcome.message.contains("one more bucket"), "{}", outcome.message);
    assert!(outcome.message.contains("ascending"), "{}", outcome.message);
}

#[test]
fn an_exponential_histogram_is_a_native_one_with_indexes_by_upper_bound() {
    let metric = r#"{"name": "latency", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [
        {"timeUnixNano": 5000000, "count": 10, "sum": 3, "scale": 2, "zeroCount": 1, "zeroThreshold": 0.001,
         "positive": {"offset": -1, "bucketCounts": [2, 0, "3"]}, "negative": {"offset": 4, "bucketCounts": [4]}}]}}"#;
    let (batch, outcome) = read(&request(SHOP, metric), &Options::default());
    assert_eq!(outcome.rejected, 0, "{}", outcome.message);
    let histogram = &batch.histograms[0].histogram;
    assert_eq!((histogram.schema, histogram.zero_threshold, histogram.zero_count), (2, 0.001, 1.0));
    assert_eq!(histogram.positive().collect::<Vec<_>>(), [(0, 2.0), (2, 3.0)]);
    assert_eq!(histogram.negative().collect::<Vec<_>>(), [(5, 4.0)]);
}

#[test]
fn an_exponential_histogram_finer_than_we_keep_is_reduced() {
    let metric = r#"{"name": "latency", "exponentialHistogram": {"aggregationTemporality": 1, "dataPoints": [
        {"timeUnixNano": 5000000, "count": 10, "scale": 10, "positive": {"offset": -3, "bucketCounts": [1, 2, 3, 4]}}]}}"#;
    let (batch, outcome) = read(&request(SHOP, metric), &Options::default());
    assert_eq!(outcome.rejected, 0, "{}", outcome.message);
    let read = &batch.histograms[0];
    // OpenTelemetry's -3, -2, -1 and 0 at scale 10 are -1 and 0 at scale 8, which are Prometheus' 0 and 1.
    assert_eq!((read.histogram.schema, read.delta), (8, true));
    assert_eq!(read.histogram.positive().collect::<Vec<_>>(), [(0, 6.0), (1, 4.0)]);
}

#[test]
fn an_exponential_histogram_that_is_too_coarse_or_does_not_add_up_is_refused() {
    let metric = r#"{"name": "latency", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [
        {"timeUnixNano": 5000000, "count": 0, "scale": -5}, {"timeUnixNano": 5000000, "count": 3, "scale": 0}]}}"#;
    let (batch, outcome) = read(&request(SHOP, metric), &Options::default());
    assert!(batch.histograms.is_empty());
    assert_eq!(outcome.rejected, 2);
}

#[test]
fn a_summary_becomes_its_quantiles_sum_and_count() {
    let metric = r#"{"name": "latency", "summary": {"dataPoints": [{"timeUnixNano": 5000000, "count": 4, "sum": 2.5,
        "quantileValues": [{"quantile": 0.5, "value": 0.25}, {"quantile": 0.99, "value": "NaN"}]}]}}"#;
    let (batch, _) = read(&request(SHOP, metric), &Options::default());
    assert_eq!(
        samples(&batch),
        [
            r#"latency_sum{job="shop"} 2.5 @5"#,
            r#"latency_count{job="shop"} 4 @5"#,
            r#"latency{job="shop", quantile="0.5"} 0.25 @5"#,
            r#"latency{job="shop", quantile="0.99"} NaN @5"#,
        ]
    );
}

#[test]
fn a_point_without_recorded_value_ends_its_series() {
    let metrics = r#"{"name": "a", "gauge": {"dataPoints": [{"timeUnixNano": 5000000, "flags": 1}]}},
        {"name": "b", "sum": {"aggregationTemporality": 1, "dataPoints": [{"timeUnixNano": 5000000, "flags": 1}]}},
        {"name": "c", "exponentialHistogram": {"aggregationTemporality": 1, "dataPoints": [{"timeUnixNano": 5000000, "flags": 1}]}}"#;
    let (batch, outcome) = read(&request(SHOP, metrics), &Options::default());
    assert_eq!(outcome.rejected, 0, "{}", outcome.message);
    assert_eq!(samples(&batch), [r#"a{job="shop"} stale @5"#, r#"b{job="shop"} stale @5"#]);
    assert!(batch.deltas.is_empty());
    assert!(batch.histograms[0].histogram.is_stale() && !batch.histograms[0].delta);
}

#[test]
fn points_without_time_or_value_are_refused() {
    let metric = r#"{"name": "a", "gauge": {"dataPoints": [{"asInt": 1}, {"timeUnixNano": 5000000}]}}"#;
    let (batch, outcome) = read(&request(SHOP, metric), &Options::default());
    assert!(batch.samples.is_empty());
    assert_eq!(outcome.message, "1× a data point has no time; 1× a data point has no value");
}

#[test]
fn long_resource_attributes_cannot_multiply_without_bound() {
    let resource =
        format!(r#"{{"key": "service.name", "value": {{"stringValue": "{}"}}}}"#, "x".repeat(10_000));
    let point = r#"{"timeUnixNano": 5000000, "asInt": 1}"#;
    let points = vec![point; 1_000].join(",");
    let metric = format!(r#"{{"name": "a", "gauge": {{"dataPoints": [{points}]}}}}"#);
    let limits = Limits { batch_bytes: 1 << 20, ..Limits::default() };
    let (batch, outcome) = read(&request(&resource, &metric), &Options { limits, ..Options::default() });
    assert_eq!(batch.samples.len(), 104);
    assert_eq!((outcome.accepted, outcome.rejected), (104, 896));
    assert!(outcome.message.contains("limit batch_bytes of 1048576"), "{}", outcome.message);
}

#[test]
fn too_many_attributes_cost_only_their_point() {
    let many: Vec<String> =
        (0..5).map(|i| format!(r#"{{"key": "k{i}", "value": {{"intValue": {i}}}}}"#)).collect();
    let metric = format!(
        r#"{{"name": "a", "gauge": {{"dataPoints": [{{"timeUnixNano": 5000000, "asInt": 1, "attributes": [{}]}},
            {{"timeUnixNano": 5000000, "asInt": 2}}]}}}}"#,
        many.join(",")
    );
    let limits = Limits { attributes_per_item: 4, ..Limits::default() };
    let (batch, outcome) = read(&request(SHOP, &metric), &Options { limits, ..Options::default() });
    assert_eq!(samples(&batch), [r#"a{job="shop"} 2 @5"#]);
    assert_eq!(outcome.message, "1× 5 attributes are over the limit attributes_per_item of 4");
}
