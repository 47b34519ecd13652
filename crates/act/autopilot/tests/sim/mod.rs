//! A system in memory, on simulated time: parts with a leased knob each, an objective that depends on it, and what can go wrong.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kandela_autopilot::AutonomousPerformanceManager;
use kandela_autopilot::actuator::{ActuateError, Actuator, Standing};
use kandela_autopilot::ledger::{Ledger, MemoryLedger};
use kandela_autopilot::machine::{Event, Mode, Policy, Reading, Scope, Side};
use kandela_autopilot::manager::{Clock, Fleet, Office, Settings, TargetSlos};
use kandela_autopilot::observe::{Measurements, Observed};
use kandela_autopilot::runbook::Advice;
use kandela_autopilot::watchdog::{Cause, Report};
use kandela_model::{Epoch, KnobError, KnobSpec, KnobValue, Lease, Timestamp, WireValue};
use kandela_tune::experiment::{Design, Plan};
use kandela_tune::guard::{Better, Bound, Constraint, Objective, Of};
use kandela_tune::{Config, Space, Strategy};

/// What the system does now; tests change it while it runs.
pub(crate) struct World {
    pub(crate) now: i64,
    /// Value, confirmed value, end of the lease, highest epoch: of each part.
    pub(crate) parts: Vec<(i64, i64, Option<i64>, Epoch)>,
    /// The objective by the knob's value.
    pub(crate) objective: fn(i64) -> f64,
    /// The constraint, at most 100, by the knob's value.
    pub(crate) constraint: fn(i64) -> f64,
    /// What both are multiplied with everywhere.
    pub(crate) fault: f64,
    /// Every call fails.
    pub(crate) dead: bool,
    /// Whoever asks how it stands waits for ever.
    pub(crate) hangs: bool,
    /// The objective gives nothing.
    pub(crate) silent: bool,
    /// The objective has no noise at all, as if it were made up.
    pub(crate) constant: bool,
    /// Calls that turned something for good or for a time.
    pub(crate) turned: u32,
    /// Values that are refused.
    pub(crate) refused: Vec<i64>,
    pub(crate) error_budget: f64,
    pub(crate) workload: BTreeMap<String, f64>,
    /// What the runbook says.
    pub(crate) advice: Advice,
    /// What a watchdog of the first part has to tell.
    pub(crate) reports: Vec<Report>,
    /// Reports are not forgotten.
    pub(crate) stubborn: bool,
    noise: u64,
}

impl World {
    fn lapse(&mut self) {
        for (value, confirmed, until, _) in &mut self.parts {
            if until.is_some_and(|until| until <= self.now) {
                *value = *confirmed;
                *until = None;
            }
        }
    }

    /// A factor within one percent of 1.
    fn noise(&mut self) -> f64 {
        self.noise =
            self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1.0 + 0.02 * ((self.noise >> 40) as f64 / f64::from(1 << 24) - 0.5)
    }

    fn side(&mut self, parts: std::ops::Range<usize>) -> Side {
        self.lapse();
        let count = parts.len() as f64;
        let values: Vec<i64> = self.parts[parts].iter().map(|part| part.0).collect();
        let mean = |f: fn(i64) -> f64| values.iter().map(|value| f(*value)).sum::<f64>() / count;
        let (objective, constraint) = (mean(self.objective) * self.fault, mean(self.constraint) * self.fault);
        let (objective, constraint) = (objective * self.noise(), constraint * self.noise());
        let objective = if self.constant { 1.0 } else { objective };
        Side {
            objective: (!self.silent && !self.dead).then_some(objective),
            offered: None,
            constraints: vec![(!self.dead).then_some(constraint)],
        }
    }
}

/// The system, shared by all who look at it.
#[derive(Clone)]
pub(crate) struct System(pub(crate) Arc<Mutex<World>>);

impl System {
    pub(crate) fn new(parts: usize) -> System {
        System(Arc::new(Mutex::new(World {
            now: 1_772_366_400,
            parts: vec![(16, 16, None, Epoch(0)); parts],
            objective: |value| 100.0 / value as f64,
            constraint: |_| 50.0,
            fault: 1.0,
            dead: false,
            hangs: false,
            silent: false,
            constant: false,
            turned: 0,
            refused: Vec::new(),
            error_budget: 1.0,
            workload: BTreeMap::new(),
            advice: Advice::new(),
            reports: Vec::new(),
            stubborn: false,
            noise: 1,
        })))
    }

    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.0.lock().expect("no test panicked while it held it"))
    }

    pub(crate) fn values(&self) -> Vec<i64> {
        self.with(|world| {
            world.lapse();
            world.parts.iter().map(|part| part.0).collect()
        })
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.with(|world| world.now += seconds);
    }
}

