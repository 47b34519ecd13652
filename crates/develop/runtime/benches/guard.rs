//! What a breaker and a limiter cost a call that they let through.
//!
//! ```text
//! cargo bench -p kandela-runtime --bench guard
//! ```

use std::time::Duration;

use divan::Bencher;
use kandela_runtime::breaker::{Breaker, Settings as BreakerSettings};
use kandela_runtime::limiter::{Limiter, Priority, Settings as LimiterSettings};
use kandela_runtime::steward::Steward;

fn main() {
    divan::main();
}

const LATENCY: Duration = Duration::from_millis(3);

#[divan::bench(threads = [1, 2], sample_count = 100, sample_size = 20_000)]
fn breaker_permit_and_success(bencher: Bencher<'_, '_>) {
    let breaker = Breaker::new("b", BreakerSettings::default(), &Steward::default()).expect("within range");
    bencher.bench(|| breaker.permit().expect("closed").success(LATENCY));
}

#[divan::bench(threads = [1, 2], sample_count = 100, sample_size = 20_000)]
fn limiter_permit_and_success(bencher: Bencher<'_, '_>) {
    let limiter = Limiter::new("l", LimiterSettings::default(), &Steward::default()).expect("within range");
    bencher.bench(|| limiter.try_acquire(Priority::Normal).expect("room").success());
}

#[divan::bench(threads = [1, 2], sample_count = 100, sample_size = 20_000)]
fn limiter_permit_and_ignored(bencher: Bencher<'_, '_>) {
    let limiter = Limiter::new("l", LimiterSettings::default(), &Steward::default()).expect("within range");
    bencher.bench(|| limiter.try_acquire(Priority::Normal).expect("room").ignored());
}
