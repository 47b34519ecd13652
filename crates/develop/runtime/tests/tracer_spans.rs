//! Spans end once and go to a sink that never waits.
#![cfg(feature = "profiler")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kandela_model::{Span, SpanKind, StatusCode, Value};
use kandela_runtime::clock::{ManualClock, Moment};
use kandela_runtime::trace_context::SpanContext;
use kandela_runtime::tracer::{SpanBuffer, Tracer};

fn tracer() -> (ManualClock, Arc<SpanBuffer>, Tracer) {
    let clock = ManualClock::new();
    clock.set(Moment::from_nanos(1_000_000));
    let buffer = Arc::new(SpanBuffer::new(16).expect("within limits"));
    let tracer = Tracer::seeded(buffer.clone(), 1, Arc::new(clock.clone()));
    (clock, buffer, tracer)
}

fn only(buffer: &SpanBuffer) -> Span {
    let mut spans = buffer.take(10);
    assert_eq!(spans.len(), 1, "{spans:?}");
    spans.remove(0)
}

#[test]
fn a_span_says_what_it_did_and_how_long_it_took() {
    let (clock, buffer, tracer) = tracer();
    let trace = tracer.new_trace_id();
    let mut span = tracer.start_span(trace, None, "shop", "GET /cart");
    span.set_kind(SpanKind::Server);
    span.set_attribute("retries", 1i64);
    span.set_attribute("retries", 2i64);
    clock.advance(Duration::from_nanos(5));
    span.add_event("cache miss", vec![("key".to_owned(), Value::Str("cart:7".to_owned()))]);
    clock.advance(Duration::from_nanos(7));
    span.set_status(StatusCode::Ok, "messages are for errors");
    let context = span.context().clone();
    drop(span);
    let span = only(&buffer);
    assert_eq!((span.trace_id, span.span_id), (trace.to_bytes(), context.parent.span_id.to_bytes()));
    assert_eq!((&*span.service, span.name.as_str(), span.parent_span_id), ("shop", "GET /cart", None));
    assert_eq!((span.start_unix_nano, span.end_unix_nano), (1_000_000, 1_000_012));
    assert_eq!(span.attributes, [("retries".to_owned(), Value::Int(2))]);
    assert_eq!((span.events[0].time_unix_nano, span.events[0].name.as_str()), (1_000_005, "cache miss"));
    assert_eq!(
        (span.kind, span.status.code, span.status.message.as_str()),
        (SpanKind::Server, StatusCode::Ok, "")
    );
}

#[test]
fn a_panic_ends_a_span_as_an_error() {
    let (_, buffer, tracer) = tracer();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _span = tracer.start_span(tracer.new_trace_id(), None, "shop", "pay");
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(only(&buffer).status.code, StatusCode::Error);
}

#[test]
fn a_cancelled_future_ends_its_span() {
    let (_, buffer, tracer) = tracer();
    let mut future = Box::pin(async {
        let _span = tracer.start_span(tracer.new_trace_id(), None, "shop", "pay");
        std::future::pending::<()>().await;
    });
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
    assert!(buffer.take(1).is_empty());
    drop(future);
    only(&buffer);
}

#[test]
fn a_child_of_another_service_carries_the_trace_on() {
    let (_, buffer, tracer) = tracer();
    let header = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let caller = SpanContext::parse(header, [&b"congo=t61"[..]]).expect("a traceparent");
    let span = tracer.start_child(&caller, "payment", "charge");
    assert!(span.context().parent.to_string().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    assert_eq!(span.context().state, caller.state);
    drop(span);
    let span = only(&buffer);
    assert_eq!(span.parent_span_id, Some(caller.parent.span_id.to_bytes()));
    assert_eq!((span.trace_id, span.trace_state.as_str()), (caller.parent.trace_id.to_bytes(), "congo=t61"));
}

#[test]
fn what_the_caller_does_not_sample_goes_to_no_sink_but_keeps_its_ids() {
    let (_, buffer, tracer) = tracer();
    let header = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let caller = SpanContext::parse(header, []).expect("a traceparent");
    let mut span = tracer.start_child(&caller, "payment", "charge");
    span.set_attribute("kept", false);
    assert!(span.context().parent.to_string().ends_with("-00"));
    drop(span);
    assert!(buffer.take(1).is_empty());
}

#[test]
fn a_full_buffer_drops_and_counts_and_goes_on_once_there_is_room() {
    let (_, buffer, tracer) = tracer();
    for _ in 0..20 {
        drop(tracer.start_span(tracer.new_trace_id(), None, "shop", "browse"));
    }
    assert_eq!((buffer.dropped(), buffer.take(100).len()), (4, 16));
    drop(tracer.start_span(tracer.new_trace_id(), None, "shop", "browse"));
    assert_eq!((buffer.dropped(), buffer.take(100).len()), (4, 1));
}

#[test]
fn a_span_keeps_a_bounded_number_of_attributes_and_events() {
    let (_, buffer, tracer) = tracer();
    let mut span = tracer.start_span(tracer.new_trace_id(), None, "shop", "browse");
    for number in 0..200 {
        span.set_attribute(&format!("key {number}"), number);
        span.add_event("event", Vec::new());
    }
    drop(span);
    let span = only(&buffer);
    assert_eq!((span.attributes.len(), span.events.len()), (128, 128));
}

#[test]
fn a_clock_that_steps_backwards_ends_no_span_before_its_start() {
    let (clock, buffer, tracer) = tracer();
    let span = tracer.start_span(tracer.new_trace_id(), None, "shop", "browse");
    clock.set(Moment::ORIGIN);
    drop(span);
    let span = only(&buffer);
    assert_eq!(span.end_unix_nano, span.start_unix_nano);
}

#[test]
fn without_a_given_clock_spans_stand_in_the_systems_time() {
    let buffer = Arc::new(SpanBuffer::new(1).expect("within limits"));
    let tracer = Tracer::new(buffer.clone());
    drop(tracer.start_span(tracer.new_trace_id(), None, "shop", "browse"));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos() as i64;
    let span = only(&buffer);
    assert!(
        (now - span.start_unix_nano).abs() < 60_000_000_000 && span.end_unix_nano >= span.start_unix_nano
    );
}

#[test]
fn an_absurd_capacity_is_refused_with_its_range() {
    let refused = SpanBuffer::new(0).expect_err("zero").to_string();
    assert_eq!(refused, "spans.capacity is 0; it may be 1 to 1048576");
    assert!(SpanBuffer::new(usize::MAX).is_err());
}
