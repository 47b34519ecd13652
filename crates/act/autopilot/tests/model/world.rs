//! A system with two leased knobs, a ledger, and up to two managers that run the real machine, in steps small enough to be
//! interrupted between any two of them.

use std::rc::Rc;
use std::time::Duration;

use kandela_algebra::verdict::Verdict;
use kandela_autopilot::machine::{
    Arm, Candidate, Command, Decision, Event, Input, Judge, Judged, Machine, Mode, Observation, Order, Phase,
    Policy, Reading, Reason, Scope, Side, State, Trial, Trouble,
};
use kandela_model::{Epoch, KnobValue, Timestamp};
use kandela_tune::Config;

/// After so many proposals nothing new is proposed.
pub(crate) const PROPOSALS: u64 = 2;

pub(crate) fn config(value: i64) -> Config {
    Config::from([("knob".to_owned(), KnobValue::Int(value))])
}

fn value_of(config: &Config) -> i64 {
    match config.get("knob") {
        Some(KnobValue::Int(value)) => *value,
        None => 0,
        other => panic!("the knob is a whole number, not {other:?}"),
    }
}

/// Counts: a slice of the candidate that reads 1 is good, 2 bad; a rest that reads 2 is degraded.
pub(crate) struct Counting;

impl Judge for Counting {
    fn has_canary(&self) -> bool {
        true
    }

    fn next(&self, trial: &Trial) -> (Scope, Arm) {
        match trial.phase {
            Phase::Canary => (Scope::Canary, Arm::Candidate),
            Phase::Verify if trial.slices.is_empty() => (Scope::All, Arm::Control),
            Phase::Verify => (Scope::All, Arm::Candidate),
        }
    }

    fn judge(&self, trial: &Trial) -> Judged {
        let of_candidate = || trial.slices.iter().filter(|slice| slice.arm == Arm::Candidate);
        let reads = |value: f64| of_candidate().any(|slice| slice.reading.turned.objective == Some(value));
        let degraded = |slice: &kandela_autopilot::machine::Slice| {
            slice.reading.rest.as_ref().is_some_and(|rest| rest.objective == Some(2.0))
        };
        let verdict = if reads(2.0) {
            Verdict::Violated
        } else if reads(1.0) {
            Verdict::Holds
        } else {
            Verdict::Unknown
        };
        Judged {
            safety: verdict,
            benefit: if trial.phase == Phase::Verify { verdict } else { Verdict::Unknown },
            external: trial.slices.iter().any(degraded),
            over: false,
            estimate: None,
            interval: None,
            capital: 1.0,
            noise: None,
            margins: Vec::new(),
            broken: Vec::new(),
            missing: Vec::new(),
        }
    }
}

pub(crate) fn machine() -> Machine<Counting> {
    let policy = Policy {
        interval: Duration::from_secs(10),
        slice: Duration::from_secs(20),
        wash_out: Duration::from_secs(0),
        grace: Duration::from_secs(0),
        canary_slices: 4,
        verify_slices: 4,
        per_hour: 100,
        ..Policy::default()
    };
    Machine { policy, judge: Counting }
}

/// What the checker breaks on purpose, to see that it finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    None,
    ActsBeforeWriting,
    IgnoresEpochs,
    NeverLapses,
    ForgetsToRestore,
    PromotesFromTheCanary,
    PromotesBadSlices,
    GivesUpAfterOneTry,
    AppendsWithoutLooking,
}

/// A knob as the runtime library keeps it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Knob {
    pub(crate) value: i64,
    pub(crate) confirmed: i64,
    pub(crate) until: Option<i64>,
    pub(crate) seen: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Doing {
    Nothing,
    Writing(Decision),
    Acting(Vec<Command>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manager {
    pub(crate) name: u8,
    pub(crate) epoch: u64,
    pub(crate) state: State,
    pub(crate) doing: Doing,
    /// What came of commands, to be decided on in order.
    pub(crate) inbox: Vec<Input>,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) now: i64,
    pub(crate) rows: Vec<Rc<(Timestamp, Epoch, Event)>>,
    /// The fold of the rows.
    pub(crate) ledger: State,
    pub(crate) canary: Knob,
    pub(crate) rest: Knob,
    pub(crate) managers: Vec<Manager>,
    /// All settings that were good at some time.
    pub(crate) goods: Vec<i64>,
    pub(crate) faults: u8,
}

/// How a call to the system ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Done,
    Refused,
    Unreachable,
    HalfDone,
    DoneButNotHeardOf,
    CrashHalfWay,
    CrashAfter,
}

