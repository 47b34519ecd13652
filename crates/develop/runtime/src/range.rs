//! Sizes, times and shares are checked where a value is built, so that nothing has to fail later.

use std::fmt::{self, Debug};
use std::ops::RangeInclusive;

/// A setting that lies outside of what it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// Which setting, in the words of its documentation: `pool.size`.
    pub setting: &'static str,
    /// What was given.
    pub given: String,
    /// What it may be.
    pub allowed: String,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}; it may be {}", self.setting, self.given, self.allowed)
    }
}

impl std::error::Error for OutOfRange {}

/// `given`, if it lies within `allowed`. NaN lies in no range.
///
/// # Errors
/// [`OutOfRange`] that names the setting and the range.
pub fn within<T: PartialOrd + Debug>(
    setting: &'static str,
    given: T,
    allowed: RangeInclusive<T>,
) -> Result<T, OutOfRange> {
    if allowed.contains(&given) {
        return Ok(given);
    }
    Err(OutOfRange {
        setting,
        given: format!("{given:?}"),
        allowed: format!("{:?} to {:?}", allowed.start(), allowed.end()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absurd_size_is_refused_with_its_range() {
        let error = within("pool.size", 0_usize, 1..=65_536).expect_err("zero");
        assert_eq!(error.to_string(), "pool.size is 0; it may be 1 to 65536");
    }

    #[test]
    fn not_a_number_lies_in_no_range() {
        assert!(within("share", f64::NAN, 0.0..=1.0).is_err());
    }
}
