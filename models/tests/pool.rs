//! A pool's line, in every order.

use kandela_models::pool::*;

#[test]
fn everybody_comes_to_their_turn() {
    in_every_order(1, &[acquire, acquire, acquire], is_whole);
}

#[test]
fn who_gives_up_takes_nothing_along() {
    in_every_order(1, &[acquire, give_up], is_whole);
    in_every_order(1, &[acquire, give_up, acquire], is_whole);
}

#[test]
fn what_failed_leaves_its_place_to_the_next() {
    in_every_order(1, &[fail, acquire], is_whole);
    in_every_order(1, &[fail, acquire, give_up], is_whole);
}

#[test]
fn growth_serves_who_waits() {
    in_every_order(1, &[acquire, acquire, grow], is_whole);
    beside_a_hog(1, 1, &[acquire, grow], is_whole);
    beside_a_hog(1, 1, &[acquire, give_up, grow], is_whole);
}

#[test]
fn a_shrink_loses_nobody() {
    in_every_order(2, &[acquire, acquire, shrink], is_whole);
    in_every_order(2, &[acquire, give_up, shrink], is_whole);
}

#[test]
fn a_pool_that_grows_and_shrinks_at_once_is_whole() {
    in_every_order(1, &[grow, shrink, acquire], is_whole);
}

#[test]
fn a_pool_that_is_closed_tells_who_waits_and_drains() {
    in_every_order(1, &[acquire_if_open, close], is_gone);
    in_every_order(1, &[acquire_if_open, acquire_if_open, close], is_gone);
}
