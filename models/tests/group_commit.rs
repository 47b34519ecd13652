//! Group commit: whoever is told that a record is durable can rely on it, and nobody waits for ever.

use kandela_models::group_commit::{append, append_to_a_disk_that_fails_once, in_every_order, rotate};

#[test]
fn an_acknowledged_record_is_durable() {
    in_every_order(&[append, append, append]);
}

#[test]
fn a_failed_sync_promises_nothing() {
    in_every_order(&[append_to_a_disk_that_fails_once, append_to_a_disk_that_fails_once]);
}

#[test]
fn a_rotation_and_appends_do_not_wait_for_each_other_for_ever() {
    in_every_order(&[append, append, rotate]);
}