#[async_trait]
impl Clock for System {
    fn now(&self) -> Timestamp {
        self.with(|world| Timestamp::from_millis(world.now * 1_000))
    }

    async fn sleep(&self, time: Duration) {
        self.pass(time.as_secs() as i64);
        tokio::task::yield_now().await;
    }
}

#[async_trait]
impl Measurements for System {
    async fn observe(&self, _: Timestamp) -> Observed {
        self.with(|world| {
            let all = world.side(0..world.parts.len());
            Observed {
                objective: all.objective,
                constraints: all.constraints,
                error_budgets: BTreeMap::from([("availability".to_owned(), world.error_budget)]),
                workload: world.workload.clone(),
                advice: world.advice.clone(),
            }
        })
    }

    async fn slice(&self, scope: Scope, _: Timestamp, _: Timestamp) -> Reading {
        self.with(|world| {
            let all = world.parts.len();
            match scope {
                Scope::Canary if all > 1 => {
                    Reading { turned: world.side(0..1), rest: Some(world.side(1..all)) }
                }
                _ => Reading { turned: world.side(0..all), rest: None },
            }
        })
    }
}

struct Part(System, usize);

pub(crate) fn spec() -> KnobSpec {
    space().parameter("pool").expect("it is there").spec.clone()
}

impl Part {
    fn set(&self, epoch: Epoch, change: impl FnOnce(&mut World, usize)) -> Result<(), ActuateError> {
        self.0.with(|world| {
            if world.dead {
                return Err(ActuateError::Unreachable {
                    target: "sim".to_owned(),
                    reason: "it is dead".to_owned(),
                });
            }
            world.lapse();
            let seen = world.parts[self.1].3;
            if epoch < seen {
                let error = KnobError::StaleEpoch { knob: "pool".to_owned(), offered: epoch, seen };
                return Err(ActuateError::Refused { target: "sim".to_owned(), error });
            }
            world.parts[self.1].3 = epoch;
            world.turned += 1;
            change(world, self.1);
            Ok(())
        })
    }
}

#[async_trait]
impl Actuator for Part {
    fn target(&self) -> &str {
        "sim"
    }

    async fn state(&self) -> Result<Vec<Standing>, ActuateError> {
        if self.0.with(|world| world.hangs) {
            std::future::pending::<()>().await;
        }
        Ok(self.0.with(|world| {
            world.lapse();
            let (value, confirmed, until, _) = world.parts[self.1];
            let lapses_in = until.map(|until| Duration::from_secs((until - world.now) as u64));
            let (value, confirmed) = (KnobValue::Int(value), KnobValue::Int(confirmed));
            vec![Standing { spec: spec(), value, confirmed, lapses_in }]
        }))
    }

    async fn apply(&self, values: &Config, epoch: Epoch, lease: Lease) -> Result<(), ActuateError> {
        let Some(KnobValue::Int(to)) = values.get("pool") else { return Ok(()) };
        let from = self.0.with(|world| world.parts[self.1].0);
        let refused = |error| ActuateError::Refused { target: "sim".to_owned(), error };
        spec().check_step(&KnobValue::Int(from), &KnobValue::Int(*to)).map_err(refused)?;
        if self.0.with(|world| world.refused.contains(to)) {
            let error = KnobError::Target { knob: "pool".to_owned(), reason: "not this one".to_owned() };
            return Err(refused(error));
        }
        self.set(epoch, |world, part| {
            let now = world.now;
            let knob = &mut world.parts[part];
            (knob.0, knob.2) = (*to, None);
            match lease {
                Lease::Confirmed => knob.1 = *to,
                Lease::For(time) => knob.2 = Some(now + time.as_secs() as i64),
            }
        })
    }

    async fn revert(&self, _: &[String], epoch: Epoch) -> Result<(), ActuateError> {
        self.set(epoch, |world, part| {
            let knob = &mut world.parts[part];
            (knob.0, knob.2) = (knob.1, None);
        })
    }

    async fn seen(&self) -> Result<Epoch, ActuateError> {
        Ok(self.0.with(|world| world.parts[self.1].3))
    }

