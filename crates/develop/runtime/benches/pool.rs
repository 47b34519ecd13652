//! What it costs to borrow a resource that lies idle and give it back, beside other pools; and what a decision costs.
//!
//! ```sh
//! cargo bench -p kandela-runtime --bench pool
//! ```

use std::convert::Infallible;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use kandela_runtime::pool::simulate::{Phase, Shape, requests, run};
use kandela_runtime::pool::usl::Usl;
use kandela_runtime::pool::{Manage, Pool, Sample, Sizer};
use kandela_runtime::steward::Steward;
use tokio::runtime::Runtime;

const TIMES: usize = 1000;

fn main() {
    divan::main();
}

struct Units;

impl Manage for Units {
    type Resource = u64;
    type Error = Infallible;

    async fn create(&self) -> Result<u64, Infallible> {
        Ok(0)
    }
}

impl deadpool::managed::Manager for Units {
    type Type = u64;
    type Error = Infallible;

    async fn create(&self) -> Result<u64, Infallible> {
        Ok(0)
    }

    async fn recycle(
        &self,
        _: &mut u64,
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<Infallible> {
        Ok(())
    }
}

impl bb8::ManageConnection for Units {
    type Connection = u64;
    type Error = Infallible;

    async fn connect(&self) -> Result<u64, Infallible> {
        Ok(0)
    }

    async fn is_valid(&self, _: &mut u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _: &mut u64) -> bool {
        false
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

#[divan::bench]
fn acquire_and_release_kandela(bencher: Bencher<'_, '_>) {
    let (runtime, steward) = (runtime(), Steward::default());
    let pool = Pool::builder("units", Units).build(&steward).expect("within range");
    bencher.counter(ItemsCount::new(TIMES)).bench_local(|| {
        runtime.block_on(async {
            for _ in 0..TIMES {
                divan::black_box(*pool.acquire().await.expect("free"));
            }
        });
    });
}

#[divan::bench]
fn acquire_and_release_deadpool(bencher: Bencher<'_, '_>) {
    let runtime = runtime();
    let pool: deadpool::managed::Pool<Units> =
        deadpool::managed::Pool::builder(Units).max_size(8).build().expect("no timeouts");
    bencher.counter(ItemsCount::new(TIMES)).bench_local(|| {
        runtime.block_on(async {
            for _ in 0..TIMES {
                divan::black_box(*pool.get().await.expect("free"));
            }
        });
    });
}

#[divan::bench]
fn acquire_and_release_bb8(bencher: Bencher<'_, '_>) {
    let runtime = runtime();
    let pool = runtime.block_on(
        bb8::Pool::builder()
            .max_size(8)
            .test_on_check_out(false)
            .max_lifetime(None)
            .idle_timeout(None)
            .build(Units),
    );
    let pool = pool.expect("infallible");
    bencher.counter(ItemsCount::new(TIMES)).bench_local(|| {
        runtime.block_on(async {
            for _ in 0..TIMES {
                divan::black_box(*pool.get().await.expect("free"));
            }
        });
    });
}

/// One window of a pool of 32, at four fifths of what its downstream can do.
#[divan::bench(min_time = 0.5)]
fn decide(bencher: Bencher<'_, '_>) {
    let downstream = Usl { service: 0.02, sigma: 0.02, kappa: 0.0005 };
    let length = Duration::from_secs(60);
    let phases = [Phase { length, rate: 600.0, downstream, shape: Shape::Exponential }];
    let mut sizer = Sizer::new(1..=64).expect("within range");
    let mut last = Sample::default();
    run(&phases, &requests(&phases, 1), 32, Duration::from_secs(1), |_, sample, size| {
        sizer.update(sample, size);
        last = sample.clone();
        size
    });
    bencher.bench_local(|| sizer.update(divan::black_box(&last), 32));
}
