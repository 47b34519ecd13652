//! Search that keeps constraints *while* it searches: no point is measured that may break one, as far as can be known.
//!
//! A [`Constraint`] is a measured quantity with a bound. From a start that keeps all of them, the search widens a *certified set* of
//! points step by step and looks for the best point within it.
//!
//! - Where the greatest rate of change and the noise are **declared**, a point is certified by the [envelope] of what was measured: no
//!   quantity that changes no faster can break its bound there (Fiedler, Menn, Kreisköther and Trimpe, *On Safety in Safe Bayesian
//!   Optimization*, 2024). If the declaration is true, no trial is unsafe. Measurements that contradict it raise an [`Alarm`].
//! - Where they are not, they are **estimated**, and a certificate is a cautious guess, right in most runs: see [`certificate`].
//!
//! [envelope]: kandela_algebra::envelope

mod certificate;
mod search;
pub(crate) mod surface;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use search::Safe;

/// A measured quantity that must stay within a bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    /// Its name, in the order of [`Measured::margins`](crate::Measured::margins).
    pub name: String,
    /// Its bound.
    pub bound: Bound,
    /// The most by which the quantity changes along the unit cube, in its own unit for each width of the cube, in any direction;
    /// estimated where it is not known.
    pub rate: Option<f64>,
    /// The most by which one measurement of it may be off; estimated where it is not known.
    pub noise: Option<f64>,
}

impl Constraint {
    /// The value `name` within `bound`, of which nothing else is known.
    pub fn new(name: impl Into<String>, bound: Bound) -> Constraint {
        Constraint { name: name.into(), bound, rate: None, noise: None }
    }

    /// What is wrong with it, if anything.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let bound = self.bound.at(0.0);
        let no_limit = |limit: Option<f64>| limit.is_some_and(|limit| !limit.is_finite() || limit < 0.0);
        if !bound.is_finite() {
            Some("its bound is no finite number; give one")
        } else if no_limit(self.rate) {
            Some("its rate is no finite number of 0 or more; give one, or leave it out and have it estimated")
        } else if no_limit(self.noise) {
            Some(
                "its noise is no finite number of 0 or more; give one, or leave it out and have it estimated",
            )
        } else {
            None
        }
    }
}

/// On which side of a number a quantity must stay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// At this or below.
    Max(f64),
    /// At this or above.
    Min(f64),
}

impl Bound {
    /// How far within the bound a value is; below 0 it breaks it.
    pub fn margin(self, value: f64) -> f64 {
        match self {
            Bound::Max(most) => most - value,
            Bound::Min(least) => value - least,
        }
    }

    /// The value that lies so far within the bound.
    pub fn at(self, margin: f64) -> f64 {
        match self {
            Bound::Max(most) => most - margin,
            Bound::Min(least) => least + margin,
        }
    }
}

/// `at most 0.25`, `at least 900`.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Max(most) => write!(f, "at most {most}"),
            Bound::Min(least) => write!(f, "at least {least}"),
        }
    }
}

/// What a safe search tells of besides its proposals.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Alarm {
    /// Two trials contradict what was declared of a constraint. From here on the estimate must certify a point too.
    Contradicted {
        /// The constraint.
        constraint: String,
        /// The trials.
        trials: (u64, u64),
        /// By how much they lie farther apart than declared, in the constraint's unit.
        excess: f64,
    },
    /// The trials together make it likely that the constraint changes faster than was declared, if their errors are independent and
    /// hardly ever as large as declared. From here on the estimate must certify a point too.
    Doubted {
        /// The constraint.
        constraint: String,
        /// The rate that was declared.
        declared: f64,
        /// The rate that was seen, in the direction in which it is greatest.
        seen: f64,
    },
    /// The start breaks a constraint and nothing near it helps: the search ends.
    Unmet {
        /// The constraint.
        constraint: String,
        /// The best margin that any trial had.
        margin: f64,
    },
    /// No trial at the start gave a value: the search ends.
    StartFails,
}

