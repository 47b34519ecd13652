//! The library's pool: first come, first served; its size is a knob.

use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kandela_runtime::pool::{Manage, Pooled, SelfSizing, Sizer};

use crate::knobs::KnobMaker;
use crate::telemetry;

/// No call of the shop waits longer for anything.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

const SIZES: RangeInclusive<usize> = 1..=64;

/// At most so many users at a time, each with what `M` makes.
pub(crate) struct Pool<M: Manage> {
    name: &'static str,
    pool: kandela_runtime::pool::Pool<M>,
    /// Sizes the pool for as long as it is kept.
    _sizing: Option<Arc<SelfSizing>>,
}

impl<M: Manage> Pool<M> {
    /// The pool `name` of a service, with the knob `NAME.pool.size`.
    pub(crate) fn new(knobs: &KnobMaker, name: &'static str, manage: M) -> Result<Pool<M>> {
        let size_knob = format!("{name}.pool.size");
        let size = knobs.initial_size(&size_knob)?;
        let pool = kandela_runtime::pool::Pool::builder(&knobs.name(&format!("{name}.pool")), manage);
        let pool = pool.size(size).sizes(SIZES).acquire_timeout(LONGEST_WAIT).build(knobs.steward());
        let pool = pool.with_context(|| knobs.place(&[&size_knob]))?;
        let sizing = if knobs.is_self_tuning() {
            Some(SelfSizing::new(Arc::new(pool.clone()), Sizer::new(SIZES)?, knobs.steward()))
        } else {
            None
        };
        Ok(Pool { name, pool, _sizing: sizing })
    }

    /// Waits for a turn.
    pub(crate) async fn get(&self) -> Result<Pooled<M>> {
        let since = Instant::now();
        let pooled = self.pool.acquire().await;
        telemetry::pool_wait(self.name, since.elapsed());
        Ok(pooled?)
    }
}

/// What a pool lends where its places are what counts: calls under way, say, whose connections the client keeps.
pub(crate) struct Places;

impl Manage for Places {
    type Resource = ();
    type Error = Infallible;

    async fn create(&self) -> Result<(), Infallible> {
        Ok(())
    }
}
