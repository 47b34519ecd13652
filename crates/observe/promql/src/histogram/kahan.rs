//! Sums that do not lose the small terms.

/// A sum and what rounding took from it (Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher
/// Summen", 1974).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Compensated {
    /// The sum as floats add it.
    pub(super) sum: f64,
    /// What to add to it in the end.
    pub(super) lost: f64,
}

impl Compensated {
    pub(super) fn plus(self, term: f64) -> Self {
        let sum = self.sum + term;
        if sum.is_infinite() {
            return Self { sum, lost: 0.0 };
        }
        let (larger, smaller) =
            if self.sum.abs() >= term.abs() { (self.sum, term) } else { (term, self.sum) };
        Self { sum, lost: self.lost + ((larger - sum) + smaller) }
    }

    pub(super) fn total(self) -> f64 {
        self.sum + self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum_of(terms: &[f64]) -> f64 {
        terms.iter().fold(Compensated::default(), |sum, term| sum.plus(*term)).total()
    }

    #[test]
    fn small_terms_survive_large_ones() {
        assert_eq!(sum_of(&[1.0, 1e100, 1.0, -1e100]), 2.0);
    }

    #[test]
    fn an_infinite_sum_stays_infinite() {
        assert_eq!(sum_of(&[1.0, f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(sum_of(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }
}
