//! A real Redis, turned by the actuator and held by a watchdog.

mod common;
mod server;

use std::time::Duration;

use kandela_autopilot::actuator::ActuateError;
use kandela_autopilot::watchdog::{self, Cause};
use kandela_model::{Epoch, KnobError, KnobValue, Lease};

use common::{kill_at_every_step, one_at_a_time, until, values, whole};
use server::redis::Redis;

const LONG: Lease = Lease::For(Duration::from_secs(30));

#[tokio::test]
async fn parameters_are_set_together_or_not_at_all() {
    let Some(redis) = Redis::start() else { return };
    let it = redis.described();
    let actuator = it.open().await;
    let both = values(&[("maxmemory", whole(50_000_000)), ("activerehashing", KnobValue::Bool(false))]);
    actuator.apply(&both, Epoch(1), LONG).await.expect("both are taken");
    assert_eq!(
        (redis.parameter("maxmemory"), redis.parameter("activerehashing")),
        ("50000000".into(), "no".into())
    );
    let standings = actuator.state().await.expect("answers");
    let memory = standings.iter().find(|standing| standing.spec.name == "maxmemory").expect("a knob");
    assert_eq!((&memory.value, &memory.confirmed), (&whole(50_000_000), &whole(0)));
    assert!(memory.lapses_in.is_some_and(|time| time > Duration::from_secs(20)), "{memory:?}");

    // The space allows what Redis does not.
    let one_bad = values(&[("maxmemory", whole(70_000_000)), ("maxmemory-samples", whole(0))]);
    let error = actuator.apply(&one_bad, Epoch(1), LONG).await.expect_err("0 samples can't be");
    assert!(matches!(error, ActuateError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("maxmemory-samples"), "{error}");
    assert_eq!(redis.parameter("maxmemory"), "50000000");

    actuator
        .revert(&["maxmemory".to_owned(), "activerehashing".to_owned()], Epoch(1))
        .await
        .expect("goes back");
    assert_eq!(
        (redis.parameter("maxmemory"), redis.parameter("activerehashing")),
        ("0".into(), "yes".into())
    );
    drop(actuator);
    until("the watchdog has ended", Duration::from_secs(3), || it.living_watchdog().is_none());
}

#[tokio::test]
async fn managers_of_different_folders_turn_it_one_at_a_time() {
    let Some(redis) = Redis::start() else { return };
    one_at_a_time(&redis.described(), &values(&[("hz", whole(20))])).await;
}

#[tokio::test]
async fn what_is_confirmed_stays_and_its_watchdog_ends() {
    let Some(redis) = Redis::start() else { return };
    let it = redis.described();
    let actuator = it.open().await;
    actuator.apply(&values(&[("hz", whole(20))]), Epoch(1), LONG).await.expect("is taken");
    assert!(it.living_watchdog().is_some() && it.is_pending());
    actuator.apply(&values(&[("hz", whole(20))]), Epoch(1), Lease::Confirmed).await.expect("is confirmed");
    until("the watchdog has ended", Duration::from_secs(3), || it.living_watchdog().is_none());
    assert!(!it.is_pending());
    drop(actuator);
    it.next_start();
    assert_eq!(redis.parameter("hz"), "20");
    assert!(watchdog::reports(&it.watch().folder, "it").expect("readable").is_empty());
}

#[tokio::test]
async fn a_step_over_the_cap_is_refused_on_the_way_there_and_not_on_the_way_back() {
    let Some(redis) = Redis::start() else { return };
    let it = redis.described();
    let actuator = it.open().await;
    let far = actuator.apply(&values(&[("hz", whole(160))]), Epoch(1), LONG).await.expect_err("16-fold");
    assert!(matches!(far, ActuateError::Refused { error: KnobError::StepTooLarge { .. }, .. }), "{far}");
    for hz in [40, 160] {
        actuator.apply(&values(&[("hz", whole(hz))]), Epoch(1), LONG).await.expect("fourfold");
    }
    actuator.revert(&["hz".to_owned()], Epoch(1)).await.expect("goes back at once");
    assert_eq!(redis.parameter("hz"), "10");
}

#[tokio::test]
async fn durability_security_and_what_is_fixed_are_refused_by_class() {
    let Some(redis) = Redis::start() else { return };
    let it = redis.described();
    let actuator = it.open().await;
    for (name, value, said) in [
        ("appendonly", KnobValue::Bool(true), "of the class durability"),
        ("requirepass", KnobValue::Choice("a".into()), "of the class security"),
        ("io-threads", whole(2), "fixed while the server runs"),
    ] {
        // Read as it is, whatever it is: a password is no word of the space.
        let error = actuator.apply(&values(&[(name, value)]), Epoch(1), LONG).await.expect_err(name);
        assert!(error.to_string().contains(said), "{error}");
    }
    assert_eq!(redis.parameter("appendonly"), "no");
    assert!(!it.is_pending());
}

#[test]
fn the_confirmed_value_is_back_whoever_is_killed_at_whatever_step() {
    let Some(redis) = Redis::start() else { return };
    let it = redis.described();
    let value = || redis.parameter("maxmemory");
    kill_at_every_step(&it, "0", r#"{"maxmemory": 90000000}"#, value, Duration::from_millis(150));
}

#[test]
fn a_value_that_is_being_confirmed_is_the_old_or_the_new_one_whoever_is_killed() {
    let Some(redis) = Redis::start() else { return };
    let it = redis.described();
    let (mut old, mut seen) = ("0".to_owned(), [0, 0]);
    for step in 0..8_u32 {
        let new = (10_000_000 + step).to_string();
        let mut manager = it.begin_confirm(&format!("{{\"maxmemory\": {new}}}"), u64::from(step) + 1);
        std::thread::sleep(Duration::from_millis(20) * step);
        if step % 2 == 1
            && let Some(watchdog) = it.living_watchdog()
        {
            common::send(watchdog, rustix::process::Signal::KILL);
        }
        manager.kill();
        until("no watchdog is left", Duration::from_secs(5), || it.living_watchdog().is_none());
        it.next_start();
        let now = redis.parameter("maxmemory");
        assert!(now == old || now == new, "{now} is neither {old} nor {new}");
        assert!(!it.is_pending());
        seen[usize::from(now == new)] += 1;
        old = now;
    }
    eprintln!("confirmed while killed: {} times the old value, {} times the new one", seen[0], seen[1]);
}

#[test]
fn a_manager_of_an_older_epoch_is_refused_and_a_newer_one_has_it_go_back() {
    let Some(redis) = Redis::start() else { return };
    let it = redis.described();
    let mut hung = it.hold(r#"{"maxmemory": 11000000}"#, 6.0, 4);
    common::send(hung.0.id() as i32, rustix::process::Signal::STOP);
    let mut newer = it.hold(r#"{"hz": 20}"#, 60.0, 5);
    assert_eq!((redis.parameter("maxmemory"), redis.parameter("hz")), ("0".into(), "20".into()));
    let reports = watchdog::reports(&it.watch().folder, "it").expect("readable");
    assert_eq!(reports.iter().map(|report| report.cause).collect::<Vec<_>>(), [Cause::Succeeded]);
    watchdog::settle(&it.watch().folder, &reports[0]).expect("removed");

    // It comes back, and renews or sets: nothing of it reaches Redis.
    common::send(hung.0.id() as i32, rustix::process::Signal::CONT);
    let gone = || hung.0.try_wait().expect("is a child").is_some();
    until("the old manager gives up", Duration::from_secs(10), gone);
    let mut late = it.begin(r#"{"maxmemory": 12000000}"#, 60.0, 4);
    assert!(!late.0.wait().expect("ends").success());
    assert_eq!((redis.parameter("maxmemory"), redis.parameter("hz")), ("0".into(), "20".into()));
    newer.kill();
}

#[tokio::test]
async fn what_a_watchdog_did_is_told_once_to_the_next_manager() {
    let Some(redis) = Redis::start() else { return };
    let it = redis.described();
    it.hold(r#"{"maxmemory": 11000000}"#, 60.0, 7).kill();
    until("goes back", Duration::from_secs(5), || redis.parameter("maxmemory") == "0" && !it.is_pending());
    let folder = it.watch().folder;
    let reports = watchdog::reports(&folder, "it").expect("readable");
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!((reports[0].cause, reports[0].epoch, &reports[0].error), (Cause::ManagerGone, 7, &None));
    assert_eq!(reports[0].restored["maxmemory"], kandela_model::WireValue::Int(0));
    watchdog::settle(&folder, &reports[0]).expect("removed");
    assert!(watchdog::reports(&folder, "it").expect("readable").is_empty());
}

#[tokio::test]
async fn without_a_watchdog_nothing_is_changed_and_what_a_crash_left_is_taken_back_all_the_same() {
    let Some(redis) = Redis::start() else { return };
    let it = redis.described();
    let mut manager = it.hold(r#"{"maxmemory": 11000000}"#, 60.0, 1);
    common::send(manager.0.id() as i32, rustix::process::Signal::STOP);
    common::send(it.watchdog(), rustix::process::Signal::KILL);
    until("it is dead", Duration::from_secs(3), || it.living_watchdog().is_none());
    manager.kill();
    assert!(it.is_pending());

    let mut watch = it.watch();
    watch.program = vec!["/no/such/program".into()];
    let targets = kandela_autopilot::actuator::config::targets_from_yaml(&it.text).expect("a target");
    let actuator = targets[0].open(&watch).await.expect("opens");
    assert_eq!(redis.parameter("maxmemory"), "0");
    let error =
        actuator.apply(&values(&[("hz", whole(20))]), Epoch(2), LONG).await.expect_err("nobody to hold it");
    assert!(matches!(error, ActuateError::Unguarded { .. }), "{error}");
    assert_eq!(redis.parameter("hz"), "10");
}

#[test]
fn a_watchdog_that_is_told_to_end_goes_back_first() {
    let Some(redis) = Redis::start() else { return };
    let it = redis.described();
    let mut manager = it.hold(r#"{"maxmemory": 11000000}"#, 60.0, 1);
    common::send(it.watchdog(), rustix::process::Signal::TERM);
    until("goes back", Duration::from_secs(5), || redis.parameter("maxmemory") == "0" && !it.is_pending());
    manager.kill();
    let reports = watchdog::reports(&it.watch().folder, "it").expect("readable");
    assert_eq!(reports[0].cause, Cause::ToldToEnd);
}

#[test]
fn a_target_that_is_away_is_taken_back_when_it_comes_back() {
    let Some(redis) = Redis::start() else { return };
    let it = redis.described();
    let mut manager = it.hold(r#"{"maxmemory": 11000000}"#, 60.0, 1);
    // It neither answers nor forgets.
    common::send(redis.server.0.id() as i32, rustix::process::Signal::STOP);
    manager.kill();
    until("the failure is told", Duration::from_secs(15), || {
        let reports = watchdog::reports(&it.watch().folder, "it").expect("readable");
        reports.iter().any(|report| report.error.is_some())
    });
    common::send(redis.server.0.id() as i32, rustix::process::Signal::CONT);
    until("goes back", Duration::from_secs(15), || redis.parameter("maxmemory") == "0" && !it.is_pending());
}

#[test]
fn a_watchdog_whose_target_never_comes_back_ends_when_its_file_is_removed() {
    let Some(redis) = Redis::start() else { return };
    let it = redis.described();
    let mut manager = it.hold(r#"{"maxmemory": 11000000}"#, 60.0, 1);
    drop(redis);
    manager.kill();
    let told = || !watchdog::reports(&it.watch().folder, "it").expect("readable").is_empty();
    until("the failure is told", Duration::from_secs(5), told);
    assert!(it.is_pending() && it.living_watchdog().is_some());
    std::fs::remove_file(it.of_target("inverse.json")).expect("removed");
    until("the watchdog has ended", Duration::from_secs(8), || it.living_watchdog().is_none());
}
