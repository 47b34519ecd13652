//! Vegas: an estimate of how many calls are queued at the far side, kept between two marks.

use super::control::{Bounds, Climb, Control, step};
use super::sample::Sample;
use crate::decision::Decision;

/// Every so many windows, the latency without load is measured anew: the far side may have changed.
const PROBE_EVERY: u32 = 60;

/// Netflix' form (`VegasLimit` of *concurrency-limits*) of TCP Vegas (Brakmo and Peterson, 1995), fed by windows.
///
/// With the smallest mean latency of any window as that without load, limit · (1 − without load / now) calls are queued. Below
/// 3·log₁₀(limit) the limit grows, above 6·log₁₀(limit) it shrinks, by log₁₀(limit). The known weakness: where the latency without
/// load is forgotten under load, what is queued then counts as none.
#[derive(Debug)]
pub struct Vegas {
    limit: f64,
    unloaded: Option<f64>,
    since_probe: u32,
    queued: f64,
}

impl Vegas {
    /// Starts at `limit`.
    pub fn new(limit: f64) -> Vegas {
        Vegas { limit, unloaded: None, since_probe: 0, queued: 0.0 }
    }
}

impl Climb for Vegas {
    fn propose(&mut self, sample: &Sample, bounds: Bounds) -> f64 {
        let unit = self.limit.log10().max(1.0);
        if sample.dropped > 0 {
            return bounds.clamp(self.limit - unit);
        }
        self.since_probe += 1;
        let latency = sample.latency.mean;
        let unloaded = match self.unloaded {
            Some(unloaded) if unloaded <= latency && self.since_probe < PROBE_EVERY => unloaded,
            _ => {
                self.since_probe = 0;
                self.unloaded = Some(latency);
                return bounds.clamp(self.limit);
            }
        };
        if sample.in_flight * 2.0 < self.limit {
            return bounds.clamp(self.limit);
        }
        self.queued = self.limit * (1.0 - unloaded / latency);
        bounds.clamp(if self.queued <= unit {
            self.limit + 6.0 * unit
        } else if self.queued < 3.0 * unit {
            self.limit + unit
        } else if self.queued > 6.0 * unit {
            self.limit - unit
        } else {
            self.limit
        })
    }

    fn limit(&self) -> f64 {
        self.limit
    }

    fn set_limit(&mut self, limit: f64) {
        self.limit = limit;
    }

    fn evidence(&self) -> (&'static str, f64) {
        ("queued_at_far_side", self.queued)
    }
}

impl Control for Vegas {
    fn update(&mut self, sample: &Sample, bounds: Bounds) -> Option<Decision<usize>> {
        self.limit = self.propose(sample, bounds);
        step(sample, self.limit, "the queue at the far side is to stay between its marks", &[self.evidence()])
    }

    fn centre(&self) -> f64 {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::super::control::testing::{BOUNDS, saturated, settle};
    use super::*;

    #[test]
    fn a_few_calls_stay_queued_at_the_far_side() {
        let limit = settle(&mut Vegas::new(8.0), 50, 16, 0.01);
        assert!((17.0..28.0).contains(&limit), "{limit}");
    }

    #[test]
    fn a_drop_lowers_the_limit() {
        let mut vegas = Vegas::new(20.0);
        vegas.update(&Sample { dropped: 3, ..saturated(20, 16, 0.01) }, BOUNDS);
        assert!(vegas.centre() < 20.0);
    }

    #[test]
    fn what_is_queued_when_latency_is_measured_anew_counts_as_none() {
        let limit = settle(&mut Vegas::new(8.0), 2000, 16, 0.01);
        assert!(limit > 64.0, "the known weakness is gone: {limit}");
    }
}
