//! Spans of the `tracing` crate are operations, and operations are shown as spans.
#![cfg(feature = "tracing")]

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kandela_runtime::clock::ManualClock;
use kandela_runtime::profiler::{ProfilerLayer, TARGET, TraceSummary, TracedProfiler};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Instrument, Subscriber, info_span};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

fn profiler(shows: bool) -> (ManualClock, TracedProfiler) {
    let clock = ManualClock::new();
    let builder = TracedProfiler::builder().clock(Arc::new(clock.clone()));
    let builder = if shows { builder.show_spans() } else { builder };
    (clock, builder.build().expect("within limits"))
}

fn times(summary: &TraceSummary, path: &[&str]) -> (u64, i128, i128, i128) {
    let times = summary.times(path.iter().copied()).unwrap_or_else(|| panic!("no {path:?} in\n{summary}"));
    (times.count.0, times.total.0, times.idle.0, times.own.0)
}

fn with_layer<T>(profiler: &TracedProfiler, action: impl FnOnce() -> T) -> T {
    let subscriber = tracing_subscriber::registry().with(ProfilerLayer::new(profiler));
    tracing::subscriber::with_default(subscriber, action)
}

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

fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

#[test]
fn spans_and_guards_nest_in_each_other() {
    let (clock, profiler) = profiler(false);
    with_layer(&profiler, || {
        let _guard = profiler.trace("guard");
        let span = info_span!("span");
        clock.advance(nanos(1));
        let entered = span.enter();
        clock.advance(nanos(2));
        let inner = profiler.trace("inner guard");
        info_span!("inner span").in_scope(|| clock.advance(nanos(4)));
        drop(inner);
        drop(entered);
        clock.advance(nanos(8));
    });
    let summary = profiler.trace_summary();
    assert_eq!(times(&summary, &["guard"]), (1, 15, 0, 9));
    assert_eq!(times(&summary, &["guard", "span"]), (1, 15, 9, 2));
    assert_eq!(times(&summary, &["guard", "span", "inner guard"]), (1, 4, 0, 0));
    assert_eq!(times(&summary, &["guard", "span", "inner guard", "inner span"]), (1, 4, 0, 4));
}

#[test]
fn instrumented_futures_of_tracing_keep_their_nesting_when_they_take_turns() {
    let (clock, profiler) = profiler(false);
    with_layer(&profiler, || {
        let task = |span: tracing::Span| {
            let (profiler, clock) = (profiler.clone(), clock.clone());
            let work = async move {
                let _guard = profiler.trace("held");
                wait().await;
                clock.advance(nanos(3));
            };
            work.instrument(span)
        };
        let (mut a, mut b) = (pin!(task(info_span!("a"))), pin!(task(info_span!("b"))));
        for _ in 0..2 {
            let _ = (poll(a.as_mut()), poll(b.as_mut()));
        }
    });
    let summary = profiler.trace_summary();
    for name in ["a", "b"] {
        assert_eq!(times(&summary, &[name]).0, 1);
        assert_eq!(times(&summary, &[name, "held"]).3, 3, "{summary}");
    }
    assert_eq!(summary.tree().nodes(), 5, "{summary}");
}

#[test]
fn a_span_entered_twice_or_never_ends_once() {
    let (clock, profiler) = profiler(false);
    with_layer(&profiler, || {
        let span = info_span!("twice");
        {
            let (_outer, _inner) = (span.enter(), span.enter());
            clock.advance(nanos(1));
        }
        span.in_scope(|| clock.advance(nanos(1)));
        drop(info_span!("never"));
        let root = info_span!(parent: None, "root");
        span.in_scope(|| drop(info_span!("child")));
        drop(root);
    });
    let summary = profiler.trace_summary();
    assert_eq!(times(&summary, &["twice"]), (1, 2, 0, 2));
    assert_eq!(times(&summary, &["twice", "child"]).0, 1);
    assert_eq!(times(&summary, &["never"]).0, 1);
    assert_eq!(times(&summary, &["root"]).0, 1);
}

#[test]
fn a_panic_ends_spans() {
    let (_, profiler) = profiler(false);
    with_layer(&profiler, || {
        let panicked = std::panic::catch_unwind(|| info_span!("span").in_scope(|| panic!("on purpose")));
        assert!(panicked.is_err());
        drop(profiler.trace("after"));
    });
    assert_eq!(times(&profiler.trace_summary(), &["span"]).0, 1);
    assert_eq!(times(&profiler.trace_summary(), &["after"]).0, 1);
}

/// Writes down what happens to spans.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Name(String);

impl Visit for Name {
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "operation" {
            value.clone_into(&mut self.0);
        }
    }
}

impl Log {
    fn write<S>(&self, what: &str, id: &Id, context: &tracing_subscriber::layer::Context<'_, S>)
    where
        S: Subscriber + for<'s> LookupSpan<'s>,
    {
        let span = context.span(id).expect("alive");
        let extensions = span.extensions();
        let name = extensions.get::<Name>().expect("named");
        self.0.lock().expect("nobody panicked").push(format!("{what} {}", name.0));
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Log {
    fn on_new_span(
        &self,
        attributes: &Attributes<'_>,
        id: &Id,
        context: tracing_subscriber::layer::Context<'_, S>,
    ) {
        assert_eq!(attributes.metadata().target(), TARGET);
        let mut name = Name(String::new());
        attributes.record(&mut name);
        context.span(id).expect("alive").extensions_mut().insert(name);
    }
    fn on_enter(&self, id: &Id, context: tracing_subscriber::layer::Context<'_, S>) {
        self.write("+", id, &context);
    }
    fn on_exit(&self, id: &Id, context: tracing_subscriber::layer::Context<'_, S>) {
        self.write("-", id, &context);
    }
    fn on_close(&self, id: Id, context: tracing_subscriber::layer::Context<'_, S>) {
        self.write("end", &id, &context);
    }
}

#[test]
fn operations_are_shown_as_spans_that_are_entered_and_left_with_them() {
    let (_, profiler) = profiler(true);
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.clone()).with(ProfilerLayer::new(&profiler));
    tracing::subscriber::with_default(subscriber, || {
        let inner = profiler.clone();
        let mut future = pin!(profiler.trace("future").instrument(async move {
            let _guard = inner.trace("held");
            wait().await;
        }));
        assert!(poll(future.as_mut()).is_pending());
        drop(profiler.trace("meanwhile"));
        assert!(poll(future.as_mut()).is_ready());
    });
    let shown = log.0.lock().unwrap().join(", ");
    let expected = "+ future, - future, + future, + held, - held, - future, \
                    + meanwhile, - meanwhile, end meanwhile, \
                    + future, + held, - held, end held, - future, end future";
    assert_eq!(shown, expected);
    let summary = profiler.trace_summary();
    assert_eq!(summary.tree().nodes(), 4, "nothing is counted twice:\n{summary}");
}
