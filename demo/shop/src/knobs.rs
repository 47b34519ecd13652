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
    self_tuning: bool,
}

impl KnobMaker {
    pub(crate) fn new(service: &'static str, steward: Steward, settings: Settings) -> KnobMaker {
        KnobMaker { service, steward, settings: Arc::new(settings), self_tuning: false }
    }

    /// Has the parts of the library turn their own knobs, from where the settings have them begin.
    pub(crate) fn self_tuning(self, self_tuning: bool) -> KnobMaker {
        KnobMaker { self_tuning, ..self }
    }

    /// Whether parts turn their own knobs.
    pub(crate) fn is_self_tuning(&self) -> bool {
        self.self_tuning
    }

    /// Who looks after the parts of this process.
    pub(crate) fn steward(&self) -> &Steward {
        &self.steward
    }

    /// The full name of what is called `name` here.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}.{name}", self.service)
    }

    /// Which of a part's own knobs `names` may be why it can't be built with their values: those that a file sets, and the file.
    pub(crate) fn place(&self, names: &[&str]) -> String {
        let full: Vec<String> = names.iter().map(|name| self.name(name)).collect();
        let (mut set, mut file) = (Vec::new(), None);
        for name in &full {
            if let Some(path) = self.settings.file_that_sets(name) {
                file = Some(path);
                set.push(name.as_str());
            }
        }
        match file {
            Some(path) => format!("{}: {}", path.display(), set.join(", ")),
            None => full.join(", "),
        }
    }

    /// With which value the settings have a part's own knob `name` begin: a size.
    pub(crate) fn initial_size(&self, name: &str) -> Result<usize> {
        self.initial(&self.name(name), &KnobType::Int { min: 0, max: i64::MAX, log: true })
    }

    /// The same for a real number.
    pub(crate) fn initial_number(&self, name: &str) -> Result<f64> {
        self.initial(&self.name(name), &KnobType::Float { min: 0.0, max: f64::MAX, log: false })
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
        let name = self.name(name);
        let initial = self.initial(&name, &kind)?;
        let spec = KnobSpec { name, kind, step_cap, cost: ApplyCost::Live };
        let file = self.settings.file_that_sets(&spec.name);
        let made = LeasedKnob::new(spec, initial, self.steward.clock().clone());
        let knob = Arc::new(match file {
            Some(path) => made.with_context(|| path.display().to_string())?,
            None => made?,
        });
        self.steward.knobs().add(&knob);
        Ok(knob)
    }

    fn initial<T: Scalar>(&self, name: &str, kind: &KnobType) -> Result<T> {
        let value = self.settings.get(name)?;
        let initial = initial_value(value, kind).and_then(|value| T::from_value(&value));
        let file = self.settings.file_that_sets(name);
        let place = file.map(|path| format!("{}: ", path.display())).unwrap_or_default();
        initial.with_context(|| format!("{place}knob {name}: {value:?} is of another type than the knob"))
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
    use crate::resilience::breaker::Breaker;
    use crate::resilience::pool::{Places, Pool};

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
    fn a_value_that_can_not_be_is_named_with_its_file_and_its_whole_name() {
        for (text, said) in [
            (
                "[knobs]\n\"gateway.cart.pool.size\" = 1000",
                "gateway.cart.pool.size: pool.size is 1000; it may be 1 to 64",
            ),
            (
                "[downstream]\n\"breaker.failure_rate\" = 7.0",
                "gateway.cart.breaker.failure_rate: breaker.failure_rate is 7.0",
            ),
            (
                "[knobs]\n\"gateway.cart.pool.size\" = \"many\"",
                "knob gateway.cart.pool.size: String(\"many\") is of another type",
            ),
            (
                "[knobs]\n\"gateway.cart.breaker.failure_rate\" = 7.0",
                "gateway.cart.breaker.failure_rate: breaker.failure_rate is 7.0",
            ),
            ("[knobs]\n\"gateway.cart.retries\" = 99", "knob gateway.cart.retries"),
        ] {
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(file.path(), text).expect("writable");
            let settings = Settings::with_file(Some(file.path())).expect("names knobs that there are");
            let knobs = KnobMaker::new("gateway", Steward::default(), settings);
            let built = Pool::new(&knobs, "cart", Places).map(drop);
            let built = built.and_then(|()| Breaker::new(&knobs, "cart").map(drop));
            let built = built.and_then(|()| knobs.count("cart.retries", 5).map(drop));
            let error = format!("{:#}", built.expect_err(text));
            let said = format!("{}: {said}", file.path().display());
            assert!(error.starts_with(&said), "{error}");
        }
    }

    #[test]
    fn a_default_outside_the_range_is_refused_with_the_knobs_name() {
        let error = maker().size("cart.pool.size", 6..=64).expect_err("5 is below 6").to_string();
        assert!(error.contains("gateway.cart.pool.size"), "{error}");
    }
}
