//! Every summary obeys the laws that it claims, and the windows agree with merging afresh.

use std::collections::{BTreeMap, HashMap};

use kandela_algebra::laws::{self, Broken};
use kandela_algebra::merge::{
    Count, FloatSum, Max, MeanVariance, Merge, Min, Moments, Sum, Summary, Window, Windowed, Worst,
    summarise, window,
};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Ok,
    Degraded,
    Down,
}

/// Concatenation: a merge in which order matters.
#[derive(Clone, Debug, PartialEq)]
struct Text(String);

impl Merge for Text {
    fn empty(&self) -> Self {
        Text(String::new())
    }
    fn merge_from(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }
}
impl Windowed for Text {
    type Window = kandela_algebra::merge::TwoStacks<Self>;
}

/// Up to 1e6, so that sums of a few dozen round off by less than the tolerances below.
fn reasonable() -> impl Strategy<Value = f64> {
    -1e6..1e6
}

fn close_moments(a: &Moments, b: &Moments) -> bool {
    match (a.present(), b.present()) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            // Means cancel: their error is a share of the values, at most 1e6, not of the mean.
            a.count == b.count
                && (a.mean - b.mean).abs() < 1e-8
                && (a.variance - b.variance).abs() < 1e-10 * (1.0 + a.variance) + 1e-3
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn counts_and_integer_sums_obey_every_law_even_when_they_overflow(
        counts in vec(any::<u64>().prop_map(Count), 5..20),
        sums in vec(any::<i128>().prop_map(Sum), 5..20),
    ) {
        laws::merge(counts.clone())?;
        laws::commutative(counts.clone(), Count::eq)?;
        laws::subtract(counts.clone())?;
        laws::sliding(counts, Count::eq)?;
        laws::merge(sums.clone())?;
        laws::commutative(sums.clone(), Sum::eq)?;
        laws::subtract(sums.clone())?;
        laws::sliding(sums, Sum::eq)?;
        laws::summary(&Count(0), &[(); 3], Count::eq)?;
    }

    #[test]
    fn extremes_obey_every_law_bit_for_bit_on_any_float(values in vec(any::<f64>(), 5..20)) {
        let (minima, maxima) = (values.iter().map(|&v| Min(Some(v))), values.iter().map(|&v| Max(Some(v))));
        laws::merge(minima.clone())?;
        laws::commutative(minima.clone(), Min::eq)?;
        laws::idempotent(minima.clone())?;
        laws::sliding(minima, Min::eq)?;
        laws::merge(maxima.clone())?;
        laws::commutative(maxima.clone(), Max::eq)?;
        laws::idempotent(maxima.clone())?;
        laws::sliding(maxima, Max::eq)?;
        laws::summary(&Min::default(), &values, Min::eq)?;
        laws::summary(&Max::default(), &values, Max::eq)?;
    }

    #[test]
    fn the_worst_status_obeys_every_law(picks in vec(0usize..3, 5..20)) {
        let statuses: Vec<Status> = picks.iter().map(|&i| [Status::Ok, Status::Degraded, Status::Down][i]).collect();
        let worst = statuses.iter().map(|&status| Worst(Some(status)));
        laws::merge(worst.clone())?;
        laws::commutative(worst.clone(), Worst::eq)?;
        laws::idempotent(worst.clone())?;
        laws::sliding(worst, Worst::eq)?;
        laws::summary(&Worst::default(), &statuses, Worst::eq)?;
    }

    #[test]
    fn float_sums_and_moments_obey_the_laws_up_to_rounding(values in vec(reasonable(), 5..30)) {
        let same_sum = |a: &FloatSum, b: &FloatSum| (a.value() - b.value()).abs() <= 1e-9;
        let chunks: Vec<FloatSum> =
            values.chunks(2).chain(values.chunks(3)).map(|c| summarise(&FloatSum::default(), c.iter().copied())).collect();
        laws::merge_by(chunks.clone(), same_sum)?;
        laws::commutative(chunks.clone(), same_sum)?;
        laws::sliding(chunks, same_sum)?;
        laws::summary(&FloatSum::default(), &values, same_sum)?;

        let chunks: Vec<Moments> =
            values.chunks(2).chain(values.chunks(3)).map(|c| summarise(&Moments::default(), c.iter().copied())).collect();
        laws::merge_by(chunks.clone(), close_moments)?;
        laws::commutative(chunks.clone(), close_moments)?;
        laws::sliding(chunks, close_moments)?;
        laws::summary(&Moments::default(), &values, close_moments)?;
    }

    #[test]
    fn a_float_sum_is_the_exact_sum_rounded_in_any_order(
        numerators in vec(-(1i64 << 52)..1 << 52, 1..100),
        seed in any::<prop::sample::Index>(),
    ) {
        // Multiples of 2^-20 up to 2^32: their sum is exact in i128.
        let scale = f64::from(1 << 20);
        let exact: i128 = numerators.iter().map(|&n| i128::from(n)).sum();
        let mut values: Vec<f64> = numerators.iter().map(|&n| n as f64 / scale).collect();
        values.rotate_left(seed.index(numerators.len()));
        prop_assert_eq!(summarise(&FloatSum::default(), values).value(), exact as f64 / scale);
    }

    #[test]
    fn moments_agree_with_the_two_pass_formula(values in vec(reasonable(), 1..50)) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        let MeanVariance { count, mean: got_mean, variance: got } =
            summarise(&Moments::default(), values).present().unwrap();
        prop_assert_eq!(count as f64, n);
        prop_assert!((got_mean - mean).abs() < 1e-8);
        prop_assert!((got - variance).abs() <= 1e-9 * (1.0 + variance));
    }

    #[test]
    fn containers_inherit_the_laws_of_their_parts(
        values in vec((any::<u64>(), any::<f64>(), any::<i128>(), 0u8..4), 5..20),
    ) {
        let pairs = values.iter().map(|&(count, max, ..)| (Count(count), Max(Some(max))));
        laws::merge(pairs.clone())?;
        laws::sliding(pairs, PartialEq::eq)?;
        let triples = values.iter().map(|&(count, _, sum, _)| (Count(count), Sum(sum), Count(count)));
        laws::merge(triples.clone())?;
        laws::commutative(triples.clone(), PartialEq::eq)?;
        laws::subtract(triples)?;
        let options = values.iter().map(|&(count, .., key)| (key > 0).then_some(Count(count)));
        laws::merge(options.clone())?;
        laws::commutative(options, PartialEq::eq)?;
        let trees = values.iter().map(|&(count, .., key)| BTreeMap::from([(key, Count(count)), (key / 2, Count(1))]));
        laws::merge(trees.clone())?;
        laws::commutative(trees, PartialEq::eq)?;
        let hashes = values.iter().map(|&(_, max, _, key)| HashMap::from([(key, Max(Some(max)))]));
        laws::merge(hashes.clone())?;
        laws::idempotent(hashes)?;
        let items: Vec<_> = values.iter().map(|&(_, max, sum, _)| ((), max, sum)).collect();
        laws::summary(&(Count(0), Min(None), Sum(0)), &items, PartialEq::eq)?;
    }

    #[test]
    fn two_stacks_keep_the_order_of_values_where_it_matters(words in vec("[a-z]{0,3}", 5..20)) {
        laws::merge(words.iter().cloned().map(Text))?;
        laws::sliding(words.into_iter().map(Text), Text::eq)?;
    }
}

