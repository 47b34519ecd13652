//! The cache's loads: whoever asks for a key gets a value, whatever becomes of those who load it.

use kandela_models::loading::{ask, ask_as_a_task, in_every_order};

#[test]
fn two_who_ask_at_once_both_get_a_value() {
    in_every_order(0, &[ask, ask]);
    in_every_order(0, &[ask_as_a_task, ask]);
}

#[test]
fn where_a_loader_gives_up_those_who_wait_go_on() {
    in_every_order(1, &[ask, ask]);
    in_every_order(1, &[ask_as_a_task, ask_as_a_task]);
}

#[test]
fn three_who_ask_while_loaders_give_up_all_get_a_value() {
    in_every_order(1, &[ask, ask, ask_as_a_task]);
}
