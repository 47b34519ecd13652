//! The laws of verdicts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use kandela_algebra::laws;
use kandela_algebra::verdict::{Guard, Stage, Stages, Truth, Verdict};
use proptest::prelude::*;

const MEASUREMENTS: u32 = 3;

fn stages() -> Stages {
    Stages::of(MEASUREMENTS).unwrap()
}

fn truths() -> impl Strategy<Value = Truth> {
    let stage = prop::sample::select(stages().all());
    prop::collection::vec(stage, 0..5).prop_map(Truth::of)
}

proptest! {
    #[test]
    fn truths_are_a_heyting_algebra(truths in prop::collection::vec(truths(), 3..6)) {
        laws::heyting(truths).unwrap();
    }

    #[test]
    fn what_is_decided_stays_decided(truths in prop::collection::vec(truths(), 2..4)) {
        laws::persistent(stages(), truths).unwrap();
    }

    #[test]
    fn not_shown_unsafe_never_permits_and_missing_is_the_least(truths in prop::collection::vec(truths(), 1..4)) {
        laws::admission(stages(), truths).unwrap();
    }

    #[test]
    fn an_implication_holds_where_every_extension_that_has_the_one_has_the_other(a in truths(), b in truths()) {
        let all = stages().all();
        let implied = a.implies(&b);
        for p in &all {
            let by_hand = all.iter().filter(|q| q.extends(*p) && a.holds(**q)).all(|q| b.holds(*q));
            prop_assert_eq!(implied.holds(*p), by_hand);
        }
    }
}

fn stage(answers: &[(u32, bool)]) -> Stage {
    answers.iter().fold(stages().nothing(), |stage, (at, answer)| stage.learn(*at, *answer).unwrap())
}

#[test]
fn before_a_measurement_neither_it_nor_its_negation_is_established() {
    let safe = Truth::answered(0, true);
    assert_ne!(safe.or(&safe.not()), Truth::always());
    assert_eq!(safe.or(&safe.not()).verdict(stages().nothing()), Verdict::Unknown);
}

#[test]
fn what_can_only_turn_out_safe_is_still_not_admitted() {
    // Whatever the answer, it will be established; before the answer it is not.
    let certain = Truth::answered(0, true).or(&Truth::answered(0, false));
    assert!(certain.not().not().holds(stages().nothing()));
    assert!(!Guard::new(certain).admits(stages().nothing()));
}

#[test]
fn kleene_does_not_see_a_contradiction_that_the_algebra_sees() {
    let a = Truth::answered(0, true);
    let nothing = stages().nothing();
    assert_eq!(a.and(&a.not()).verdict(nothing), Verdict::Violated);
    assert_eq!(a.verdict(nothing).and(a.not().verdict(nothing)), Verdict::Unknown);
}

#[test]
fn the_shorter_of_two_ways_is_what_is_missing() {
    let long = Truth::of([stage(&[(0, true), (1, true)])]);
    let guard = Guard::new(long.or(&Truth::answered(2, true)));
    assert_eq!(guard.missing(stages().nothing()), Some(vec![(2, true)]));
    assert_eq!(guard.missing(stage(&[(2, false)])), Some(vec![(0, true), (1, true)]));
    assert_eq!(guard.missing(stage(&[(2, false), (1, false)])), None);
    assert_eq!(guard.missing(stage(&[(2, true)])), Some(vec![]));
}

#[test]
fn an_answer_is_never_taken_back_and_unknown_measurements_answer_nothing() {
    assert_eq!(stage(&[(0, true)]).learn(0, false), None);
    assert_eq!(stages().nothing().learn(Stages::MOST, true), None);
    assert_eq!(Truth::answered(Stages::MOST, true), Truth::never());
    assert_eq!(Stages::of(Stages::MOST + 1), None);
    assert!(stages().complete(stage(&[(0, true), (1, false), (2, true)])));
    assert!(!stages().complete(stage(&[(0, true), (2, true)])));
    // Of another list's measurements, none of these three.
    assert!(!stages().complete(stage(&[(7, true), (8, true), (9, true)])));
}

#[test]
fn a_law_given_too_little_says_so() {
    assert!(laws::heyting([Truth::always()]).unwrap_err().to_string().contains("at least 3"));
}
