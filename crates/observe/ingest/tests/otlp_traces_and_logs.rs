//! OTLP spans and log records, and the JSON that they may come in.

use kandela_ingest::otlp::{Limits, OtlpError, logs, metrics, traces};
use kandela_model::{SpanKind, StatusCode, Value};
use proptest::prelude::*;
use prost::Message;

const TRACE: &str = "5b8efff798038103d269b633813fc60c";

fn span(fields: &str) -> String {
    format!(
        r#"{{"resourceSpans": [{{"resource": {{"attributes": [
            {{"key": "service.name", "value": {{"stringValue": "checkout"}}}},
            {{"key": "process.pid", "value": {{"intValue": "42"}}}}]}},
            "scopeSpans": [{{"scope": {{"name": "http", "version": "2"}}, "spans": [{{{fields}}}]}}]}}]}}"#
    )
}

fn log(fields: &str) -> String {
    format!(r#"{{"resourceLogs": [{{"scopeLogs": [{{"logRecords": [{{{fields}}}]}}]}}]}}"#)
}

#[test]
fn a_span_keeps_all_that_it_says() {
    let json = span(&format!(
        r#""traceId": "{TRACE}", "spanId": "eee19b7ec3c1b174", "parentSpanId": "eee19b7ec3c1b173", "traceState": "a=b",
        "flags": 257, "name": "GET /cart", "kind": 2, "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": 1544712661000000000, "status": {{"code": "STATUS_CODE_ERROR", "message": "boom"}},
        "attributes": [{{"key": "tags", "value": {{"arrayValue": {{"values": [{{"stringValue": "x"}}, {{"doubleValue": 2}}]}}}}}},
            {{"key": "raw", "value": {{"bytesValue": "aGVsbG8"}}}}, {{"key": "nothing", "value": {{}}}}],
        "events": [{{"timeUnixNano": "1544712660500000000", "name": "retry", "attributes": []}}],
        "links": [{{"traceId": "{TRACE}", "spanId": "0000000000000001"}}], "droppedAttributesCount": 3"#
    ));
    let (spans, outcome) = traces::decode(traces::from_json(json.as_bytes()).unwrap(), &Limits::default());
    assert_eq!((outcome.accepted, outcome.rejected, outcome.message.as_str()), (1, 0, ""));
    let span = &spans[0];
    assert_eq!(span.trace_id[..2], [0x5b, 0x8e]);
    assert_eq!(span.parent_span_id, Some([0xee, 0xe1, 0x9b, 0x7e, 0xc3, 0xc1, 0xb1, 0x73]));
    assert_eq!((&*span.service, span.name.as_str(), span.kind), ("checkout", "GET /cart", SpanKind::Server));
    assert_eq!(span.end_unix_nano - span.start_unix_nano, 1_000_000_000);
    assert_eq!((span.status.code, span.status.message.as_str()), (StatusCode::Error, "boom"));
    assert_eq!((span.flags, span.trace_state.as_str()), (257, "a=b"));
    assert_eq!(
        span.attributes,
        [
            ("tags".to_owned(), Value::List(vec![Value::Str("x".into()), Value::Double(2.0)])),
            ("raw".to_owned(), Value::Bytes(b"hello".to_vec())),
            ("nothing".to_owned(), Value::Empty),
        ]
    );
    assert_eq!(span.resource[1], ("process.pid".to_owned(), Value::Int(42)));
    assert_eq!((span.scope.name.as_str(), span.scope.version.as_str()), ("http", "2"));
    assert_eq!(span.events[0].name, "retry");
    assert_eq!(span.links[0].span_id, [0, 0, 0, 0, 0, 0, 0, 1]);
}

#[test]
fn spans_without_valid_ids_are_refused_and_counted() {
    let json = format!(
        r#"{{"resourceSpans": [{{"scopeSpans": [{{"spans": [
            {{"traceId": "{TRACE}", "spanId": "eee19b7ec3c1b174"}},
            {{"traceId": "00000000000000000000000000000000", "spanId": "eee19b7ec3c1b174"}},
            {{"traceId": "{TRACE}", "spanId": "eee19b"}},
            {{"traceId": "{TRACE}"}}]}}]}}]}}"#
    );
    let (spans, outcome) = traces::decode(traces::from_json(json.as_bytes()).unwrap(), &Limits::default());
    assert_eq!(spans.len(), 1);
    assert_eq!((&*spans[0].service, spans[0].parent_span_id), ("unknown_service", None));
    assert_eq!((outcome.accepted, outcome.rejected), (1, 3));
    assert_eq!(
        outcome.message,
        "1× span_id has 0 bytes instead of 8; 1× span_id has 3 bytes instead of 8; 1× trace_id is all zeros"
    );
}

