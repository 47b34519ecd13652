//! The four patterns that every service of the shop needs, each with its knobs: a pool, a cache, a circuit breaker, a limiter.
//!
//! This is the seam between the shop and whatever implements them: services see only what is exported here.

mod breaker;
mod cache;
mod limiter;
mod pool;

pub(crate) use breaker::Breaker;
pub(crate) use cache::Cache;
pub(crate) use limiter::Limiter;
pub(crate) use pool::Pool;
