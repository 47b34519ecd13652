//! What manager and watchdog say to each other, a line of JSON each, and what a watchdog leaves behind.

use std::collections::BTreeMap;
use std::fmt;

use kandela_model::{Epoch, KnobError, WireValue};
use kandela_tune::space::Class;
use serde::{Deserialize, Serialize};

use crate::actuator::settings::Texts;
use crate::actuator::{ActuateError, TargetConfig};

/// What the manager asks for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// What its answer is told by: whoever asked may not have waited for it.
    pub(crate) number: u64,
    pub(crate) epoch: u64,
    pub(crate) what: What,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    /// First of all: whom it is about.
    Open(Box<TargetConfig>),
    /// Sets under a lease, or renews one.
    Hold { texts: Texts, lease_ms: u64 },
    /// Sets for good.
    Confirm { texts: Texts },
    /// Goes back.
    Revert { knobs: Vec<String> },
}

/// What the watchdog answers. It ends after an answer with which it neither holds anything nor stays.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// That of the order; 0 where nobody asked.
    pub(crate) number: u64,
    /// Whether there is something that a lapse would take back.
    pub(crate) held: bool,
    /// Whether it stays although it holds nothing, so that nobody else takes the target between two slices of a trial.
    pub(crate) stays: bool,
    pub(crate) what: Said,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    Done,
    Fault(Fault),
    /// Unasked: it went back.
    WentBack(Report),
}

/// Why a watchdog went back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The manager's end of the pipe closed: it ended, or was killed.
    ManagerGone,
    /// The manager did not renew its lease in time.
    LeaseLapsed,
    /// A manager of a newer epoch wants the target.
    Succeeded,
    /// The watchdog was told to end by a signal.
    ToldToEnd,
    /// Something was left on disk by a watchdog that was killed.
    FoundOnDisk,
    /// A change failed half-way, and where it stood was not known.
    HalfWay,
}

/// What a watchdog did without being asked to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The name of the target.
    pub target: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whose values were taken back.
    pub epoch: u64,
    /// Why.
    pub cause: Cause,
    /// The knobs, and the values that are back.
    pub restored: BTreeMap<String, WireValue>,
    /// How long it took, from the cause to the values in force, in milliseconds.
    pub took_ms: u64,
    /// Why it did not succeed; it is then being tried again.
    pub error: Option<String>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::ManagerGone => "its manager was gone",
            Cause::LeaseLapsed => "the lease was not renewed in time",
            Cause::Succeeded => "a newer manager wanted the target",
            Cause::ToldToEnd => "it was told to end",
            Cause::FoundOnDisk => "a watchdog before it was killed",
            Cause::HalfWay => "a change failed half-way",
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { target, cause, restored, took_ms, error, .. } = self;
        if let Some(error) = error {
            return write!(
                f,
                "the watchdog of {target} did not get back to the confirmed values ({cause}): {error}"
            );
        }
        let value = |value: &WireValue| match value {
            WireValue::Bool(value) => value.to_string(),
            WireValue::Int(value) => value.to_string(),
            WireValue::Float(value) => value.to_string(),
            WireValue::Word(value) => value.clone(),
        };
        let values: Vec<String> =
            restored.iter().map(|(name, to)| format!("{name} = {}", value(to))).collect();
        let values = values.join(", ");
        write!(
            f,
            "the watchdog of {target} went back to the confirmed values ({cause}): {values}; in {took_ms} ms"
        )
    }
}

/// An [`ActuateError`] on its way between processes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    Refused { knob: String, reason: String },
    Stale { offered: u64, seen: u64 },
    NoKnob { knob: String, known: Vec<String> },
    Forbidden { knob: String, durability: bool, why: String },
    Foreign { knob: String, owner: String, proposal: String },
    Unreachable(String),
    Failed(String),
    Held(String),
    Unguarded(String),
    Unknown(String),
}

impl From<ActuateError> for Fault {
    fn from(error: ActuateError) -> Fault {
        match error {
            ActuateError::Refused { error, .. } => match error {
                KnobError::Target { knob, reason } => Fault::Refused { knob, reason },
                other => Fault::Failed(other.to_string()),
            },
            ActuateError::NoKnob { knob, known, .. } => Fault::NoKnob { knob, known },
            ActuateError::Forbidden { knob, class, why, .. } => {
                Fault::Forbidden { knob, durability: class == Class::Durability, why }
            }
            ActuateError::Foreign { knob, owner, proposal, .. } => Fault::Foreign { knob, owner, proposal },
            ActuateError::Unreachable { reason, .. } => Fault::Unreachable(reason),
            ActuateError::Failed { reason, .. } => Fault::Failed(reason),
            ActuateError::Held { holder, .. } => Fault::Held(holder),
            ActuateError::Unguarded { reason, .. } => Fault::Unguarded(reason),
            ActuateError::Unknown { reason, .. } => Fault::Unknown(reason),
        }
    }
}

impl Fault {
    /// The error that it was, about `target`; `knob` is one that a refused epoch was to turn.
    pub(crate) fn error(self, target: &str, knob: &str) -> ActuateError {
        let target_name = || target.to_owned();
        match self {
            Fault::Refused { knob, reason } => ActuateError::refused(target, &knob, reason),
            Fault::Stale { offered, seen } => {
                let error = KnobError::StaleEpoch {
                    knob: knob.to_owned(),
                    offered: Epoch(offered),
                    seen: Epoch(seen),
                };
                ActuateError::Refused { target: target_name(), error }
            }
            Fault::NoKnob { knob, known } => ActuateError::NoKnob { target: target_name(), knob, known },
            Fault::Forbidden { knob, durability, why } => {
                let class = if durability { Class::Durability } else { Class::Security };
                ActuateError::Forbidden { target: target_name(), knob, class, why }
            }
            Fault::Foreign { knob, owner, proposal } => {
                ActuateError::Foreign { target: target_name(), knob, owner, proposal }
            }
            Fault::Unreachable(reason) => ActuateError::unreachable(target, reason),
            Fault::Failed(reason) => ActuateError::failed(target, reason),
            Fault::Held(holder) => ActuateError::Held { target: target_name(), holder },
            Fault::Unguarded(reason) => ActuateError::unguarded(target, reason),
            Fault::Unknown(reason) => ActuateError::unknown(target, reason),
        }
    }
}
