//! The guard against limits that buy nothing: what throughput had to do with the limit lately.

use std::collections::VecDeque;

use super::control::{Bounds, Climb, Control, step};
use super::sample::Sample;
use crate::decision::Decision;

/// Windows that are looked back on.
const WINDOWS: usize = 24;
/// Growth pays where a percent more of limit brought at least this many percent more of throughput.
const PAYS: f64 = 0.3;
/// What a limit that does not pay shrinks by, a window.
const BACK: f64 = 0.95;
/// Below this variance of the limit's logarithm (a few percent of change), nothing can be said.
const TOO_STILL: f64 = 0.0004;

/// A controller that grows only while growth brings throughput, and that takes growth back that brought none.
///
/// From Uber's Cinnamon (*Cinnamon Auto-Tuner: Adaptive Concurrency in the Wild*, 2023), which lets the covariance of calls in
/// flight and throughput decide over a limit that latency alone would let grow without bound. Here it is the covariance of the
/// logarithms over the variance of the limit's: the elasticity of throughput, which has no unit and needs no calibration. The limit
/// is taken and not the calls in flight, because noise in throughput shows in those too.
#[derive(Debug)]
pub struct Guarded<C> {
    inner: C,
    /// Logarithms of limit and throughput.
    seen: VecDeque<(f64, f64)>,
}

impl<C: Climb> Guarded<C> {
    /// Guards `inner`.
    pub fn new(inner: C) -> Guarded<C> {
        Guarded { inner, seen: VecDeque::with_capacity(WINDOWS) }
    }

    /// Percents of throughput for a percent of limit, where the limit has moved enough to tell.
    fn elasticity(&self) -> Option<f64> {
        let n = self.seen.len() as f64;
        let (mean_x, mean_y) =
            self.seen.iter().fold((0.0, 0.0), |(x, y), seen| (x + seen.0 / n, y + seen.1 / n));
        let (variance, covariance) = self.seen.iter().fold((0.0, 0.0), |(variance, covariance), (x, y)| {
            (variance + (x - mean_x).powi(2) / n, covariance + (x - mean_x) * (y - mean_y) / n)
        });
        (self.seen.len() >= WINDOWS / 2 && variance > TOO_STILL).then(|| covariance / variance)
    }
}

impl<C: Climb> Control for Guarded<C> {
    fn update(&mut self, sample: &Sample, bounds: Bounds) -> Option<Decision<usize>> {
        let before = self.inner.limit();
        let proposed = self.inner.propose(sample, bounds);
        if sample.blocked > 0 && sample.throughput > 0.0 {
            if self.seen.len() == WINDOWS {
                self.seen.pop_front();
            }
            self.seen.push_back(((sample.limit as f64).ln(), sample.throughput.ln()));
        }
        let elasticity = self.elasticity();
        let is_vain = proposed >= before && elasticity.is_some_and(|elasticity| elasticity < PAYS);
        let limit = if is_vain { bounds.clamp(before * BACK) } else { proposed };
        self.inner.set_limit(limit);
        let why = if is_vain {
            "more calls in flight brought no throughput"
        } else {
            "growth pays, or nothing speaks against it"
        };
        let evidence = [self.inner.evidence(), ("throughput_elasticity", elasticity.unwrap_or(f64::NAN))];
        step(sample, limit, why, &evidence)
    }

    fn centre(&self) -> f64 {
        self.inner.limit()
    }
}

#[cfg(test)]
mod tests {
    use super::super::control::testing::settle;
    use super::super::gradient::Gradient2;
    use super::super::vegas::Vegas;
    use super::*;

    #[test]
    fn growth_that_buys_nothing_ends() {
        let limit = settle(&mut Guarded::new(Gradient2::new(8.0)), 2000, 16, 0.01);
        assert!((8.0..40.0).contains(&limit), "{limit}");
    }

    #[test]
    fn growth_that_bought_nothing_is_taken_back_though_no_more_is_wanted() {
        let limit = settle(&mut Guarded::new(Vegas::new(8.0)), 2000, 16, 0.01);
        assert!((12.0..40.0).contains(&limit), "{limit}");
    }

    #[test]
    fn growth_that_pays_goes_on() {
        let limit = settle(&mut Guarded::new(Gradient2::new(8.0)), 200, 100, 0.01);
        assert!(limit > 80.0, "{limit}");
    }
}
