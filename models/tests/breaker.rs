//! Every interleaving of small scenes around a breaker.

use kandela_models::breaker::{
    bad_probe, cancelled_probe, good_probe, in_every_order_from_open, late_results_in_every_order, lost_probe,
};

#[test]
fn probes_that_are_all_cancelled_leave_it_able_to_close() {
    in_every_order_from_open(&[cancelled_probe, cancelled_probe]);
}

#[test]
fn a_probe_that_never_comes_back_does_not_hold_it_half_open() {
    in_every_order_from_open(&[lost_probe, cancelled_probe]);
}

#[test]
fn a_good_and_a_bad_probe_agree_on_a_state() {
    in_every_order_from_open(&[good_probe, bad_probe]);
}

#[test]
fn results_of_before_are_not_counted_twice() {
    late_results_in_every_order();
}
