//! `sum` and `avg` over many histograms.

use kandela_model::{Histogram, ResetHint};

use super::arithmetic::div;
use super::kahan::Compensated;
use super::layout::{Addition, Layout, MixedSchemas, joint_hint};

/// A sum of histograms that does not lose small terms: every count carries what rounding took from it
/// (`FloatHistogram.KahanAdd` of Prometheus).
#[derive(Clone, Debug)]
pub struct HistogramSum {
    layout: Layout<Compensated>,
    reset_hint: ResetHint,
    seen: Seen,
}

/// Which hints there were. That of the sum does not tell, since it becomes unknown as soon as two differ.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    reset: bool,
    not_reset: bool,
}

impl Seen {
    fn with(self, hint: ResetHint) -> Self {
        Self {
            reset: self.reset || hint == ResetHint::Reset,
            not_reset: self.not_reset || hint == ResetHint::NotReset,
        }
    }
}

impl HistogramSum {
    /// A sum of one.
    pub fn new(first: &Histogram) -> Self {
        let reset_hint = first.reset_hint;
        Self { layout: Layout::of(first), reset_hint, seen: Seen::default().with(reset_hint) }
    }

    /// Adds one more by the rules of [`super::add`]. Hints conflict when any two of all that were added do.
    ///
    /// # Errors
    /// When custom bounds meet an exponential schema; the sum is left as it was.
    pub fn add(&mut self, more: &Histogram) -> Result<Addition, MixedSchemas> {
        let bounds_reconciled = self.layout.absorb(more, 1.0)?;
        (self.reset_hint, _) = joint_hint(self.reset_hint, more.reset_hint);
        self.seen = self.seen.with(more.reset_hint);
        Ok(Addition { reset_conflict: self.seen.reset && self.seen.not_reset, bounds_reconciled })
    }

    /// Whether a count or the sum has become infinite (`FloatHistogram.HasOverflow` of Prometheus).
    pub fn has_overflow(&self) -> bool {
        let Layout { count, sum, zero_count, positive, negative, .. } = &self.layout;
        let cells = positive.values().chain(negative.values());
        [count, sum, zero_count].into_iter().chain(cells).any(|cell| cell.sum.is_infinite())
    }

    /// The sum. Empty buckets are left out.
    pub fn finish(&self) -> Histogram {
        self.layout.put_together(self.reset_hint, Compensated::total)
    }

    fn map(&mut self, scaled: impl Fn(f64) -> f64) {
        let Layout { count, sum, zero_count, positive, negative, .. } = &mut self.layout;
        let cells = positive.values_mut().chain(negative.values_mut());
        for cell in [count, sum, zero_count].into_iter().chain(cells) {
            *cell = Compensated { sum: scaled(cell.sum), lost: scaled(cell.lost) };
        }
    }
}

/// A mean of histograms: their sum divided by their number or, once the sum overflows, a running mean (`avg` and
/// `avg_over_time` of Prometheus).
#[derive(Clone, Debug)]
pub struct HistogramMean {
    sum: HistogramSum,
    number: f64,
    running: bool,
}

impl HistogramMean {
    /// The mean of one.
    pub fn new(first: &Histogram) -> Self {
        Self { sum: HistogramSum::new(first), number: 1.0, running: false }
    }

    /// Takes one more into account.
    ///
    /// # Errors
    /// When custom bounds meet an exponential schema; the mean is left as it was.
    pub fn add(&mut self, more: &Histogram) -> Result<Addition, MixedSchemas> {
        let number = self.number + 1.0;
        let mut told = Addition::default();
        if !self.running {
            let mut sum = self.sum.clone();
            told = sum.add(more)?;
            if !sum.has_overflow() {
                (self.sum, self.number) = (sum, number);
                return Ok(told);
            }
        }
        let mut mean = self.sum.clone();
        let seen = self.number;
        if self.running {
            mean.map(|value| value * (seen / number));
        } else {
            mean.map(|value| value / seen * (seen / number));
        }
        let mut share = more.clone();
        div(&mut share, number);
        told = told.and(mean.add(&share)?);
        *self = Self { sum: mean, number, running: true };
        Ok(told)
    }

