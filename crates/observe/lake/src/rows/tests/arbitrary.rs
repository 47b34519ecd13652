//! Telemetry of any kind.

use std::sync::Arc;

use kandela_model::{
    Attributes, BucketSpan, Event, EventKind, Exemplar, Frame, Histogram, Labels, LogRecord, Profile,
    ProfileSample, ResetHint, Scope, Span, SpanEvent, SpanKind, SpanLink, SpanStatus, StatusCode, Timestamp,
    Value, ValueType,
};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;

/// None to a few of them.
pub(super) fn some<T: std::fmt::Debug>(one: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    vec(one, 0..4)
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z.]{1,8}", "\\PC{0,6}"]
}

/// What JSON gives back as it was: no bytes, and numbers of few digits.
fn nestable() -> impl Strategy<Value = Value> {
    prop_oneof![
        word().prop_map(Value::Str),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<i32>().prop_map(|eighths| Value::Double(f64::from(eighths) / 8.0)),
        Just(Value::Empty),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let nested = nestable().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::List),
            btree_map(word(), inner, 0..4).prop_map(|pairs| Value::Map(pairs.into_iter().rev().collect())),
        ]
    });
    prop_oneof![nested, any::<f64>().prop_map(Value::Double), vec(any::<u8>(), 0..5).prop_map(Value::Bytes),]
}

fn any_attributes() -> impl Strategy<Value = Attributes> {
    btree_map(word(), any_value(), 0..4).prop_map(|pairs| pairs.into_iter().rev().collect())
}

fn any_scope() -> impl Strategy<Value = Scope> {
    (word(), word(), any_attributes()).prop_map(|(name, version, attributes)| Scope {
        name,
        version,
        attributes,
    })
}

pub(super) fn any_timestamp() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_micros)
}

fn trace_id() -> impl Strategy<Value = [u8; 16]> {
    any::<[u8; 16]>()
}

fn span_id() -> impl Strategy<Value = [u8; 8]> {
    any::<[u8; 8]>()
}

fn nanos() -> impl Strategy<Value = i64> {
    any::<i64>()
}

fn any_kind() -> impl Strategy<Value = SpanKind> {
    use SpanKind::{Client, Consumer, Internal, Producer, Server, Unspecified};
    prop::sample::select(vec![Unspecified, Internal, Server, Client, Producer, Consumer])
}

fn any_status() -> impl Strategy<Value = SpanStatus> {
    let code = prop::sample::select(vec![StatusCode::Unset, StatusCode::Ok, StatusCode::Error]);
    (code, word()).prop_map(|(code, message)| SpanStatus { code, message })
}

fn any_span_event() -> impl Strategy<Value = SpanEvent> {
    (any::<i64>(), word(), any_attributes()).prop_map(|(time_unix_nano, name, attributes)| SpanEvent {
        time_unix_nano,
        name,
        attributes,
    })
}

fn any_span_link() -> impl Strategy<Value = SpanLink> {
    (trace_id(), span_id(), word(), any_attributes()).prop_map(
        |(trace_id, span_id, trace_state, attributes)| SpanLink {
            trace_id,
            span_id,
            trace_state,
            attributes,
        },
    )
}

pub(super) fn any_span() -> impl Strategy<Value = Span> {
    let ids = (trace_id(), span_id(), of(span_id()), word(), any::<u32>());
    let what = (word(), word(), any_kind(), nanos(), nanos(), any_status());
    let rest =
        (any_attributes(), any_attributes(), any_scope(), some(any_span_event()), some(any_span_link()));
    (ids, what, rest).prop_map(|(ids, what, rest)| Span {
        trace_id: ids.0,
        span_id: ids.1,
        parent_span_id: ids.2,
        trace_state: ids.3,
        flags: ids.4,
        service: what.0.into(),
        name: what.1,
        kind: what.2,
        start_unix_nano: what.3,
        end_unix_nano: what.4,
        status: what.5,
        resource: Arc::new(rest.0),
        attributes: rest.1,
        scope: Arc::new(rest.2),
        events: rest.3,
        links: rest.4,
    })
}

