//! A real manager process, killed (`SIGKILL`) before and after every kind of step that it takes: each append to a ledger in a file, and
//! each call to a system in another process that keeps leases.
//!
//! This binary is the manager too: with `KANDELA_KILL_AT` set it runs one, and holds still at that step until it is killed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::extract::State as Shared;
use axum::routing::get;
use axum::{Json, Router};
use kandela_autopilot::AutonomousPerformanceManager;
use kandela_autopilot::actuator::config::TargetConfig;
use kandela_autopilot::actuator::http::HttpKnobs;
use kandela_autopilot::actuator::{ActuateError, Actuator, Standing};
use kandela_autopilot::ledger::{Entry, FileLedger, Ledger, LedgerError};
use kandela_autopilot::machine::{Event, Mode, Policy, Reading, Scope, Side, State};
use kandela_autopilot::manager::{Fleet, Office, Settings, SystemClock, TargetSlos};
use kandela_autopilot::observe::{Measurements, Observed};
use kandela_model::{
    Epoch, Hold, Knob, KnobChange, KnobError, KnobSpec, KnobState, KnobType, KnobValue, Lease, StepCap,
    Timestamp,
};
use kandela_tune::experiment::{Design, Plan};
use kandela_tune::guard::{Better, Objective};
use kandela_tune::{Config, Space, Strategy};

const LEASE: Duration = Duration::from_millis(600);

/// A knob that keeps its lease.
struct Leased {
    spec: KnobSpec,
    held: Mutex<Held>,
}

#[derive(Clone)]
struct Held {
    value: i64,
    confirmed: i64,
    until: Option<Instant>,
    seen: Epoch,
}

impl Leased {
    fn now(&self) -> std::sync::MutexGuard<'_, Held> {
        let mut held = self.held.lock().expect("whole");
        if held.until.is_some_and(|until| until <= Instant::now()) {
            (held.value, held.until) = (held.confirmed, None);
        }
        held
    }
}

impl Knob for Leased {
    fn spec(&self) -> &KnobSpec {
        &self.spec
    }

    fn get(&self) -> KnobValue {
        KnobValue::Int(self.now().value)
    }

    fn hold(&self) -> Hold {
        let held = self.now();
        Hold {
            confirmed: KnobValue::Int(held.confirmed),
            seen: held.seen,
            held: held.until.is_some(),
            lapses_in: held.until.map(|until| until.saturating_duration_since(Instant::now())),
        }
    }

    fn set(&self, value: KnobValue, epoch: Epoch, lease: Lease) -> Result<(), KnobError> {
        self.spec.check(&value)?;
        let KnobValue::Int(value) = value else { return Ok(()) };
        let mut held = self.now();
        if epoch < held.seen {
            return Err(KnobError::StaleEpoch {
                knob: self.spec.name.clone(),
                offered: epoch,
                seen: held.seen,
            });
        }
        (held.value, held.seen) = (value, epoch);
        match lease {
            Lease::For(time) => held.until = Some(Instant::now() + time),
            Lease::Confirmed => (held.confirmed, held.until) = (value, None),
        }
        Ok(())
    }

    fn hand_back(&self, epoch: Epoch) -> Result<(), KnobError> {
        let confirmed = KnobValue::Int(self.now().confirmed);
        self.set(confirmed, epoch, Lease::Confirmed)
    }
}

