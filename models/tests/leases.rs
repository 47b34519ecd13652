//! Knobs under leases: whatever is set and read at once, a lapsed lease leaves the confirmed value behind.

use kandela_models::leases::{
    confirm, in_every_order, lease, lease_by_a_successor, lease_for_no_time, read, read_what_is_confirmed,
    steer,
};

#[test]
fn a_lease_leaves_nothing_behind() {
    in_every_order(&[lease, read], &[8]);
    in_every_order(&[lease, lease_by_a_successor], &[8]);
}

#[test]
fn whoever_sees_a_leased_value_sees_that_its_lease_has_lapsed() {
    in_every_order(&[lease_for_no_time, read_what_is_confirmed], &[8]);
}

#[test]
fn a_parts_own_controller_and_a_lease_do_not_mix() {
    // Steered before the lease, 12 is confirmed; after it, refused.
    in_every_order(&[steer, lease, read], &[8, 12]);
}

#[test]
fn a_value_confirmed_by_one_who_is_followed_is_all_that_may_be_left() {
    in_every_order(&[confirm, lease_by_a_successor], &[8, 24]);
}
