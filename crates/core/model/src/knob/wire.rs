//! Knobs as JSON: what `GET /knobs` shows and what `PUT /knobs` takes, read and written by the same types on both sides.
//!
//! A knob is shown as
//!
//! ```json
//! {"name": "checkout.pool.size", "type": "int", "min": 1, "max": 64, "log": true, "step_cap": {"factor": 2.0},
//!  "cost": "live", "value": 8, "confirmed": 8, "epoch": 0, "held": false, "lapses_in_s": null}
//! ```
//!
//! where `type` is `int`, `float`, `bool` or `enum` (which lists its `values`), `step_cap` is `null`, `{"factor": …}` or
//! `{"absolute": …}`, `cost` is `live`, `reload` or `restart`, and times are seconds. A change is one of
//!
//! ```json
//! {"name": "checkout.pool.size", "value": 16, "epoch": 3, "lease_s": 60}
//! {"name": "checkout.pool.size", "value": 16, "epoch": 3, "confirm": true}
//! {"name": "checkout.pool.size", "epoch": 3, "hand_back": true}
//! ```

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{ApplyCost, Epoch, Hold, Knob, KnobError, KnobSpec, KnobType, KnobValue, Lease, StepCap};

/// The longest lease that a change may ask for: a day.
pub const LONGEST_LEASE: Duration = Duration::from_secs(86_400);

/// A knob as the world outside sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct KnobState {
    /// What it is.
    pub spec: KnobSpec,
    /// Where it stands.
    pub value: KnobValue,
    /// Where it would go back to, and who holds it.
    pub hold: Hold,
}

impl KnobState {
    /// The state of `knob` now.
    pub fn of(knob: &dyn Knob) -> KnobState {
        // The hold first: it notices a lapse, and the value is then the one that the lapse led back to.
        let hold = knob.hold();
        KnobState { spec: knob.spec().clone(), value: knob.get(), hold }
    }
}

impl Serialize for KnobState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let KnobState { spec, value, hold } = self;
        let blank = Shown {
            name: spec.name.clone(),
            kind: Kind::Bool,
            min: None,
            max: None,
            log: None,
            values: None,
            step_cap: cap_to_wire(spec.step_cap),
            cost: spec.cost.into(),
            value: value.into(),
            confirmed: (&hold.confirmed).into(),
            epoch: hold.seen.0,
            held: hold.held,
            lapses_in_s: hold.lapses_in.map(|time| time.as_secs_f64()),
        };
        let shown = match &spec.kind {
            KnobType::Int { min, max, log } => Shown {
                kind: Kind::Int,
                min: Some(WireValue::Int(*min)),
                max: Some(WireValue::Int(*max)),
                log: Some(*log),
                ..blank
            },
            KnobType::Float { min, max, log } => Shown {
                kind: Kind::Float,
                min: Some(WireValue::Float(*min)),
                max: Some(WireValue::Float(*max)),
                log: Some(*log),
                ..blank
            },
            KnobType::Bool => blank,
            KnobType::Choice(values) => Shown { kind: Kind::Enum, values: Some(values.clone()), ..blank },
        };
        shown.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for KnobState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<KnobState, D::Error> {
        let shown = Shown::deserialize(deserializer)?;
        let fault = |what: &str| D::Error::custom(format!("knob {}: {what}", shown.name));
        let kind = match shown.kind {
            Kind::Int => {
                let (Some(WireValue::Int(min)), Some(WireValue::Int(max))) = (&shown.min, &shown.max) else {
                    return Err(fault("an int has a whole min and max"));
                };
                KnobType::Int { min: *min, max: *max, log: shown.log.unwrap_or(false) }
            }
            Kind::Float => {
                let ends = (shown.min.as_ref().and_then(number), shown.max.as_ref().and_then(number));
                let (Some(min), Some(max)) = ends else {
                    return Err(fault("a float has a min and a max"));
                };
                KnobType::Float { min, max, log: shown.log.unwrap_or(false) }
            }
            Kind::Bool => KnobType::Bool,
            Kind::Enum => {
                KnobType::Choice(shown.values.clone().ok_or_else(|| fault("an enum lists its values"))?)
            }
        };
        let typed = |value: &WireValue| {
            value.typed(&kind).ok_or_else(|| fault("its value is of another type than the knob"))
        };
        let lapses_in = shown
            .lapses_in_s
            .map(|seconds| Duration::try_from_secs_f64(seconds).map_err(|_| fault("lapses_in_s is no time")))
            .transpose()?;
        let hold = Hold {
            confirmed: typed(&shown.confirmed)?,
            seen: Epoch(shown.epoch),
            held: shown.held,
            lapses_in,
        };
        let value = typed(&shown.value)?;
        let step_cap = cap_from_wire(shown.step_cap);
        let spec = KnobSpec { name: shown.name, kind, step_cap, cost: shown.cost.into() };
        Ok(KnobState { spec, value, hold })
    }
}