#[test]
fn a_broken_link_costs_only_itself() {
    let json = span(&format!(
        r#""traceId": "{TRACE}", "spanId": "eee19b7ec3c1b174", "links": [{{"traceId": "00"}}]"#
    ));
    let (spans, outcome) = traces::decode(traces::from_json(json.as_bytes()).unwrap(), &Limits::default());
    assert!(spans[0].links.is_empty());
    assert_eq!(outcome.rejected, 0);
    assert!(outcome.message.contains("trace_id of a link"), "{}", outcome.message);
}

#[test]
fn spans_of_one_resource_share_it() {
    let one = format!(r#"{{"traceId": "{TRACE}", "spanId": "eee19b7ec3c1b174"}}"#);
    let json = format!(r#"{{"resourceSpans": [{{"scopeSpans": [{{"spans": [{one}, {one}]}}]}}]}}"#);
    let (spans, _) = traces::decode(traces::from_json(json.as_bytes()).unwrap(), &Limits::default());
    assert!(std::sync::Arc::ptr_eq(&spans[0].resource, &spans[1].resource));
}

#[test]
fn a_log_record_keeps_all_that_it_says() {
    let json = log(&format!(
        r#""timeUnixNano": "1544712660300000000", "observedTimeUnixNano": "1544712660300000001", "severityNumber": 10,
        "severityText": "Information", "traceId": "{TRACE}", "spanId": "eee19b7ec3c1b174", "eventName": "paid",
        "body": {{"kvlistValue": {{"values": [{{"key": "order", "value": {{"intValue": 7}}}}]}}}},
        "attributes": [{{"key": "ok", "value": {{"boolValue": true}}}}]"#
    ));
    let (records, outcome) = logs::decode(logs::from_json(json.as_bytes()).unwrap(), &Limits::default());
    assert_eq!(outcome.accepted, 1);
    let record = &records[0];
    assert_eq!(record.time_unix_nano, 1_544_712_660_300_000_000);
    assert_eq!((record.severity_number, record.severity_text.as_str()), (10, "Information"));
    assert_eq!(record.body, Value::Map(vec![("order".into(), Value::Int(7))]));
    assert_eq!(record.trace_id.map(|id| id[0]), Some(0x5b));
    assert_eq!(record.event_name, "paid");
    assert_eq!(record.attributes, [("ok".to_owned(), Value::Bool(true))]);
}

#[test]
fn a_log_without_time_has_the_time_it_was_seen() {
    let json = log(
        r#""observedTimeUnixNano": "9", "body": {"stringValue": "x"}, "severityNumber": "SEVERITY_NUMBER_WARN""#,
    );
    let (records, _) = logs::decode(logs::from_json(json.as_bytes()).unwrap(), &Limits::default());
    assert_eq!((records[0].time_unix_nano, records[0].severity_number), (9, 13));
}

#[test]
fn a_log_with_a_broken_trace_id_is_kept_without_it() {
    let json = log(r#""timeUnixNano": 1, "traceId": "abcd", "severityNumber": 99"#);
    let (records, outcome) = logs::decode(logs::from_json(json.as_bytes()).unwrap(), &Limits::default());
    assert_eq!((records[0].trace_id, records[0].severity_number), (None, 0));
    assert_eq!((outcome.accepted, outcome.rejected), (1, 0));
    assert_eq!(outcome.message, "1× trace_id has 2 bytes instead of 16");
}

#[test]
fn a_body_nested_too_deep_is_refused() {
    let deep = |levels: usize| {
        let open = r#"{"arrayValue": {"values": ["#.repeat(levels);
        log(&format!(r#""timeUnixNano": 1, "body": {open}{{"intValue": 1}}{}"#, "]}}".repeat(levels)))
    };
    let limits = Limits { nesting: 8, ..Limits::default() };
    let read = |levels| logs::decode(logs::from_json(deep(levels).as_bytes()).unwrap(), &limits).1;
    assert_eq!(read(8).rejected, 0);
    assert_eq!(read(9).rejected, 1);
    assert!(matches!(logs::from_json(deep(10_000).as_bytes()), Err(OtlpError::Json(_))));
}

#[test]
fn unknown_fields_are_ignored_and_null_is_a_default() {
    let json = log(
        r#""timeUnixNano": 1, "severityText": null, "attributes": null, "new": {"x": [1, {"y": null}]}, "body": {"stringValue": "b"}"#,
    );
    let (records, _) = logs::decode(logs::from_json(json.as_bytes()).unwrap(), &Limits::default());
    assert_eq!(records[0].body, Value::Str("b".into()));
}

#[test]
fn json_of_the_wrong_shape_is_refused_with_its_place() {
    let refused = |json: &str| logs::from_json(json.as_bytes()).unwrap_err().to_string();
    assert!(
        refused(&log(r#""timeUnixNano": "soon""#)).contains("a whole number in field timeUnixNano at line 1")
    );
    assert!(refused(&log(r#""timeUnixNano": -1"#)).contains("out of range"));
    assert!(refused(&log(r#""traceId": "xyz""#)).contains("hexadecimal"));
    assert!(refused(r#"{"resourceLogs": {}}"#).contains("a list in field resourceLogs"));
    assert!(refused("[]").contains("an object"));
    assert!(refused("{} x").contains("trailing"));
}

#[test]
fn special_numbers_are_words() {
    let json = r#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "a", "gauge": {"dataPoints": [
        {"asDouble": "NaN"}, {"asDouble": "-Infinity"}, {"asDouble": 3}, {"asDouble": "2.5"}]}}]}]}]}"#;
    let request = metrics::from_json(json.as_bytes()).unwrap();
    let data = request.resource_metrics[0].scope_metrics[0].metrics[0].data.clone().unwrap();
    let text = format!("{data:?}");
    for word in ["AsDouble(NaN)", "AsDouble(-inf)", "AsDouble(3.0)", "AsDouble(2.5)"] {
        assert!(text.contains(word), "{text}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let limits = Limits::default();
        if let Ok(request) = traces::from_protobuf(&bytes) {
            let _ = traces::decode(request, &limits);
        }
        if let Ok(request) = logs::from_protobuf(&bytes) {
            let _ = logs::decode(request, &limits);
        }
        if let Ok(request) = metrics::from_protobuf(&bytes) {
            let _ = metrics::decode(&request, &metrics::Options::default(), &mut kandela_model::MetricBatch::default());
        }
        let _ = (traces::from_json(&bytes).is_ok(), logs::from_json(&bytes).is_ok(), metrics::from_json(&bytes).is_ok());
    }

    #[test]
    fn what_the_reference_types_write_as_json_reads_back_the_same(
        ids in (any::<[u8; 16]>(), any::<[u8; 8]>()),
        name in ".{0,20}",
        times in any::<(u64, u64)>(),
        numbers in (any::<i64>(), -1e300f64..1e300),
        bytes in proptest::collection::vec(any::<u8>(), 0..20),
        code in 0i32..3,
    ) {
        use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
        use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
        use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
        use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
        let attribute = |value| KeyValue { key: name.clone(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() };
        let span = Span {
            trace_id: ids.0.to_vec(),
            span_id: ids.1.to_vec(),
            name: name.clone(),
            start_time_unix_nano: times.0,
            end_time_unix_nano: times.1,
            attributes: vec![
                attribute(Any::IntValue(numbers.0)),
                attribute(Any::DoubleValue(numbers.1)),
                attribute(Any::BytesValue(bytes)),
                attribute(Any::StringValue(name.clone())),
            ],
            status: Some(Status { code, message: name.clone() }),
            ..Span::default()
        };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
        };
        let json = serde_json::to_vec(&request).unwrap();
        let read = traces::from_json(&json).unwrap();
        prop_assert_eq!(read.encode_to_vec(), request.encode_to_vec());
    }
}
