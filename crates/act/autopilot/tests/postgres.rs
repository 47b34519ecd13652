//! A real PostgreSQL 15, turned by the actuator and held by a watchdog.

mod common;
mod server;

use std::fs;
use std::time::Duration;

use kandela_autopilot::actuator::ActuateError;
use kandela_model::{Epoch, KnobValue, Lease};

use common::{kill_at_every_step, one_at_a_time, until, values, whole};
use server::postgres::Server;

const LONG: Lease = Lease::For(Duration::from_secs(60));

#[tokio::test]
async fn settings_are_in_force_together_or_not_at_all() {
    let Some(server) = Server::start() else { return };
    let it = server.described(false);
    let actuator = it.open().await;
    let three = values(&[
        ("work_mem", whole(8192)),
        ("random_page_cost", KnobValue::Float(1.1)),
        ("jit", KnobValue::Bool(false)),
    ]);
    actuator.apply(&three, Epoch(1), LONG).await.expect("all are taken");
    assert_eq!(
        (server.show("work_mem"), server.show("random_page_cost"), server.show("jit")),
        ("8192".into(), "1.1".into(), "off".into())
    );

    for (name, value, said) in [
        ("work_mem", whole(3), "3 is outside what the server takes, 64 to"),
        ("wal_compression", KnobValue::Choice("nonsense".into()), "nonsense is none of the server's words"),
        ("shared_buffers", whole(4096), "it needs a restart, and the target has no command for one"),
    ] {
        let pair = values(&[("random_page_cost", KnobValue::Float(2.0)), (name, value)]);
        let error = actuator.apply(&pair, Epoch(1), LONG).await.expect_err(name).to_string();
        assert!(error.contains(said), "{error}");
    }
    assert_eq!((server.show("work_mem"), server.show("random_page_cost")), ("8192".into(), "1.1".into()));

    actuator
        .revert(&["work_mem", "random_page_cost", "jit"].map(str::to_owned), Epoch(1))
        .await
        .expect("goes back");
    assert_eq!(
        (server.show("work_mem"), server.show("random_page_cost"), server.show("jit")),
        ("4096".into(), "4".into(), "on".into())
    );
    let auto = fs::read_to_string(server.data().join("postgresql.auto.conf")).expect("readable");
    assert!(!auto.contains("work_mem"), "what was not set before is not set after: {auto}");
}

#[tokio::test]
async fn managers_of_different_folders_turn_it_one_at_a_time_across_its_restarts() {
    let Some(server) = Server::start() else { return };
    let it = server.described(true);
    one_at_a_time(&it, &values(&[("shared_buffers", whole(4096)), ("work_mem", whole(8192))])).await;
}

#[tokio::test]
async fn durability_and_security_are_never_set_whatever_the_space_says() {
    let Some(server) = Server::start() else { return };
    let it = server.described(true);
    let actuator = it.open().await;
    for (name, value, class) in [
        ("fsync", KnobValue::Bool(true), "durability"),
        ("log_statement", KnobValue::Choice("all".into()), "security"),
    ] {
        let error =
            actuator.apply(&values(&[(name, value)]), Epoch(1), Lease::Confirmed).await.expect_err(name);
        assert!(
            error.to_string().contains(&format!("knob {name} is of the class {class}, which is never set")),
            "{error}"
        );
    }
    assert_eq!((server.show("fsync"), server.show("log_statement")), ("off".into(), "none".into()));
}

#[tokio::test]
async fn a_setting_that_somebody_overrides_is_told_with_its_source_and_taken_back() {
    let Some(server) = Server::start() else { return };
    server.psql("ALTER ROLE kandela SET work_mem = '7MB'");
    let it = server.described(false);
    let error = it
        .open()
        .await
        .apply(&values(&[("work_mem", whole(8192))]), Epoch(1), LONG)
        .await
        .expect_err("theirs");
    assert!(matches!(error, ActuateError::Failed { .. }), "{error}");
    assert!(
        error.to_string().contains("work_mem stands at 7168, not at 8192: its source is \"user\""),
        "{error}"
    );
    let auto = fs::read_to_string(server.data().join("postgresql.auto.conf")).expect("readable");
    assert!(!auto.contains("work_mem"), "{auto}");
}

#[tokio::test]
async fn a_server_that_does_not_start_with_its_new_value_is_brought_back() {
    let Some(server) = Server::start() else { return };
    let it = server.described(true);
    let actuator = it.open().await;
    actuator
        .apply(&values(&[("shared_buffers", whole(4096))]), Epoch(1), Lease::Confirmed)
        .await
        .expect("restarts");
    assert_eq!(server.show("shared_buffers"), "4096");

    let began = std::time::Instant::now();
    let far_too_much = values(&[("shared_buffers", whole(1_000_000_000)), ("work_mem", whole(8192))]);
    let error = actuator.apply(&far_too_much, Epoch(1), LONG).await.expect_err("no machine has that");
    assert!(matches!(error, ActuateError::Failed { .. }), "{error}");
    assert!(error.to_string().contains("pg_ctl"), "{error}");
    assert_eq!((server.show("shared_buffers"), server.show("work_mem")), ("4096".into(), "4096".into()));
    eprintln!(
        "a server that does not start is back with its old values after {} ms",
        began.elapsed().as_millis()
    );
    drop(actuator);
    until("the watchdog has ended", Duration::from_secs(3), || it.living_watchdog().is_none());
    assert!(!it.is_pending());
}

#[test]
fn the_confirmed_value_is_back_whoever_is_killed_at_whatever_step() {
    let Some(server) = Server::start() else { return };
    let it = server.described(false);
    kill_at_every_step(
        &it,
        "4096",
        r#"{"work_mem": 9999}"#,
        || server.show("work_mem"),
        Duration::from_millis(250),
    );
}

#[test]
fn a_value_that_needed_a_restart_is_back_after_another_one_when_the_manager_is_killed() {
    let Some(server) = Server::start() else { return };
    let it = server.described(true);
    let mut manager = it.hold(r#"{"shared_buffers": 4096}"#, 30.0, 1);
    assert_eq!(server.show("shared_buffers"), "4096");
    manager.kill();
    let back = until("back", Duration::from_secs(15), || {
        server.show("shared_buffers") == "2048" && !it.is_pending()
    });
    eprintln!("back by a restart {} ms after the manager was killed", back.as_millis());
}

#[test]
fn a_server_that_does_not_start_is_brought_back_by_the_next_start_when_manager_and_watchdog_were_killed() {
    let Some(server) = Server::start() else { return };
    let it = server.described(true);
    let before = server.show("shared_buffers");
    for (epoch, delay_ms) in [(1, 150), (2, 350), (3, 700)] {
        let mut manager = it.begin(r#"{"shared_buffers": 1000000000}"#, 30.0, epoch);
        std::thread::sleep(Duration::from_millis(delay_ms));
        common::send(manager.0.id() as i32, rustix::process::Signal::STOP);
        if let Some(watchdog) = it.living_watchdog() {
            common::send(watchdog, rustix::process::Signal::KILL);
        }
        manager.kill();
        let began = std::time::Instant::now();
        it.next_start();
        assert_eq!(server.show("shared_buffers"), before);
        assert!(!it.is_pending());
        eprintln!("killed after {delay_ms} ms: back {} ms after the next start", began.elapsed().as_millis());
    }
    let auto = fs::read_to_string(server.data().join("postgresql.auto.conf")).expect("readable");
    assert!(!auto.contains("shared_buffers"), "{auto}");
}