#[test]
fn a_law_that_does_not_hold_is_answered_with_its_counterexample() {
    #[derive(Clone, Debug, PartialEq)]
    struct Average(f64);
    impl Merge for Average {
        fn empty(&self) -> Self {
            Average(0.0)
        }
        fn merge_from(&mut self, other: &Self) {
            self.0 = (self.0 + other.0) / 2.0;
        }
    }
    let broken = laws::merge([1.0, 2.0, 3.0].map(Average)).unwrap_err();
    assert_eq!(
        broken.to_string(),
        "a.empty() ⊕ a = a does not hold for Average(1.0): left Average(0.5), right Average(1.0)"
    );
}

#[test]
fn a_law_that_was_given_too_few_values_is_not_taken_to_hold() {
    let broken = laws::merge([Count(1), Count(2)]).unwrap_err();
    assert!(matches!(broken, Broken::TooFewValues { needed: 3, given: 2, .. }), "{broken}");
}

#[test]
fn nan_loses_against_every_number() {
    let values = [f64::NAN, 3.0, f64::NAN, -1.0, f64::NAN];
    assert_eq!(summarise(&Min::default(), values).present(), Some(-1.0));
    assert_eq!(summarise(&Max::default(), values).present(), Some(3.0));
    assert!(summarise(&Max::default(), [f64::NAN]).present().unwrap().is_nan());
}

#[test]
fn a_compensated_sum_keeps_what_a_plain_one_loses() {
    let mut parts = [1.0, 1e100, 1.0, -1e100].map(|v| FloatSum::default().lift(v)).into_iter();
    let mut sum = parts.next().unwrap();
    parts.for_each(|part| sum.merge_from(&part));
    assert_eq!(sum.value(), 2.0);
}

#[test]
fn an_infinite_sum_stays_infinite() {
    assert_eq!(summarise(&FloatSum::default(), [1.0, f64::INFINITY, 2.0]).value(), f64::INFINITY);
    let moments = summarise(&Moments::default(), [1.0, f64::INFINITY, 2.0]).present().unwrap();
    assert_eq!((moments.count, moments.mean), (3, f64::INFINITY));
}

#[test]
fn equal_values_have_no_variance() {
    let moments = summarise(&Moments::default(), [0.1; 1000]).present().unwrap();
    assert_eq!((moments.mean, moments.variance), (0.1, 0.0));
}

#[test]
fn a_window_with_nothing_in_it_has_nothing_to_let_go_of() {
    let mut latest = window(&Max::default());
    assert!(!latest.pop());
    latest.push(Max(Some(1.0)));
    assert!(latest.pop() && latest.is_empty());
    assert_eq!(latest.total(), Max(None));
}
