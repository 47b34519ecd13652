//! What may be turned on a limiter while it runs.

use std::sync::Arc;
use std::time::Duration;

use kandela_model::{KnobError, KnobType};

use super::control::{Algorithm, Bounds};
use super::gate::HIGHEST_LIMIT;
use super::settings::Settings;
use crate::knob::{LeasedKnob, live};
use crate::steward::Steward;

pub(super) struct Knobs {
    pub(super) limit: Arc<LeasedKnob<usize>>,
    pub(super) min: Arc<LeasedKnob<usize>>,
    pub(super) max: Arc<LeasedKnob<usize>>,
    pub(super) algorithm: Arc<LeasedKnob<Algorithm>>,
    pub(super) max_wait: Arc<LeasedKnob<Duration>>,
}

impl Knobs {
    /// Knobs that stand at `settings`, registered under `name`.
    pub(super) fn new(name: &str, settings: &Settings, steward: &Steward) -> Result<Knobs, KnobError> {
        let limits = || KnobType::Int { min: 1, max: HIGHEST_LIMIT as i64, log: true };
        let choices = Algorithm::ALL.map(|algorithm| algorithm.name().to_owned()).to_vec();
        let seconds = KnobType::Float { min: 0.0, max: 60.0, log: false };
        Ok(Knobs {
            limit: live(steward, name, "limit", limits(), settings.initial)?,
            min: live(steward, name, "limit_min", limits(), settings.min)?,
            max: live(steward, name, "limit_max", limits(), settings.max)?,
            algorithm: live(steward, name, "algorithm", KnobType::Choice(choices), settings.algorithm)?,
            max_wait: live(steward, name, "max_wait_seconds", seconds, settings.max_wait)?,
        })
    }

    pub(super) fn bounds(&self) -> Bounds {
        // The upper bound protects the far side, so it wins.
        let max = self.max.read();
        Bounds { min: self.min.read().min(max), max }
    }
}