/// What may happen next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Start(u8),
    Crash(u8),
    Write(u8),
    Act(u8, Call),
    Decide(u8),
    Tick(u8),
    Measure(u8, f64, f64),
    Order(u8, Order),
    Wait(i64),
}

impl World {
    pub(crate) fn new() -> World {
        let knob = Knob { value: 0, confirmed: 0, until: None, seen: 0 };
        World {
            now: 1_000,
            rows: Vec::new(),
            ledger: State::default(),
            canary: knob.clone(),
            rest: knob,
            managers: Vec::new(),
            goods: vec![0],
            faults: 0,
        }
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_micros(self.now * 1_000_000)
    }

    fn manager(&mut self, name: u8) -> &mut Manager {
        self.managers.iter_mut().find(|manager| manager.name == name).expect("it runs")
    }

    fn stop(&mut self, name: u8) {
        self.managers.retain(|manager| manager.name != name);
    }

    pub(crate) fn lapse(&mut self) {
        for knob in [&mut self.canary, &mut self.rest] {
            if knob.until.is_some_and(|until| until <= self.now) {
                knob.value = knob.confirmed;
                knob.until = None;
            }
        }
    }

    /// Nothing goes on any more.
    pub(crate) fn quiet(&self) -> bool {
        let idle = |manager: &Manager| manager.doing == Doing::Nothing && manager.inbox.is_empty();
        let over = self.ledger.proposals >= PROPOSALS || self.ledger.paused.is_some();
        !self.managers.is_empty()
            && self.managers.iter().all(idle)
            && over
            && self.ledger.open.is_none()
            && self.ledger.unsettled.is_none()
    }

    /// What may happen without anything going wrong.
    pub(crate) fn regular(&self) -> Vec<Step> {
        if self.managers.is_empty() {
            return vec![Step::Start(0)];
        }
        let mut steps = Vec::new();
        for Manager { name, doing, inbox, state, .. } in &self.managers {
            steps.push(match doing {
                Doing::Writing(_) => Step::Write(*name),
                Doing::Acting(commands) => match commands.first() {
                    Some(Command::Measure { .. }) => Step::Measure(*name, 1.0, 1.0),
                    _ => Step::Act(*name, Call::Done),
                },
                Doing::Nothing if !inbox.is_empty() => Step::Decide(*name),
                Doing::Nothing => {
                    let waits = state.trial().and_then(|trial| trial.current.as_ref());
                    let waits = waits.and_then(|current| current.turned);
                    match waits.map(|turned| turned.micros() / 1_000_000 + 20 - self.now) {
                        Some(left) if left > 0 => Step::Wait(left),
                        _ if self.waits_to_settle(state) => Step::Wait(10),
                        _ => Step::Tick(*name),
                    }
                }
            });
        }
        steps
    }

    fn waits_to_settle(&self, state: &State) -> bool {
        let last = state.unsettled.as_ref().and_then(|unsettled| unsettled.last);
        last.is_some_and(|last| self.now - last.micros() / 1_000_000 < 10)
    }

    /// What may go wrong, or be ordered.
    pub(crate) fn faults(&self) -> Vec<Step> {
        let mut steps = vec![Step::Wait(31)];
        if self.managers.len() == 1 {
            steps.push(Step::Start(1 - self.managers[0].name));
        }
        for Manager { name, doing, inbox, .. } in &self.managers {
            steps.push(Step::Crash(*name));
            match doing {
                Doing::Acting(commands) => match commands.first() {
                    Some(Command::Measure { .. }) => {
                        let readings = [(2.0, 1.0), (2.0, 2.0), (f64::INFINITY, 1.0)];
                        steps.extend(readings.map(|(turned, rest)| Step::Measure(*name, turned, rest)));
                    }
                    Some(command) if command.turns() => {
                        let calls = [
                            Call::Refused,
                            Call::Unreachable,
                            Call::HalfDone,
                            Call::DoneButNotHeardOf,
                            Call::CrashHalfWay,
                            Call::CrashAfter,
                        ];
                        steps.extend(calls.map(|call| Step::Act(*name, call)));
                    }
                    _ => {}
                },
                Doing::Nothing if inbox.is_empty() => {
                    let by = || "ann".to_owned();
                    steps.extend([
                        Step::Order(*name, Order::Pause { by: by(), why: "lunch".to_owned() }),
                        Step::Order(*name, Order::Resume { by: by() }),
                        Step::Order(*name, Order::RollBack { proposal: None, by: by() }),
                        Step::Order(
                            *name,
                            Order::RollBack { proposal: Some(self.ledger.proposals), by: by() },
                        ),
                        Step::Order(*name, Order::SetMode { mode: Mode::Observe, by: by() }),
                    ]);
                }
                _ => {}
            }
        }
        steps
    }

