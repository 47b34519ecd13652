//! Whatever is done to a pool, in whatever order: no place is lost, nothing is created beyond the size, nobody is passed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use kandela_runtime::pool::{Manage, Pool, Pooled};
use kandela_runtime::steward::Steward;
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::task::JoinHandle;

#[derive(Clone, Debug)]
enum Step {
    Acquire,
    GiveUp(usize),
    Release(usize),
    Discard(usize),
    Detach(usize),
    Resize(usize),
    Fail(bool),
    Maintain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Acquire),
        3 => (0..8_usize).prop_map(Step::GiveUp),
        6 => (0..8_usize).prop_map(Step::Release),
        1 => (0..8_usize).prop_map(Step::Discard),
        1 => (0..8_usize).prop_map(Step::Detach),
        2 => (1..6_usize).prop_map(Step::Resize),
        1 => any::<bool>().prop_map(Step::Fail),
        1 => Just(Step::Maintain),
    ]
}

/// Creates things that it can count.
#[derive(Clone, Default)]
struct Things {
    alive: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
}

struct Thing(Arc<AtomicUsize>);

impl Drop for Thing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Manage for Things {
    type Resource = Thing;
    type Error = io::Error;

    async fn create(&self) -> Result<Thing, io::Error> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if self.fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("no route"));
        }
        self.alive.fetch_add(1, Ordering::SeqCst);
        Ok(Thing(self.alive.clone()))
    }
}

type Served = Arc<Mutex<Vec<(usize, Pooled<Things>)>>>;

struct World {
    pool: Pool<Things>,
    things: Things,
    served: Served,
    asking: Vec<JoinHandle<()>>,
    asked: usize,
    detached: Vec<Thing>,
    /// The largest size since all that there was fitted into it.
    bound: usize,
}

impl World {
    fn new(size: usize) -> World {
        let things = Things::default();
        let builder = Pool::builder("things", things.clone()).size(size).sizes(1..=8).min_idle(1);
        World {
            pool: builder.build(&Steward::default()).expect("within range"),
            things,
            served: Arc::default(),
            asking: Vec::new(),
            asked: 0,
            detached: Vec::new(),
            bound: size,
        }
    }

    fn pick(&self, which: usize) -> Option<Pooled<Things>> {
        let mut served = self.served.lock();
        let count = served.len();
        (count > 0).then(|| served.remove(which % count).1)
    }

    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Acquire => {
                let (pool, served, number) = (self.pool.clone(), self.served.clone(), self.asked);
                self.asked += 1;
                self.asking.push(tokio::spawn(async move {
                    if let Ok(held) = pool.acquire().await {
                        served.lock().push((number, held));
                    }
                }));
            }
            Step::GiveUp(which) if !self.asking.is_empty() => {
                let count = self.asking.len();
                self.asking.swap_remove(which % count).abort();
            }
            Step::GiveUp(_) => {}
            Step::Release(which) => drop(self.pick(which)),
            Step::Discard(which) => self.pick(which).map_or((), Pooled::discard),
            Step::Detach(which) => self.detached.extend(self.pick(which).map(Pooled::detach)),
            Step::Resize(size) => self.pool.resize(size).expect("within range"),
            Step::Fail(fails) => self.things.fails.store(fails, Ordering::SeqCst),
            Step::Maintain => self.pool.maintain().await,
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }

    fn check(&mut self) {
        let metrics = self.pool.metrics();
        let alive = self.things.alive.load(Ordering::SeqCst) - self.detached.len();
        let taken = metrics.in_use + metrics.idle + metrics.opening;
        self.bound = metrics.size.max(self.bound.min(taken));
        assert!(taken <= self.bound, "{taken} places taken of {}", self.bound);
        assert_eq!(alive, metrics.in_use + metrics.idle, "a resource is lost or was never counted");
        assert_eq!(metrics.in_use, self.served.lock().len());
        assert!(metrics.waiting == 0 || metrics.idle == 0, "somebody waits beside an idle one");
        assert!(metrics.waiting == 0 || taken >= metrics.size, "somebody waits beside a free place");
    }
}

/// While nothing fails and nobody gives up, whoever came first is served first.
fn served_in_order(served: &Served) -> bool {
    served.lock().windows(2).all(|pair| pair[0].0 < pair[1].0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_pool_is_whole_after_any_steps(size in 1..5_usize, steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        runtime.block_on(async {
            let mut world = World::new(size);
            for step in &steps {
                world.step(step).await;
                world.check();
                assert!(served_in_order(&world.served), "somebody was passed");
            }
            world.step(&Step::Fail(false)).await;
            while world.pool.metrics().in_use > 0 {
                world.step(&Step::Release(0)).await;
                world.check();
            }
            for task in world.asking.drain(..) {
                let _ = task.await;
            }
            world.served.lock().clear();
            let metrics = world.pool.metrics();
            assert_eq!((metrics.in_use, metrics.opening, metrics.waiting), (0, 0, 0));
            assert!(metrics.idle <= metrics.size);
            tokio::time::timeout(Duration::from_secs(1), world.pool.close()).await.expect("drained");
        });
    }
}
