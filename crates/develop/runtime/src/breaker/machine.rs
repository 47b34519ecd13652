//! The breaker as a pure state machine: closed, open, half-open.
//!
//! After resilience4j's `CircuitBreaker` (and Nygard, *Release It!*, 2007): from closed to open on a failure rate or a slow-call
//! rate over its threshold, among enough calls; from open to half-open after a wait; from half-open, where a few probes are let
//! through, to closed or open by how they went. Each change of state begins a new generation, and results of an older one are not
//! looked at.

use std::time::Duration;

use super::backoff::Backoff;
use super::baseline::{Baseline, Knowledge, Slice, chance};
use super::window::{Counts, Graded, Span, Window};
use crate::clock::Moment;
use crate::steady::Steady;

/// A window opens the breaker only if a healthy service would show it with less than this chance.
const IMPLAUSIBLE: f64 = 1e-6;
/// Of probes, which are few, and come after something was wrong, less is asked.
const IMPLAUSIBLE_OF_PROBES: f64 = 0.05;

/// What does not change while a breaker lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) span: Span,
    pub(crate) probes: u32,
    pub(crate) longest_open: Duration,
    pub(crate) longest_half_open: Duration,
    pub(crate) jitter: f64,
    pub(crate) seed: u64,
    pub(crate) learn: bool,
    pub(crate) learn_from: u64,
    pub(crate) half_life: Duration,
}

/// What may be turned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thresholds {
    pub(crate) failure_rate: f64,
    pub(crate) slow_rate: f64,
    pub(crate) slow: Duration,
    pub(crate) minimum_calls: u64,
    pub(crate) open_for: Duration,
}

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls go through.
    #[default]
    Closed,
    /// Calls are refused.
    Open,
    /// A few calls go through, as probes.
    HalfOpen,
}

impl State {
    /// `closed`, `open`, `half-open`.
    pub const fn name(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half-open",
        }
    }
}

/// A change of state, and why.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Transition {
    pub(crate) from: State,
    pub(crate) to: State,
    pub(crate) why: &'static str,
    pub(crate) evidence: Vec<(&'static str, f64)>,
}

/// Leave for one call, in one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) generation: u64,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Success(Duration),
    Failure,
    /// It says nothing, or never came back.
    Cancelled,
}

#[derive(Debug)]
enum Stage {
    Closed,
    Open { since: Moment, wait: Duration },
    HalfOpen { since: Moment, out: u32, results: Counts },
}

#[derive(Debug)]
pub(crate) struct Machine {
    plan: Plan,
    steady: Steady,
    stage: Stage,
    generation: u64,
    window: Window,
    backoff: Backoff,
    /// How often it opened without having closed again.
    openings: u32,
    slice: Slice,
    baseline: Baseline,
}

impl Machine {
    pub(crate) fn new(plan: Plan, now: Moment) -> Machine {
        let mut steady = Steady::default();
        let now = steady.at(now);
        Machine {
            plan,
            steady,
            stage: Stage::Closed,
            generation: 0,
            window: Window::new(plan.span, now),
            backoff: Backoff::new(plan.longest_open, plan.jitter, plan.seed),
            openings: 0,
            slice: Slice::new(),
            baseline: Baseline::new(plan.learn_from, plan.half_life, now),
        }
    }