    /// Takes a step; an error says which rule was broken.
    pub(crate) fn take(
        &mut self,
        machine: &Machine<Counting>,
        mutant: Mutant,
        step: &Step,
    ) -> Result<(), String> {
        match step {
            Step::Wait(seconds) => self.now += seconds,
            Step::Start(name) => self.start(machine, mutant, *name),
            Step::Crash(name) => self.stop(*name),
            Step::Write(name) => self.write(mutant, *name)?,
            Step::Act(name, call) => self.act(mutant, *name, *call)?,
            Step::Tick(name) => self.manager(*name).inbox.push(Input::Tick(seen())),
            Step::Order(name, order) => self.manager(*name).inbox.push(Input::Order(order.clone())),
            Step::Measure(name, turned, rest) => self.measure(*name, *turned, *rest),
            Step::Decide(_) => {}
        }
        if mutant != Mutant::NeverLapses {
            self.lapse();
        }
        if let Step::Decide(name) | Step::Tick(name) | Step::Order(name, _) = step {
            let (now, manager) = (self.time(), self.manager(*name));
            let input = manager.inbox.remove(0);
            let decision = machine.decide(&manager.state, Epoch(manager.epoch), now, input);
            manager.doing = doing(decision, mutant, &manager.state);
        }
        Ok(())
    }

    fn start(&mut self, machine: &Machine<Counting>, mutant: Mutant, name: u8) {
        let epoch = self.ledger.office.as_ref().map_or(1, |office| office.epoch.0 + 1);
        let input = Input::Office {
            holder: format!("manager {name}"),
            mode: Mode::Auto,
            initial: config(0),
            goals: Vec::new(),
            space: "knob".to_owned(),
            alpha: 0.05,
            expected: 20,
            reports: Vec::new(),
        };
        // As a process does that starts: from the rows alone.
        let mut state = State::of(self.rows.iter().map(|row| (row.0, row.1, &row.2)));
        state.news.clear();
        let decision = machine.decide(&state, Epoch(epoch), self.time(), input);
        let doing = doing(decision, mutant, &state);
        self.managers.push(Manager { name, epoch, state, doing, inbox: Vec::new() });
    }

    fn write(&mut self, mutant: Mutant, name: u8) -> Result<(), String> {
        let now = self.time();
        let rows_before = self.rows.len() as u64;
        let manager = self.manager(name);
        let Doing::Writing(decision) = std::mem::replace(&mut manager.doing, Doing::Nothing) else {
            return Err("nothing to write".to_owned());
        };
        if manager.state.rows != rows_before && mutant != Mutant::AppendsWithoutLooking {
            self.stop(name);
            return Ok(());
        }
        let epoch = Epoch(manager.epoch);
        for event in &decision.events {
            manager.state.apply(now, epoch, event);
        }
        // What people hear decides nothing.
        manager.state.news.clear();
        manager.doing = acting(decision.commands);
        for event in decision.events {
            self.check_row(epoch, &event)?;
            self.ledger.apply(now, epoch, &event);
            self.ledger.news.clear();
            self.rows.push(Rc::new((now, epoch, event)));
            let good = value_of(self.ledger.good());
            if !self.goods.contains(&good) {
                self.goods.push(good);
            }
        }
        // Both are folds of the same rows, unless somebody kept something beside them.
        let state = &self.manager(name).state.clone();
        if mutant != Mutant::AppendsWithoutLooking && *state != self.ledger {
            return Err(format!("the ledger leads to {:?}, the manager is in {state:?}", self.ledger));
        }
        Ok(())
    }

