//! The four patterns that every service of the shop needs, each with its knobs: a pool, a cache, a circuit breaker, a limiter.
//!
//! This is the seam between the shop and whatever implements them: services see only what is exported here.

pub(crate) mod breaker;
pub(crate) mod cache;
pub(crate) mod limiter;
pub(crate) mod pool;
