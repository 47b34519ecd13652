//! The profiler's ledger: a sum that is read while threads count and end misses nothing and counts nothing twice.

use kandela_models::ledger::sums_never_fall_and_end_exact;

#[test]
fn a_thread_that_counts_and_ends_is_summed_once() {
    sums_never_fall_and_end_exact(1, 2);
}

#[test]
fn two_threads_that_count_and_end_are_summed_once_each() {
    sums_never_fall_and_end_exact(2, 1);
}