    async fn reports(&self) -> Result<Vec<Report>, ActuateError> {
        Ok(if self.1 == 0 { self.0.with(|world| world.reports.clone()) } else { Vec::new() })
    }

    async fn forget(&self, report: &Report) -> Result<(), ActuateError> {
        self.0.with(|world| {
            let stubborn = world.stubborn;
            world.reports.retain(|other| stubborn || other != report);
        });
        Ok(())
    }
}

pub(crate) fn space() -> Space {
    let json = r#"{"pool": {"type": "int", "min": 1, "max": 64, "log": true, "default": 16, "step_cap": {"factor": 2.0}}}"#;
    serde_json::from_str(json).expect("a space")
}

pub(crate) fn config(value: i64) -> Config {
    Config::from([("pool".to_owned(), KnobValue::Int(value))])
}

pub(crate) fn slos() -> TargetSlos {
    let objective =
        Objective { name: "latency".to_owned(), expression: "latency".to_owned(), better: Better::Lower };
    let constraint = Constraint {
        name: "errors".to_owned(),
        expression: "errors".to_owned(),
        bound: Bound::Max(100.0),
        of: Of::Value,
        window: Duration::from_secs(600),
        clip: 0.7,
    };
    TargetSlos { objective, constraints: vec![constraint] }
}

pub(crate) fn settings(mode: Mode) -> Settings {
    Settings {
        subject: "sim".to_owned(),
        holder: "test".to_owned(),
        mode,
        space: space(),
        strategy: Strategy::Random,
        seed: 3,
        policy: Policy {
            slice: Duration::from_secs(10),
            wash_out: Duration::from_secs(0),
            per_hour: 1_000,
            per_day: 1_000,
            ..Policy::default()
        },
        plan: Plan {
            smallest_gain: 0.05,
            clip: 0.4,
            ..Plan::new(Design::Switchback { wash_out: 0 }, Better::Lower, 0.05)
        },
        guard_error: 0.05,
        alpha: 0.5,
        expected: 5,
    }
}

pub(crate) fn manager(
    system: &System,
    ledger: &Arc<MemoryLedger>,
    settings: Settings,
) -> AutonomousPerformanceManager {
    let part = |part: usize| -> Arc<dyn Actuator> { Arc::new(Part(system.clone(), part)) };
    let parts = system.with(|world| world.parts.len());
    AutonomousPerformanceManager {
        settings,
        fleet: Fleet { canary: part(0), rest: (1..parts).map(part).collect() },
        measurements: Arc::new(system.clone()),
        ledger: Arc::clone(ledger) as Arc<dyn Ledger>,
        clock: Arc::new(system.clone()),
    }
}

pub(crate) async fn office(system: &System, ledger: &Arc<MemoryLedger>, settings: Settings) -> Office {
    let manager = manager(system, ledger, settings);
    manager.take_office(config(16), slos(), Duration::from_secs(10)).await.expect("it takes office")
}

/// What a watchdog tells that went back now, under a manager of `epoch`.
pub(crate) fn went_back(system: &System, epoch: u64, error: Option<&str>) -> Report {
    Report {
        target: "sim".to_owned(),
        at_ms: system.with(|world| world.now as u64 * 1_000),
        epoch,
        cause: Cause::ManagerGone,
        restored: BTreeMap::from([("pool".to_owned(), WireValue::Int(16))]),
        took_ms: 30,
        error: error.map(str::to_owned),
    }
}

/// Ticks until `done`, or fails after so many ticks with what the ledger says.
pub(crate) async fn until(system: &System, office: &mut Office, ticks: u32, done: impl Fn(&Office) -> bool) {
    for _ in 0..ticks {
        if done(office) {
            return;
        }
        system.pass(10);
        office.tick().await.expect("in office");
    }
    panic!("not within {ticks} ticks: {:#?}, waits for {:?}", office.state(), office.waits_for());
}

pub(crate) async fn events(ledger: &MemoryLedger) -> Vec<Event> {
    let rows = ledger.read(0).await.expect("in memory");
    rows.iter().map(|row| Event::of(row).expect("an event")).collect()
}

pub(crate) async fn ending(ledger: &MemoryLedger) -> Option<(kandela_autopilot::machine::Reason, String)> {
    events(ledger).await.into_iter().rev().find_map(|event| match event {
        Event::Ended { why, detail, .. } => Some((why, detail)),
        _ => None,
    })
}
