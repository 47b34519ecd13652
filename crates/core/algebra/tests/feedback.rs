//! The laws of steps and loops.

use kandela_algebra::feedback::{Loop, Pure, Step, delay, run};
use kandela_algebra::laws;
use proptest::prelude::*;

/// Answers the sum of all it was given.
struct Total;

impl Step for Total {
    type State = i64;
    type In = i64;
    type Out = i64;

    fn begin(&self) -> i64 {
        0
    }
    fn step(&self, state: &mut i64, input: i64) -> i64 {
        *state += input;
        *state
    }
}

/// Moves half of the way from where it is to where it should be.
fn halving() -> impl Step<State = (), In = (i64, i64), Out = (i64, i64)> {
    Pure::new(|(goal, at): (i64, i64)| (at, at + (goal - at) / 2))
}

fn inputs() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(-1000_i64..1000, 2..12)
}

proptest! {
    #[test]
    fn a_list_cut_anywhere_is_replayed_to_the_same_state(inputs in inputs(), first in -9_i64..9) {
        laws::replay(&Total, &inputs).unwrap();
        laws::replay(&delay(first), &inputs).unwrap();
        laws::replay(&Total.then(delay(first)), &inputs).unwrap();
        laws::replay(&Loop::new(halving(), first), &inputs).unwrap();
    }

    #[test]
    fn steps_compose_however_they_are_put_together(inputs in inputs(), first in -9_i64..9) {
        laws::then((&Total, &delay(first), &Total), &inputs).unwrap();
    }

    #[test]
    fn loops_tighten_and_a_crossing_is_a_delay(inputs in inputs(), first in -9_i64..9) {
        laws::feedback((&halving(), &Total, &delay(0)), &first, &inputs).unwrap();
    }
}

#[test]
fn a_loop_around_a_crossing_is_no_wire() {
    let crossing = Loop::new(Pure::new(|(a, b): (i64, i64)| (b, a)), 0);
    let (_, answers) = run(&crossing, crossing.begin(), [1, 2, 3]);
    assert_eq!(answers, [0, 1, 2]);
}

#[test]
fn a_law_about_too_few_inputs_is_not_shown() {
    assert!(matches!(laws::replay(&Total, &[1]), Err(laws::Broken::TooFewValues { .. })));
}
