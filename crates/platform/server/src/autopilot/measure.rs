//! What a system is like, by PromQL.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kandela_autopilot::machine::{Reading, Scope, Side};
use kandela_autopilot::observe::{Measurements, Observed};
use kandela_autopilot::runbook::{Advice, Way};
use kandela_lake::Lake;
use kandela_model::Timestamp;
use kandela_promql::{Answer, Point, When};

use super::config::{Arms, SystemConfig};
use super::query::filled;
use crate::app::App;
use crate::background::now;
use crate::promql::Asked;

/// Measures one system.
pub(super) struct ByPromQl {
    pub app: Arc<App>,
    pub lake: Lake,
    pub system: SystemConfig,
}

#[async_trait]
impl Measurements for ByPromQl {
    async fn observe(&self, at: Timestamp) -> Observed {
        // What was measured in the last moments may not have arrived.
        let lag = i64::try_from(self.system.lag().as_micros()).unwrap_or(i64::MAX);
        let at = at.plus_micros(-lag);
        let window = self.window();
        let Side { objective, constraints, .. } = self.side(at, window, None).await;
        Observed {
            objective,
            constraints,
            error_budgets: self.named(&self.system.error_budgets, at, window).await,
            workload: self.named(&self.system.workload, at, window).await,
            advice: self.advice(at, window).await,
        }
    }

    async fn slice(&self, scope: Scope, from: Timestamp, to: Timestamp) -> Reading {
        self.arrived(to).await;
        let window = Duration::from_micros(u64::try_from(to.micros() - from.micros()).unwrap_or_default());
        match (scope, &self.system.arms) {
            (Scope::Canary, Some(Arms { canary, rest })) => Reading {
                turned: self.side(to, window, Some(canary)).await,
                rest: Some(self.side(to, window, Some(rest)).await),
            },
            _ => Reading { turned: self.side(to, window, None).await, rest: None },
        }
    }
}

impl ByPromQl {
    /// What is looked at between trials: as long as a slice, but never so short that it holds no two samples.
    fn window(&self) -> Duration {
        let slice = self.system.policy().map_or(self.system.interval(), |policy| policy.slice);
        slice.max(Duration::from_secs(10))
    }

    /// Waits until what was measured at `to` has arrived.
    async fn arrived(&self, to: Timestamp) {
        let since = now().micros().saturating_sub(to.micros());
        let since = Duration::from_micros(u64::try_from(since).unwrap_or_default());
        tokio::time::sleep(self.system.lag().saturating_sub(since)).await;
    }

    async fn side(&self, at: Timestamp, window: Duration, arm: Option<&String>) -> Side {
        let ask = |expression: &str| self.ask(filled(expression, window, arm.map(String::as_str)), at);
        let mut constraints = Vec::new();
        for constraint in &self.system.constraints {
            constraints.push(ask(&constraint.expression).await);
        }
        let offered = match &self.system.offered {
            Some(expression) => ask(expression).await,
            None => None,
        };
        Side { objective: ask(&self.system.objective.expression).await, offered, constraints }
    }

    async fn named(
        &self,
        expressions: &BTreeMap<String, String>,
        at: Timestamp,
        window: Duration,
    ) -> BTreeMap<String, f64> {
        let mut values = BTreeMap::new();
        for (name, expression) in expressions {
            if let Some(value) = self.ask(filled(expression, window, None), at).await {
                values.insert(name.clone(), value);
            }
        }
        values
    }

    /// What the runbook's rules say whose condition gives anything. Rules that contradict each other say nothing.
    async fn advice(&self, at: Timestamp, window: Duration) -> Advice {
        let mut ways: BTreeMap<String, Vec<Way>> = BTreeMap::new();
        for rule in &self.system.runbook {
            let answer = self.answer(filled(&rule.when, window, None), at).await;
            if answer.is_some_and(|answer| !is_empty(&answer)) {
                let raised = rule.raise.iter().map(|knob| (knob, Way::Raise));
                let moved = raised.chain(rule.lower.iter().map(|knob| (knob, Way::Lower)));
                moved.for_each(|(knob, way)| ways.entry(knob.clone()).or_default().push(way));
            }
        }
        let agreed = |(knob, ways): (String, Vec<Way>)| {
            let first = *ways.first()?;
            ways.iter().all(|way| *way == first).then_some((knob, first))
        };
        ways.into_iter().filter_map(agreed).collect()
    }

    /// The one value of a query; none where it has none or several, fails, or is no number.
    async fn ask(&self, query: String, at: Timestamp) -> Option<f64> {
        only_value(&self.answer(query, at).await?).filter(|value| value.is_finite())
    }

    async fn answer(&self, query: String, at: Timestamp) -> Option<Answer> {
        let asked = Asked { query, when: When::Instant(at.micros()), lookback: None, timeout: None };
        let given = self.app.promql.answer(self.lake.clone(), asked).await;
        match given.map(|given| given.answered.answer) {
            Ok(answer) => Some(answer),
            Err(error) => {
                tracing::warn!(system = self.system.name, %error, "a query of the autopilot failed");
                None
            }
        }
    }
}

/// Whether a condition is not met, as an alert's.
fn is_empty(answer: &Answer) -> bool {
    matches!(answer, Answer::Vector(series) if series.is_empty())
}

fn only_value(answer: &Answer) -> Option<f64> {
    match answer {
        Answer::Scalar(value) => Some(*value),
        Answer::Vector(series) => match series.as_slice() {
            [(_, Point::Float(value))] => Some(*value),
            _ => None,
        },
        Answer::String(_) | Answer::Matrix(_) => None,
    }
}
