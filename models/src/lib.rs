//! Concurrent parts of Kandela, and what is done to them in every order that there is.

#[path = "../../crates/observe/lake/src/wal/commit.rs"]
#[allow(unreachable_pub, dead_code, reason = "the log uses the rest")]
mod commit;
pub mod group_commit;

#[path = "../../crates/develop/runtime/src/clock.rs"]
#[allow(unreachable_pub, dead_code, reason = "the library uses the rest")]
mod clock;
#[path = "../../crates/develop/runtime/src/random.rs"]
#[allow(unreachable_pub, dead_code, reason = "the library uses the rest")]
mod random;
#[path = "../../crates/develop/runtime/src/steady.rs"]
#[allow(unreachable_pub, dead_code, reason = "the library uses the rest")]
mod steady;

pub mod ledger;
#[path = "../../crates/develop/runtime/src/profiler/ledger.rs"]
#[allow(unreachable_pub, dead_code, reason = "the profiler uses the rest")]
mod ledger_of_sheets;

/// What `kandela-runtime` has under this name, of loom's types.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use parking_lot::{Condvar, Mutex};
}

/// The limiter's parts that threads share.
#[allow(unreachable_pub, dead_code, reason = "the library uses the rest")]
#[path = "."]
mod limiter_parts {
    #[path = "../../crates/develop/runtime/src/limiter/gate.rs"]
    pub mod gate;
    #[path = "../../crates/develop/runtime/src/limiter/priority.rs"]
    pub mod priority;
    #[path = "../../crates/develop/runtime/src/limiter/queue.rs"]
    pub mod queue;
}
pub mod limiter;

/// The breaker's parts that threads share.
#[allow(unreachable_pub, dead_code, reason = "the library uses the rest")]
#[path = "."]
mod breaker_parts {
    #[path = "../../crates/develop/runtime/src/breaker/backoff.rs"]
    pub mod backoff;
    #[path = "../../crates/develop/runtime/src/breaker/baseline.rs"]
    pub mod baseline;
    #[path = "../../crates/develop/runtime/src/breaker/gate.rs"]
    pub mod gate;
    #[path = "../../crates/develop/runtime/src/breaker/machine.rs"]
    pub mod machine;
    #[path = "../../crates/develop/runtime/src/breaker/window.rs"]
    pub mod window;
}
pub mod breaker;

pub mod loading;
#[path = "../../crates/develop/runtime/src/cache/loading.rs"]
#[allow(unreachable_pub, dead_code, reason = "the cache uses the rest")]
mod loads;

/// A knob, without the set of all knobs.
#[allow(unreachable_pub, dead_code, reason = "the library uses the rest")]
#[path = "."]
mod knob {
    #[path = "../../crates/develop/runtime/src/knob/leased.rs"]
    mod leased;
    #[path = "../../crates/develop/runtime/src/knob/scalar.rs"]
    mod scalar;

    pub use leased::LeasedKnob;
    pub use scalar::Scalar;
}
pub mod leases;
pub mod pool;
