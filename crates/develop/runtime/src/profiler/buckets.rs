//! Which bucket a duration falls into, from its bits: a fifth of what it takes by way of a float.
//!
//! Buckets are those of [`LogHistogram`](kandela_algebra::histogram::LogHistogram) at scale 4, in seconds. A duration comes in
//! nanoseconds, and 10⁹ is no power of two, so a doubling of nanoseconds begins within a bucket; but all doublings begin at the same
//! place within one, so one table of bounds does for all. A bound is off by less than 10⁻¹⁵ of itself.

/// 16 buckets for each doubling: percentiles are off by 2.2 % at most.
pub(super) const SCALE: i32 = 4;
const PER_DOUBLING: i32 = 1 << SCALE;

/// 2^(k/16).
const ROOTS: [f64; 16] = [
    1.0,
    1.044_273_782_427_413_8,
    1.090_507_732_665_257_7,
    1.138_788_634_756_691_6,
    1.189_207_115_002_721,
    1.241_857_812_073_484,
    1.296_839_554_651_009_7,
    1.354_255_546_936_892_7,
    std::f64::consts::SQRT_2,
    1.476_826_145_939_499_3,
    1.542_210_825_407_940_8,
    1.610_490_331_949_254_3,
    1.681_792_830_507_429,
    1.756_252_160_373_299_5,
    1.834_008_086_409_342_4,
    1.915_206_561_397_147_3,
];

/// 2²⁹ ns, the doubling in which a second lies.
const SECOND_OCTAVE: i32 = 29;
const SECOND: f64 = 1e9 / (1u64 << SECOND_OCTAVE) as f64;

/// A part of a doubling that is narrower than any bucket, so at most one bound lies within it.
#[derive(Clone, Copy)]
struct Slot {
    /// The bound within, or one that no duration in the slot is above, as a fraction whose highest bit is 1.
    bound: u64,
    /// The bucket up to the bound, for durations of 1 to 2 ns.
    bucket: i32,
}

const SLOT_BITS: u32 = 5;
static SLOTS: [Slot; 1 << SLOT_BITS] = slots();

const fn slots() -> [Slot; 1 << SLOT_BITS] {
    let mut slots = [Slot { bound: u64::MAX, bucket: first_bucket() }; 1 << SLOT_BITS];
    let mut slot = 0;
    while slot < slots.len() {
        let begin = 1.0 + slot as f64 / slots.len() as f64;
        let end = begin + 1.0 / slots.len() as f64;
        // All bounds, 2^(k/16) s, brought to between 1 and 2.
        let mut k = 0;
        while k < PER_DOUBLING {
            let bound = SECOND * ROOTS[k as usize];
            let (bound, doublings) = if bound >= 2.0 { (bound / 2.0, 1) } else { (bound, 0) };
            if bound < begin {
                let above = k - (SECOND_OCTAVE + doublings) * PER_DOUBLING;
                if above > slots[slot].bucket {
                    slots[slot].bucket = above;
                }
            } else if bound < end {
                slots[slot].bound = (bound * (1u64 << 63) as f64) as u64;
            }
            k += 1;
        }
        slot += 1;
    }
    slots
}

/// The bucket in which a doubling begins: that below its lowest bound.
const fn first_bucket() -> i32 {
    let mut lowest = 0;
    let mut k = 0;
    while k < PER_DOUBLING {
        let doublings = if SECOND * ROOTS[k as usize] >= 2.0 { 1 } else { 0 };
        let above = k - (SECOND_OCTAVE + doublings) * PER_DOUBLING;
        if above < lowest {
            lowest = above;
        }
        k += 1;
    }
    lowest - 1
}

/// The bucket of a duration above zero, by the index of
/// [`LogHistogram::bucket_index`](kandela_algebra::histogram::LogHistogram::bucket_index).
#[inline]
pub(super) fn bucket(nanos: u64) -> i32 {
    let leading = nanos.leading_zeros() & 63;
    let fraction = nanos << leading;
    let slot = &SLOTS[(fraction >> (63 - SLOT_BITS)) as usize & (SLOTS.len() - 1)];
    (63 - leading as i32) * PER_DOUBLING + slot.bucket + i32::from(fraction > slot.bound)
}

#[cfg(test)]
mod tests {
    use kandela_algebra::histogram::LogHistogram;
    use proptest::prelude::*;

    use super::*;

    fn by_float(nanos: u64) -> i32 {
        LogHistogram::bucket_index(nanos as f64 / 1e9, SCALE)
    }

    #[test]
    fn short_durations_fall_where_the_histogram_says() {
        for nanos in 1..100_000 {
            assert_eq!(bucket(nanos), by_float(nanos), "{nanos} ns");
        }
    }

    #[test]
    fn bounds_are_where_the_histogram_has_them() {
        for index in by_float(1 << 30)..by_float(1 << 52) {
            let bound = 2f64.powf(f64::from(index + 1) / 16.0) * 1e9;
            let near = bound * 1e-15 + 1.0;
            assert_eq!(bucket((bound - near) as u64), index);
            assert_eq!(bucket((bound + near).ceil() as u64), index + 1);
        }
    }

    proptest! {
        #[test]
        fn any_duration_falls_where_the_histogram_says(bits in 0u32..64, nanos in 1u64..) {
            let nanos = (nanos >> bits).max(1);
            let nearest = [nanos.saturating_sub(nanos >> 50).max(1), nanos.saturating_add(nanos >> 50)].map(by_float);
            prop_assert!(nearest.contains(&bucket(nanos)), "{nanos} ns: {} not in {nearest:?}", bucket(nanos));
        }
    }
}
