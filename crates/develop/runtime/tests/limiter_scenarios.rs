//! What a limiter does, step by step.
#![cfg(feature = "limiter")]

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kandela_model::{Epoch, KnobValue, Lease};
use kandela_runtime::clock::ManualClock;
use kandela_runtime::limiter::{Entry, Limiter, Permit, Priority, Refused, Settings, Waiting, Why};
use kandela_runtime::steward::Steward;
use proptest::prelude::*;

const MILLISECOND: Duration = Duration::from_millis(1);

fn limiter(limit: usize, queue: usize) -> (ManualClock, Steward, Limiter) {
    let clock = ManualClock::new();
    let steward = Steward::new(Arc::new(clock.clone()));
    let settings = Settings { initial: limit, queue, ..Settings::default() };
    let limiter = Limiter::new("limiter", settings, &steward).expect("within range");
    (clock, steward, limiter)
}

fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn wait(limiter: &Limiter, priority: Priority) -> Waiting {
    match limiter.enter(priority) {
        Entry::Waiting(waiting) => waiting,
        other => panic!("{other:?}"),
    }
}

#[test]
fn as_many_are_in_flight_as_the_limit_says() {
    let (_, _, limiter) = limiter(2, 0);
    let _first = limiter.try_acquire(Priority::Normal).expect("room");
    let second = limiter.try_acquire(Priority::Normal).expect("room");
    let refused = limiter.try_acquire(Priority::Critical).expect_err("no room");
    assert_eq!(refused, Refused { priority: Priority::Critical, why: Why::Full });
    second.ignored();
    assert!(limiter.try_acquire(Priority::Low).is_ok());
}

