//! Real servers under a tuner: taken from setting to setting, and left as they were found.

mod common;
mod server;

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use kandela_autopilot::actuator::ActuateError;
use kandela_autopilot::target::postgres::{Data, Storage};
use kandela_autopilot::target::{Machine, Options, Target, TargetError, Workload};
use kandela_autopilot::watchdog::Watch;
use kandela_model::KnobValue;
use kandela_tune::{Config, Space};
use rustix::process::Signal;

use common::{PROGRAM, Process, until, values, whole};
use server::postgres::Server;
use server::redis::Redis;

const HOLD: Duration = Duration::from_secs(60);
const GB: u64 = 1 << 30;

fn options(folder: &std::path::Path) -> Options {
    let watch = Watch::new(folder, vec![PROGRAM.into(), "watch".into()]);
    Options {
        machine: Some(Machine { memory: GB, cpus: 2 }),
        workload: Workload::Oltp,
        ..Options::new(watch)
    }
}

fn restarting(server: &Server, folder: &std::path::Path) -> Options {
    let restart = serde_json::from_str(&server.restart()).expect("a command");
    Options { restart: Some(restart), ..options(folder) }
}

fn url(server: &Server) -> String {
    format!("postgres://kandela@127.0.0.1:{}/postgres", server.port)
}

/// The lines of `postgresql.auto.conf`: their order means nothing, as no setting is there twice.
fn written(server: &Server) -> BTreeSet<String> {
    let text = fs::read_to_string(server.data().join("postgresql.auto.conf")).expect("readable");
    text.lines().map(str::to_owned).collect()
}

/// The settings at one end of every axis, but for memory, of which several tests at a time take some.
fn far(space: &Space) -> Config {
    let mut config = space.decode(&vec![1.0; space.axes().len()]);
    if config.contains_key("shared_buffers") {
        config.insert("shared_buffers".to_owned(), whole(4096));
    }
    config
}

fn space(json: &str) -> Option<Space> {
    Some(serde_json::from_str(json).expect("a space"))
}