/// One change that somebody outside asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct KnobChange {
    /// The knob.
    pub name: String,
    /// On whose behalf.
    pub epoch: Epoch,
    /// What is to be done.
    pub action: KnobAction,
}

/// What is to be done to a knob.
#[derive(Clone, Debug, PartialEq)]
pub enum KnobAction {
    /// Turn it, for as long as the lease says.
    Set(WireValue, Lease),
    /// Leave it to the target again.
    HandBack,
}

impl KnobChange {
    /// Whether `knob` would take this change now; nothing is changed.
    ///
    /// # Errors
    /// What [`Knob::set`] and [`Knob::hand_back`] would answer.
    pub fn check(&self, knob: &dyn Knob) -> Result<(), KnobError> {
        let seen = knob.hold().seen;
        if self.epoch < seen {
            return Err(KnobError::StaleEpoch { knob: self.name.clone(), offered: self.epoch, seen });
        }
        let KnobAction::Set(value, _) = &self.action else { return Ok(()) };
        let value = self.typed(value, knob)?;
        knob.spec().check(&value)?;
        knob.spec().check_step(&knob.get(), &value)
    }

    /// Carries the change out.
    ///
    /// # Errors
    /// Those of [`Knob::set`] and [`Knob::hand_back`]; the knob then stands where it stood.
    pub fn apply(&self, knob: &dyn Knob) -> Result<(), KnobError> {
        match &self.action {
            KnobAction::Set(value, lease) => knob.set(self.typed(value, knob)?, self.epoch, *lease),
            KnobAction::HandBack => knob.hand_back(self.epoch),
        }
    }

    fn typed(&self, value: &WireValue, knob: &dyn Knob) -> Result<KnobValue, KnobError> {
        let kind = &knob.spec().kind;
        let wrong_type = || KnobError::WrongType { knob: self.name.clone(), kind: kind.clone() };
        value.typed(kind).ok_or_else(wrong_type)
    }
}

impl Serialize for KnobChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let blank = Asked {
            name: self.name.clone(),
            epoch: self.epoch.0,
            value: None,
            lease_s: None,
            confirm: None,
            hand_back: None,
        };
        let asked = match &self.action {
            KnobAction::Set(value, Lease::For(time)) => {
                Asked { value: Some(value.clone()), lease_s: Some(time.as_secs_f64()), ..blank }
            }
            KnobAction::Set(value, Lease::Confirmed) => {
                Asked { value: Some(value.clone()), confirm: Some(true), ..blank }
            }
            KnobAction::HandBack => Asked { hand_back: Some(true), ..blank },
        };
        asked.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for KnobChange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<KnobChange, D::Error> {
        let asked = Asked::deserialize(deserializer)?;
        let (confirm, hand_back) = (asked.confirm == Some(true), asked.hand_back == Some(true));
        let fault = |what: &str| D::Error::custom(format!("knob {}: {what}", asked.name));
        let action = match (asked.value.clone(), asked.lease_s, confirm, hand_back) {
            (Some(value), Some(seconds), false, false) => {
                let lease = Duration::try_from_secs_f64(seconds).ok();
                let lease = lease.filter(|time| !time.is_zero() && *time <= LONGEST_LEASE);
                let lease = lease.ok_or_else(|| {
                    fault("lease_s is more than 0 and at most 86400; renew a lease to hold on")
                })?;
                KnobAction::Set(value, Lease::For(lease))
            }
            (Some(value), None, true, false) => KnobAction::Set(value, Lease::Confirmed),
            (None, None, false, true) => KnobAction::HandBack,
            _ => {
                return Err(fault(
                    "give a value with lease_s, or a value with \"confirm\": true, or \"hand_back\": true alone",
                ));
            }
        };
        Ok(KnobChange { name: asked.name, epoch: Epoch(asked.epoch), action })
    }
}

/// A value as JSON has it; what it is to a knob, the knob's type tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WireValue {
    /// `true` or `false`.
    Bool(bool),
    /// A number without a fraction.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A word.
    Word(String),
}

