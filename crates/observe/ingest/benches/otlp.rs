//! Cost of taking in OTLP: requests of 5,000 items from the bytes of protobuf or JSON to values of the model.
//!
//! `cargo bench -p kandela-ingest --bench otlp`; nanoseconds an item are the time divided by 5,000.

use divan::Bencher;
use divan::counter::ItemsCount;
use kandela_ingest::otlp::{Limits, logs, metrics, traces};
use kandela_model::MetricBatch;
use prost::Message;

const ITEMS: usize = 5_000;

fn main() {
    divan::main();
}

const RESOURCE: &str = r#""resource": {"attributes": [
    {"key": "service.name", "value": {"stringValue": "checkout"}},
    {"key": "service.namespace", "value": {"stringValue": "shop"}},
    {"key": "service.instance.id", "value": {"stringValue": "627cc493-f310-47de-96bd-71410b7dec09"}},
    {"key": "host.name", "value": {"stringValue": "node-7"}},
    {"key": "telemetry.sdk.language", "value": {"stringValue": "rust"}}]}"#;

/// Six attributes, as instrumentation of an HTTP server sets them.
fn attributes(i: usize) -> String {
    format!(
        r#"[{{"key": "http.request.method", "value": {{"stringValue": "GET"}}}},
        {{"key": "http.route", "value": {{"stringValue": "/cart/{{id}}/items/{}"}}}},
        {{"key": "http.response.status_code", "value": {{"intValue": "200"}}}},
        {{"key": "url.scheme", "value": {{"stringValue": "https"}}}},
        {{"key": "server.address", "value": {{"stringValue": "10.0.{}.{}"}}}},
        {{"key": "user_agent.original", "value": {{"stringValue": "curl/8.5.0"}}}}]"#,
        i % 50,
        i / 250,
        i % 250
    )
}

fn list(item: impl Fn(usize) -> String) -> String {
    (0..ITEMS).map(item).collect::<Vec<_>>().join(",")
}

fn metrics_json() -> String {
    let points = list(|i| {
        let attributes = attributes(i);
        format!(r#"{{"timeUnixNano": "1700000000000000000", "asDouble": {i}.5, "attributes": {attributes}}}"#)
    });
    format!(
        r#"{{"resourceMetrics": [{{{RESOURCE}, "scopeMetrics": [{{"metrics": [{{"name": "http.server.active_requests",
        "unit": "{{requests}}", "sum": {{"aggregationTemporality": 2, "dataPoints": [{points}]}}}}]}}]}}]}}"#
    )
}

fn traces_json() -> String {
    let spans = list(|i| {
        let attributes = attributes(i);
        format!(
            r#"{{"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "{:016x}", "parentSpanId": "eee19b7ec3c1b173",
            "name": "GET /cart/{{id}}", "kind": 2, "startTimeUnixNano": "1700000000000000000",
            "endTimeUnixNano": "1700000000001000000", "attributes": {attributes}}}"#,
            i + 1
        )
    });
    format!(r#"{{"resourceSpans": [{{{RESOURCE}, "scopeSpans": [{{"spans": [{spans}]}}]}}]}}"#)
}

fn logs_json() -> String {
    let records = list(|i| {
        let attributes = attributes(i);
        format!(
            r#"{{"timeUnixNano": "1700000000000000000", "severityNumber": 9,
            "body": {{"stringValue": "request {i} served"}}, "attributes": {attributes}}}"#
        )
    });
    format!(r#"{{"resourceLogs": [{{{RESOURCE}, "scopeLogs": [{{"logRecords": [{records}]}}]}}]}}"#)
}

#[divan::bench]
fn metrics_protobuf(bencher: Bencher<'_, '_>) {
    let request = metrics::from_json(metrics_json().as_bytes()).expect("the benchmark's JSON is a request");
    let bytes = request.encode_to_vec();
    let options = metrics::Options::default();
    let mut batch = MetricBatch::default();
    bencher.counter(ItemsCount::new(ITEMS)).bench_local(move || {
        batch.clear();
        let request = metrics::from_protobuf(&bytes).expect("the benchmark's bytes are a request");
        let outcome = metrics::decode(&request, &options, &mut batch);
        assert_eq!(outcome.accepted as usize, ITEMS);
    });
}

#[divan::bench]
fn traces_protobuf(bencher: Bencher<'_, '_>) {
    let request = traces::from_json(traces_json().as_bytes()).expect("the benchmark's JSON is a request");
    let bytes = request.encode_to_vec();
    bencher.counter(ItemsCount::new(ITEMS)).bench_local(move || {
        let request = traces::from_protobuf(&bytes).expect("the benchmark's bytes are a request");
        traces::decode(request, &Limits::default())
    });
}

#[divan::bench]
fn logs_protobuf(bencher: Bencher<'_, '_>) {
    let request = logs::from_json(logs_json().as_bytes()).expect("the benchmark's JSON is a request");
    let bytes = request.encode_to_vec();
    bencher.counter(ItemsCount::new(ITEMS)).bench_local(move || {
        let request = logs::from_protobuf(&bytes).expect("the benchmark's bytes are a request");
        logs::decode(request, &Limits::default())
    });
}

#[divan::bench]
fn logs_from_json(bencher: Bencher<'_, '_>) {
    let json = logs_json();
    bencher.counter(ItemsCount::new(ITEMS)).bench_local(move || {
        let request = logs::from_json(json.as_bytes()).expect("the benchmark's JSON is a request");
        logs::decode(request, &Limits::default())
    });
}
