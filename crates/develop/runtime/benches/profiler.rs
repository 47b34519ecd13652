//! What an operation costs from start to end, beside others in one run:
//! `cargo bench -p kandela-runtime --all-features --bench profiler`.

use std::sync::{Arc, OnceLock};

use divan::{Bencher, black_box};
use fastrace::collector::{Config, Reporter, SpanContext, SpanRecord};
use fastrace::local::LocalSpan;
use kandela_runtime::clock::Clock;
use kandela_runtime::profiler::{CounterClock, ProfilerLayer, TracedProfiler};
use kandela_runtime::tracer::{SpanSink, Tracer};
use tracing_subscriber::layer::SubscriberExt;

fn main() {
    divan::main();
}

/// The least that any operation costs which is timed at both ends.
#[divan::bench(sample_size = 10_000)]
fn clock_read_twice() -> u64 {
    static CLOCK: OnceLock<CounterClock> = OnceLock::new();
    let clock = CLOCK.get_or_init(CounterClock::new);
    let began = clock.now();
    black_box(clock).now().since(began).as_nanos() as u64
}

#[divan::bench(sample_size = 10_000)]
fn system_clock_read_twice() -> u64 {
    let began = std::time::Instant::now();
    black_box(began).elapsed().as_nanos() as u64
}

#[divan::bench(sample_size = 10_000, threads = [1, 2])]
fn guard(bencher: Bencher<'_, '_>) {
    let profiler = TracedProfiler::new();
    bencher.bench(|| drop(black_box(&profiler).trace("operation")));
}

#[divan::bench(sample_size = 10_000)]
fn guards_of_two_names_in_turn(bencher: Bencher<'_, '_>) {
    let profiler = TracedProfiler::new();
    bencher.counter(2u32).bench(|| {
        drop(black_box(&profiler).trace("one"));
        drop(black_box(&profiler).trace("another"));
    });
}

#[divan::bench(sample_size = 10_000)]
fn five_guards_within_one_another(bencher: Bencher<'_, '_>) {
    let profiler = TracedProfiler::new();
    bencher.counter(5u32).bench(|| {
        let profiler = black_box(&profiler);
        let _a = profiler.trace("a");
        let _b = profiler.trace("b");
        let _c = profiler.trace("c");
        let _d = profiler.trace("d");
        let _e = profiler.trace("e");
    });
}

#[divan::bench(sample_size = 1000)]
fn span_with_ids(bencher: Bencher<'_, '_>) {
    struct Nowhere;
    impl SpanSink for Nowhere {
        fn end(&self, _: kandela_model::Span) {}
    }
    let tracer = Tracer::new(Arc::new(Nowhere));
    let (trace, service) = (tracer.new_trace_id(), Arc::<str>::from("shop"));
    bencher.bench(|| drop(black_box(&tracer).start_span(trace, None, service.clone(), "operation")));
}

#[divan::bench(sample_size = 1000)]
fn tracing_without_a_subscriber(bencher: Bencher<'_, '_>) {
    bencher.bench(|| drop(tracing::info_span!("operation").entered()));
}

#[divan::bench(sample_size = 1000)]
fn tracing_with_an_empty_registry(bencher: Bencher<'_, '_>) {
    let subscriber = tracing_subscriber::registry();
    tracing::subscriber::with_default(subscriber, || {
        bencher.bench_local(|| drop(tracing::info_span!("operation").entered()));
    });
}

#[divan::bench(sample_size = 1000)]
fn tracing_with_the_profilers_layer(bencher: Bencher<'_, '_>) {
    let profiler = TracedProfiler::new();
    let subscriber = tracing_subscriber::registry().with(ProfilerLayer::new(&profiler));
    tracing::subscriber::with_default(subscriber, || {
        bencher.bench_local(|| drop(tracing::info_span!("operation").entered()));
    });
}

/// A hundred spans within one root, as `fastrace` is meant to be used; it hands them to a reporter that does nothing.
#[divan::bench(sample_size = 100)]
fn hundred_fastrace_spans(bencher: Bencher<'_, '_>) {
    struct Nowhere;
    impl Reporter for Nowhere {
        fn report(&mut self, _: Vec<SpanRecord>) {}
    }
    fastrace::set_reporter(Nowhere, Config::default());
    bencher.counter(100u32).bench(|| {
        let root = fastrace::Span::root("root", SpanContext::random());
        let _parent = root.set_local_parent();
        for _ in 0..100 {
            drop(LocalSpan::enter_with_local_parent("operation"));
        }
    });
}
