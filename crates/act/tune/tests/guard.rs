//! Guards within one trial.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use kandela_algebra::verdict::Verdict;
use kandela_tune::guard::{Bound, Constraint, GuardError, Guards, Of, Reading, Why};
use proptest::prelude::*;

const SLICE: i64 = 60_000;

fn constraint(name: &str, bound: Bound, of: Of) -> Constraint {
    let expression = format!("{name}:slice");
    Constraint { name: name.to_owned(), expression, bound, of, window: Duration::from_secs(600), clip: 0.7 }
}

fn latency() -> Constraint {
    constraint("latency", Bound::Max(0.2), Of::Value)
}

fn guards(constraints: Vec<Constraint>) -> Guards {
    Guards::new(constraints, 0.05).unwrap()
}

fn reading(treated: f64) -> Option<Reading> {
    Some(Reading { treated, control: None })
}

/// Tells so many slices from slice `from` on; gives when the last ended.
fn tell(guards: &mut Guards, name: &str, from: i64, count: i64, reading: Option<Reading>) -> i64 {
    (from..from + count).for_each(|slice| guards.tell(name, slice * SLICE, reading).unwrap());
    (from + count - 1) * SLICE
}

#[test]
fn nothing_told_admits_nothing_and_says_how_much_is_missing() {
    let guards = guards(vec![latency()]);
    assert_eq!(guards.verdict(0), Verdict::Unknown);
    assert!(!guards.admits(0));
    let missing = guards.missing(0).unwrap();
    assert_eq!((missing[0].constraint.name.as_str(), missing[0].why), ("latency", Why::NotShown));
    assert!((5..10).contains(&missing[0].readings), "{missing:?}");
}

#[test]
fn readings_well_within_a_bound_come_to_hold_and_admit() {
    let mut guards = guards(vec![latency()]);
    let now = tell(&mut guards, "latency", 0, 15, reading(0.1));
    assert_eq!(guards.verdict(now), Verdict::Holds);
    assert!(guards.admits(now));
    assert_eq!(guards.missing(now), Some(vec![]));
}

#[test]
fn what_held_expires_with_its_window_unless_shown_anew() {
    let mut guards = guards(vec![latency()]);
    let now = tell(&mut guards, "latency", 0, 8, reading(0.02));
    assert!(guards.admits(now));
    let later = now + 600_000;
    assert_eq!(guards.verdict(later), Verdict::Unknown);
    assert_eq!(guards.missing(later).unwrap()[0].why, Why::Expired);
    let now = tell(&mut guards, "latency", 20, 8, reading(0.02));
    assert!(guards.admits(now));
}

#[test]
fn a_missing_source_is_unknown_until_it_is_back() {
    let mut guards = guards(vec![latency()]);
    let now = tell(&mut guards, "latency", 0, 15, reading(0.1));
    assert!(guards.admits(now));
    let gone = tell(&mut guards, "latency", 15, 1, None);
    assert_eq!(guards.verdict(gone), Verdict::Unknown);
    assert_eq!(guards.missing(gone).unwrap()[0].why, Why::NoReading);
    let nan = tell(&mut guards, "latency", 16, 1, reading(f64::NAN));
    assert!(!guards.admits(nan));
    let back = tell(&mut guards, "latency", 17, 1, reading(0.1));
    assert!(guards.admits(back));
}

#[test]
fn a_broken_bound_is_violated_within_a_few_slices_and_stays_so() {
    let mut guards = guards(vec![latency()]);
    tell(&mut guards, "latency", 0, 500, reading(0.1));
    let now = tell(&mut guards, "latency", 500, 8, reading(1.0));
    assert_eq!(guards.verdict(now), Verdict::Violated);
    assert_eq!(guards.missing(now), None);
    let now = tell(&mut guards, "latency", 508, 500, reading(0.1));
    assert_eq!(guards.verdict(now), Verdict::Violated);
}

#[test]
fn one_violated_constraint_outweighs_all_that_hold() {
    let mut guards = guards(vec![latency(), constraint("success", Bound::Min(0.99), Of::Value)]);
    let now = tell(&mut guards, "latency", 0, 15, reading(0.1));
    assert_eq!(guards.verdict(now), Verdict::Unknown);
    assert_eq!(guards.missing(now).unwrap()[0].constraint.name, "success");
    let now = tell(&mut guards, "success", 0, 15, reading(0.0));
    assert_eq!(guards.verdict(now), Verdict::Violated);
    let verdicts: Vec<Verdict> = guards.standings(now).iter().map(|standing| standing.verdict).collect();
    assert_eq!(verdicts, [Verdict::Holds, Verdict::Violated]);
}

