//! What a pool does for those who borrow from it.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use kandela_model::{Epoch, Knob, KnobValue, Lease};
use tokio::time::timeout;

use super::*;
use crate::clock::ManualClock;
use crate::steward::Steward;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Creates numbers, and does so badly where it is told to.
#[derive(Default)]
struct Numbers {
    next: AtomicU32,
    alive: Arc<AtomicUsize>,
    fails: AtomicBool,
    hangs: AtomicBool,
    panics: AtomicBool,
    ails: AtomicBool,
    judging_panics: AtomicBool,
}

#[derive(Debug)]
struct Number(u32, Arc<AtomicUsize>);

impl Drop for Number {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Manage for Arc<Numbers> {
    type Resource = Number;
    type Error = io::Error;

    async fn create(&self) -> Result<Number, io::Error> {
        assert!(!self.panics.load(Ordering::SeqCst), "asked to panic");
        if self.fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("no route"));
        }
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.alive.fetch_add(1, Ordering::SeqCst);
        Ok(Number(self.next.fetch_add(1, Ordering::SeqCst), self.alive.clone()))
    }

    async fn check(&self, _: &mut Number) -> Result<(), io::Error> {
        if self.ails.load(Ordering::SeqCst) { Err(io::Error::other("gone")) } else { Ok(()) }
    }

    fn is_broken(&self, _: &Number) -> bool {
        assert!(!self.judging_panics.load(Ordering::SeqCst), "asked to panic");
        false
    }
}

struct World {
    clock: ManualClock,
    numbers: Arc<Numbers>,
    steward: Steward,
}

impl World {
    fn new() -> World {
        let clock = ManualClock::new();
        let steward = Steward::new(Arc::new(clock.clone()));
        World { clock, numbers: Arc::default(), steward }
    }

    fn pool(&self, with: impl FnOnce(Builder<Arc<Numbers>>) -> Builder<Arc<Numbers>>) -> Pool<Arc<Numbers>> {
        let builder = Pool::builder("numbers", self.numbers.clone()).size(1);
        with(builder).build(&self.steward).expect("within range")
    }
}

