//! How a limit follows what is measured: pure controllers, and which to take.

use super::gradient::Gradient2;
use super::guard::Guarded;
use super::power::Power;
use super::sample::Sample;
use super::vegas::Vegas;
use crate::decision::{Decision, Reason};
use crate::knob::Scalar;
use kandela_model::KnobValue;

/// What a limit may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The lowest limit.
    pub min: usize,
    /// The highest limit.
    pub max: usize,
}

impl Bounds {
    pub(super) fn clamp(self, limit: f64) -> f64 {
        limit.clamp(self.min as f64, self.max.max(self.min) as f64)
    }
}

/// Follows what is measured, window by window.
pub trait Control: Send {
    /// The limit for the next window, where it is another than for the last one.
    fn update(&mut self, sample: &Sample, bounds: Bounds) -> Option<Decision<usize>>;

    /// The limit around which the controller works: that for the next window, less what it tries out.
    fn centre(&self) -> f64;
}

/// How a limit follows what is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// [`Power`]: tries a little more and a little less, and goes where throughput is won faster than latency.
    #[default]
    Power,
    /// [`Vegas`]: keeps a few calls queued at the far side.
    Vegas,
    /// [`Vegas`] whose growth is taken back where it does not pay.
    VegasGuarded,
    /// [`Gradient2`]: keeps latency near its long-term mean.
    Gradient2,
    /// [`Gradient2`] whose growth is taken back where it does not pay.
    Gradient2Guarded,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 5] = [
        Algorithm::Power,
        Algorithm::Vegas,
        Algorithm::VegasGuarded,
        Algorithm::Gradient2,
        Algorithm::Gradient2Guarded,
    ];

    /// Its name as a choice of a knob: `power`, `vegas`, `vegas-guarded`, `gradient2`, `gradient2-guarded`.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Power => "power",
            Algorithm::Vegas => "vegas",
            Algorithm::VegasGuarded => "vegas-guarded",
            Algorithm::Gradient2 => "gradient2",
            Algorithm::Gradient2Guarded => "gradient2-guarded",
        }
    }

    /// A controller of this kind that starts at `limit`.
    pub fn start(self, limit: f64) -> Box<dyn Control> {
        match self {
            Algorithm::Power => Box::new(Power::new(limit)),
            Algorithm::Vegas => Box::new(Vegas::new(limit)),
            Algorithm::VegasGuarded => Box::new(Guarded::new(Vegas::new(limit))),
            Algorithm::Gradient2 => Box::new(Gradient2::new(limit)),
            Algorithm::Gradient2Guarded => Box::new(Guarded::new(Gradient2::new(limit))),
        }
    }
}

/// As its name, a choice.
impl Scalar for Algorithm {
    fn to_bits(self) -> u64 {
        self as u64
    }
    fn from_bits(bits: u64) -> Self {
        Algorithm::ALL.get(bits as usize).copied().unwrap_or_default()
    }
    fn to_value(self) -> KnobValue {
        KnobValue::Choice(self.name().to_owned())
    }
    fn from_value(value: &KnobValue) -> Option<Self> {
        let KnobValue::Choice(name) = value else { return None };
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// A controller whose limit is one number, which the guard may take back.
pub trait Climb: Send {
    /// The limit that it would have next.
    fn propose(&mut self, sample: &Sample, bounds: Bounds) -> f64;

    /// Where its limit stands.
    fn limit(&self) -> f64;

    /// Puts its limit elsewhere.
    fn set_limit(&mut self, limit: f64);

    /// What it looks at, for the decision's evidence.
    fn evidence(&self) -> (&'static str, f64);
}

pub(super) fn step(
    sample: &Sample,
    limit: f64,
    why: &str,
    evidence: &[(&'static str, f64)],
) -> Option<Decision<usize>> {
    let value = (limit.round() as usize).max(1);
    (value != sample.limit).then(|| {
        let mut evidence = evidence.to_vec();
        evidence.push(("throughput_per_second", sample.throughput));
        evidence.push(("latency_mean_seconds", sample.latency.mean));
        evidence.push(("in_flight", sample.in_flight));
        Decision { value, reason: Reason { why: why.to_owned(), evidence, expected: None } }
    })
}

#[cfg(test)]
pub(super) mod testing {
    use std::time::Duration;

    use super::*;
    use crate::limiter::sample::Latency;

    /// A window of a server with `workers` workers that take `seconds` a call, kept busy up to `limit`.
    pub(in crate::limiter) fn saturated(limit: usize, workers: usize, seconds: f64) -> Sample {
        let busy = limit.min(workers) as f64;
        let latency = limit as f64 / busy * seconds;
        let latency =
            Latency { min: latency, mean: latency, geometric_mean: latency, p50: latency, p99: latency };
        let throughput = busy / seconds;
        Sample {
            lasted: Duration::from_secs(1),
            limit,
            in_flight: limit as f64,
            throughput,
            latency,
            completed: throughput as u64,
            dropped: 0,
            blocked: throughput as u64,
        }
    }

    pub(in crate::limiter) const BOUNDS: Bounds = Bounds { min: 1, max: 1000 };

    /// Where `control` stands after `windows` windows in front of that server.
    pub(in crate::limiter) fn settle(
        control: &mut dyn Control,
        windows: usize,
        workers: usize,
        seconds: f64,
    ) -> f64 {
        let mut limit = control.centre().round() as usize;
        for _ in 0..windows {
            if let Some(decision) = control.update(&saturated(limit, workers, seconds), BOUNDS) {
                limit = decision.value;
            }
        }
        control.centre()
    }

    #[test]
    fn algorithms_return_from_their_names() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_value(&algorithm.to_value()), Some(algorithm));
            assert_eq!(Algorithm::from_bits(algorithm.to_bits()), algorithm);
        }
    }
}