    fn act(&mut self, mutant: Mutant, name: u8, call: Call) -> Result<(), String> {
        let manager = self.manager(name);
        let (epoch, state) = (manager.epoch, manager.state.clone());
        let Doing::Acting(commands) = &mut manager.doing else { return Err("nothing to do".to_owned()) };
        let command = commands.remove(0);
        if commands.is_empty() {
            manager.doing = Doing::Nothing;
        }
        let turning = matches!(command, Command::Turn { .. });
        let input = match command {
            Command::Propose { .. } => {
                let candidate = (state.proposals < PROPOSALS).then(|| Candidate {
                    config: config(state.proposals as i64 + 1),
                    point: vec![0.5],
                    asked: 1,
                    strategy: "counting".to_owned(),
                });
                Some(Input::Candidate(candidate.ok_or_else(|| "nothing new".to_owned()), seen()))
            }
            Command::Turn { slice, .. } | Command::Measure { slice, .. } => {
                let came = self.turn(mutant, epoch, &command, call)?;
                came.map(|came| Input::Turned(slice, came))
            }
            Command::Settle { row, .. } => {
                let came = self.turn(mutant, epoch, &command, call)?;
                came.map(|came| Input::Settled(row, came))
            }
        };
        let crashed = matches!(call, Call::CrashHalfWay | Call::CrashAfter);
        match input {
            _ if crashed => self.stop(name),
            // The epoch is over: no more of it.
            Some(
                Input::Turned(_, Err(Trouble { what, .. })) | Input::Settled(_, Err(Trouble { what, .. })),
            ) if what == STALE => {
                self.stop(name);
            }
            Some(input) => self.manager(name).inbox.push(input),
            None if turning => return Err("a call without an answer".to_owned()),
            None => {}
        }
        Ok(())
    }

    /// What a call to the system comes to, on the canary first.
    fn turn(
        &mut self,
        mutant: Mutant,
        epoch: u64,
        command: &Command,
        call: Call,
    ) -> Result<Option<Result<(), Trouble>>, String> {
        self.check_intent(mutant, epoch, command)?;
        let trouble = |refused, what: &str| Some(Err(Trouble { refused, what: what.to_owned() }));
        match call {
            Call::Refused => return Ok(trouble(true, "no")),
            Call::Unreachable => return Ok(trouble(false, "no answer")),
            _ => {}
        }
        let now = self.now;
        let half = matches!(call, Call::HalfDone | Call::CrashHalfWay);
        let mut knobs = vec![&mut self.canary];
        let everywhere = !matches!(command, Command::Turn { scope: Scope::Canary, .. });
        if everywhere && !half {
            knobs.push(&mut self.rest);
        }
        for knob in knobs {
            if epoch < knob.seen && mutant != Mutant::IgnoresEpochs {
                return Ok(trouble(false, STALE));
            }
            knob.seen = epoch;
            match command {
                Command::Turn { arm: Arm::Control, .. } => (knob.value, knob.until) = (knob.confirmed, None),
                Command::Turn { values, lease, .. } => {
                    (knob.value, knob.until) = (value_of(values), Some(now + lease.as_secs() as i64));
                }
                Command::Settle { values, .. } => {
                    (knob.value, knob.confirmed, knob.until) = (value_of(values), value_of(values), None);
                }
                _ => {}
            }
        }
        Ok(match call {
            Call::HalfDone | Call::DoneButNotHeardOf => trouble(false, "not known"),
            _ => Some(Ok(())),
        })
    }

    fn measure(&mut self, name: u8, turned: f64, rest: f64) {
        let manager = self.manager(name);
        let Doing::Acting(commands) = &mut manager.doing else { return };
        let Command::Measure { slice, scope, .. } = commands.remove(0) else { return };
        manager.doing = Doing::Nothing;
        let side = |value: f64| Side { objective: value.is_finite().then_some(value), ..Side::default() };
        let rest = (scope == Scope::Canary || rest == 2.0).then(|| side(rest));
        manager.inbox.push(Input::Measured(slice, Reading { turned: side(turned), rest }));
    }