impl Alarm {
    /// Whether the search ends with it.
    pub const fn ends(&self) -> bool {
        matches!(self, Alarm::Unmet { .. } | Alarm::StartFails)
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Alarm::Contradicted { constraint, trials: (low, high), excess } => write!(
                f,
                "constraint {constraint}: trials {low} and {high} lie {excess} farther apart than its declared rate and noise allow; \
                 one of the two is wrong: raise it, or leave it out and have it estimated"
            ),
            Alarm::Doubted { constraint, declared, seen } => write!(
                f,
                "constraint {constraint}: it was declared to change by at most {declared} and seems to change by {seen}: raise \
                 its rate, or leave it out and have it estimated"
            ),
            Alarm::Unmet { constraint, margin } => write!(
                f,
                "constraint {constraint}: the start breaks it, as far as can be told, and nothing near helps; the best margin is {margin}: relax its \
                 bound, or give a start that keeps it"
            ),
            Alarm::StartFails => f.write_str(
                "the start gives no value, time after time: mend the target, or give a start that can be measured",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Measured, Outcome, Space, Strategy, Study};

    fn space(json: &str) -> Space {
        serde_json::from_str(json).expect("a space")
    }

    fn two_axes() -> Space {
        space(
            r#"{"x": {"type": "float", "min": 0, "max": 1, "default": 0.2},
                "y": {"type": "float", "min": 0, "max": 1, "default": 0.3}}"#,
        )
    }

    fn at_most(bound: f64, rate: Option<f64>, noise: Option<f64>) -> Vec<Constraint> {
        vec![Constraint { name: "latency".to_owned(), bound: Bound::Max(bound), rate, noise }]
    }

    /// The points of all trials, in order, and the study at its end.
    fn run(
        mut study: Study,
        objective: impl Fn(&[f64]) -> f64,
        margin: impl Fn(&[f64]) -> f64,
    ) -> (Vec<Vec<f64>>, Study) {
        let mut points = Vec::new();
        while let Some(asked) = study.ask() {
            let point = study.space().encode(&asked.config).expect("a point of the space");
            let margins = vec![margin(&point)];
            let measured =
                Measured { feasible: margins[0] >= 0.0, margins, ..Measured::of(objective(&point)) };
            study.tell(asked.id, Outcome::Measured(measured)).expect("a finite value and margin");
            points.push(point);
        }
        (points, study)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn no_trial_is_unsafe_where_rate_and_noise_are_truly_declared(
            slope in 0.5..4.0_f64, turn in 0.0..6.0_f64, off in -1.0..1.0_f64, seed in 0..1000_u64,
        ) {
            // A wave whose gradient is `slope` where it is steepest; each measurement is off by up to 0.05.
            let way = [turn.cos(), turn.sin()];
            let wave = |p: &[f64]| (4.0 * (way[0] * p[0] + way[1] * p[1])).sin() * slope / 4.0;
            let true_margin = |p: &[f64]| wave(p) - wave(&[0.2, 0.3]) + 0.3;
            let constraints = at_most(0.0, Some(slope), Some(0.05));
            let study = Study::constrained(two_axes(), constraints, Strategy::Safe, Some(20), seed).expect("a study");
            let (points, study) = run(study, |p| -p[0] - p[1], |p| true_margin(p) + 0.05 * (off + 1e6 * (p[0] + 0.7 * p[1])).sin());
            for point in points {
                prop_assert!(true_margin(&point) >= 0.0, "unsafe at {point:?}");
            }
            let told = study.alarms().iter().any(|alarm| matches!(alarm, Alarm::Contradicted { .. }));
            prop_assert!(!told, "{:?}", study.alarms());
        }
    }

