//! What goes out as OTLP's JSON is what OpenTelemetry's own types read.
#![cfg(feature = "otlp")]

use std::sync::Arc;
use std::time::Duration;

use kandela_model::{SpanKind, StatusCode, Value};
use kandela_runtime::clock::{ManualClock, Moment};
use kandela_runtime::tracer::{SpanBuffer, Tracer, otlp};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;

#[test]
fn opentelemetrys_types_read_what_is_written() {
    let clock = ManualClock::new();
    clock.set(Moment::from_nanos(1_700_000_000_123_456_789));
    let buffer = Arc::new(SpanBuffer::new(16).expect("within limits"));
    let tracer = Tracer::seeded(buffer.clone(), 1, Arc::new(clock.clone()))
        .with_resource([("host.name", Value::Str("one".to_owned()))]);
    let mut root = tracer.start_span(tracer.new_trace_id(), None, "shop", "GET /cart");
    root.set_kind(SpanKind::Server);
    root.set_attribute("size", i64::MAX);
    root.set_attribute("share", 0.25);
    root.set_attribute("raw", Value::Bytes(vec![1, 2, 3, 4]));
    root.set_attribute("list", Value::List(vec![Value::Bool(true), Value::Empty]));
    root.set_attribute("map", Value::Map(vec![("k".to_owned(), Value::Str("v".to_owned()))]));
    let mut child = tracer.start_child(root.context(), "payment", "charge");
    child.add_link(root.context());
    clock.advance(Duration::from_nanos(3));
    child.add_event("declined", Vec::new());
    child.set_status(StatusCode::Error, "no funds");
    let (root_id, trace_id) = (root.context().parent.span_id, root.context().parent.trace_id);
    drop(child);
    drop(root);

    let spans = buffer.take(10);
    let text = otlp::export_request(&spans).to_string();
    let request: ExportTraceServiceRequest = serde_json::from_str(&text).expect(&text);
    let [payment, shop] = &request.resource_spans[..] else { panic!("two services: {text}") };
    let resource = &shop.resource.as_ref().expect("a resource").attributes;
    let keys: Vec<&str> = resource.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(keys, ["service.name", "host.name"]);

    let child = &payment.scope_spans[0].spans[0];
    assert_eq!(child.parent_span_id, root_id.to_bytes());
    assert_eq!(child.trace_id, trace_id.to_bytes());
    assert_eq!(child.links[0].span_id, root_id.to_bytes());
    assert_eq!(
        (child.events[0].name.as_str(), child.events[0].time_unix_nano),
        ("declined", 1_700_000_000_123_456_792)
    );
    assert_eq!(child.status.as_ref().map(|s| (s.code, s.message.as_str())), Some((2, "no funds")));

    let root = &shop.scope_spans[0].spans[0];
    assert_eq!((root.kind, root.start_time_unix_nano), (2, 1_700_000_000_123_456_789));
    assert_eq!(root.end_time_unix_nano, root.start_time_unix_nano + 3);
    assert!(root.parent_span_id.is_empty());
    let value = |key: &str| {
        let attribute = root.attributes.iter().find(|attribute| attribute.key == key);
        attribute.and_then(|attribute| attribute.value.clone()).and_then(|value| value.value)
    };
    assert_eq!(value("size"), Some(Any::IntValue(i64::MAX)));
    assert_eq!(value("share"), Some(Any::DoubleValue(0.25)));
    assert_eq!(value("raw"), Some(Any::BytesValue(vec![1, 2, 3, 4])));
    assert!(matches!(value("list"), Some(Any::ArrayValue(list)) if list.values.len() == 2));
    assert!(matches!(value("map"), Some(Any::KvlistValue(map)) if map.values[0].key == "k"));
}