    pub(crate) fn state(&self) -> State {
        match self.stage {
            Stage::Closed => State::Closed,
            Stage::Open { .. } => State::Open,
            Stage::HalfOpen { .. } => State::HalfOpen,
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn counts(&mut self, now: Moment) -> Counts {
        let now = self.steady.at(now);
        self.window.counts(now)
    }

    pub(crate) fn knowledge(&self) -> Knowledge {
        self.baseline.knowledge()
    }

    /// Leave for a call, or how long it takes until asking again makes sense.
    pub(crate) fn admit(
        &mut self,
        now: Moment,
        thresholds: &Thresholds,
    ) -> (Result<Ticket, Duration>, Option<Transition>) {
        let now = self.steady.at(now);
        let mut transition = None;
        if let Stage::Open { since, wait } = self.stage {
            let waited = now.since(since);
            if waited < wait {
                return (Err(wait - waited), None);
            }
            let half_open = Stage::HalfOpen { since: now, out: 0, results: Counts::default() };
            let evidence = vec![("open_seconds", waited.as_secs_f64())];
            transition = Some(self.change(half_open, now, "it was open for long enough", evidence));
        }
        let ticket = Ticket { generation: self.generation };
        let Stage::HalfOpen { since, out, results } = &mut self.stage else {
            return (Ok(ticket), transition);
        };
        let left = self.plan.longest_half_open.saturating_sub(now.since(*since));
        if left == Duration::ZERO {
            let evidence = vec![("probes_back", results.calls as f64), ("probes_out", f64::from(*out))];
            let transition = self.open(now, thresholds, "its probes did not come back in time", evidence);
            let Stage::Open { wait, .. } = self.stage else { return (Ok(ticket), Some(transition)) };
            return (Err(wait), Some(transition));
        }
        if u64::from(*out) + results.calls >= u64::from(self.plan.probes) {
            return (Err(left.min(thresholds.open_for)), transition);
        }
        *out += 1;
        (Ok(ticket), transition)
    }

    /// A call has ended. Nothing happens if the state has changed since it began.
    pub(crate) fn end(
        &mut self,
        now: Moment,
        thresholds: &Thresholds,
        ticket: Ticket,
        end: End,
    ) -> Option<Transition> {
        if ticket.generation != self.generation {
            return None;
        }
        let now = self.steady.at(now);
        let call = match end {
            End::Success(latency) if latency >= thresholds.slow => Some(Graded::Slow),
            End::Success(_) => Some(Graded::Good),
            End::Failure => Some(Graded::Failed),
            End::Cancelled => None,
        };
        match &mut self.stage {
            Stage::Open { .. } => None,
            Stage::HalfOpen { out, results, .. } => {
                *out = out.saturating_sub(1);
                results.add(call?);
                let results = *results;
                self.judge_probes(now, thresholds, results)
            }
            Stage::Closed => {
                let call = call?;
                self.slice.counts.add(call);
                if let End::Success(latency) = end {
                    self.slice.latency(latency);
                }
                let counts = self.window.add(now, call);
                self.judge(now, thresholds, counts)
            }
        }
    }

    fn judge(&mut self, now: Moment, thresholds: &Thresholds, counts: Counts) -> Option<Transition> {
        if counts.calls < thresholds.minimum_calls {
            return None;
        }
        let failing = counts.failure_rate() >= thresholds.failure_rate;
        let slowing = counts.slow_rate() >= thresholds.slow_rate;
        if !failing && !slowing {
            return None;
        }
        let normal = self.baseline.normal();
        let is_implausible = |bad: u64, normally: Option<f64>| {
            let chance = normally.map_or(0.0, |normally| chance(bad, counts.calls, normally));
            (chance < IMPLAUSIBLE).then_some(chance)
        };
        let (why, threshold, normally, chance) = if failing
            && let Some(chance) = is_implausible(counts.failed, normal.map(|normal| normal.failure_rate))
        {
            let normally = normal.map_or(f64::NAN, |normal| normal.failure_rate);
            ("too many calls fail", thresholds.failure_rate, normally, chance)
        } else if slowing
            && let Some(chance) = is_implausible(counts.slow, normal.map(|normal| normal.slow_rate))
        {
            let normally = normal.map_or(f64::NAN, |normal| normal.slow_rate);
            ("too many calls are slow", thresholds.slow_rate, normally, chance)
        } else {
            return None;
        };
        let evidence = vec![
            ("calls", counts.calls as f64),
            ("failure_rate", counts.failure_rate()),
            ("slow_rate", counts.slow_rate()),
            ("slow_seconds", thresholds.slow.as_secs_f64()),
            ("threshold", threshold),
            ("normal_rate", normally),
            ("chance_if_healthy", chance),
        ];
        Some(self.open(now, thresholds, why, evidence))
    }

    fn judge_probes(&mut self, now: Moment, thresholds: &Thresholds, results: Counts) -> Option<Transition> {
        let probes = f64::from(self.plan.probes);
        let evidence = vec![
            ("probes", results.calls as f64),
            ("failure_rate", results.failure_rate()),
            ("slow_rate", results.slow_rate()),
        ];
        let normal = self.baseline.normal();
        // Whatever the other probes bring, so many will be too many.
        let is_bad = |bad: u64, threshold: f64, normally: Option<f64>| {
            let chance = normally.map_or(0.0, |normally| chance(bad, u64::from(self.plan.probes), normally));
            bad as f64 >= threshold * probes && chance < IMPLAUSIBLE_OF_PROBES
        };
        if is_bad(results.failed, thresholds.failure_rate, normal.map(|normal| normal.failure_rate)) {
            return Some(self.open(now, thresholds, "probes fail", evidence));
        }
        if is_bad(results.slow, thresholds.slow_rate, normal.map(|normal| normal.slow_rate)) {
            return Some(self.open(now, thresholds, "probes are slow", evidence));
        }
        if results.calls < u64::from(self.plan.probes) {
            return None;
        }
        self.openings = 0;
        Some(self.change(Stage::Closed, now, "its probes went well", evidence))
    }

    fn open(
        &mut self,
        now: Moment,
        thresholds: &Thresholds,
        why: &'static str,
        mut evidence: Vec<(&'static str, f64)>,
    ) -> Transition {
        self.openings = self.openings.saturating_add(1);
        self.baseline.discard_held_back();
        let wait = self.backoff.wait(thresholds.open_for, self.openings);
        evidence.push(("open_seconds", wait.as_secs_f64()));
        self.change(Stage::Open { since: now, wait }, now, why, evidence)
    }

    fn change(
        &mut self,
        stage: Stage,
        now: Moment,
        why: &'static str,
        evidence: Vec<(&'static str, f64)>,
    ) -> Transition {
        let from = self.state();
        self.stage = stage;
        self.generation += 1;
        self.window.clear(now);
        self.slice = Slice::new();
        Transition { from, to: self.state(), why, evidence }
    }

    /// Has what was measured since the last call learned, once it is old enough. To be called every second or so.
    pub(crate) fn learn(&mut self, now: Moment) {
        let now = self.steady.at(now);
        if self.plan.learn && matches!(self.stage, Stage::Closed) && self.slice.counts.calls > 0 {
            let slice = std::mem::replace(&mut self.slice, Slice::new());
            self.baseline.add(slice, now);
        }
    }

    /// Forgets what is normal.
    pub(crate) fn forget(&mut self, now: Moment) {
        let now = self.steady.at(now);
        self.slice = Slice::new();
        self.baseline = Baseline::new(self.plan.learn_from, self.plan.half_life, now);
    }
}
