//! Which bucket a magnitude falls into, and where a bucket ends: exact, at every scale.
//!
//! At scale s the base is 2^(2^−s), and bucket i holds the magnitudes in (baseⁱ, baseⁱ⁺¹]: the upper bound
//! belongs to the bucket (OpenTelemetry metrics data model, "Exponential buckets"). Scales nest: bucket i at
//! scale s lies in bucket i >> 1 at scale s − 1. So everything is worked out at the finest scale, 8, and
//! shifted.
//!
//! No logarithm is taken. The bounds within [1, 2) are the constants 2^(k/256), held as the largest 52-bit
//! fraction at or below each; but for k = 0 they are irrational, so comparing fractions is comparing with the
//! true bound.

/// The finest scale: 256 buckets for each doubling, also the largest schema of Prometheus.
pub(super) const MAX_SCALE: i32 = 8;
/// The coarsest scale: one bucket for the magnitudes up to 1, one for those above.
pub(super) const MIN_SCALE: i32 = -10;

const FRACTION_BITS: u32 = 52;
const FRACTION_MASK: u64 = (1 << FRACTION_BITS) - 1;
const EXPONENT_BIAS: i32 = 1023;
/// The exponent of the smallest subnormal.
const MIN_EXPONENT: i32 = -1074;

/// 2^(1/2), 2^(1/4), … 2^(1/256), times 2¹²⁷, rounded down.
const ROOTS: [u128; MAX_SCALE as usize] = [
    0xb504_f333_f9de_6484_597d_89b3_754a_be9f,
    0x9837_f051_8db8_a96f_46ad_2318_2e42_f6f6,
    0x8b95_c1e3_ea8b_d6e6_fbe4_6287_58a5_3c90,
    0x85aa_c367_cc48_7b14_c5c9_5b8c_2154_c1b2,
    0x82cd_8698_ac2b_a1d7_3e2a_475b_4652_0bff,
    0x8164_d1f3_bc03_0773_7be5_6527_bd14_def4,
    0x80b1_ed4f_d999_ab6c_2533_5719_b6e6_fd20,
    0x8058_d7d2_d5e5_f6b0_94d5_89f6_08ee_4aa2,
];

/// `BOUNDS[k]`: the 52 fraction bits of 2^(k/256), rounded down. The last entry lies beyond every fraction.
static BOUNDS: [u64; 257] = bounds();

/// A fraction's top nine bits: half the width of the narrowest bucket, so at most one bound lies within a
/// slot.
const SLOT_BITS: u32 = 9;
/// `SLOTS[j]`: how many bounds lie below the fraction j/512.
static SLOTS: [u16; 1 << SLOT_BITS] = slots();

const fn bounds() -> [u64; 257] {
    let mut bounds = [u64::MAX; 257];
    let mut k = 0;
    while k < 256 {
        let mut product = 1u128 << 127;
        let mut bit = 0;
        while bit < 8 {
            if k >> (7 - bit) & 1 == 1 {
                product = multiply(product, ROOTS[bit]);
            }
            bit += 1;
        }
        bounds[k] = (product >> (127 - FRACTION_BITS)) as u64 & FRACTION_MASK;
        k += 1;
    }
    bounds
}

const fn slots() -> [u16; 1 << SLOT_BITS] {
    let bounds = bounds();
    let mut slots = [0; 1 << SLOT_BITS];
    let mut bound = 0;
    let mut slot = 0;
    while slot < slots.len() {
        while bounds[bound] < (slot as u64) << (FRACTION_BITS - SLOT_BITS) {
            bound += 1;
        }
        slots[slot] = bound as u16;
        slot += 1;
    }
    slots
}

/// The product of two numbers in [1, 2) with 127 fraction bits, if it is below 2; too small by at most 2⁻¹²⁵.
const fn multiply(a: u128, b: u128) -> u128 {
    const LOW: u128 = u64::MAX as u128;
    let (a_high, a_low, b_high, b_low) = (a >> 64, a & LOW, b >> 64, b & LOW);
    let middle = ((a_high * b_low) >> 64) + ((a_low * b_high) >> 64);
    (a_high * b_high + middle) << 1
}