/// How many are in use, lie idle, are on their way, and wait.
fn counts(pool: &Pool<Arc<Numbers>>) -> (usize, usize, usize, usize) {
    let metrics = pool.metrics();
    (metrics.in_use, metrics.idle, metrics.opening, metrics.waiting)
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_came_back_is_lent_again() {
    let world = World::new();
    let pool = world.pool(|it| it);
    drop(pool.acquire().await.expect("free"));
    assert_eq!(pool.acquire().await.expect("idle").0, 0);
    assert_eq!(pool.metrics().created, 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_timeout_and_the_place_stays() {
    let world = World::new();
    let pool = world.pool(|it| it.acquire_timeout(SECOND));
    let held = pool.acquire().await.expect("free");
    let late = pool.acquire().await.expect_err("taken");
    assert!(matches!(late, PoolError::Timeout { size: 1, waiting: 0, .. }), "{late}");
    drop(held);
    pool.acquire().await.expect("free again");
    assert_eq!(pool.metrics().timeouts, 1);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_served_in_the_order_in_which_they_came() {
    let world = World::new();
    let pool = world.pool(|it| it);
    let held = pool.acquire().await.expect("free");
    let served = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let mut waiting = Vec::new();
    for who in 0..5 {
        let (pool, served) = (pool.clone(), served.clone());
        waiting.push(tokio::spawn(async move {
            let _held = pool.acquire().await.expect("its turn");
            served.lock().push(who);
        }));
        tokio::task::yield_now().await;
    }
    waiting[1].abort();
    drop(held);
    for task in waiting {
        let _ = task.await;
    }
    assert_eq!(*served.lock(), [0, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_fails_or_hangs_or_panics_gives_its_place_back() {
    let world = World::new();
    let pool = world.pool(|it| it.create_timeout(SECOND));
    world.numbers.fails.store(true, Ordering::SeqCst);
    assert!(matches!(pool.acquire().await, Err(PoolError::Create { .. })));
    world.numbers.fails.store(false, Ordering::SeqCst);

    world.numbers.hangs.store(true, Ordering::SeqCst);
    assert!(matches!(pool.acquire().await, Err(PoolError::CreateTimeout { .. })));
    assert!(timeout(MS, pool.acquire()).await.is_err(), "given up half way");
    world.numbers.hangs.store(false, Ordering::SeqCst);

    world.numbers.panics.store(true, Ordering::SeqCst);
    let panicked = tokio::spawn({
        let pool = pool.clone();
        async move { pool.acquire().await.map(drop) }
    });
    assert!(panicked.await.expect_err("panics").is_panic());
    world.numbers.panics.store(false, Ordering::SeqCst);

    assert_eq!(counts(&pool), (0, 0, 0, 0));
    pool.acquire().await.expect("its one place is free");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_place_gets_that_of_a_create_that_failed() {
    let world = World::new();
    let pool = world.pool(|it| it.create_timeout(SECOND));
    world.numbers.hangs.store(true, Ordering::SeqCst);
    let first = tokio::spawn({
        let pool = pool.clone();
        async move { pool.acquire().await.map(drop) }
    });
    tokio::task::yield_now().await;
    let second = tokio::spawn({
        let pool = pool.clone();
        async move { pool.acquire().await.map(drop) }
    });
    tokio::task::yield_now().await;
    world.numbers.hangs.store(false, Ordering::SeqCst);
    assert!(first.await.expect("no panic").is_err());
    second.await.expect("no panic").expect("the place of the first");
}

#[tokio::test(start_paused = true)]
async fn a_borrower_that_panics_costs_its_resource_and_no_place() {
    let world = World::new();
    let pool = world.pool(|it| it);
    let borrower = tokio::spawn({
        let pool = pool.clone();
        async move {
            let _held = pool.acquire().await.expect("free");
            panic!("in the middle of something");
        }
    });
    assert!(borrower.await.expect_err("panics").is_panic());
    assert_eq!((pool.metrics().closed.broken, world.numbers.alive.load(Ordering::SeqCst)), (1, 0));
    pool.acquire().await.expect("its one place is free");
}

#[tokio::test(start_paused = true)]
async fn a_judgement_that_panics_counts_as_broken() {
    let world = World::new();
    let pool = world.pool(|it| it);
    let held = pool.acquire().await.expect("free");
    world.numbers.judging_panics.store(true, Ordering::SeqCst);
    drop(held);
    assert_eq!(pool.metrics().closed.broken, 1);
    assert_eq!(counts(&pool), (0, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_fails_its_check_is_replaced_before_it_is_lent() {
    let world = World::new();
    let pool = world.pool(|it| it.check(HealthCheck::AfterIdle(SECOND)));
    drop(pool.acquire().await.expect("free"));
    world.numbers.ails.store(true, Ordering::SeqCst);
    assert_eq!(pool.acquire().await.expect("used just now, not checked").0, 0);
    world.clock.advance(SECOND);
    assert_eq!(pool.acquire().await.expect("another").0, 1);
    assert_eq!((pool.metrics().closed.failed_check, world.numbers.alive.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_is_lent_no_more() {
    let world = World::new();
    let pool = world.pool(|it| it.max_lifetime(60 * SECOND));
    drop(pool.acquire().await.expect("free"));
    world.clock.advance(53 * SECOND);
    let held = pool.acquire().await.expect("not yet too old");
    assert_eq!(held.0, 0);
    world.clock.advance(10 * SECOND);
    drop(held);
    assert_eq!((pool.metrics().closed.lifetime, world.numbers.alive.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn upkeep_closes_what_lies_idle_too_long_and_keeps_some_ready() {
    let world = World::new();
    let pool = world.pool(|it| it.size(4).max_idle(60 * SECOND).min_idle(2));
    let held: Vec<_> =
        [pool.acquire().await, pool.acquire().await, pool.acquire().await].into_iter().collect();
    drop(held);
    world.clock.advance(61 * SECOND);
    pool.maintain().await;
    assert_eq!((counts(&pool), pool.metrics().closed.idle), ((0, 2, 0, 0), 1));
}

#[tokio::test(start_paused = true)]
async fn upkeep_creates_ahead_of_need_and_checks_in_the_background() {
    let world = World::new();
    let pool = world.pool(|it| it.size(4).min_idle(2).check(HealthCheck::Background(SECOND)));
    pool.maintain().await;
    assert_eq!(counts(&pool), (0, 2, 0, 0));
    world.numbers.ails.store(true, Ordering::SeqCst);
    world.clock.advance(SECOND);
    pool.maintain().await;
    assert_eq!((counts(&pool), pool.metrics().closed.failed_check), ((0, 2, 0, 0), 2));
}

#[tokio::test(start_paused = true)]
async fn spawned_upkeep_ends_with_its_pool() {
    let world = World::new();
    let pool = world.pool(|it| it.size(4).min_idle(2));
    let upkeep = tokio::spawn(pool.upkeep(SECOND));
    tokio::time::sleep(SECOND + MS).await;
    assert_eq!(counts(&pool), (0, 2, 0, 0));
    drop(pool);
    timeout(2 * SECOND, upkeep).await.expect("ends").expect("without a panic");
    assert_eq!(world.numbers.alive.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_larger_size_serves_those_who_wait_at_once() {
    let world = World::new();
    let pool = world.pool(|it| it);
    let _held = pool.acquire().await.expect("free");
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.acquire().await.map(|held| held.0) }
    });
    tokio::task::yield_now().await;
    pool.resize(40).expect("within range, in steps");
    assert_eq!(waiting.await.expect("no panic").expect("a new one"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_smaller_size_closes_idle_ones_now_and_borrowed_ones_later() {
    let world = World::new();
    let pool = world.pool(|it| it.size(4));
    let (one, two) = (pool.acquire().await.expect("free"), pool.acquire().await.expect("free"));
    drop(pool.acquire().await.expect("free"));
    pool.resize(1).expect("within range");
    assert_eq!(world.numbers.alive.load(Ordering::SeqCst), 2);
    drop(one);
    drop(two);
    assert_eq!((counts(&pool), pool.metrics().closed.shrunk), ((0, 1, 0, 0), 2));
}

#[tokio::test(start_paused = true)]
async fn a_size_held_from_outside_lapses_and_the_pool_follows() {
    let world = World::new();
    let pool = world.pool(|it| it.size(4));
    pool.knob().set(KnobValue::Int(8), Epoch(1), Lease::For(SECOND)).expect("within a step");
    assert_eq!(pool.metrics().size, 8);
    assert!(matches!(pool.resize(5), Err(KnobError::Held { .. })));
    world.clock.advance(SECOND);
    assert_eq!(pool.metrics().size, 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_detached_leaves_a_place_and_what_is_discarded_is_closed() {
    let world = World::new();
    let pool = world.pool(|it| it);
    let kept = pool.acquire().await.expect("free").detach();
    pool.acquire().await.expect("a place").discard();
    let closed = pool.metrics().closed;
    assert_eq!((closed.detached, closed.broken, kept.0), (1, 1, 0));
    assert_eq!(world.numbers.alive.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn closing_turns_those_who_wait_away_and_waits_for_those_who_hold() {
    let world = World::new();
    let pool = world.pool(|it| it);
    let held = pool.acquire().await.expect("free");
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.acquire().await.map(drop) }
    });
    tokio::task::yield_now().await;
    assert!(timeout(SECOND, pool.close()).await.is_err(), "one is out");
    assert!(matches!(waiting.await.expect("no panic"), Err(PoolError::Closed { .. })));
    drop(held);
    timeout(SECOND, pool.close()).await.expect("drained");
    assert!(matches!(pool.acquire().await, Err(PoolError::Closed { .. })));
    assert_eq!((pool.metrics().closed.drained, world.numbers.alive.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn waits_and_holds_are_measured() {
    let world = World::new();
    let pool = world.pool(|it| it);
    let held = pool.acquire().await.expect("free");
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.acquire().await.map(drop) }
    });
    tokio::task::yield_now().await;
    world.clock.advance(2 * SECOND);
    drop(held);
    waiting.await.expect("no panic").expect("its turn");
    let metrics = pool.metrics();
    assert_eq!((metrics.waits.max(), metrics.holds.max(), metrics.arrivals), (Some(2.0), Some(2.0), 2));
    let sample = pool.take_sample();
    assert_eq!(sample.levels[1].seconds, 2.0);
    assert_eq!(pool.metrics().holds.count(), 2, "what was sampled is not lost");
}

#[test]
fn absurd_settings_are_refused_with_their_range() {
    let world = World::new();
    let builder = || Pool::builder("numbers", world.numbers.clone());
    let refused = [
        builder().size(0),
        builder().size(65),
        builder().sizes(0..=4),
        builder().sizes(1..=100_000),
        builder().min_idle(1_000_000),
        builder().acquire_timeout(Duration::ZERO),
        builder().max_lifetime(Duration::MAX),
        builder().check(HealthCheck::Background(Duration::ZERO)),
    ];
    let said: Vec<String> =
        refused.into_iter().map(|it| it.build(&world.steward).expect_err("absurd").to_string()).collect();
    assert_eq!(said[0], "pool.size is 0; it may be 1 to 64");
    assert!(said.iter().all(|said| said.starts_with("pool.")), "{said:?}");
}
