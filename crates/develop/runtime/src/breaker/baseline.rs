//! What is normal for a service: how often it fails and how long it takes when it is healthy.

use std::collections::VecDeque;
use std::time::Duration;

use kandela_algebra::histogram::{Layout, LogHistogram};
use kandela_algebra::merge::Merge;

use super::window::Counts;
use crate::clock::Moment;

/// How many slices a slice waits before it counts as normal: what went before an outage must not.
const HELD_BACK: usize = 10;
/// The weight of a call at first, so that halving it a few times leaves something.
const WEIGHT: u64 = 64;
/// Buckets for latencies: at 2 %, five decades.
const BUCKETS: usize = 320;

/// What is normal for a service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normal {
    /// The share of calls that fail.
    pub failure_rate: f64,
    /// The share of calls that were called slow.
    pub slow_rate: f64,
    /// The latency, in seconds, that 99 of 100 calls stay below.
    pub latency_p99: f64,
}

/// What is known of what is normal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Knowledge {
    /// Not enough healthy calls yet.
    Learning {
        /// Calls seen while healthy.
        calls: u64,
        /// How many it takes.
        needed: u64,
    },
    /// Enough.
    Learned(Normal),
}

/// Calls of about a second while the breaker was closed.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) counts: Counts,
    latencies: LogHistogram,
}

impl Slice {
    pub(crate) fn new() -> Slice {
        let layout = Layout::for_relative_error(0.03, BUCKETS).unwrap_or_default();
        Slice { counts: Counts::default(), latencies: LogHistogram::with_layout(layout) }
    }

    pub(crate) fn latency(&mut self, latency: Duration) {
        self.latencies.record_n(latency.as_secs_f64(), WEIGHT);
    }
}

/// Learns from healthy slices. What it knows halves in weight with each half-life, so it follows a service that changes slowly. A
/// slice counts only once the breaker has stayed closed for ten more; when it opens, those that wait are thrown away.
#[derive(Debug)]
pub(crate) struct Baseline {
    needed: u64,
    half_life: Duration,
    halved: Moment,
    held_back: VecDeque<Slice>,
    /// Weighted, as latencies are.
    counts: Counts,
    latencies: LogHistogram,
}

impl Baseline {
    /// Knows nothing, and says so until it has seen `needed` calls.
    pub(crate) fn new(needed: u64, half_life: Duration, now: Moment) -> Baseline {
        Baseline {
            needed,
            half_life,
            halved: now,
            held_back: VecDeque::new(),
            counts: Counts::default(),
            latencies: Slice::new().latencies,
        }
    }

    pub(crate) fn add(&mut self, slice: Slice, now: Moment) {
        if now.since(self.halved) >= self.half_life {
            self.halved = now;
            self.halve();
        }
        self.held_back.push_back(slice);
        if self.held_back.len() > HELD_BACK
            && let Some(slice) = self.held_back.pop_front()
        {
            self.counts.calls += slice.counts.calls * WEIGHT;
            self.counts.failed += slice.counts.failed * WEIGHT;
            self.counts.slow += slice.counts.slow * WEIGHT;
            self.latencies.merge_from(&slice.latencies);
        }
    }

    /// What led up to an outage is not normal.
    pub(crate) fn discard_held_back(&mut self) {
        self.held_back.clear();
    }

    fn halve(&mut self) {
        self.counts.calls /= 2;
        self.counts.failed /= 2;
        self.counts.slow /= 2;
        let mut buckets = self.latencies.to_exponential();
        buckets.zero_count /= 2;
        buckets.sum = buckets.sum.map(|sum| sum / 2.0);
        buckets.positive.counts.iter_mut().for_each(|count| *count /= 2);
        if let Ok(halved) = LogHistogram::from_exponential(&buckets, BUCKETS) {
            self.latencies = halved;
        }
    }

    pub(crate) fn knowledge(&self) -> Knowledge {
        let calls = self.counts.calls / WEIGHT;
        match self.normal() {
            Some(normal) => Knowledge::Learned(normal),
            None => Knowledge::Learning { calls, needed: self.needed },
        }
    }