    #[test]
    fn what_is_estimated_leads_most_of_the_way_and_not_beyond() {
        let constraints = at_most(0.0, None, None);
        let study =
            Study::constrained(two_axes(), constraints, Strategy::Safe, Some(40), 3).expect("a study");
        let margin = |p: &[f64]| 1.2 - p[0] - p[1];
        let (points, study) = run(study, |p| -p[0] - p[1], margin);
        assert!(points.iter().all(|point| margin(point) >= 0.0));
        let best = study.best().expect("a recommendation").value;
        assert!(best < -1.05, "{best}");
    }

    #[test]
    fn a_rate_declared_four_times_too_small_is_told_by_name() {
        let constraints = at_most(0.0, Some(0.5), Some(0.001));
        let study =
            Study::constrained(two_axes(), constraints, Strategy::Safe, Some(40), 3).expect("a study");
        let (_, study) = run(study, |p| -p[0], |p| 1.6 - 2.0 * p[0]);
        let told = study.alarms().first().expect("an alarm").to_string();
        assert!(told.starts_with("constraint latency: ") && told.contains("raise"), "{told}");
    }

    #[test]
    fn a_constraint_that_nothing_near_meets_is_named_and_ends_the_search() {
        let constraints = at_most(0.0, None, None);
        let study =
            Study::constrained(two_axes(), constraints, Strategy::Safe, Some(60), 3).expect("a study");
        let (points, study) = run(study, |p| p[0], |p| -1.0 - p[0]);
        assert!(points.len() < 20, "{}", points.len());
        let told = study.alarms().last().expect("an alarm").to_string();
        assert!(told.contains("constraint latency: the start breaks it"), "{told}");
    }

    #[test]
    fn of_several_constraints_the_one_that_no_trial_keeps_is_named_with_its_best_margin() {
        let kept = Constraint { name: "rate".to_owned(), bound: Bound::Min(0.0), rate: None, noise: None };
        for place in [0, 1] {
            let mut constraints = at_most(0.0, None, None);
            constraints.insert(place, kept.clone());
            let mut study =
                Study::constrained(two_axes(), constraints, Strategy::Safe, Some(60), 3).expect("a study");
            let mut best = f64::NEG_INFINITY;
            while let Some(asked) = study.ask() {
                let x = study.space().encode(&asked.config).expect("a point of the space")[0];
                let mut margins = vec![-9.0 - x];
                margins.insert(place, x - 0.1);
                best = best.max(-9.0 - x);
                let measured = Measured { feasible: false, margins, ..Measured::of(x) };
                study.tell(asked.id, Outcome::Measured(measured)).expect("told");
            }
            let unmet = Alarm::Unmet { constraint: "latency".to_owned(), margin: best };
            assert_eq!(study.alarms(), [unmet], "{place}");
        }
    }

    #[test]
    fn a_start_that_exactly_breaks_a_declared_constraint_is_not_certified() {
        let constraints = at_most(0.0, Some(1.0), Some(0.0));
        let study =
            Study::constrained(two_axes(), constraints, Strategy::Safe, Some(60), 3).expect("a study");
        let (points, study) = run(study, |p| p[0], |p| -1.0 - p[0]);
        assert!(points.len() < 20 && study.best().is_none(), "{} {:?}", points.len(), study.best());
        assert!(matches!(study.alarms(), [Alarm::Unmet { .. }]), "{:?}", study.alarms());
    }

    #[test]
    fn a_start_that_is_just_outside_is_left_for_what_keeps_the_constraint() {
        let constraints = at_most(0.0, None, None);
        let study =
            Study::constrained(two_axes(), constraints, Strategy::Safe, Some(40), 3).expect("a study");
        let (points, study) = run(study, |p| p[1], |p| 3.0 * (p[0] - 0.22));
        assert_eq!(points.len(), 40);
        assert!(study.alarms().is_empty(), "{:?}", study.alarms());
        assert!(study.best().is_some());
    }

