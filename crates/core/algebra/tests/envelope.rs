//! Bounds between measurements: the laws of `Distance` and `Envelope`, and that what is possible lies within.

use kandela_algebra::envelope::{Distance, Envelope, Rate, Slopes};
use kandela_algebra::laws;
use proptest::prelude::*;

const ROUNDING: f64 = 1e-9;

fn points() -> impl Strategy<Value = Vec<Vec<f64>>> {
    prop::collection::vec(prop::collection::vec(-1.0..1.0_f64, 3), 3..8)
}

fn slopes() -> impl Strategy<Value = Slopes> {
    prop::collection::vec(0.0..10.0_f64, 3).prop_map(Slopes)
}

fn rate() -> impl Strategy<Value = Rate> {
    (0.0..10.0_f64, prop_oneof![0.0..10.0_f64, Just(f64::INFINITY)])
        .prop_map(|(rise, fall)| Rate { rise, fall })
}

/// Measurements that may contradict each other.
fn measured<D: Distance>(distance: D, of: Vec<(D::Point, f64, f64)>) -> Envelope<D> {
    let mut envelope = Envelope::new(distance);
    for (point, value, noise) in of {
        envelope.measure(point, value, noise).expect("numbers");
    }
    envelope
}

proptest! {
    #[test]
    fn slopes_are_a_distance(slopes in slopes(), points in points()) {
        laws::distance(&slopes, points, ROUNDING)?;
    }

    #[test]
    fn a_rate_is_a_distance(rate in rate(), times in prop::collection::vec(-5.0..5.0_f64, 3..8)) {
        laws::distance(&rate, times, ROUNDING)?;
    }

    #[test]
    fn envelopes_over_axes_are_the_tightest_bounds(
        slopes in slopes(),
        read in prop::collection::vec((prop::collection::vec(-1.0..1.0_f64, 3), -3.0..3.0_f64, 0.0..2.0_f64), 1..6),
        points in points(),
    ) {
        laws::envelope(&measured(slopes, read), points, ROUNDING)?;
    }

    #[test]
    fn envelopes_over_time_are_the_tightest_bounds(
        rise in 0.0..10.0_f64, fall in 0.0..10.0_f64,
        read in prop::collection::vec((0.0..5.0_f64, -3.0..3.0_f64, 0.0..2.0_f64), 1..6),
        times in prop::collection::vec(0.0..8.0_f64, 1..6),
    ) {
        laws::envelope(&measured(Rate { rise, fall }, read), times, ROUNDING)?;
    }

    #[test]
    fn a_quantity_within_its_bounds_lies_within_the_envelope(
        gradient in prop::collection::vec(-1.0..1.0_f64, 3),
        noise in 0.0..0.5_f64,
        read in prop::collection::vec((prop::collection::vec(-1.0..1.0_f64, 3), -1.0..1.0_f64), 1..8),
        points in points(),
    ) {
        let truth = |x: &[f64]| x.iter().zip(&gradient).map(|(x, g)| x * g).sum::<f64>().sin();
        let read = read.into_iter().map(|(x, error)| { let y = truth(&x) + error * noise; (x, y, noise) });
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let envelope = measured(Slopes(vec![norm; 3]), read.collect());
        prop_assert!(envelope.consistent().is_ok());
        for x in points {
            let y = truth(&x);
            prop_assert!(envelope.lower(&x) <= y + ROUNDING && y <= envelope.upper(&x) + ROUNDING);
        }
    }

    #[test]
    fn the_first_reach_is_the_first_time_at_which_the_level_is_possible(
        rate in rate(),
        read in prop::collection::vec((0.0..5.0_f64, -3.0..3.0_f64, 0.0..2.0_f64), 0..6),
        from in -1.0..6.0_f64, above in 0.0..6.0_f64,
    ) {
        let envelope = measured(rate, read);
        match envelope.first_reach(from, above) {
            Some(first) => {
                prop_assert!(first >= from && envelope.upper(&first) >= above - ROUNDING);
                for step in 0..200 {
                    let before = from + (first - from) * f64::from(step) / 200.0;
                    prop_assert!(before == first || envelope.upper(&before) < above + ROUNDING);
                }
            }
            None => for step in 0..200 {
                prop_assert!(envelope.upper(&(from + f64::from(step))) < above);
            }
        }
    }
}

#[test]
fn a_distance_that_breaks_the_triangle_is_found() {
    struct Squared;
    impl Distance for Squared {
        type Point = f64;
        fn d(&self, from: &f64, to: &f64) -> f64 {
            (to - from).powi(2)
        }
    }
    let told = laws::distance(&Squared, [0.0, 1.0, 2.0], ROUNDING).expect_err("4 > 1 + 1");
    assert!(told.to_string().contains("d(x, z) ≤ d(x, y) + d(y, z)"));
}

#[test]
fn an_envelope_over_what_is_no_distance_is_found() {
    #[derive(Clone)]
    struct Squared;
    impl Distance for Squared {
        type Point = f64;
        fn d(&self, from: &f64, to: &f64) -> f64 {
            (to - from).powi(2)
        }
    }
    let envelope = measured(Squared, vec![(0.0, 0.0, 0.0)]);
    assert!(laws::envelope(&envelope, [1.0, 2.0], ROUNDING).is_err());
}
