//! `p99<=100`: what a setting has to keep.

use std::fmt;
use std::str::FromStr;

use kandela_tune::Bound;

/// A bound on one of the numbers that a trial measures.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constraint {
    /// The number's key in the command's output.
    pub key: String,
    /// Which side is kept.
    pub side: Side,
    /// The bound, which is itself kept.
    pub bound: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    AtMost,
    AtLeast,
}

impl Constraint {
    /// What a search keeps that knows how.
    pub(super) fn kept(&self) -> kandela_tune::Constraint {
        let bound = match self.side {
            Side::AtMost => Bound::Max(self.bound),
            Side::AtLeast => Bound::Min(self.bound),
        };
        // Both ends of one number may be bounded.
        kandela_tune::Constraint::new(self.to_string(), bound)
    }

    /// How far within the bound `value` is; below 0 where it is broken.
    pub(super) fn margin(&self, value: f64) -> f64 {
        match self.side {
            Side::AtMost => self.bound - value,
            Side::AtLeast => value - self.bound,
        }
    }
}

impl FromStr for Constraint {
    type Err = String;

    fn from_str(text: &str) -> Result<Constraint, String> {
        let sides = [("<=", Side::AtMost), (">=", Side::AtLeast)];
        let split = sides.iter().find_map(|(sign, side)| Some((text.split_once(sign)?, *side)));
        let ((key, bound), side) = split.ok_or("write a key, <= or >=, and a number, as in p99<=100")?;
        let bound: f64 = bound.trim().parse().map_err(|_| format!("{:?} is no number", bound.trim()))?;
        let key = key.trim().to_owned();
        if key.is_empty() || !bound.is_finite() {
            return Err("write a key, <= or >=, and a finite number, as in p99<=100".to_owned());
        }
        Ok(Constraint { key, side, bound })
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.side {
            Side::AtMost => "<=",
            Side::AtLeast => ">=",
        };
        write!(f, "{}{sign}{}", self.key, self.bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_kept_on_its_side_and_at_it() {
        let p99: Constraint = "p99 <= 100".parse().unwrap();
        assert_eq!((p99.margin(80.0), p99.margin(100.0), p99.margin(101.0)), (20.0, 0.0, -1.0));
        let throughput: Constraint = "tps>=500".parse().unwrap();
        assert_eq!(throughput.margin(450.0), -50.0);
        assert_eq!(throughput.to_string(), "tps>=500");
    }

    #[test]
    fn what_is_no_constraint_is_told_what_one_is() {
        for text in ["p99", "p99<100", "p99<=fast", "<=1", "p99<=NaN"] {
            assert!(text.parse::<Constraint>().is_err(), "{text}");
        }
    }
}
