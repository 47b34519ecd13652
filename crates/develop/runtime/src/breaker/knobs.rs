//! What may be turned on a breaker while it runs.

use std::sync::Arc;
use std::time::Duration;

use kandela_model::{KnobError, KnobType, KnobValue};

use super::machine::Thresholds;
use super::settings::Settings;
use crate::knob::{LeasedKnob, Scalar, live};
use crate::steward::Steward;

/// Who decides whether calls go through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The breaker.
    #[default]
    Automatic,
    /// Somebody else: none goes through.
    ForcedOpen,
    /// Somebody else: all go through, and none is looked at.
    ForcedClosed,
}

impl Mode {
    const ALL: [Mode; 3] = [Mode::Automatic, Mode::ForcedOpen, Mode::ForcedClosed];

    /// Its name as a choice of a knob: `automatic`, `open`, `closed`.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Automatic => "automatic",
            Mode::ForcedOpen => "open",
            Mode::ForcedClosed => "closed",
        }
    }
}

/// As its name, a choice.
impl Scalar for Mode {
    fn to_bits(self) -> u64 {
        self as u64
    }
    fn from_bits(bits: u64) -> Self {
        Mode::ALL.get(bits as usize).copied().unwrap_or_default()
    }
    fn to_value(self) -> KnobValue {
        KnobValue::Choice(self.name().to_owned())
    }
    fn from_value(value: &KnobValue) -> Option<Self> {
        let KnobValue::Choice(name) = value else { return None };
        Mode::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

pub(super) struct Knobs {
    pub(super) mode: Arc<LeasedKnob<Mode>>,
    pub(super) failure_rate: Arc<LeasedKnob<f64>>,
    pub(super) slow_rate: Arc<LeasedKnob<f64>>,
    pub(super) slow: Arc<LeasedKnob<Duration>>,
    pub(super) minimum_calls: Arc<LeasedKnob<usize>>,
    pub(super) open_for: Arc<LeasedKnob<Duration>>,
}

impl Knobs {
    /// Knobs that stand at `settings`, registered under `name`.
    pub(super) fn new(name: &str, settings: &Settings, steward: &Steward) -> Result<Knobs, KnobError> {
        let rate = || KnobType::Float { min: 0.001, max: 1.0, log: false };
        let seconds = |min| KnobType::Float { min, max: 3600.0, log: true };
        let modes = KnobType::Choice(Mode::ALL.map(|mode| mode.name().to_owned()).to_vec());
        let calls = KnobType::Int { min: 1, max: 100_000, log: true };
        Ok(Knobs {
            mode: live(steward, name, "mode", modes, Mode::Automatic)?,
            failure_rate: live(steward, name, "failure_rate", rate(), settings.failure_rate)?,
            slow_rate: live(steward, name, "slow_rate", rate(), settings.slow_rate)?,
            slow: live(steward, name, "slow_seconds", seconds(1e-6), settings.slow)?,
            minimum_calls: live(steward, name, "minimum_calls", calls, settings.minimum_calls)?,
            open_for: live(steward, name, "open_seconds", seconds(0.001), settings.open_for)?,
        })
    }

    #[inline]
    pub(super) fn thresholds(&self) -> Thresholds {
        Thresholds {
            failure_rate: self.failure_rate.read(),
            slow_rate: self.slow_rate.read(),
            slow: self.slow.read(),
            minimum_calls: self.minimum_calls.read() as u64,
            open_for: self.open_for.read(),
        }
    }
}
