//! What the searches by models promise, whatever is asked of them.

use kandela_model::KnobValue;
use kandela_tune::{Config, Measured, Outcome, Space, Strategy, Study};
use proptest::prelude::*;

const SEARCHES: [Strategy; 3] = [Strategy::TrustRegion, Strategy::Lipo, Strategy::Structured];

fn space(json: &str) -> Space {
    serde_json::from_str(json).expect("a space")
}

fn reals(dimension: usize) -> Space {
    let axes: Vec<String> =
        (0..dimension).map(|i| format!(r#""x{i:02}": {{"type": "float", "min": -5, "max": 5}}"#)).collect();
    space(&format!("{{{}}}", axes.join(",")))
}

fn numbers(config: &Config) -> Vec<f64> {
    let number = |value: &KnobValue| match value {
        KnobValue::Float(x) => *x,
        KnobValue::Int(x) => *x as f64,
        KnobValue::Bool(on) => f64::from(u8::from(*on)),
        KnobValue::Choice(word) => word.len() as f64,
    };
    config.values().map(number).collect()
}

fn lowest(space: &Space, strategy: Strategy, budget: usize, f: impl Fn(&[f64]) -> Option<f64>) -> f64 {
    let mut study = Study::new(space.clone(), strategy, Some(budget), 1);
    let mut lowest = f64::INFINITY;
    while let Some(asked) = study.ask() {
        let value = f(&numbers(&asked.config));
        lowest = lowest.min(value.unwrap_or(f64::INFINITY));
        study
            .tell(asked.id, value.map_or(Outcome::Failed, |v| Outcome::Measured(Measured::of(v))))
            .expect("told");
    }
    lowest
}

fn rosenbrock(x: &[f64]) -> f64 {
    x.windows(2).map(|x| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2)).sum()
}

#[test]
fn a_curved_valley_is_followed_to_its_end() {
    assert!(lowest(&reals(4), Strategy::TrustRegion, 200, |x| Some(rosenbrock(x))) < 1e-6);
    assert!(lowest(&reals(4), Strategy::Structured, 200, |x| Some(rosenbrock(x))) < 1e-6);
}

#[test]
fn a_sum_of_terms_with_many_valleys_is_searched_term_by_term() {
    let rastrigin = |x: &[f64]| {
        let term =
            |x: &f64| (x - 1.3).powi(2) + 10.0 * (1.0 - (2.0 * std::f64::consts::PI * (x - 1.3)).cos());
        Some(x.iter().map(term).sum())
    };
    assert!(lowest(&reals(6), Strategy::Structured, 300, rastrigin) < 1e-6);
}

#[test]
fn a_stiff_sum_in_a_turned_basis_is_found_out_and_searched_along_it() {
    let turned = |x: &[f64]| {
        let along: f64 = x.iter().map(|x| x - 0.7).sum::<f64>() / (x.len() as f64).sqrt();
        let across: f64 = x.iter().map(|x| (x - 0.7).powi(2)).sum::<f64>() - along * along;
        Some(1e6 * along * along + across.abs())
    };
    assert!(lowest(&reals(6), Strategy::Structured, 200, turned) < 1e-6);
}

#[test]
fn an_optimum_in_a_corner_is_reached() {
    let slope = |x: &[f64]| Some(x.iter().enumerate().map(|(i, x)| (5.0 - x) * (i + 1) as f64).sum());
    for strategy in SEARCHES {
        assert!(lowest(&reals(3), strategy, 60, slope) < 1e-9, "{strategy}");
    }
}

#[test]
fn a_region_that_fails_is_no_obstacle() {
    let half = |x: &[f64]| (x[0] + x[1] > -1.0).then(|| (x[0] + 0.4).powi(2) + (x[1] + 0.4).powi(2));
    for strategy in SEARCHES {
        assert!(lowest(&reals(2), strategy, 80, half) < 1e-3, "{strategy}");
    }
}

#[test]
fn whole_numbers_and_words_are_searched_too() {
    let mixed = space(
        r#"{"pool": {"type": "int", "min": 1, "max": 64}, "rate": {"type": "float", "min": 0, "max": 1},
            "way": {"type": "enum", "values": ["a", "bb", "ccc"]}, "z": {"type": "bool"}}"#,
    );
    let cost = |x: &[f64]| {
        Some((x[0] - 17.0).powi(2) / 100.0 + (x[1] - 0.3).powi(2) + 3.0 * (x[2] - 2.0).abs() + 2.0 * x[3])
    };
    for strategy in SEARCHES {
        assert!(lowest(&mixed, strategy, 150, cost) < 0.05, "{strategy}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn whatever_is_told_and_however_late_there_is_a_next_point_and_the_same_again(
        seed in 0_u64..1000,
        told in proptest::collection::vec((0_u8..8, -1e6_f64..1e6), 40),
    ) {
        let mixed = space(
            r#"{"a": {"type": "float", "min": 0.001, "max": 1, "log": true}, "b": {"type": "int", "min": 0, "max": 3},
                "c": {"type": "bool"}, "d": {"type": "float", "min": -1, "max": 1}}"#,
        );
        for strategy in SEARCHES {
            let run = || {
                let mut study = Study::new(mixed.clone(), strategy, Some(40), seed);
                let mut open = Vec::new();
                let mut asked_for = Vec::new();
                for (what, value) in &told {
                    let asked = study.ask().expect("within the budget");
                    asked_for.push(asked.config);
                    open.push(asked.id);
                    // Some stay open for a while, and are then told in any order.
                    while *what > 1 && !open.is_empty() && open.len() > usize::from(*what) % 3 {
                        let id = open.swap_remove(0);
                        let measured = Measured { feasible: *what != 3, ..Measured::of(*value) };
                        let outcome = if *what == 2 { Outcome::Failed } else { Outcome::Measured(measured) };
                        study.tell(id, outcome).expect("told");
                    }
                }
                asked_for
            };
            prop_assert_eq!(run(), run());
        }
    }
}
