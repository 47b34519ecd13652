//! What a breaker does, step by step, on a clock that stands still until it is set.
#![cfg(feature = "breaker")]

use std::sync::Arc;
use std::time::Duration;

use kandela_model::{Epoch, KnobValue, Lease};
use kandela_runtime::breaker::{Breaker, Knowledge, Mode, Settings, Span, State};
use kandela_runtime::clock::{ManualClock, Moment};
use kandela_runtime::steward::Steward;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

fn breaker(settings: Settings) -> (ManualClock, Steward, Breaker) {
    let clock = ManualClock::new();
    let steward = Steward::new(Arc::new(clock.clone()));
    let breaker = Breaker::new("payment", settings, &steward).expect("within range");
    (clock, steward, breaker)
}

fn exact() -> Settings {
    Settings { jitter: 0.0, learn: false, ..Settings::default() }
}

fn fail(breaker: &Breaker, times: usize) {
    for _ in 0..times {
        breaker.permit().expect("not open").failure();
    }
}

fn succeed(breaker: &Breaker, times: usize, latency: Duration) {
    for _ in 0..times {
        breaker.permit().expect("not open").success(latency);
    }
}

fn knob(steward: &Steward, name: &str) -> f64 {
    match steward.knobs().get(name).expect("registered").get() {
        KnobValue::Float(value) => value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_opens_when_too_many_of_enough_calls_fail() {
    let (_, _, breaker) = breaker(exact());
    fail(&breaker, 19);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.permit().expect_err("open").retry_after, Some(SECOND));
}

#[test]
fn it_opens_when_too_many_calls_are_slow() {
    let (_, steward, breaker) = breaker(Settings { slow: SECOND, ..exact() });
    succeed(&breaker, 20, SECOND);
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(steward.log().entries()[0].reason.why, "too many calls are slow");
}

#[test]
fn calls_older_than_the_window_do_not_count() {
    let (clock, _, breaker) = breaker(Settings { span: Span::Time(10 * SECOND), ..exact() });
    fail(&breaker, 19);
    clock.advance(11 * SECOND);
    fail(&breaker, 19);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn it_closes_when_its_probes_go_well() {
    let (clock, _, breaker) = breaker(exact());
    fail(&breaker, 20);
    clock.advance(SECOND);
    succeed(&breaker, 5, MILLISECOND);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn only_so_many_probes_go_through() {
    let (clock, _, breaker) = breaker(exact());
    fail(&breaker, 20);
    clock.advance(SECOND);
    let probes: Vec<_> = (0..5).map(|_| breaker.permit().expect("a probe")).collect();
    assert_eq!(breaker.permit().expect_err("no probe left").retry_after, Some(SECOND));
    drop(probes);
}

#[test]
fn each_time_that_probes_fail_it_stays_open_twice_as_long() {
    let (clock, _, breaker) = breaker(exact());
    fail(&breaker, 20);
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        let open = breaker.permit().expect_err("open");
        assert_eq!(open.retry_after, Some(wait * SECOND));
        clock.advance(wait * SECOND);
        fail(&breaker, 3);
        assert_eq!(breaker.state(), State::Open);
    }
}

#[test]
fn a_probe_that_is_dropped_makes_room_for_another() {
    let (clock, _, breaker) = breaker(exact());
    fail(&breaker, 20);
    clock.advance(SECOND);
    for _ in 0..100 {
        drop(breaker.permit().expect("a probe"));
    }
    succeed(&breaker, 5, MILLISECOND);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn probes_that_never_come_back_do_not_hold_it_half_open() {
    let (clock, _, breaker) = breaker(exact());
    fail(&breaker, 20);
    clock.advance(SECOND);
    for _ in 0..5 {
        std::mem::forget(breaker.permit().expect("a probe"));
    }
    clock.advance(30 * SECOND);
    assert_eq!(breaker.permit().expect_err("open again").retry_after, Some(2 * SECOND));
    clock.advance(2 * SECOND);
    succeed(&breaker, 5, MILLISECOND);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn results_from_before_a_change_of_state_are_not_looked_at() {
    let (clock, _, breaker) = breaker(exact());
    let early: Vec<_> = (0..5).map(|_| breaker.permit().expect("closed")).collect();
    fail(&breaker, 20);
    clock.advance(SECOND);
    let probe = breaker.permit().expect("a probe");
    early.into_iter().for_each(|permit| permit.success(MILLISECOND));
    assert_eq!(breaker.state(), State::HalfOpen);
    drop(probe);
}

#[test]
fn a_clock_that_steps_back_an_hour_keeps_it_open_no_longer() {
    let (clock, _, breaker) = breaker(exact());
    clock.advance(3600 * SECOND);
    fail(&breaker, 20);
    clock.set(Moment::ORIGIN);
    assert_eq!(breaker.permit().expect_err("open").retry_after, Some(SECOND));
    clock.advance(SECOND);
    succeed(&breaker, 5, MILLISECOND);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_forced_mode_ends_with_its_lease() {
    let (clock, steward, breaker) = breaker(exact());
    let mode = steward.knobs().get("payment.mode").expect("registered");
    mode.set(KnobValue::Choice("open".to_owned()), Epoch(1), Lease::For(60 * SECOND)).expect("a choice");
    assert_eq!(breaker.permit().expect_err("forced").retry_after, None);
    assert!(breaker.set_mode(Mode::ForcedClosed).is_err());
    clock.advance(60 * SECOND);
    succeed(&breaker, 1, MILLISECOND);
}

#[test]
fn forced_closed_it_lets_all_through_and_looks_at_none() {
    let (_, _, breaker) = breaker(exact());
    breaker.set_mode(Mode::ForcedClosed).expect("nobody holds it");
    fail(&breaker, 100);
    breaker.set_mode(Mode::Automatic).expect("nobody holds it");
    assert_eq!((breaker.state(), breaker.report().counts.calls), (State::Closed, 0));
}

#[test]
fn the_log_says_why_it_opened_and_what_that_did() {
    let (clock, steward, breaker) = breaker(exact());
    succeed(&breaker, 5, MILLISECOND);
    fail(&breaker, 15);
    clock.advance(SECOND);
    succeed(&breaker, 5, MILLISECOND);
    let entries = steward.log().entries();
    let states: Vec<_> = entries.iter().map(|entry| (entry.knob.as_str(), entry.to.clone())).collect();
    let state = |name: &str| ("payment.state", KnobValue::Choice(name.to_owned()));
    assert_eq!(states, [state("open"), state("half-open"), state("closed")]);
    assert!(entries[0].reason.evidence.contains(&("failure_rate", 0.75)), "{:?}", entries[0].reason);
    let observed = entries[0].observed.as_ref().expect("it closed");
    assert_eq!((observed.before, observed.after), (0.75, 0.0));
}

/// A service that answers 100 calls a second, one in `fails_one_in` of them not, for `seconds`.
fn serve(
    (clock, steward, breaker): &(ManualClock, Steward, Breaker),
    seconds: u64,
    latency: Duration,
    fails_one_in: usize,
) {
    for second in 0..seconds {
        for call in 0..100 {
            if let Ok(permit) = breaker.permit() {
                // Not in step with the window.
                match (second as usize * 100 + call) % fails_one_in {
                    0 => permit.failure(),
                    _ => permit.success(latency),
                }
            }
            clock.advance(10 * MILLISECOND);
        }
        steward.tick();
    }
}

#[test]
fn it_learns_what_is_normal_and_says_when_it_has_not_yet() {
    let all = breaker(Settings::default());
    serve(&all, 5, 20 * MILLISECOND, 50);
    assert!(matches!(all.2.report().knowledge, Knowledge::Learning { needed: 1000, .. }));
    assert_eq!(knob(&all.1, "payment.failure_rate"), 0.5);
    serve(&all, 30, 20 * MILLISECOND, 50);
    assert!(matches!(all.2.report().knowledge, Knowledge::Learned(_)));
    assert_eq!(knob(&all.1, "payment.failure_rate"), 0.1);
    assert!((0.039..0.042).contains(&knob(&all.1, "payment.slow_seconds")));
}

#[test]
fn having_learned_it_opens_at_what_is_far_from_normal_and_at_nothing_less() {
    let all = breaker(Settings::default());
    serve(&all, 60, 20 * MILLISECOND, 20);
    let learned = knob(&all.1, "payment.failure_rate");
    assert!((0.13..0.17).contains(&learned), "{learned}");
    // A bad patch that a healthy service may well have: 12 % of a window.
    serve(&all, 20, 20 * MILLISECOND, 8);
    assert_eq!(all.2.state(), State::Closed);
    serve(&all, 3, 20 * MILLISECOND, 3);
    assert_ne!(all.2.state(), State::Closed);
}

#[test]
fn a_service_that_drags_opens_it_though_nobody_set_a_time() {
    let all = breaker(Settings::default());
    serve(&all, 60, 20 * MILLISECOND, 1000);
    serve(&all, 3, 200 * MILLISECOND, 1000);
    assert_ne!(all.2.state(), State::Closed);
}

#[test]
fn an_outage_is_not_learned_as_normal() {
    let all = breaker(Settings::default());
    serve(&all, 60, 20 * MILLISECOND, 100);
    let before = (knob(&all.1, "payment.failure_rate"), knob(&all.1, "payment.slow_seconds"));
    serve(&all, 600, 2 * SECOND, 2);
    assert_eq!((knob(&all.1, "payment.failure_rate"), knob(&all.1, "payment.slow_seconds")), before);
}

#[test]
fn however_slowly_a_service_decays_the_ceiling_holds() {
    let all = breaker(Settings { half_life: 60 * SECOND, ..Settings::default() });
    for fails_one_in in [50, 40, 30, 20, 15, 12, 10, 8, 7, 6, 5, 4, 3] {
        serve(&all, 300, 20 * MILLISECOND, fails_one_in);
    }
    assert!(knob(&all.1, "payment.failure_rate") <= 0.5);
    serve(&all, 30, 20 * MILLISECOND, 1);
    assert_ne!(all.2.state(), State::Closed);
}

#[test]
fn a_call_that_panics_counts_as_failed_and_poisons_nothing() {
    let (_, _, breaker) = breaker(exact());
    for _ in 0..20 {
        let panicking = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _permit = breaker.permit().expect("closed");
            std::panic::resume_unwind(Box::new("user code"));
        }));
        assert!(panicking.is_err());
    }
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test]
async fn a_fallback_answers_while_it_is_open() {
    let (_, _, breaker) = breaker(exact());
    fail(&breaker, 20);
    let answer = breaker.call_or(async { Ok::<_, ()>("paid") }, |_| "pay later").await;
    assert_eq!(answer, "pay later");
}

#[tokio::test]
async fn a_call_that_is_dropped_says_nothing() {
    let (_, _, breaker) = breaker(exact());
    for _ in 0..100 {
        let mut call = Box::pin(breaker.call(std::future::pending::<Result<(), ()>>()));
        assert!(futures_poll(call.as_mut()).is_none());
    }
    assert_eq!((breaker.state(), breaker.report().counts.calls), (State::Closed, 0));
}

fn futures_poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

#[cfg(feature = "tower")]
#[tokio::test]
async fn as_a_layer_it_guards_a_service() {
    use kandela_runtime::breaker::CallError;
    use kandela_runtime::breaker::layer::BreakerLayer;
    use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

    let (_, _, breaker) = breaker(exact());
    let service = service_fn(|_: ()| async { Err::<(), _>("refused") });
    let mut guarded = ServiceBuilder::new().layer(BreakerLayer::new(breaker)).service(service);
    for _ in 0..20 {
        let failed = guarded.ready().await.expect("always ready").call(()).await;
        assert_eq!(failed, Err(CallError::Failed("refused")));
    }
    let refused = guarded.ready().await.expect("always ready").call(()).await;
    assert!(matches!(refused, Err(CallError::Open(_))));
}

#[test]
fn one_probe_that_fails_as_a_healthy_service_may_does_not_open_it_again() {
    let all = breaker(Settings::default());
    serve(&all, 60, 20 * MILLISECOND, 50);
    let (clock, _, breaker) = &all;
    while breaker.state() == State::Closed {
        fail(breaker, 1);
    }
    clock.advance(2 * SECOND);
    fail(breaker, 1);
    succeed(breaker, 4, 20 * MILLISECOND);
    assert_eq!(breaker.state(), State::Closed);
}