impl WireValue {
    /// The value as one of type `kind`, if it can be one. A whole number is one however it is written.
    pub fn typed(&self, kind: &KnobType) -> Option<KnobValue> {
        match (kind, self) {
            (KnobType::Int { .. }, WireValue::Int(value)) => Some(KnobValue::Int(*value)),
            // Clients that write all numbers as floats mean whole numbers too; up to 2^53 a float holds each of them.
            (KnobType::Int { .. }, WireValue::Float(value))
                if value.fract() == 0.0 && value.abs() <= (1_u64 << 53) as f64 =>
            {
                Some(KnobValue::Int(*value as i64))
            }
            (KnobType::Float { .. }, value) => number(value).map(KnobValue::Float),
            (KnobType::Bool, WireValue::Bool(value)) => Some(KnobValue::Bool(*value)),
            (KnobType::Choice(_), WireValue::Word(word)) => Some(KnobValue::Choice(word.clone())),
            _ => None,
        }
    }
}

impl From<&KnobValue> for WireValue {
    fn from(value: &KnobValue) -> WireValue {
        match value {
            KnobValue::Int(value) => WireValue::Int(*value),
            KnobValue::Float(value) => WireValue::Float(*value),
            KnobValue::Bool(value) => WireValue::Bool(*value),
            KnobValue::Choice(word) => WireValue::Word(word.clone()),
        }
    }
}

fn number(value: &WireValue) -> Option<f64> {
    match value {
        WireValue::Int(value) => Some(*value as f64),
        WireValue::Float(value) => Some(*value),
        WireValue::Bool(_) | WireValue::Word(_) => None,
    }
}

