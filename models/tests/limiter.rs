//! Every interleaving of small scenes around a limiter.

use kandela_models::limiter::{Scene, give_up, in_every_order, leave, visit, visit_as_critical, widen};

const EMPTY: Scene = Scene { limit: 1, held: 0, staying: 0, capacity: 2, preemptions: 2 };

#[test]
fn two_come_in_one_after_the_other() {
    in_every_order(Scene { preemptions: 4, ..EMPTY }, &[visit, visit]);
}

#[test]
fn three_share_two_places() {
    in_every_order(Scene { limit: 2, ..EMPTY }, &[visit, visit, visit]);
}

#[test]
fn whoever_gives_up_holds_nobody_back() {
    in_every_order(Scene { held: 1, ..EMPTY }, &[leave, give_up, visit]);
}

#[test]
fn a_higher_limit_lets_in_who_waits() {
    in_every_order(Scene { held: 1, staying: 1, preemptions: 4, ..EMPTY }, &[widen, visit]);
}

#[test]
fn whoever_is_displaced_learns_of_it() {
    in_every_order(Scene { held: 1, capacity: 1, ..EMPTY }, &[leave, visit, visit_as_critical]);
}
