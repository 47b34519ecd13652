//! The miss-ratio curve: what the present policy would miss at other sizes.

use super::policy::PolicyKind;
use super::shadow::Shadow;
use crate::random::mix;

/// The sizes that are simulated, as factors of the cache's own.
const FACTORS: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];
/// Of the keys that the shadows of other policies see, one in this many is seen here; all, if the cache is small.
const THINNED: u64 = 4;
/// A cache of fewer entries is seen in full.
const SMALL: f64 = 256.0;
/// Counts halve after as many lookups as the largest simulated cache has entries this often.
const FADING: f64 = 16.0;

/// What a cache of `capacity` would miss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MissRatio {
    /// The size, in the cache's weights.
    pub capacity: u64,
    /// Misses for each lookup, from 0 to 1.
    pub miss_ratio: f64,
    /// The lookups that this was measured on, the sampled ones, older ones at a lower weight.
    pub lookups: f64,
}

/// Simulates one policy at several sizes.
pub(super) struct Curve {
    kind: PolicyKind,
    capacity: u64,
    /// The share of keys that come here.
    rate: f64,
    thinned: u64,
    lookups: f64,
    sizes: Vec<Size>,
}

struct Size {
    capacity: u64,
    shadow: Shadow,
    hits: f64,
}

impl Curve {
    pub(super) fn new(kind: PolicyKind, capacity: u64, rate: f64) -> Curve {
        let thinned = if capacity as f64 * rate < SMALL { 1 } else { THINNED };
        let mut curve = Curve { kind, capacity, rate, thinned, lookups: 0.0, sizes: Vec::new() };
        curve.start();
        curve
    }

    fn start(&mut self) {
        let share = self.rate / self.thinned as f64;
        let size = |factor: &f64| {
            let capacity = ((self.capacity as f64 * factor) as u64).max(1);
            let shadow = Shadow::new(self.kind, (capacity as f64 * share).round() as u64);
            Size { capacity, shadow, hits: 0.0 }
        };
        self.sizes = FACTORS.iter().map(size).collect();
        self.lookups = 0.0;
    }

    pub(super) fn changed_to(&mut self, kind: PolicyKind) {
        self.kind = kind;
        self.start();
    }

    pub(super) fn access(&mut self, hash: u64, weight: u64) {
        if !mix(hash ^ self.thinned).is_multiple_of(self.thinned) {
            return;
        }
        let largest = self.capacity as f64 * self.rate / self.thinned as f64 * FACTORS[FACTORS.len() - 1];
        if self.lookups > FADING * largest.max(SMALL) {
            self.lookups /= 2.0;
            self.sizes.iter_mut().for_each(|size| size.hits /= 2.0);
        }
        self.lookups += 1.0;
        for size in &mut self.sizes {
            size.hits += f64::from(u8::from(size.shadow.access(hash, weight)));
        }
    }

    /// The curve so far, from the smallest size to the largest; none before the first lookup.
    pub(super) fn points(&self) -> Vec<MissRatio> {
        if self.lookups == 0.0 {
            return Vec::new();
        }
        let point = |size: &Size| MissRatio {
            capacity: size.capacity,
            miss_ratio: 1.0 - size.hits / self.lookups,
            lookups: self.lookups,
        };
        self.sizes.iter().map(point).collect()
    }
}

/// The miss ratio at `capacity` by a curve: between two of its sizes along the logarithm of the size, beyond its ends none.
pub(super) fn miss_ratio_at(points: &[MissRatio], capacity: u64) -> Option<f64> {
    let above = points.iter().position(|point| point.capacity >= capacity)?;
    let high = points[above];
    if high.capacity == capacity {
        return Some(high.miss_ratio);
    }
    let low = points[above.checked_sub(1)?];
    let (from, to) = ((low.capacity as f64).ln(), (high.capacity as f64).ln());
    let share = ((capacity as f64).ln() - from) / (to - from);
    Some(low.miss_ratio + share * (high.miss_ratio - low.miss_ratio))
}

/// The smallest size of a curve from which doubling would not take `worth` of all lookups from misses to hits.
pub(super) fn recommended(points: &[MissRatio], worth: f64) -> Option<MissRatio> {
    let mut best = *points.first()?;
    for pair in points.windows(2) {
        let doublings = (pair[1].capacity as f64 / pair[0].capacity as f64).log2();
        if pair[0].miss_ratio - pair[1].miss_ratio > worth * doublings {
            best = pair[1];
        }
    }
    Some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(ratios: [f64; 3]) -> Vec<MissRatio> {
        let point =
            |(n, miss_ratio): (usize, f64)| MissRatio { capacity: 100 << n, miss_ratio, lookups: 1e4 };
        ratios.into_iter().enumerate().map(point).collect()
    }

    #[test]
    fn a_loop_needs_a_cache_that_holds_all_of_it() {
        let mut curve = Curve::new(PolicyKind::Lru, 100, 1.0);
        for access in 0..40_000_u64 {
            curve.access(mix(access % 150), 1);
        }
        let points = curve.points();
        let ratio = |capacity| miss_ratio_at(&points, capacity).expect("within the curve");
        assert!(ratio(100) > 0.99 && ratio(200) < 0.05, "{points:?}");
        assert_eq!(recommended(&points, 0.01).expect("measured").capacity, 200);
    }

    #[test]
    fn sizes_beyond_the_curve_are_not_guessed() {
        assert_eq!(miss_ratio_at(&points([0.5, 0.4, 0.3]), 99), None);
        assert_eq!(miss_ratio_at(&points([0.5, 0.4, 0.3]), 401), None);
    }

    #[test]
    fn between_sizes_the_ratio_lies_between_theirs() {
        let ratio = miss_ratio_at(&points([0.5, 0.4, 0.3]), 141).expect("within the curve");
        assert!((ratio - 0.45).abs() < 0.001);
    }

    #[test]
    fn a_flat_curve_recommends_its_smallest_size() {
        assert_eq!(recommended(&points([0.5, 0.499, 0.498]), 0.01).expect("measured").capacity, 100);
    }
}
