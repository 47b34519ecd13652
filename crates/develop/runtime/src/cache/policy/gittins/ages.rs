//! Ages in buckets that grow with the age: four to a doubling.

/// Buckets that one doubling is cut into.
const CUTS: u64 = 4;
/// Ages at and beyond two to this many doublings of the first are in the last bucket.
const DOUBLINGS: u32 = 13;
/// How many buckets there are.
pub(super) const BUCKETS: usize = (CUTS * DOUBLINGS as u64) as usize;

/// The bucket of an age.
pub(super) fn bucket(age: u64) -> usize {
    if age < CUTS {
        return age as usize;
    }
    let doublings = (age / CUTS).ilog2();
    let within = (age >> doublings) - CUTS;
    ((u64::from(doublings + 1) * CUTS + within) as usize).min(BUCKETS - 1)
}

/// The lowest age of a bucket.
pub(super) fn start(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < CUTS {
        return bucket;
    }
    (CUTS + bucket % CUTS) << (bucket / CUTS - 1)
}

/// How many ages a bucket holds; the last one is given the width that it would have if there were another.
pub(super) fn width(bucket: usize) -> u64 {
    start(bucket + 1) - start(bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_age_lies_in_the_bucket_that_starts_at_or_below_it() {
        for age in (0..5_000).chain([u64::MAX]) {
            let bucket = bucket(age);
            assert!(start(bucket) <= age);
            assert!(bucket == BUCKETS - 1 || age < start(bucket + 1), "{age}");
        }
    }
}