    /// The mean. Empty buckets are left out.
    pub fn finish(&self) -> Histogram {
        let mut mean = self.sum.clone();
        if !self.running {
            mean.map(|value| value / self.number);
        }
        mean.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::testing::{assert_close, exponential, histogram};
    use crate::histogram::{add, equal};
    use proptest::prelude::*;

    #[test]
    fn small_counts_survive_large_ones() {
        let mut sum = HistogramSum::new(&histogram("{{schema:0 count:1 sum:1 buckets:[1]}}"));
        for more in [
            "{{schema:0 count:1e100 sum:1e100 buckets:[1e100]}}",
            "{{schema:0 count:1 sum:1 buckets:[1]}}",
            "{{schema:0 count:-1e100 sum:-1e100 buckets:[-1e100]}}",
        ] {
            let _ = sum.add(&histogram(more)).unwrap();
        }
        assert_close(&sum.finish(), &histogram("{{schema:0 count:2 sum:2 buckets:[2]}}"));
    }

    #[test]
    fn small_counts_survive_in_buckets_that_are_joined() {
        let mut sum = HistogramSum::new(&histogram("{{schema:1 count:1 offset:1 buckets:[1 1e100]}}"));
        let _ = sum.add(&histogram("{{schema:0 count:1 offset:1 buckets:[-1e100]}}")).unwrap();
        assert_eq!(sum.finish().positive().collect::<Vec<_>>(), [(1, 1.0)]);
    }

    #[test]
    fn a_mean_of_huge_sums_does_not_overflow() {
        let huge = histogram("{{schema:0 count:4 sum:1.7e308 buckets:[4]}}");
        let mut mean = HistogramMean::new(&huge);
        for _ in 0..3 {
            let _ = mean.add(&huge).unwrap();
        }
        assert_close(&mean.finish(), &huge);
    }

    #[test]
    fn a_conflict_of_hints_is_told() {
        let mut sum = HistogramSum::new(&histogram("{{count:1 buckets:[1] counter_reset_hint:reset}}"));
        let told = sum.add(&histogram("{{count:1 buckets:[1]}}")).unwrap();
        assert!(!told.reset_conflict);
        let told = sum.add(&histogram("{{count:1 buckets:[1] counter_reset_hint:not_reset}}")).unwrap();
        assert!(told.reset_conflict);
        assert_eq!(sum.finish().reset_hint, ResetHint::Unknown);
    }

    #[test]
    fn a_mix_of_schemas_leaves_the_mean_as_it_was() {
        let mut mean = HistogramMean::new(&histogram("{{schema:0 count:1 buckets:[1]}}"));
        let custom = histogram("{{schema:-53 count:1 custom_values:[2] buckets:[1]}}");
        assert_eq!(mean.add(&custom), Err(MixedSchemas));
        assert_eq!(mean.finish().count, 1.0);
    }

    proptest! {
        #[test]
        fn whole_counts_sum_as_additions_do(a in exponential(), b in exponential(), c in exponential()) {
            let mut sum = HistogramSum::new(&a);
            let _ = sum.add(&b).unwrap();
            let _ = sum.add(&c).unwrap();
            let mut plain = a;
            let _ = add(&mut plain, &b).unwrap();
            let _ = add(&mut plain, &c).unwrap();
            prop_assert!(equal(&sum.finish(), &plain));
        }

        #[test]
        fn the_mean_of_equals_is_each_of_them(a in exponential(), number in 1usize..20) {
            let mut mean = HistogramMean::new(&a);
            for _ in 1..number {
                let _ = mean.add(&a).unwrap();
            }
            assert_close(&mean.finish(), &a);
        }
    }
}