async fn serve() -> (Arc<Leased>, String) {
    let spec = KnobSpec {
        name: "pool".to_owned(),
        kind: KnobType::Int { min: 1, max: 64, log: true },
        step_cap: StepCap::Unlimited,
        cost: kandela_model::ApplyCost::Live,
    };
    let held = Held { value: 16, confirmed: 16, until: None, seen: Epoch(0) };
    let knob = Arc::new(Leased { spec, held: Mutex::new(held) });
    let show = |Shared(knob): Shared<Arc<Leased>>| async move { Json(vec![KnobState::of(knob.as_ref())]) };
    let put = |Shared(knob): Shared<Arc<Leased>>, Json(changes): Json<Vec<KnobChange>>| async move {
        let refused = changes.iter().find_map(|change| change.apply(knob.as_ref()).err());
        match refused {
            None => Ok(Json(vec![KnobState::of(knob.as_ref())])),
            Some(error) => Err((
                http::StatusCode::CONFLICT,
                Json(serde_json::json!({"error": error.to_string(), "knob": "pool"})),
            )),
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let router = Router::new().route("/knobs", get(show).put(put)).with_state(Arc::clone(&knob));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (knob, url)
}

/// Says which step comes, and holds still at the one to be killed at.
#[derive(Clone, Default)]
struct Steps {
    kill_at: Option<String>,
    counts: Arc<Mutex<BTreeMap<String, u32>>>,
    over: Arc<AtomicBool>,
}

impl Steps {
    fn at(&self, step: &str) {
        let mut counts = self.counts.lock().expect("whole");
        let count = counts.entry(step.to_owned()).or_default();
        *count += 1;
        let label = format!("{step} {count}");
        if self.kill_at.as_ref() == Some(&label) {
            println!("holds still");
            loop {
                std::thread::sleep(Duration::from_secs(60));
            }
        }
        if self.kill_at.as_deref() == Some("nowhere") {
            println!("{label}");
        }
    }
}

struct Told(FileLedger, Steps);

#[async_trait]
impl Ledger for Told {
    async fn read(&self, seq: u64) -> Result<Vec<Entry>, LedgerError> {
        self.0.read(seq).await
    }

    async fn append(&self, rows: &[Entry]) -> Result<(), LedgerError> {
        let kinds: Vec<String> = rows.iter().map(kind).collect();
        let kinds = kinds.join("+");
        self.1.at(&format!("before-append-{kinds}"));
        self.0.append(rows).await?;
        self.1.at(&format!("after-append-{kinds}"));
        self.1
            .over
            .store(kinds.contains("settled") && kinds_promoted(&self.0.read(0).await?), Ordering::Relaxed);
        Ok(())
    }
}

fn kind(row: &Entry) -> String {
    let payload: serde_json::Value = serde_json::from_str(&row.payload).expect("JSON");
    payload["kind"].as_str().expect("a kind").to_owned()
}

fn kinds_promoted(rows: &[Entry]) -> bool {
    rows.iter().any(|row| kind(row) == "promoted")
}

struct Turned(HttpKnobs, Steps);

#[async_trait]
impl Actuator for Turned {
    fn target(&self) -> &str {
        self.0.target()
    }

    async fn state(&self) -> Result<Vec<Standing>, ActuateError> {
        self.0.state().await
    }

    async fn apply(&self, values: &Config, epoch: Epoch, lease: Lease) -> Result<(), ActuateError> {
        let what = if lease == Lease::Confirmed { "confirm" } else { "lease" };
        self.1.at(&format!("before-{what}"));
        let came = self.0.apply(values, epoch, lease).await;
        self.1.at(&format!("after-{what}"));
        came
    }

    async fn revert(&self, knobs: &[String], epoch: Epoch) -> Result<(), ActuateError> {
        self.1.at("before-revert");
        let came = self.0.revert(knobs, epoch).await;
        self.1.at("after-revert");
        came
    }
}

/// Reads the knob; more is better.
struct Measured(HttpKnobs, Mutex<u32>);

impl Measured {
    async fn objective(&self) -> Option<f64> {
        let standings = self.0.state().await.ok()?;
        let KnobValue::Int(value) = standings.first()?.value else { return None };
        let mut count = self.1.lock().expect("whole");
        *count += 1;
        Some(100.0 / value as f64 * (1.0 + 0.001 * f64::from(*count % 7)))
    }
}

#[async_trait]
impl Measurements for Measured {
    async fn observe(&self, _: Timestamp) -> Observed {
        Observed { objective: self.objective().await, ..Observed::default() }
    }

    async fn slice(&self, _: Scope, _: Timestamp, _: Timestamp) -> Reading {
        Reading { turned: Side { objective: self.objective().await, ..Side::default() }, rest: None }
    }
}

fn knobs(url: &str) -> HttpKnobs {
    let config: TargetConfig =
        serde_json::from_value(serde_json::json!({"name": "app", "http": {"processes": [url]}}))
            .expect("a target");
    HttpKnobs::new(&config).expect("a target")
}

async fn take_office(url: &str, ledger: &Path, steps: &Steps) -> Office {
    let space: Space =
        serde_json::from_str(r#"{"pool": {"type": "int", "min": 16, "max": 64, "log": true}}"#)
            .expect("a space");
    let settings = Settings {
        subject: "app".to_owned(),
        holder: format!("process {}", std::process::id()),
        mode: Mode::Auto,
        space,
        strategy: Strategy::Random,
        seed: 5,
        policy: Policy {
            slice: Duration::from_millis(2),
            wash_out: Duration::ZERO,
            grace: LEASE,
            per_hour: 1_000,
            ..Policy::default()
        },
        plan: Plan { clip: 0.3, ..Plan::new(Design::Switchback { wash_out: 0 }, Better::Lower, 0.05) },
        guard_error: 0.1,
        alpha: 0.5,
        expected: 1,
    };
    let manager = AutonomousPerformanceManager {
        settings,
        fleet: Fleet { canary: Arc::new(Turned(knobs(url), steps.clone())), rest: Vec::new() },
        measurements: Arc::new(Measured(knobs(url), Mutex::new(0))),
        ledger: Arc::new(Told(FileLedger::open(ledger).expect("a ledger"), steps.clone())),
        clock: Arc::new(SystemClock),
    };
    let objective =
        Objective { name: "latency".to_owned(), expression: "latency".to_owned(), better: Better::Lower };
    let slos = TargetSlos { objective, constraints: Vec::new() };
    let initial = Config::from([("pool".to_owned(), KnobValue::Int(16))]);
    manager.take_office(initial, slos, Duration::from_millis(2)).await.expect("in office")
}

/// One promotion, from start to end.
async fn be_the_manager(url: &str, ledger: &Path, kill_at: String) {
    let steps = Steps { kill_at: Some(kill_at), ..Steps::default() };
    let mut office = take_office(url, ledger, &steps).await;
    while !steps.over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(3)).await;
        office.tick().await.expect("in office");
    }
    println!("is done");
}

/// Runs a manager in a process of its own, and kills it once it holds still; gives what it said.
fn run_and_kill(url: &str, ledger: &Path, kill_at: &str) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().expect("this binary"))
        .args(["a_manager_killed_at_any_step_leaves_the_last_good_settings", "--exact", "--nocapture"])
        .env("KANDELA_KILL_AT", kill_at)
        .env("KANDELA_KILL_URL", url)
        .env("KANDELA_KILL_LEDGER", ledger)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let stdout = child.stdout.take().expect("piped");
    let mut said = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.expect("text");
        let over = line == "holds still" || line == "is done";
        said.push(line);
        if over {
            break;
        }
    }
    child.kill().expect("killed");
    child.wait().expect("it ended");
    said
}