#[test]
fn a_bound_relative_to_the_control_needs_the_control() {
    let mut guards = guards(vec![constraint("latency", Bound::Max(1.5), Of::RatioToControl)]);
    let now = tell(&mut guards, "latency", 0, 30, reading(0.1));
    assert_eq!(guards.missing(now).unwrap()[0].why, Why::NoReading);
    let with = |control| Some(Reading { treated: 0.1, control: Some(control) });
    let now = tell(&mut guards, "latency", 30, 15, with(0.1));
    assert!(guards.admits(now));
}

#[test]
fn beside_a_control_without_errors_none_are_fine_and_some_are_not() {
    let declared = || guards(vec![constraint("errors", Bound::Max(1.1), Of::RatioToControl)]);
    let beside_none = |treated| Some(Reading { treated, control: Some(0.0) });
    let mut without = declared();
    let now = tell(&mut without, "errors", 0, 10, beside_none(0.0));
    assert!(without.admits(now));
    let mut with = declared();
    let now = tell(&mut with, "errors", 0, 10, beside_none(0.02));
    assert_eq!(with.verdict(now), Verdict::Violated);
}

#[test]
fn a_value_of_zero_is_well_within_a_maximum() {
    let mut guards = guards(vec![constraint("errors", Bound::Max(0.01), Of::Value)]);
    let now = tell(&mut guards, "errors", 0, 10, reading(0.0));
    assert!(guards.admits(now));
}

#[test]
fn where_nothing_is_declared_everything_is_admitted() {
    assert!(guards(vec![]).admits(0));
}

#[test]
fn declarations_that_mean_nothing_are_refused_by_name() {
    let refused = |constraint: Constraint| Guards::new(vec![constraint], 0.05).unwrap_err().to_string();
    assert!(refused(Constraint { bound: Bound::Max(0.0), ..latency() }).contains("latency: its bound"));
    assert!(refused(Constraint { bound: Bound::Min(f64::NAN), ..latency() }).contains("its bound"));
    assert!(refused(Constraint { clip: -1.0, ..latency() }).contains("its clip"));
    assert!(refused(Constraint { window: Duration::ZERO, ..latency() }).contains("its window"));
    let twice = Guards::new(vec![latency(), latency()], 0.05).unwrap_err();
    assert_eq!(twice, GuardError::Twice("latency".to_owned()));
    let many = (0..65).map(|i| constraint(&format!("c{i}"), Bound::Max(1.0), Of::Value)).collect();
    assert_eq!(Guards::new(many, 0.05).unwrap_err(), GuardError::TooMany(65));
    assert_eq!(Guards::new(vec![], 1.0).unwrap_err(), GuardError::Error(1.0));
}

#[test]
fn readings_of_nothing_declared_or_out_of_order_are_refused() {
    let mut guards = guards(vec![latency()]);
    assert_eq!(guards.tell("latencies", 0, None), Err(GuardError::Unknown("latencies".to_owned())));
    guards.tell("latency", 5, reading(0.1)).unwrap();
    let backwards = GuardError::Backwards { constraint: "latency".to_owned(), at: 4, last: 5 };
    assert_eq!(guards.tell("latency", 4, reading(0.1)), Err(backwards));
}

proptest! {
    #[test]
    fn violated_is_final_and_only_what_holds_everywhere_is_admitted(
        told in prop::collection::vec((0..2usize, prop::option::of(0.0..0.5f64)), 0..200),
    ) {
        let names = ["a", "b"];
        let declared = names.map(|name| constraint(name, Bound::Max(0.2), Of::Value)).to_vec();
        let mut guards = guards(declared);
        let mut violated = false;
        for (now, (which, value)) in (0..).zip(told) {
            guards.tell(names[which], now * SLICE, value.and_then(reading)).unwrap();
            let verdicts: Vec<Verdict> =
                guards.standings(now * SLICE).iter().map(|standing| standing.verdict).collect();
            prop_assert_eq!(guards.admits(now * SLICE), verdicts.iter().all(|verdict| *verdict == Verdict::Holds));
            let now_violated = guards.verdict(now * SLICE) == Verdict::Violated;
            prop_assert!(now_violated || !violated);
            violated = now_violated;
        }
    }
}
