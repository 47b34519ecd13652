//! What a guard costs, from start to end: `cargo bench -p kandela-runtime --features tracing --bench profiler`.

use divan::{Bencher, black_box};
use kandela_runtime::profiler::TracedProfiler;

fn main() {
    divan::main();
}

/// The least that two readings of the clock cost.
#[divan::bench(sample_size = 10_000)]
fn two_readings_of_the_clock() -> u64 {
    let clock = CLOCK.get_or_init(CounterClock::new);
    let began = clock.now();
    black_box(clock).now().since(began).as_nanos() as u64
}
static CLOCK: std::sync::OnceLock<CounterClock> = std::sync::OnceLock::new();
use kandela_runtime::clock::Clock;
use kandela_runtime::profiler::CounterClock;

#[divan::bench(sample_size = 10_000, threads = [1, 2])]
fn guard(bencher: Bencher<'_, '_>) {
    let profiler = TracedProfiler::new();
    bencher.bench(|| drop(black_box(&profiler).trace("operation")));
}

#[divan::bench(sample_size = 10_000)]
fn two_names_in_turn(bencher: Bencher<'_, '_>) {
    let profiler = TracedProfiler::new();
    bencher.counter(2u32).bench(|| {
        drop(black_box(&profiler).trace("one"));
        drop(black_box(&profiler).trace("another"));
    });
}

#[divan::bench(sample_size = 10_000)]
fn five_within_one_another(bencher: Bencher<'_, '_>) {
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
