//! The library's limiter. Its lowest and its highest limit begin at the same value, so that it is a fixed one, unless the shop tunes
//! itself.

use std::time::Duration;

use anyhow::{Context, Result};
use kandela_runtime::limiter::{self, Permit, Priority, Settings};

use crate::knobs::KnobMaker;

/// The lowest limit of a limiter that finds its own.
const LEAST: usize = 10;

/// Turns requests away once so many are under way.
pub(crate) struct Limiter {
    limiter: limiter::Limiter,
}

impl Limiter {
    /// A service's limiter, with the library's knobs: `limiter.limit`, `limiter.limit_min`, `limiter.limit_max` and so on.
    pub(crate) fn new(knobs: &KnobMaker) -> Result<Limiter> {
        let limit = knobs.initial_size("limiter.limit")?;
        let settings = Settings {
            initial: limit,
            min: if knobs.is_self_tuning() { LEAST.min(limit) } else { limit },
            max: limit,
            queue: 0,
            max_wait: Duration::ZERO,
            ..Settings::default()
        };
        let limiter = limiter::Limiter::new(&knobs.name("limiter"), settings, knobs.steward());
        Ok(Limiter { limiter: limiter.with_context(|| knobs.place(&["limiter.limit"]))? })
    }

    /// A place for one request, if there is one.
    pub(crate) fn enter(&self) -> Option<Permit> {
        self.limiter.try_acquire(Priority::default()).ok()
    }
}