    pub(crate) fn normal(&self) -> Option<Normal> {
        let weight = WEIGHT as f64;
        let (calls, failed) = (self.counts.calls as f64 / weight, self.counts.failed as f64 / weight);
        if calls < self.needed as f64 {
            return None;
        }
        // Laplace's rule of succession: never having seen a failure is no proof that there is none.
        let rate = |count: f64| (count + 1.0) / (calls + 2.0);
        Some(Normal {
            failure_rate: rate(failed),
            slow_rate: rate(self.counts.slow as f64 / weight),
            latency_p99: self.latencies.quantile(0.99)?,
        })
    }
}

/// An upper bound of the chance that of `calls` calls that fail at `rate` each, `failed` or more do: exp(−n·D(k/n ‖ p)), where D is
/// the relative entropy (Hoeffding, 1963, theorem 1). 1 where `failed` is no more than `rate` expects.
pub(crate) fn chance(failed: u64, calls: u64, rate: f64) -> f64 {
    let (share, rate) = (failed as f64 / calls.max(1) as f64, rate.clamp(1e-12, 1.0 - 1e-12));
    if share <= rate {
        return 1.0;
    }
    let rest = if share < 1.0 { (1.0 - share) * ((1.0 - share) / (1.0 - rate)).ln() } else { 0.0 };
    (-(calls as f64) * (share * (share / rate).ln() + rest)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(calls: u64, failed: u64, latency: Duration) -> Slice {
        let mut slice = Slice::new();
        slice.counts = Counts { calls, failed, slow: 0 };
        (0..calls - failed).for_each(|_| slice.latency(latency));
        slice
    }

    fn at(seconds: u64) -> Moment {
        Moment::ORIGIN.after(Duration::from_secs(seconds))
    }

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn it_says_so_while_it_has_not_seen_enough() {
        let mut baseline = Baseline::new(1000, Duration::from_secs(3600), at(0));
        (0..15).for_each(|second| baseline.add(slice(100, 1, MILLISECOND), at(second)));
        assert_eq!(baseline.knowledge(), Knowledge::Learning { calls: 500, needed: 1000 });
    }

    #[test]
    fn it_learns_rates_and_latencies() {
        let mut baseline = Baseline::new(1000, Duration::from_secs(3600), at(0));
        (0..30).for_each(|second| baseline.add(slice(100, 2, 20 * MILLISECOND), at(second)));
        let normal = baseline.normal().expect("2,000 calls");
        assert!((0.019..0.022).contains(&normal.failure_rate), "{normal:?}");
        assert!((0.019..0.021).contains(&normal.latency_p99), "{normal:?}");
    }

    #[test]
    fn what_went_before_an_outage_is_not_learned() {
        let mut baseline = Baseline::new(100, Duration::from_secs(3600), at(0));
        (0..20).for_each(|second| baseline.add(slice(100, 0, MILLISECOND), at(second)));
        (20..28).for_each(|second| baseline.add(slice(100, 40, MILLISECOND), at(second)));
        baseline.discard_held_back();
        (28..48).for_each(|second| baseline.add(slice(100, 0, MILLISECOND), at(second)));
        assert!(baseline.normal().expect("learned").failure_rate < 0.01);
    }

    #[test]
    fn what_is_old_loses_weight() {
        let mut baseline = Baseline::new(100, Duration::from_secs(60), at(0));
        for second in 0..600 {
            let latency = if second < 60 { 100 * MILLISECOND } else { 10 * MILLISECOND };
            baseline.add(slice(100, 0, latency), at(second));
        }
        let normal = baseline.normal().expect("learned");
        assert!(normal.latency_p99 < 0.011, "{normal:?}");
    }

    #[test]
    fn the_chance_bounds_that_of_the_binomial() {
        // P(Bin(20, 0.05) ≥ 6) = 3.3e-4.
        let bound = chance(6, 20, 0.05);
        assert!((3.3e-4..3.3e-3).contains(&bound), "{bound}");
        assert_eq!(chance(1, 20, 0.05), 1.0);
        assert!((chance(5, 5, 0.1) - 1e-5).abs() < 1e-9);
    }
}
