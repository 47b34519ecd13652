//! Operations that are spans too, of traces that go from service to service.
#![cfg(feature = "profiler")]

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use kandela_model::Span;
use kandela_runtime::clock::ManualClock;
use kandela_runtime::profiler::TracedProfiler;
use kandela_runtime::trace_context::SpanContext;
use kandela_runtime::tracer::{SpanBuffer, Tracer};

fn profiler() -> (Arc<SpanBuffer>, TracedProfiler) {
    let clock = Arc::new(ManualClock::new());
    let buffer = Arc::new(SpanBuffer::new(64).expect("within limits"));
    let tracer = Tracer::seeded(buffer.clone(), 1, clock.clone());
    let profiler = TracedProfiler::builder().clock(clock).spans(tracer, "shop").build();
    (buffer, profiler.expect("within limits"))
}

fn called<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut named = spans.iter().filter(|span| span.name == name);
    let (Some(span), None) = (named.next(), named.next()) else { panic!("not one {name} in {spans:?}") };
    span
}

fn is_child(spans: &[Span], child: &str, parent: &str) -> bool {
    let (child, parent) = (called(spans, child), called(spans, parent));
    child.trace_id == parent.trace_id && child.parent_span_id == Some(parent.span_id)
}

/// Pending at its first poll.
async fn wait() {
    let mut waited = false;
    std::future::poll_fn(
        |_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn spans_have_the_parents_that_operations_have() {
    let (buffer, profiler) = profiler();
    {
        let _request = profiler.trace("request");
        drop(profiler.trace("parse"));
        let place = profiler.context();
        let there = place.clone();
        std::thread::spawn(move || drop(there.trace("on a thread"))).join().expect("no panic");
        let _attached = place.attach();
        drop(profiler.trace("attached"));
    }
    {
        let _around = profiler.trace("around");
        let _outside = profiler.root().attach();
        drop(profiler.trace("another"));
    }
    let spans = buffer.take(64);
    assert_eq!(spans.len(), 6);
    for child in ["parse", "on a thread", "attached"] {
        assert!(is_child(&spans, child, "request"), "{child}: {spans:?}");
    }
    let (request, another) = (called(&spans, "request"), called(&spans, "another"));
    assert_eq!((request.parent_span_id, &*request.service), (None, "shop"));
    assert_ne!(request.trace_id, another.trace_id);
    assert_eq!(another.parent_span_id, None, "the root is outside of all");
}

#[test]
fn futures_that_take_turns_keep_their_own_traces() {
    let (buffer, profiler) = profiler();
    let task = |names: [&'static str; 3]| {
        let inner = profiler.clone();
        profiler.trace(names[0]).instrument(async move {
            let _held = inner.trace(names[1]);
            wait().await;
            drop(inner.trace(names[2]));
        })
    };
    {
        let (mut a, mut b) = (pin!(task(["a", "a1", "a2"])), pin!(task(["b", "b1", "b2"])));
        for _ in 0..2 {
            let _ = (poll(a.as_mut()), poll(b.as_mut()));
        }
    }
    let spans = buffer.take(64);
    assert_eq!(spans.len(), 6, "each ends once");
    for (child, parent) in [("a1", "a"), ("a2", "a1"), ("b1", "b"), ("b2", "b1")] {
        assert!(is_child(&spans, child, parent), "{child} of {parent}: {spans:?}");
    }
    assert_ne!(called(&spans, "a").trace_id, called(&spans, "b").trace_id);
}

#[test]
fn a_trace_goes_on_from_the_caller_and_to_the_next_service() {
    let (buffer, profiler) = profiler();
    let header = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let caller = SpanContext::parse(header, [&b"congo=t61"[..]]).expect("a traceparent");
    let next = {
        let _request = profiler.root().within_span(caller.clone()).trace("request");
        let _call = profiler.trace("call");
        profiler.context().span().expect("a span is open").clone()
    };
    let spans = buffer.take(64);
    assert_eq!(called(&spans, "request").parent_span_id, Some(caller.parent.span_id.to_bytes()));
    assert_eq!(next.parent.span_id.to_bytes(), called(&spans, "call").span_id);
    assert_eq!((next.parent.trace_id, &next.state), (caller.parent.trace_id, &caller.state));
    assert!(profiler.context().span().is_none(), "all have ended");
}

#[test]
fn a_cancelled_operation_ends_its_span_once() {
    let (buffer, profiler) = profiler();
    let mut future = Box::pin(profiler.trace("slow").instrument(std::future::pending::<()>()));
    assert!(poll(future.as_mut()).is_pending());
    assert!(buffer.take(64).is_empty());
    drop(future);
    called(&buffer.take(64), "slow");
}
