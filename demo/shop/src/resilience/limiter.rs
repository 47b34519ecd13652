//! The library's limiter. It begins as a fixed one, since its lowest and its highest limit are the same; knobs may set them apart.

use std::time::Duration;

use anyhow::Result;
use kandela_runtime::limiter::{self, Permit, Priority, Settings};

use crate::knobs::KnobMaker;

/// Turns requests away once so many are under way.
pub(crate) struct Limiter {
    limiter: limiter::Limiter,
}

impl Limiter {
    /// A service's limiter, with the library's knobs: `limiter.limit`, `limiter.limit_min`, `limiter.limit_max` and so on. The first three begin at the
    /// same value.
    pub(crate) fn new(knobs: &KnobMaker) -> Result<Limiter> {
        let limit = knobs.initial_size("limiter.limit")?;
        let settings = Settings {
            initial: limit,
            min: limit,
            max: limit,
            queue: 0,
            max_wait: Duration::ZERO,
            ..Settings::default()
        };
        Ok(Limiter { limiter: limiter::Limiter::new(&knobs.name("limiter"), settings, knobs.steward())? })
    }

    /// A place for one request, if there is one.
    pub(crate) fn enter(&self) -> Option<Permit> {
        self.limiter.try_acquire(Priority::default()).ok()
    }
}