/// A span with one attribute on its resource.
pub(super) fn plain_span() -> Span {
    Span {
        trace_id: [1; 16],
        span_id: [2; 8],
        parent_span_id: None,
        trace_state: String::new(),
        flags: 1,
        service: "shop".into(),
        name: "GET /".into(),
        kind: SpanKind::Server,
        start_unix_nano: 1_700_000_000_000_000_000,
        end_unix_nano: 1_700_000_000_001_000_000,
        status: SpanStatus::default(),
        resource: Arc::new(vec![("service.name".into(), Value::Str("shop".into()))]),
        attributes: vec![("http.response.status_code".into(), Value::Int(200))],
        scope: Arc::default(),
        events: vec![],
        links: vec![],
    }
}

pub(super) fn any_log() -> impl Strategy<Value = LogRecord> {
    let when = (nanos(), nanos(), word(), any::<u8>(), word(), any_value());
    let ids = (of(trace_id()), of(span_id()), any::<u32>(), word());
    (when, ids, any_attributes(), any_attributes(), any_scope()).prop_map(
        |(when, ids, resource, attributes, scope)| LogRecord {
            time_unix_nano: when.0,
            observed_unix_nano: when.1,
            service: when.2.into(),
            severity_number: when.3,
            severity_text: when.4,
            body: when.5,
            trace_id: ids.0,
            span_id: ids.1,
            flags: ids.2,
            event_name: ids.3,
            resource: Arc::new(resource),
            attributes,
            scope: Arc::new(scope),
        },
    )
}

pub(super) fn any_event() -> impl Strategy<Value = Event> {
    use EventKind::{Alert, Anomaly, Chaos, Config, Decision, Deploy, Forecast};
    let kind = prop::sample::select(vec![Anomaly, Alert, Deploy, Forecast, Decision, Chaos, Config]);
    (any_timestamp(), word(), nanos(), nanos(), kind, word(), of(word()), word()).prop_map(
        |(ts, stream, seq, epoch, kind, subject, verdict, payload)| Event {
            ts,
            stream,
            seq,
            epoch,
            kind,
            subject,
            verdict,
            payload,
        },
    )
}

fn any_profile_sample() -> impl Strategy<Value = ProfileSample> {
    let frame =
        (word(), word(), any::<u32>()).prop_map(|(function, file, line)| Frame { function, file, line });
    (some(frame), any::<i64>(), of((trace_id(), span_id()))).prop_map(|(stack, value, span)| ProfileSample {
        stack,
        value,
        span,
    })
}

pub(super) fn any_profile() -> impl Strategy<Value = Profile> {
    (nanos(), nanos(), word(), word(), word(), some(any_profile_sample()), any_attributes()).prop_map(
        |(time_unix_nano, duration_nano, service, kind, unit, samples, resource)| Profile {
            time_unix_nano,
            duration_nano,
            service,
            value_type: ValueType { kind, unit },
            samples,
            resource,
        },
    )
}

pub(super) fn any_exemplar() -> impl Strategy<Value = Exemplar> {
    let labels = btree_map("[a-z]{1,5}", word(), 0..4).prop_map(|pairs| Labels::new(pairs).unwrap());
    (any_timestamp(), any::<f64>(), of("[0-9a-f]{32}"), of("[0-9a-f]{16}"), labels)
        .prop_map(|(ts, value, trace_id, span_id, labels)| Exemplar { ts, value, trace_id, span_id, labels })
}

/// Well-formed or not: what is kept does not depend on it.
pub(super) fn any_histogram() -> impl Strategy<Value = Histogram> {
    let spans =
        || vec((any::<i32>(), any::<u32>()).prop_map(|(offset, length)| BucketSpan { offset, length }), 0..4);
    let counts = || vec(any::<f64>(), 0..6);
    let numbers = (any::<i8>(), any::<f64>(), any::<f64>(), any::<f64>(), any::<f64>());
    let buckets = (spans(), counts(), spans(), counts(), counts());
    (numbers, buckets, any::<bool>(), 0i8..4, of(any_timestamp())).prop_map(
        |(numbers, buckets, is_float, hint, start)| Histogram {
            schema: numbers.0,
            count: numbers.1,
            sum: numbers.2,
            zero_threshold: numbers.3,
            zero_count: numbers.4,
            positive_spans: buckets.0,
            positive_buckets: buckets.1,
            negative_spans: buckets.2,
            negative_buckets: buckets.3,
            custom_bounds: buckets.4,
            is_float,
            reset_hint: ResetHint::from_number(hint),
            start,
        },
    )
}
