//! What is asked of whoever measures, and what is made of the answers between trials.

use std::collections::{BTreeMap, VecDeque};

use async_trait::async_trait;
use kandela_algebra::verdict::Verdict;
use kandela_model::Timestamp;
use kandela_tune::guard::{Constraint, Guards, Of, Reading as GuardReading};

use crate::machine::{Observation, Reading, Scope, Seen};
use crate::runbook::Advice;

/// Whoever measures the system: Kandela's server, by PromQL.
#[async_trait]
pub trait Measurements: Send + Sync {
    /// What the system is like at `now`.
    async fn observe(&self, now: Timestamp) -> Observed;

    /// What the part `scope` of the system gave between `from` and `to`, and what the rest of it did, where there is a rest.
    async fn slice(&self, scope: Scope, from: Timestamp, to: Timestamp) -> Reading;
}

/// What a system is like at one time. What a source does not give, or what is no number, is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The objective.
    pub objective: Option<f64>,
    /// What each constraint's expression gives, in the order of declaration.
    pub constraints: Vec<Option<f64>>,
    /// What is left of each objective's error budget, from 0 to 1.
    pub error_budgets: BTreeMap<String, f64>,
    /// What the workload measures, such as load, mix and hour of the day, each normalised to about 0 to 1 and smoothed.
    pub workload: BTreeMap<String, f64>,
    /// What the runbook says: the rules whose condition is met.
    pub advice: Advice,
}

/// What is wanted of a constraint: `at least 0.7 times the control`.
pub(crate) fn wanted(constraint: &Constraint) -> String {
    let of = match constraint.of {
        Of::Value => "",
        Of::RatioToControl => " times the control",
    };
    format!("{}{of}", constraint.bound)
}

/// As many equal values in a row are no measurements.
const EQUAL: u32 = 10;
/// How many readings are kept at most.
const KEPT: usize = 240;

/// What was seen between trials.
#[derive(Clone, Debug)]
pub struct Watch {
    constraints: Vec<Constraint>,
    error: f64,
    recent: VecDeque<(i64, Vec<Option<f64>>)>,
    last: Option<f64>,
    equal: u32,
}

impl Watch {
    /// A watch over `constraints`, each wrong with a probability of `error` at most.
    pub fn new(constraints: Vec<Constraint>, error: f64) -> Watch {
        Watch { constraints, error, recent: VecDeque::new(), last: None, equal: 0 }
    }

    /// Takes what is seen at `now`.
    pub fn see(&mut self, now: Timestamp, observed: Observed) -> Observation {
        let Observed { objective, constraints, error_budgets, workload, advice } = observed;
        self.recent.push_back((now.millis(), constraints));
        if self.recent.len() > KEPT {
            self.recent.pop_front();
        }
        let finite = |(name, value): (String, f64)| value.is_finite().then_some((name, value));
        Observation {
            objection: self.objection(objective),
            objective: objective.filter(|value| value.is_finite()),
            constraints: self.seen(now.millis()),
            // What is no number counts as nothing left.
            error_budgets: error_budgets
                .into_iter()
                .map(|(slo, left)| (slo, if left.is_finite() { left } else { 0.0 }))
                .collect(),
            workload: workload.into_iter().filter_map(finite).collect(),
            advice,
        }
    }

    /// What is wrong with the objective.
    fn objection(&mut self, objective: Option<f64>) -> Option<String> {
        let value = objective.filter(|value| value.is_finite())?;
        self.equal = if self.last == Some(value) { self.equal + 1 } else { 1 };
        self.last = Some(value);
        if value <= 0.0 {
            return Some(format!(
                "the objective is {value}: what is compared is its logarithm, so it must be above 0; shift or invert the expression"
            ));
        }
        (self.equal >= EQUAL).then(|| {
            format!(
                "the objective was exactly {value} {EQUAL} times in a row: a constant can't be optimised; check its expression"
            )
        })
    }

    /// Where the constraints stand, by the readings within their windows.
    fn seen(&self, now: i64) -> Vec<Seen> {
        let one = |(place, constraint): (usize, &Constraint)| {
            let window = i64::try_from(constraint.window.as_millis()).unwrap_or(i64::MAX);
            let level = self.error / self.constraints.len() as f64;
            let within = self.recent.iter().filter(|(at, _)| now.saturating_sub(*at) <= window);
            let values: Vec<(i64, Option<f64>)> =
                within.map(|(at, values)| (*at, values.get(place).copied().flatten())).collect();
            let mut guards = Guards::new(vec![constraint.clone()], level).ok();
            for (at, value) in &values {
                // Nothing is tried: the system is its own control.
                let reading = value.map(|treated| GuardReading { treated, control: *value });
                guards = guards
                    .and_then(|mut guards| guards.tell(&constraint.name, *at, reading).ok().map(|()| guards));
            }
            let last = values.last().and_then(|(_, value)| *value).filter(|value| value.is_finite());
            Seen {
                name: constraint.name.clone(),
                verdict: guards.map_or(Verdict::Unknown, |guards| guards.verdict(now)),
                margin: last.map(|value| {
                    let value = if constraint.of == Of::Value { value } else { 1.0 };
                    constraint.bound.margin(value)
                }),
                value: last,
                wanted: wanted(constraint),
            }
        };
        self.constraints.iter().enumerate().map(one).collect()
    }
}
