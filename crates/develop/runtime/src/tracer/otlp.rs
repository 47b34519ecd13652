//! Spans in OTLP's JSON form: the body of `POST /v1/traces`, content type `application/json`, that every OTLP receiver takes.
//!
//! JSON and not protobuf: the form is as stable (OTLP 1.0), and writing it takes nothing but `serde_json`, where the generated
//! protobuf types bring `prost` and `tonic`. It is about three times as long before compression.

use std::sync::Arc;

use kandela_model::{Attributes, Span, SpanKind, StatusCode, Value};
use serde_json::{Value as Json, json};

/// `POST` to this path of a receiver, whose port is 4318 by default.
pub const PATH: &str = "/v1/traces";
/// With this content type.
pub const CONTENT_TYPE: &str = "application/json";

/// OTLP's flag that says that it is known whether the parent is remote; it is not known here.
const W3C_FLAGS: u32 = 0xff;

/// An `ExportTraceServiceRequest`. Spans of one service and resource stand together.
pub fn export_request(spans: &[Span]) -> Json {
    let mut groups: Vec<Vec<&Span>> = Vec::new();
    for span in spans {
        match groups.iter_mut().find(|group| is_same_source(group[0], span)) {
            Some(group) => group.push(span),
            None => groups.push(vec![span]),
        }
    }
    json!({ "resourceSpans": groups.iter().map(|group| resource_spans(group)).collect::<Vec<_>>() })
}

fn is_same_source(a: &Span, b: &Span) -> bool {
    let is_same_resource = Arc::ptr_eq(&a.resource, &b.resource) || a.resource == b.resource;
    let is_same_scope = Arc::ptr_eq(&a.scope, &b.scope) || a.scope == b.scope;
    a.service == b.service && is_same_resource && is_same_scope
}

fn resource_spans(group: &[&Span]) -> Json {
    let first = group[0];
    let others = first.resource.iter().filter(|(key, _)| key != "service.name");
    let service = json!({ "key": "service.name", "value": { "stringValue": &*first.service } });
    let resource: Vec<Json> =
        std::iter::once(service).chain(others.map(|(key, value)| attribute(key, value))).collect();
    json!({
        "resource": { "attributes": resource },
        "scopeSpans": [{
            "scope": {
                "name": first.scope.name,
                "version": first.scope.version,
                "attributes": attributes(&first.scope.attributes),
            },
            "spans": group.iter().map(|span| one(span)).collect::<Vec<_>>(),
        }],
    })
}

fn one(span: &Span) -> Json {
    let events: Vec<Json> = span
        .events
        .iter()
        .map(|event| {
            json!({
                "timeUnixNano": nanos(event.time_unix_nano),
                "name": event.name,
                "attributes": attributes(&event.attributes),
            })
        })
        .collect();
    let links: Vec<Json> = span
        .links
        .iter()
        .map(|link| {
            json!({
                "traceId": hex(&link.trace_id),
                "spanId": hex(&link.span_id),
                "traceState": link.trace_state,
                "attributes": attributes(&link.attributes),
            })
        })
        .collect();
    json!({
        "traceId": hex(&span.trace_id),
        "spanId": hex(&span.span_id),
        "parentSpanId": span.parent_span_id.map(|id| hex(&id)).unwrap_or_default(),
        "traceState": span.trace_state,
        "flags": span.flags & W3C_FLAGS,
        "name": span.name,
        "kind": kind(span.kind),
        "startTimeUnixNano": nanos(span.start_unix_nano),
        "endTimeUnixNano": nanos(span.end_unix_nano),
        "attributes": attributes(&span.attributes),
        "events": events,
        "links": links,
        "status": { "code": status(span.status.code), "message": span.status.message },
    })
}

fn attributes(attributes: &Attributes) -> Vec<Json> {
    attributes.iter().map(|(key, value)| attribute(key, value)).collect()
}

fn attribute(key: &str, value: &Value) -> Json {
    json!({ "key": key, "value": any_value(value) })
}

/// 64-bit integers are strings, as in all JSON of protobuf; bytes are base64.
fn any_value(value: &Value) -> Json {
    match value {
        Value::Str(text) => json!({ "stringValue": text }),
        Value::Bool(truth) => json!({ "boolValue": truth }),
        Value::Int(number) => json!({ "intValue": number.to_string() }),
        Value::Double(number) => json!({ "doubleValue": double(*number) }),
        Value::Bytes(bytes) => json!({ "bytesValue": base64(bytes) }),
        Value::List(values) => {
            json!({ "arrayValue": { "values": values.iter().map(any_value).collect::<Vec<_>>() } })
        }
        Value::Map(entries) => json!({ "kvlistValue": { "values": attributes(entries) } }),
        Value::Empty => json!({}),
    }
}

/// JSON has no number for these; protobuf's JSON has names.
fn double(number: f64) -> Json {
    if number.is_nan() {
        return json!("NaN");
    }
    if number.is_infinite() {
        return json!(if number > 0.0 { "Infinity" } else { "-Infinity" });
    }
    json!(number)
}

fn nanos(unix: i64) -> String {
    unix.max(0).to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let three =
            group.iter().fold(0u32, |three, &byte| three << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = DIGITS[(three >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

fn kind(kind: SpanKind) -> u8 {
    match kind {
        SpanKind::Unspecified => 0,
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn status(code: StatusCode) -> u8 {
    match code {
        StatusCode::Unset => 0,
        StatusCode::Ok => 1,
        StatusCode::Error => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_rfc_4648_has_them() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn numbers_that_json_has_not_are_named() {
        assert_eq!(double(f64::NEG_INFINITY), json!("-Infinity"));
        assert_eq!(double(f64::NAN), json!("NaN"));
        assert_eq!(any_value(&Value::Int(i64::MIN)), json!({ "intValue": "-9223372036854775808" }));
    }
}
