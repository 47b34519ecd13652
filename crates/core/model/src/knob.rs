//! Knobs: what a controller may turn on a running system, and how it stays safe when the controller dies.
//!
//! Every value set by a controller is held under a [`Lease`]. When the lease lapses, the knob goes back to its last
//! confirmed value by itself and refuses every [`Epoch`] below the highest it has seen, so a controller that hung and comes
//! back cannot disturb its successor.

#[cfg(feature = "serde")]
pub(crate) mod wire;

use std::fmt;
use std::time::Duration;

/// A controller's term of office; a newer controller has a higher one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// How long a value holds without renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Reverts unless set again within this time.
    For(Duration),
    /// Confirmed: becomes the value that later leases revert to.
    Confirmed,
}

/// A knob's value.
#[derive(Clone, Debug, PartialEq)]
pub enum KnobValue {
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(f64),
    /// On or off.
    Bool(bool),
    /// One of a knob's listed choices.
    Choice(String),
}

impl fmt::Display for KnobValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Bool(value) => value.fmt(f),
            Self::Choice(value) => value.fmt(f),
        }
    }
}

/// What values a knob takes. Ranges include both ends.
#[derive(Clone, Debug, PartialEq)]
pub enum KnobType {
    /// Whole numbers; `log` where ratios matter more than differences.
    Int {
        /// Lowest value.
        min: i64,
        /// Highest value.
        max: i64,
        /// Searched on a logarithmic scale.
        log: bool,
    },
    /// Real numbers.
    Float {
        /// Lowest value.
        min: f64,
        /// Highest value.
        max: f64,
        /// Searched on a logarithmic scale.
        log: bool,
    },
    /// On or off.
    Bool,
    /// One of these words.
    Choice(Vec<String>),
}

impl fmt::Display for KnobType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int { min, max, .. } => write!(f, "a whole number from {min} to {max}"),
            Self::Float { min, max, .. } => write!(f, "a number from {min} to {max}"),
            Self::Bool => f.write_str("true or false"),
            Self::Choice(choices) => write!(f, "one of {}", choices.join(", ")),
        }
    }
}

/// How far one step may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepCap {
    /// Any distance.
    Unlimited,
    /// At most this much up or down.
    Absolute(f64),
    /// At most this factor (above 1) up or down.
    Factor(f64),
}

impl fmt::Display for StepCap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("any distance"),
            Self::Absolute(cap) => write!(f, "{cap} up or down"),
            Self::Factor(cap) => write!(f, "a factor of {cap} up or down"),
        }
    }
}

/// What it costs to apply a new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ApplyCost {
    /// Takes effect at once.
    Live,
    /// Needs the target to reload its configuration.
    Reload,
    /// Needs the target to restart.
    Restart,
}

/// What a knob is.
#[derive(Clone, Debug, PartialEq)]
pub struct KnobSpec {
    /// Its name, dotted: `checkout.pool.size`.
    pub name: String,
    /// The values it takes.
    pub kind: KnobType,
    /// How far one step may go.
    pub step_cap: StepCap,
    /// What applying a value costs.
    pub cost: ApplyCost,
}

impl KnobSpec {
    /// Whether `value` is of the knob's type and within its range.
    ///
    /// # Errors
    /// [`KnobError::WrongType`] or [`KnobError::OutOfRange`].
    pub fn check(&self, value: &KnobValue) -> Result<(), KnobError> {
        let within = match (&self.kind, value) {
            (KnobType::Int { min, max, .. }, KnobValue::Int(v)) => (min..=max).contains(&v),
            (KnobType::Float { min, max, .. }, KnobValue::Float(v)) => (min..=max).contains(&v),
            (KnobType::Bool, KnobValue::Bool(_)) => true,
            (KnobType::Choice(choices), KnobValue::Choice(choice)) => choices.contains(choice),
            _ => return Err(KnobError::WrongType { knob: self.name.clone(), kind: self.kind.clone() }),
        };
        if within {
            Ok(())
        } else {
            Err(KnobError::OutOfRange {
                knob: self.name.clone(),
                value: value.clone(),
                kind: self.kind.clone(),
            })
        }
    }

    /// Whether one step may lead from `from` to `to`. Booleans and choices have no distance and always may.
    ///
    /// # Errors
    /// [`KnobError::StepTooLarge`].
    pub fn check_step(&self, from: &KnobValue, to: &KnobValue) -> Result<(), KnobError> {
        let (Some(a), Some(b)) = (number(from), number(to)) else { return Ok(()) };
        let allowed = match self.step_cap {
            StepCap::Unlimited => true,
            StepCap::Absolute(cap) => (b - a).abs() <= cap,
            StepCap::Factor(cap) => a == b || (a * b > 0.0 && (b / a).max(a / b) <= cap),
        };
        if allowed {
            Ok(())
        } else {
            Err(KnobError::StepTooLarge {
                knob: self.name.clone(),
                from: from.clone(),
                to: to.clone(),
                cap: self.step_cap,
            })
        }
    }
}

fn number(value: &KnobValue) -> Option<f64> {
    match value {
        KnobValue::Int(v) => Some(*v as f64),
        KnobValue::Float(v) => Some(*v),
        KnobValue::Bool(_) | KnobValue::Choice(_) => None,
    }
}

