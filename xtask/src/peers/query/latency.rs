//! Latencies as their percentiles.

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) asked: usize,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

impl Latency {
    /// By rank: the lowest value that at least that part of all values does not exceed. `None` of no values.
    pub(super) fn of(mut ms: Vec<f64>) -> Option<Self> {
        ms.sort_by(f64::total_cmp);
        let last = ms.last().copied()?;
        let percentile = |percent: usize| ms[(ms.len() * percent).div_ceil(100).max(1) - 1];
        Some(Self { asked: ms.len(), p50_ms: percentile(50), p99_ms: percentile(99), max_ms: last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_occurred() {
        let hundred = (1..=100).rev().map(f64::from).collect();
        let latency = Latency { asked: 100, p50_ms: 50.0, p99_ms: 99.0, max_ms: 100.0 };
        assert_eq!(Latency::of(hundred), Some(latency));
        assert_eq!(Latency::of(vec![7.0]).map(|latency| latency.p99_ms), Some(7.0));
        assert_eq!(Latency::of(Vec::new()), None);
    }
}
