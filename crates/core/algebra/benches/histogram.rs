//! What one value and one merge cost: `cargo bench -p kandela-algebra`.

use divan::{Bencher, black_box};
use kandela_algebra::histogram::{Layout, LogHistogram};
use kandela_algebra::merge::Merge;

fn main() {
    divan::main();
}

/// Latencies over four decades, from a fixed sequence.
fn latencies(seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..10_000).map(|_| 10f64.powf(4.0 * next() - 4.0)).collect()
}

fn histogram(max_buckets: usize, seed: u64) -> LogHistogram {
    let layout = Layout::new(Layout::MAX_SCALE, max_buckets, 0.0).expect("a valid layout");
    let mut histogram = LogHistogram::with_layout(layout);
    latencies(seed).into_iter().for_each(|latency| histogram.record(latency));
    histogram
}

#[divan::bench(args = [160, 4096])]
fn record(bencher: Bencher<'_, '_>, max_buckets: usize) {
    let latencies = latencies(1);
    let warm = histogram(max_buckets, 1);
    bencher.counter(latencies.len()).with_inputs(|| warm.clone()).bench_local_refs(|histogram| {
        for &latency in &latencies {
            histogram.record(black_box(latency));
        }
    });
}

#[divan::bench(args = [160, 4096])]
fn merge(bencher: Bencher<'_, '_>, max_buckets: usize) {
    let other = histogram(max_buckets, 2);
    bencher
        .with_inputs(|| histogram(max_buckets, 1))
        .bench_local_refs(|histogram| histogram.merge_from(black_box(&other)));
}

#[divan::bench(args = [160, 4096])]
fn quantile(bencher: Bencher<'_, '_>, max_buckets: usize) {
    let histogram = histogram(max_buckets, 1);
    bencher.bench(|| black_box(&histogram).quantile(black_box(0.99)));
}