/// Why a knob refused a value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum KnobError {
    /// The value is of another type than the knob.
    WrongType {
        /// The knob.
        knob: String,
        /// What it takes.
        kind: KnobType,
    },
    /// The value lies outside the knob's range.
    OutOfRange {
        /// The knob.
        knob: String,
        /// The refused value.
        value: KnobValue,
        /// What it takes.
        kind: KnobType,
    },
    /// The step is longer than the knob's cap.
    StepTooLarge {
        /// The knob.
        knob: String,
        /// Where it stands.
        from: KnobValue,
        /// Where it was to go.
        to: KnobValue,
        /// The cap.
        cap: StepCap,
    },
    /// A controller of a newer epoch has been here.
    StaleEpoch {
        /// The knob.
        knob: String,
        /// The refused epoch.
        offered: Epoch,
        /// The highest epoch seen.
        seen: Epoch,
    },
    /// A controller from outside holds the knob: the target's own may only advise.
    Held {
        /// The knob.
        knob: String,
        /// Who holds it.
        by: Epoch,
    },
    /// The target could not be changed.
    Target {
        /// The knob.
        knob: String,
        /// What the target said.
        reason: String,
    },
}

impl fmt::Display for KnobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongType { knob, kind } => {
                write!(f, "knob {knob} takes {kind}; the value is of another type")
            }
            Self::OutOfRange { knob, value, kind } => {
                write!(f, "knob {knob} takes {kind}; {value} is not")
            }
            Self::StepTooLarge { knob, from, to, cap } => {
                write!(
                    f,
                    "knob {knob}: from {from} to {to} is too far for one step, which may go {cap}; go in smaller steps"
                )
            }
            Self::StaleEpoch { knob, offered, seen } => write!(
                f,
                "knob {knob}: epoch {} is over, epoch {} has taken office; acquire a new lease",
                offered.0, seen.0
            ),
            Self::Held { knob, by } => write!(
                f,
                "knob {knob}: the controller of epoch {} holds it; wait for its lease to lapse, or have it hand the knob back",
                by.0
            ),
            Self::Target { knob, reason } => write!(f, "knob {knob}: the target refused: {reason}"),
        }
    }
}

impl std::error::Error for KnobError {}

/// Something that can be turned on a running system.
pub trait Knob: Send + Sync {
    /// What it is.
    fn spec(&self) -> &KnobSpec;

    /// Where it stands now.
    fn get(&self) -> KnobValue;

    /// Where it would go back to, and who holds it.
    fn hold(&self) -> Hold;

    /// Turns it to `value` on behalf of the controller of `epoch`, for as long as `lease` says.
    ///
    /// # Errors
    /// Any [`KnobError`]; the knob then stands where it stood.
    fn set(&self, value: KnobValue, epoch: Epoch, lease: Lease) -> Result<(), KnobError>;

    /// Gives the knob back to what the target does by itself: to its own controller where it has one, at the value that was
    /// confirmed last.
    ///
    /// # Errors
    /// [`KnobError::StaleEpoch`], or [`KnobError::Target`].
    fn hand_back(&self, epoch: Epoch) -> Result<(), KnobError>;
}

/// Who holds a knob, and what follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    /// The value that a lapse leads back to.
    pub confirmed: KnobValue,
    /// The highest epoch that has set the knob; lower ones are refused.
    pub seen: Epoch,
    /// Whether a controller from outside holds it, so that the target's own does not touch it.
    pub held: bool,
    /// When the value lapses, from now; none where it is confirmed.
    pub lapses_in: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool_size(step_cap: StepCap) -> KnobSpec {
        KnobSpec {
            name: "pool.size".into(),
            kind: KnobType::Int { min: 1, max: 64, log: true },
            step_cap,
            cost: ApplyCost::Live,
        }
    }

    #[test]
    fn a_value_outside_the_range_is_refused() {
        let spec = pool_size(StepCap::Unlimited);
        assert!(spec.check(&KnobValue::Int(64)).is_ok());
        assert!(matches!(spec.check(&KnobValue::Int(65)), Err(KnobError::OutOfRange { .. })));
        assert!(matches!(spec.check(&KnobValue::Bool(true)), Err(KnobError::WrongType { .. })));
    }

    #[test]
    fn a_step_over_the_cap_is_refused_in_both_directions() {
        let spec = pool_size(StepCap::Factor(2.0));
        assert!(spec.check_step(&KnobValue::Int(8), &KnobValue::Int(16)).is_ok());
        assert!(spec.check_step(&KnobValue::Int(8), &KnobValue::Int(17)).is_err());
        assert!(spec.check_step(&KnobValue::Int(8), &KnobValue::Int(3)).is_err());
    }

    #[test]
    fn not_a_number_is_never_in_range() {
        let spec = KnobSpec {
            kind: KnobType::Float { min: 0.0, max: 1.0, log: false },
            ..pool_size(StepCap::Unlimited)
        };
        assert!(spec.check(&KnobValue::Float(f64::NAN)).is_err());
    }
}