    /// What a row must come after.
    fn check_row(&self, epoch: Epoch, event: &Event) -> Result<(), String> {
        if self.rows.last().is_some_and(|last| epoch < last.1) {
            return Err(format!("a manager of {epoch:?} wrote after its successor took office"));
        }
        let Event::Promoted { proposal, judged } = event else { return Ok(()) };
        if (judged.safety, judged.benefit) != (Verdict::Holds, Verdict::Holds) {
            return Err(format!("proposal {proposal} was promoted although its guards do not hold"));
        }
        let verifying = self.rows.iter().rposition(|row| matches!(row.2, Event::Verifying { .. }));
        let verifying =
            verifying.ok_or(format!("proposal {proposal} was promoted without a verify phase"))?;
        let since = &self.rows[verifying..];
        let of_this =
            matches!(since[0].2, Event::Verifying { proposal: verified, .. } if verified == *proposal);
        let mut arm = Arm::Control;
        let mut readings: Vec<(Timestamp, Option<f64>)> = Vec::new();
        for row in since {
            match &row.2 {
                Event::Turning { arm: next, .. } => arm = *next,
                Event::Measured { reading, .. } if arm == Arm::Candidate => {
                    readings.push((row.0, reading.turned.objective));
                }
                _ => {}
            }
        }
        let fresh = self.ledger.trial().is_some_and(|trial| trial.phase == Phase::Verify);
        let good = readings.last().is_some_and(|(_, value)| *value == Some(1.0))
            && !readings.iter().any(|(_, value)| *value == Some(2.0));
        let recent = readings.last().is_some_and(|(at, _)| self.time().micros() - at.micros() <= 30_000_000);
        if of_this && fresh && good && recent {
            return Ok(());
        }
        Err(format!("proposal {proposal} was promoted on {readings:?}"))
    }

    /// Whoever turns a knob has said so before.
    fn check_intent(&self, mutant: Mutant, epoch: u64, command: &Command) -> Result<(), String> {
        if mutant == Mutant::AppendsWithoutLooking {
            return Ok(());
        }
        let said =
            self.rows.iter().rev().filter(|row| row.1 == Epoch(epoch)).any(|row| match (&row.2, command) {
                (Event::Turning { slice, .. }, Command::Turn { slice: turned, .. }) => slice == turned,
                (Event::Settling { .. }, Command::Settle { .. }) => true,
                _ => false,
            });
        if said { Ok(()) } else { Err(format!("nothing in the ledger says {command:?}")) }
    }

    /// What holds whenever anybody looks.
    pub(crate) fn check(&self) -> Result<(), String> {
        let good = value_of(self.ledger.good());
        let tried =
            self.ledger.open.as_ref().filter(|open| open.trial.is_some()).map(|open| value_of(&open.config));
        for (name, knob) in [("canary", &self.canary), ("rest", &self.rest)] {
            let live = knob.until.is_some_and(|until| until > self.now);
            let settled = self.ledger.unsettled.is_none();
            let fine = knob.value == good
                || live && tried == Some(knob.value)
                || live && !settled && self.was_tried(knob.value)
                || !live && (!settled || tried.is_some()) && self.goods.contains(&knob.value);
            if !fine {
                return Err(format!(
                    "the {name} stands at {knob:?}, the good settings are {good}, tried is {tried:?}"
                ));
            }
            let confirmed = knob.confirmed == good || !settled && self.goods.contains(&knob.confirmed);
            if !confirmed {
                return Err(format!(
                    "the {name} would go back to {}, the good settings are {good}",
                    knob.confirmed
                ));
            }
        }
        Ok(())
    }

    fn was_tried(&self, value: i64) -> bool {
        self.rows
            .iter()
            .any(|row| matches!(row.2, Event::Turning { proposal, .. } if proposal as i64 == value))
    }

    /// Kills everybody and starts one manager on a healthy system: it brings the knobs to the good settings; and then an order
    /// brings them back to the initial ones.
    pub(crate) fn check_recovery(&self, machine: &Machine<Counting>, mutant: Mutant) -> Result<(), String> {
        let mut world = self.clone();
        world.managers.clear();
        world.now += 31;
        world.lapse_unless(mutant);
        let alone = [&world.canary, &world.rest].map(|knob| knob.value);
        if !alone.iter().all(|value| world.goods.contains(value)) {
            return Err(format!("left alone the knobs stand at {alone:?}, good were {:?}", world.goods));
        }
        world.take(machine, mutant, &Step::Start(0))?;
        world.run_to_rest(machine, mutant)?;
        world.at_rest_at(value_of(world.ledger.good()))?;
        let order = Order::RollBack { proposal: None, by: "ann".to_owned() };
        world.take(machine, mutant, &Step::Order(0, order))?;
        world.run_to_rest(machine, mutant)?;
        world.at_rest_at(0)
    }

