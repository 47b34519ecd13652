//! Measures and sizes a pool of the crate `deadpool`, where code is built on one already.
//!
//! What `deadpool` does, it goes on doing: creating, recycling, its hooks and timeouts. In front of it stands the line of a
//! [`Pool`](super::Pool): who asks waits there, first come, first served, until fewer are out than the size allows. So it can be
//! measured, and a shrink holds: `deadpool`'s own `resize` only sees to it that objects there is no place for are dropped.

use std::fmt;
use std::ops::{Deref, DerefMut, RangeInclusive};
use std::sync::Arc;

use deadpool::managed::{Manager, Object, Pool, PoolError, TimeoutType};

use super::builder::size_knob;
use super::ledger::{Grant, Reuse};
use super::line::{Closed, Line};
use super::meter::{Meter, Sample};
use super::self_sizing::Sizable;
use crate::clock::{Clock, Moment};
use crate::knob::LeasedKnob;
use crate::range::OutOfRange;
use crate::steward::Steward;

/// A `deadpool` that is measured, and whose size is a knob. Copies share one.
pub struct Measured<M: Manager> {
    pool: Pool<M>,
    shared: Arc<Shared>,
}

struct Shared {
    /// Of places; what lies in them is `deadpool`'s affair.
    line: Line<(), Meter>,
    knob: Arc<LeasedKnob<usize>>,
    clock: Arc<dyn Clock>,
}

/// A borrowed object of a [`Measured`] pool.
pub struct MeasuredObject<M: Manager> {
    object: Object<M>,
    // Dropped after the object: its place is free once it is back.
    _place: Place,
}

/// A place that is freed when this is dropped.
struct Place {
    shared: Arc<Shared>,
    /// Since when its object is in use.
    since: Option<Moment>,
}

impl<M: Manager + 'static> Measured<M>
where
    M::Type: Send,
{
    /// Measures `pool` under the name `name`, and turns its size within `sizes`, beginning with what it has.
    ///
    /// # Errors
    /// [`OutOfRange`] where `sizes` are not within 1 to [`LARGEST_SIZE`](super::LARGEST_SIZE), or the pool's size not within them.
    pub fn new(
        name: &str,
        pool: Pool<M>,
        sizes: RangeInclusive<usize>,
        steward: &Steward,
    ) -> Result<Measured<M>, OutOfRange> {
        let size = pool.status().max_size;
        let knob = Arc::new(size_knob(name, size, sizes, steward)?);
        let clock = steward.clock().clone();
        let line = Line::new(size, Reuse::Newest, Meter::new(clock.now()));
        let shared = Arc::new(Shared { line, knob: knob.clone(), clock });
        let (sized, follows) = (pool.weak(), Arc::downgrade(&shared));
        knob.on_change(move || {
            let (Some(pool), Some(shared)) = (sized.upgrade(), follows.upgrade()) else { return };
            // Where the knob is turned meanwhile, whoever sees it last sets it right.
            loop {
                let size = shared.knob.read();
                pool.resize(size);
                shared.line.resize(size, |_, _| {});
                if shared.knob.read() == size {
                    return;
                }
            }
        });
        steward.knobs().add(&shared.knob);
        Ok(Measured { pool, shared })
    }

    /// Borrows an object, as [`Pool::get`] does; its timeout for waiting counts in the line here.
    ///
    /// # Errors
    /// Those of [`Pool::get`].
    pub async fn get(&self) -> Result<MeasuredObject<M>, PoolError<M::Error>> {
        let shared = &self.shared;
        let asked = shared.clock.now();
        let granted = shared.line.take_now(|meter, _| meter.arrived(asked));
        let is_granted = granted.map_err(|Closed| PoolError::Closed)?.is_some();
        if !is_granted {
            self.wait().await?;
        }
        let mut place = Place { shared: shared.clone(), since: None };
        let object = self.pool.get().await?;
        let now = shared.clock.now();
        shared.line.look(|_, meter| meter.began(now, now.since(asked)));
        place.since = Some(now);
        Ok(MeasuredObject { object, _place: place })
    }

    async fn wait(&self) -> Result<Grant<()>, PoolError<M::Error>> {
        let mut waiting = self.shared.line.stand();
        let turn = waiting.turn();
        let granted = match self.pool.timeouts().wait {
            None => turn.await,
            Some(most) => tokio::time::timeout(most, turn).await.map_err(|_| {
                self.shared.line.look(|_, meter| meter.gave_up());
                PoolError::Timeout(TimeoutType::Wait)
            })?,
        };
        granted.map_err(|Closed| PoolError::Closed)
    }

    /// The pool itself. What is borrowed from it directly is not measured, and not counted against the size.
    pub fn pool(&self) -> &Pool<M> {
        &self.pool
    }

    /// Its knob `<name>.size`.
    pub fn knob(&self) -> &Arc<LeasedKnob<usize>> {
        &self.shared.knob
    }
}

