//! What an application links to be measured, and to hold up under load.
//!
//! Each part stands alone behind a cargo feature, and all share five things:
//!
//! - [`clock`]: time as an argument, so that a day passes in a second in a test;
//! - [`knob`]: settings that may be turned while the application runs, and that turn back by themselves;
//! - [`decision`]: what the controllers decided, why, and what followed;
//! - [`steward`]: who may change something now;
//! - [`range`]: settings are checked where a value is built.
//!
//! The parts, each behind the cargo feature of its name:
//!
//! - `profiler`: where time goes, by call path (with the feature `tracing`, from and to that crate too); `tracer`: spans of distributed
//!   traces (with `otlp`, for export);
//! - `intercept`: timing, metrics, deadlines, retries within a budget, and W3C trace context around any call;
//! - `pool`: a resource pool that sizes itself (with `deadpool`, for pools of that crate too);
//! - `breaker`: a circuit breaker that learns what is normal for a service;
//! - `limiter`: a limit of concurrency that follows what the service bears;
//! - `cache`: a cache that finds its own eviction policy.
//!
//! Those that need them share `trace_context`, W3C's ids and headers, and `random`, seeded numbers.
//!
//! With the feature `tower`, those that stand around a call are `tower` layers too.

#[cfg(feature = "breaker")]
pub mod breaker;
#[cfg(feature = "cache")]
pub mod cache;
pub mod clock;
pub mod decision;
#[cfg(any(feature = "intercept", feature = "profiler"))]
mod exposition;
#[cfg(feature = "intercept")]
pub mod intercept;
pub mod knob;
#[cfg(feature = "limiter")]
pub mod limiter;
#[cfg(feature = "pool")]
pub mod pool;
#[cfg(feature = "profiler")]
pub mod profiler;
#[cfg(any(
    feature = "breaker",
    feature = "cache",
    feature = "intercept",
    feature = "pool",
    feature = "profiler"
))]
pub mod random;
pub mod range;
#[cfg(any(feature = "breaker", feature = "limiter"))]
mod steady;
pub mod steward;
mod sync;
#[cfg(any(feature = "intercept", feature = "profiler"))]
pub mod trace_context;
#[cfg(feature = "profiler")]
pub mod tracer;