    fn lapse_unless(&mut self, mutant: Mutant) {
        if mutant != Mutant::NeverLapses {
            self.lapse();
        }
    }

    fn run_to_rest(&mut self, machine: &Machine<Counting>, mutant: Mutant) -> Result<(), String> {
        for _ in 0..20 {
            let idle = |manager: &Manager| manager.doing == Doing::Nothing && manager.inbox.is_empty();
            if self.managers.iter().all(idle) {
                return Ok(());
            }
            let step = self.regular().remove(0);
            self.take(machine, mutant, &step)?;
        }
        Err("it does not come to rest".to_owned())
    }

    fn at_rest_at(&self, value: i64) -> Result<(), String> {
        let knobs = [&self.canary, &self.rest];
        let there = knobs.iter().all(|knob| (knob.value, knob.confirmed, knob.until) == (value, value, None));
        let recorded = value_of(self.ledger.good()) == value && self.ledger.unsettled.is_none();
        if there && recorded {
            return Ok(());
        }
        Err(format!(
            "at rest the knobs stand at {knobs:?}; {value} is right, the ledger says {:?}",
            self.ledger.good()
        ))
    }
}

const STALE: &str = "a newer epoch has been here";

fn seen() -> Observation {
    Observation { objective: Some(1.0), ..Observation::default() }
}

fn acting(commands: Vec<Command>) -> Doing {
    if commands.is_empty() { Doing::Nothing } else { Doing::Acting(commands) }
}

/// What a manager does with a decision, were it made wrongly as the mutant says.
fn doing(mut decision: Decision, mutant: Mutant, state: &State) -> Doing {
    let events = &mut decision.events;
    match mutant {
        Mutant::ActsBeforeWriting if decision.commands.iter().any(Command::turns) => {
            // As if what is written later were not needed now.
            return acting(decision.commands);
        }
        Mutant::ForgetsToRestore if events.iter().any(|event| matches!(event, Event::Ended { .. })) => {
            events.retain(|event| !matches!(event, Event::Settling { .. }));
            events.push(Event::Settled);
            decision.commands.clear();
        }
        Mutant::PromotesFromTheCanary => {
            if let Some(Event::Verifying { proposal, judged }) =
                events.iter().find(|e| matches!(e, Event::Verifying { .. }))
            {
                let mut judged = judged.clone();
                judged.benefit = Verdict::Holds;
                let promoted = Event::Promoted { proposal: *proposal, judged };
                decision.events = vec![decision.events[0].clone(), promoted, Event::Settling { attempt: 1 }];
                let values = state.open.as_ref().map(|open| open.config.clone()).unwrap_or_default();
                decision.commands =
                    vec![Command::Settle { row: state.rows + 2, values, knobs: vec!["knob".to_owned()] }];
            }
        }
        Mutant::PromotesBadSlices if state.trial().is_some_and(|trial| trial.phase == Phase::Verify) => {
            if let Some(Event::Ended { proposal, why: Reason::Regressed, judged: Some(judged), .. }) =
                events.iter().find(|event| matches!(event, Event::Ended { .. }))
            {
                let judged = Judged { safety: Verdict::Holds, benefit: Verdict::Holds, ..judged.clone() };
                let promoted = Event::Promoted { proposal: *proposal, judged };
                decision.events = vec![decision.events[0].clone(), promoted, Event::Settling { attempt: 1 }];
                let values = state.open.as_ref().map(|open| open.config.clone()).unwrap_or_default();
                decision.commands =
                    vec![Command::Settle { row: state.rows + 2, values, knobs: vec!["knob".to_owned()] }];
            }
        }
        Mutant::GivesUpAfterOneTry
            if events
                .iter()
                .any(|event| matches!(event, Event::Noted { about, .. } if about == "target")) =>
        {
            events.push(Event::Settled);
        }
        _ => {}
    }
    if decision.events.is_empty() { acting(decision.commands) } else { Doing::Writing(decision) }
}
