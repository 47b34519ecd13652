//! Concurrent parts of Kandela, and what is done to them in every order that there is.

#[path = "../../crates/observe/lake/src/wal/commit.rs"]
#[allow(unreachable_pub, dead_code, reason = "the log uses the rest")]
mod commit;
pub mod group_commit;
pub mod ledger;
#[path = "../../crates/develop/runtime/src/profiler/ledger.rs"]
#[allow(unreachable_pub, dead_code, reason = "the profiler uses the rest")]
mod ledger_of_sheets;

/// What `kandela-runtime` has under this name, of loom's types.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use parking_lot::Mutex;
}