impl<M: Manager + 'static> Sizable for Measured<M>
where
    M: Send + Sync,
    M::Type: Send,
{
    fn take_sample(&self) -> Sample {
        let now = self.shared.clock.now();
        self.shared.line.look(|ledger, meter| meter.take(now, ledger.waiting()))
    }

    fn size_knob(&self) -> &LeasedKnob<usize> {
        &self.shared.knob
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let now = self.shared.clock.now();
        self.shared.line.give_back((), |meter| {
            if let Some(since) = self.since {
                meter.ended(now, now.since(since));
            }
        });
    }
}

impl<M: Manager> Clone for Measured<M> {
    fn clone(&self) -> Self {
        Measured { pool: self.pool.clone(), shared: self.shared.clone() }
    }
}

impl<M: Manager> fmt::Debug for Measured<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measured").field("status", &self.pool.status()).finish_non_exhaustive()
    }
}

impl<M: Manager> Deref for MeasuredObject<M> {
    type Target = M::Type;

    fn deref(&self) -> &M::Type {
        &self.object
    }
}

impl<M: Manager> DerefMut for MeasuredObject<M> {
    fn deref_mut(&mut self) -> &mut M::Type {
        &mut self.object
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use deadpool::managed::{Metrics, RecycleResult};

    use super::*;
    use crate::clock::ManualClock;

    struct Units;

    impl Manager for Units {
        type Type = ();
        type Error = Infallible;

        async fn create(&self) -> Result<(), Infallible> {
            Ok(())
        }

        async fn recycle(&self, (): &mut (), _: &Metrics) -> RecycleResult<Infallible> {
            Ok(())
        }
    }

    fn measured(size: usize) -> (ManualClock, Measured<Units>) {
        let clock = ManualClock::new();
        let steward = Steward::new(Arc::new(clock.clone()));
        let pool = Pool::builder(Units).max_size(size).build().expect("no runtime needed");
        (clock, Measured::new("db", pool, 1..=64, &steward).expect("within range"))
    }

    #[tokio::test]
    async fn a_pool_that_shrank_while_it_was_quiet_lends_no_more_than_it_may() {
        let (_, pool) = measured(2);
        pool.knob().steer(1).expect("nobody holds it");
        let _one = pool.get().await.expect("free");
        let second = tokio::time::timeout(Duration::from_millis(5), pool.get()).await;
        assert!(second.is_err(), "a second was lent");
    }

    #[tokio::test]
    async fn who_waits_is_served_when_the_pool_grows() {
        let (_, pool) = measured(1);
        let _one = pool.get().await.expect("free");
        let second = tokio::spawn({
            let pool = pool.clone();
            async move { pool.get().await.map(drop) }
        });
        tokio::task::yield_now().await;
        pool.knob().steer(2).expect("nobody holds it");
        second.await.expect("no panic").expect("a place");
    }

    #[tokio::test]
    async fn uses_are_measured() {
        let (clock, pool) = measured(1);
        let one = pool.get().await.expect("free");
        clock.advance(Duration::from_secs(3));
        drop(one);
        let sample = pool.take_sample();
        assert_eq!((sample.arrivals, sample.holds.max(), sample.levels[1].seconds), (1, Some(3.0), 3.0));
    }
}
