//! Makes the knobs of one service: their ranges here, their first values from the settings.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use kandela_model::{ApplyCost, KnobSpec, KnobType, KnobValue, StepCap};
use kandela_runtime::knob::{LeasedKnob, Scalar};
use kandela_runtime::steward::Steward;
use toml::Value;

use crate::settings::Settings;

/// Makes knobs whose names begin with one service's.
#[derive(Clone)]
pub(crate) struct KnobMaker {
    service: &'static str,
    steward: Steward,
    settings: Arc<Settings>,
}

impl KnobMaker {
    pub(crate) fn new(service: &'static str, steward: Steward, settings: Settings) -> KnobMaker {
        KnobMaker { service, steward, settings: Arc::new(settings) }
    }

    /// A size or count, searched by ratios; one step at most doubles it.
    pub(crate) fn size(&self, name: &str, range: RangeInclusive<i64>) -> Result<Arc<LeasedKnob<usize>>> {
        let kind = KnobType::Int { min: *range.start(), max: *range.end(), log: true };
        self.make(name, kind, StepCap::Factor(2.0))
    }

    /// A size with a range so wide that a step may be fourfold.
    pub(crate) fn wide_size(&self, name: &str, range: RangeInclusive<i64>) -> Result<Arc<LeasedKnob<usize>>> {
        let kind = KnobType::Int { min: *range.start(), max: *range.end(), log: true };
        self.make(name, kind, StepCap::Factor(4.0))
    }

    /// A small number of which zero is one.
    pub(crate) fn count(&self, name: &str, most: i64) -> Result<Arc<LeasedKnob<usize>>> {
        self.make(name, KnobType::Int { min: 0, max: most, log: false }, StepCap::Absolute(2.0))
    }

    /// A time in seconds; one step is at most fourfold.
    pub(crate) fn time(&self, name: &str, range: RangeInclusive<f64>) -> Result<Arc<LeasedKnob<Duration>>> {
        let kind = KnobType::Float { min: *range.start(), max: *range.end(), log: true };
        self.make(name, kind, StepCap::Factor(4.0))
    }

    /// A share.
    pub(crate) fn share(&self, name: &str, range: RangeInclusive<f64>) -> Result<Arc<LeasedKnob<f64>>> {
        let kind = KnobType::Float { min: *range.start(), max: *range.end(), log: false };
        self.make(name, kind, StepCap::Absolute(0.25))
    }

    /// On or off.
    pub(crate) fn switch(&self, name: &str) -> Result<Arc<LeasedKnob<bool>>> {
        self.make(name, KnobType::Bool, StepCap::Unlimited)
    }

    /// One of a list of words.
    pub(crate) fn choice<T: Scalar>(&self, name: &str, words: &[&str]) -> Result<Arc<LeasedKnob<T>>> {
        let words = words.iter().map(|&word| word.to_owned()).collect();
        self.make(name, KnobType::Choice(words), StepCap::Unlimited)
    }

    fn make<T: Scalar>(&self, name: &str, kind: KnobType, step_cap: StepCap) -> Result<Arc<LeasedKnob<T>>> {
        let name = format!("{}.{name}", self.service);
        let initial = self.settings.get(&name)?;
        let initial = initial_value(initial, &kind)
            .and_then(|value| T::from_value(&value))
            .with_context(|| format!("knob {name}: {initial:?} is of another type than the knob"))?;
        let spec = KnobSpec { name, kind, step_cap, cost: ApplyCost::Live };
        let knob = Arc::new(LeasedKnob::new(spec, initial, self.steward.clock().clone())?);
        self.steward.knobs().add(&knob);
        Ok(knob)
    }
}

fn initial_value(value: &Value, kind: &KnobType) -> Option<KnobValue> {
    match (kind, value) {
        (KnobType::Int { .. }, Value::Integer(number)) => Some(KnobValue::Int(*number)),
        (KnobType::Float { .. }, Value::Integer(number)) => Some(KnobValue::Float(*number as f64)),
        (KnobType::Float { .. }, Value::Float(number)) => Some(KnobValue::Float(*number)),
        (KnobType::Bool, Value::Boolean(on)) => Some(KnobValue::Bool(*on)),
        (KnobType::Choice(_), Value::String(word)) => Some(KnobValue::Choice(word.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maker() -> KnobMaker {
        KnobMaker::new("gateway", Steward::default(), Settings::defaults().expect("built in"))
    }

    #[test]
    fn a_knob_starts_at_its_default_and_is_registered() {
        let maker = maker();
        let size = maker.size("cart.pool.size", 1..=64).expect("within its range");
        assert_eq!(size.read(), 5);
        assert!(maker.steward.knobs().get("gateway.cart.pool.size").is_some());
    }

    #[test]
    fn a_default_outside_the_range_is_refused_with_the_knobs_name() {
        let error = maker().size("cart.pool.size", 6..=64).expect_err("5 is below 6").to_string();
        assert!(error.contains("gateway.cart.pool.size"), "{error}");
    }
}