/// The bucket, at scale 8, of a magnitude above zero. Infinity falls into the bucket of `f64::MAX`.
#[inline]
pub(super) fn index(magnitude: f64) -> i32 {
    let bits = magnitude.to_bits() & !(1 << 63);
    let (exponent, fraction) = if bits > FRACTION_MASK {
        ((bits >> FRACTION_BITS) as i32 - EXPONENT_BIAS, bits & FRACTION_MASK)
    } else {
        let highest_bit = bits.max(1).ilog2();
        (MIN_EXPONENT + highest_bit as i32, bits << (FRACTION_BITS - highest_bit) & FRACTION_MASK)
    };
    let below = SLOTS[(fraction >> (FRACTION_BITS - SLOT_BITS)) as usize];
    let bounds_below = i32::from(below) + i32::from(fraction > BOUNDS[usize::from(below)]);
    (exponent << MAX_SCALE) + bounds_below - 1
}

/// The magnitude baseⁱ at `scale`: the lower bound of bucket `index`, the upper bound of the one before.
///
/// Rounded down to a normal float; 0 below the smallest subnormal, infinity above the largest float.
pub(super) fn bound(index: i64, scale: i32) -> f64 {
    let (exponent, fraction) = if scale > 0 {
        let within_octave = index & ((1 << scale) - 1);
        (index >> scale, BOUNDS[(within_octave << (MAX_SCALE - scale)) as usize])
    } else {
        (index.saturating_mul(1 << -scale), 0)
    };
    match exponent {
        1024.. => f64::INFINITY,
        -1022..1024 => {
            f64::from_bits(((exponent + i64::from(EXPONENT_BIAS)) as u64) << FRACTION_BITS | fraction)
        }
        -1075..-1022 => {
            let normal = f64::from_bits((EXPONENT_BIAS as u64) << FRACTION_BITS | fraction);
            normal * f64::MIN_POSITIVE * f64::powi(2.0, (exponent + 1022) as i32)
        }
        _ => 0.0,
    }
}

/// The bucket indices at `scale` between which every bucket of a float lies.
pub(super) fn index_range(scale: i32) -> std::ops::RangeInclusive<i64> {
    let (lowest, highest) = (i64::from(index(f64::from_bits(1))), i64::from(index(f64::MAX)));
    if scale <= MAX_SCALE {
        (lowest >> (MAX_SCALE - scale))..=(highest >> (MAX_SCALE - scale))
    } else {
        // A finer bucket's index ends in bits that say where in the coarser one it lies.
        let finer = scale - MAX_SCALE;
        (lowest << finer)..=((highest << finer) + (1 << finer) - 1)
    }
}