async fn refusal(url: &str, options: &Options) -> String {
    match Target::open(url, options).await {
        Ok(_) => panic!("{url} opens"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_trial_is_in_force_with_its_restart_and_all_is_as_it_was_afterwards() {
    let Some(server) = Server::start() else { return };
    server.psql("ALTER SYSTEM SET checkpoint_timeout = '7min'");
    server.psql("SELECT pg_reload_conf()");
    let before = written(&server);
    let folder = tempfile::tempdir().expect("a folder");
    let target = Target::open(&url(&server), &restarting(&server, folder.path())).await.expect("opens");
    assert_eq!(target.space().axes().len(), 11);
    let start = target.space().decode(&target.space().start());
    assert_eq!((&start["shared_buffers"], &start["checkpoint_timeout"]), (&whole(2048), &whole(420)));

    let trial = far(target.space());
    target.apply(&trial, HOLD).await.expect("is taken");
    for (name, value) in &trial {
        let shown = server.show(name);
        let same = match value {
            KnobValue::Float(wanted) => shown.parse::<f64>().is_ok_and(|shown| (shown - wanted).abs() < 1e-9),
            other => shown == other.to_string(),
        };
        assert!(same, "{name} stands at {shown}, not at {value}");
    }

    target.apply(&start, HOLD).await.expect("is taken");
    assert_eq!(server.show("shared_buffers"), "2048");
    target.apply(&trial, HOLD).await.expect("is taken");
    target.restore().await.expect("goes back");
    assert_eq!(written(&server), before);
    let stood = ["shared_buffers", "checkpoint_timeout", "wal_compression"].map(|name| server.show(name));
    assert_eq!(stood, ["2048", "420", "off"]);
    assert!(!folder.path().join(format!("postgres-127.0.0.1-{}/inverse.json", server.port)).exists());
}

#[tokio::test]
async fn without_a_restart_only_what_a_reload_changes_is_searched() {
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let target = Target::open(&url(&server), &options(folder.path())).await.expect("opens");
    assert!(target.space().parameter("shared_buffers").is_none());
    target.apply(&far(target.space()), HOLD).await.expect("is taken");
    assert_eq!(server.show("checkpoint_timeout"), "1800");
}

#[tokio::test]
async fn what_is_recommended_can_be_run_by_hand_and_real_numbers_hold_to_six_digits() {
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let target = Target::open(&url(&server), &options(folder.path())).await.expect("opens");
    let mut trial = target.space().decode(&target.space().start());
    trial.insert("autovacuum_vacuum_cost_delay".to_owned(), KnobValue::Float(1.346_054_520_284_266_4));
    trial.insert("commit_delay".to_owned(), whole(300));
    target.apply(&trial, HOLD).await.expect("is taken");
    let shown = || ["autovacuum_vacuum_cost_delay", "commit_delay"].map(|name| server.show(name));
    let applied = shown();
    target.restore().await.expect("goes back");
    assert_ne!(shown(), applied);
    let statements = target.statements(&trial);
    assert_eq!(statements.len(), 3, "{statements:?}");
    statements.iter().for_each(|statement| drop(server.psql(statement)));
    let began = std::time::Instant::now();
    while shown() != applied && began.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(shown(), applied);
}

#[tokio::test]
async fn a_knob_that_a_trial_does_not_name_is_where_it_was_found() {
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let target = Target::open(&url(&server), &options(folder.path())).await.expect("opens");
    target
        .apply(&values(&[("commit_delay", whole(100)), ("bgwriter_lru_maxpages", whole(50))]), HOLD)
        .await
        .expect("is taken");
    target.apply(&values(&[("bgwriter_lru_maxpages", whole(70))]), HOLD).await.expect("is taken");
    assert_eq!(
        (server.show("commit_delay"), server.show("bgwriter_lru_maxpages")),
        ("0".into(), "70".into())
    );
}

#[tokio::test]
async fn a_value_that_the_server_does_not_start_with_is_told_and_the_server_is_up() {
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let huge = space(
        r#"{"shared_buffers": {"type": "int", "min": 16, "max": 1000000000}, "jit": {"type": "bool"}}"#,
    );
    let options = Options { space: huge, ..restarting(&server, folder.path()) };
    let target = Target::open(&url(&server), &options).await.expect("opens");
    let error = target.apply(&values(&[("shared_buffers", whole(1_000_000_000))]), HOLD).await;
    let error = error.expect_err("no machine has that");
    assert!(matches!(error, TargetError::Actuate(ActuateError::Failed { .. })), "{error}");
    assert_eq!(server.show("shared_buffers"), "2048");
}

#[tokio::test]
async fn pgtunes_settings_are_applied_beside_the_search_and_taken_back() {
    let Some(server) = Server::start() else { return };
    let before = written(&server);
    let folder = tempfile::tempdir().expect("a folder");
    let target = Target::open(&url(&server), &restarting(&server, folder.path())).await.expect("opens");
    let peer = target.pgtune(Storage::Ssd, Data::Similar).expect("a PostgreSQL");
    assert_eq!(peer.left_out, []);
    target.apply(&peer.config, HOLD).await.expect("is taken");
    // A quarter of a gigabyte, and the jit that the search of short transactions does not look at.
    assert_eq!((server.show("shared_buffers"), server.show("jit")), ("32768".into(), "off".into()));
    target.restore().await.expect("goes back");
    assert_eq!(written(&server), before);

    let folder = tempfile::tempdir().expect("a folder");
    let target = Target::open(&url(&server), &options(folder.path())).await.expect("opens");
    let peer = target.pgtune(Storage::Ssd, Data::Similar).expect("a PostgreSQL");
    let left_out: Vec<&str> = peer.left_out.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(left_out, ["shared_buffers", "wal_buffers", "huge_pages"]);
    target.apply(&peer.config, HOLD).await.expect("a reload will do");
}

#[tokio::test]
async fn what_can_not_be_searched_is_told_before_anything_is_tried() {
    let Some(server) = Server::start() else { return };
    let before = written(&server);
    let folder = tempfile::tempdir().expect("a folder");
    let with = |json: &str| Options { space: space(json), ..options(folder.path()) };
    for (json, said) in [
        (r#"{"fsync": {"type": "bool"}}"#, "of the class durability, which is never set"),
        (r#"{"ssl": {"type": "bool"}}"#, "of the class security, which is never set"),
        (r#"{"shared_bufers": {"type": "int", "min": 1, "max": 9}}"#, "this server has no such setting"),
        (r#"{"shared_buffers": {"type": "int", "min": 16, "max": 99}}"#, "it needs a restart"),
        (r#"{"block_size": {"type": "int", "min": 1, "max": 9}}"#, "fixed when the server was built"),
        (r#"{"work_mem": {"type": "bool"}}"#, "the space has it as true or false"),
    ] {
        let error = refusal(&url(&server), &with(json)).await;
        assert!(error.contains(said), "{json}: {error}");
    }
    server.psql("ALTER ROLE kandela SET work_mem = '7MB'");
    let theirs = with(r#"{"work_mem": {"type": "int", "min": 64, "max": 9999}}"#);
    let error = refusal(&url(&server), &theirs).await;
    assert!(error.contains(r#"its source is "user""#), "{error}");
    let mut nowhere = restarting(&server, folder.path());
    nowhere.data_directory = Some("/no/such/folder".into());
    let error = refusal(&url(&server), &nowhere).await;
    assert!(error.contains("/no/such/folder/postgresql.auto.conf can't be read"), "{error}");
    let error = refusal("postgres://kandela@127.0.0.1:1/postgres", &options(folder.path())).await;
    assert!(error.contains("can't be reached"), "{error}");
    assert_eq!(written(&server), before);
}

#[tokio::test]
async fn a_second_tuner_is_told_that_there_is_a_first() {
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let first = Target::open(&url(&server), &options(folder.path())).await.expect("opens");
    first.apply(&values(&[("bgwriter_lru_maxpages", whole(50))]), HOLD).await.expect("is taken");
    let error = refusal(&url(&server), &options(folder.path())).await;
    assert!(error.contains("is being tuned by another, whose watchdog is process"), "{error}");
    assert_eq!(server.show("bgwriter_lru_maxpages"), "50");
    first.restore().await.expect("goes back");
    Target::open(&url(&server), &options(folder.path())).await.expect("is free again");
}

/// A process that holds a trial, for the tests below to kill.
#[tokio::test]
async fn holds_a_trial_where_another_test_asks_for_it() {
    let Ok(asked) = std::env::var("KANDELA_TEST_TUNER") else { return };
    let (url, folder) = asked.split_once(' ').expect("a URL and a folder");
    let target = Target::open(url, &options(folder.as_ref())).await.expect("opens");
    let trial = match url.starts_with("redis") {
        true => values(&[("hz", whole(77))]),
        false => values(&[("bgwriter_lru_maxpages", whole(77))]),
    };
    target.apply(&trial, HOLD).await.expect("is taken");
    tokio::time::sleep(HOLD).await;
}

fn tuner(url: &str, folder: &std::path::Path) -> Process {
    let child = Command::new(std::env::current_exe().expect("known"))
        .args(["--exact", "holds_a_trial_where_another_test_asks_for_it"])
        .env("KANDELA_TEST_TUNER", format!("{url} {}", folder.display()))
        .stdout(Stdio::null())
        .spawn();
    Process(child.expect("starts"))
}

#[tokio::test]
async fn the_server_of_a_killed_tuner_is_as_it_was() {
    let Some(server) = Server::start() else { return };
    let before = written(&server);
    let folder = tempfile::tempdir().expect("a folder");
    let mut tuner = tuner(&url(&server), folder.path());
    until("the trial is in force", HOLD, || server.show("bgwriter_lru_maxpages") == "77");
    tuner.kill();
    until("it is back", Duration::from_secs(10), || server.show("bgwriter_lru_maxpages") == "100");
    until("so is its file", Duration::from_secs(10), || written(&server) == before);
}

#[tokio::test]
async fn the_next_tuner_begins_where_the_server_stood_when_tuner_and_watchdog_were_killed() {
    let Some(server) = Server::start() else { return };
    let before = written(&server);
    let folder = tempfile::tempdir().expect("a folder");
    let mut tuner = tuner(&url(&server), folder.path());
    until("the trial is in force", HOLD, || server.show("bgwriter_lru_maxpages") == "77");
    common::send(tuner.0.id() as i32, Signal::STOP);
    let lock = folder.path().join(format!("postgres-127.0.0.1-{}/lock", server.port));
    let watchdog = fs::read_to_string(lock).expect("a watchdog is here");
    common::send(watchdog.trim().parse().expect("a process"), Signal::KILL);
    tuner.kill();
    let target = Target::open(&url(&server), &options(folder.path())).await.expect("opens");
    let start = target.space().decode(&target.space().start());
    assert_eq!(start["bgwriter_lru_maxpages"], whole(100));
    assert_eq!(written(&server), before);
}

#[tokio::test]
async fn what_somebody_else_turns_during_a_trial_is_seen() {
    let Some(redis) = Redis::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("redis://127.0.0.1:{}", redis.port);
    let target = Target::open(&url, &options(folder.path())).await.expect("opens");
    let trial = values(&[("hz", whole(50))]);
    target.apply(&trial, HOLD).await.expect("is taken");
    assert_eq!(target.strayed(&trial).await.expect("answers"), None);
    redis.cli(&["config", "set", "hz", "11"]);
    let strayed = target.strayed(&trial).await.expect("answers");
    assert_eq!(strayed.as_deref(), Some("hz stands at 11, not at 50"));
    target.restore().await.expect("goes back");
    assert_eq!(redis.parameter("hz"), "10");
}

#[tokio::test]
async fn a_redis_is_taken_from_setting_to_setting_and_left_as_it_was() {
    let Some(redis) = Redis::start() else { return };
    let all = || redis.cli(&["config", "get", "*"]);
    let before = all();
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("redis://127.0.0.1:{}", redis.port);
    let target = Target::open(&url, &options(folder.path())).await.expect("opens");
    assert!(target.space().has_start() && target.space().axes().len() == 11);
    target.apply(&far(target.space()), HOLD).await.expect("is taken");
    assert_eq!(
        (redis.parameter("hz"), redis.parameter("list-max-listpack-size")),
        ("500".into(), "-1".into())
    );
    target.apply(&values(&[("dynamic-hz", KnobValue::Bool(false))]), HOLD).await.expect("is taken");
    assert_eq!((redis.parameter("hz"), redis.parameter("dynamic-hz")), ("10".into(), "no".into()));
    target.restore().await.expect("goes back");
    assert_eq!(all(), before);
    assert!(matches!(target.pgtune(Storage::Ssd, Data::Less), Err(TargetError::NoPeer { .. })));

    let safe = Options { space: space(r#"{"appendonly": {"type": "bool"}}"#), ..options(folder.path()) };
    let error = refusal(&url, &safe).await;
    assert!(error.contains("of the class durability, which is never set"), "{error}");
}

#[tokio::test]
async fn the_redis_of_a_killed_tuner_is_as_it_was() {
    let Some(redis) = Redis::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut tuner = tuner(&format!("redis://127.0.0.1:{}", redis.port), folder.path());
    until("the trial is in force", HOLD, || redis.parameter("hz") == "77");
    tuner.kill();
    until("it is back", Duration::from_secs(10), || redis.parameter("hz") == "10");
}
