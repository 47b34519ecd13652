//! Concurrent parts of Kandela, and what is done to them in every order that there is.

#[path = "../../crates/observe/lake/src/wal/commit.rs"]
#[allow(unreachable_pub, dead_code, reason = "the log uses the rest")]
mod commit;
pub mod group_commit;
pub mod pool;

/// What the product's parts share threads by.
mod sync {
    pub(crate) use parking_lot::Mutex;
}
