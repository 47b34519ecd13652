//! Every interleaving of small scenes around a limiter.

use kandela_models::limiter::{give_up, in_every_order, leave, visit, visit_as_critical, widen};

#[test]
fn two_come_in_one_after_the_other() {
    in_every_order(1, 0, 2, 4, &[visit, visit]);
}

#[test]
fn three_share_two_places() {
    in_every_order(2, 0, 2, 2, &[visit, visit, visit]);
}

#[test]
fn whoever_gives_up_holds_nobody_back() {
    in_every_order(1, 1, 2, 2, &[leave, give_up, visit]);
}

#[test]
fn a_higher_limit_lets_in_who_waits() {
    in_every_order(1, 1, 2, 2, &[widen, visit, leave]);
}

#[test]
fn whoever_is_displaced_learns_of_it() {
    in_every_order(1, 1, 1, 2, &[leave, visit, visit_as_critical]);
}