#[test]
fn a_more_important_call_takes_the_place_of_one_that_waits() {
    let (_, _, limiter) = limiter(1, 1);
    let _permit = limiter.try_acquire(Priority::Normal).expect("room");
    let mut low = wait(&limiter, Priority::Low);
    let _critical = wait(&limiter, Priority::Critical);
    let refused = poll(Pin::new(&mut low)).expect("settled").expect_err("displaced");
    assert_eq!(refused.why, Why::Displaced);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_too_long_is_turned_away() {
    let (_, _, limiter) = limiter(1, 10);
    let permit = limiter.try_acquire(Priority::Normal).expect("room");
    let refused = limiter.acquire(Priority::Normal).await.expect_err("a second has passed");
    assert_eq!(refused.why, Why::WaitedTooLong);
    assert_eq!(limiter.report().waiting, 0);
    permit.ignored();
    assert_eq!(limiter.report().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_gets_the_permit_of_whoever_leaves() {
    let (_, _, limiter) = limiter(1, 10);
    let permit = limiter.try_acquire(Priority::Normal).expect("room");
    let waits = tokio::spawn({
        let limiter = limiter.clone();
        async move { limiter.acquire(Priority::Normal).await.map(Permit::ignored) }
    });
    tokio::task::yield_now().await;
    drop(permit);
    waits.await.expect("no panic").expect("admitted");
    assert_eq!(limiter.report().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_dropped_while_they_wait_leave_nothing_behind() {
    let (_, _, limiter) = limiter(1, 10);
    let permit = limiter.try_acquire(Priority::Normal).expect("room");
    {
        let mut first = pin!(limiter.acquire(Priority::Normal));
        let mut second = pin!(limiter.acquire(Priority::Normal));
        assert!(poll(first.as_mut()).is_none() && poll(second.as_mut()).is_none());
        assert_eq!(limiter.report().waiting, 2);
        // The first is admitted, and is dropped before it learns of that.
        drop(permit);
    }
    let report = limiter.report();
    assert_eq!((report.in_flight, report.waiting), (0, 0));
}

#[test]
fn a_call_that_panics_gives_its_permit_back() {
    let (_, _, limiter) = limiter(1, 0);
    let panicking = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _permit = limiter.try_acquire(Priority::Normal).expect("room");
        std::panic::resume_unwind(Box::new("user code"));
    }));
    assert!(panicking.is_err());
    assert!(limiter.try_acquire(Priority::Normal).is_ok());
}

#[test]
fn a_limit_set_from_outside_holds_until_its_lease_lapses() {
    let (clock, steward, limiter) = limiter(20, 0);
    let knob = steward.knobs().get("limiter.limit").expect("registered");
    knob.set(KnobValue::Int(3), Epoch(1), Lease::For(60_000 * MILLISECOND)).expect("within range");
    assert_eq!(limiter.report().limit, 3);
    busy(&clock, &steward, &limiter, 5);
    assert_eq!(limiter.report().limit, 3);
    assert!(steward.log().entries().is_empty());
    clock.advance(60_000 * MILLISECOND);
    busy(&clock, &steward, &limiter, 60);
    assert!(limiter.report().limit > 3, "{limiter:?}");
}

/// A far side with 10 workers of 10 ms, offered more than it can bear for `seconds`.
fn busy(clock: &ManualClock, steward: &Steward, limiter: &Limiter, seconds: u64) {
    let mut queued: VecDeque<Permit> = VecDeque::new();
    let mut served: VecDeque<(u64, Permit)> = VecDeque::new();
    for millisecond in 0..1000 * seconds {
        clock.advance(MILLISECOND);
        while served.front().is_some_and(|(until, _)| *until <= millisecond) {
            served.pop_front().into_iter().for_each(|(_, permit)| permit.success());
        }
        while let Ok(permit) = limiter.try_acquire(Priority::Normal) {
            queued.push_back(permit);
        }
        while served.len() < 10
            && let Some(permit) = queued.pop_front()
        {
            served.push_back((millisecond + 10, permit));
        }
        if millisecond % 1000 == 999 {
            steward.tick();
        }
    }
}

#[test]
fn the_log_has_the_moves_of_the_limit_but_not_each_small_one() {
    let (clock, steward, limiter) = limiter(100, 0);
    busy(&clock, &steward, &limiter, 120);
    let entries = steward.log().entries();
    assert!(!entries.is_empty() && entries.len() < 40, "{} entries", entries.len());
    for entry in &entries {
        let (KnobValue::Int(from), KnobValue::Int(to)) = (&entry.from, &entry.to) else {
            panic!("{entry:?}")
        };
        assert!((*to as f64 / *from as f64 - 1.0).abs() > 0.05, "{entry:?}");
        assert!(!entry.reason.evidence.is_empty(), "{entry:?}");
    }
}

#[test]
fn another_algorithm_goes_on_from_the_limit_of_the_last() {
    let (clock, steward, limiter) = limiter(20, 0);
    busy(&clock, &steward, &limiter, 10);
    let algorithm = steward.knobs().get("limiter.algorithm").expect("registered");
    algorithm.set(KnobValue::Choice("gradient2".to_owned()), Epoch(1), Lease::Confirmed).expect("a choice");
    busy(&clock, &steward, &limiter, 60);
    assert!(limiter.report().limit > 40, "gradient2 grows without bound: {limiter:?}");
}

#[test]
fn a_clock_that_steps_back_does_no_harm() {
    let (clock, steward, limiter) = limiter(20, 0);
    busy(&clock, &steward, &limiter, 20);
    clock.set(kandela_runtime::clock::Moment::ORIGIN);
    busy(&clock, &steward, &limiter, 20);
    assert!((6..=16).contains(&limiter.report().limit), "{limiter:?}");
}

#[derive(Clone, Debug)]
enum Event {
    Enter(Priority),
    Success(usize),
    Dropped(usize),
    Ignored(usize),
    Poll(usize),
    GiveUp(usize),
    Leave(usize),
    Limit(i64),
    Advance(u64),
    StepBack,
    Tick,
}

fn event() -> impl Strategy<Value = Event> {
    let priority = prop::sample::select(Priority::ALL.to_vec());
    prop_oneof![
        8 => priority.prop_map(Event::Enter),
        3 => (0..6usize).prop_map(Event::Success),
        1 => (0..6usize).prop_map(Event::Dropped),
        1 => (0..6usize).prop_map(Event::Ignored),
        3 => (0..6usize).prop_map(Event::Poll),
        1 => (0..6usize).prop_map(Event::GiveUp),
        1 => (0..6usize).prop_map(Event::Leave),
        1 => (1..6i64).prop_map(Event::Limit),
        2 => (0..400u64).prop_map(Event::Advance),
        1 => Just(Event::StepBack),
        1 => Just(Event::Tick),
    ]
}

proptest! {
    #[test]
    fn nobody_is_let_in_beyond_the_limit_and_every_permit_ends_once(
        events in prop::collection::vec(event(), 1..200),
    ) {
        let (clock, steward, limiter) = limiter(3, 4);
        let knob = steward.knobs().get("limiter.limit").expect("registered");
        let mut permits: Vec<Permit> = Vec::new();
        let mut waiting: Vec<Waiting> = Vec::new();
        for event in events {
            let before = limiter.report();
            match event {
                Event::Enter(priority) => match limiter.enter(priority) {
                    Entry::Admitted(permit) => permits.push(permit),
                    Entry::Waiting(place) => waiting.push(place),
                    Entry::Refused(_) => {}
                },
                Event::Success(at) if at < permits.len() => permits.swap_remove(at).success(),
                Event::Dropped(at) if at < permits.len() => permits.swap_remove(at).dropped(),
                Event::Ignored(at) if at < permits.len() => permits.swap_remove(at).ignored(),
                Event::Poll(at) if at < waiting.len() => {
                    if let Some(settled) = poll(Pin::new(&mut waiting[at])) {
                        permits.extend(settled.ok());
                        drop(waiting.swap_remove(at));
                    }
                }
                Event::GiveUp(at) if at < waiting.len() => permits.extend(waiting.swap_remove(at).give_up().ok()),
                Event::Leave(at) if at < waiting.len() => drop(waiting.swap_remove(at)),
                Event::Limit(limit) => {
                    knob.set(KnobValue::Int(limit), Epoch(1), Lease::Confirmed).expect("within range");
                }
                Event::Advance(time) => clock.advance(time as u32 * MILLISECOND),
                Event::StepBack => clock.set(kandela_runtime::clock::Moment::ORIGIN),
                Event::Tick => steward.tick(),
                _ => {}
            }
            let after = limiter.report();
            prop_assert!(after.in_flight <= after.limit.max(before.in_flight), "{before:?} {after:?}");
            prop_assert!(after.waiting == 0 || after.in_flight >= after.limit, "room, and somebody waits: {after:?}");
            prop_assert!(after.waiting <= waiting.len() && after.in_flight >= permits.len());
            prop_assert!(after.waiting + after.in_flight <= waiting.len() + permits.len());
        }
        permits.clear();
        waiting.clear();
        let end = limiter.report();
        prop_assert_eq!((end.in_flight, end.waiting), (0, 0));
    }
}

#[cfg(feature = "tower")]
#[tokio::test(start_paused = true)]
async fn as_a_layer_it_limits_a_service() {
    use kandela_runtime::limiter::layer::{LimitedError, LimiterLayer};
    use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

    let (_, _, limiter) = limiter(1, 0);
    let service = service_fn(|request: u32| async move {
        tokio::time::sleep(10 * MILLISECOND).await;
        Ok::<_, ()>(request)
    });
    let mut limited = ServiceBuilder::new().layer(LimiterLayer::new(limiter.clone())).service(service);
    let first = limited.ready().await.expect("always ready").call(1);
    let second = limited.ready().await.expect("always ready").call(2);
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first, Ok(1));
    assert!(matches!(second, Err(LimitedError::Refused(_))));
    assert_eq!(limiter.report().in_flight, 0);
}