fn state_of(rows: &[Entry]) -> State {
    let mut state = State::default();
    rows.iter().for_each(|row| state.apply(row.at, row.epoch, &Event::of(row).expect("an event")));
    state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_killed_at_any_step_leaves_the_last_good_settings() {
    if let Ok(kill_at) = std::env::var("KANDELA_KILL_AT") {
        let var = |name| std::env::var(name).expect("set with the other");
        return be_the_manager(&var("KANDELA_KILL_URL"), Path::new(&var("KANDELA_KILL_LEDGER")), kill_at)
            .await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (_, url) = serve().await;
    let all =
        tokio::task::block_in_place(|| run_and_kill(&url, &folder.path().join("whole.jsonl"), "nowhere"));
    assert_eq!(all.last().map(String::as_str), Some("is done"), "{all:?}");
    // Of each kind of step the first and the last.
    let mut chosen: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for (step, count) in all.iter().filter_map(|line| line.rsplit_once(' ')) {
        let Ok(count) = count.parse::<u32>() else { continue };
        let range = chosen.entry(step).or_insert((count, count));
        range.1 = range.1.max(count);
    }
    let kills: Vec<String> = chosen
        .iter()
        .flat_map(|(step, (first, last))| {
            let both = if first == last { vec![*first] } else { vec![*first, *last] };
            both.into_iter().map(move |count| format!("{step} {count}"))
        })
        .collect();
    for acted in ["lease", "confirm", "revert", "append-turned", "append-settled"] {
        for side in ["before", "after"] {
            assert!(chosen.contains_key(format!("{side}-{acted}").as_str()), "{side}-{acted}: {kills:?}");
        }
    }
    for (number, kill_at) in kills.iter().enumerate() {
        let (knob, url) = serve().await;
        let path = folder.path().join(format!("{number}.jsonl"));
        let said = tokio::task::block_in_place(|| run_and_kill(&url, &path, kill_at));
        assert_eq!(said.last().map(String::as_str), Some("holds still"), "{kill_at}: {said:?}");
        // Left alone: the knob goes back by itself.
        tokio::time::sleep(LEASE + Duration::from_millis(50)).await;
        let ledger = FileLedger::open(&path).expect("readable");
        let state = state_of(&ledger.read(0).await.expect("readable"));
        let alone = knob.now().clone();
        let value = |config: &Config| config.get("pool").cloned().unwrap_or(KnobValue::Int(16));
        let good = value(state.good());
        let was_good = [good.clone(), KnobValue::Int(16)];
        let left = KnobValue::Int(alone.value);
        let fine = if state.unsettled.is_some() { was_good.contains(&left) } else { left == good };
        assert!(fine && alone.until.is_none(), "{kill_at}: left at {left}, the ledger says {good}");
        // And whoever comes next brings it to what the ledger says.
        let next = take_office(&url, &path, &Steps::default()).await;
        let settled = knob.now().clone();
        assert_eq!(
            (KnobValue::Int(settled.value), KnobValue::Int(settled.confirmed)),
            (value(next.state().good()), value(next.state().good())),
            "{kill_at}"
        );
        assert!(next.state().unsettled.is_none() && next.state().trial().is_none(), "{kill_at}");
        assert_eq!(value(next.state().good()), good, "{kill_at}: nothing is promoted by a restart");
    }
    println!("killed at {} steps: {kills:?}", kills.len());
}
