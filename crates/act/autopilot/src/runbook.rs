//! What a person would do by hand: *while requests wait for this pool, enlarge it*.
//!
//! A search that knows nothing of a system spends its first trials on finding out which way is up. A runbook's rules, each a condition
//! and the knobs that it moves, say so beforehand. They propose and no more: what follows from them passes the same guards as what
//! a strategy says, and where they are wrong the ledger shows it, under the strategy `runbook`.

use std::collections::BTreeMap;
use std::fmt;

use kandela_model::{KnobSpec, KnobType, KnobValue, StepCap};
use kandela_tune::{Config, Space};
use serde::{Deserialize, Serialize};

use crate::proposer::step_towards;

/// The strategy in whose name a runbook's settings are proposed.
pub const RUNBOOK: &str = "runbook";

/// How far a knob without a step cap goes: by this factor, or this share of its range.
const FACTOR: f64 = 2.0;
const SHARE: f64 = 0.25;

/// Which way a knob should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Up; a switch on.
    Raise,
    /// Down; a switch off.
    Lower,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Raise => "raise",
            Way::Lower => "lower",
        })
    }
}

/// The rules that apply now, knob by knob.
pub type Advice = BTreeMap<String, Way>;

/// The settings that `advice` leads to in one step from `good`: all of it at once, then each knob by itself.
pub(crate) fn advised(space: &Space, good: &Config, advice: &Advice) -> Vec<Config> {
    let moved = |name: &String, way: &Way| {
        let parameter = space.parameter(name)?;
        let from = good.get(name)?;
        let to = step_towards(&parameter.spec, from, &towards(&parameter.spec, from, *way)?);
        (to != *from).then(|| (name.clone(), to))
    };
    let moves: Vec<(String, KnobValue)> = advice.iter().filter_map(|(name, way)| moved(name, way)).collect();
    let with = |moves: &[(String, KnobValue)]| {
        let mut config = good.clone();
        config.extend(moves.iter().cloned());
        config
    };
    let alone = moves.iter().map(|one| with(std::slice::from_ref(one)));
    match moves.len() {
        0 => Vec::new(),
        1 => alone.collect(),
        _ => std::iter::once(with(&moves)).chain(alone).collect(),
    }
}

/// Where a knob would go, if its step cap let it; nothing for words, of which none is above another.
fn towards(spec: &KnobSpec, from: &KnobValue, way: Way) -> Option<KnobValue> {
    let number = |from: f64, min: f64, max: f64, log: bool| match (way, spec.step_cap) {
        (Way::Raise, StepCap::Unlimited) if log => (from * FACTOR).min(max),
        (Way::Lower, StepCap::Unlimited) if log => (from / FACTOR).max(min),
        (Way::Raise, StepCap::Unlimited) => (from + SHARE * (max - min)).min(max),
        (Way::Lower, StepCap::Unlimited) => (from - SHARE * (max - min)).max(min),
        (Way::Raise, _) => max,
        (Way::Lower, _) => min,
    };
    match (&spec.kind, from) {
        (KnobType::Bool, _) => Some(KnobValue::Bool(way == Way::Raise)),
        (KnobType::Float { min, max, log }, KnobValue::Float(from)) => {
            Some(KnobValue::Float(number(*from, *min, *max, *log)))
        }
        (KnobType::Int { min, max, log }, KnobValue::Int(from)) => {
            let to = number(*from as f64, *min as f64, *max as f64, *log);
            // A step that rounds to nothing is one whole number.
            let to = if way == Way::Raise { to.max((from + 1) as f64) } else { to.min((from - 1) as f64) };
            Some(KnobValue::Int((to.round() as i64).clamp(*min, *max)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> Space {
        let json = r#"{
            "pool": {"type": "int", "min": 1, "max": 64, "log": true, "step_cap": {"factor": 2}},
            "share": {"type": "float", "min": 0, "max": 1},
            "cache": {"type": "bool"},
            "policy": {"type": "enum", "values": ["a", "b"]}
        }"#;
        serde_json::from_str(json).expect("a space")
    }

    fn good() -> Config {
        Config::from([
            ("pool".to_owned(), KnobValue::Int(5)),
            ("share".to_owned(), KnobValue::Float(0.9)),
            ("cache".to_owned(), KnobValue::Bool(false)),
            ("policy".to_owned(), KnobValue::Choice("a".to_owned())),
        ])
    }

    fn advice(rules: &[(&str, Way)]) -> Advice {
        rules.iter().map(|(knob, way)| ((*knob).to_owned(), *way)).collect()
    }

    #[test]
    fn all_that_applies_goes_first_and_then_each_alone() {
        let rules = advice(&[("pool", Way::Raise), ("share", Way::Raise), ("cache", Way::Raise)]);
        let settings = advised(&space(), &good(), &rules);
        assert_eq!(settings.len(), 4);
        assert_eq!(settings[0]["pool"], KnobValue::Int(10), "no further than a step");
        assert_eq!(settings[0]["share"], KnobValue::Float(1.0), "no further than its range");
        assert_eq!(settings[0]["cache"], KnobValue::Bool(true));
        let changed =
            |config: &Config| config.iter().filter(|(name, value)| good()[*name] != **value).count();
        assert!(settings[1..].iter().all(|config| changed(config) == 1));
    }

    #[test]
    fn what_can_go_no_further_is_left_out() {
        let at_the_end = Config::from([("pool".to_owned(), KnobValue::Int(64))]);
        assert_eq!(advised(&space(), &at_the_end, &advice(&[("pool", Way::Raise)])), []);
        let unknown = advice(&[("policy", Way::Raise), ("nobody", Way::Lower), ("cache", Way::Lower)]);
        assert_eq!(advised(&space(), &good(), &unknown), []);
    }

    #[test]
    fn a_small_number_moves_by_one_at_least() {
        let one = Config::from([("pool".to_owned(), KnobValue::Int(1))]);
        let up = advised(&space(), &one, &advice(&[("pool", Way::Raise)]));
        assert_eq!(up, [Config::from([("pool".to_owned(), KnobValue::Int(2))])]);
        let down = advised(&space(), &good(), &advice(&[("pool", Way::Lower)]));
        assert_eq!(down[0]["pool"], KnobValue::Int(3));
    }
}