#[derive(Serialize, Deserialize)]
struct Shown {
    name: String,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<WireValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<WireValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<String>>,
    step_cap: Option<Cap>,
    cost: Cost,
    value: WireValue,
    confirmed: WireValue,
    epoch: u64,
    held: bool,
    lapses_in_s: Option<f64>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<WireValue>,
    epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hand_back: Option<bool>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Int,
    Float,
    Bool,
    Enum,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Cap {
    Absolute(f64),
    Factor(f64),
}

fn cap_to_wire(cap: StepCap) -> Option<Cap> {
    match cap {
        StepCap::Unlimited => None,
        StepCap::Absolute(most) => Some(Cap::Absolute(most)),
        StepCap::Factor(most) => Some(Cap::Factor(most)),
    }
}

fn cap_from_wire(cap: Option<Cap>) -> StepCap {
    match cap {
        None => StepCap::Unlimited,
        Some(Cap::Absolute(most)) => StepCap::Absolute(most),
        Some(Cap::Factor(most)) => StepCap::Factor(most),
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Cost {
    Live,
    Reload,
    Restart,
}

impl From<ApplyCost> for Cost {
    fn from(cost: ApplyCost) -> Cost {
        match cost {
            ApplyCost::Live => Cost::Live,
            ApplyCost::Reload => Cost::Reload,
            ApplyCost::Restart => Cost::Restart,
        }
    }
}

impl From<Cost> for ApplyCost {
    fn from(cost: Cost) -> ApplyCost {
        match cost {
            Cost::Live => ApplyCost::Live,
            Cost::Reload => ApplyCost::Reload,
            Cost::Restart => ApplyCost::Restart,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finite() -> impl Strategy<Value = f64> {
        proptest::num::f64::NORMAL | proptest::num::f64::ZERO
    }

    fn kinds_and_values() -> impl Strategy<Value = (KnobType, KnobValue, KnobValue)> {
        let int = (any::<i64>(), any::<i64>(), any::<bool>(), any::<i64>(), any::<i64>()).prop_map(
            |(min, max, log, a, b)| (KnobType::Int { min, max, log }, KnobValue::Int(a), KnobValue::Int(b)),
        );
        let float =
            (finite(), finite(), any::<bool>(), finite(), finite()).prop_map(|(min, max, log, a, b)| {
                (KnobType::Float { min, max, log }, KnobValue::Float(a), KnobValue::Float(b))
            });
        let switch = (any::<bool>(), any::<bool>())
            .prop_map(|(a, b)| (KnobType::Bool, KnobValue::Bool(a), KnobValue::Bool(b)));
        let choice = prop::collection::vec("[a-z]{1,8}", 1..4).prop_map(|words| {
            let first = KnobValue::Choice(words[0].clone());
            (KnobType::Choice(words), first.clone(), first)
        });
        prop_oneof![int, float, switch, choice]
    }

    fn states() -> impl Strategy<Value = KnobState> {
        let cap = prop_oneof![
            Just(StepCap::Unlimited),
            finite().prop_map(StepCap::Absolute),
            finite().prop_map(StepCap::Factor)
        ];
        let cost = prop_oneof![Just(ApplyCost::Live), Just(ApplyCost::Reload), Just(ApplyCost::Restart)];
        let lapse = prop::option::of((0_u32..1 << 20).prop_map(|ms| Duration::from_millis(u64::from(ms))));
        (kinds_and_values(), "[a-z.]{1,20}", cap, cost, any::<u64>(), any::<bool>(), lapse).prop_map(
            |((kind, value, confirmed), name, step_cap, cost, epoch, held, lapses_in)| KnobState {
                spec: KnobSpec { name, kind, step_cap, cost },
                value,
                hold: Hold { confirmed, seen: Epoch(epoch), held, lapses_in },
            },
        )
    }

    fn changes() -> impl Strategy<Value = KnobChange> {
        let value = prop_oneof![
            any::<bool>().prop_map(WireValue::Bool),
            any::<i64>().prop_map(WireValue::Int),
            finite().prop_map(WireValue::Float),
            "[a-z]{1,8}".prop_map(WireValue::Word),
        ];
        let lease = prop_oneof![
            Just(Lease::Confirmed),
            (1_u64..86_400_000).prop_map(|ms| Lease::For(Duration::from_millis(ms)))
        ];
        let action = prop_oneof![
            (value, lease).prop_map(|(value, lease)| KnobAction::Set(value, lease)),
            Just(KnobAction::HandBack)
        ];
        ("[a-z.]{1,20}", any::<u64>(), action).prop_map(|(name, epoch, action)| KnobChange {
            name,
            epoch: Epoch(epoch),
            action,
        })
    }

    proptest! {
        #[test]
        fn a_knob_returns_from_json(state in states()) {
            let json = serde_json::to_string(&state).expect("serialises");
            prop_assert_eq!(serde_json::from_str::<KnobState>(&json).expect("reads"), state);
        }

        #[test]
        fn a_change_returns_from_json(change in changes()) {
            let json = serde_json::to_string(&change).expect("serialises");
            prop_assert_eq!(serde_json::from_str::<KnobChange>(&json).expect("reads"), change);
        }
    }

    #[test]
    fn a_pool_size_is_shown_as_documented() {
        let state = KnobState {
            spec: KnobSpec {
                name: "checkout.pool.size".to_owned(),
                kind: KnobType::Int { min: 1, max: 64, log: true },
                step_cap: StepCap::Factor(2.0),
                cost: ApplyCost::Live,
            },
            value: KnobValue::Int(8),
            hold: Hold { confirmed: KnobValue::Int(8), seen: Epoch(0), held: false, lapses_in: None },
        };
        let expected = r#"{"name":"checkout.pool.size","type":"int","min":1,"max":64,"log":true,"step_cap":{"factor":2.0},"cost":"live","value":8,"confirmed":8,"epoch":0,"held":false,"lapses_in_s":null}"#;
        assert_eq!(serde_json::to_string(&state).expect("serialises"), expected);
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        let real = KnobType::Float { min: 0.0, max: 9.0, log: false };
        let whole = KnobType::Int { min: 0, max: 9, log: false };
        assert_eq!(WireValue::Int(3).typed(&real), Some(KnobValue::Float(3.0)));
        assert_eq!(WireValue::Float(3.0).typed(&whole), Some(KnobValue::Int(3)));
        assert_eq!(WireValue::Float(3.5).typed(&whole), None);
        assert_eq!(WireValue::Float(1e99).typed(&whole), None);
    }

    #[test]
    fn a_change_that_is_no_change_says_what_one_is() {
        for json in [
            r#"{"name":"a","epoch":1}"#,
            r#"{"name":"a","epoch":1,"value":2}"#,
            r#"{"name":"a","epoch":1,"value":2,"lease_s":5,"confirm":true}"#,
            r#"{"name":"a","epoch":1,"value":2,"hand_back":true}"#,
        ] {
            let error = serde_json::from_str::<KnobChange>(json).expect_err(json).to_string();
            assert!(error.contains("knob a: give a value with lease_s"), "{error}");
        }
    }

    #[test]
    fn a_lease_of_no_time_or_of_more_than_a_day_is_refused() {
        for lease in ["0", "-1", "86401", "1e300"] {
            let json = format!(r#"{{"name":"a","epoch":1,"value":2,"lease_s":{lease}}}"#);
            let error = serde_json::from_str::<KnobChange>(&json).expect_err(lease).to_string();
            assert!(error.contains("lease_s is more than 0"), "{error}");
        }
    }
}