/// How far the estimate of a bucket may lie from any magnitude in it, as a share of that magnitude:
/// (base−1)/(base+1).
pub(super) fn relative_error(scale: i32) -> f64 {
    (std::f64::consts::LN_2 * f64::powi(2.0, -scale) / 2.0).tanh()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The 256th power in exact integers, lowest limb first: a significand below 2^53 gives at most 13,568
    /// bits. Comparing it with powers of two compares the significand with their 256th roots, the bounds.
    fn power_256(significand: u64) -> Vec<u32> {
        let mut power = vec![significand as u32, (significand >> 32) as u32];
        for _ in 0..8 {
            let mut square = vec![0u32; power.len() * 2];
            for (i, &a) in power.iter().enumerate() {
                let mut carry = 0u64;
                for (j, &b) in power.iter().enumerate() {
                    let sum = u64::from(a) * u64::from(b) + u64::from(square[i + j]) + carry;
                    square[i + j] = sum as u32;
                    carry = sum >> 32;
                }
                square[i + power.len()] = carry as u32;
            }
            power = square;
        }
        power
    }

    /// ⌊log2⌋ of the 256th power of the significand (in units of 2^-52), and whether it is a power of two
    /// itself.
    fn log2_of_power_256(significand: u64) -> (i64, bool) {
        let power = power_256(significand);
        let ones: u32 = power.iter().map(|limb| limb.count_ones()).sum();
        let top = power.iter().rposition(|&limb| limb != 0).unwrap();
        ((top * 32) as i64 + i64::from(power[top].ilog2()) - 52 * 256, ones == 1)
    }

    /// The definition: the i for which baseⁱ < 2^exponent · significand/2^52 ≤ baseⁱ⁺¹, in exact arithmetic
    /// at scale 8.
    fn index_by_definition(exponent: i64, significand: u64) -> i64 {
        let (log2, exact) = log2_of_power_256(significand);
        exponent * 256 + log2 - i64::from(exact)
    }

    #[test]
    fn every_bound_is_the_largest_fraction_below_the_root() {
        for (k, bound) in BOUNDS.iter().enumerate().take(256).skip(1) {
            let significand = bound | 1 << 52;
            assert_eq!(index_by_definition(0, significand), k as i64 - 1, "2^({k}/256) lies above its entry");
            assert_eq!(
                index_by_definition(0, significand + 1),
                k as i64,
                "2^({k}/256) lies below the next fraction"
            );
        }
    }

    #[test]
    fn a_bound_and_its_neighbours_fall_where_the_definition_says() {
        for exponent in [-1022, 0, 1023i64] {
            for bound in &BOUNDS[..256] {
                let at = bound | ((exponent + 1023) as u64) << 52;
                for bits in [at.saturating_sub(1).max(1 << 52), at, at + 1] {
                    let by_definition =
                        index_by_definition((bits >> 52) as i64 - 1023, bits & FRACTION_MASK | 1 << 52);
                    assert_eq!(i64::from(index(f64::from_bits(bits))), by_definition, "{bits:#x}");
                }
            }
        }
    }

    #[test]
    fn powers_of_two_are_upper_bounds_down_to_the_smallest_subnormal() {
        for exponent in -1074..=1023i32 {
            let power = if exponent < -1022 {
                f64::from_bits(1 << (exponent + 1074))
            } else {
                f64::from_bits(((exponent + 1023) as u64) << 52)
            };
            assert_eq!(index(power), exponent * 256 - 1);
            assert_eq!(bound(i64::from(exponent) * 256, 8), power);
            assert_eq!(index(power.next_up()) >> 8, exponent, "just above the bound is the next bucket");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_magnitude_falls_where_the_definition_says(bits in 1u64..f64::INFINITY.to_bits()) {
            let magnitude = f64::from_bits(bits);
            let (mut exponent, mut significand) = ((bits >> 52) as i64 - 1023, bits & FRACTION_MASK | 1 << 52);
            if bits <= FRACTION_MASK {
                significand = bits;
                exponent = -1022;
                while significand < 1 << 52 {
                    significand <<= 1;
                    exponent -= 1;
                }
            }
            proptest::prop_assert_eq!(i64::from(index(magnitude)), index_by_definition(exponent, significand));
        }

        #[test]
        fn subnormals_fall_where_the_definition_says(bits in 1u64..1 << 52) {
            let shift = 52 - bits.ilog2();
            let by_definition = index_by_definition(-1022 - i64::from(shift), bits << shift);
            proptest::prop_assert_eq!(i64::from(index(f64::from_bits(bits))), by_definition);
        }

        #[test]
        fn a_magnitude_lies_within_the_bounds_of_its_bucket_at_every_scale(
            bits in f64::MIN_POSITIVE.to_bits()..f64::INFINITY.to_bits(),
            scale in MIN_SCALE..=MAX_SCALE,
        ) {
            let magnitude = f64::from_bits(bits);
            let index = i64::from(index(magnitude) >> (MAX_SCALE - scale));
            proptest::prop_assert!(index_range(scale).contains(&index));
            proptest::prop_assert!(bound(index, scale) <= magnitude && magnitude <= bound(index + 1, scale));
        }
    }
}
