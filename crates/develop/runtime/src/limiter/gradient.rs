//! Gradient2: latency now against its long-term mean.

use super::control::{Bounds, Climb, Control, step};
use super::sample::Sample;
use crate::decision::Decision;

/// How much latency may rise over its long-term mean before the limit shrinks.
const TOLERANCE: f64 = 1.5;
/// What is added at each step.
const ROOM: f64 = 4.0;
/// How much of a step is taken.
const SMOOTHING: f64 = 0.2;
/// Windows of the long-term mean.
const LONG: f64 = 600.0;

/// Netflix' `Gradient2Limit` (*concurrency-limits*), fed by windows.
///
/// The limit goes to limit · gradient + 4, where gradient is 1.5 · long-term latency / latency, within 0.5 to 1. The known
/// weakness: the long-term mean drifts to whatever queueing there is, and up to 1.5 times it the gradient is 1: then nothing
/// shrinks the limit, and 4 is added for ever. [`Guarded`](super::guard::Guarded) mends that.
#[derive(Debug)]
pub struct Gradient2 {
    limit: f64,
    long: f64,
    windows: f64,
    gradient: f64,
}

impl Gradient2 {
    /// Starts at `limit`.
    pub fn new(limit: f64) -> Gradient2 {
        Gradient2 { limit, long: 0.0, windows: 0.0, gradient: 1.0 }
    }
}

impl Climb for Gradient2 {
    fn propose(&mut self, sample: &Sample, bounds: Bounds) -> f64 {
        let latency = sample.latency.mean;
        self.windows = (self.windows + 1.0).min(LONG);
        self.long += (latency - self.long) * (2.0 / (self.windows + 1.0)).min(1.0);
        // After overload, the mean must not stay high for long.
        if self.long / latency > 2.0 {
            self.long *= 0.95;
        }
        if sample.in_flight * 2.0 < self.limit {
            return bounds.clamp(self.limit);
        }
        self.gradient = (TOLERANCE * self.long / latency).clamp(0.5, 1.0);
        let next = self.limit * self.gradient + ROOM;
        bounds.clamp(self.limit * (1.0 - SMOOTHING) + next * SMOOTHING)
    }

    fn limit(&self) -> f64 {
        self.limit
    }

    fn set_limit(&mut self, limit: f64) {
        self.limit = limit;
    }

    fn evidence(&self) -> (&'static str, f64) {
        ("latency_gradient", self.gradient)
    }
}

impl Control for Gradient2 {
    fn update(&mut self, sample: &Sample, bounds: Bounds) -> Option<Decision<usize>> {
        self.limit = self.propose(sample, bounds);
        step(sample, self.limit, "latency is to stay near its long-term mean", &[self.evidence()])
    }

    fn centre(&self) -> f64 {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::super::control::testing::settle;
    use super::*;

    #[test]
    fn alone_it_grows_to_any_limit() {
        let limit = settle(&mut Gradient2::new(8.0), 2000, 16, 0.01);
        assert!(limit > 500.0, "the known weakness is gone: {limit}");
    }

    #[test]
    fn a_sudden_rise_of_latency_shrinks_the_limit() {
        let mut gradient = Gradient2::new(16.0);
        settle(&mut gradient, 10, 64, 0.01);
        let before = gradient.centre();
        settle(&mut gradient, 3, 64, 0.05);
        assert!(gradient.centre() < before);
    }
}