    #[test]
    fn words_stay_as_they_start_and_steps_stay_within_their_caps() {
        let space = space(
            r#"{"policy": {"type": "enum", "values": ["a", "b", "c"], "default": "b"},
                "pool": {"type": "int", "min": 1, "max": 100, "default": 10, "step_cap": {"absolute": 2}}}"#,
        );
        let study = Study::constrained(space, at_most(0.0, None, None), Strategy::Safe, Some(30), 3)
            .expect("a study");
        let mut study = study;
        let mut tried = vec![10_i64];
        while let Some(asked) = study.ask() {
            assert_eq!(asked.config["policy"].to_string(), "b");
            let pool: i64 = asked.config["pool"].to_string().parse().expect("a whole number");
            assert!(tried.iter().any(|before| (before - pool).abs() <= 2), "{pool} after {tried:?}");
            tried.push(pool);
            let measured = Measured { margins: vec![5.0], ..Measured::of(-(pool as f64)) };
            study.tell(asked.id, Outcome::Measured(measured)).expect("told");
        }
        assert!(tried.iter().max() > Some(&14), "{tried:?}");
    }

    #[test]
    fn a_start_that_always_fails_ends_the_search() {
        let constraints = at_most(0.0, None, None);
        let mut study =
            Study::constrained(two_axes(), constraints, Strategy::Safe, Some(60), 3).expect("a study");
        let mut asked = 0;
        while let Some(trial) = study.ask() {
            study.tell(trial.id, Outcome::Failed).expect("told");
            asked += 1;
        }
        assert_eq!((asked, study.alarms()), (3, [Alarm::StartFails].as_slice()));
    }

    #[test]
    fn many_may_be_asked_for_before_one_is_told() {
        let constraints = at_most(0.0, None, None);
        let mut study =
            Study::constrained(two_axes(), constraints, Strategy::Safe, Some(12), 3).expect("a study");
        let mut waiting = Vec::new();
        for _ in 0..4 {
            waiting.extend((0..3).map_while(|_| study.ask()));
            for trial in waiting.drain(..) {
                let measured = Measured { margins: vec![1.0], ..Measured::of(0.0) };
                study.tell(trial.id, Outcome::Measured(measured)).expect("told");
            }
        }
        assert_eq!(study.history().measured().count(), 12);
    }

    #[test]
    fn what_cannot_be_kept_track_of_is_refused_by_name() {
        let refuse = |constraints: Vec<Constraint>, space: Space| {
            let study = Study::constrained(space, constraints, Strategy::Safe, None, 1);
            study.err().expect("refused").to_string()
        };
        let twice = [at_most(0.0, None, None), at_most(1.0, None, None)].concat();
        assert_eq!(refuse(twice, two_axes()), "constraint latency: it is there twice; name each once");
        assert!(refuse(at_most(f64::NAN, None, None), two_axes()).contains("its bound is no finite number"));
        assert!(refuse(at_most(0.0, Some(-1.0), None), two_axes()).contains("its rate"));
        assert!(refuse(at_most(0.0, None, Some(f64::INFINITY)), two_axes()).contains("its noise"));
        let nowhere = space(r#"{"x": {"type": "float", "min": 0, "max": 1}}"#);
        assert!(refuse(at_most(0.0, None, None), nowhere).contains("parameter x has no default"));
    }

    #[test]
    fn a_trial_is_told_with_one_finite_margin_for_each_constraint() {
        let constraints = at_most(0.0, None, None);
        let mut study =
            Study::constrained(two_axes(), constraints, Strategy::Safe, None, 1).expect("a study");
        let trial = study.ask().expect("the start");
        for margins in [vec![], vec![1.0, 1.0], vec![f64::NAN]] {
            let measured = Measured { margins, ..Measured::of(0.0) };
            let refused = study.tell(trial.id, Outcome::Measured(measured)).expect_err("refused").to_string();
            assert!(refused.contains("for 1 declared constraints"), "{refused}");
        }
    }
}
